//! Proofs of possession, for the authorization server and for routes alike: judged, and each taken once. RFC 9449.
//!
//! What is remembered of proofs dies with the process, and so does the key of the nonces, of which every proof has to hold
//! one: none that an earlier run took is good now.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chartgate_access::ids::ClientId;
use chartgate_protocol::jose::claims::Confirmation;
use chartgate_protocol::jose::{Algorithm, Presentation, Rejection, Thumbprint};
use chartgate_protocol::oauth::dpop::{
    Credentials, Freshness, NonceAge, NonceKeyError, Nonces, ProofError, ProofVerifier, ProvenKey,
    ProvenRequest, TargetUri, UsedProofs,
};
use chartgate_values::{Entropy, Timestamp};
use http::HeaderValue;

use crate::entropy::SystemEntropy;
use crate::net::access_token::Scheme;
use crate::net::door::Door;

/// What proofs may be signed with.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::ES384, Algorithm::RS256];
/// The same, by name.
pub(crate) const ALGORITHM_NAMES: &[&str] = &["ES256", "EdDSA", "PS256", "ES384", "RS256"];
/// A minute for what is on its way, and some seconds for clocks that differ.
const FRESHNESS: Freshness = Freshness { past: Duration::from_secs(60), ahead: Duration::from_secs(10) };
/// A nonce is good for one to two of these; from the second on the next is given beside each answer.
const NONCE_SLOT: Duration = Duration::from_secs(120);

/// Proofs of this process.
pub(crate) struct Proofs {
    /// The bases of the URIs that proofs are for: at the main listener, and at the one that asks for certificates.
    bases: Bases,
    nonces: Nonces,
    used: Mutex<UsedProofs<Prover>>,
}

/// By what URLs clients know our listeners.
#[derive(Clone, Debug)]
pub(crate) struct Bases {
    pub(crate) main: String,
    pub(crate) mutual: Option<String>,
}

/// A request, as far as it bears on what it may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) door: &'a Door,
    /// As it was sent.
    pub(crate) method: &'a str,
    /// As it was sent, without a query.
    pub(crate) path: &'a str,
}

/// Why a request may not use the token that it shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotPossessed {
    /// What the token is bound to was not proved, or a key that it is not bound to was.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The proof is not good.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Proofs {
    /// # Errors
    /// [`NonceKeyError`], never for this length of a slot.
    pub(crate) fn new(bases: Bases) -> Result<Self, NonceKeyError> {
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let nonces = Nonces::new(&entropy.bytes(), NONCE_SLOT)?;
        Ok(Self { bases, nonces, used: Mutex::new(UsedProofs::default()) })
    }

    /// Whether a request may use its token, which is bound to `cnf`. A proof is looked at, not used up.
    ///
    /// # Errors
    /// [`NotPossessed`].
    pub(crate) fn check(
        &self,
        credentials: &Credentials<'_>,
        place: Place<'_>,
        cnf: Option<&Confirmation>,
        now: Timestamp,
    ) -> Result<Option<ProvenKey>, NotPossessed> {
        let shown = |presentation: Presentation<'_>| match place.door.certificate() {
            Some(certificate) => presentation.with_certificate(certificate.thumbprint()).check(cnf),
            None => presentation.check(cnf),
        };
        let Credentials::Dpop { token, proof } = credentials else {
            shown(Presentation::BEARER)?;
            return Ok(None);
        };
        // A token that is bound to no key needs no look at its proof.
        if cnf.is_none_or(|cnf| cnf.jkt.is_none()) {
            return Err(Rejection::Confirmation.into());
        }
        let key = self.verify(proof, place, Some(token), now)?;
        shown(Presentation::dpop(&key)?)?;
        Ok(Some(key))
    }

    /// Judges a proof, by all but whether it was used before.
    ///
    /// # Errors
    /// [`ProofError`].
    pub(crate) fn verify(
        &self,
        proof: &str,
        place: Place<'_>,
        access_token: Option<&str>,
        now: Timestamp,
    ) -> Result<ProvenKey, ProofError> {
        let base = match place.door {
            Door::Main => &self.bases.main,
            Door::Mutual(_) => self.bases.mutual.as_ref().ok_or(ProofError::Target)?,
        };
        let target: TargetUri = format!("{base}{}", place.path).parse().map_err(|_| ProofError::Target)?;
        let verifier =
            ProofVerifier { algorithms: &ALGORITHMS, freshness: FRESHNESS, nonces: Some(&self.nonces) };
        verifier.verify(proof, ProvenRequest { method: place.method, target: &target, access_token }, now)
    }

    /// Uses a proof up, on the account of whoever showed it.
    ///
    /// # Errors
    /// [`ProofError::Replayed`], or [`ProofError::TooMany`] if it cannot be remembered.
    pub(crate) fn use_up(&self, key: &ProvenKey, by: Prover, now: Timestamp) -> Result<(), ProofError> {
        let ends = FRESHNESS.ends(key.iat);
        self.used.lock().unwrap_or_else(PoisonError::into_inner).use_up(key, by, ends, now)
    }

    /// The nonce to be given beside an answer, where the next proof needs another than this one had.
    pub(crate) fn next_nonce(
        &self,
        outcome: Result<Option<&ProvenKey>, ProofError>,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let is_wanted = match outcome {
            Ok(key) => key.and_then(|key| key.nonce_age) == Some(NonceAge::Aging),
            Err(cause) => cause == ProofError::Nonce,
        };
        is_wanted.then(|| HeaderValue::from_str(&self.nonces.issue(now)).ok()).flatten()
    }
}

/// The challenges of both schemes, with the error in that of the scheme that was tried. RFC 6750 section 3, RFC 9449
/// section 7.1.
pub(crate) fn challenges(tried: Scheme, error: &[(&str, &str)], always: &[(&str, &str)]) -> Vec<HeaderValue> {
    let algorithms = ALGORITHM_NAMES.join(" ");
    let challenge = |scheme, name: &str, own: &[(&str, &str)]| {
        let error = if tried == scheme { error } else { &[] };
        let parameters = error.iter().chain(own).chain(always);
        let list: Vec<String> = parameters.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        HeaderValue::from_str(format!("{name} {}", list.join(", ")).trim_end()).ok()
    };
    let bearer = challenge(Scheme::Bearer, "Bearer", &[]);
    let dpop = challenge(Scheme::Dpop, "DPoP", &[("algs", &algorithms)]);
    bearer.into_iter().chain(dpop).collect()
}

/// Who showed a proof, and has it on their account.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Prover {
    /// A client that has shown who it is, or what was granted to it.
    Client(ClientId),
    /// Anybody who says that they are this public client.
    Unproven(ClientId),
    /// Whoever has a token that is bound to this key.
    Key(Thumbprint),
}

/// On whose account a proof beside a token of this key goes.
pub(crate) fn holder_of(key: &ProvenKey) -> Prover {
    let thumbprint: &Thumbprint = &key.thumbprint;
    Prover::Key(thumbprint.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_algorithms() {
        assert_eq!(ALGORITHMS.map(Algorithm::name).as_slice(), ALGORITHM_NAMES);
    }
}
