//! Tiles, bundles, blobs, keys and the checkpoint: files that are written whole.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chartgate_audit::storage::{Object, Objects};

use super::{Unnamed, create_folder, names, open_regular, sync_folder, sync_parent};

/// The log's folder.
#[derive(Clone, Debug)]
pub(crate) struct ObjectFolder {
    root: PathBuf,
}

impl ObjectFolder {
    /// The folder `root`, made if it is not there; the folder above it must be.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        if let Some(parent) = root.parent() {
            create_folder(parent, root)?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// A folder that is only read.
    pub(crate) fn of_copy(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

/// Far beyond the length of any object.
const LONGEST: u64 = 1 << 30;

impl Objects for ObjectFolder {
    fn put(&self, objects: &[Object]) -> io::Result<()> {
        // All are written before the first is synced, so that the disk can take them together.
        let mut written = Vec::with_capacity(objects.len());
        let mut folders = BTreeSet::new();
        for Object { path, bytes } in objects {
            let path = self.root.join(path);
            let folder = path.parent().unwrap_or(&self.root).to_owned();
            create_folder(&self.root, &folder)?;
            folders.insert(folder);
            let mut unnamed = Unnamed::create(path)?;
            unnamed.file.write_all(bytes)?;
            written.push(unnamed);
        }
        for unnamed in &written {
            unnamed.file.sync_all()?;
        }
        for unnamed in written {
            unnamed.name()?;
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut file = open_regular(&self.root.join(path))?;
        if file.metadata()?.len() > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "longer than anything that is written here",
            ));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        names(&self.root.join(folder))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        match if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) } {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_parent(&path)),
        }
    }
}
