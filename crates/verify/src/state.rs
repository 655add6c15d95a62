//! What is known of the issuer, and since when.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chartgate_protocol::jose::KeySet;
use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_protocol::revocations::Revocations;
use chartgate_values::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::cut_offs::CutOffs;

/// How long keys are good: their `max-age`, twice, for an issuer that cannot be reached for a while.
const KEY_LIMIT: Duration = Duration::from_secs(600);

/// What is known of the issuer.
pub(crate) struct State {
    keys: RwLock<(Arc<KeySet>, Instant)>,
    cut_offs: RwLock<(CutOffs, Instant)>,
    /// When keys were asked for last.
    asked_for_keys: RwLock<Instant>,
    feed_limit: Duration,
    /// Counts fetches of the keys.
    pub(crate) fetched: watch::Sender<u64>,
    /// Asks for one.
    pub(crate) wanted: Notify,
}

/// What is known is too old to let anybody in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooOld;

impl State {
    pub(crate) fn new(keys: KeySet, feed: Revocations, asked_at: Instant, feed_limit: Duration) -> Self {
        let mut cut_offs = CutOffs::default();
        cut_offs.apply(feed, Timestamp::from_unix(0));
        Self {
            keys: RwLock::new((Arc::new(keys), asked_at)),
            cut_offs: RwLock::new((cut_offs, asked_at)),
            asked_for_keys: RwLock::new(asked_at),
            feed_limit,
            fetched: watch::Sender::new(0),
            wanted: Notify::new(),
        }
    }

    /// The keys, if they are young enough.
    pub(crate) fn keys(&self) -> Result<Arc<KeySet>, TooOld> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.1.elapsed() > KEY_LIMIT { Err(TooOld) } else { Ok(Arc::clone(&keys.0)) }
    }

    /// Notes that the keys are asked for.
    pub(crate) fn ask_for_keys(&self) {
        *self.asked_for_keys.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long it is that the keys were asked for.
    pub(crate) fn since_asked_for_keys(&self) -> Duration {
        self.asked_for_keys.read().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(crate) fn put_keys(&self, keys: KeySet, asked_at: Instant) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(keys), asked_at);
        self.fetched.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether a token is cut off, if that can be told.
    pub(crate) fn is_cut_off(&self, token: &AccessTokenClaims, kid: &str) -> Result<bool, TooOld> {
        let cut_offs = self.cut_offs.read().unwrap_or_else(PoisonError::into_inner);
        if cut_offs.1.elapsed() > self.feed_limit {
            return Err(TooOld);
        }
        Ok(cut_offs.0.cut(token, kid))
    }

    /// Takes in an answer to a question that was asked then: what was cut off after that may not be in it.
    pub(crate) fn put_news(&self, news: Revocations, asked_at: Instant, now: Timestamp) {
        let mut cut_offs = self.cut_offs.write().unwrap_or_else(PoisonError::into_inner);
        cut_offs.0.apply(news, now);
        cut_offs.1 = asked_at;
    }
}
