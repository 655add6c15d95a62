//! A client asks a person who sits elsewhere. OpenID Connect CIBA Core section 7; ATTACKS O19, O20.

use std::time::Duration;

use axum::Json;
use axum::response::Response;
use chartgate_access::approval::known::{Acquaintance, NeverSeen};
use chartgate_access::approval::question::Question;
use chartgate_access::client::{Client, GrantType};
use chartgate_access::grant::backchannel::{
    BackchannelRequest, LONGEST_WAIT, SHORTEST_WAIT, grantable_without_pages,
};
use chartgate_access::grant::polling::{POLL_INTERVAL, Polled};
use chartgate_access::ids::Subject;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oidc::ciba::{
    BackchannelAuthenticationRequest, BackchannelAuthenticationResponse, Hint,
};
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::client_request::{Posted, ProvenRequest, admit_unproven, check_purpose, turn_down};
use super::error::{OAuthError, answer};
use super::request_object::{self, NoRequest};
use super::sender::{NextNonce, Sender};
use super::token::workload;
use super::{AuthorizationServer, audience};
use crate::live::approvals::questions::fresh_id;
use crate::live::hints;
use crate::store::StoreError;
use crate::store::sign_in_approvals::Asked;

pub(super) async fn post(posted: Posted) -> Response {
    let outcome = begin(&posted).await.map(|(nonce, answer)| (nonce, Json(answer)));
    // CIBA Core section 13; the token endpoint has 400 for it (RFC 8628 section 3.5).
    let is_denied = matches!(&outcome, Err(error) if error.code == ErrorCode::AccessDenied);
    let mut response = answer(outcome);
    if is_denied {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}

async fn begin(posted: &Posted) -> Result<(NextNonce, BackchannelAuthenticationResponse), OAuthError> {
    let ProvenRequest { client, form, sender } =
        ProvenRequest::read(posted, "/backchannel-authentication").await?;
    let Posted { server, origin, .. } = posted;
    admit_unproven(server, origin, &client)?;
    let now = server.clock.now();
    let mut record = origin.record(Event::ApprovalRequested, Outcome::Allow, now);
    record.actor = workload(&client);
    let auth_req_id = fresh_id();
    // CIBA Core section 13 has one code for whatever is wrong with an object.
    let malformed = |cause: NoRequest| match cause {
        NoRequest::Unavailable => OAuthError::unavailable(),
        other => OAuthError::new(ErrorCode::InvalidRequest, other.to_string()),
    };
    let opened = if client.grant_types.contains(&GrantType::Ciba) {
        request_object::open_question(server, &client, &form).await.map_err(malformed)
    } else {
        Err(OAuthError::new(ErrorCode::UnauthorizedClient, "the client may not use this grant"))
    };
    let checked = opened.and_then(|form| check(server, &client, &form, sender, &auth_req_id, now));
    let (request, user, nonce) = match checked {
        Ok(checked) => checked,
        Err(error) => return Err(turn_down(server, record, error).await),
    };
    let request = BackchannelRequest { asked_from: Some(origin.ip), ..request };
    let own_record = user.fhir_user.as_ref().and_then(|own| own.patient());
    let question = Question::of_client(&auth_req_id, &request, own_record);
    record.resource = Some(Phi::new(auth_req_id.clone()));
    for (name, value) in [
        ("user", Some(request.subject.to_string())),
        ("scope", Some(request.scope.to_string())),
        ("audience", Some(request.audience.clone())),
        ("binding_message", request.binding_message.clone()),
    ] {
        record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
    }
    record.detail.extend(question.told().map(|(name, value)| (name.to_owned(), Phi::new(value))));
    let (expires_in, acquaintance) = (request.expires_at.since(now).as_secs(), request.acquaintance);
    if acquaintance == Acquaintance::NeverUsed {
        record.detail.insert("not_woken".to_owned(), Phi::new(NeverSeen::Client.code().to_owned()));
    }
    server.outbox.may_give()?;
    let id = auth_req_id.clone();
    let asked = server.store.write(move |sql| sql.add_backchannel_request(&id, &request)).await;
    match asked.map_err(|e: StoreError| OAuthError::from(e))? {
        Asked::Yes => {}
        Asked::No(flood) => {
            record.detail.insert("flood".to_owned(), Phi::new(flood.code().to_owned()));
            let error = OAuthError::new(ErrorCode::AccessDenied, flood.to_string());
            return Err(turn_down(server, record, error).await);
        }
    }
    let answer = BackchannelAuthenticationResponse {
        auth_req_id: auth_req_id.clone(),
        expires_in,
        interval: POLL_INTERVAL.as_secs(),
    };
    let recorded = server.journal.append(&record, Withheld::new(answer)).await?;
    server.approvals.put_of_client(&user.name, &auth_req_id, acquaintance).await?;
    Ok((nonce, Withheld::release(recorded)))
}

/// Whether this client may ask this person for this.
fn check(
    server: &AuthorizationServer,
    client: &Client,
    form: &Form,
    sender: Result<Sender, ProofError>,
    auth_req_id: &str,
    now: Timestamp,
) -> Result<(BackchannelRequest, User, NextNonce), OAuthError> {
    let sender = sender?;
    if form.get("authorization_details").is_some() {
        let description = "authorization_details are asked for at the authorization endpoint";
        return Err(OAuthError::new(ErrorCode::InvalidAuthorizationDetails, description));
    }
    let request =
        BackchannelAuthenticationRequest::read(form).map_err(|e| OAuthError::new(e.code(), e.to_string()))?;
    check_purpose(request.purpose_of_use)?;
    let notified = client.options.backchannel_client_notification_endpoint.is_some();
    if notified != request.client_notification_token.is_some() {
        let description = "client_notification_token is for clients that are pinged, and they need it";
        return Err(OAuthError::new(ErrorCode::InvalidRequest, description));
    }
    let user = find(server, client, &request.hint, now)?;
    let scope = grantable_without_pages(&client.grantable(&request.scope), &user);
    if !scope.contains("openid") {
        let description = "the client is not registered for openid";
        return Err(OAuthError::new(ErrorCode::InvalidScope, description));
    }
    let audience = audience::resolve(server, client, request.resource.as_deref(), &scope)
        .map_err(|e| OAuthError::new(ErrorCode::InvalidTarget, e.to_string()))?;
    let notification_token = match &request.client_notification_token {
        Some(token) => Some(server.approvals.seal(auth_req_id, token).ok_or_else(OAuthError::unavailable)?),
        None => None,
    };
    let used_at = server.store.read(|sql| sql.client_used_at(&user.name, &client.client_id))?;
    sender.use_up_early(server, client)?;
    let wait = request.requested_expiry.map(|seconds| Duration::from_secs(seconds.into()));
    let request = BackchannelRequest {
        client_id: client.client_id.clone(),
        subject: user.name.clone(),
        acquaintance: Acquaintance::of(used_at, now),
        scope,
        audience,
        purpose_of_use: request.purpose_of_use,
        binding_message: request.binding_message,
        dpop_jkt: sender.key().cloned(),
        notification_token,
        asked_from: None,
        asked_at: now,
        expires_at: now.plus(wait.map_or(LONGEST_WAIT, |wait| wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))),
        polled: Polled::default(),
    };
    Ok((request, user, sender.next_nonce(server)))
}

/// The person whom a client means. Who may not sign in is nobody, as is who never was.
fn find(
    server: &AuthorizationServer,
    client: &Client,
    hint: &Hint,
    now: Timestamp,
) -> Result<User, OAuthError> {
    let nobody = || OAuthError::new(ErrorCode::UnknownUserId, "nobody is meant by the hint");
    let name: Subject = match hint {
        Hint::Login(name) => name.parse().map_err(|_| nobody())?,
        Hint::IdToken(token) => {
            let own = ExpectedAudience::OneOf(vec![client.client_id.to_string()]);
            let verified = hints::read(&server.issuer, &server.keys, own, token.expose(), now);
            let invalid =
                || OAuthError::new(ErrorCode::InvalidRequest, "id_token_hint is no ID token of this client");
            verified.ok_or_else(invalid)?.sub.as_str().parse().map_err(|_| nobody())?
        }
    };
    let user = server.store.read(|sql| sql.user(&name))?.ok_or_else(nobody)?;
    match user.state {
        UserState::Enabled => Ok(user),
        UserState::Disabled => Err(nobody()),
    }
}
