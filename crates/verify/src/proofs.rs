//! Proofs that a caller holds the key that its token is bound to. RFC 9449.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chartgate_protocol::jose::{Algorithm, Thumbprint};
use chartgate_protocol::oauth::dpop::{
    Freshness, ProofVerifier, ProvenKey, ProvenRequest, TargetUri, UsedProofs,
};
use chartgate_values::Timestamp;
use http::{Method, Uri};

use crate::verifier::{Refused, StartError};

/// What proofs may be signed with.
pub(crate) const ALGORITHMS: [Algorithm; 7] = Algorithm::ALL;
/// How old a proof may be, and how far ahead.
const FRESHNESS: Freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::from_secs(5) };

/// What proofs are held against, and which were used.
pub(crate) struct Proofs {
    base: String,
    /// Each on the account of its key.
    used: Mutex<UsedProofs<Thumbprint>>,
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
        let verifier = ProofVerifier { algorithms: &ALGORITHMS, freshness: FRESHNESS, nonces: None };
        Ok(verifier.verify(proof, request, now)?)
    }

    /// Takes a proof for this once.
    pub(crate) fn use_up(&self, proven: &ProvenKey, now: Timestamp) -> Result<(), Refused> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(used.use_up(proven, proven.thumbprint.clone(), FRESHNESS.ends(proven.iat), now)?)
    }
}
