//! Proofs that somebody holds the key that a token is bound to. RFC 9449.
//!
//! That a proof was not seen before is for the caller to remember, by [`ProvenKey::thumbprint`] and
//! [`ProvenKey::jti`], for as long as [`Freshness`] would take it again.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::error::ErrorCode;
use crate::jose::claims::{Identifier, NumericDate, optional, required};
use crate::jose::jws::ExpectedType;
use crate::jose::{Algorithm, KeyProof, Rejection, Thumbprint};
use crate::json::Object;

mod credentials;
mod nonce;
mod target_uri;
mod used;

pub use credentials::{Credentials, CredentialsError};
pub use nonce::{NonceAge, NonceKeyError, Nonces, StaleNonce};
pub use target_uri::{NotATarget, TargetUri};
pub use used::UsedProofs;

/// What a proof has to be in order to be accepted, whatever the request.
#[derive(Clone, Copy, Debug)]
pub struct ProofVerifier<'a> {
    /// The algorithms that are allowed.
    pub algorithms: &'a [Algorithm],
    /// How old or early a proof may be.
    pub freshness: Freshness,
    /// Where every proof has to hold a nonce of ours: those that it may hold.
    pub nonces: Option<&'a Nonces>,
}

/// How far `iat` may lie from now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freshness {
    /// How old a proof may be.
    pub past: Duration,
    /// By how much the client's clock may be ahead of ours.
    pub ahead: Duration,
}

/// The request that a proof came with.
#[derive(Clone, Copy, Debug)]
pub struct ProvenRequest<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// Where it was sent to, by the name under which clients know us.
    pub target: &'a TargetUri,
    /// The access token that was sent beside it, as it was sent; none at the token endpoint and its like.
    pub access_token: Option<&'a str>,
}

/// The sender of this request has the private half of this key.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvenKey {
    /// The name of the key, as `jkt` has it.
    pub thumbprint: Thumbprint,
    /// What it signed the proof with.
    pub algorithm: Algorithm,
    /// The name of the proof, good for one use with this key.
    pub jti: Identifier,
    /// When the proof was made, as its maker says.
    pub iat: NumericDate,
    /// The digest of the access token that it was made for, where it was sent beside one.
    pub ath: Option<Thumbprint>,
    /// How old its nonce is, where one has to be held: beside an aging one the next is given.
    pub nonce_age: Option<NonceAge>,
}

/// Why a request proves no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// RFC 9449 section 4.3, check 1.
    #[error("more than one proof")]
    Several,
    /// RFC 9449 section 7.1: the scheme `DPoP` comes with a proof, and only it.
    #[error("no proof where one belongs")]
    Missing,
    /// RFC 9449 section 4.3, checks 2 to 7: what holds for every signed token.
    #[error(transparent)]
    Token(#[from] Rejection),
    /// RFC 9449 section 4.2, a limit of ours: what is remembered of a proof has to have an end.
    #[error("`jti` has more than {MAX_JTI_BYTES} bytes")]
    LongName,
    /// RFC 9449 section 4.3, check 8.
    #[error("proof is for another method")]
    Method,
    /// RFC 9449 section 4.3, check 9.
    #[error("proof is for another URI")]
    Target,
    /// RFC 9449 section 4.3, check 10.
    #[error("proof has no nonce of ours, or an old one")]
    Nonce,
    /// RFC 9449 section 4.3, check 11.
    #[error("proof is too old")]
    TooOld,
    /// RFC 9449 section 4.3, check 11.
    #[error("proof lies ahead")]
    TooEarly,
    /// RFC 9449 section 4.3, check 12.
    #[error("proof is for another access token, or for none")]
    AccessToken,
    /// RFC 9449 section 10: the code is for another key.
    #[error("proof is by another key than was announced")]
    OtherKey,
    /// RFC 9449 section 11.1.
    #[error("proof was used before")]
    Replayed,
    /// A limit of ours: what cannot be remembered is not accepted.
    #[error("more proofs than are remembered")]
    TooMany,
}

impl ProofError {
    /// The code for the client: RFC 9449 sections 5, 7.1 and 8.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Nonce => ErrorCode::UseDpopNonce,
            Self::TooMany => ErrorCode::TemporarilyUnavailable,
            Self::Several
            | Self::Missing
            | Self::Token(_)
            | Self::LongName
            | Self::Method
            | Self::Target
            | Self::TooOld
            | Self::TooEarly
            | Self::AccessToken
            | Self::OtherKey
            | Self::Replayed => ErrorCode::InvalidDpopProof,
        }
    }

    /// A stable code for logs, records and tests.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Several => "dpop-several",
            Self::Missing => "dpop-missing",
            Self::Token(cause) => cause.reason(),
            Self::LongName => "dpop-jti",
            Self::Method => "dpop-htm",
            Self::Target => "dpop-htu",
            Self::Nonce => "dpop-nonce",
            Self::TooOld => "dpop-too-old",
            Self::TooEarly => "dpop-too-early",
            Self::AccessToken => "dpop-ath",
            Self::OtherKey => "dpop-jkt",
            Self::Replayed => "dpop-replayed",
            Self::TooMany => "dpop-too-many",
        }
    }
}

impl ProofVerifier<'_> {
    /// Verifies the proof of a request. Its key is good for nothing but this request.
    ///
    /// # Errors
    /// [`ProofError`], by the first cause. A missing nonce is named only where all but the time is right, so that it
    /// is asked for once.
    pub fn verify(
        &self,
        proof: &str,
        request: ProvenRequest<'_>,
        now: Timestamp,
    ) -> Result<ProvenKey, ProofError> {
        let expected = ExpectedType::Exactly("dpop+jwt");
        let proof = KeyProof::verify(proof, self.algorithms, expected, MAX_PROOF_BYTES)?;
        let key = (proof.thumbprint(), proof.verified().header().algorithm);
        self.accept(key, &proof.verified().claims()?, request, now)
    }

    /// Judges the claims of a proof whose signature was verified.
    pub(crate) fn accept(
        &self,
        (thumbprint, algorithm): (&Thumbprint, Algorithm),
        claims: &Object<'_>,
        request: ProvenRequest<'_>,
        now: Timestamp,
    ) -> Result<ProvenKey, ProofError> {
        let jti: Identifier = required(claims, "jti")?;
        if jti.as_str().len() > MAX_JTI_BYTES {
            return Err(ProofError::LongName);
        }
        let ath = request.check(claims)?;
        let nonce: Option<String> = optional(claims, "nonce")?;
        let accept = |nonces: &Nonces| nonces.accept(nonce.as_deref().unwrap_or_default(), now);
        let nonce_age = self.nonces.map(accept).transpose().map_err(|StaleNonce| ProofError::Nonce)?;
        let iat: NumericDate = required(claims, "iat")?;
        self.freshness.check(iat, now)?;
        Ok(ProvenKey { thumbprint: thumbprint.clone(), algorithm, jti, iat, ath, nonce_age })
    }
}

impl ProvenRequest<'_> {
    /// Whether the proof is for this request, and for which access token.
    fn check(self, claims: &Object<'_>) -> Result<Option<Thumbprint>, ProofError> {
        // Methods are case-sensitive: RFC 9110 section 9.1.
        if required::<String>(claims, "htm")? != self.method {
            return Err(ProofError::Method);
        }
        let target = required::<String>(claims, "htu")?.parse();
        if target.as_ref() != Ok(self.target) {
            return Err(ProofError::Target);
        }
        let Some(token) = self.access_token else { return Ok(None) };
        let expected = Thumbprint::of_bytes(token.as_bytes());
        let ath: Option<String> = optional(claims, "ath")?;
        if ath.as_deref() == Some(expected.as_str()) {
            Ok(Some(expected))
        } else {
            Err(ProofError::AccessToken)
        }
    }
}

impl Freshness {
    fn check(self, iat: NumericDate, now: Timestamp) -> Result<(), ProofError> {
        if iat.is_after(now.plus(self.ahead)) {
            return Err(ProofError::TooEarly);
        }
        if !iat.is_after(now.minus(self.past)) {
            return Err(ProofError::TooOld);
        }
        Ok(())
    }

    /// The first moment at which a proof of this time would be refused for its age: until then its name is
    /// remembered.
    #[must_use]
    pub fn ends(self, iat: NumericDate) -> Timestamp {
        iat.timestamp().plus(self.past).plus(Duration::from_micros(1))
    }
}

/// Holds what a request proves against the key that was announced, by `dpop_jkt` or by a proof with the pushed request,
/// where one was: RFC 9449 section 10. Whoever announced one has to prove it.
///
/// # Errors
/// [`ProofError::OtherKey`] or [`ProofError::Missing`] if it is not that key, or none.
pub fn check_announced(
    announced: Option<&Thumbprint>,
    proven: Option<&Thumbprint>,
) -> Result<(), ProofError> {
    match (announced, proven) {
        (None, _) => Ok(()),
        (Some(announced), Some(key)) if announced == key => Ok(()),
        (Some(_), Some(_)) => Err(ProofError::OtherKey),
        (Some(_), None) => Err(ProofError::Missing),
    }
}

/// The one proof of a request, out of all `DPoP` header lines that it has: RFC 9449 section 4.3, check 1.
///
/// # Errors
/// [`ProofError::Several`] for two lines, or one that lists several.
pub fn sole_proof<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Option<&'a str>, ProofError> {
    let mut lines = lines.into_iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) if !line.contains(',') => Ok(Some(line)),
        (Some(_), _) => Err(ProofError::Several),
    }
}

/// The longest proof that is read: one by an RSA key of 4096 bits fits.
pub const MAX_PROOF_BYTES: usize = 4096;

/// The longest `jti` that is remembered.
pub const MAX_JTI_BYTES: usize = 128;

#[cfg(test)]
mod tests;
