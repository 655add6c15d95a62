//! One process at a time works on a data folder, and on a log's.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::private_file;

/// The data folder, held by whoever may write the store or the log.
pub(crate) struct DataLock(#[expect(dead_code, reason = "holds the lock while it lives")] File);

/// Why the data folder is not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else works on it.
    #[error("the folder is in use by another process")]
    Held,
    /// The disk.
    #[error("{0}")]
    File(String),
}

impl DataLock {
    /// Takes the folder if nobody has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub(crate) fn take(data_dir: &Path) -> Result<Self, LockError> {
        Self::take_file(&data_dir.join("lock"))
    }

    /// Takes the folder of a log, which may be named by the configurations of several data folders.
    ///
    /// # Errors
    /// [`LockError`].
    pub(crate) fn take_log(dir: &Path) -> Result<Self, LockError> {
        Self::take_file(&dir.join("log.lock"))
    }

    fn take_file(path: &Path) -> Result<Self, LockError> {
        let error = |e: std::io::Error| LockError::File(format!("{}: {e}", path.display()));
        // Whoever could open it could hold it.
        private_file::narrow(path).map_err(error)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(private_file::OWNERS);
        let file = options.open(path).map_err(error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(e)) => Err(error(e)),
        }
    }
}
