//! Endpoints of ours that an access token opens, and how nobody is answered there, by the scheme that they tried.
//! RFC 6750 section 3, RFC 9449 section 7.1.

use axum::response::{IntoResponse, Response};
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::dpop::{CredentialsError, ProofError};
use http::{HeaderMap, StatusCode, header};

use super::AuthorizationServer;
use crate::live::proofs::{self, Place};
use crate::live::tokens::{Believed, NotBelieved, Showing};
use crate::net::access_token::{DPOP_NONCE, Scheme, read};
use crate::net::origin::Origin;

/// A request to such an endpoint.
pub(super) struct Protected<'a> {
    server: &'a AuthorizationServer,
    origin: &'a Origin,
    headers: &'a HeaderMap,
    place: Place<'a>,
    scheme: Scheme,
}

impl<'a> Protected<'a> {
    pub(super) fn new(
        server: &'a AuthorizationServer,
        origin: &'a Origin,
        headers: &'a HeaderMap,
        place: Place<'a>,
    ) -> Self {
        Self { server, origin, headers, place, scheme: Scheme::of(&read(headers)) }
    }

    /// The token of the request, good for this audience.
    ///
    /// # Errors
    /// What its sender is answered.
    pub(super) fn shown(&self, audience: ExpectedAudience) -> Result<Believed, Box<Response>> {
        let showing = Showing { headers: self.headers, place: self.place };
        self.server.own_tokens.shown(showing, audience).map_err(|cause| {
            Box::new(match cause {
                NotBelieved::NotShown(CredentialsError::Missing) => {
                    self.answer(StatusCode::UNAUTHORIZED, &[])
                }
                NotBelieved::NotShown(CredentialsError::Malformed) => {
                    self.answer(StatusCode::BAD_REQUEST, &[("error", "invalid_request")])
                }
                NotBelieved::NotShown(CredentialsError::Proof(cause)) | NotBelieved::Proof(cause) => {
                    self.of_proof(cause)
                }
                NotBelieved::Rejected(_)
                | NotBelieved::ForeignClaims
                | NotBelieved::Revoked(_)
                | NotBelieved::SessionOver => self.invalid(),
            })
        })
    }

    /// For a token that is good for nothing here.
    pub(super) fn invalid(&self) -> Response {
        self.server.throttle.count(self.origin.ip);
        self.answer(StatusCode::UNAUTHORIZED, &[("error", "invalid_token")])
    }

    /// For a token that is good, but not for this.
    pub(super) fn lacks_scope(&self, scope: &str) -> Response {
        self.answer(StatusCode::FORBIDDEN, &[("error", "insufficient_scope"), ("scope", scope)])
    }

    fn answer(&self, status: StatusCode, error: &[(&str, &str)]) -> Response {
        let mut response = status.into_response();
        for challenge in proofs::challenges(self.scheme, error, &[]) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn of_proof(&self, cause: ProofError) -> Response {
        self.server.throttle.count(self.origin.ip);
        let mut response = self.answer(StatusCode::UNAUTHORIZED, &[("error", cause.code().as_str())]);
        if let Some(nonce) = self.server.proofs.next_nonce(Err(cause), self.server.clock.now()) {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
        response
    }
}
