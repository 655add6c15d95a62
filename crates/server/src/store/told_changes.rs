//! Changes to how somebody signs in that they are still to be told of by e-mail.

use chartgate_access::ids::Subject;
use chartgate_values::Timestamp;

use super::second_factors::FactorChange;
use super::{Sql, StoreError};

/// A change that is to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UntoldChange {
    pub(crate) user: Subject,
    pub(crate) at: Timestamp,
    pub(crate) change: FactorChange,
    /// How often it was tried.
    pub(crate) attempts: u32,
}

impl Sql<'_> {
    /// Changes that are due to be told, the longest due first.
    pub(crate) fn due_changes(&self, now: Timestamp, limit: i64) -> Result<Vec<UntoldChange>, StoreError> {
        let text = "SELECT user_name, at, change, attempts FROM factor_changes \
                    WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";
        self.query("factor_changes", text, &[now.into(), limit.into()], |row| {
            let name: String = row.get("change")?;
            Ok(UntoldChange {
                user: row.parse("user_name")?,
                at: row.time("at")?,
                change: FactorChange::named(&name).ok_or_else(|| row.inconsistent("change"))?,
                attempts: row.get("attempts")?,
            })
        })
    }

    /// Notes that it was tried to tell of a change, and when to try again: never, where it was told or is given up.
    pub(crate) fn note_telling(
        &self,
        of: &UntoldChange,
        due_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let text = "UPDATE factor_changes SET due_at = ?4, attempts = attempts + 1 \
                    WHERE user_name = ?1 AND at = ?2 AND change = ?3";
        let values = [of.user.as_str().into(), of.at.into(), of.change.name().into(), due_at.into()];
        self.execute(text, &values).map(drop)
    }
}
