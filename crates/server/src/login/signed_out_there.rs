//! A provider says that somebody signed out there: what began with that ends here, at once. OpenID Connect Back-Channel Logout 1.0
//! sections 2.5 to 2.8; ATTACKS O33.
//!
//! What applications were given to keep while people are away stays (section 2.7).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use chartgate_access::permit::Withheld;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_protocol::form::Form;
use chartgate_values::Phi;
use http::{HeaderValue, StatusCode, header};

use super::Login;
use crate::live::identity_providers::{Provider, ProviderError};
use crate::live::outbox::Change;
use crate::net::origin::Origin;
use crate::store::StoreError;
use crate::store::used_assertions::FirstUse;

/// Why nobody was signed out.
#[derive(Debug, thiserror::Error)]
enum NotSignedOut {
    /// The request has no logout token, or more than that one.
    #[error("no logout token")]
    Malformed,
    /// The token does not do.
    #[error("the logout token does not do: {0}")]
    Token(#[source] ProviderError),
    /// It came before.
    #[error("the logout token came before")]
    Replayed,
    /// Nobody can say now whether it does: the provider's keys cannot be had.
    #[error("the logout token cannot be judged: {0}")]
    NotNow(#[source] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unrecorded(#[from] AppendError),
}

impl NotSignedOut {
    /// The stable code for the record, of what is refused.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Malformed => Some("no-logout-token"),
            Self::Token(ProviderError::Token(rejection)) => Some(rejection.reason()),
            Self::Token(_) => Some("logout-token-unusable"),
            Self::Replayed => Some("logout-token-replayed"),
            Self::NotNow(_) | Self::Store(_) | Self::Unrecorded(_) => None,
        }
    }
}

/// Takes a logout token.
pub(super) async fn submit(
    State(login): State<Arc<Login>>,
    Path(name): Path<String>,
    Extension(origin): Extension<Origin>,
    body: Bytes,
) -> Response {
    let Some(provider) = login.providers.named(&name) else { return invalid() };
    match sign_out(&login, &origin, provider, &body).await {
        Ok(()) => answer(StatusCode::OK, ""),
        Err(cause) => refuse(&login, &origin, provider, &cause).await,
    }
}

/// Verifies the token, and ends what it is about, on record.
async fn sign_out(
    login: &Login,
    origin: &Origin,
    provider: &Provider,
    body: &[u8],
) -> Result<(), NotSignedOut> {
    let form = std::str::from_utf8(body).ok().and_then(|text| Form::parse(text).ok());
    let form = form.ok_or(NotSignedOut::Malformed)?;
    let token = form.get("logout_token").ok_or(NotSignedOut::Malformed)?;
    let out = provider.signed_out(token, login.clock.now()).await.map_err(|cause| match cause {
        ProviderError::Token(_) => NotSignedOut::Token(cause),
        _ => NotSignedOut::NotNow(cause),
    })?;
    let issuer = provider.config.issuer.to_string();
    let record = |event: Event, reason: &str| {
        let mut record = origin.record(event, Outcome::Allow, login.clock.now());
        record.decision.reason = Some(reason.to_owned());
        tell(&mut record, provider);
        let sub = out.of.sub().map(|sub| ("provider_subject".to_owned(), Phi::new(sub.as_str().to_owned())));
        record.detail.extend(sub);
        record
    };
    let of_one = record(Event::SessionEnded, "signed-out-there");
    // Section 2.7: that was done already.
    let of_none = record(Event::Logout, "no-session");
    let ended = login.outbox.commit(move |sql, now| {
        match sql.use_logout_token(&issuer, &out, now)? {
            FirstUse::Yes => {}
            FirstUse::No => return Err(NotSignedOut::Replayed),
        }
        let (mut records, mut cut) = (Vec::new(), Vec::new());
        for (id, subject) in sql.sessions_signed_out_there(&issuer, &out)? {
            sql.end_session(&id, now)?;
            sql.void_openings(&subject)?;
            let mut record = of_one.clone();
            record.resource = Some(Phi::new(id.to_string()));
            record.session = Some(id.to_string());
            record.detail.insert("user".to_owned(), Phi::new(subject.to_string()));
            records.push(record);
            cut.push(CutOff::UpTo { target: Target::Session(id), not_before: now });
        }
        if records.is_empty() {
            records.push(of_none);
        }
        Ok(Change::told_by((), records).cutting(cut))
    });
    ended.await
}

/// Puts on record why nobody was signed out, and says so.
async fn refuse(login: &Login, origin: &Origin, provider: &Provider, cause: &NotSignedOut) -> Response {
    tracing::warn!(provider = %provider.config.name, %cause, "nobody was signed out");
    login.throttle.count(origin.ip);
    let Some(code) = cause.code() else { return unavailable(cause) };
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let mut record = origin.record(Event::Logout, Outcome::Deny, login.clock.now());
    record.decision.reason = Some(code.to_owned());
    tell(&mut record, provider);
    match login.journal.append(&record, Withheld::new(invalid())).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

fn tell(record: &mut Record, provider: &Provider) {
    record.action = Some(record.event.as_str().to_owned());
    record.actor = Actor { kind: ActorKind::Workload, ..Actor::default() };
    record.detail.insert("provider".to_owned(), Phi::new(provider.config.name.clone()));
}

/// Section 2.8. Nobody is told what is wrong: a provider of ours knows how it is done, and others need not.
fn invalid() -> Response {
    answer(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#)
}

/// SPEC: section 2.8 has 400 for this too. It is no fault of the token's, and whoever tries again is to do so.
fn unavailable(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a provider's word that somebody signed out there was not heard");
    answer(StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"temporarily_unavailable"}"#)
}

/// Section 2.8: no cache keeps it.
fn answer(status: StatusCode, content: &'static str) -> Response {
    let mut response = (status, content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
