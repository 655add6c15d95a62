//! The token endpoint. RFC 6749 section 3.2.
//!
//! Whatever the grant: the client proves who it is, the store consumes what can be used once, `may_issue` is asked, the
//! record becomes durable, and only then does the answer leave.

mod authorization_code;
mod client_credentials;
mod device_code;
mod for_person;
mod refresh_token;
mod token_exchange;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::response::Response;
use chartgate_access::client::Client;
use chartgate_access::grant::Grant;
use chartgate_access::ids::Jti;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::User;
use chartgate_access::session::Session;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::jose::claims::Actor as TokenActor;
use chartgate_protocol::jose::{Algorithm, jws};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::token::{TokenRequest, TokenResponse};
use chartgate_values::{Phi, Timestamp};
use http::HeaderMap;

use super::AuthorizationServer;
use super::client_request::{self, ClientRequest};
use super::error::{OAuthError, answer};
use crate::live::tokens::delegates;
use crate::net::origin::Origin;
use crate::store::StoreError;

/// A token request that is refused: why, for the record, and what the client gets.
pub(super) struct Denied {
    /// A stable code.
    reason: &'static str,
    event: Event,
    /// What is known of the grant that was tried.
    grant: Option<Box<Grant>>,
    error: OAuthError,
}

/// A token answer with the record that has to be durable before it leaves.
pub(super) struct Issued {
    answer: TokenResponse,
    record: Record,
}

pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(redeem(&server, &origin, &headers, &body).await.map(Json))
}

async fn redeem(
    server: &AuthorizationServer,
    origin: &Origin,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<TokenResponse, OAuthError> {
    let ClientRequest { client, form } = ClientRequest::read(server, origin, headers, body).await?;
    let outcome = match TokenRequest::read(&form) {
        Ok(TokenRequest::AuthorizationCode { code, redirect_uri, code_verifier }) => {
            authorization_code::redeem(server, origin, &client, &code, &redirect_uri, &code_verifier).await
        }
        Ok(TokenRequest::RefreshToken { refresh_token, scope }) => {
            refresh_token::redeem(server, origin, &client, &refresh_token, scope).await
        }
        Ok(TokenRequest::DeviceCode { device_code }) => {
            device_code::redeem(server, origin, &client, &device_code).await
        }
        Ok(TokenRequest::TokenExchange(request)) => {
            token_exchange::redeem(server, origin, &client, *request).await
        }
        Ok(TokenRequest::ClientCredentials { scope, resource }) => {
            client_credentials::redeem(server, origin, &client, scope, resource.as_deref()).await
        }
        Err(error) => Err(Denied::new("bad-request", OAuthError::new(error.code(), error.to_string()))),
    };
    match outcome {
        Ok(Issued { answer, record }) => {
            let recorded = server.journal.append(&record, Withheld::new(answer)).await?;
            Ok(Withheld::release(recorded))
        }
        // A device that is told to ask again: nothing was decided, so there is nothing to record.
        Err(denied) if denied.is_to_be_asked_again() => Err(denied.error),
        Err(denied) => {
            client_request::admit_unproven(server, origin, &client)?;
            let record = denied.record(origin, &client, server.clock.now());
            let recorded = server.journal.append(&record, Withheld::new(denied.error)).await?;
            Err(Withheld::release(recorded))
        }
    }
}

impl Denied {
    fn new(reason: &'static str, error: OAuthError) -> Self {
        Self { reason, event: Event::TokenDenied, grant: None, error }
    }

    fn is_to_be_asked_again(&self) -> bool {
        matches!(self.error.code, ErrorCode::AuthorizationPending | ErrorCode::SlowDown)
    }

    fn of(self, grant: Grant) -> Self {
        Self { grant: Some(Box::new(grant)), ..self }
    }

    fn record(&self, origin: &Origin, client: &Client, now: Timestamp) -> Record {
        let mut record = origin.record(self.event, Outcome::Deny, now);
        record.decision.reason = Some(self.reason.to_owned());
        match &self.grant {
            Some(grant) => {
                describe_grant(&mut record, grant);
                record.actor.client_id = Some(client.client_id.to_string());
            }
            None => record.actor = workload(client),
        }
        record
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::new("store-unavailable", error.into())
    }
}

/// What a record says of a grant.
pub(super) fn describe_grant(record: &mut Record, grant: &Grant) {
    record.actor = Actor {
        sub: Some(grant.subject.to_string()),
        client_id: Some(grant.client_id.to_string()),
        kind: ActorKind::Human,
        ..Actor::default()
    };
    record.session = grant.session.as_ref().map(ToString::to_string);
    record.grant = Some(grant.id.to_string());
    record.patients = grant.patient.iter().map(|patient| Phi::new(patient.to_string())).collect();
    record.amr = grant.amr.clone();
    record.auth_time = Some(grant.auth_time);
    record.detail.insert("audience".to_owned(), Phi::new(grant.audience.clone()));
}

/// What a record says of a token that others act by.
fn describe_chain(record: &mut Record, act: Option<&TokenActor>) {
    record.on_behalf_of = delegates(act);
    if act.is_some() {
        record.actor.kind = ActorKind::Agent;
    }
}

/// What a record says of a client that acts for itself.
pub(super) fn workload(client: &Client) -> Actor {
    Actor {
        sub: Some(client.client_id.to_string()),
        client_id: Some(client.client_id.to_string()),
        kind: ActorKind::Workload,
        ..Actor::default()
    }
}

/// The person and session of a grant as they are now.
struct Holder {
    user: Option<User>,
    session: Option<Session>,
}

impl Holder {
    fn find(server: &AuthorizationServer, grant: &Grant) -> Result<Self, StoreError> {
        server.store.read(|sql| {
            let user = sql.user(&grant.subject)?;
            let session = grant.session.as_ref().map(|id| sql.session(id)).transpose()?.flatten();
            Ok(Self { user, session })
        })
    }
}

/// Signs claims of a token of ours.
fn sign(server: &AuthorizationServer, typ: &str, claims: &impl serde::Serialize) -> Result<String, Denied> {
    sign_with(server, None, typ, claims)
}

/// The same with an algorithm that a client asked for.
fn sign_with(
    server: &AuthorizationServer,
    algorithm: Option<Algorithm>,
    typ: &str,
    claims: &impl serde::Serialize,
) -> Result<String, Denied> {
    let failed = || Denied::new("signing-failed", OAuthError::new(ErrorCode::ServerError, "signing failed"));
    let ring = server.keys.current();
    let key = algorithm.map_or(Some(&ring.signing), |algorithm| ring.signing_with(algorithm));
    let key = key.ok_or_else(failed)?;
    jws::sign(key, typ, claims).map_err(|error| {
        tracing::error!(%error, "signing");
        failed()
    })
}

fn fresh_jti() -> Jti {
    Jti::random(&mut crate::entropy::SystemEntropy)
}
