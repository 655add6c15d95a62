//! A token for a token. RFC 8693; ATTACKS O26.
//!
//! Tokens of ours alone, looked at as a route would; the new one is of the same grant and session, so that whatever ends
//! those ends it, and is remembered as come of the old one, so that whatever ends that ends it too.

use std::sync::Arc;

use chartgate_access::client::GrantType;
use chartgate_access::grant::Grant;
use chartgate_access::grant::token_exchange::{Exchange, ExchangeError, Exchanged};
use chartgate_access::token::access_token::Mint;
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::jose::claims::Confirmation;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::token::{TokenResponse, token_type};
use chartgate_protocol::oauth::token_exchange::{ACCESS_TOKEN, ExchangeRequest};
use chartgate_protocol::smart::launch::LaunchContext;
use chartgate_values::Phi;

use super::for_person::{Passed, are_shut_out, not_a_claim, pass_gate, refuse};
use super::sign::access_token;
use super::{
    Asking, Denied, Issued, OAuthError, describe_binding, describe_chain, describe_grant, fresh_jti,
};
use crate::authorization_server::AuthorizationServer;
use crate::live::tokens::Claimant;
use crate::store::exchanged_tokens::Part;

pub(super) async fn redeem(asking: Asking<'_>, request: ExchangeRequest) -> Result<Issued, Denied> {
    let Asking { server, client, .. } = asking;
    asking.may_use(GrantType::TokenExchange)?;
    server.outbox.may_give()?;
    let subject = believed(server, request.subject_token.expose(), "bad-subject-token")?;
    let actor = request.actor_token.as_ref();
    let actor = actor.map(|token| believed(server, token.expose(), "bad-actor-token")).transpose()?;
    let parent = &subject.traits;
    let grant = parent.grant.as_ref().map(|id| server.store.read(|sql| sql.live_grant(id))).transpose()?;
    let subject_client = server.store.read(|sql| sql.client(&parent.client_id))?;
    let Some(subject_client) = subject_client else { return Err(refuse("client-removed")) };
    let cnf = asking.bind()?;
    let exchange = Exchange {
        subject: &subject.claims,
        subject_client: &subject_client,
        actor: actor.as_ref().map(|actor| &actor.claims),
        by: client,
        cnf: cnf.as_ref(),
    };
    let exchanged =
        exchange.decide(request.scope.as_ref(), request.audience.as_deref()).map_err(not_exchanged)?;
    let Some(grant) = grant.flatten() else { return Err(refuse("grant-revoked")) };
    if grant.emergency.is_some() {
        let description = "emergency access is not passed on";
        let error = OAuthError::new(ErrorCode::InvalidRequest, description);
        return Err(Denied::new("emergency-not-passed-on", error).of(grant));
    }
    issue(asking, grant, exchanged, cnf, Parents { subject, actor }).await
}

/// What a new token comes of.
struct Parents {
    subject: Arc<Claimant>,
    actor: Option<Arc<Claimant>>,
}

/// A token of ours that is good now.
fn believed(
    server: &AuthorizationServer,
    token: &str,
    reason: &'static str,
) -> Result<Arc<Claimant>, Denied> {
    server.own_tokens.look(token).map_err(|_| {
        // RFC 8693 section 2.2.2.
        Denied::new(reason, OAuthError::new(ErrorCode::InvalidRequest, "a token is not valid"))
    })
}

async fn issue(
    asking: Asking<'_>,
    grant: Grant,
    exchanged: Exchanged,
    cnf: Option<Confirmation>,
    parents: Parents,
) -> Result<Issued, Denied> {
    let Asking { server, origin, client, .. } = asking;
    let Passed { now, user, gate, ttl } = pass_gate(server, client, &grant, GrantType::TokenExchange).await?;
    let ttl = ttl.min(exchanged.not_after.since(now.floor_to_second()));
    if ttl.is_zero() {
        return Err(refuse("subject-token-expired").of(grant));
    }
    asking.use_proof()?;
    let mint = Mint { issuer: &server.issuer, ttl, jti: fresh_jti(), cnf, now };
    let claims = mint.exchanged(&gate, &grant, &user, client, &exchanged).map_err(not_a_claim)?;
    let access_token = access_token(server, client, claims).await?;
    let roles = user.roles.iter().map(ToString::to_string).collect();
    let (jti, ends, id) = (mint.jti.clone(), mint.expires_at(), client.client_id.clone());
    let kept = server.store.write(move |sql| {
        // The gate was passed outside: who was shut out since then, and what was cut off, is refused here.
        let subject = &parents.subject.traits;
        let actor = parents.actor.as_ref().map(|actor| &actor.traits);
        let cut_off = sql.is_cut_off(subject)?
            || actor.map(|actor| sql.is_cut_off(actor)).transpose()?.unwrap_or(false);
        let good = !are_shut_out(sql, &user, &id)? && !cut_off;
        if good {
            sql.add_exchanged(&jti, subject, Part::Subject, ends)?;
            actor.map_or(Ok(()), |actor| sql.add_exchanged(&jti, actor, Part::Actor, ends))?;
        }
        Ok::<_, Denied>(good)
    });
    if !kept.await? {
        return Err(refuse("subject-token-cut-off").of(grant));
    }

    let mut record = origin.record(Event::TokenIssued, Outcome::Allow, now);
    describe_grant(&mut record, &grant);
    describe_chain(&mut record, exchanged.act.as_ref());
    record.actor.client_id = Some(client.client_id.to_string());
    record.actor.roles = roles;
    record.jti = Some(mint.jti.to_string());
    describe_binding(&mut record, mint.cnf.as_ref());
    for (name, value) in [
        ("grant_type", GrantType::TokenExchange.to_string()),
        ("scope", exchanged.scope.to_string()),
        ("audience", exchanged.audience),
    ] {
        record.detail.insert(name.to_owned(), Phi::new(value));
    }
    let answer = TokenResponse {
        authorization_details: Vec::new(),
        access_token,
        issued_token_type: Some(ACCESS_TOKEN),
        token_type: token_type(mint.cnf.as_ref()),
        expires_in: ttl.as_secs(),
        encounter: None,
        context: LaunchContext::default(),
        patient: grant.patient.map(Into::into),
        scope: exchanged.scope,
        refresh_token: None,
        id_token: None,
    };
    Ok(Issued { answer, record, begins: None })
}

fn not_exchanged(cause: ExchangeError) -> Denied {
    let (reason, code) = match cause {
        ExchangeError::NotAPersons => ("not-a-persons-token", ErrorCode::InvalidRequest),
        ExchangeError::MayNotAct => ("may-not-act", ErrorCode::InvalidRequest),
        ExchangeError::ActorOfAnother => ("actor-token-of-another-client", ErrorCode::InvalidRequest),
        ExchangeError::ActorActsForAnother => ("actor-token-of-delegation", ErrorCode::InvalidRequest),
        ExchangeError::ChainTooLong => ("chain-too-long", ErrorCode::InvalidRequest),
        ExchangeError::WiderScope => ("scope-widened", ErrorCode::InvalidScope),
        ExchangeError::WiderAudience => ("audience-widened", ErrorCode::InvalidTarget),
        ExchangeError::NotBound => ("key-not-proved", ErrorCode::InvalidRequest),
    };
    Denied::new(reason, OAuthError::new(code, cause.to_string()))
}
