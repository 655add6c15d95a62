//! Verifying ID tokens, as hints and as answers. OpenID Connect Core sections 3.1.2.1 and 3.1.3.7,
//! RP-Initiated Logout section 2.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::algorithm::Algorithm;
use super::claims::IdTokenClaims;
use super::jws::{ExpectedType, MAX_TOKEN_BYTES, Unverified};
use super::key_set::KeySet;
use super::registered_claims::{ExpectedAudience, Times, check_issuer};
use super::rejection::Rejection;

/// What an ID token has to be in order to be accepted.
#[derive(Clone, Debug)]
pub struct IdTokenVerifier {
    /// `iss`, character by character.
    pub issuer: String,
    /// What `aud` has to have: the client, where it is known.
    pub audience: ExpectedAudience,
    /// The algorithms that are allowed.
    pub algorithms: Vec<Algorithm>,
    /// Whether `exp` counts.
    pub expiry: ExpiryRule,
    /// How far `iat` may lie ahead, for clocks that differ.
    pub skew: Duration,
}

/// Whether `exp` counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Default)]
pub enum ExpiryRule {
    /// A token that has expired is refused.
    #[default]
    Enforced,
    /// A token that has expired is still a hint: RP-Initiated Logout section 2.
    Ignored,
}

impl IdTokenVerifier {
    /// Verifies a token and gives its claims. `nonce` and `at_hash` are for the caller to compare.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<IdTokenClaims, Rejection> {
        let verified = Unverified::parse(token, &self.algorithms, MAX_TOKEN_BYTES)?
            .verify_with(keys, ExpectedType::PlainJwt)?;
        let claims = verified.claims()?;
        let iss = check_issuer(&claims, &self.issuer)?;
        let aud = self.audience.check(&claims)?;
        let times = Times::read(&claims)?;
        match self.expiry {
            ExpiryRule::Enforced => times.check(now, self.skew)?,
            ExpiryRule::Ignored => times.check_begun(now, self.skew)?,
        }
        IdTokenClaims::read(&claims, iss, aud, times)
    }
}

#[cfg(test)]
mod tests;
