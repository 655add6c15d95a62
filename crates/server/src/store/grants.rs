//! Grants.

use chartgate_access::grant::Grant;
use chartgate_access::ids::GrantId;
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::{Sql, StoreError};

impl Sql<'_> {
    /// Keeps a grant whose code was redeemed.
    pub(crate) fn add_grant(&self, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
        let content = json(grant, "grants")?;
        self.execute(
            "INSERT INTO grants (id, client_id, subject, session, content, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                grant.id.as_str().into(),
                grant.client_id.as_str().into(),
                grant.subject.as_str().into(),
                grant.session.as_ref().map(|s| s.as_str()).into(),
                Value::from(&content),
                now.into(),
            ],
        )
        .map(drop)
    }

    /// A grant that was not revoked.
    pub(crate) fn live_grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let text = "SELECT content FROM grants WHERE id = ?1 AND revoked_at IS NULL";
        self.first("grants", text, &[id.as_str().into()], |row| row.json("content"))
    }

    /// Revokes a grant: none of its refresh tokens is honoured any more.
    pub(crate) fn revoke_grant(&self, id: &GrantId, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE grants SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
        self.execute(text, &[id.as_str().into(), now.into()]).map(drop)
    }
}
