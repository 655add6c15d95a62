//! Who the token speaks of. OpenID Connect Core section 5.3.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use chartgate_access::ids::Subject;
use chartgate_access::principal::UserState;
use chartgate_protocol::jose::ExpectedAudience;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::AuthorizationServer;
use super::error::{OAuthError, no_store};
use crate::net::bearer::{self, BearerError};
use crate::net::origin::Origin;

#[derive(Serialize)]
struct UserInfo {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none", rename = "fhirUser")]
    fhir_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    let token = match bearer::token(&headers) {
        Ok(token) => token,
        Err(BearerError::Missing) => return challenge(StatusCode::UNAUTHORIZED, "Bearer"),
        Err(BearerError::Malformed) => {
            return challenge(StatusCode::BAD_REQUEST, "Bearer error=\"invalid_request\"");
        }
    };
    let invalid = || {
        server.throttle.count(origin.ip);
        challenge(StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"")
    };
    let Some(claims) = server.own_tokens.believed(token, ExpectedAudience::Any) else { return invalid() };
    let scopes: Vec<&str> = claims.scope.iter().collect();
    if !scopes.contains(&"openid") {
        let value = "Bearer error=\"insufficient_scope\", scope=\"openid\"";
        return challenge(StatusCode::FORBIDDEN, value);
    }
    let Ok(name) = claims.sub.as_str().parse::<Subject>() else { return invalid() };
    let user = match server.store.read(|sql| sql.user(&name)) {
        Ok(user) => user,
        Err(error) => return OAuthError::from(error).into_response(),
    };
    let Some(user) = user.filter(|user| user.state == UserState::Enabled) else { return invalid() };
    let wants = |names: &[&str]| names.iter().any(|name| scopes.contains(name));
    let info = UserInfo {
        sub: user.name.to_string(),
        fhir_user: user.fhir_user.filter(|_| wants(&["fhirUser", "profile"])).map(Into::into),
        email: user.email.filter(|_| wants(&["email"])),
    };
    let mut response = Json(info).into_response();
    no_store(response.headers_mut());
    response
}

fn challenge(status: StatusCode, value: &'static str) -> Response {
    (status, [(header::WWW_AUTHENTICATE, HeaderValue::from_static(value))]).into_response()
}
