//! Access tokens of ours at endpoints of ours: believed as at a route, by signature, cut-offs and session.

use std::borrow::Cow;
use std::sync::Arc;

use chartgate_access::grant::token_exchange;
use chartgate_access::token::revocation::{Revoked, Traits};
use chartgate_audit::record::Delegate;
use chartgate_protocol::jose::claims::{AccessTokenClaims, Actor};
use chartgate_protocol::jose::{AccessTokenVerifier, ExpectedAudience, Presentation, Rejection};
use chartgate_protocol::oauth::dpop::{CredentialsError, ProofError};
use chartgate_values::{Clock, Timestamp};
use http::{HeaderMap, HeaderValue};

use super::cut_offs::LiveCutOffs;
use super::keys::{KeyRing, Ring};
use super::proofs::{NotPossessed, Place, Proofs, holder_of};
use super::proven::{Proven, key_of};
use super::sessions::LiveSessions;
use crate::net::access_token;

/// What our own endpoints ask of an access token.
pub(crate) struct OwnTokens {
    pub(crate) issuer: String,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) sessions: Arc<LiveSessions>,
    pub(crate) proofs: Arc<Proofs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) asked_about: Proven<Claimant>,
}

/// Tokens that were asked about and whose proof is kept.
pub(crate) const ASKED_ABOUT: usize = 4_000;

/// What a token says, and what of it bears on cut-offs.
pub(crate) struct Claimant {
    pub(crate) claims: AccessTokenClaims,
    pub(crate) traits: Traits,
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
    /// There is no token to look at.
    #[error(transparent)]
    NotShown(#[from] CredentialsError),
    /// The proof beside it is not good.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// A token that a request shows and may use.
pub(crate) struct Believed {
    pub(crate) claims: AccessTokenClaims,
    /// What of it bears on cut-offs.
    pub(crate) traits: Traits,
    /// For the next proof, where that needs another.
    pub(crate) next_nonce: Option<HeaderValue>,
}

/// A request that shows a token.
#[derive(Clone, Copy)]
pub(crate) struct Showing<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) place: Place<'a>,
}

impl From<NotPossessed> for NotBelieved {
    fn from(cause: NotPossessed) -> Self {
        match cause {
            NotPossessed::Rejected(rejection) => rejection.into(),
            NotPossessed::Proof(proof) => proof.into(),
        }
    }
}

impl NotBelieved {
    /// The stable code for records.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.reason(),
            Self::ForeignClaims => "foreign-claims",
            Self::Revoked(revoked) => revoked.reason(),
            Self::SessionOver => "session-over",
            Self::NotShown(CredentialsError::Missing) => "no-token",
            Self::NotShown(CredentialsError::Malformed) => "malformed-authorization",
            Self::NotShown(CredentialsError::Proof(proof)) | Self::Proof(proof) => proof.reason(),
        }
    }
}

impl OwnTokens {
    /// The token of a request, if that is good now for this audience and the request may use it. Showing it is activity of
    /// its session.
    ///
    /// # Errors
    /// [`NotBelieved`], by the first cause.
    pub(crate) fn shown(
        &self,
        request: Showing<'_>,
        audience: ExpectedAudience,
    ) -> Result<Believed, NotBelieved> {
        let credentials = access_token::read(request.headers)?;
        let (keys, now) = (self.keys.current(), self.clock.now());
        let signed = keys.signed_within(credentials.token())?;
        let Claimant { claims, traits } = self.prove(&signed, audience, &keys, now)?;
        self.cut_offs.check(&traits)?;
        let key = self.proofs.check(&credentials, request.place, claims.cnf.as_ref(), now)?;
        if let Some(key) = &key {
            self.proofs.use_up(key, holder_of(key), now)?;
        }
        if let Some(session) = &traits.session {
            self.sessions.used(session).map_err(|_| NotBelieved::SessionOver)?;
        }
        Ok(Believed { next_nonce: self.proofs.next_nonce(Ok(key.as_ref()), now), claims, traits })
    }

    /// A token that somebody asks about without using it: its session is not used by it, and what it is bound to (`cnf`)
    /// need not be proved. Its signature is verified once, for it will be asked about again.
    ///
    /// # Errors
    /// [`NotBelieved`], by the first cause.
    pub(crate) fn look(&self, token: &str) -> Result<Arc<Claimant>, NotBelieved> {
        let (keys, now) = (self.keys.current(), self.clock.now());
        let name = key_of(token, 0);
        let is_good = |known: &Arc<Claimant>| {
            known.claims.exp.is_after(now) && keys.verifying.get(&known.traits.key).is_ok()
        };
        let claimant = match self.asked_about.get(&name).filter(is_good) {
            Some(known) => known,
            None => {
                let signed = keys.signed_within(token)?;
                let proved = Arc::new(self.prove(&signed, ExpectedAudience::Any, &keys, now)?);
                // What was encrypted is read anew each time, for as long as we have the key.
                if matches!(signed, Cow::Borrowed(_)) {
                    self.asked_about.insert(name, &proved);
                }
                proved
            }
        };
        self.cut_offs.check(&claimant.traits)?;
        if let Some(session) = &claimant.traits.session {
            self.sessions.look(session).map_err(|_| NotBelieved::SessionOver)?;
        }
        Ok(claimant)
    }

    fn prove(
        &self,
        signed: &str,
        audience: ExpectedAudience,
        keys: &Ring,
        now: Timestamp,
    ) -> Result<Claimant, NotBelieved> {
        let verifier = AccessTokenVerifier::new(self.issuer.clone(), audience);
        let (claims, kid) =
            verifier.verify_signed(signed, &keys.verifying, Presentation::ASKED_ABOUT, now)?;
        let traits = traits_of(&claims, kid).ok_or(NotBelieved::ForeignClaims)?;
        Ok(Claimant { claims, traits })
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
