//! Invitations to register clients: initial access tokens. RFC 7591 section 3. Each use is one atomic statement.

use chartgate_values::Timestamp;
use serde::Serialize;

use super::sql::{Row, Value, json};
use super::{Sql, StoreError};
use crate::registration::policy::Policy;

/// An invitation, without what it is shown by.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Invitation {
    pub(crate) id: String,
    /// What its bearer's clients may be at the most.
    #[serde(flatten)]
    pub(crate) policy: Policy,
    /// How many clients may be registered with it.
    pub(crate) uses: i64,
    /// How many were.
    pub(crate) used: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) withdrawn_at: Option<Timestamp>,
}

/// Whether there was something to withdraw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Withdrawn {
    Yes,
    Nothing,
}

impl Sql<'_> {
    /// Keeps an invitation under the digest of its token.
    pub(crate) fn add_invitation(&self, invitation: &Invitation, digest: &str) -> Result<(), StoreError> {
        let policy = json(&invitation.policy, "invitations")?;
        let text = "INSERT INTO invitations (id, digest, policy, uses, used, created_at, expires_at) \
                    VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)";
        let values = [
            Value::from(&invitation.id),
            digest.into(),
            Value::from(&policy),
            invitation.uses.into(),
            invitation.created_at.into(),
            invitation.expires_at.into(),
        ];
        self.execute(text, &values).map(drop)
    }

    /// The invitation of a token, while it is good for something.
    pub(crate) fn invitation_of(
        &self,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let text = "SELECT * FROM invitations WHERE digest = ?1 AND used < uses AND expires_at > ?2 \
                    AND withdrawn_at IS NULL";
        self.first("invitations", text, &[digest.into(), now.into()], read)
    }

    /// Uses an invitation once: of those who come for the last use, one gets its name.
    pub(crate) fn use_invitation(&self, digest: &str, now: Timestamp) -> Result<Option<String>, StoreError> {
        let text = "UPDATE invitations SET used = used + 1 WHERE digest = ?1 AND used < uses \
                    AND expires_at > ?2 AND withdrawn_at IS NULL RETURNING id";
        self.first("invitations", text, &[digest.into(), now.into()], |row| row.get("id"))
    }

    /// The invitation of this name, whatever became of it.
    pub(crate) fn invitation(&self, id: &str) -> Result<Option<Invitation>, StoreError> {
        self.first("invitations", "SELECT * FROM invitations WHERE id = ?1", &[id.into()], read)
    }

    /// Every invitation, the oldest first.
    pub(crate) fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        self.query("invitations", "SELECT * FROM invitations ORDER BY created_at, id", &[], read)
    }

    /// Makes an invitation good for nothing more.
    pub(crate) fn withdraw_invitation(&self, id: &str, now: Timestamp) -> Result<Withdrawn, StoreError> {
        let text = "UPDATE invitations SET withdrawn_at = ?2 WHERE id = ?1 AND withdrawn_at IS NULL";
        Ok(match self.execute(text, &[id.into(), now.into()])? {
            0 => Withdrawn::Nothing,
            _ => Withdrawn::Yes,
        })
    }
}

fn read(row: &Row<'_, '_>) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: row.get("id")?,
        policy: row.json("policy")?,
        uses: row.get("uses")?,
        used: row.get("used")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        withdrawn_at: row.time_optional("withdrawn_at")?,
    })
}
