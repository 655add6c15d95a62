//! `/status-lists/{id}`: what anybody may know, and many may keep for a moment. draft-ietf-oauth-status-list section 8.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use chartgate_protocol::oauth::status_list::STATUS_LIST_TYPE;
use http::{StatusCode, header};

use super::AuthorizationServer;
use super::error::OAuthError;
use crate::live::status_lists::TTL;
use crate::net::origin::Origin;

pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    Path(id): Path<String>,
) -> Response {
    server.throttle.count(origin.ip);
    match server.status_lists.written(&id).await {
        Ok(Some(list)) => {
            let headers = [
                (header::CONTENT_TYPE, format!("application/{STATUS_LIST_TYPE}")),
                (header::CACHE_CONTROL, format!("public, max-age={}", TTL.as_secs())),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
            ];
            (headers, list.to_string()).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(%error, "a status list");
            OAuthError::unavailable().into_response()
        }
    }
}
