//! Clients that say under their own address what they are, and how old that is.

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use chartgate_values::Timestamp;

use super::sql::Row;
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
            Ok(Known::Client(Box::new(Described { client: row.json("settings")?, document: age(row)? })))
        })?;
        Ok(found.unwrap_or(Known::Nothing))
    }

    /// All clients that were not removed, whoever registered them; of those that say themselves what they are, how old that is.
    pub(crate) fn described_clients(&self) -> Result<Vec<Described>, StoreError> {
        let text = "SELECT settings, fetched_at, fresh_until FROM clients \
                    LEFT JOIN client_documents USING (client_id) WHERE removed_at IS NULL ORDER BY client_id";
        self.query("clients", text, &[], |row| {
            Ok(Described { client: row.json("settings")?, document: age(row)? })
        })
    }

    /// Keeps what a client says of itself, for the first time or anew. One that was removed stays removed.
    pub(crate) fn describe_client(&self, client: &Client, age: DocumentAge) -> Result<Added, StoreError> {
        let id = client.client_id.as_str();
        match self.described_client(&client.client_id)? {
            Known::Removed => return Ok(Added::NameTaken),
            Known::Nothing => {
                if self.add_client(client, None, age.fetched_at)? == Added::NameTaken {
                    return Ok(Added::NameTaken);
                }
            }
            // Whatever is remembered of clients stays good where nothing changes.
            Known::Client(known) if known.client == *client => {}
            Known::Client(_) => {
                self.change_client(client)?;
            }
        }
        let text = "INSERT INTO client_documents (client_id, fetched_at, fresh_until, added_at) \
                    VALUES (?1, ?2, ?3, ?2) \
                    ON CONFLICT (client_id) DO UPDATE SET fetched_at = ?2, fresh_until = ?3, added_at = ?2";
        self.execute(text, &[id.into(), age.fetched_at.into(), age.fresh_until.into()])?;
        Ok(Added::Yes)
    }

    /// A client's document is not good any more.
    pub(crate) fn forget_document(&self, id: &ClientId) -> Result<(), StoreError> {
        let text = "UPDATE client_documents SET fetched_at = NULL, fresh_until = NULL WHERE client_id = ?1";
        self.execute(text, &[id.as_str().into()]).map(drop)
    }

    /// Notes which of them were used, and names those that were not within their time.
    pub(crate) fn overdue_documents(
        &self,
        added_before: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<ClientId>, StoreError> {
        let text =
            format!("UPDATE client_documents SET used_at = ?1 WHERE used_at IS NULL AND NOT ({UNUSED})");
        self.execute(&text, &[now.into()])?;
        let text =
            format!("SELECT client_id FROM client_documents WHERE {UNUSED} AND added_at < ?1 LIMIT 100");
        self.query("client_documents", &text, &[added_before.into()], |row| row.parse("client_id"))
    }

    /// Those that nobody used, beyond so many: the oldest, a few at a time.
    pub(crate) fn surplus_documents(&self, most: usize) -> Result<Vec<ClientId>, StoreError> {
        // An index is counted; only when it is too long, each is looked at.
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let count = |unused: &str| {
            let text = format!("SELECT COUNT(*) AS count FROM client_documents WHERE {unused}");
            self.first("client_documents", &text, &[], |row| row.get::<i64>("count"))
        };
        let beyond = |count: Option<i64>| count.unwrap_or_default().saturating_sub(most);
        if beyond(count("used_at IS NULL")?) <= 0 {
            return Ok(Vec::new());
        }
        let beyond = beyond(count(UNUSED)?).clamp(0, AT_ONCE);
        let text = format!(
            "SELECT client_id FROM client_documents WHERE {UNUSED} ORDER BY added_at, client_id LIMIT ?1"
        );
        self.query("client_documents", &text, &[beyond.into()], |row| row.parse("client_id"))
    }

    /// Forgets a client that nobody used whole, with its name: who comes by it again is whoever is at that address.
    pub(crate) fn forget_unused_document(&self, id: &ClientId) -> Result<(), StoreError> {
        let id = [id.as_str().into()];
        let text = format!("DELETE FROM client_documents WHERE client_id = ?1 AND {UNUSED}");
        if self.execute(&text, &id)? == 0 {
            return Ok(());
        }
        self.execute("DELETE FROM clients WHERE client_id = ?1", &id)?;
        self.execute("DELETE FROM subjects WHERE name = ?1 AND kind = 'client'", &id).map(drop)
    }
}

fn age(row: &Row<'_, '_>) -> Result<Option<DocumentAge>, StoreError> {
    let times = row.time_optional("fetched_at")?.zip(row.time_optional("fresh_until")?);
    Ok(times.map(|(fetched_at, fresh_until)| DocumentAge { fetched_at, fresh_until }))
}

/// Without any grant or yes ever. Grants are forgotten after days, and use is noted each minute.
const UNUSED: &str = "used_at IS NULL \
    AND NOT EXISTS (SELECT 1 FROM grants WHERE grants.client_id = client_documents.client_id) \
    AND NOT EXISTS (SELECT 1 FROM consents WHERE consents.client_id = client_documents.client_id)";

/// So many make room for one at the most: whoever brings it does not wait for more.
const AT_ONCE: i64 = 10;
