//! Verifying the token by which another provider says that somebody signed out there. OpenID Connect Back-Channel Logout 1.0
//! sections 2.4 and 2.6; ATTACKS O33, J19.
//!
//! No ID token is taken for one, nor the other way around: this has no `nonce`, and says what happened; that has the one that we
//! asked with.

use std::time::Duration;

use chartgate_values::Timestamp;

use super::algorithm::Algorithm;
use super::claims::Identifier;
use super::jws::{ExpectedType, MAX_JSON_DEPTH, MAX_TOKEN_BYTES, Unverified};
use super::key_set::KeySet;
use super::provider_token::{check_client, name};
use super::registered_claims::{Times, check_issuer};
use super::rejection::Rejection;
use crate::json::Object;
use crate::oidc::back_channel_logout::LOGOUT_TYPE;

/// No token is looked at that is older, however long it says that it is good: so long its `jti` has to be remembered.
pub const LONGEST_AGE: Duration = Duration::from_secs(3600);

/// What happened: section 2.4.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What the logout token of one provider has to be.
#[derive(Clone, Copy, Debug)]
pub struct LogoutTokenVerifier<'a> {
    /// `iss`, character by character.
    pub issuer: &'a str,
    /// What we are called there.
    pub client_id: &'a str,
    /// By how much the provider's clock may be ahead of ours.
    pub skew: Duration,
}

/// That somebody signed out there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedOutThere {
    /// The token's name: each counts once.
    pub jti: Identifier,
    /// When it was made.
    pub issued_at: Timestamp,
    /// Of what.
    pub of: SignedOutOf,
}

/// Of what somebody signed out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignedOutOf {
    /// Of this session there; and whose it is, if that is said.
    Session(Identifier, Option<Identifier>),
    /// Of all that this person has there.
    Everything(Identifier),
}

impl SignedOutOf {
    /// The session, if it is one.
    #[must_use]
    pub fn sid(&self) -> Option<&Identifier> {
        match self {
            Self::Session(sid, _) => Some(sid),
            Self::Everything(_) => None,
        }
    }

    /// The person, if that is said.
    #[must_use]
    pub fn sub(&self) -> Option<&Identifier> {
        match self {
            Self::Session(_, sub) => sub.as_ref(),
            Self::Everything(sub) => Some(sub),
        }
    }
}

impl LogoutTokenVerifier<'_> {
    /// Verifies a logout token. Whether it came before is another's to say.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<SignedOutThere, Rejection> {
        // Section 2.4: that it is typed is recommended, and no more.
        let verified = Unverified::parse(token, &Algorithm::ALL, MAX_TOKEN_BYTES)?
            .verify_with(keys, ExpectedType::Either(LOGOUT_TYPE))?;
        self.accept(&verified.claims()?, now)
    }

    /// Judges the claims of a token whose signature was verified.
    pub(crate) fn accept(&self, claims: &Object<'_>, now: Timestamp) -> Result<SignedOutThere, Rejection> {
        check_issuer(claims, self.issuer)?;
        check_client(claims, self.client_id)?;
        let times = Times::read(claims)?;
        times.check(now, self.skew)?;
        let issued_at = times.issued_at()?.timestamp();
        if now >= issued_at.plus(LONGEST_AGE) {
            return Err(Rejection::Expired);
        }
        if claims.get("nonce").is_some() {
            return Err(Rejection::Nonce);
        }
        check_events(claims)?;
        let jti = name(claims, "jti")?.ok_or(Rejection::MissingClaim("jti"))?;
        let of = match (name(claims, "sid")?, name(claims, "sub")?) {
            (Some(sid), sub) => SignedOutOf::Session(sid, sub),
            (None, Some(sub)) => SignedOutOf::Everything(sub),
            (None, None) => return Err(Rejection::MissingClaim("sub")),
        };
        Ok(SignedOutThere { jti, issued_at, of })
    }
}

/// Section 2.4: an object with a member of this name, whose value is one too.
fn check_events(claims: &Object<'_>) -> Result<(), Rejection> {
    let text = claims.get("events").ok_or(Rejection::MissingClaim("events"))?;
    let events =
        Object::parse(text.as_bytes(), MAX_JSON_DEPTH).map_err(|_| Rejection::ClaimType("events"))?;
    let event = events.get(EVENT).ok_or(Rejection::MissingClaim("events"))?;
    match Object::parse(event.as_bytes(), MAX_JSON_DEPTH) {
        Ok(_) => Ok(()),
        Err(_) => Err(Rejection::ClaimType("events")),
    }
}

#[cfg(test)]
mod tests;
