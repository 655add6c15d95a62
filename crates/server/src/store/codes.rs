//! Authorization codes, as digests. Each is used once: by one atomic statement.

use std::time::Duration;

use chartgate_access::grant::authorization_code::Code;
use chartgate_access::ids::{GrantId, Subject};
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::{Sql, StoreError};

/// Used codes are kept this long, so that a replay is known for what it is.
const REPLAY_MEMORY: Duration = Duration::from_secs(24 * 3600);

/// What became of a presented code.
#[derive(Debug)]
#[must_use = "a replayed code ends its grant"]
pub(crate) enum TakenCode {
    /// It was unused, and is used now.
    First(Box<Code>),
    /// It was used before: RFC 6749 section 4.1.2.
    Replayed(Box<Code>),
    /// There is none such.
    Unknown,
}

impl Sql<'_> {
    /// Keeps a new code.
    pub(crate) fn add_code(&self, digest: &str, code: &Code) -> Result<(), StoreError> {
        let content = json(code, "codes")?;
        self.execute(
            "INSERT INTO codes (digest, grant_id, subject, content, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[
                digest.into(),
                grant(&code.grant.id),
                code.grant.subject.as_str().into(),
                Value::from(&content),
                code.expires_at.into(),
            ],
        )
        .map(drop)
    }

    /// Spoils the codes of a person that were not redeemed yet.
    pub(super) fn spoil_codes(&self, of: &Subject, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE codes SET consumed_at = ?2 WHERE subject = ?1 AND consumed_at IS NULL";
        self.execute(text, &[of.as_str().into(), now.into()]).map(drop)
    }

    /// Forgets codes whose replay means nothing any more.
    pub(super) fn forget_codes(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM codes WHERE expires_at < ?1", &[now.minus(REPLAY_MEMORY).into()]).map(drop)
    }

    /// Uses a code up.
    pub(crate) fn take_code(&self, digest: &str, now: Timestamp) -> Result<TakenCode, StoreError> {
        let text =
            "UPDATE codes SET consumed_at = ?2 WHERE digest = ?1 AND consumed_at IS NULL RETURNING content";
        let first = self.first("codes", text, &[digest.into(), now.into()], |row| row.json("content"))?;
        if let Some(code) = first {
            return Ok(TakenCode::First(code));
        }
        let text = "SELECT content FROM codes WHERE digest = ?1";
        let used = self.first("codes", text, &[digest.into()], |row| row.json("content"))?;
        Ok(used.map_or(TakenCode::Unknown, TakenCode::Replayed))
    }
}

fn grant(id: &GrantId) -> Value<'_> {
    id.as_str().into()
}
