//! Client assertions that were used. RFC 7523 section 3, item 7.

use std::time::Duration;

use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// Whether an assertion was seen before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a used assertion is refused"]
pub(crate) enum FirstUse {
    Yes,
    No,
}

/// Assertions are good for five minutes at most, and clocks differ. In the profile `plain` they may be for an hour: waiting as
/// long for all would shut programs out for an hour.
const LONGEST_LIFE: Duration = Duration::from_mins(6);

impl Sql<'_> {
    /// Forgets assertions that have expired.
    pub(super) fn forget_assertions(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM used_assertions WHERE expires_at < ?1", &[now.into()]).map(drop)
    }

    /// Uses an assertion up. After a restore nobody knows which ones were: those that may be from before it, by when they end,
    /// are refused.
    pub(crate) fn use_assertion(
        &self,
        client: &ClientId,
        jti: &str,
        expires_at: Timestamp,
    ) -> Result<FirstUse, StoreError> {
        let restored_at = self.last_restore()?;
        if restored_at.is_some_and(|restored_at| expires_at <= restored_at.plus(LONGEST_LIFE)) {
            return Ok(FirstUse::No);
        }
        let text = "INSERT INTO used_assertions (client_id, jti, expires_at) VALUES (?1, ?2, ?3) \
                    ON CONFLICT DO NOTHING";
        match self.execute(text, &[client.as_str().into(), jti.into(), expires_at.into()])? {
            0 => Ok(FirstUse::No),
            _ => Ok(FirstUse::Yes),
        }
    }
}
