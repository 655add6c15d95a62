//! How far each tool of others has had the log.

use super::{Sql, StoreError};

/// How far one of them has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ExportCursor {
    pub(crate) name: String,
    /// The verifier key of the log.
    pub(crate) log: String,
    /// The first record that it has not had.
    pub(crate) next: u64,
    /// The size and root of the checkpoint under which what it has had was read.
    pub(crate) size: u64,
    pub(crate) root: String,
}

impl Sql<'_> {
    /// The cursor of this name.
    pub(crate) fn export_cursor(&self, name: &str) -> Result<Option<ExportCursor>, StoreError> {
        let text = "SELECT * FROM audit_exports WHERE name = ?1";
        self.first("audit_exports", text, &[name.into()], |row| {
            let number = |column| {
                let number: i64 = row.get(column)?;
                u64::try_from(number).map_err(|_| row.inconsistent(column))
            };
            Ok(ExportCursor {
                name: row.get("name")?,
                log: row.get("log")?,
                next: number("next")?,
                size: number("size")?,
                root: row.get("root")?,
            })
        })
    }

    /// Forgets a cursor, which an operator puts another in place of.
    pub(crate) fn forget_export_cursor(&self, name: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM audit_exports WHERE name = ?1", &[name.into()]).map(drop)
    }

    /// Keeps a cursor. One of the same log is never moved back.
    pub(crate) fn set_export_cursor(&self, cursor: &ExportCursor) -> Result<(), StoreError> {
        let text = "INSERT INTO audit_exports (name, log, next, size, root) VALUES (?1, ?2, ?3, ?4, ?5) \
                    ON CONFLICT (name) DO UPDATE SET next = CASE WHEN log = ?2 AND next > ?3 THEN next ELSE ?3 END, \
                    log = ?2, size = ?4, root = ?5";
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (next, size) = (signed(cursor.next), signed(cursor.size));
        let values = [
            cursor.name.as_str().into(),
            cursor.log.as_str().into(),
            next.into(),
            size.into(),
            cursor.root.as_str().into(),
        ];
        self.execute(text, &values).map(drop)
    }
}
