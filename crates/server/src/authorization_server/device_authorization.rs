//! A device asks for its person. RFC 8628 sections 3.1 and 3.2.

use axum::Json;
use axum::response::Response;
use chartgate_access::client::{Client, GrantType};
use chartgate_access::grant::device::{DEVICE_LIFE, DeviceAuthorization};
use chartgate_access::grant::polling::{POLL_INTERVAL, Polled};
use chartgate_access::login::steps;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::device::{DeviceAuthorizationRequest, DeviceAuthorizationResponse, UserCode};
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_values::Phi;

use super::client_request::{Posted, ProvenRequest, admit_unproven, check_purpose, turn_down};
use super::error::{OAuthError, answer};
use super::sender::{NextNonce, Sender};
use super::token::workload;
use super::{AuthorizationServer, audience};
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::net::origin::Origin;
use crate::store::StoreError;
use crate::store::pending::Took;

pub(super) async fn post(posted: Posted) -> Response {
    answer(begin(&posted).await.map(|(nonce, answer)| (nonce, Json(answer))))
}

async fn begin(posted: &Posted) -> Result<(NextNonce, DeviceAuthorizationResponse), OAuthError> {
    let ProvenRequest { client, form, sender } = ProvenRequest::read(posted, "/device-authorization").await?;
    let Posted { server, origin, .. } = posted;
    // Whoever may ask can make entries and records without end: a public client is anybody.
    admit_unproven(server, origin, &client)?;
    let now = server.clock.now();
    let mut record = origin.record(Event::DeviceRequested, Outcome::Allow, now);
    record.actor = workload(&client);
    let (device, nonce) = match check(server, origin, &client, &form, sender) {
        Ok(checked) => checked,
        Err(error) => return Err(turn_down(server, record, error).await),
    };
    record.detail.insert("scope".to_owned(), Phi::new(device.scope.to_string()));
    record.detail.insert("audience".to_owned(), Phi::new(device.audience.clone()));
    server.outbox.may_give()?;
    let device_code = opaque_secret();
    let user_code = loop {
        let user_code = UserCode::draw(&mut SystemEntropy);
        let (digest, typed) = (digest_of(device_code.expose()), digest_of(user_code.to_string()));
        let kept = device.clone();
        let added = server.store.write(move |sql| sql.add_device(&digest, &typed, &kept)).await;
        match added.map_err(|e: StoreError| OAuthError::from(e))? {
            Took::It => break user_code,
            Took::Nothing => {}
        }
    };
    let answer = DeviceAuthorizationResponse {
        device_code: device_code.expose().clone(),
        user_code: user_code.to_string(),
        verification_uri: format!("{}/device", server.issuer),
        expires_in: DEVICE_LIFE.as_secs(),
        interval: POLL_INTERVAL.as_secs(),
    };
    let recorded = server.journal.append(&record, Withheld::new(answer)).await?;
    Ok((nonce, Withheld::release(recorded)))
}

/// Whether this client may ask for this.
fn check(
    server: &AuthorizationServer,
    origin: &Origin,
    client: &Client,
    form: &Form,
    sender: Result<Sender, ProofError>,
) -> Result<(DeviceAuthorization, NextNonce), OAuthError> {
    let sender = sender?;
    if !client.grant_types.contains(&GrantType::DeviceCode) {
        return Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the client may not use this grant"));
    }
    if form.get("authorization_details").is_some() {
        let description = "devices ask for scopes";
        return Err(OAuthError::new(ErrorCode::InvalidAuthorizationDetails, description));
    }
    let request =
        DeviceAuthorizationRequest::read(form).map_err(|e| OAuthError::new(e.code(), e.to_string()))?;
    check_purpose(request.purpose_of_use)?;
    let scope = client.grantable(request.scope.as_ref().unwrap_or(&client.scope));
    let scope = steps::grantable_by_a_person(&scope);
    if scope.is_empty() {
        let description = "none of the scopes can be granted to this client";
        return Err(OAuthError::new(ErrorCode::InvalidScope, description));
    }
    let audience = audience::resolve(server, client, request.resource.as_deref(), &scope)
        .map_err(|e| OAuthError::new(ErrorCode::InvalidTarget, e.to_string()))?;
    sender.use_up_early(server, client)?;
    let device = DeviceAuthorization {
        client_id: client.client_id.clone(),
        scope,
        audience,
        purpose_of_use: request.purpose_of_use,
        dpop_jkt: sender.key().cloned(),
        asked_from: origin.ip.to_string(),
        asked_at: server.clock.now(),
        polled: Polled::default(),
    };
    Ok((device, sender.next_nonce(server)))
}
