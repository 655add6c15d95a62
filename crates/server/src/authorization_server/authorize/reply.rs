//! How authorization requests are answered: at the client's redirect URI, or with a page. RFC 6749 section 4.1.2.

use axum::response::{IntoResponse as _, Response};
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::error::ErrorCode;
use http::{HeaderValue, StatusCode, header};

use crate::authorization_server::AuthorizationServer;
use crate::authorization_server::error::no_store;
use crate::pages;

/// An answer to a client, at its own redirect URI.
pub(super) struct Reply<'a> {
    pub(super) server: &'a AuthorizationServer,
    pub(super) redirect_uri: &'a str,
    pub(super) state: Option<&'a str>,
}

impl Reply<'_> {
    /// RFC 6749 section 4.1.2, with `iss` (RFC 9207).
    pub(super) fn answer(&self, parameters: &[(&str, &str)]) -> Response {
        let mut form = Form::default();
        for (name, value) in parameters {
            form.push(name, value);
        }
        if let Some(state) = self.state {
            form.push("state", state);
        }
        form.push("iss", &self.server.issuer);
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        see_other(&format!("{}{separator}{}", self.redirect_uri, form.encode()))
    }

    pub(super) fn error(&self, code: ErrorCode, description: &str) -> Response {
        self.answer(&[("error", code.as_str()), ("error_description", description)])
    }
}

pub(super) fn see_other(target: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(target) else {
        return bad_request("the redirect address cannot be written as a header");
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    no_store(response.headers_mut());
    response
}

pub(super) fn bad_request(reason: &str) -> Response {
    // Causes are phrases; on a page they are a sentence.
    let mut letters = reason.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    let reason = format!("{}{}.", first.map(String::from).unwrap_or_default(), letters.as_str());
    pages::message(StatusCode::BAD_REQUEST, "This sign-in request cannot be used", &reason)
}

pub(super) fn expired() -> Response {
    let text = "It has expired, was used already, or was begun in another browser. Go back to the application and \
                begin again.";
    pages::message(StatusCode::BAD_REQUEST, "This sign-in request is no longer open", text)
}

pub(super) fn unavailable(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "store");
    let text = "Nothing was lost. Try again in a moment.";
    pages::message(StatusCode::SERVICE_UNAVAILABLE, "Signing in is not possible just now", text)
}
