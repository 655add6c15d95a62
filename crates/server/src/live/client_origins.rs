//! The web origins of registered applications that run in a browser: where the redirect URIs of public clients lead.
//! SMART App Launch 2.2, requirement 17.
//!
//! An origin opens no record, it only lets a page read the answer to a request that had to show a token; so what is known
//! may be a few seconds old.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chartgate_access::client::AuthMethod;
use chartgate_values::{Clock, Timestamp};

use crate::store::{Store, StoreError};

/// How long a registration is believed, so that a removed one is forgotten.
const BELIEVED: Duration = Duration::from_secs(10);
/// How often strangers make us look for new ones.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// Knows them.
pub(crate) struct ClientOrigins {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
}

#[derive(Clone, Default)]
struct Known {
    since: Option<Timestamp>,
    origins: Arc<BTreeSet<String>>,
}

impl ClientOrigins {
    pub(crate) fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: RwLock::default() }
    }

    /// Whether an application of this origin is registered. If the store cannot be read, none is.
    pub(crate) fn has(&self, origin: &str) -> bool {
        let now = self.clock.now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_known = known.origins.contains(origin);
        let good_for = if is_known { BELIEVED } else { LOOKED_AGAIN };
        if known.since.is_some_and(|since| now < since.plus(good_for)) {
            return is_known;
        }
        let origins = match self.read() {
            Ok(origins) => Arc::new(origins),
            Err(error) => {
                tracing::warn!(%error, "origins of clients");
                return false;
            }
        };
        let is_known = origins.contains(origin);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { since: Some(now), origins };
        is_known
    }

    fn read(&self) -> Result<BTreeSet<String>, StoreError> {
        let clients = self.store.read(|sql| sql.clients())?;
        let public = clients.iter().filter(|client| client.token_endpoint_auth_method == AuthMethod::None);
        Ok(public.flat_map(|client| &client.redirect_uris).filter_map(|uri| uri.origin()).collect())
    }
}
