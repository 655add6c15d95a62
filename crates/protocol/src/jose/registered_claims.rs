//! The claims that kinds of tokens have in common, and what they have to be. RFC 7519 section 4.1, RFC 8725
//! sections 3.8 and 3.9.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::claims::{Audience, NumericDate, optional, required};
use super::rejection::Rejection;
use crate::json::Object;

/// Reads `iss`, which has to be the issuer character by character.
pub(crate) fn check_issuer(claims: &Object<'_>, expected: &str) -> Result<String, Rejection> {
    match required::<String>(claims, "iss") {
        Ok(iss) if iss == expected => Ok(iss),
        Ok(_) | Err(Rejection::ClaimType(_)) => Err(Rejection::Issuer),
        Err(cause) => Err(cause),
    }
}

/// What `aud` has to have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExpectedAudience {
    /// At least one of these, character by character.
    OneOf(Vec<String>),
    /// Anything: for the issuer's own endpoints, which take tokens for every place (introspection,
    /// revocation, exchange, user info).
    Any,
}

impl ExpectedAudience {
    /// Reads `aud`.
    pub(super) fn check(&self, claims: &Object<'_>) -> Result<Audience, Rejection> {
        let aud: Audience = required(claims, "aud")?;
        match self {
            Self::OneOf(places) if !places.iter().any(|place| aud.contains(place)) => {
                Err(Rejection::Audience)
            }
            Self::OneOf(_) | Self::Any => Ok(aud),
        }
    }
}

/// The times of a token.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) exp: NumericDate,
    pub(super) nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
}

impl Times {
    /// Reads the times, of which only `exp` has to be there for every kind of token.
    pub(super) fn read(claims: &Object<'_>) -> Result<Self, Rejection> {
        Ok(Self {
            exp: required(claims, "exp")?,
            nbf: optional(claims, "nbf")?,
            iat: optional(claims, "iat")?,
        })
    }

    /// `iat`, for a kind of token that has to have it.
    pub(super) fn issued_at(self) -> Result<NumericDate, Rejection> {
        self.iat.ok_or(Rejection::MissingClaim("iat"))
    }

    /// Whether `now` lies within, where `skew` is what other clocks may be ahead by.
    pub(super) fn check(self, now: Timestamp, skew: Duration) -> Result<(), Rejection> {
        if !self.exp.is_after(now) {
            return Err(Rejection::Expired);
        }
        self.check_begun(now, skew)
    }

    /// Whether `now` is not too early.
    pub(super) fn check_begun(self, now: Timestamp, skew: Duration) -> Result<(), Rejection> {
        let latest = now.plus(skew);
        let lies_ahead = |time: NumericDate| time.is_after(latest);
        if self.nbf.is_some_and(lies_ahead) || self.iat.is_some_and(lies_ahead) {
            return Err(Rejection::NotYet);
        }
        Ok(())
    }
}
