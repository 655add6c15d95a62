//! Who the token speaks of. OpenID Connect Core section 5.3.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use chartgate_access::ids::Subject;
use chartgate_access::principal::UserState;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::dpop::{CredentialsError, ProofError};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;

use super::AuthorizationServer;
use super::error::{OAuthError, no_store};
use crate::live::proofs::{self, Place};
use crate::live::tokens::{Believed, NotBelieved, Showing};
use crate::net::access_token::{DPOP_NONCE, Scheme, read};
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
    method: Method,
    headers: HeaderMap,
) -> Response {
    let refusal = Refusal { server: &server, scheme: Scheme::of(&read(&headers)) };
    let invalid = || {
        server.throttle.count(origin.ip);
        refusal.answer(StatusCode::UNAUTHORIZED, &[("error", "invalid_token")])
    };
    let showing = Showing { headers: &headers, place: Place { method: method.as_str(), path: "/userinfo" } };
    let Believed { claims, next_nonce } = match server.own_tokens.shown(showing, ExpectedAudience::Any) {
        Ok(believed) => believed,
        Err(NotBelieved::NotShown(CredentialsError::Missing)) => {
            return refusal.answer(StatusCode::UNAUTHORIZED, &[]);
        }
        Err(NotBelieved::NotShown(CredentialsError::Malformed)) => {
            return refusal.answer(StatusCode::BAD_REQUEST, &[("error", "invalid_request")]);
        }
        Err(NotBelieved::NotShown(CredentialsError::Proof(cause)) | NotBelieved::Proof(cause)) => {
            server.throttle.count(origin.ip);
            return refusal.of_proof(cause);
        }
        Err(
            NotBelieved::Rejected(_)
            | NotBelieved::ForeignClaims
            | NotBelieved::Revoked(_)
            | NotBelieved::SessionOver,
        ) => return invalid(),
    };
    let scopes: Vec<&str> = claims.scope.iter().collect();
    if !scopes.contains(&"openid") {
        let error = [("error", "insufficient_scope"), ("scope", "openid")];
        return refusal.answer(StatusCode::FORBIDDEN, &error);
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
    if let Some(nonce) = next_nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

/// How nobody is answered, by the scheme that they tried.
struct Refusal<'a> {
    server: &'a AuthorizationServer,
    scheme: Scheme,
}

impl Refusal<'_> {
    fn answer(&self, status: StatusCode, error: &[(&str, &str)]) -> Response {
        let mut response = status.into_response();
        for challenge in proofs::challenges(self.scheme, error, &[]) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn of_proof(&self, cause: ProofError) -> Response {
        let mut response = self.answer(StatusCode::UNAUTHORIZED, &[("error", cause.code().as_str())]);
        if let Some(nonce) = self.server.proofs.next_nonce(Err(cause), self.server.clock.now()) {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
        response
    }
}
