//! Access tokens of ours at endpoints of ours: believed as at a route, by signature, cut-offs and session.

use std::sync::Arc;

use chartgate_access::token::revocation::Traits;
use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_protocol::jose::{AccessTokenVerifier, ExpectedAudience, Presentation};
use chartgate_values::Clock;

use super::cut_offs::LiveCutOffs;
use super::keys::KeyRing;
use super::sessions::LiveSessions;

/// What our own endpoints ask of a bearer token.
pub(crate) struct OwnTokens {
    pub(crate) issuer: String,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl OwnTokens {
    /// The claims of a token that is good now for this audience.
    pub(crate) fn believed(&self, token: &str, audience: ExpectedAudience) -> Option<AccessTokenClaims> {
        let verifier = AccessTokenVerifier::new(self.issuer.clone(), audience);
        let keys = self.keys.current();
        let now = self.clock.now();
        let (claims, kid) = verifier.verify_signed(token, &keys.verifying, Presentation::BEARER, now).ok()?;
        let traits = traits_of(&claims, kid)?;
        self.cut_offs.check(&traits).ok()?;
        traits.session.as_ref().is_none_or(|session| self.sessions.used(session).is_ok()).then_some(claims)
    }
}

/// What of a verified token bears on cut-offs; `None` if a claim has a form that we never give it.
pub(crate) fn traits_of(claims: &AccessTokenClaims, kid: String) -> Option<Traits> {
    Some(Traits {
        subject: claims.sub.as_str().parse().ok()?,
        session: claims.sid.as_ref().map(|sid| sid.as_str().parse()).transpose().ok()?,
        client_id: claims.client_id.as_str().parse().ok()?,
        grant: claims.grant_id.as_ref().map(|grant| grant.as_str().parse()).transpose().ok()?,
        key: kid,
        jti: claims.jti.as_str().parse().ok()?,
        issued_at: claims.iat.timestamp(),
    })
}
