//! Keys that others publish under an address: a registered client's, a trusted issuer's. RFC 7517 section 5.
//!
//! They are asked for again once they are as old as our own say of themselves, and when a token names a key that is not
//! among them, but never more than once in half a minute (ATTACKS J06): whoever makes up names of keys makes us ask nobody.
//! If nobody answers, what was held last is believed for an hour; keys that were taken back by then are not. A client that
//! says for how long its keys may be kept (`Cache-Control`) is held to that: SMART App Launch 2.2, Asymmetric
//! Authentication. An issuer that the operator trusts is asked again by then, but not believed for less than that hour: a
//! pause of its server is none of all who signed in there.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::jose::{EncryptionKey, KeyManagement, KeySet, KeySetError};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::net::body::{self, BodyError};
use crate::net::client::egress::{Egress, EgressError};
use crate::net::client::{CallError, HttpClient};

/// How old keys are when they are asked for again.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// How long keys are believed if they cannot be had again.
const BELIEVED_FOR: Duration = Duration::from_secs(3600);
/// The shortest time between two tries.
const TRY_AFTER: Duration = Duration::from_secs(30);
/// The same for keys that may not be kept as long.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The longest key set of a server that the operator named.
const LONGEST: u64 = 512 << 10;
/// How long its body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The keys under one address.
pub(crate) struct RemoteKeys {
    from: From,
    held: RwLock<Held>,
    /// Held by the one that asks.
    asking: Mutex<()>,
}

/// Who named the address.
enum From {
    /// Somebody else.
    Others { egress: Arc<Egress>, uri: Uri },
    /// The operator.
    Operator { client: HttpClient, uri: Uri },
    /// Nobody: they are in a file.
    File,
}

#[derive(Clone, Default)]
struct Held {
    keys: Arc<KeySet>,
    /// The set as it was published, for what is encrypted to one of its keys.
    published: Bytes,
    /// For how long they may be kept, if that was said.
    keep: Option<Duration>,
    had: Option<Instant>,
    tried: Option<Instant>,
}

/// What was published, and for how long it may be kept, if that was said.
struct Fetched {
    keys: KeySet,
    published: Bytes,
    keep: Option<Duration>,
}

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error(transparent)]
    NoKeys(#[from] KeySetError),
}

impl RemoteKeys {
    /// Keys under an address that a client is registered with.
    pub(crate) fn of_others(egress: Arc<Egress>, uri: Uri) -> Self {
        Self::from(From::Others { egress, uri })
    }

    /// Keys under an address that the operator named.
    pub(crate) fn of_operators(client: HttpClient, uri: Uri) -> Self {
        Self::from(From::Operator { client, uri })
    }

    /// Keys that never change.
    pub(crate) fn fixed(keys: KeySet) -> Self {
        let held = Held { keys: Arc::new(keys), ..Held::default() };
        Self { held: RwLock::new(held), ..Self::from(From::File) }
    }

    fn from(from: From) -> Self {
        Self { from, held: RwLock::default(), asking: Mutex::default() }
    }

    /// The keys as they are held, if they are still believed; else none at all.
    pub(crate) fn held(&self) -> Arc<KeySet> {
        self.believed().map(|held| held.keys).unwrap_or_default()
    }

    /// The first key that is for this, of a set that is asked for again like any other: who changes the key that others encrypt
    /// to is followed.
    pub(crate) async fn to_encrypt(&self, management: KeyManagement) -> Option<EncryptionKey> {
        let first = |held: &Held| EncryptionKey::first_of(&held.published, management).ok().flatten();
        self.ask_unless(|held| first(held).is_some()).await;
        self.believed().as_ref().and_then(first)
    }

    fn believed(&self) -> Option<Held> {
        let held = self.look();
        let believed = match self.from {
            From::File => true,
            From::Others { .. } => {
                is_within(held.had, held.keep.unwrap_or(BELIEVED_FOR).clamp(TRY_AGAIN, BELIEVED_FOR))
            }
            From::Operator { .. } => is_within(held.had, BELIEVED_FOR),
        };
        believed.then_some(held)
    }

    /// Whether asking again may bring what is missing, or what has changed.
    fn is_short(&self, suffices: impl Fn(&Held) -> bool) -> bool {
        match self.from {
            From::File => false,
            From::Others { .. } | From::Operator { .. } => {
                let held = self.look();
                let shortest = match self.from {
                    From::Others { .. } => TRY_AGAIN,
                    From::Operator { .. } | From::File => TRY_AFTER,
                };
                let fresh_for = held.keep.unwrap_or(FRESH_FOR).clamp(shortest, FRESH_FOR);
                let suffices = is_within(held.had, fresh_for) && suffices(&held);
                !suffices && !is_within(held.tried, fresh_for.min(TRY_AFTER))
            }
        }
    }

    /// The keys, asked for again if those that are held do not suffice for this `kid`.
    pub(crate) async fn for_kid(&self, kid: &str) -> Arc<KeySet> {
        self.ask_unless(|held| held.keys.get(kid).is_ok()).await;
        self.held()
    }

    async fn ask_unless(&self, suffices: impl Fn(&Held) -> bool) {
        if self.is_short(&suffices) {
            let _asking = self.asking.lock().await;
            // Somebody else may have asked while we waited.
            if self.is_short(&suffices) {
                self.ask().await;
            }
        }
    }

    async fn ask(&self) {
        let answer = match &self.from {
            From::Others { egress, uri } => Box::pin(ask_others(egress, uri)).await,
            From::Operator { client, uri } => Box::pin(ask_operators(client, uri)).await,
            From::File => return,
        };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        held.tried = Some(now);
        match answer {
            Ok(Fetched { keys, published, keep }) => {
                held.keys = Arc::new(keys);
                held.published = published;
                held.keep = keep;
                held.had = Some(now);
            }
            Err(error) => {
                drop(held);
                let host = self.from.host();
                tracing::warn!(%error, host, "keys cannot be had");
            }
        }
    }

    fn look(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From {
    fn host(&self) -> &str {
        match self {
            Self::Others { uri, .. } | Self::Operator { uri, .. } => uri.host().unwrap_or_default(),
            Self::File => "",
        }
    }
}

fn is_within(since: Option<Instant>, time: Duration) -> bool {
    since.is_some_and(|since| since.elapsed() < time)
}

async fn ask_others(egress: &Egress, uri: &Uri) -> Result<Fetched, FetchError> {
    let answer = egress.send(request(uri)).await?;
    read(answer.status, &answer.headers, answer.body)
}

async fn ask_operators(client: &HttpClient, uri: &Uri) -> Result<Fetched, FetchError> {
    let (head, content) = client.call(request(uri)).await?.into_parts();
    let body = body::take(content, LONGEST, BODY_TIME).await?;
    read(head.status, &head.headers, body)
}

fn request(uri: &Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri.clone();
    let accepted = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(header::ACCEPT, accepted);
    request
}

fn read(status: StatusCode, headers: &HeaderMap, published: Bytes) -> Result<Fetched, FetchError> {
    match status {
        StatusCode::OK => {
            Ok(Fetched { keys: KeySet::parse(&published)?, published, keep: kept_for(headers) })
        }
        other => Err(FetchError::Status(other)),
    }
}

/// For how long an answer may be kept, if it says so. RFC 9111 section 5.2.2.
pub(crate) fn kept_for(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let said = lines.flat_map(|line| line.split(',')).filter_map(|word| {
        let word = word.trim().to_ascii_lowercase();
        match word.split_once('=') {
            Some(("max-age", seconds)) => Some(Duration::from_secs(seconds.trim_matches('"').parse().ok()?)),
            None if word == "no-store" || word == "no-cache" => Some(Duration::ZERO),
            Some(_) | None => None,
        }
    });
    said.min()
}

#[cfg(test)]
mod tests {
    use chartgate_protocol::jose::{Algorithm, SigningKey};

    use super::*;

    impl RemoteKeys {
        /// Whether asking again may bring what a token with this `kid` needs.
        fn should_ask(&self, kid: &str) -> bool {
            self.is_short(|held| held.keys.get(kid).is_ok())
        }
    }

    /// Keys of a client that were had and tried for so many seconds ago.
    fn keys(had: Option<u64>, tried: Option<u64>) -> (RemoteKeys, String) {
        let egress = Arc::new(Egress::new(&crate::config::Egress::default()).unwrap());
        held(RemoteKeys::of_others(egress, Uri::from_static("https://client.example/keys")), had, tried)
    }

    fn held(keys: RemoteKeys, had: Option<u64>, tried: Option<u64>) -> (RemoteKeys, String) {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let ago = |seconds: u64| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let held = Held {
            keys: Arc::new(KeySet::from_iter([key.verifying_key().clone()])),
            published: Bytes::new(),
            keep: None,
            had: had.map(ago),
            tried: tried.map(ago),
        };
        (RemoteKeys { held: RwLock::new(held), ..keys }, key.kid().to_owned())
    }

    #[test]
    fn keys_are_asked_for_when_they_are_old_or_one_is_missing_and_not_all_the_time() {
        for (had, tried, known, unknown) in [
            (None, None, true, true),
            (Some(299), Some(299), false, true),
            (Some(301), Some(301), true, true),
            (Some(29), Some(29), false, false),
            (Some(301), Some(29), false, false),
            (Some(301), Some(31), true, true),
        ] {
            let (keys, kid) = keys(had, tried);
            assert_eq!(keys.should_ask(&kid), known, "{had:?} {tried:?}");
            assert_eq!(keys.should_ask("made up"), unknown, "{had:?} {tried:?}");
        }
    }

    #[test]
    fn smart_341_keys_are_kept_for_as_long_as_their_owner_says() {
        let said = |line: &str| {
            kept_for(&HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_str(line).unwrap())]))
        };
        assert_eq!(said("public, max-age=60"), Some(Duration::from_secs(60)));
        assert_eq!(said("Max-Age=\"60\", no-store"), Some(Duration::ZERO));
        assert_eq!((said("public"), said("max-age=soon")), (None, None));
        let kept = |keep, had| {
            let (keys, kid) = keys(Some(had), Some(had));
            keys.held.write().unwrap().keep = Some(Duration::from_secs(keep));
            (keys.should_ask(&kid), keys.held().get(&kid).is_ok())
        };
        assert_eq!(kept(60, 59), (false, true));
        assert_eq!(kept(60, 61), (true, false), "nor believed any longer");
        assert_eq!(kept(3600, 301), (true, true), "longer than we keep any");
        assert_eq!(kept(2_592_000, 3601), (true, false), "however long they say");
        assert_eq!(kept(0, 2), (true, false));
    }

    #[test]
    fn a_trusted_issuer_is_asked_by_its_own_time_and_believed_for_an_hour() {
        let client = || HttpClient::new(&Uri::from_static("http://127.0.0.1:1/keys"), None).unwrap();
        let operators = || RemoteKeys::of_operators(client(), Uri::from_static("http://127.0.0.1:1/keys"));
        for (had, should_ask, believed) in [(29, false, true), (31, true, true), (3601, true, false)] {
            let (keys, kid) = held(operators(), Some(had), Some(had));
            keys.held.write().unwrap().keep = Some(Duration::ZERO);
            assert_eq!(
                (keys.should_ask(&kid), keys.held().get(&kid).is_ok()),
                (should_ask, believed),
                "{had}"
            );
        }
    }

    #[tokio::test]
    async fn what_nobody_confirms_is_believed_for_an_hour() {
        let (believed, kid) = keys(Some(3599), Some(31));
        assert!(believed.for_kid(&kid).await.get(&kid).is_ok());
        let (forgotten, kid) = keys(Some(3601), Some(31));
        assert!(forgotten.for_kid(&kid).await.get(&kid).is_err());
    }
}
