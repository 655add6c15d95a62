//! A folder that is filled under a hidden name, and gets its own once it is whole and durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chartgate_audit::backup::BackupPath;

/// A folder for its owner alone, that is not there yet. Whatever became of it is removed if it does not get its name.
pub(super) struct NewFolder {
    hidden: PathBuf,
    path: PathBuf,
}

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
        match DirBuilder::new().mode(0o700).create(&hidden) {
            Ok(()) => Ok(Self { hidden, path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!(
                    "{} is left of an earlier attempt, or one is under way: remove it first",
                    hidden.display()
                )
            }
            Err(error) => Err(error).with_context(|| format!("{}", hidden.display())),
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
    pub(super) fn finish(mut self) -> io::Result<()> {
        sync(&self.hidden)?;
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(&self.hidden, &self.path)?;
        let synced = self.path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
        // What is said not to be there must not have its name. If even that fails, it keeps it, whole.
        if synced.is_ok() || fs::rename(&self.path, &self.hidden).is_err() {
            self.hidden = PathBuf::new();
        }
        synced
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.hidden.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.hidden);
        }
    }
}

/// Syncs a folder with all that is in it.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
