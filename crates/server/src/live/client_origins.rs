//! The web origins of registered applications that run in a browser: where the redirect URIs of public clients lead.
//! SMART App Launch 2.2, requirement 17.
//!
//! An origin opens no record, it only lets a page read the answer to a request that had to show a token. All are read anew
//! once registrations have changed, and each minute, for some are clients only so long: by one request, whoever asks, and on a
//! thread that may wait.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chartgate_access::client::AuthMethod;
use chartgate_values::Timestamp;
use tokio::sync::Mutex;

use crate::registration::in_force::ClientsInForce;
use crate::store::StoreError;

/// How long they are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Knows them.
pub(crate) struct ClientOrigins {
    clients: Arc<ClientsInForce>,
    known: RwLock<Option<Known>>,
    /// Held by the one that reads.
    reading: Mutex<()>,
}

#[derive(Clone)]
struct Known {
    /// Of which state of the registrations.
    generation: u64,
    read_at: Timestamp,
    origins: Arc<BTreeSet<String>>,
}

impl ClientOrigins {
    pub(crate) fn new(clients: Arc<ClientsInForce>) -> Self {
        Self { clients, known: RwLock::default(), reading: Mutex::default() }
    }

    /// Whether an application of this origin is registered. If the store cannot be read, none is.
    pub(crate) async fn has(&self, origin: &str) -> bool {
        if let Some(known) = self.current() {
            return known.contains(origin);
        }
        let _reading = self.reading.lock().await;
        if let Some(known) = self.current() {
            return known.contains(origin);
        }
        // Before the registrations themselves: what changes meanwhile is read again.
        let (generation, read_at) = (self.clients.store.clients_generation(), self.clients.clock.now());
        let clients = Arc::clone(&self.clients);
        let origins = match tokio::task::spawn_blocking(move || read(&clients)).await {
            Ok(Ok(origins)) => Arc::new(origins),
            Ok(Err(error)) => {
                tracing::warn!(%error, "origins of clients");
                return false;
            }
            Err(error) => {
                tracing::warn!(%error, "origins of clients");
                return false;
            }
        };
        let is_known = origins.contains(origin);
        let known = Known { generation, read_at, origins };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        is_known
    }

    /// What is known, if nothing changed since.
    fn current(&self) -> Option<Arc<BTreeSet<String>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let is_current = known.generation == self.clients.store.clients_generation()
            && self.clients.clock.now() < known.read_at.plus(REMEMBERED);
        is_current.then_some(known.origins)
    }
}

fn read(clients: &ClientsInForce) -> Result<BTreeSet<String>, StoreError> {
    let clients = clients.all()?;
    let public = clients.iter().filter(|client| client.token_endpoint_auth_method == AuthMethod::None);
    Ok(public.flat_map(|client| &client.redirect_uris).filter_map(|uri| uri.origin()).collect())
}
