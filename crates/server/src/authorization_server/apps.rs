//! What applications hold for a person, for an application that the person trusts with it: seen and taken away by a token
//! with the scope `account.apps`, good for ourselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use chartgate_access::ids::{ClientId, Subject};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_values::Phi;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::AuthorizationServer;
use super::error::{OAuthError, no_store};
use super::protected::Protected;
use crate::live::proofs::Place;
use crate::live::tokens::Believed;
use crate::net::origin::Origin;

/// What a token has to be granted.
pub(crate) const SCOPE: &str = "account.apps";
const PATH: &str = "/account/api/apps";

pub(super) async fn list(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    let (subject, _) = match person(&server, &origin, &headers, "GET", PATH) {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    match server.apps.of(&subject) {
        Ok(apps) => {
            let mut response = Json(json!({ "apps": apps })).into_response();
            no_store(response.headers_mut());
            response
        }
        Err(error) => OAuthError::from(error).into_response(),
    }
}

pub(super) async fn disconnect(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    Path(client): Path<String>,
    headers: HeaderMap,
) -> Response {
    end(&server, &origin, &headers, &format!("{PATH}/{client}"), &client).await
}

/// The same by `client_id` in the query, for a client that is called by its address: no path with one reading holds it.
pub(super) async fn disconnect_named(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = Form::parse(query.as_deref().unwrap_or_default()).unwrap_or_default();
    end(&server, &origin, &headers, PATH, form.get("client_id").unwrap_or_default()).await
}

async fn end(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    path: &str,
    client: &str,
) -> Response {
    let (subject, believed) = match person(server, origin, headers, "DELETE", path) {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let Ok(client) = client.parse::<ClientId>() else { return StatusCode::NOT_FOUND.into_response() };
    let mut record = origin.record(Event::AppDisconnected, Outcome::Allow, server.clock.now());
    record.action = Some("disconnect".to_owned());
    record.actor = Actor {
        sub: Some(subject.to_string()),
        client_id: Some(believed.claims.client_id.to_string()),
        kind: ActorKind::Human,
        ..Actor::default()
    };
    record.jti = Some(believed.claims.jti.to_string());
    record.resource = Some(Phi::new(client.to_string()));
    match server.apps.disconnect::<OAuthError>(&subject, &client, record).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    }
}

/// Whose token it is.
fn person(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    method: &str,
    path: &str,
) -> Result<(Subject, Believed), Box<Response>> {
    let request = Protected::new(server, origin, headers, Place { door: &origin.door, method, path });
    let believed = request.shown(ExpectedAudience::OneOf(vec![server.issuer.clone()]))?;
    if !believed.claims.scope.contains(SCOPE) {
        return Err(Box::new(request.lacks_scope(SCOPE)));
    }
    match believed.claims.sub.as_str().parse() {
        Ok(subject) => Ok((subject, believed)),
        Err(_) => Err(Box::new(request.invalid())),
    }
}
