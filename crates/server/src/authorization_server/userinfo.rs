//! Who the token speaks of. OpenID Connect Core sections 5.3 and 5.5.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use chartgate_access::client::Client;
use chartgate_access::ids::{ClientId, GrantId, Subject};
use chartgate_access::principal::UserState;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oidc::claims_request::AskedClaim;
use http::{HeaderMap, Method, header};
use serde::Serialize;

use super::AuthorizationServer;
use super::error::{OAuthError, no_store};
use super::for_client::{Wanted, jwt_for};
use super::protected::Protected;
use crate::live::proofs::Place;
use crate::live::tokens::Believed;
use crate::net::access_token::DPOP_NONCE;
use crate::net::origin::Origin;

/// The same as a JWT: section 5.3.2.
#[derive(Serialize)]
struct SignedUserInfo {
    iss: String,
    aud: String,
    #[serde(flatten)]
    info: UserInfo,
}

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
    method: Method,
    headers: HeaderMap,
) -> Response {
    let place = Place { door: &origin.door, method: method.as_str(), path: "/userinfo" };
    let request = Protected::new(&server, &origin, &headers, place);
    let Believed { claims, next_nonce, .. } = match request.shown(ExpectedAudience::Any) {
        Ok(believed) => believed,
        Err(refusal) => return *refusal,
    };
    let Ok(client) = claims.client_id.as_str().parse::<ClientId>() else { return request.invalid() };
    // It may have less by now than when the token was issued.
    let client = match server.documents.in_force(&client) {
        Ok(Some(client)) => client,
        Ok(None) => return request.invalid(),
        Err(error) => return OAuthError::from(error).into_response(),
    };
    let scope = client.grantable(&claims.scope);
    let scopes: Vec<&str> = scope.iter().collect();
    if !scopes.contains(&"openid") {
        return request.lacks_scope("openid");
    }
    let Ok(name) = claims.sub.as_str().parse::<Subject>() else { return request.invalid() };
    let user = match server.store.read(|sql| sql.user(&name)) {
        Ok(user) => user,
        Err(error) => return OAuthError::from(error).into_response(),
    };
    let Some(user) = user.filter(|user| user.state == UserState::Enabled) else { return request.invalid() };
    let grant = claims.grant_id.as_ref().and_then(|id| id.as_str().parse::<GrantId>().ok());
    let grant = match grant.map(|id| server.store.read(|sql| sql.live_grant(&id))).transpose() {
        Ok(grant) => grant.flatten(),
        Err(error) => return OAuthError::from(error).into_response(),
    };
    // What another client asked for is not for whoever exchanged its token.
    let grant = grant.filter(|grant| grant.client_id.as_str() == claims.client_id.as_str());
    let by_name = client.claims_within(grant.map(|grant| grant.claims).unwrap_or_default()).userinfo;
    let asked = |claim| by_name.contains(&claim);
    let wants = |names: &[&str]| names.iter().any(|name| scopes.contains(name));
    let info = UserInfo {
        sub: user.name.to_string(),
        fhir_user: user
            .fhir_user
            .filter(|_| wants(&["fhirUser", "profile"]) || asked(AskedClaim::FhirUser))
            .map(Into::into),
        email: user.email.filter(|_| wants(&["email"]) || asked(AskedClaim::Email)),
    };
    let mut response = told(&server, &client, info).await;
    no_store(response.headers_mut());
    if let Some(nonce) = next_nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

/// What is told, as the client wants it.
async fn told(server: &AuthorizationServer, client: &Client, info: UserInfo) -> Response {
    let responses = &client.options.responses;
    let (signed, encrypted) = (responses.userinfo_signed_response_alg, responses.userinfo_encrypted_response);
    if signed.is_none() && encrypted.is_none() {
        return Json(info).into_response();
    }
    let claims = SignedUserInfo { iss: server.issuer.clone(), aud: client.client_id.to_string(), info };
    match jwt_for(server, client, "JWT", &claims, Wanted { signed, encrypted }).await {
        Ok(jwt) => ([(header::CONTENT_TYPE, "application/jwt")], jwt).into_response(),
        Err(error) => {
            tracing::error!(%error, "userinfo");
            OAuthError::new(ErrorCode::ServerError, "the answer cannot be made").into_response()
        }
    }
}
