//! The layer: a request goes on with its [`crate::Caller`], or is answered here. RFC 6750 section 3.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::scope::ScopeSet;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower::{Layer, Service};

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
                    Ok(answer(refused, require.scopes.as_ref()))
                }
            }
        })
    }
}

fn answer<R: Default>(refused: Refused, scopes: Option<&ScopeSet>) -> Response<R> {
    let scope = scopes.map(ToString::to_string).unwrap_or_default();
    let (status, name, value) = match refused {
        Refused::Missing => (StatusCode::UNAUTHORIZED, header::WWW_AUTHENTICATE, "Bearer".to_owned()),
        Refused::Malformed => {
            (StatusCode::BAD_REQUEST, header::WWW_AUTHENTICATE, "Bearer error=\"invalid_request\"".to_owned())
        }
        Refused::Proof(ProofError::TooMany) | Refused::TooOld => {
            (StatusCode::SERVICE_UNAVAILABLE, header::RETRY_AFTER, "1".to_owned())
        }
        Refused::Proof(_) => (
            StatusCode::UNAUTHORIZED,
            header::WWW_AUTHENTICATE,
            "DPoP error=\"invalid_dpop_proof\"".to_owned(),
        ),
        Refused::Token(_) | Refused::Revoked => {
            (StatusCode::UNAUTHORIZED, header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"".to_owned())
        }
        Refused::Scope => (
            StatusCode::FORBIDDEN,
            header::WWW_AUTHENTICATE,
            format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
        ),
    };
    let mut response = Response::new(R::default());
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(name, value);
    }
    response
}
