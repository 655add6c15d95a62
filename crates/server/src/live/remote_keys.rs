//! Keys that others publish under an address that a client is registered with. RFC 7517 section 5.
//!
//! They are asked for again once they are as old as our own say of themselves, and when a token names a key that is not
//! among them, but never more than once in half a minute (ATTACKS J06): whoever makes up names of keys makes us ask nobody.
//! If nobody answers, what was held last is believed for an hour; keys that were taken back by then are not.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::jose::{KeySet, KeySetError};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::net::client::egress::{Egress, EgressError};

/// How old keys are when they are asked for again.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// How long keys are believed if they cannot be had again.
const BELIEVED_FOR: Duration = Duration::from_secs(3600);
/// The shortest time between two tries.
const TRY_AFTER: Duration = Duration::from_secs(30);
/// The keys under one address.
pub(crate) struct RemoteKeys {
    egress: Arc<Egress>,
    uri: Uri,
    held: RwLock<Held>,
    /// Held by the one that asks.
    asking: Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Arc<KeySet>,
    had: Option<Instant>,
    tried: Option<Instant>,
}

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error(transparent)]
    NoKeys(#[from] KeySetError),
}

impl RemoteKeys {
    /// Keys under an address that a client is registered with.
    pub(crate) fn of_others(egress: Arc<Egress>, uri: Uri) -> Self {
        Self { egress, uri, held: RwLock::default(), asking: Mutex::default() }
    }

    /// The keys as they are held, if they are still believed; else none at all.
    pub(crate) fn held(&self) -> Arc<KeySet> {
        let held = self.look();
        let believed = is_within(held.had, BELIEVED_FOR);
        if believed { held.keys } else { Arc::default() }
    }

    /// Whether asking again may bring what a token with this `kid` needs.
    pub(crate) fn should_ask(&self, kid: &str) -> bool {
        let held = self.look();
        let suffices = is_within(held.had, FRESH_FOR) && held.keys.get(kid).is_ok();
        !suffices && !is_within(held.tried, TRY_AFTER)
    }

    /// The keys, asked for again if those that are held do not suffice for this `kid`.
    pub(crate) async fn for_kid(&self, kid: &str) -> Arc<KeySet> {
        if self.should_ask(kid) {
            let _asking = self.asking.lock().await;
            // Somebody else may have asked while we waited.
            if self.should_ask(kid) {
                self.ask().await;
            }
        }
        self.held()
    }

    async fn ask(&self) {
        let answer = self.fetch().await;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        held.tried = Some(now);
        match answer {
            Ok(keys) => {
                held.keys = Arc::new(keys);
                held.had = Some(now);
            }
            Err(error) => {
                drop(held);
                let host = self.uri.host().unwrap_or_default();
                tracing::warn!(%error, host, "keys cannot be had");
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let answer = Box::pin(self.egress.send(request(&self.uri))).await?;
        read(answer.status, &answer.body)
    }

    fn look(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_within(since: Option<Instant>, time: Duration) -> bool {
    since.is_some_and(|since| since.elapsed() < time)
}

fn request(uri: &Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri.clone();
    let accepted = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(header::ACCEPT, accepted);
    request
}

fn read(status: StatusCode, body: &[u8]) -> Result<KeySet, FetchError> {
    match status {
        StatusCode::OK => Ok(KeySet::parse(body)?),
        other => Err(FetchError::Status(other)),
    }
}
