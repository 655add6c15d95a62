//! Who is signed in, and signing out.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::ClientId;
use chartgate_audit::record::{Event, Outcome};
use http::{HeaderValue, StatusCode, header};

use super::factors::{ChangeShown, changes};
use super::form::{Present, Submission, Visit, see_other, unavailable};
use super::sign_in::person;
use super::sign_out_there::Leaver;
use super::{Login, signed_out};
use crate::live::outbox::{Change, ChangeError};
use crate::net::cookie;
use crate::net::origin::Origin;
use crate::pages;
use crate::tongue::Tongue;

/// Changes to how somebody signs in stand on their page for this long.
const TELL_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Template)]
#[template(path = "account.html")]
struct Account<'a> {
    t: Tongue,
    username: &'a str,
    roles: String,
    since: String,
    since_shown: String,
    changes: Vec<ChangeShown>,
    hidden: String,
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other("/login"),
        Err(error) => return unavailable(&error),
    };
    let roles: Vec<&str> = present.user.roles.iter().map(|role| role.as_str()).collect();
    // Whoever did it sees it too; whoever did not is told when they come next (NIST SP 800-63B-4 section 4.6).
    let since = login.clock.now().minus(TELL_FOR);
    let changes = match changes(&login, &present.user.name, Some(since)) {
        Ok(changes) => changes,
        Err(error) => return unavailable(&error),
    };
    let page = Account {
        t: visit.browser.tongue,
        username: present.user.name.as_str(),
        roles: if roles.is_empty() {
            visit.browser.tongue.say("account-no-roles").plain()
        } else {
            roles.join(", ")
        },
        since_shown: pages::minutes(present.session.auth_time),
        changes,
        since: present.session.auth_time.to_string(),
        hidden: visit.browser.hidden(&[]),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

/// Ends the session with all its tokens, everywhere, before the answer.
pub(super) async fn sign_out(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other("/login"),
        Err(error) => return unavailable(&error),
    };
    end_this(&login, &visit, &present).await
}

/// Ends the session of this very browser.
pub(super) async fn end_this(login: &Login, visit: &Visit, present: &Present) -> Response {
    leave(login, visit, present, (None, None)).await
}

/// Ends the session of a browser, and sends it on: to the provider that its person came by, and to where the application leads
/// that asked for it.
pub(super) async fn leave(
    login: &Login,
    visit: &Visit,
    present: &Present,
    (by, target): (Option<&ClientId>, Option<&str>),
) -> Response {
    let (frames, leaver) = (signed_out::frames(login, present), Leaver::of(login, present));
    let cookies = match end(login, &visit.origin, present, by).await {
        Ok(cookies) => cookies,
        Err(response) => return *response,
    };
    let there = match leaver {
        Some(leaver) => Some(leaver.onward(login, visit, target).await),
        None => None,
    };
    visit.browser.remembered(with_cookies(signed_out::answer(&frames, target, there.as_ref()), cookies))
}

/// Ends a session with all its tokens, everywhere, and gives the answer once that is recorded. `by` is the application
/// that asked for it.
pub(super) async fn end_session(
    login: &Login,
    origin: &Origin,
    present: &Present,
    by: Option<&ClientId>,
    answer: Response,
) -> Response {
    match end(login, origin, present, by).await {
        Ok(cookies) => with_cookies(answer, cookies),
        Err(response) => *response,
    }
}

fn with_cookies(mut answer: Response, cookies: [HeaderValue; 2]) -> Response {
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

/// Ends it, and puts that on record. Gives what the browser is told to forget.
async fn end(
    login: &Login,
    origin: &Origin,
    present: &Present,
    by: Option<&ClientId>,
) -> Result<[HeaderValue; 2], Box<Response>> {
    let (id, of) = (present.session.id.clone(), present.user.name.clone());
    let mut record = origin.record(Event::Logout, Outcome::Allow, login.clock.now());
    record.action = Some("logout".to_owned());
    record.actor = person(&present.user);
    record.actor.client_id = by.map(ToString::to_string);
    record.session = Some(present.session.id.to_string());
    let ended = login.outbox.commit(move |sql, now| {
        sql.end_session(&id, now)?;
        // What was opened in it is nothing for whoever is next at this screen.
        sql.void_openings(&of)?;
        Ok::<_, ChangeError>(Change::told_by((), [record]).ending(id, now))
    });
    match ended.await {
        // Whoever is next at this screen may read another language.
        Ok(()) => Ok([cookie::SESSION, cookie::LANGUAGE].map(cookie::clear)),
        Err(error) => Err(Box::new(unavailable(&error))),
    }
}
