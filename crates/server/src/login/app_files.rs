//! Files of the pages that a phone keeps as an application. W3C Web Application Manifest; Service Workers section 3.2.2.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderName, HeaderValue, header};

use super::Login;
use crate::pages::asset;

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// All of them.
pub(super) fn router() -> Router<Arc<Login>> {
    let script = || async { asset(SCRIPT, include_str!("../../assets/approvals.js")) };
    let manifest =
        || async { asset("application/manifest+json", include_str!("../../assets/approve.webmanifest")) };
    let small = || async { asset("image/png", include_bytes!("../../assets/icon-192.png").as_slice()) };
    let large = || async { asset("image/png", include_bytes!("../../assets/icon-512.png").as_slice()) };
    Router::new()
        .route("/assets/approvals.js", get(script))
        .route("/assets/approve-worker.js", get(|| async { worker() }))
        .route("/assets/approve.webmanifest", get(manifest))
        .route("/assets/icon-192.png", get(small))
        .route("/assets/icon-512.png", get(large))
}

/// The worker serves pages beside its own folder, which it may only if it is said; and a new one is to be had at once.
fn worker() -> Response {
    let mut answer = asset(SCRIPT, include_str!("../../assets/approve-worker.js"));
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("service-worker-allowed"), HeaderValue::from_static("/approve"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let policy = HeaderValue::from_static("default-src 'none'; img-src 'self'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}
