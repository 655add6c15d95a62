//! Files of ours that nobody else on the machine reads, whatever folder they lie in.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// A database that is there, if only empty, for its owner alone; so are those that SQLite puts beside it, which take over its
/// mode. Of an existing one nothing is opened: closing it would end the locks that this process has on it.
///
/// # Errors
/// Why there is none.
pub(crate) fn database(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(OWNERS).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for behind in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(behind);
        narrow(Path::new(&name))?;
    }
    Ok(())
}

/// Takes a file that others can read, as earlier versions made some, away from them.
///
/// # Errors
/// Why it is left as it is. A file that is missing is nobody's.
pub(crate) fn narrow(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(file) if file.permissions().mode() & OTHERS != 0 => {
            fs::set_permissions(path, Permissions::from_mode(OWNERS))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a folder durable with all that is in it. Not of what this process has locked: see [`database`].
///
/// # Errors
/// Why it may not be.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// The mode of what its owner reads and writes.
pub(crate) const OWNERS: u32 = 0o600;
/// The bits of a mode that are everybody else's.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_its_owners_alone_new_or_old() {
        let folder = std::env::temp_dir().join(format!("chartgate-private-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("some.db");
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        for name in ["some.db-wal", "some.db-shm"] {
            fs::write(folder.join(name), []).unwrap();
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o644)).unwrap();
        }
        database(&path).unwrap();
        assert_eq!([mode("some.db"), mode("some.db-wal"), mode("some.db-shm")], [OWNERS; 3]);
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        fs::write(&path, "kept").unwrap();
        database(&path).unwrap();
        assert_eq!((mode("some.db"), fs::read_to_string(&path).unwrap().as_str()), (OWNERS, "kept"));
        assert!(database(&folder.join("no folder/some.db")).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
