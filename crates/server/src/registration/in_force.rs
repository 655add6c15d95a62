//! Clients as the configuration of today leaves them. What is kept of one that registered itself says what it was once allowed;
//! what it may have, and whether it is a client at all, is asked here by whoever looks at it.

use std::sync::Arc;

use chartgate_access::client::{Client, Registrar};
use chartgate_access::ids::ClientId;
use chartgate_values::Clock;

use super::changes::only_adds;
use super::documents::LONGEST;
use crate::config::Registration;
use crate::store::client_documents::{Described, DocumentAge, Known};
use crate::store::{Store, StoreError};

/// Knows them.
pub(crate) struct ClientsInForce {
    pub(crate) registration: Registration,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl ClientsInForce {
    /// The client with this name as it is known at this moment, whoever registered it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn find(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        if id.is_document() {
            return Ok(self.believed(self.store.read(|sql| sql.described_client(id))?).map(Arc::new));
        }
        let found = self.store.registered(id)?;
        Ok(found.and_then(|found| match found.client.options.registrar {
            Registrar::Anybody => self.left_of(Client::clone(&found.client)).map(Arc::new),
            Registrar::Operator | Registrar::Invited => Some(Arc::clone(&found.client)),
        }))
    }

    /// The client as it was known last, however old that is, if the configuration leaves anything of it: for what takes from it
    /// and gives it nothing, the end of a session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn last_known(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        if !id.is_document() {
            return self.find(id);
        }
        Ok(match self.store.read(|sql| sql.described_client(id))? {
            Known::Client(known) => self.left_of(known.client).map(Arc::new),
            Known::Nothing | Known::Removed => None,
        })
    }

    /// All of them. For a thread that may wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn all(&self) -> Result<Vec<Client>, StoreError> {
        let known = self.store.read(|sql| sql.described_clients())?;
        Ok(known
            .into_iter()
            .filter_map(|known| match known.client.client_id.is_document() {
                true => self.believed(Known::Client(Box::new(known))),
                false => self.left_of(known.client),
            })
            .collect())
    }

    /// Clients of whom more was left before, or something else.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn changed_since(&self, before: &Self) -> Result<Vec<ClientId>, StoreError> {
        let known = self.store.read(|sql| sql.described_clients())?;
        let clients = known.into_iter().map(|known| known.client);
        Ok(clients
            .filter(|client| match (before.left_of(client.clone()), self.left_of(client.clone())) {
                (Some(was), Some(is)) => was != is && !only_adds(&was, &is),
                (Some(_), None) => true,
                (None, _) => false,
            })
            .map(|client| client.client_id)
            .collect())
    }

    /// What is held of who says itself what it is, as long as that may be believed.
    pub(super) fn believed(&self, known: Known) -> Option<Client> {
        let Known::Client(known) = known else { return None };
        let Described { client, document } = *known;
        let believed = |age: DocumentAge| self.clock.now() < age.fetched_at.plus(LONGEST);
        document.is_some_and(believed).then(|| self.left_of(client)).flatten()
    }

    /// What is left of a client by the configuration, which may have changed since it was registered. What an invitation
    /// says stands: it was somebody's word.
    pub(super) fn left_of(&self, client: Client) -> Option<Client> {
        match client.options.registrar {
            _ if client.client_id.is_document() => {
                let admitted = self.registration.admits(&client.client_id);
                admitted.then(|| self.registration.of_documents().still(client)).flatten()
            }
            Registrar::Operator | Registrar::Invited => Some(client),
            Registrar::Anybody => self.registration.of_anybody().still(client),
        }
    }
}
