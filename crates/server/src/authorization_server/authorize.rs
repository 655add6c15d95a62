//! The authorization endpoint. RFC 6749 section 3.1, RFC 7636, RFC 9101, RFC 9207, SMART App Launch 2.2.
//!
//! A request is checked, kept, and bound to the browser that brought it; then the pages at `/login` ask what has to be
//! asked, and `/authorize/continue` ends with a code. An error goes to the client only once its redirect URI is known
//! to be its own; before that, to a page.

mod check;
mod finish;
mod reply;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use chartgate_access::client::{Client, PushedRequests};
use chartgate_access::grant::authorization_code::{Addressee, Pages, PendingAuthorization};
use chartgate_access::ids::ClientId;
use chartgate_access::login::steps::{self, SignedIn, Step};
use chartgate_access::purpose::NotForRole;
use chartgate_protocol::form::Form;
use chartgate_protocol::language::Languages;
use chartgate_protocol::oauth::authorization::Addressed;
use chartgate_protocol::oauth::error::ErrorCode;
use chartgate_protocol::oauth::pushed::PushedUri;
use chartgate_protocol::oauth::response_mode::ResponseMode;
use chartgate_protocol::oauth::scope::ScopeSet;
use http::{HeaderMap, HeaderValue, header};

use super::{AuthorizationServer, client_request, request_object};
use crate::authorization_response::see_other;
use crate::entropy::{digest_of, opaque_secret};
use crate::net::cookie;
use crate::net::origin::Origin;
use crate::registration::documents::FindError;
use crate::store::pending::Took;
use crate::store::waiting::Waiting;
use crate::store::{Sql, StoreError};
use crate::tongue::Tongue;
pub(super) use check::{Came, check};
use reply::{bad_request, expired, not_found_out, unavailable};

pub(super) async fn by_query(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    server.throttle.count(origin.ip);
    match Form::parse(query.as_deref().unwrap_or_default()) {
        Ok(form) => begin(&server, &origin, &form, &headers).await,
        Err(error) => bad_request(&error.to_string()),
    }
}

pub(super) async fn by_form(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    server.throttle.count(origin.ip);
    match client_request::form(&headers, &body) {
        Ok(form) => begin(&server, &origin, &form, &headers).await,
        Err(error) => bad_request(&error.description),
    }
}

/// Checks a request and keeps it for its person.
async fn begin(server: &AuthorizationServer, origin: &Origin, form: &Form, headers: &HeaderMap) -> Response {
    if let Some(pushed) = form.get("request_uri").and_then(|uri| uri.parse::<PushedUri>().ok()) {
        return begin_pushed(server, origin, form, &pushed, headers).await;
    }
    let Some(client_id) = form.get("client_id") else { return bad_request("client_id is missing") };
    let client = match find_client(server, client_id, origin).await {
        Ok(Some(client)) => client,
        Ok(None) => return bad_request(NOT_REGISTERED),
        Err(error) => return not_found_out(&error),
    };
    let opened = request_object::open(server, &client, form).await;
    // What is wrong with an object is told where the request itself says, if it says so.
    let said = opened.as_deref().unwrap_or(form);
    let Some(addressed) = Addressed::read(said) else {
        return match opened {
            Ok(_) => bad_request("client_id or redirect_uri is missing"),
            Err(cause) => bad_request(&cause.to_string()),
        };
    };
    if !client.redirects_to(&addressed.redirect_uri) {
        return bad_request(NOT_REGISTERED);
    }
    let to = Addressee {
        client_id: client.client_id.clone(),
        redirect_uri: addressed.redirect_uri,
        state: addressed.state,
        response_mode: ResponseMode::of(said).unwrap_or_default(),
        response_alg: client.options.id_token_signed_response_alg,
    };
    let refuse = |code, description: &str| server.answering().refuse(&to, code, Some(description));
    if let Err(cause) = &opened {
        return refuse(cause.code(), &cause.to_string());
    }
    if client.pushed_requests() == PushedRequests::Required {
        return refuse(ErrorCode::InvalidRequest, "the client has to push its requests");
    }
    match check(server, &client, &to.redirect_uri, said, Came::ThroughTheBrowser).await {
        Ok(pending) => keep(server, origin, &client, pending, headers).await,
        Err((code, description)) => refuse(code, &description),
    }
}

const NOT_REGISTERED: &str = "the application or its redirect address is not registered here";

/// Goes on with a request that its client pushed: what was checked then counts, and what the browser says beside its name
/// does not (ATTACKS O22, O23).
async fn begin_pushed(
    server: &AuthorizationServer,
    origin: &Origin,
    form: &Form,
    pushed: &PushedUri,
    headers: &HeaderMap,
) -> Response {
    let Some(client_id) = form.get("client_id").and_then(|id| id.parse::<ClientId>().ok()) else {
        return bad_request("client_id is missing");
    };
    let client = match server.documents.find(&client_id, origin).await {
        Ok(Some(client)) => client,
        Ok(None) => return bad_request("the application is not registered here"),
        Err(error) => return not_found_out(&error),
    };
    let (digest, now) = (digest_of(pushed.secret()), server.clock.now());
    match server.store.write(move |sql| sql.take_pushed_request(&digest, &client_id, now)).await {
        Ok(Some(pending)) => {
            let pending = PendingAuthorization { created_at: now, ..pending };
            keep(server, origin, &client, pending, headers).await
        }
        Ok(None) => expired(),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

/// Keeps a checked request for this browser, and sends it on to the pages.
async fn keep(
    server: &AuthorizationServer,
    origin: &Origin,
    client: &Client,
    pending: PendingAuthorization,
    headers: &HeaderMap,
) -> Response {
    let handle = opaque_secret();
    let (browser, set_cookie) = match cookie::read(headers, cookie::BROWSER) {
        Some(browser) => (browser.to_owned(), None),
        None => {
            let fresh = opaque_secret();
            (fresh.expose().clone(), Some(cookie::set(cookie::BROWSER, fresh.expose())))
        }
    };
    let (digest, browser_digest) = (digest_of(handle.expose()), digest_of(&browser));
    let language = language(client, &pending, headers);
    let from = origin.ip;
    let kept = server.store.write(move |sql| {
        let gone = sql.make_room(Waiting::Authorizations, from)?;
        sql.add_pending(&digest, (&browser_digest, from), &pending)?;
        Ok(gone)
    });
    match kept.await {
        Ok(gone) => server.throttle.crowded_out.count(gone),
        Err::<_, StoreError>(error) => return unavailable(&error),
    }
    let mut response = see_other(&format!("/authorize/continue?request={}", handle.expose()));
    for cookie in set_cookie.into_iter().chain(language) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The language that the pages of a request are to speak, for its browser to keep; where it asks for none of ours, what another
/// one asked for is forgotten. A request that shows nothing changes nothing. OpenID Connect Core section 3.1.2.1.
///
/// An application that nobody here has looked at gets no more than its person's browser says that they read: else it would be
/// asked for in a language that they do not.
fn language(client: &Client, pending: &PendingAuthorization, headers: &HeaderMap) -> Option<HeaderValue> {
    let may = |tongue: &Tongue| !client.is_self_registered() || tongue.is_read(headers);
    let asked = Tongue::best(&Languages::locales(&pending.ui_locales).unwrap_or_default()).filter(may);
    let is_kept = cookie::read(headers, cookie::LANGUAGE).is_some();
    match (pending.pages, asked) {
        (Pages::Forbidden, _) => None,
        (Pages::Allowed, Some(tongue)) => Some(cookie::set(cookie::LANGUAGE, tongue.tag())),
        (Pages::Allowed, None) => is_kept.then(|| cookie::clear(cookie::LANGUAGE)),
    }
}

async fn find_client(
    server: &AuthorizationServer,
    id: &str,
    origin: &Origin,
) -> Result<Option<Arc<Client>>, FindError> {
    let Ok(id) = id.parse::<ClientId>() else { return Ok(None) };
    server.documents.find(&id, origin).await
}

/// The next page of a kept request, or its end.
pub(super) async fn proceed(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(origin): Extension<Origin>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let form = Form::parse(query.as_deref().unwrap_or_default()).unwrap_or_default();
    let (Some(handle), Some(browser)) = (form.get("request"), cookie::read(&headers, cookie::BROWSER)) else {
        return expired();
    };
    let digest = digest_of(handle);
    let looked = look(&server, &digest, browser, &headers);
    let Looked { pending, step, purpose } = match looked {
        Ok(Some(found)) => found,
        Ok(None) => return expired(),
        Err(error) => return unavailable(&error),
    };
    let has_to_say = match step {
        Step::PickPatient | Step::PickEncounter | Step::Consent | Step::Emergency => true,
        Step::SignIn | Step::Done(_) => false,
    };
    // Whoever makes a client of their own does not learn so who sits there, nor what they are or still have to say.
    if has_to_say && pending.pages == Pages::Forbidden && !is_vouched_for(&server, &pending) {
        return match pending.about {
            Some(_) => refuse_absent(&server, &digest, &pending).await,
            None => refuse_consent(&server, &digest, &pending).await,
        };
    }
    if let (Err(cause), false) = (purpose, matches!(step, Step::SignIn)) {
        return refuse(&server, &digest, &pending, ErrorCode::AccessDenied, &cause.to_string()).await;
    }
    let page = match (step, pending.pages) {
        (Step::Done(approved), _) => {
            // A new grant is activity of its session.
            if server.sessions.used(&approved.session).is_err() {
                return expired();
            }
            return finish::finish(&server, &origin, &digest, pending, approved).await;
        }
        (Step::SignIn, Pages::Forbidden) => return refuse_absent(&server, &digest, &pending).await,
        (Step::PickPatient, Pages::Forbidden) => {
            let description = "the person would have to pick a patient";
            return refuse(&server, &digest, &pending, ErrorCode::InteractionRequired, description).await;
        }
        (Step::PickEncounter, Pages::Forbidden) => {
            let description = "the person would have to pick an encounter";
            return refuse(&server, &digest, &pending, ErrorCode::InteractionRequired, description).await;
        }
        (Step::Consent, Pages::Forbidden) => return refuse_consent(&server, &digest, &pending).await,
        (Step::Emergency, Pages::Forbidden) => {
            let description = "the person would have to say why it is an emergency";
            return refuse(&server, &digest, &pending, ErrorCode::InteractionRequired, description).await;
        }
        (Step::SignIn, Pages::Allowed) => "/login",
        (Step::PickPatient, Pages::Allowed) => "/login/patient",
        (Step::PickEncounter, Pages::Allowed) => "/login/encounter",
        (Step::Consent, Pages::Allowed) => "/login/consent",
        (Step::Emergency, Pages::Allowed) => "/login/emergency",
    };
    see_other(&format!("{page}?request={handle}"))
}

/// A request that is kept, with its next step for whoever is signed in.
struct Looked {
    pending: PendingAuthorization,
    step: Step,
    /// Whether its purpose of use is one for them.
    purpose: Result<(), NotForRole>,
}

/// What is kept of a request, its next step for whoever is signed in, and whether its purpose is one for them.
fn look(
    server: &AuthorizationServer,
    digest: &str,
    browser: &str,
    headers: &HeaderMap,
) -> Result<Option<Looked>, StoreError> {
    let now = server.clock.now();
    let session_cookie = cookie::read(headers, cookie::SESSION).map(digest_of);
    server.store.read(|sql: &Sql<'_>| {
        let Some(pending) = sql.pending(digest, &digest_of(browser), now)? else { return Ok(None) };
        // Where the configuration leaves nothing of a client, nothing comes of what it began.
        let Some(client) = server.documents.in_force(&pending.client_id)? else { return Ok(None) };
        // Where the answer would go may not be the client's any more.
        if !pending.reply_to.leads_to(&client) {
            return Ok(None);
        }
        let session = session_cookie.as_ref().map(|c| sql.session_by_cookie(c)).transpose()?.flatten();
        let user = session.as_ref().map(|s| sql.user(&s.subject)).transpose()?.flatten();
        let signed_in = user.as_ref().zip(session.as_ref()).map(|(user, session)| SignedIn {
            user,
            session,
            needed: server.second_factors.of(user),
        });
        let before = match &user {
            Some(user) => sql.consent(&user.name, &client.client_id)?,
            None => ScopeSet::default(),
        };
        let step = steps::next(&pending, &client, signed_in, &before, server.timeouts, now);
        let purpose = match &user {
            Some(user) => server.purposes.choose(&user.roles, pending.purpose_of_use).map(drop),
            None => Ok(()),
        };
        Ok(Some(Looked { pending, step, purpose }))
    })
}

fn is_vouched_for(server: &AuthorizationServer, pending: &PendingAuthorization) -> bool {
    let known = server.documents.in_force(&pending.client_id);
    matches!(known, Ok(Some(client)) if !client.is_self_registered())
}

async fn refuse_absent(
    server: &AuthorizationServer,
    digest: &str,
    pending: &PendingAuthorization,
) -> Response {
    let description = "nobody is signed in of whom the answer could be";
    refuse(server, digest, pending, ErrorCode::LoginRequired, description).await
}

async fn refuse_consent(
    server: &AuthorizationServer,
    digest: &str,
    pending: &PendingAuthorization,
) -> Response {
    let description = "the person would have to consent";
    refuse(server, digest, pending, ErrorCode::ConsentRequired, description).await
}

/// Tells the client of a request that it gets nothing, once: what was answered waits for nobody any more. A device is not told so,
/// and its person may still be another one.
async fn refuse(
    server: &AuthorizationServer,
    digest: &str,
    pending: &PendingAuthorization,
    code: ErrorCode,
    description: &str,
) -> Response {
    let Some(to) = pending.addressee() else { return bad_request(description) };
    let digest = digest.to_owned();
    match server.store.write(move |sql| sql.take_pending(&digest)).await {
        Ok(Took::It) => server.answering().refuse(&to, code, Some(description)),
        Ok(Took::Nothing) => expired(),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}
