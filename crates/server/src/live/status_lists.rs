//! Status lists, as anybody may fetch them. draft-ietf-oauth-status-list.
//!
//! A token's place is drawn by chance, so that it tells nothing of when or for whom it was issued; its bit is what the
//! cut-offs say of it. A list is written anew when it is asked for and something was cut off, or it is older than its
//! `ttl`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chartgate_access::ids::Jti;
use chartgate_access::token::revocation::Traits;
use chartgate_protocol::jose::jws;
use chartgate_protocol::oauth::status_list::{
    STATUS_LIST_TYPE, StatusList, StatusListClaims, StatusReference, TokenStatus,
};
use chartgate_values::{Clock, Entropy, Timestamp};

use super::cut_offs::LiveCutOffs;
use super::keys::KeyRing;
use crate::entropy::SystemEntropy;
use crate::store::status_lists::{Draw, PLACES};
use crate::store::{Store, StoreError};

/// How long a list may be kept by whoever fetched it.
pub(crate) const TTL: Duration = Duration::from_secs(15);
/// How long it is worth anything.
const LIFE: Duration = Duration::from_secs(60);
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
    pub(crate) written: Mutex<HashMap<String, Written>>,
}

/// A list as it was written.
#[derive(Clone)]
pub(crate) struct Written {
    text: String,
    at: Timestamp,
    /// Where the feed of cut-offs stood.
    position: String,
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
    pub(crate) fn written(&self, id: &str) -> Result<Option<String>, StatusListError> {
        let (now, position) = (self.clock.now(), self.cut_offs.position());
        // Held while one is written: whoever else asks meanwhile gets that one.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = written.get(id)
            && last.position == position
            && now < last.at.plus(TTL)
        {
            return Ok(Some(last.text.clone()));
        }
        written.retain(|_, last| now < last.at.plus(LIFE));
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
        written.insert(id.to_owned(), Written { text: text.clone(), at: now, position });
        Ok(Some(text))
    }

    fn address(&self, id: &str) -> String {
        format!("{}/status-lists/{id}", self.issuer)
    }
}
