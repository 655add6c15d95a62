//! Clients that say under their own address what they are, and how old that is.

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::users::Added;
use super::{Sql, StoreError};

/// Such a client as it is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Described {
    pub(crate) client: Client,
    /// How old its document is; nothing: it is not good any more.
    pub(crate) document: Option<DocumentAge>,
}

/// When a document was fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DocumentAge {
    pub(crate) fetched_at: Timestamp,
    /// Until when it need not be asked for again.
    pub(crate) fresh_until: Timestamp,
}

/// What is known of an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Known {
    Client(Box<Described>),
    /// An administrator removed it.
    Removed,
    Nothing,
}

impl Sql<'_> {
    /// What is known of the client with this address.
    pub(crate) fn described_client(&self, id: &ClientId) -> Result<Known, StoreError> {
        let text = "SELECT settings, removed_at, fetched_at, fresh_until FROM clients \
                    LEFT JOIN client_documents USING (client_id) WHERE client_id = ?1";
        let found = self.first("clients", text, &[id.as_str().into()], |row| {
            if row.time_optional("removed_at")?.is_some() {
                return Ok(Known::Removed);
            }
            let times = row.time_optional("fetched_at")?.zip(row.time_optional("fresh_until")?);
            let document = times.map(|(fetched_at, fresh_until)| DocumentAge { fetched_at, fresh_until });
            Ok(Known::Client(Box::new(Described { client: row.json("settings")?, document })))
        })?;
        Ok(found.unwrap_or(Known::Nothing))
    }

    /// Keeps what a client says of itself, for the first time or anew. One that was removed stays removed.
    pub(crate) fn describe_client(&self, client: &Client, age: DocumentAge) -> Result<Added, StoreError> {
        let id = client.client_id.as_str();
        let settings = json(client, "clients")?;
        let text = "UPDATE clients SET settings = ?2 WHERE client_id = ?1 AND removed_at IS NULL";
        if self.execute(text, &[id.into(), Value::from(&settings)])? == 0
            && self.add_client(client, None, age.fetched_at)? == Added::NameTaken
        {
            return Ok(Added::NameTaken);
        }
        let text = "INSERT INTO client_documents (client_id, fetched_at, fresh_until) VALUES (?1, ?2, ?3) \
                    ON CONFLICT (client_id) DO UPDATE SET fetched_at = ?2, fresh_until = ?3";
        self.execute(text, &[id.into(), age.fetched_at.into(), age.fresh_until.into()])?;
        Ok(Added::Yes)
    }

    /// A client's document is not good any more.
    pub(crate) fn forget_document(&self, id: &ClientId) -> Result<(), StoreError> {
        self.execute("DELETE FROM client_documents WHERE client_id = ?1", &[id.as_str().into()]).map(drop)
    }
}
