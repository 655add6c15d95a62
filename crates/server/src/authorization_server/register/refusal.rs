//! How a registration, or an act on one, is refused. RFC 7591 section 3.2.2, RFC 7592 section 2, RFC 6750 section 3.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::authorization_server::error::{OAuthError, no_store};

/// Why.
#[derive(Debug)]
pub(super) enum Refusal {
    OAuth(OAuthError),
    /// The token opens nothing here, or is none: whoever shows it learns no more.
    Token,
    /// Registrations of this kind may not be changed now. RFC 7592 section 2.2.
    Forbidden,
    /// Too many from this address; after so many seconds there may be another. RFC 6585 section 4.
    TooMany {
        retry_after: u32,
    },
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self::OAuth(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::OAuth(error) => error.into_response(),
            Self::Token => {
                let mut response = StatusCode::UNAUTHORIZED.into_response();
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Forbidden => StatusCode::FORBIDDEN.into_response(),
            Self::TooMany { retry_after } => {
                let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
                response
            }
        }
    }
}

/// What is told, which no cache keeps.
pub(super) fn answer(outcome: Result<impl IntoResponse, Refusal>) -> Response {
    let mut response = outcome.into_response();
    no_store(response.headers_mut());
    response
}
