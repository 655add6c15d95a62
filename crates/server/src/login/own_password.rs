//! Changing one's password, once one has shown again who one is (ATTACKS A07). NIST SP 800-63B-4 section 4.6.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::login::assurance::Holds;
use chartgate_audit::record::{Event, Outcome};
use http::StatusCode;

use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::new_password::{Typed, set, typed};
use super::once_more::{self, record};
use super::then::Then;
use super::{Login, passkey};
use crate::live::outbox::{Change, ChangeError};
use crate::live::passkeys::Ceremony;
use crate::pages;
use crate::passwords::SHORTEST;
use crate::store::StoreError;
use crate::tongue::{Id, Tells as _, Tongue, Words};

#[derive(Template)]
#[template(path = "own_password.html")]
struct OwnPassword<'a> {
    t: Tongue,
    username: &'a str,
    shortest: u64,
    problem: Option<Words>,
    /// What the browser is asked in place of password and code.
    confirm: Option<String>,
    /// Whether nothing takes its place.
    is_by_hardware: bool,
    has_factor: bool,
    has_app: bool,
    hidden: String,
}

/// Who is signed in and has a password to change; or the page to show in place of that.
fn present(login: &Login, visit: &Visit) -> Result<Present, Box<Response>> {
    let present = Present::of(login, &visit.headers).map_err(|error| unavailable(&error))?;
    let present = present.ok_or_else(|| see_other(&Then::Password.sign_in()))?;
    let hash = login.store.read(|sql| sql.password_hash(&present.user.name));
    // Whoever signs in elsewhere does not get a second way in by a session that was left open.
    match hash {
        Ok(Some(_)) => Ok(present),
        Ok(None) => Err(Box::new(stale())),
        Err::<_, StoreError>(error) => Err(Box::new(unavailable(&error))),
    }
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match present(&login, &visit) {
        Ok(present) => show(&login, &visit, &present, None),
        Err(response) => *response,
    }
}

fn show(login: &Login, visit: &Visit, present: &Present, problem: Option<Words>) -> Response {
    match shown(login, visit, present, problem) {
        Ok(page) => visit.browser.show_with_script(StatusCode::OK, &page, None),
        Err(error) => unavailable(&error),
    }
}

fn shown<'a>(
    login: &Login,
    visit: &Visit,
    present: &'a Present,
    problem: Option<Words>,
) -> Result<OwnPassword<'a>, StoreError> {
    let (user, needed) = (&present.user, login.second_factors.of(&present.user));
    let ceremony = Ceremony::Change { session: &present.session.id };
    let has_app = !login.store.read(|sql| sql.factors(&user.name))?.is_empty();
    Ok(OwnPassword {
        t: visit.browser.tongue,
        username: user.name.as_str(),
        shortest: SHORTEST.into(),
        problem,
        confirm: passkey::for_one(login, ceremony, &user.name, needed)?,
        is_by_hardware: once_more::is_by_hardware(login, user, needed)?,
        has_factor: login.factors.holds(&user.name)? != Holds::Nothing,
        has_app,
        hidden: visit.browser.hidden(&[]),
    })
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match present(&login, &visit) {
        Ok(present) => present,
        Err(response) => return *response,
    };
    let name = &present.user.name;
    // Before what is good once is used up for a password that is not taken.
    let password = match typed(&login, (&visit.form, "new-password"), name.as_str()) {
        Typed::Good(password) => password,
        Typed::Problem(problem) => return show(&login, &visit, &present, Some(problem)),
    };
    let needed = login.second_factors.of(&present.user);
    let refused = record(&login, &visit, &present, Event::PasswordSet, Outcome::Deny);
    let again = |problem: Id| show(&login, &visit, &present, Some(problem.words()));
    let confirmed = match once_more::shown(&login, &visit, (&present, needed), refused, again).await {
        Ok(confirmed) => confirmed,
        Err(response) => return *response,
    };
    let hash = match login.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(error) => return unavailable(&error),
    };
    let (subject, session) = (name.clone(), present.session.id.clone());
    let counters = login.passwords.counters(name);
    let record = record(&login, &visit, &present, Event::PasswordSet, Outcome::Allow);
    let was_set = login.outbox.commit(move |sql, at| {
        // Whoever was shut out meanwhile sets none, nor does anybody whose password was set elsewhere.
        if !confirmed.stands(sql)? {
            return Ok(Change::none(false));
        }
        let cut = set(sql, (&subject, &hash), &counters, Some(&session), at)?;
        Ok::<_, ChangeError>(Change::told_by(true, [record]).cutting(cut))
    });
    let (title, text) = (Id::of("enrol-done-title"), Id::of("own-password-done"));
    match was_set.await {
        Ok(true) => pages::message(StatusCode::OK, title, text),
        Ok(false) => stale(),
        Err(error) => unavailable(&error),
    }
}
