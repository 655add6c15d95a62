//! Pages for authorization requests that nobody can be answered about. RFC 6749 section 4.1.2.1.

use axum::response::Response;
use http::StatusCode;

use crate::pages;
use crate::registration::documents::FindError;
use crate::tongue::{Id, Words};

pub(super) fn bad_request(reason: &str) -> Response {
    // Causes are phrases; on a page they are a sentence.
    let mut letters = reason.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    let reason = format!("{}{}.", first.map(String::from).unwrap_or_default(), letters.as_str());
    let text = Words::of("request-unusable").with("reason", reason);
    pages::message(StatusCode::BAD_REQUEST, Id::of("request-unusable-title"), text)
}

pub(super) fn expired() -> Response {
    pages::message(StatusCode::BAD_REQUEST, Id::of("request-over-title"), Id::of("request-over"))
}

pub(super) fn unavailable(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "store");
    later()
}

/// Where nobody can say who the client is.
pub(super) fn not_found_out(error: &FindError) -> Response {
    if !error.is_strangers() {
        tracing::error!(%error, "client");
    }
    later()
}

fn later() -> Response {
    let (title, text) = (Id::of("request-unavailable-title"), Id::of("problem-unavailable"));
    pages::message(StatusCode::SERVICE_UNAVAILABLE, title, text)
}
