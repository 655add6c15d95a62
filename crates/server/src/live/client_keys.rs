//! The public keys of registered clients: as they registered them, or under the address that they registered.
//! RFC 7591 section 2 (`jwks`, `jwks_uri`).

use std::sync::Arc;
use std::time::Duration;

use chartgate_access::client::Client;
use chartgate_protocol::jose::{EncryptionKey, KeyManagement, KeySet};
use moka::sync::Cache;

use super::remote_keys::RemoteKeys;
use crate::net::client::egress::Egress;

/// How many addresses are remembered with what is under them, which may be 64 kB each.
const REMEMBERED: u64 = 1_000;
/// For how long one is that nobody asks for: as long as keys are believed.
const IDLE: Duration = Duration::from_secs(3_600);

/// Finds clients' keys.
pub(crate) struct ClientKeys {
    egress: Arc<Egress>,
    by_uri: Cache<String, Arc<RemoteKeys>>,
}

/// A client has no keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("client has no keys")]
pub(crate) struct NoKeys;

impl ClientKeys {
    pub(crate) fn new(egress: Arc<Egress>) -> Self {
        Self { egress, by_uri: Cache::builder().max_capacity(REMEMBERED).time_to_idle(IDLE).build() }
    }

    /// Forgets what was published: by whom that may be vouched for has changed.
    pub(crate) fn forget(&self) {
        self.by_uri.invalidate_all();
    }

    /// The keys of a client, of which one should be called `kid`.
    ///
    /// # Errors
    /// [`NoKeys`] if it registered none.
    pub(crate) async fn of(&self, client: &Client, kid: &str) -> Result<Arc<KeySet>, NoKeys> {
        if let Some(jwks) = &client.jwks {
            return KeySet::parse(jwks.to_string().as_bytes()).map(Arc::new).map_err(|_| NoKeys);
        }
        Ok(self.published(client)?.for_kid(kid).await)
    }

    /// The key that something for a client is encrypted to.
    ///
    /// # Errors
    /// [`NoKeys`] if it has none for this.
    pub(crate) async fn to_encrypt(
        &self,
        client: &Client,
        management: KeyManagement,
    ) -> Result<EncryptionKey, NoKeys> {
        let found = match &client.jwks {
            Some(jwks) => EncryptionKey::first_of(jwks.to_string().as_bytes(), management).ok().flatten(),
            None => self.published(client)?.to_encrypt(management).await,
        };
        found.ok_or(NoKeys)
    }

    /// What is under the client's address.
    fn published(&self, client: &Client) -> Result<Arc<RemoteKeys>, NoKeys> {
        let uri = client.options.jwks_uri.as_ref().ok_or(NoKeys)?.as_str();
        if let Some(known) = self.by_uri.get(uri) {
            return Ok(known);
        }
        let parsed = uri.parse().map_err(|_| NoKeys)?;
        let fresh = Arc::new(RemoteKeys::of_others(Arc::clone(&self.egress), parsed));
        Ok(self.by_uri.get_with_by_ref(uri, || fresh))
    }
}
