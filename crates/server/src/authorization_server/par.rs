//! Pushed authorization requests. RFC 9126, RFC 9101, RFC 9449 section 10.1; ATTACKS O22.
//!
//! A client sends its request itself, having shown who it is, and its person's browser brings only the name: nobody on
//! the way can read or change it. It is checked as any request is, and kept as what was understood of it.

use axum::Json;
use axum::response::Response;
use chartgate_access::client::Client;
use chartgate_access::grant::authorization_code::{PUSHED_LIFE, PendingAuthorization};
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::dpop::{ProofError, check_announced};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::pushed::{PushedResponse, PushedUri};
use chartgate_values::Phi;
use http::StatusCode;

use super::authorize::Came;
use super::client_request::{Posted, ProvenRequest, admit_unproven, turn_down};
use super::error::{OAuthError, answer};
use super::sender::{NextNonce, Sender};
use super::token::{describe_details, workload};
use super::{AuthorizationServer, authorize, request_object};
use crate::entropy::{digest_of, opaque_secret};
use crate::store::StoreError;

pub(super) async fn post(posted: Posted) -> Response {
    let pushed = push(&posted).await;
    answer(pushed.map(|(nonce, answer)| (StatusCode::CREATED, nonce, Json(answer))))
}

async fn push(posted: &Posted) -> Result<(NextNonce, PushedResponse), OAuthError> {
    let ProvenRequest { client, form, sender } = ProvenRequest::read(posted, "/par").await?;
    let Posted { server, origin, .. } = posted;
    // Whoever may push can make entries and records without end: a public client is anybody.
    admit_unproven(server, origin, &client)?;
    let mut record = origin.record(Event::RequestPushed, Outcome::Allow, server.clock.now());
    record.actor = workload(&client);
    let (pending, nonce) = match check(server, &client, &form, sender).await {
        Ok(checked) => checked,
        Err(error) => return Err(turn_down(server, record, error).await),
    };
    record.detail.insert("scope".to_owned(), Phi::new(pending.scope.to_string()));
    record.detail.insert("audience".to_owned(), Phi::new(pending.audience.clone()));
    describe_details(&mut record, &pending.authorization_details);
    server.outbox.may_give()?;
    let uri = PushedUri::of(opaque_secret());
    let digest = digest_of(uri.secret());
    let kept = server.store.write(move |sql| sql.add_pushed_request(&digest, &pending)).await;
    kept.map_err(|e: StoreError| OAuthError::from(e))?;
    let answer = PushedResponse { request_uri: uri.to_uri(), expires_in: PUSHED_LIFE.as_secs() };
    let recorded = server.journal.append(&record, Withheld::new(answer)).await?;
    Ok((nonce, Withheld::release(recorded)))
}

async fn check(
    server: &AuthorizationServer,
    client: &Client,
    form: &Form,
    sender: Result<Sender, ProofError>,
) -> Result<(PendingAuthorization, NextNonce), OAuthError> {
    let sender = sender?;
    let invalid = |description: &str| OAuthError::new(ErrorCode::InvalidRequest, description);
    // RFC 9126 section 2.1: no request within a request.
    if form.get("request_uri").is_some() {
        return Err(invalid("a pushed request names no other"));
    }
    let request = request_object::open(server, client, form)
        .await
        .map_err(|cause| OAuthError::new(cause.code(), cause.to_string()))?;
    let redirect_uri = request.get("redirect_uri").ok_or_else(|| invalid("redirect_uri is missing"))?;
    if !client.redirects_to(redirect_uri) {
        return Err(invalid("redirect_uri is not registered"));
    }
    let mut pending = authorize::check(server, client, redirect_uri, &request, Came::Pushed)
        .await
        .map_err(|(code, description)| OAuthError::new(code, description))?;
    if let Some(key) = sender.key() {
        // RFC 9449 section 10.1: named twice, it is the same key.
        check_announced(pending.dpop_jkt.as_ref(), Some(key))?;
        pending.dpop_jkt = Some(key.clone());
        sender.use_up_early(server, client)?;
    }
    Ok((pending, sender.next_nonce(server)))
}
