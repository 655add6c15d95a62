//! A folder that is filled under a hidden name, and gets its own once it is whole and durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chartgate_audit::backup::BackupPath;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::private_file;

/// A folder for its owner alone, that is not there yet. Whatever became of it is removed if it does not get its name; if its
/// process was ended first, by the next one that wants the name.
pub(super) struct NewFolder {
    hidden: PathBuf,
    path: PathBuf,
    held: Held,
}

/// A folder that somebody works in, for as long as this lives, whatever it is called meanwhile.
#[derive(Debug)]
pub(super) struct Held(OwnedFd);

impl NewFolder {
    /// Begins one.
    ///
    /// # Errors
    /// If something is there, or cannot be.
    pub(super) fn begin(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        let name = path.file_name().with_context(|| format!("{} is no name for a folder", path.display()))?;
        let hidden = path.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        if fs::symlink_metadata(&path).is_ok() {
            bail!("{} is there already; nothing was changed", path.display());
        }
        let shown = || format!("{}", hidden.display());
        remove_left(&hidden)?;
        DirBuilder::new().mode(0o700).create(&hidden).with_context(shown)?;
        match Held::take(&hidden) {
            Ok(Some(held)) => Ok(Self { hidden, path, held }),
            Ok(None) => bail!("{} was taken by another process", shown()),
            Err(error) => {
                // It is empty yet, or another's, which is not removed so.
                let _ = fs::remove_dir(&hidden);
                Err(error).with_context(shown)
            }
        }
    }

    /// Where it is filled.
    pub(super) fn place(&self) -> &Path {
        &self.hidden
    }

    /// A new file, with the folders above it.
    pub(super) fn create(&self, path: &BackupPath) -> io::Result<File> {
        let file = self.hidden.join(path.as_str());
        let folder = file.parent().unwrap_or(&self.hidden);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Nothing is ever written over, and no link followed.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
    }

    /// Makes all of it durable, and gives it its name.
    pub(super) fn finish(mut self) -> io::Result<Held> {
        let held = self.held.again()?;
        private_file::sync(&self.hidden)?;
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(&self.hidden, &self.path)?;
        let synced = self.path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
        // What is said not to be there must not have its name. If even that fails, it keeps it, whole.
        if synced.is_ok() || fs::rename(&self.path, &self.hidden).is_err() {
            self.hidden = PathBuf::new();
        }
        synced.map(|()| held)
    }
}

impl Held {
    /// Takes a folder; none, if somebody else works in it, or if it has gone from its name meanwhile.
    fn take(folder: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::locked(rustix::fs::open(folder, flags, Mode::empty())?, folder)
    }

    fn locked(opened: OwnedFd, folder: &Path) -> io::Result<Option<Self>> {
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // Who had it before may have removed it, and another have made one of this name.
                let (held, named) = (rustix::fs::fstat(&opened)?, rustix::fs::lstat(folder)?);
                let is_it = (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino);
                Ok(is_it.then_some(Self(opened)))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The same once more: the folder is let go of when both are gone.
    fn again(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Whether others would see that it is held, wherever they are. On file systems that several machines, or a process, serve,
    /// this machine alone may.
    fn is_seen_by_all(&self) -> io::Result<bool> {
        let kind = rustix::fs::fstatfs(&self.0)?.f_type;
        Ok(!SHARED.iter().any(|shared| i64::from(*shared) == kind & 0xffff_ffff))
    }
}

/// NFS, SMB in its three kinds, FUSE, Ceph, 9P, AFS: statfs(2).
const SHARED: [u32; 8] =
    [0x6969, 0x517b, 0xfe53_4d42, 0xff53_4d42, 0x6573_5546, 0x00c3_6400, 0x0102_1997, 0x5346_414f];

/// Sees to it that a name is free: removes what a process left that was ended as it worked in a folder of this name.
///
/// # Errors
/// If somebody works in it, or may; if it is no folder, or does not go.
pub(crate) fn remove_left(folder: &Path) -> anyhow::Result<()> {
    let shown = || format!("{}", folder.display());
    let held = match Held::take(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        taken => taken.with_context(shown)?,
    };
    match held {
        None => {
            bail!("{} is worked in: another backup, restore or drill under this name is under way", shown())
        }
        Some(held) if !held.is_seen_by_all().with_context(shown)? => bail!(
            "{} is left of an earlier attempt, or another machine works in it: remove it once that is sure",
            shown()
        ),
        Some(_held) => fs::remove_dir_all(folder).with_context(shown),
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.hidden.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.hidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("chartgate-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn what_an_ended_process_left_is_removed_and_what_somebody_works_in_is_not() {
        let place = scratch("left");
        let (path, hidden) = (place.join("new"), place.join(".new.partial"));
        fs::create_dir_all(hidden.join("store")).unwrap();
        let folder = NewFolder::begin(&path).unwrap();
        assert!(!hidden.join("store").exists());
        let second = NewFolder::begin(&path).err().unwrap().to_string();
        assert!(second.contains("under way"), "{second}");
        assert!(hidden.exists());

        // It is worked in under its new name too, until that ends.
        let held = folder.finish().unwrap();
        assert!(remove_left(&path).is_err() && path.exists());
        drop(held);
        remove_left(&path).unwrap();
        assert!(!path.exists());
        remove_left(&path).unwrap();
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_folder_that_has_gone_from_its_name_is_not_held_by_whoever_opened_it() {
        let place = scratch("gone");
        let path = place.join(".new.partial");
        fs::create_dir(&path).unwrap();
        // Somebody has opened the old one and waits; it goes, and another comes.
        let opened = OwnedFd::from(File::open(&path).unwrap());
        fs::remove_dir(&path).unwrap();
        assert!(Held::locked(opened.try_clone().unwrap(), &path).is_err(), "nothing is there");
        fs::create_dir(&path).unwrap();
        assert!(Held::locked(opened, &path).unwrap().is_none());
        assert!(Held::take(&path).unwrap().is_some());
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn no_link_is_followed_and_no_file_is_removed() {
        let place = scratch("link");
        let (file, other, hidden) = (place.join("kept"), place.join("other"), place.join(".new.partial"));
        fs::create_dir(&other).unwrap();
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&other, &hidden).unwrap();
        assert!(NewFolder::begin(&place.join("new")).is_err() && other.exists());
        fs::remove_file(&hidden).unwrap();
        fs::hard_link(&file, &hidden).unwrap();
        assert!(NewFolder::begin(&place.join("new")).is_err() && hidden.exists());
        fs::remove_dir_all(place).unwrap();
    }
}
