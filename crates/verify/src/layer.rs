//! The layer: a request goes on with its [`crate::Caller`], or is answered here. RFC 6750 section 3, RFC 9449 section 7.1.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use chartgate_protocol::jose::Algorithm;
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::scope::ScopeSet;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tower::{Layer, Service};

use crate::proofs::ALGORITHMS;
use crate::verifier::{Refused, Verifier, allows};

/// Lets in whoever has a token with these scopes. Made by [`Verifier::require`].
#[derive(Clone)]
pub struct RequireToken {
    pub(crate) verifier: Verifier,
    /// `None` lets nobody in.
    pub(crate) scopes: Option<ScopeSet>,
}

/// A service behind [`RequireToken`].
#[derive(Clone)]
pub struct TokenService<S> {
    inner: S,
    require: RequireToken,
}

impl<S> Layer<S> for RequireToken {
    type Service = TokenService<S>;

    fn layer(&self, inner: S) -> TokenService<S> {
        TokenService { inner, require: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for TokenService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready is the one that is called.
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let require = self.require.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let checked = require.verifier.check(&parts.method, &parts.uri, &parts.headers).await;
            let allowed = checked.and_then(|caller| match &require.scopes {
                Some(wanted) if allows(&caller.claims.scope, wanted) => Ok(caller),
                Some(_) | None => Err(Refused::Scope),
            });
            match allowed {
                Ok(caller) => {
                    parts.extensions.insert(caller);
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(refused) => {
                    tracing::debug!(%refused, "a request was refused");
                    let (taken, tried) = (require.verifier.schemes(), Scheme::tried(&parts.headers));
                    Ok(answer(refused, require.scopes.as_ref(), taken, tried))
                }
            }
        })
    }
}

/// How a token comes. RFC 6750 section 2.1, RFC 9449 section 7.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    Bearer,
    Dpop,
}

impl Scheme {
    /// By which a request tries, if by any.
    fn tried(headers: &HeaderMap) -> Self {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|line| line.to_str().ok());
        let name = authorization.and_then(|line| line.split(' ').next()).unwrap_or_default();
        if name.eq_ignore_ascii_case("dpop") { Self::Dpop } else { Self::Bearer }
    }

    /// Its challenge with these parameters.
    fn challenge(self, error: &[(&str, &str)]) -> Option<HeaderValue> {
        let algorithms = ALGORITHMS.map(Algorithm::name).join(" ");
        let (name, own) = match self {
            Self::Bearer => ("Bearer", None),
            Self::Dpop => ("DPoP", Some(("algs", algorithms.as_str()))),
        };
        let parameters = error.iter().copied().chain(own);
        let list: Vec<String> = parameters.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        HeaderValue::from_str(format!("{name} {}", list.join(", ")).trim_end()).ok()
    }
}

fn answer<R: Default>(
    refused: Refused,
    scopes: Option<&ScopeSet>,
    taken: &[Scheme],
    tried: Scheme,
) -> Response<R> {
    let scope = scopes.map(ToString::to_string).unwrap_or_default();
    let unauthorized = StatusCode::UNAUTHORIZED;
    let (status, error): (_, &[(&str, &str)]) = match refused {
        Refused::Missing => (unauthorized, &[]),
        Refused::Malformed => (StatusCode::BAD_REQUEST, &[("error", "invalid_request")]),
        Refused::Proof(ProofError::TooMany) | Refused::TooOld => return later(),
        Refused::Proof(_) if taken.contains(&Scheme::Dpop) => {
            (unauthorized, &[("error", "invalid_dpop_proof")])
        }
        Refused::Proof(_) | Refused::Token(_) | Refused::Revoked => {
            (unauthorized, &[("error", "invalid_token")])
        }
        Refused::Scope => {
            (StatusCode::FORBIDDEN, &[("error", "insufficient_scope"), ("scope", scope.as_str())])
        }
    };
    let mut response = Response::new(R::default());
    *response.status_mut() = status;
    // What is not taken here is told of by what is.
    let tried = if taken.contains(&tried) { tried } else { Scheme::Bearer };
    for scheme in taken {
        let error = if *scheme == tried { error } else { &[] };
        if let Some(challenge) = scheme.challenge(error) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

/// Nobody can tell just now.
fn later<R: Default>() -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
