//! What people have approved for which client.

use chartgate_access::ids::{ClientId, Subject};
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_values::Timestamp;

use super::sql::Value;
use super::{Sql, StoreError};

impl Sql<'_> {
    /// What the person approved for the client before.
    pub(crate) fn consent(&self, subject: &Subject, client: &ClientId) -> Result<ScopeSet, StoreError> {
        let text = "SELECT scope FROM consents WHERE subject = ?1 AND client_id = ?2";
        let values = [subject.as_str().into(), client.as_str().into()];
        Ok(self.first("consents", text, &values, |row| row.parse("scope"))?.unwrap_or_default())
    }

    /// Everything that a person approved, and when.
    pub(crate) fn consents_of(
        &self,
        subject: &Subject,
    ) -> Result<Vec<(ClientId, ScopeSet, Timestamp)>, StoreError> {
        let text = "SELECT client_id, scope, given_at FROM consents WHERE subject = ?1 ORDER BY client_id";
        self.query("consents", text, &[subject.as_str().into()], |row| {
            Ok((row.parse("client_id")?, row.parse("scope")?, row.time("given_at")?))
        })
    }

    /// Forgets what a person approved for a client.
    pub(super) fn remove_consent(&self, subject: &Subject, client: &ClientId) -> Result<(), StoreError> {
        let text = "DELETE FROM consents WHERE subject = ?1 AND client_id = ?2";
        self.execute(text, &[subject.as_str().into(), client.as_str().into()]).map(drop)
    }

    /// Remembers an approval in place of an earlier one.
    pub(crate) fn set_consent(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &ScopeSet,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let scope = scope.to_string();
        let text = "INSERT INTO consents (subject, client_id, scope, given_at) VALUES (?1, ?2, ?3, ?4) \
                    ON CONFLICT (subject, client_id) DO UPDATE SET scope = ?3, given_at = ?4";
        let values = [subject.as_str().into(), client.as_str().into(), Value::from(&scope), now.into()];
        self.execute(text, &values).map(drop)
    }
}
