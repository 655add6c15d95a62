//! Pages for authorization requests that nobody can be answered about. RFC 6749 section 4.1.2.1.

use axum::response::Response;
use http::StatusCode;

use crate::pages;

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
