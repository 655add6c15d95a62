//! Proofs that a caller holds the key that its token is bound to. RFC 9449.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chartgate_protocol::jose::Algorithm;
use chartgate_protocol::oauth::dpop::{Freshness, ProofVerifier, ProvenKey, ProvenRequest, TargetUri};
use chartgate_values::Timestamp;
use http::{Method, Uri};

use crate::verifier::{Refused, StartError};

/// How old a proof may be, and how far ahead.
const FRESHNESS: Freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::from_secs(5) };
/// How many proofs are remembered: beyond that none is taken until some are over.
const REMEMBERED: usize = 100_000;

/// What proofs are held against, and which were used.
pub(crate) struct Proofs {
    base: String,
    /// When each may be forgotten, by key and name.
    used: Mutex<HashMap<(String, String), Timestamp>>,
}

impl Proofs {
    pub(crate) fn at(base: &str) -> Result<Self, StartError> {
        let base = base.trim_end_matches('/');
        let is_good = base.starts_with("https://") && base.parse::<TargetUri>().is_ok();
        if !is_good {
            return Err(StartError::BaseUrl(base.to_owned()));
        }
        Ok(Self { base: base.to_owned(), used: Mutex::default() })
    }

    pub(crate) fn verify(
        &self,
        proof: &str,
        token: &str,
        method: &Method,
        uri: &Uri,
        now: Timestamp,
    ) -> Result<ProvenKey, Refused> {
        let target = format!("{}{}", self.base, uri.path()).parse().map_err(|_| Refused::Malformed)?;
        let request = ProvenRequest { method: method.as_str(), target: &target, access_token: Some(token) };
        let verifier = ProofVerifier { algorithms: &Algorithm::ALL, freshness: FRESHNESS, nonces: None };
        Ok(verifier.verify(proof, request, now)?)
    }

    /// Takes a proof for this once.
    pub(crate) fn use_up(&self, proven: &ProvenKey, now: Timestamp) -> Result<(), Refused> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (proven.thumbprint.as_str().to_owned(), proven.jti.as_str().to_owned());
        if used.get(&name).is_some_and(|ends| *ends > now) {
            return Err(Refused::Replayed);
        }
        if used.len() >= REMEMBERED {
            used.retain(|_, ends| *ends > now);
        }
        if used.len() >= REMEMBERED {
            return Err(Refused::Replayed);
        }
        used.insert(name, FRESHNESS.ends(proven.iat));
        Ok(())
    }
}
