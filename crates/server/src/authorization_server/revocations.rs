//! The feed of cut-offs, for services that verify our tokens themselves. docs/revocations.md.
//!
//! A client that acts for itself, with a token for us and the scope that its registration has to name, learns what is cut
//! off, and waits here for what will be. Who waits is counted, and so is nobody kept when the gateway goes down.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse, Response};
use chartgate_access::permit::Withheld;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::{ExpectedAudience, jws};
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::revocations::{
    CutClaim, CutOffEntry, REVOCATIONS_SCOPE, REVOCATIONS_TYPE, Revocations, RevocationsRequest,
};
use chartgate_values::{Phi, Timestamp};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::{Semaphore, watch};

use super::AuthorizationServer;
use super::error::{OAuthError, no_store};
use super::protected::Protected;
use crate::config::LONGEST_ACCESS_TOKEN;
use crate::live::cut_offs::News;
use crate::live::proofs::Place;
use crate::live::tokens::Believed;
use crate::net::access_token::DPOP_NONCE;
use crate::net::origin::Origin;
use crate::net::shares::Shares;

/// Those who wait for news, which outlives a change of configuration.
pub(crate) struct Followers {
    places: Semaphore,
    /// How many of them each client has.
    shares: Shares<String>,
    /// Turns true when the gateway goes down.
    stopped: watch::Receiver<bool>,
}

/// How many may wait at the same time, and how many of one client. Who finds no place asks without waiting.
const PLACES: usize = 512;
const PLACES_OF_ONE: usize = PLACES / 4;

/// How long it is waited for more news once there is some: whoever goes on cutting off makes each follower one answer in this
/// time, and not one for each.
const GATHERED_FOR: Duration = Duration::from_millis(100);

impl Followers {
    pub(crate) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self { places: Semaphore::new(PLACES), shares: Shares::default(), stopped }
    }

    async fn gateway_stops(&self) {
        if self.stopped.clone().wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let place = Place { door: &origin.door, method: "GET", path: "/revocations" };
    let request = Protected::new(&server, &origin, &headers, place);
    let us = ExpectedAudience::OneOf(vec![server.issuer.clone()]);
    let follower = match request.shown(us) {
        Ok(believed) => believed,
        Err(refusal) => return *refusal,
    };
    let mut response = match follow(&server, &origin, query.as_deref().unwrap_or_default(), &follower).await {
        Ok(feed) => {
            let media_type = format!("application/{REVOCATIONS_TYPE}");
            ([(header::CONTENT_TYPE, media_type)], feed).into_response()
        }
        Err(Refusal::Scope) => request.lacks_scope(REVOCATIONS_SCOPE),
        Err(Refusal::CutOff) => request.invalid(),
        Err(Refusal::Error(error)) => error.into_response(),
        Err(Refusal::NoPlace) => {
            let mut response = OAuthError::unavailable().into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    };
    no_store(response.headers_mut());
    if let Some(nonce) = follower.next_nonce {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    response
}

/// Why a follower gets nothing.
enum Refusal {
    /// Its token does not allow it.
    Scope,
    /// Its token was cut off while it waited.
    CutOff,
    /// Too many wait already.
    NoPlace,
    Error(OAuthError),
}

async fn follow(
    server: &AuthorizationServer,
    origin: &Origin,
    query: &str,
    Believed { claims, traits, .. }: &Believed,
) -> Result<String, Refusal> {
    let mut record = origin.record(Event::RevocationsRead, Outcome::Allow, server.clock.now());
    record.actor = Actor {
        sub: Some(claims.sub.to_string()),
        client_id: Some(claims.client_id.to_string()),
        kind: if claims.sub == claims.client_id { ActorKind::Workload } else { ActorKind::Human },
        ..Actor::default()
    };
    record.jti = Some(claims.jti.to_string());
    if claims.sub != claims.client_id || !claims.scope.contains(REVOCATIONS_SCOPE) {
        record.outcome = Outcome::Deny;
        record.decision.reason = Some("insufficient-scope".to_owned());
        let recorded = server.journal.append(&record, Withheld::new(Refusal::Scope)).await?;
        return Err(Withheld::release(recorded));
    }
    let query = Form::parse(query).map_err(OAuthError::from)?;
    let request = RevocationsRequest::read(&query)
        .map_err(|error| OAuthError::new(ErrorCode::InvalidRequest, error.to_string()))?;
    let known = server.cut_offs.news(request.after.as_deref());
    let news = if known.is_new() || request.wait.is_zero() {
        known
    } else {
        let Followers { places, shares, .. } = &*server.followers;
        let _place = places.try_acquire().map_err(|_| Refusal::NoPlace)?;
        let _share = shares.take(claims.client_id.to_string(), PLACES_OF_ONE).ok_or(Refusal::NoPlace)?;
        tokio::select! {
            _ = server.cut_offs.news_after(&known) => tokio::time::sleep(GATHERED_FOR).await,
            () = tokio::time::sleep(request.wait) => {}
            () = server.followers.gateway_stops() => {}
        }
        server.cut_offs.news(Some(&known.position))
    };
    // What came while it waited may have been its own end.
    server.cut_offs.check(traits).map_err(|_| Refusal::CutOff)?;
    let (is_new, count) = (news.is_new(), news.cut_offs.len());
    let feed = sign(server, news)?;
    if !is_new {
        // That nothing was cut off tells of nobody.
        return Ok(feed);
    }
    record.time = server.clock.now();
    record.detail.insert("cut_offs".to_owned(), Phi::new(count.to_string()));
    let recorded = server.journal.append(&record, Withheld::new(feed)).await?;
    Ok(Withheld::release(recorded))
}

fn sign(server: &AuthorizationServer, news: News) -> Result<String, OAuthError> {
    let now = server.clock.now();
    let restored = news.everything.filter(|at| at.plus(LONGEST_ACCESS_TOKEN) >= now).map(|at| CutOffEntry {
        claim: CutClaim::Iss,
        value: server.issuer.clone(),
        issued_until: Some(at.as_unix()),
        forget_at: forget_at(at),
    });
    let claims = Revocations {
        iss: server.issuer.clone(),
        iat: now.into(),
        position: news.position,
        reset: news.reset,
        cut_offs: news.cut_offs.iter().map(entry).chain(restored).collect(),
    };
    jws::sign(&server.keys.current().signing, REVOCATIONS_TYPE, &claims).map_err(|error| {
        tracing::error!(%error, "signing");
        OAuthError::new(ErrorCode::ServerError, "signing failed")
    })
}

fn entry(cut_off: &CutOff) -> CutOffEntry {
    let until = |at: &Timestamp| Some(at.as_unix());
    let (claim, value, issued_until) = match cut_off {
        CutOff::UpTo { target, not_before: at } => match target {
            Target::Subject(id) => (CutClaim::Sub, id.to_string(), until(at)),
            Target::Session(id) => (CutClaim::Sid, id.to_string(), until(at)),
            Target::Client(id) => (CutClaim::ClientId, id.to_string(), until(at)),
            Target::Grant(id) => (CutClaim::GrantId, id.to_string(), until(at)),
            Target::Key(kid) => (CutClaim::Kid, kid.clone(), None),
        },
        CutOff::Token { jti, .. } => (CutClaim::Jti, jti.to_string(), None),
    };
    CutOffEntry { claim, value, issued_until, forget_at: over_at(cut_off.over_at(LONGEST_ACCESS_TOKEN)) }
}

fn forget_at(cut_at: Timestamp) -> i64 {
    over_at(cut_at.plus(LONGEST_ACCESS_TOKEN))
}

fn over_at(last: Timestamp) -> i64 {
    last.plus(Duration::from_secs(1)).as_unix()
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self::Error(error)
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        Self::Error(error.into())
    }
}
