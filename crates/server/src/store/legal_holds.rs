//! Legal holds: while one is in force, nothing of the log is ended, whatever its retention.

use chartgate_values::Timestamp;
use serde::Serialize;

use super::{Sql, StoreError};

/// A hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LegalHold {
    pub(crate) id: String,
    /// Why, such as the number of a case. It names no patient.
    pub(crate) reason: String,
    pub(crate) placed_by: String,
    pub(crate) placed_at: Timestamp,
    pub(crate) released_at: Option<Timestamp>,
}

impl Sql<'_> {
    /// Places one.
    pub(crate) fn place_hold(&self, hold: &LegalHold) -> Result<(), StoreError> {
        let text = "INSERT INTO legal_holds (id, reason, placed_by, placed_at) VALUES (?1, ?2, ?3, ?4)";
        let values =
            [(&hold.id).into(), (&hold.reason).into(), (&hold.placed_by).into(), hold.placed_at.into()];
        self.execute(text, &values).map(drop)
    }

    /// Releases the one that is in force; false if there is none of this name.
    pub(crate) fn release_hold(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let text = "UPDATE legal_holds SET released_at = ?2 WHERE id = ?1 AND released_at IS NULL";
        Ok(self.execute(text, &[id.into(), now.into()])? > 0)
    }

    /// All that there ever were, the oldest first.
    pub(crate) fn holds(&self) -> Result<Vec<LegalHold>, StoreError> {
        self.query("legal_holds", "SELECT * FROM legal_holds ORDER BY placed_at, id", &[], |row| {
            Ok(LegalHold {
                id: row.get("id")?,
                reason: row.get("reason")?,
                placed_by: row.get("placed_by")?,
                placed_at: row.time("placed_at")?,
                released_at: row.time_optional("released_at")?,
            })
        })
    }
}
