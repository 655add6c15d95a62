//! Whether a request may come in.

use std::sync::Arc;
use std::time::Duration;

use chartgate_protocol::jose::claims::AccessTokenClaims;
use chartgate_protocol::jose::{AccessTokenVerifier, ExpectedAudience, KeySet, Presentation, Rejection};
use chartgate_protocol::oauth::dpop::{Credentials, CredentialsError, ProofError};
use chartgate_protocol::oauth::scope::{ScopeError, ScopeSet};
use chartgate_protocol::smart::scope::SmartScope;
use http::{HeaderMap, Method, Uri, header};

use crate::clock;
use crate::follow::{fetched, follow_feed, follow_keys};
use crate::https::CallError;
use crate::issuer::{Issuer, IssuerError};
use crate::layer::{RequireToken, Scheme};
use crate::proofs::Proofs;
use crate::settings::Settings;
use crate::state::{State, TooOld};

/// Verifies tokens for one service. Cheap to clone; when the last clone is gone, nothing is followed any more.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    state: Arc<State>,
    tokens: AccessTokenVerifier,
    proofs: Option<Proofs>,
}

/// Whoever calls, by a token that was good when it was looked at. Stands among the request's extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the token says.
    pub claims: Arc<AccessTokenClaims>,
}

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// There is no token.
    #[error("no token")]
    Missing,
    /// There is not one token, sent as RFC 6750 section 2.1 or RFC 9449 section 7.1 has it.
    #[error("malformed Authorization")]
    Malformed,
    /// The proof beside it does not hold, was seen before, or cannot be remembered.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The token does not hold, or is bound to a key that was not proved.
    #[error(transparent)]
    Token(#[from] Rejection),
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// It does not allow this.
    #[error("the token lacks a scope")]
    Scope,
    /// What is known of the issuer's keys or cut-offs is too old to tell.
    #[error("the issuer could not be followed")]
    TooOld,
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The issuer cannot be followed.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// [`Settings::proofs_for`] is no base URL.
    #[error("`{0}` is no https URL")]
    BaseUrl(String),
}

impl From<CallError> for StartError {
    fn from(error: CallError) -> Self {
        Self::Issuer(error.into())
    }
}

impl From<CredentialsError> for Refused {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Missing => Self::Missing,
            CredentialsError::Malformed => Self::Malformed,
            CredentialsError::Proof(cause) => Self::Proof(cause),
        }
    }
}

impl From<TooOld> for Refused {
    fn from(TooOld: TooOld) -> Self {
        Self::TooOld
    }
}

impl Verifier {
    /// Learns the issuer's keys and all cut-offs, and goes on following both in the background.
    ///
    /// # Errors
    /// [`StartError`]: who does not know what is revoked lets nobody in.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let proofs = settings.proofs_for.as_deref().map(Proofs::at).transpose()?;
        let audience = ExpectedAudience::OneOf(vec![settings.audience.clone()]);
        let tokens =
            AccessTokenVerifier { skew: SKEW, ..AccessTokenVerifier::new(settings.issuer.clone(), audience) };
        let limit = settings.feed_limit;
        let mut issuer = Issuer::discover(settings).await?;
        let keys = issuer.keys()?;
        let answer = issuer.revocations(None, Duration::ZERO).await?;
        let (known, _) = keys.fetch().await?;
        let feed = issuer.verify(&answer, &known).map_err(IssuerError::from)?;
        let position = feed.position.clone();
        let state = Arc::new(State::new(known, feed, answer.asked_at, limit));
        tokio::spawn(follow_keys(keys, Arc::downgrade(&state)));
        tokio::spawn(follow_feed(issuer, position, Arc::downgrade(&state)));
        Ok(Self(Arc::new(Inner { state, tokens, proofs })))
    }

    /// A layer that lets in whoever has a token with all of these scopes, separated by spaces; a SMART scope counts where
    /// a wider one was granted.
    ///
    /// A text that is no list of scopes lets nobody in.
    #[must_use]
    pub fn require(&self, scopes: &str) -> RequireToken {
        let scopes: Result<ScopeSet, ScopeError> = scopes.parse();
        RequireToken { verifier: self.clone(), scopes: scopes.ok() }
    }

    /// By which schemes tokens are taken.
    pub(crate) fn schemes(&self) -> &'static [Scheme] {
        match self.0.proofs {
            Some(_) => &[Scheme::Bearer, Scheme::Dpop],
            None => &[Scheme::Bearer],
        }
    }

    /// Whether a request may come in; what its scopes allow is for the caller to judge.
    ///
    /// # Errors
    /// [`Refused`], by the first cause.
    pub async fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Caller, Refused> {
        let inner = &*self.0;
        let keys = inner.state.keys()?;
        let (claims, kid) = match inner.verify(method, uri, headers, &keys) {
            Err(Refused::Token(Rejection::UnknownKid)) => {
                fetched(&inner.state).await;
                inner.verify(method, uri, headers, &*inner.state.keys()?)?
            }
            other => other?,
        };
        if inner.state.is_cut_off(&claims, &kid)? {
            return Err(Refused::Revoked);
        }
        Ok(Caller { claims: Arc::new(claims) })
    }
}

impl Inner {
    fn verify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        keys: &KeySet,
    ) -> Result<(AccessTokenClaims, String), Refused> {
        let now = clock::now();
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let authorization = match (all.next(), all.next()) {
            (None, _) => return Err(Refused::Missing),
            (Some(one), None) => one.to_str().map_err(|_| Refused::Malformed)?,
            (Some(_), Some(_)) => return Err(Refused::Malformed),
        };
        // One that is no text is no proof either.
        let proofs = headers.get_all(DPOP).iter().map(|line| line.to_str().unwrap_or_default());
        match (Credentials::read(authorization, proofs)?, &self.proofs) {
            (Credentials::Bearer { token }, _) => {
                Ok(self.tokens.verify_signed(token, keys, Presentation::BEARER, now)?)
            }
            (Credentials::Dpop { .. }, None) => Err(Refused::Token(Rejection::Confirmation)),
            (Credentials::Dpop { token, proof }, Some(proofs)) => {
                let proven = proofs.verify(proof, token, method, uri, now)?;
                let presentation = Presentation::dpop(&proven)?;
                let verified = self.tokens.verify_signed(token, keys, presentation, now)?;
                proofs.use_up(&proven, now)?;
                Ok(verified)
            }
        }
    }
}

/// How far this service's clock may be behind the issuer's: a token that was made a moment ago is good.
const SKEW: Duration = Duration::from_secs(10);

const DPOP: header::HeaderName = header::HeaderName::from_static("dpop");

/// Whether these scopes allow all that is wanted.
pub(crate) fn allows(granted: &ScopeSet, wanted: &ScopeSet) -> bool {
    let smart: Vec<SmartScope> = granted.iter().filter_map(|token| token.parse().ok()).collect();
    wanted.iter().all(|token| match token.parse::<SmartScope>() {
        Ok(asked) => smart.iter().any(|scope| scope.includes(&asked)),
        Err(_) => granted.contains(token),
    })
}

#[cfg(test)]
mod tests;
