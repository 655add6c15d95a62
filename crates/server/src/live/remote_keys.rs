//! Keys that others publish under an address: a registered client's, a trusted issuer's. RFC 7517 section 5.
//!
//! They are asked for again once they are as old as our own say of themselves, and when a token names a key that is not
//! among them, but never more than once in half a minute (ATTACKS J06): whoever makes up names of keys makes us ask nobody.
//! If nobody answers, what was held last is believed for an hour; keys that were taken back by then are not. A client that
//! says for how long its keys may be kept (`Cache-Control`) is held to that: SMART App Launch 2.2, Asymmetric
//! Authentication. An issuer that the operator trusts is asked again by then, but not believed for less than that hour: a
//! pause of its server is none of all who signed in there.
//!
//! Who asks does so in a task of its own, one at a time. Whose key is not held waits for the answer; whose key is held and
//! believed waits [`A_MOMENT`] from when it was asked, in which a server that is well says what it took back, and goes on.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::jose::{EncryptionKey, KeyManagement, KeySet, KeySetError};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::watch;
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
/// For how long an answer is waited for that may say that a key is held no more.
const A_MOMENT: Duration = Duration::from_secs(1);
/// The longest key set of a server that the operator named.
const LONGEST: u64 = 512 << 10;
/// How long its body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The keys under one address.
pub(crate) struct RemoteKeys {
    from: From,
    held: RwLock<Held>,
    /// Since when somebody asks, while they do.
    asking: watch::Sender<Option<Instant>>,
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
        Self { from, held: RwLock::default(), asking: watch::Sender::default() }
    }

    /// Learns what another knows of the same keys, which nobody asks for again before it is time.
    pub(crate) fn follow(&self, old: &Self) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = old.look();
    }

    /// The keys as they are held, if they are still believed; else none at all.
    pub(crate) fn held(&self) -> Arc<KeySet> {
        self.believed().map(|held| held.keys).unwrap_or_default()
    }

    /// The first key that is for this, of a set that is asked for again like any other: who changes the key that others encrypt
    /// to is followed.
    pub(crate) async fn to_encrypt(self: &Arc<Self>, management: KeyManagement) -> Option<EncryptionKey> {
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

    /// Whether nothing better is to be had than what is held.
    fn is_enough(&self, suffices: impl Fn(&Held) -> bool) -> bool {
        let held = self.look();
        matches!(self.from, From::File) || is_within(held.had, self.fresh_for(&held)) && suffices(&held)
    }

    /// Whether it may be asked again by now.
    fn is_due(&self) -> bool {
        let held = self.look();
        !is_within(held.tried, self.fresh_for(&held).min(TRY_AFTER))
    }

    fn fresh_for(&self, held: &Held) -> Duration {
        let shortest = match self.from {
            From::Others { .. } => TRY_AGAIN,
            From::Operator { .. } | From::File => TRY_AFTER,
        };
        held.keep.unwrap_or(FRESH_FOR).clamp(shortest, FRESH_FOR)
    }

    /// The keys, asked for again if those that are held do not suffice for this `kid`.
    pub(crate) async fn for_kid(self: &Arc<Self>, kid: &str) -> Arc<KeySet> {
        self.ask_unless(|held| held.keys.has(kid)).await;
        self.held()
    }

    async fn ask_unless(self: &Arc<Self>, suffices: impl Fn(&Held) -> bool) {
        if self.is_enough(&suffices) {
            return;
        }
        self.begin_to_ask();
        let mut asking = self.asking.subscribe();
        let since = *asking.borrow_and_update();
        let answered = asking.wait_for(Option::is_none);
        match since {
            Some(since) if self.believed().as_ref().is_some_and(&suffices) => {
                let left = A_MOMENT.saturating_sub(since.elapsed());
                let _ = tokio::time::timeout(left, answered).await;
            }
            Some(_) | None => drop(answered.await),
        }
    }

    /// Asks, if nobody does and it is time. Whoever wanted it may hang up: it is asked to the end.
    fn begin_to_ask(self: &Arc<Self>) {
        let begins = self.asking.send_if_modified(|since| {
            let begins = since.is_none() && self.is_due();
            if begins {
                *since = Some(Instant::now());
            }
            begins
        });
        if begins {
            let asks = Asks(Arc::clone(self));
            tokio::spawn(async move { asks.0.ask().await });
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

/// The one that asks, until it has done so.
struct Asks(Arc<RemoteKeys>);

impl Drop for Asks {
    fn drop(&mut self) {
        self.0.asking.send_replace(None);
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
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    impl RemoteKeys {
        /// Whether asking again may bring what a token with this `kid` needs.
        fn should_ask(&self, kid: &str) -> bool {
            !self.is_enough(|held| held.keys.has(kid)) && self.is_due()
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
        assert!(Arc::new(believed).for_kid(&kid).await.get(&kid).is_ok());
        let (forgotten, kid) = keys(Some(3601), Some(31));
        assert!(Arc::new(forgotten).for_kid(&kid).await.get(&kid).is_err());
    }

    /// Keys of a server that answers nothing by itself.
    async fn hanging() -> (TcpListener, RemoteKeys) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/keys", listener.local_addr().unwrap());
        let uri: Uri = address.parse().unwrap();
        let client = HttpClient::new(&uri, None).unwrap();
        (listener, RemoteKeys::of_operators(client, uri))
    }

    #[tokio::test]
    async fn whose_key_is_held_does_not_wait_for_a_server_that_hangs_and_whose_is_not_does() {
        let (listener, keys) = hanging().await;
        let (keys, kid) = held(keys, Some(301), Some(301));
        let keys = Arc::new(keys);
        assert!(keys.for_kid(&kid).await.get(&kid).is_ok());
        let is_asked = || keys.asking.borrow().is_some();
        assert!(is_asked(), "and it is asked still");
        let (mut connection, _) = listener.accept().await.unwrap();
        let unknown = {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { keys.for_kid("made up").await })
        };
        for _ in 0..50 {
            assert!(keys.for_kid(&kid).await.get(&kid).is_ok());
        }
        assert!(is_asked() && !unknown.is_finished(), "nobody waited for the answer but who has to");
        let fresh = SigningKey::generate(Algorithm::ES256).unwrap();
        let set = KeySet::from_iter([fresh.verifying_key().clone()]);
        let body = serde_json::to_string(&set).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        connection.write_all(answer.as_bytes()).await.unwrap();
        assert!(unknown.await.unwrap().get(fresh.kid()).is_ok(), "by the answer that came");
        assert!(keys.for_kid(&kid).await.get(&kid).is_err(), "a key that was taken back");
    }

    #[tokio::test]
    async fn j06_who_hangs_up_does_not_make_it_asked_again() {
        let (listener, keys) = hanging().await;
        let keys = Arc::new(keys);
        for _ in 0..3 {
            let asks = keys.for_kid("made up");
            assert!(tokio::time::timeout(Duration::from_millis(50), asks).await.is_err());
        }
        drop(listener.accept().await.unwrap());
        let again = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(again.is_err(), "once for all of them");
    }
}
