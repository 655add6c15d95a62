//! Verifying access tokens. RFC 9068 section 4, RFC 8725, RFC 9449 section 7.1, RFC 8705 section 3.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::algorithm::Algorithm;
use super::claims::{AccessTokenClaims, Confirmation};
use super::jws::{ExpectedType, MAX_TOKEN_BYTES, Unverified};
use super::key_set::KeySet;
use super::registered_claims::{ExpectedAudience, Times, check_issuer};
use super::rejection::Rejection;
use super::thumbprint::Thumbprint;
use crate::json::Object;
use crate::oauth::dpop::{ProofError, ProvenKey};

/// What an access token has to be in order to be accepted.
#[derive(Clone, Debug)]
pub struct AccessTokenVerifier {
    /// `iss`, character by character.
    pub issuer: String,
    /// What `aud` has to have.
    pub audience: ExpectedAudience,
    /// The algorithms that are allowed.
    pub algorithms: Vec<Algorithm>,
    /// What `typ` has to be.
    pub token_type: TokenType,
    /// How far `iat` and `nbf` may lie ahead, for clocks that differ. `exp` has no leeway.
    pub skew: Duration,
    /// The longest token that is looked at.
    pub max_bytes: usize,
}

/// How access tokens of this issuer say what they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Default)]
pub enum TokenType {
    /// `at+jwt`: RFC 9068 section 2.1.
    #[default]
    AccessToken,
    /// `JWT` or nothing, for issuers that do not say. An ID token is told apart by its claims.
    PlainJwt,
}

/// What the caller proved beside sending the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Presentation<'a>(Shown<'a>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown<'a> {
    /// The token is used, with these proofs.
    Proofs { dpop_key: Option<&'a str>, certificate: Option<&'a str> },
    /// It is asked about.
    Nothing,
}

impl<'a> Presentation<'a> {
    /// Sent as plain `Bearer`, with no proof of possession.
    pub const BEARER: Self = Self(Shown::Proofs { dpop_key: None, certificate: None });

    /// Not used but asked about, as for introspection or revocation: what the token is bound to is for whoever uses it,
    /// and whoever verifies it so has to look at `cnf` before anything is done by it (see [`Presentation::check`]).
    pub const ASKED_ABOUT: Self = Self(Shown::Nothing);

    /// Sent as `DPoP`, with a proof for this request and this token that was found good.
    ///
    /// # Errors
    /// [`ProofError::AccessToken`] if the proof was for no token: one for the token endpoint opens nothing.
    pub fn dpop(key: &'a ProvenKey) -> Result<Self, ProofError> {
        match key.ath {
            Some(_) => Ok(Self(Shown::Proofs { dpop_key: Some(key.thumbprint.as_str()), certificate: None })),
            None => Err(ProofError::AccessToken),
        }
    }

    /// The same, on a connection whose client showed this certificate.
    #[must_use]
    pub fn with_certificate(self, certificate: &'a Thumbprint) -> Self {
        match self.0 {
            Shown::Proofs { dpop_key, .. } => {
                Self(Shown::Proofs { dpop_key, certificate: Some(certificate.as_str()) })
            }
            Shown::Nothing => self,
        }
    }
}

impl AccessTokenVerifier {
    /// A verifier for this issuer's `at+jwt` tokens for this audience, with every algorithm that we speak
    /// (the key says which) and no leeway.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: ExpectedAudience) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            algorithms: Algorithm::ALL.to_vec(),
            token_type: TokenType::default(),
            skew: Duration::ZERO,
            max_bytes: MAX_TOKEN_BYTES,
        }
    }

    /// Verifies a token and gives its claims.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(
        &self,
        token: &str,
        keys: &KeySet,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, Rejection> {
        self.verify_signed(token, keys, presentation, now).map(|(claims, _)| claims)
    }

    /// Verifies a token and gives its claims and the `kid` of the key that signed them, for whoever may have to end
    /// all tokens of a key.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify_signed(
        &self,
        token: &str,
        keys: &KeySet,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<(AccessTokenClaims, String), Rejection> {
        let verified = Unverified::parse(token, &self.algorithms, self.max_bytes)?
            .verify_with(keys, self.token_type.expected())?;
        let claims = self.accept(&verified.claims()?, presentation, now)?;
        let kid = verified.into_kid().ok_or(Rejection::MissingKid)?;
        Ok((claims, kid))
    }

    /// Judges the claims of a token whose signature was verified.
    pub(crate) fn accept(
        &self,
        claims: &Object<'_>,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, Rejection> {
        let iss = check_issuer(claims, &self.issuer)?;
        let aud = self.audience.check(claims)?;
        let times = Times::read(claims)?;
        times.check(now, self.skew)?;
        let claims = AccessTokenClaims::read(claims, iss, aud, times)
            .and_then(|read| self.tell_apart(claims, read))?;
        presentation.check(claims.cnf.as_ref())?;
        Ok(claims)
    }

    /// RFC 8725 section 3.11, where `typ` does not tell: what only an ID token has.
    fn tell_apart(
        &self,
        raw: &Object<'_>,
        claims: AccessTokenClaims,
    ) -> Result<AccessTokenClaims, Rejection> {
        let is_id_token = ["nonce", "at_hash"].into_iter().any(|name| raw.get(name).is_some())
            || claims.aud.contains(claims.client_id.as_str());
        match self.token_type {
            TokenType::PlainJwt if is_id_token => Err(Rejection::IdToken),
            TokenType::PlainJwt | TokenType::AccessToken => Ok(claims),
        }
    }
}

impl TokenType {
    pub(super) fn expected(self) -> ExpectedType {
        match self {
            Self::AccessToken => ExpectedType::Exactly("at+jwt"),
            Self::PlainJwt => ExpectedType::PlainJwt,
        }
    }
}

impl Presentation<'_> {
    /// Whether this proves what a token is bound to.
    ///
    /// A bound token counts only with its proof, and a DPoP proof only with a token that is bound to its key: RFC 9449
    /// section 7.1. A certificate proves what it proves whatever is sent over its connection, so that one beside a
    /// token that is not bound to any is no fault (RFC 8705 section 3).
    ///
    /// # Errors
    /// [`Rejection::Confirmation`] if it does not.
    pub fn check(self, cnf: Option<&Confirmation>) -> Result<(), Rejection> {
        let Shown::Proofs { dpop_key, certificate } = self.0 else { return Ok(()) };
        let jkt = cnf.and_then(|cnf| cnf.jkt.as_deref());
        let x5t = cnf.and_then(|cnf| cnf.x5t_s256.as_deref());
        let bound = jkt.is_some() || x5t.is_some();
        let certificate_shown = x5t.is_none() || x5t == certificate;
        if jkt == dpop_key && certificate_shown && bound == cnf.is_some() {
            Ok(())
        } else {
            Err(Rejection::Confirmation)
        }
    }
}

#[cfg(test)]
mod tests;
