//! How every request of a client begins: a form, and a client that proves who it is. RFC 6749 sections 2.3 and 3.2.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, FromRequest, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use chartgate_access::client::{AuthMethod, Client};
use chartgate_access::ids::ClientId;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::Timestamp;
use http::{HeaderMap, header};

use super::AuthorizationServer;
use super::authenticate_client::{NotAuthenticated, authenticate_client};
use super::error::OAuthError;
use super::sender::Sender;
use crate::net::origin::Origin;
use crate::net::reserve::KeptForOthers;

/// What somebody posted to an endpoint for clients, before it is read.
pub(super) struct Posted {
    pub(super) server: Arc<AuthorizationServer>,
    pub(super) origin: Origin,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl FromRequest<Arc<AuthorizationServer>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, server: &Arc<AuthorizationServer>) -> Result<Self, Response> {
        let (mut head, body) = request.into_parts();
        let origin = Extension::<Origin>::from_request_parts(&mut head, server).await;
        let Extension(origin) = origin.map_err(|missing| missing.into_response())?;
        let headers = std::mem::take(&mut head.headers);
        let body = Bytes::from_request(Request::from_parts(head, body), server).await;
        let body = body.map_err(|broken| broken.into_response())?;
        Ok(Self { server: Arc::clone(server), origin, headers, body })
    }
}

/// What a client sent, once it has shown who it is.
pub(super) struct ClientRequest {
    pub(super) client: Arc<Client>,
    pub(super) form: Form,
}

/// The same of a request that tokens may come of, with what its sender proved to have.
pub(super) struct ProvenRequest {
    pub(super) client: Arc<Client>,
    pub(super) form: Form,
    /// A proof that is not good is the client's, once it is known.
    pub(super) sender: Result<Sender, ProofError>,
}

impl ProvenRequest {
    /// Reads proof and form, and authenticates the client. Whoever has no nonce is told it before anything is used up that
    /// is good once, such as a client assertion.
    ///
    /// # Errors
    /// What the caller is answered.
    pub(super) async fn read(posted: &Posted, path: &str) -> Result<Self, OAuthError> {
        let Posted { server, origin, headers, .. } = posted;
        let now = server.clock.now();
        let sender = Sender::read(server, origin, path, headers, now);
        if let Err(cause @ ProofError::Nonce) = sender {
            server.throttle.count(origin.ip);
            let nonce = server.proofs.next_nonce(Err(cause), now);
            return Err(OAuthError { nonce, ..cause.into() });
        }
        let ClientRequest { client, form } = ClientRequest::read(posted).await?;
        Ok(Self { client, form, sender })
    }
}

impl ClientRequest {
    /// Reads the form and authenticates the client. One that fails is recorded, and counted against its address.
    ///
    /// # Errors
    /// What the caller is answered.
    pub(super) async fn read(posted: &Posted) -> Result<Self, OAuthError> {
        let Posted { server, origin, headers, body } = posted;
        let form = form(headers, body)?;
        let now = server.clock.now();
        match authenticate_client(server, origin, headers, &form, now).await {
            Ok(client) => Ok(Self { client, form }),
            Err(failure) => Err(record_stranger(server, origin, failure, now).await),
        }
    }
}

/// Before anything is kept or recorded for a client that fails, or that may make entries without end: anybody can say that
/// they are a public client, or make one, so those are counted, and turned away while the disk's reserve is touched.
///
/// # Errors
/// [`KeptForOthers`].
pub(super) fn admit_unproven(
    server: &AuthorizationServer,
    origin: &Origin,
    client: &Client,
) -> Result<(), KeptForOthers> {
    if client.is_self_registered() || client.token_endpoint_auth_method == AuthMethod::None {
        return admit_stranger(server, origin);
    }
    Ok(())
}

/// The same for whoever has nobody's word.
///
/// # Errors
/// [`KeptForOthers`].
pub(super) fn admit_stranger(server: &AuthorizationServer, origin: &Origin) -> Result<(), KeptForOthers> {
    server.throttle.count(origin.ip);
    server.throttle.reserve.admit_stranger()
}

/// Ends a client's request that may not be: the answer, once its record is durable.
pub(super) async fn turn_down(
    server: &AuthorizationServer,
    mut record: Record,
    error: OAuthError,
) -> OAuthError {
    record.outcome = Outcome::Deny;
    record.decision.reason = Some(error.code.as_str().to_owned());
    match server.journal.append(&record, Withheld::new(error)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(unrecorded) => unrecorded.into(),
    }
}

/// The form of a request that says it is one.
pub(super) fn form(headers: &HeaderMap, body: &[u8]) -> Result<Form, OAuthError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        let description = "the body has to be application/x-www-form-urlencoded";
        return Err(OAuthError::new(ErrorCode::InvalidRequest, description));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| OAuthError::new(ErrorCode::InvalidRequest, "the body is not UTF-8"))?;
    Ok(Form::parse(text)?)
}

/// A client that did not prove who it is: recorded, and counted against its address.
async fn record_stranger(
    server: &AuthorizationServer,
    origin: &Origin,
    failure: NotAuthenticated,
    now: Timestamp,
) -> OAuthError {
    server.throttle.count(origin.ip);
    if let Err(kept) = server.throttle.reserve.admit_stranger() {
        return kept.into();
    }
    let mut record = origin.record(Event::TokenDenied, Outcome::Deny, now);
    record.decision.reason = Some(failure.reason.to_owned());
    // A name that is nobody's is not written down: it may be a secret in the wrong place.
    let registered = |id: &ClientId| server.store.registered(id).is_ok_and(|found| found.is_some());
    let claimed = failure.claimed.and_then(|claimed| claimed.parse().ok());
    record.actor.client_id = claimed.filter(registered).map(Into::into);
    match server.journal.append(&record, Withheld::new(failure.error)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => error.into(),
    }
}

/// Purposes of emergencies come with emergency access alone.
pub(super) fn check_purpose(asked: Option<PurposeOfUse>) -> Result<(), OAuthError> {
    if asked.is_some_and(PurposeOfUse::is_of_emergencies) {
        let description = "that purpose_of_use comes with emergency access alone";
        return Err(OAuthError::new(ErrorCode::InvalidRequest, description));
    }
    Ok(())
}
