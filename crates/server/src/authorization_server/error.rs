//! From cause to wire, for the endpoints that clients call. RFC 6749 section 5.2.

use axum::Json;
use axum::response::{IntoResponse, Response};
use chartgate_audit::journal::AppendError;
use chartgate_protocol::form::FormError;
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::error::{ErrorBody, ErrorCode};
use http::{HeaderValue, StatusCode, header};

use crate::net::access_token::DPOP_NONCE;
use crate::net::reserve::KeptForOthers;
use crate::registration::documents::FindError;
use crate::store::StoreError;

/// A refusal, with its cause in words for the record and the code for the client.
#[derive(Debug)]
pub(super) struct OAuthError {
    pub(super) code: ErrorCode,
    /// For the client's developer; never a secret, never PHI.
    pub(super) description: String,
    /// Whether the client tried HTTP Basic, which is then challenged.
    pub(super) challenge: Challenge,
    /// What the client's next proof has to hold.
    pub(super) nonce: Option<HeaderValue>,
}

/// Whether `WWW-Authenticate` is part of the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    No,
    Basic,
}

impl OAuthError {
    pub(super) fn new(code: ErrorCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into(), challenge: Challenge::No, nonce: None }
    }

    /// The log cannot be written, or the store: nothing is issued.
    pub(super) fn unavailable() -> Self {
        Self::new(ErrorCode::TemporarilyUnavailable, "try again later")
    }

    fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::InvalidRequest
            | ErrorCode::InvalidGrant
            | ErrorCode::UnauthorizedClient
            | ErrorCode::UnsupportedGrantType
            | ErrorCode::UnsupportedResponseType
            | ErrorCode::InvalidScope
            | ErrorCode::InvalidTarget
            | ErrorCode::AccessDenied
            | ErrorCode::AuthorizationPending
            | ErrorCode::SlowDown
            | ErrorCode::ExpiredToken
            | ErrorCode::LoginRequired
            | ErrorCode::InteractionRequired
            | ErrorCode::ConsentRequired
            | ErrorCode::UnmetAuthenticationRequirements
            | ErrorCode::RequestUriNotSupported
            | ErrorCode::InvalidRequestObject
            | ErrorCode::InvalidRequestUri
            | ErrorCode::UnknownUserId
            | ErrorCode::InvalidBindingMessage
            | ErrorCode::InvalidAuthorizationDetails
            | ErrorCode::InvalidRedirectUri
            | ErrorCode::InvalidClientMetadata
            | ErrorCode::InvalidSoftwareStatement
            | ErrorCode::UnapprovedSoftwareStatement
            | ErrorCode::InvalidDpopProof
            | ErrorCode::UseDpopNonce => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<ProofError> for OAuthError {
    fn from(error: ProofError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "store");
        Self::unavailable()
    }
}

impl From<FindError> for OAuthError {
    fn from(error: FindError) -> Self {
        if !error.is_strangers() {
            tracing::error!(%error, "client");
        }
        Self::unavailable()
    }
}

impl From<AppendError> for OAuthError {
    fn from(error: AppendError) -> Self {
        tracing::error!(%error, "audit");
        Self::unavailable()
    }
}

impl From<KeptForOthers> for OAuthError {
    fn from(_: KeptForOthers) -> Self {
        Self::unavailable()
    }
}

impl From<FormError> for OAuthError {
    fn from(error: FormError) -> Self {
        Self::new(ErrorCode::InvalidRequest, error.to_string())
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = ErrorBody { error: self.code, error_description: Some(self.description) };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        no_store(headers);
        if let Some(nonce) = self.nonce {
            headers.insert(DPOP_NONCE, nonce);
        }
        if self.challenge == Challenge::Basic {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"chartgate\""));
        }
        response
    }
}

/// What a client is answered, which no cache keeps.
pub(super) fn answer(outcome: Result<impl IntoResponse, OAuthError>) -> Response {
    match outcome {
        Ok(answer) => {
            let mut response = answer.into_response();
            no_store(response.headers_mut());
            response
        }
        Err(error) => error.into_response(),
    }
}

/// RFC 6749 section 5.1.
pub(super) fn no_store(headers: &mut http::HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}
