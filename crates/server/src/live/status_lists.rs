//! Status lists, as anybody may fetch them. draft-ietf-oauth-status-list.
//!
//! A token's place is drawn by chance, so that it tells nothing of when or for whom it was issued; its bit is what the
//! cut-offs say of it. A list is written anew when it is asked for and something was cut off since, or it is older than its
//! `ttl`; but not again within a second, so that whoever has much cut off and asks all the time keeps nobody busy.

use std::sync::Arc;
use std::time::Duration;

use chartgate_access::ids::Jti;
use chartgate_access::token::revocation::Traits;
use chartgate_protocol::jose::jws;
use chartgate_protocol::oauth::status_list::{
    STATUS_LIST_TYPE, StatusList, StatusListClaims, StatusReference, TokenStatus,
};
use chartgate_values::{Clock, Entropy, Timestamp};
use moka::sync::Cache;
use tokio::sync::Mutex;

use super::cut_offs::LiveCutOffs;
use super::keys::KeyRing;
use crate::entropy::SystemEntropy;
use crate::store::status_lists::{Draw, PLACES};
use crate::store::{Store, StoreError};

/// How long a list may be kept by whoever fetched it.
pub(crate) const TTL: Duration = Duration::from_secs(15);
/// How long it is worth anything.
const LIFE: Duration = Duration::from_secs(60);
/// How long one that was just written is good enough, whatever was cut off since.
const JUST_WRITTEN: Duration = Duration::from_secs(1);
/// How many are remembered: as many as there may be.
const REMEMBERED: u64 = 256;
/// How many places are drawn for a token. Half of a list is free: one draw in 2^64 finds none.
const DRAWN: usize = 64;

/// All status lists.
pub(crate) struct StatusLists {
    pub(crate) issuer: String,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What was written last.
    pub(crate) written: Lists,
}

/// Lists as they were written last, each held by the one that writes it.
pub(crate) struct Lists(Cache<String, Arc<Mutex<Option<Written>>>>);

impl Default for Lists {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_idle(LIFE).build())
    }
}

/// A list as it was written.
#[derive(Debug)]
pub(crate) struct Written {
    text: Arc<str>,
    at: Timestamp,
    /// Where the feed of cut-offs stood.
    position: String,
    /// The key that signed it.
    kid: String,
}

/// Why there is no list, or no place in one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusListError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More tokens than lists have places for.
    #[error("no place in a status list is free")]
    Full,
    /// The library refuses.
    #[error("a status list cannot be signed")]
    Signing,
    /// The thread that wrote it is gone.
    #[error("a status list was not written")]
    Unfinished,
}

impl StatusLists {
    /// Gives a token a place, for its claim `status`.
    ///
    /// # Errors
    /// [`StatusListError`].
    pub(crate) async fn give_place(
        &self,
        token: Traits,
        expires_at: Timestamp,
    ) -> Result<TokenStatus, StatusListError> {
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let draw = Draw {
            // INVARIANT: a list has as many places as there are numbers of 16 bits.
            places: (0..DRAWN).map(|_| u32::from(u16::from_le_bytes(entropy.bytes()))).collect(),
            list: Jti::random(&mut SystemEntropy).into(),
        };
        let now = self.clock.now();
        let place = self.store.write(move |sql| sql.give_place(&draw, &token, expires_at, now)).await?;
        let place = place.ok_or(StatusListError::Full)?;
        let uri = self.address(&place.list);
        Ok(TokenStatus { status_list: Some(StatusReference { idx: place.idx, uri }) })
    }

    /// A list, signed; `None` if there is no such list.
    ///
    /// # Errors
    /// [`StatusListError`].
    pub(crate) async fn written(self: &Arc<Self>, id: &str) -> Result<Option<Arc<str>>, StatusListError> {
        let list = match self.written.0.get(id) {
            Some(list) => list,
            None if !self.store.read(|sql| sql.has_status_list(id))? => return Ok(None),
            None => self.written.0.get_with_by_ref(id, Arc::default),
        };
        // Held while one is written: whoever else asks meanwhile gets that one.
        let mut last = list.lock_owned().await;
        let (now, position) = (self.clock.now(), self.cut_offs.position());
        let kid = self.keys.current().signing.kid().to_owned();
        if let Some(last) = last.as_ref().filter(|last| last.is_good(now, &position, &kid)) {
            return Ok(Some(Arc::clone(&last.text)));
        }
        let (lists, id) = (Arc::clone(self), id.to_owned());
        let written = tokio::task::spawn_blocking(move || {
            // It is kept by this thread: whoever asked may have gone.
            *last = lists.write(&id, now)?.map(|text| Written { text, at: now, position, kid });
            Ok(last.as_ref().map(|written| Arc::clone(&written.text)))
        });
        written.await.map_err(|_| StatusListError::Unfinished)?
    }

    fn write(&self, id: &str, now: Timestamp) -> Result<Option<Arc<str>>, StatusListError> {
        let Some(tokens) = self.store.read(|sql| sql.status_list(id))? else { return Ok(None) };
        let invalid = tokens.iter().filter(|(_, token)| self.cut_offs.check(token).is_err());
        let claims = StatusListClaims {
            iss: self.issuer.clone(),
            sub: self.address(id),
            iat: now.into(),
            exp: now.plus(LIFE).into(),
            ttl: TTL.as_secs(),
            status_list: StatusList::of(PLACES, invalid.map(|(idx, _)| *idx)),
        };
        let text = jws::sign(&self.keys.current().signing, STATUS_LIST_TYPE, &claims)
            .map_err(|_| StatusListError::Signing)?;
        Ok(Some(text.into()))
    }

    fn address(&self, id: &str) -> String {
        format!("{}/status-lists/{id}", self.issuer)
    }
}

impl Written {
    /// Whether it says still what is so, or was written just now; by a key that is used still.
    fn is_good(&self, now: Timestamp, position: &str, kid: &str) -> bool {
        let age = now.since(self.at);
        let same = self.position == position && age < TTL;
        self.kid == kid && (same || age < JUST_WRITTEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_anew_when_something_was_cut_off_but_not_again_within_a_second() {
        let at = Timestamp::from_unix(1000);
        let written = Written { text: "".into(), at, position: "1".to_owned(), kid: "a".to_owned() };
        for (millis, position, kid, good) in [
            (0, "1", "a", true),
            (14_999, "1", "a", true),
            (15_000, "1", "a", false),
            (999, "2", "a", true),
            (1_000, "2", "a", false),
            (0, "1", "b", false),
        ] {
            let now = at.plus(Duration::from_millis(millis));
            assert_eq!(written.is_good(now, position, kid), good, "{millis} {position} {kid}");
        }
    }
}
