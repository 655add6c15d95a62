//! The web origins of registered applications that run in a browser: where the redirect URIs of public clients lead.
//! SMART App Launch 2.2, requirement 17.
//!
//! An origin opens no record, it only lets a page read the answer to a request that had to show a token. All are read anew
//! once registrations have changed, by one request, whoever asks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chartgate_access::client::AuthMethod;

use crate::store::{Store, StoreError};

/// Knows them.
pub(crate) struct ClientOrigins {
    store: Arc<Store>,
    known: RwLock<Known>,
    /// Held by the one that reads.
    reading: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    /// Of which state of the registrations.
    generation: Option<u64>,
    origins: Arc<BTreeSet<String>>,
}

impl ClientOrigins {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, known: RwLock::default(), reading: Mutex::default() }
    }

    /// Whether an application of this origin is registered. If the store cannot be read, none is.
    pub(crate) fn has(&self, origin: &str) -> bool {
        if let Some(known) = self.current() {
            return known.contains(origin);
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.current() {
            return known.contains(origin);
        }
        // Before the registrations themselves: what changes meanwhile is read again.
        let generation = Some(self.store.clients_generation());
        let origins = match self.read() {
            Ok(origins) => Arc::new(origins),
            Err(error) => {
                tracing::warn!(%error, "origins of clients");
                return false;
            }
        };
        let is_known = origins.contains(origin);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { generation, origins };
        is_known
    }

    /// What is known, if nothing changed since.
    fn current(&self) -> Option<Arc<BTreeSet<String>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        (known.generation == Some(self.store.clients_generation())).then_some(known.origins)
    }

    fn read(&self) -> Result<BTreeSet<String>, StoreError> {
        let clients = self.store.read(|sql| sql.clients())?;
        let public = clients.iter().filter(|client| client.token_endpoint_auth_method == AuthMethod::None);
        Ok(public.flat_map(|client| &client.redirect_uris).filter_map(|uri| uri.origin()).collect())
    }
}
