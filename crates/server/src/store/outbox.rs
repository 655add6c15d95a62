//! Records of what was changed, until they are in the log.

use chartgate_values::Timestamp;

use super::sql::Value;
use super::{Sql, StoreError};

/// The records of one change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct StoredRecords {
    pub(crate) id: String,
    /// How many records the log had before these.
    pub(crate) log_size: u64,
    /// Sealed.
    pub(crate) records: Vec<u8>,
}

impl Sql<'_> {
    /// Keeps the records of a change, in its transaction.
    pub(crate) fn keep_records(&self, kept: &StoredRecords) -> Result<(), StoreError> {
        let size = i64::try_from(kept.log_size).unwrap_or(i64::MAX);
        let text = "INSERT INTO outbox (id, log_size, records) VALUES (?1, ?2, ?3)";
        let values = [Value::from(&kept.id), size.into(), kept.records.as_slice().into()];
        self.execute(text, &values).map(drop)
    }

    /// Those that may not be in the log, but for those that were refused.
    pub(crate) fn kept_records(&self) -> Result<Vec<StoredRecords>, StoreError> {
        let text = "SELECT id, log_size, records FROM outbox WHERE refused_at IS NULL";
        self.query("outbox", text, &[], |row| {
            // What is not as it was kept does not open, and keeps no other from being told.
            let size: i64 = row.get("log_size").unwrap_or(-1);
            let log_size = u64::try_from(size).unwrap_or(u64::MAX);
            Ok(StoredRecords {
                id: row.get("id")?,
                log_size,
                records: row.get("records").unwrap_or_default(),
            })
        })
    }

    /// How many wait, and how many were refused.
    pub(crate) fn count_kept_records(&self) -> Result<(u64, u64), StoreError> {
        let text = "SELECT COUNT(*) - COUNT(refused_at) AS waiting, COUNT(refused_at) AS refused FROM outbox";
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let counts = self
            .first("outbox", text, &[], |row| Ok((count(row.get("waiting")?), count(row.get("refused")?))))?;
        Ok(counts.unwrap_or_default())
    }

    /// They are in the log.
    pub(crate) fn drop_records(&self, id: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM outbox WHERE id = ?1", &[id.into()]).map(drop)
    }

    /// They are not ours. They stay, for whoever looks into it.
    pub(crate) fn refuse_records(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE outbox SET refused_at = ?2 WHERE id = ?1", &[id.into(), now.into()]).map(drop)
    }
}
