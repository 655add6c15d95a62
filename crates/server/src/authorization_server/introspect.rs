//! Token introspection. RFC 7662, as a JWT RFC 9701; ATTACKS O27, O28.
//!
//! A client that proves who it is learns what its own tokens are worth; about another's it needs the permission
//! `introspect:any`. Everything else is inactive, in the same bytes whatever the cause: the log knows which.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use chartgate_access::client::{AuthMethod, Client, Permission};
use chartgate_access::ids::ClientId;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::UserState;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::introspection::{
    ActiveToken, INTROSPECTION_SCOPE, INTROSPECTION_TYPE, Introspection, IntrospectionJwt,
    IntrospectionRequest, wants_jwt,
};
use chartgate_protocol::oauth::token::token_type;
use chartgate_values::Phi;
use http::{HeaderMap, HeaderValue, header};

use super::AuthorizationServer;
use super::client_request::{self, ClientRequest, Posted, admit_unproven};
use super::error::{OAuthError, answer};
use super::for_client::{Wanted, jwt_for};
use super::protected::Protected;
use super::token::workload;
use crate::in_place::in_place;
use crate::live::proofs::Place;
use crate::live::tokens::{Believed, Claimant, NotBelieved};
use crate::net::access_token::DPOP_NONCE;
use crate::net::origin::Origin;
use crate::store::StoreError;
use crate::store::refresh_tokens::StoredRefreshToken;

pub(super) async fn post(posted: Posted) -> Response {
    if shows_a_token(&posted.headers) {
        return by_token(&posted).await;
    }
    answer(match in_place(|| introspect(&posted)).await {
        Ok((told, client)) => say(&posted, &client, told).await,
        Err(error) => Err(error),
    })
}

/// As JSON, or as a JWT to whom asks for one. RFC 9701 section 4.
async fn say(posted: &Posted, client: &Client, told: Introspection) -> Result<Response, OAuthError> {
    let accepted = posted.headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    if wants_jwt(accepted) {
        as_jwt(&posted.server, client, told).await
    } else {
        Ok(Json(told).into_response())
    }
}

/// RFC 9701 section 5.
async fn as_jwt(
    server: &AuthorizationServer,
    client: &Client,
    token_introspection: Introspection,
) -> Result<Response, OAuthError> {
    let claims = IntrospectionJwt {
        iss: server.issuer.clone(),
        aud: client.client_id.to_string(),
        iat: server.clock.now().into(),
        token_introspection,
    };
    let responses = &client.options.responses;
    let wanted = Wanted {
        signed: responses.introspection_signed_response_alg,
        encrypted: responses.introspection_encrypted_response,
    };
    let jwt = jwt_for(server, client, INTROSPECTION_TYPE, &claims, wanted).await.map_err(|error| {
        tracing::error!(%error, "introspection");
        OAuthError::new(ErrorCode::ServerError, "the answer cannot be made")
    })?;
    Ok(([(header::CONTENT_TYPE, format!("application/{INTROSPECTION_TYPE}"))], jwt).into_response())
}

async fn introspect(posted: &Posted) -> Result<(Introspection, Arc<Client>), OAuthError> {
    let ClientRequest { client, form } = ClientRequest::read(posted).await?;
    let Posted { server, origin, .. } = posted;
    let may = if client.token_endpoint_auth_method == AuthMethod::None {
        // RFC 7662 section 2.1: against scanning for tokens, nobody asks who does not prove who they are.
        admit_unproven(server, origin, &client)?;
        let error = OAuthError::new(ErrorCode::InvalidClient, "the client does not prove who it is");
        Err(NoAnswer { reason: "public-client", answer: Err(error) })
    } else {
        Ok(())
    };
    Ok((tell(server, origin, &client, &form, may).await?, client))
}

/// Whether who asks shows a token in place of what a client shows.
fn shows_a_token(headers: &HeaderMap) -> bool {
    let scheme = |line: &HeaderValue| line.to_str().ok()?.split(' ').next().map(str::to_ascii_lowercase);
    headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .any(|line| matches!(scheme(line).as_deref(), Some("bearer" | "dpop")))
}

/// Answers who shows a token for us with the scope for it, of a client that may ask about any. SMART App Launch 2.2,
/// requirements 282 and 283.
async fn by_token(posted: &Posted) -> Response {
    let Posted { server, origin, headers, body } = posted;
    let place = Place { door: &origin.door, method: "POST", path: "/introspect" };
    let request = Protected::new(server, origin, headers, place);
    let us = ExpectedAudience::OneOf(vec![server.issuer.clone()]);
    let Believed { claims, next_nonce, .. } = match request.shown(us) {
        Ok(believed) => believed,
        Err(refusal) => return *refusal,
    };
    let Ok(id) = claims.client_id.as_str().parse::<ClientId>() else { return request.invalid() };
    let client = match server.store.read(|sql| sql.client(&id)) {
        Ok(Some(client)) => client,
        Ok(None) => return request.invalid(),
        Err(error) => return OAuthError::from(error).into_response(),
    };
    let form = match client_request::form(headers, body) {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let is_scoped = claims.scope.contains(INTROSPECTION_SCOPE)
        && client.options.permissions.contains(&Permission::IntrospectAny);
    let may = if is_scoped {
        Ok(())
    } else {
        let error = OAuthError::new(ErrorCode::AccessDenied, "the token is not for this");
        Err(NoAnswer { reason: "insufficient-scope", answer: Err(error) })
    };
    let mut response = match tell(server, origin, &client, &form, may).await {
        Ok(told) => answer(say(posted, &client, told).await),
        Err(_) if !is_scoped => request.lacks_scope(INTROSPECTION_SCOPE),
        Err(error) => answer(Err::<Response, _>(error)),
    };
    if let Some(nonce) = next_nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

/// What a client is told, once it is recorded, if it may ask at all.
async fn tell(
    server: &AuthorizationServer,
    origin: &Origin,
    client: &Client,
    form: &Form,
    may: Result<(), NoAnswer>,
) -> Result<Introspection, OAuthError> {
    let mut record = origin.record(Event::TokenIntrospected, Outcome::Allow, server.clock.now());
    record.actor = workload(client);
    let outcome = match may {
        Err(no_answer) => Err(no_answer),
        Ok(()) => {
            let request =
                IntrospectionRequest::read(form).map_err(|e| OAuthError::new(e.code(), e.to_string()))?;
            look(server, client, request.token.expose(), &mut record)?
        }
    };
    let answer = match outcome {
        Ok(active) => Ok(Introspection::active(active)),
        Err(NoAnswer { reason, answer }) => {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some(reason.to_owned());
            answer
        }
    };
    let recorded = server.journal.append(&record, Withheld::new(answer)).await?;
    Withheld::release(recorded)
}

/// Why nothing is told: the reason for the record, and what is said in its place.
struct NoAnswer {
    reason: &'static str,
    answer: Result<Introspection, OAuthError>,
}

fn inactive(reason: &'static str) -> NoAnswer {
    NoAnswer { reason, answer: Ok(Introspection::inactive()) }
}

/// What the token is worth now. The outer error is the store's.
fn look(
    server: &AuthorizationServer,
    client: &Client,
    token: &str,
    record: &mut Record,
) -> Result<Result<ActiveToken, NoAnswer>, StoreError> {
    let sees = |of: &str| {
        client.client_id.as_str() == of || client.options.permissions.contains(&Permission::IntrospectAny)
    };
    if let Some(stored) = server.refresh_token(token)? {
        record.grant = Some(stored.grant.to_string());
        if !sees(stored.token.client_id.as_str()) {
            return Ok(Err(inactive("token-of-another-client")));
        }
        return refresh_token(server, &stored, record);
    }
    let claimant = match server.own_tokens.look(token) {
        Ok(believed) => believed,
        Err(cause) => {
            let reason = match cause {
                NotBelieved::Rejected(_) => "unknown-token",
                NotBelieved::ForeignClaims
                | NotBelieved::Revoked(_)
                | NotBelieved::SessionOver
                | NotBelieved::NotShown(_)
                | NotBelieved::Proof(_) => cause.reason(),
            };
            return Ok(Err(inactive(reason)));
        }
    };
    let Claimant { claims, traits } = &*claimant;
    record.jti = Some(traits.jti.to_string());
    record.session = traits.session.as_ref().map(ToString::to_string);
    record.grant = traits.grant.as_ref().map(ToString::to_string);
    record.detail.insert("subject".to_owned(), Phi::new(traits.subject.to_string()));
    if !sees(claims.client_id.as_str()) {
        return Ok(Err(inactive("token-of-another-client")));
    }
    let username = (claims.sub != claims.client_id).then(|| claims.sub.to_string());
    let token_type = token_type(claims.cnf.as_ref());
    let grant = match &traits.grant {
        Some(id) => server.store.read(|sql| sql.live_grant(id))?,
        None => None,
    };
    // What an EHR told of for another client is not for whoever exchanged its token.
    let grant = grant.filter(|grant| grant.client_id == traits.client_id);
    let context = Box::new(grant.map(|grant| grant.context()).unwrap_or_default());
    Ok(Ok(ActiveToken::Access { token_type, username, context, claims: Box::new(claims.clone()) }))
}

/// A refresh token is good if using it now would give tokens.
fn refresh_token(
    server: &AuthorizationServer,
    stored: &StoredRefreshToken,
    record: &mut Record,
) -> Result<Result<ActiveToken, NoAnswer>, StoreError> {
    let now = server.clock.now();
    let token = &stored.token;
    if token.consumed_at.is_some() || token.revoked_at.is_some() || now >= token.expires_at {
        return Ok(Err(inactive("refresh-token-over")));
    }
    let Some(grant) = server.store.read(|sql| sql.live_grant(&stored.grant))? else {
        return Ok(Err(inactive("grant-revoked")));
    };
    record.session = grant.session.as_ref().map(ToString::to_string);
    record.detail.insert("subject".to_owned(), Phi::new(grant.subject.to_string()));
    let user = server.store.read(|sql| sql.user(&grant.subject))?;
    if user.is_none_or(|user| user.state == UserState::Disabled) {
        return Ok(Err(inactive("user-disabled")));
    }
    if grant.session.as_ref().is_some_and(|session| server.sessions.look(session).is_err()) {
        return Ok(Err(inactive("session-over")));
    }
    // The client may have less by now than when the grant was made.
    let Some(registered) = server.documents.in_force(&grant.client_id)? else {
        return Ok(Err(inactive("client-removed")));
    };
    Ok(Ok(ActiveToken::Refresh {
        iss: server.issuer.clone(),
        client_id: grant.client_id.into(),
        username: grant.subject.to_string(),
        sub: grant.subject.into(),
        aud: grant.audience,
        scope: registered.grantable(&grant.scope),
        authorization_details: grant.authorization_details,
        exp: token.expires_at.into(),
        sid: grant.session.map(Into::into),
        cnf: token.cnf.clone(),
    }))
}
