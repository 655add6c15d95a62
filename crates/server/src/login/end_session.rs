//! Signing out because an application asks for it. OpenID Connect RP-Initiated Logout 1.0; ATTACKS O02, O31.
//!
//! The request is checked and kept, and the browser sent on to us once more: only then do its cookies come along in any
//! case, for a form that another site posts comes without them. An ID token of the very session ends it unasked; whoever
//! has none has to ask the person.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use chartgate_access::ids::ClientId;
use chartgate_access::login::logout::{Hint, LogoutStep, PendingLogout};
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::ExpectedAudience;
use chartgate_protocol::oidc::logout::LogoutRequest;
use http::StatusCode;

use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::{Login, account, signed_out};
use crate::entropy::{digest_of, opaque_secret};
use crate::live::hints;
use crate::net::origin::Origin;
use crate::pages;
use crate::store::StoreError;
use crate::store::pending::Took;
use crate::store::waiting::Waiting;
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "end_session.html")]
struct EndSession<'a> {
    t: Tongue,
    application: Option<&'a str>,
    username: &'a str,
    hidden: String,
}

pub(super) async fn by_query(
    State(login): State<Arc<Login>>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
) -> Response {
    begin(&login, &origin, query.as_deref().unwrap_or_default()).await
}

pub(super) async fn by_form(
    State(login): State<Arc<Login>>,
    Extension(origin): Extension<Origin>,
    body: Bytes,
) -> Response {
    begin(&login, &origin, std::str::from_utf8(&body).unwrap_or("%")).await
}

/// Checks a request and keeps it for its browser.
async fn begin(login: &Login, origin: &Origin, text: &str) -> Response {
    login.throttle.count(origin.ip);
    let pending = match check(login, text) {
        Ok(pending) => pending,
        Err(NotPossible::Request(reason)) => {
            return pages::message(StatusCode::BAD_REQUEST, Id::of("sign-out-unusable"), reason);
        }
        Err(NotPossible::Store(error)) => return unavailable(&error),
    };
    let handle = opaque_secret();
    let (digest, from) = (digest_of(handle.expose()), origin.ip);
    let kept = login.store.write(move |sql| {
        let gone = sql.make_room(Waiting::Logouts, from)?;
        sql.add_logout_request(&digest, from, &pending)?;
        Ok(gone)
    });
    match kept.await {
        Ok(gone) => {
            login.throttle.crowded_out.count(gone);
            see_other(&format!("/end-session/continue?request={}", handle.expose()))
        }
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

enum NotPossible {
    Request(Id),
    Store(StoreError),
}

impl From<StoreError> for NotPossible {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn check(login: &Login, text: &str) -> Result<PendingLogout, NotPossible> {
    let refuse = NotPossible::Request;
    let form = Form::parse(text).map_err(|_| refuse(Id::of("sign-out-malformed")))?;
    let request = LogoutRequest::read(&form).map_err(|_| refuse(Id::of("sign-out-long")))?;
    let hint = request.id_token_hint.as_ref().and_then(|token| verified(login, token.expose()));
    let named = request.client_id.as_deref().and_then(|id| id.parse::<ClientId>().ok());
    if request.client_id.is_some() && named.is_none() {
        return Err(refuse(Id::of("sign-out-unregistered")));
    }
    let client_id = match (hint.as_ref().map(|(of, _)| of), named) {
        (Some(of), Some(named)) if *of != named => {
            return Err(refuse(Id::of("sign-out-another")));
        }
        (of, named) => of.cloned().or(named),
    };
    let client = client_id.as_ref().map(|id| login.clients.last_known(id)).transpose()?.flatten();
    let target = match (&request.post_logout_redirect_uri, &client) {
        (None, _) => None,
        (Some(uri), Some(client)) if client.may_be_left_for(uri) => {
            Some(with_state(uri, request.state.as_deref()))
        }
        (Some(_), Some(_) | None) => {
            return Err(refuse(Id::of("sign-out-address")));
        }
    };
    Ok(PendingLogout {
        client_id: client.map(|client| client.client_id.clone()),
        hint: hint.map(|(_, hint)| hint),
        target,
        created_at: login.clock.now(),
    })
}

/// What an ID token of ours says, expired or not; `None` if it is not good, or of nobody's making.
fn verified(login: &Login, token: &str) -> Option<(ClientId, Hint)> {
    let (keys, now) = (&login.keys, login.clock.now());
    let claims = hints::read(&login.issuer, keys, ExpectedAudience::Any, token, now)?;
    let client = claims.aud.iter().next()?.parse().ok()?;
    let session = claims.sid.map(|sid| sid.as_str().parse()).transpose().ok()?;
    Some((client, Hint { subject: claims.sub.as_str().parse().ok()?, session }))
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let mut form = Form::default();
    form.push("state", state);
    format!("{uri}{}{}", if uri.contains('?') { '&' } else { '?' }, form.encode())
}

/// The request of a page or form, and whoever is signed in in this browser.
struct Leaving {
    handle: String,
    pending: PendingLogout,
    present: Option<Present>,
}

impl Leaving {
    fn read(login: &Login, visit: &Visit) -> Result<Self, Box<Response>> {
        let handle = visit.form.get("request").ok_or_else(stale)?;
        let now = login.clock.now();
        let pending = login.store.read(|sql| sql.logout_request(&digest_of(handle), now));
        let pending = pending.map_err(|e: StoreError| unavailable(&e))?.ok_or_else(stale)?;
        let present = Present::of(login, &visit.headers).map_err(|e| unavailable(&e))?;
        Ok(Self { handle: handle.to_owned(), pending, present })
    }

    /// Takes the request away, so that it is answered once.
    async fn take(&self, login: &Login) -> Result<(), Box<Response>> {
        let digest = digest_of(&self.handle);
        match login.store.write(move |sql| sql.take_logout_request(&digest)).await {
            Ok(Took::It) => Ok(()),
            Ok(Took::Nothing) => Err(Box::new(stale())),
            Err::<_, StoreError>(error) => Err(Box::new(unavailable(&error))),
        }
    }
}

/// The next page of a kept request, or its end.
pub(super) async fn proceed(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let leaving = match Leaving::read(&login, &visit) {
        Ok(leaving) => leaving,
        Err(response) => return *response,
    };
    match (leaving.pending.next(leaving.present.as_ref().map(|p| &p.session)), &leaving.present) {
        (LogoutStep::End, Some(present)) => end(&login, &visit, &leaving, present).await,
        (LogoutStep::Ask, Some(present)) => {
            let page = EndSession {
                t: visit.browser.tongue,
                application: leaving.pending.client_id.as_ref().map(|id| id.as_str()),
                username: present.user.name.as_str(),
                hidden: visit.browser.hidden(&[("request", &leaving.handle)]),
            };
            visit.browser.show(StatusCode::OK, &page, leaving.pending.target.as_deref())
        }
        (LogoutStep::Nobody | LogoutStep::Ask | LogoutStep::End, _) => match leaving.take(&login).await {
            Ok(()) => onward(leaving.pending.target_unasked()),
            Err(response) => *response,
        },
    }
}

/// What the person says.
pub(super) async fn decide(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let leaving = match Leaving::read(&login, &visit) {
        Ok(leaving) => leaving,
        Err(response) => return *response,
    };
    match (visit.form.get("decision"), &leaving.present) {
        (Some("approve"), Some(present)) => end(&login, &visit, &leaving, present).await,
        (Some("approve" | "deny"), present) => match leaving.take(&login).await {
            Ok(()) if present.is_none() => onward(None),
            Ok(()) => {
                let (title, text) = (Id::of("sign-out-stayed-title"), Id::of("sign-out-stayed"));
                pages::message(StatusCode::OK, title, text)
            }
            Err(response) => *response,
        },
        (Some(_) | None, _) => stale(),
    }
}

/// Ends the session, then sends the browser on.
async fn end(login: &Login, visit: &Visit, leaving: &Leaving, present: &Present) -> Response {
    if let Err(response) = leaving.take(login).await {
        return *response;
    }
    let PendingLogout { client_id, target, .. } = &leaving.pending;
    account::leave(login, visit, present, (client_id.as_ref(), target.as_deref())).await
}

fn onward(target: Option<&str>) -> Response {
    signed_out::answer(&[], target, None)
}
