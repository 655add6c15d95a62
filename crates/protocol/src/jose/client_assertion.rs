//! Verifying what clients show instead of a secret. RFC 7523 section 3, SMART App Launch 2.2 (Asymmetric
//! Authentication), OpenID Connect Core section 9.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::algorithm::Algorithm;
use super::claims::{ClientAssertionClaims, Identifier, required};
use super::jws::{ExpectedType, MAX_TOKEN_BYTES, Unverified};
use super::key_set::KeySet;
use super::registered_claims::Times;
use super::rejection::Rejection;

/// What an assertion of one client has to be in order to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct ClientAssertionVerifier<'a> {
    /// The client: `iss` and `sub`.
    pub client_id: &'a str,
    /// What we are called: `aud` is one of these, character by character.
    pub audiences: &'a [String],
    /// The algorithms that the client registered.
    pub algorithms: &'a [Algorithm],
    /// How far ahead `exp` may lie: SMART has five minutes.
    pub max_lifetime: Duration,
    /// By how much the client's clock may be ahead of ours.
    pub skew: Duration,
}

impl ClientAssertionVerifier<'_> {
    /// Verifies an assertion by the client's keys. That its `jti` was not used before is for the caller to
    /// say.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(
        &self,
        assertion: &str,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<ClientAssertionClaims, Rejection> {
        let verified = Unverified::parse(assertion, self.algorithms, MAX_TOKEN_BYTES)?
            .verify_with(keys, ExpectedType::PlainJwt)?;
        let claims = verified.claims()?;
        let iss: Identifier = required(&claims, "iss")?;
        if iss.as_str() != self.client_id {
            return Err(Rejection::Issuer);
        }
        let aud = match required::<String>(&claims, "aud") {
            Ok(aud) if self.audiences.contains(&aud) => aud,
            Ok(_) | Err(Rejection::ClaimType(_)) => return Err(Rejection::Audience),
            Err(cause) => return Err(cause),
        };
        let times = Times::read(&claims)?;
        times.check(now, self.skew)?;
        if times.exp.is_after(now.plus(self.max_lifetime).plus(self.skew)) {
            return Err(Rejection::LivesTooLong);
        }
        let sub: Identifier = required(&claims, "sub")?;
        if sub != iss {
            return Err(Rejection::Subject);
        }
        let Times { exp, nbf, iat } = times;
        Ok(ClientAssertionClaims { iss, sub, aud, exp, jti: required(&claims, "jti")?, iat, nbf })
    }
}

#[cfg(test)]
mod tests;
