//! Clients. Their settings are one JSON value: the type in `access` says what is in it.

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::subjects::{self, SubjectKind, Taken};
use super::users::Added;
use super::{Sql, StoreError};

/// Whether a client was described anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Changed {
    Yes,
    /// It is gone, or somebody else did it with the same token.
    No,
}

impl Sql<'_> {
    /// Registers a client.
    pub(crate) fn add_client(
        &self,
        client: &Client,
        secret_digest: Option<&str>,
        now: Timestamp,
    ) -> Result<Added, StoreError> {
        let id = client.client_id.as_str();
        if subjects::take(self, id, SubjectKind::Client, now)? == Taken::Before {
            return Ok(Added::NameTaken);
        }
        let settings = json(client, "clients")?;
        self.execute(
            "INSERT INTO clients (client_id, settings, secret_digest, created_at) VALUES (?1, ?2, ?3, ?4)",
            &[id.into(), Value::from(&settings), secret_digest.into(), now.into()],
        )?;
        Ok(Added::Yes)
    }

    /// A client that was not removed.
    pub(crate) fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let text = "SELECT settings FROM clients WHERE client_id = ?1 AND removed_at IS NULL";
        self.first("clients", text, &[id.as_str().into()], |row| row.json("settings"))
    }

    /// Whether there is such a client.
    pub(crate) fn has_client(&self, id: &ClientId) -> Result<bool, StoreError> {
        let text = "SELECT 1 AS found FROM clients WHERE client_id = ?1 AND removed_at IS NULL";
        Ok(self.first("clients", text, &[id.as_str().into()], |row| row.get::<i64>("found"))?.is_some())
    }

    /// All clients that were not removed.
    pub(crate) fn clients(&self) -> Result<Vec<Client>, StoreError> {
        let text = "SELECT settings FROM clients WHERE removed_at IS NULL ORDER BY client_id";
        self.query("clients", text, &[], |row| row.json("settings"))
    }

    /// Describes a client anew.
    pub(crate) fn change_client(&self, client: &Client) -> Result<Changed, StoreError> {
        let settings = json(client, "clients")?;
        let text = "UPDATE clients SET settings = ?2 WHERE client_id = ?1 AND removed_at IS NULL";
        Ok(match self.execute(text, &[client.client_id.as_str().into(), Value::from(&settings)])? {
            0 => Changed::No,
            _ => Changed::Yes,
        })
    }

    /// Gives a client a new secret.
    pub(crate) fn set_client_secret(&self, id: &ClientId, digest: &str) -> Result<(), StoreError> {
        let text = "UPDATE clients SET secret_digest = ?2 WHERE client_id = ?1";
        self.execute(text, &[id.as_str().into(), digest.into()]).map(drop)
    }

    /// Whether a client has a secret.
    pub(crate) fn has_client_secret(&self, id: &ClientId) -> Result<bool, StoreError> {
        let text = "SELECT 1 AS found FROM clients WHERE client_id = ?1 AND secret_digest IS NOT NULL";
        Ok(self.first("clients", text, &[id.as_str().into()], |row| row.get::<i64>("found"))?.is_some())
    }

    /// Takes a client's secret away, for it shows otherwise who it is.
    pub(crate) fn drop_client_secret(&self, id: &ClientId) -> Result<(), StoreError> {
        let text = "UPDATE clients SET secret_digest = NULL WHERE client_id = ?1";
        self.execute(text, &[id.as_str().into()]).map(drop)
    }

    /// Removes a client; its name stays taken.
    pub(crate) fn remove_client(&self, id: &ClientId, now: Timestamp) -> Result<(), StoreError> {
        let values = [id.as_str().into(), now.into()];
        self.execute("DELETE FROM consents WHERE client_id = ?1", &[id.as_str().into()])?;
        self.execute("DELETE FROM client_documents WHERE client_id = ?1", &[id.as_str().into()])?;
        self.execute("UPDATE clients SET removed_at = ?2 WHERE client_id = ?1", &values)?;
        let text = "UPDATE grants SET revoked_at = ?2 WHERE client_id = ?1 AND revoked_at IS NULL";
        self.execute(text, &values).map(drop)
    }
}
