//! What is cut off, as the feed has told.

use std::collections::HashMap;

use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_protocol::revocations::{CutClaim, CutOffEntry, Revocations};
use chartgate_values::Timestamp;

/// All cut-offs that matter, by claim and value.
#[derive(Debug, Default)]
pub(crate) struct CutOffs(HashMap<CutClaim, HashMap<String, CutOffEntry>>);

impl CutOffs {
    /// Takes in what the feed told, and forgets what can matter no more.
    pub(crate) fn apply(&mut self, news: Revocations, now: Timestamp) {
        if news.reset {
            self.0.clear();
        }
        for entry in news.cut_offs {
            let known = self.0.entry(entry.claim).or_default();
            match known.get_mut(&entry.value) {
                Some(old) => old.widen(&entry),
                None => drop(known.insert(entry.value.clone(), entry)),
            }
        }
        for known in self.0.values_mut() {
            known.retain(|_, entry| Timestamp::from_unix(entry.forget_at) >= now);
        }
    }

    /// Whether a token is cut off that is signed by this key.
    pub(crate) fn cut(&self, token: &AccessTokenClaims, kid: &str) -> bool {
        let issued_at = token.iat.timestamp();
        let is_cut = |claim, value: &str| {
            self.0.get(&claim).and_then(|known| known.get(value)).is_some_and(|entry| entry.cuts(issued_at))
        };
        is_cut(CutClaim::Iss, token.iss.as_str())
            || is_cut(CutClaim::Sub, token.sub.as_str())
            || is_cut(CutClaim::ClientId, token.client_id.as_str())
            || is_cut(CutClaim::Jti, token.jti.as_str())
            || is_cut(CutClaim::Kid, kid)
            || token.sid.as_ref().is_some_and(|sid| is_cut(CutClaim::Sid, sid.as_str()))
            || token.grant_id.as_ref().is_some_and(|id| is_cut(CutClaim::GrantId, id.as_str()))
    }
}

/// Cut-offs only ever move forward.
trait Widen {
    fn widen(&mut self, by: &Self);
}

impl Widen for CutOffEntry {
    fn widen(&mut self, by: &Self) {
        self.issued_until = match (self.issued_until, by.issued_until) {
            (Some(old), Some(new)) => Some(old.max(new)),
            (None, _) | (_, None) => None,
        };
        self.forget_at = self.forget_at.max(by.forget_at);
    }
}
