//! Access tokens of ours at endpoints of ours: believed as at a route, by signature, cut-offs and session.

use std::sync::Arc;

use chartgate_access::grant::token_exchange;
use chartgate_access::ids::SessionId;
use chartgate_access::token::revocation::{Revoked, Traits};
use chartgate_audit::record::Delegate;
use chartgate_protocol::jose::claims::{AccessTokenClaims, Actor};
use chartgate_protocol::jose::{AccessTokenVerifier, ExpectedAudience, Presentation, Rejection};
use chartgate_values::Clock;

use super::cut_offs::LiveCutOffs;
use super::keys::KeyRing;
use super::sessions::{LiveSessions, SessionIsOver};

/// What our own endpoints ask of a bearer token.
pub(crate) struct OwnTokens {
    pub(crate) issuer: String,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotBelieved {
    /// It does not hold by itself.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// A claim has a form that we never give it.
    #[error("a claim has a foreign form")]
    ForeignClaims,
    /// It was cut off.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// Automatic logoff.
    #[error("the session is over")]
    SessionOver,
}

impl NotBelieved {
    /// The stable code for records.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.reason(),
            Self::ForeignClaims => "foreign-claims",
            Self::Revoked(revoked) => revoked.reason(),
            Self::SessionOver => "session-over",
        }
    }
}

impl OwnTokens {
    /// The claims of a token that is good now for this audience. Showing it is activity of its session.
    pub(crate) fn believed(&self, token: &str, audience: ExpectedAudience) -> Option<AccessTokenClaims> {
        self.judge(token, audience, |session| self.sessions.used(session)).ok().map(|(claims, _)| claims)
    }

    /// The same, for whoever asks about a token without being its person: their session is not used by it.
    ///
    /// # Errors
    /// [`NotBelieved`], by the first cause.
    pub(crate) fn look(&self, token: &str) -> Result<(AccessTokenClaims, Traits), NotBelieved> {
        self.judge(token, ExpectedAudience::Any, |session| self.sessions.look(session))
    }

    fn judge(
        &self,
        token: &str,
        audience: ExpectedAudience,
        session: impl FnOnce(&SessionId) -> Result<(), SessionIsOver>,
    ) -> Result<(AccessTokenClaims, Traits), NotBelieved> {
        let verifier = AccessTokenVerifier::new(self.issuer.clone(), audience);
        let keys = self.keys.current();
        let now = self.clock.now();
        let (claims, kid) = verifier.verify_signed(token, &keys.verifying, Presentation::BEARER, now)?;
        let traits = traits_of(&claims, kid).ok_or(NotBelieved::ForeignClaims)?;
        self.cut_offs.check(&traits)?;
        if let Some(id) = &traits.session {
            session(id).map_err(|_| NotBelieved::SessionOver)?;
        }
        Ok((claims, traits))
    }
}

/// Those who act by a token, as records name them: the one who does so now first. RFC 8693 section 4.1.
pub(crate) fn delegates(act: Option<&Actor>) -> Vec<Delegate> {
    token_exchange::chain(act)
        .map(|actor| Delegate {
            sub: actor.sub.to_string(),
            client_id: actor.client_id.as_ref().map(ToString::to_string),
        })
        .collect()
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
