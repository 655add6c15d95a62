//! The log's last signed checkpoint, apart from the log: so that one that was put back is noticed.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Sql, StoreError, configure};

/// The note last kept in the store at `path`, of a gateway that runs or does not. Nothing of the store is changed.
///
/// # Errors
/// [`StoreError`], also where there is no store.
pub(crate) fn log_checkpoint_at(path: &Path) -> Result<Option<String>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    Sql::new(&connection).log_checkpoint()
}

impl Sql<'_> {
    /// The note last kept.
    pub(crate) fn log_checkpoint(&self) -> Result<Option<String>, StoreError> {
        self.first("log_checkpoint", "SELECT note FROM log_checkpoint", &[], |row| row.get("note"))
    }

    /// Keeps `note` in place of what is kept.
    pub(crate) fn set_log_checkpoint(&self, note: &str) -> Result<(), StoreError> {
        let text = "INSERT INTO log_checkpoint (only_row, note) VALUES (1, ?1) \
                    ON CONFLICT (only_row) DO UPDATE SET note = ?1";
        self.execute(text, &[note.into()]).map(drop)
    }
}
