//! Token revocation. RFC 7009.
//!
//! An access token is cut off by its `jti`; a refresh token takes its grant with it, and with that all that it issued.
//! A token of another client, or of nobody, changes nothing and is answered alike.

use axum::response::Response;
use chartgate_access::client::Client;
use chartgate_access::permit::Withheld;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::oauth::token::RevocationRequest;
use http::StatusCode;

use super::AuthorizationServer;
use super::client_request::{ClientRequest, Posted, admit_unproven};
use super::error::{OAuthError, answer};
use super::token::describe_grant;
use crate::live::outbox::Change;
use crate::live::tokens::Claimant;

pub(super) async fn post(posted: Posted) -> Response {
    answer(revoke(&posted).await.map(|()| StatusCode::OK))
}

async fn revoke(posted: &Posted) -> Result<(), OAuthError> {
    let ClientRequest { client, form } = ClientRequest::read(posted).await?;
    let Posted { server, origin, .. } = posted;
    let request = RevocationRequest::read(&form).map_err(|e| OAuthError::new(e.code(), e.to_string()))?;
    let token = request.token.expose();
    let mut record = origin.record(Event::TokenRevoked, Outcome::Allow, server.clock.now());
    record.actor.client_id = Some(client.client_id.to_string());
    if let Some(cut_offs) = what_to_cut(server, &client, token, &mut record)? {
        let grant = record.grant.clone();
        let revoked = server.outbox.commit(move |sql, now| {
            if let Some(id) = grant.and_then(|id| id.parse().ok())
                && cut_offs.iter().any(|c| matches!(c, CutOff::UpTo { target: Target::Grant(_), .. }))
            {
                sql.revoke_grant(&id, now)?;
            }
            let cut = cut_offs.into_iter().map(|cut_off| cut_off.at(now));
            Ok::<_, OAuthError>(Change::told_by((), [record]).cutting(cut))
        });
        return revoked.await;
    }
    admit_unproven(server, origin, &client)?;
    record.outcome = Outcome::Deny;
    record.decision.reason = Some("unknown-token".to_owned());
    let recorded = server.journal.append(&record, Withheld::new(())).await?;
    Withheld::release(recorded);
    Ok(())
}

/// What a client's own token takes with it.
fn what_to_cut(
    server: &AuthorizationServer,
    client: &Client,
    token: &str,
    record: &mut Record,
) -> Result<Option<Vec<CutOff>>, OAuthError> {
    let now = server.clock.now();
    if let Some(stored) = server.refresh_token(token)? {
        if stored.token.client_id != client.client_id {
            return Ok(None);
        }
        // What is over already is not ended again: each end is told to everybody who follows.
        let Some(grant) = server.store.read(|sql| sql.live_grant(&stored.grant))? else { return Ok(None) };
        describe_grant(record, &grant);
        record.grant = Some(stored.grant.to_string());
        return Ok(Some(vec![CutOff::UpTo { target: Target::Grant(stored.grant), not_before: now }]));
    }
    // One that is cut off already, or whose session is over, is as good as unknown.
    let Ok(claimant) = server.own_tokens.look(token) else { return Ok(None) };
    let Claimant { claims, traits } = &*claimant;
    if traits.client_id != client.client_id {
        return Ok(None);
    }
    record.actor.sub = Some(claims.sub.to_string());
    record.jti = Some(claims.jti.to_string());
    record.session = claims.sid.as_ref().map(ToString::to_string);
    Ok(Some(vec![CutOff::Token { jti: traits.jti.clone(), expires_at: claims.exp.timestamp() }]))
}
