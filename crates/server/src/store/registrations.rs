//! Clients that registered themselves by a request. RFC 7591, RFC 7592.

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::clients::Changed;
use super::sql::{Value, json};
use super::users::Added;
use super::{Sql, StoreError};

/// What is kept of such a client beside what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Registration {
    /// Of the registration access token.
    pub(crate) token_digest: String,
    /// The invitation that it had, if it had one.
    pub(crate) invitation: Option<String>,
    pub(crate) about: About,
    pub(crate) created_at: Timestamp,
}

/// What it says of itself that nothing hangs on. RFC 7591 section 2.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) software_version: Option<String>,
}

impl Sql<'_> {
    /// Registers a client that says itself what it is.
    pub(crate) fn add_registration(
        &self,
        client: &Client,
        secret_digest: Option<&str>,
        registration: &Registration,
    ) -> Result<Added, StoreError> {
        let now = registration.created_at;
        if self.add_client(client, secret_digest, now)? == Added::NameTaken {
            return Ok(Added::NameTaken);
        }
        let about = json(&registration.about, "registrations")?;
        let text = "INSERT INTO registrations (client_id, token_digest, invitation, about, created_at, changed_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
        let values = [
            client.client_id.as_str().into(),
            Value::from(&registration.token_digest),
            registration.invitation.as_ref().into(),
            Value::from(&about),
            now.into(),
        ];
        self.execute(text, &values)?;
        Ok(Added::Yes)
    }

    /// What is kept of a client that registered itself and was not removed.
    pub(crate) fn registration(&self, id: &ClientId) -> Result<Option<Registration>, StoreError> {
        let text = "SELECT registrations.* FROM registrations JOIN clients USING (client_id) \
                    WHERE client_id = ?1 AND removed_at IS NULL";
        self.first("registrations", text, &[id.as_str().into()], |row| {
            Ok(Registration {
                token_digest: row.get("token_digest")?,
                invitation: row.get("invitation")?,
                about: row.json("about")?,
                created_at: row.time("created_at")?,
            })
        })
    }

    /// Describes a client anew, by whoever has its registration access token, in whose place comes another: of those who
    /// show it at once, one is heard.
    pub(crate) fn change_registration(
        &self,
        client: &Client,
        about: &About,
        [token, next]: [&str; 2],
        now: Timestamp,
    ) -> Result<Changed, StoreError> {
        let id = client.client_id.as_str();
        let about = json(about, "registrations")?;
        let text = "UPDATE registrations SET token_digest = ?3, about = ?4, changed_at = ?5 \
                    WHERE client_id = ?1 AND token_digest = ?2";
        if self.execute(text, &[id.into(), token.into(), next.into(), Value::from(&about), now.into()])? == 0
        {
            return Ok(Changed::No);
        }
        self.change_client(client)
    }

    /// How many there are that anybody registered and nobody used.
    pub(crate) fn unused_registrations(&self) -> Result<usize, StoreError> {
        let text = format!("SELECT COUNT(*) AS count FROM registrations WHERE {UNUSED}");
        let count = self.first("registrations", &text, &[], |row| row.get::<i64>("count"))?;
        Ok(usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX))
    }

    /// Notes that a client was used, if it ever was.
    pub(crate) fn note_use(&self, id: &ClientId, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE registrations SET used_at = ?2 WHERE client_id = ?1 AND used_at IS NULL \
                    AND EXISTS (SELECT 1 FROM grants WHERE grants.client_id = ?1)";
        self.execute(text, &[id.as_str().into(), now.into()]).map(drop)
    }

    /// Notes which clients were used, and names those that were not within their time.
    pub(crate) fn overdue_registrations(
        &self,
        created_before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<ClientId>, StoreError> {
        let text = "UPDATE registrations SET used_at = ?1 WHERE used_at IS NULL \
                    AND EXISTS (SELECT 1 FROM grants WHERE grants.client_id = registrations.client_id)";
        self.execute(text, &[now.into()])?;
        let text =
            format!("SELECT client_id FROM registrations WHERE {UNUSED} AND created_at < ?1 LIMIT 100");
        self.query("registrations", &text, &[created_before.into()], |row| row.parse("client_id"))
    }

    /// Whether it is one of those, still.
    pub(crate) fn is_unused_registration(&self, id: &ClientId) -> Result<bool, StoreError> {
        let text = format!("SELECT 1 AS found FROM registrations WHERE client_id = ?1 AND {UNUSED}");
        let found =
            self.first("registrations", &text, &[id.as_str().into()], |row| row.get::<i64>("found"))?;
        Ok(found.is_some())
    }

    /// Forgets a removed client whole, but for its name: nobody ever used it.
    pub(crate) fn forget_unused_client(&self, id: &ClientId) -> Result<(), StoreError> {
        let text = "DELETE FROM registrations WHERE client_id = ?1 AND used_at IS NULL";
        if self.execute(text, &[id.as_str().into()])? == 0 {
            return Ok(());
        }
        let text = "DELETE FROM clients WHERE client_id = ?1 AND removed_at IS NOT NULL";
        self.execute(text, &[id.as_str().into()]).map(drop)
    }
}

/// Registered as anybody can, and without any grant ever. Grants are forgotten after days, and use is noted each minute.
const UNUSED: &str = "invitation IS NULL AND used_at IS NULL \
    AND EXISTS (SELECT 1 FROM clients WHERE clients.client_id = registrations.client_id AND removed_at IS NULL) \
    AND NOT EXISTS (SELECT 1 FROM grants WHERE grants.client_id = registrations.client_id)";
