//! Setting a password through a one-time link.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use http::StatusCode;

use super::Login;
use super::form::{Browser, Submission, Visit, stale, unavailable};
use super::new_password::{Typed, set, typed};
use super::provider::Way;
use crate::entropy::digest_of;
use crate::live::outbox::{Change, ChangeError};
use crate::pages;
use crate::passwords::SHORTEST;
use crate::tongue::{Id, Tongue, Words};

#[derive(Template)]
#[template(path = "enrol.html")]
struct Enrol<'a> {
    t: Tongue,
    username: &'a str,
    shortest: u64,
    problem: Option<Words>,
    ways: Vec<Way>,
    hidden: String,
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let Some(token) = visit.form.get("token") else { return stale() };
    show(&login, &visit.browser, token, None)
}

fn show(login: &Login, browser: &Browser, token: &str, problem: Option<Words>) -> Response {
    let now = login.clock.now();
    let name = match login.store.read(|sql| sql.enrolment(&digest_of(token), now)) {
        Ok(Some(name)) => name,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let page = Enrol {
        t: browser.tongue,
        username: name.as_str(),
        problem,
        shortest: SHORTEST.into(),
        ways: Way::all(login, browser, Some(("token", token))),
        hidden: browser.hidden(&[("token", token)]),
    };
    browser.show(StatusCode::OK, &page, None)
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let Visit { browser, form, origin, .. } = visit;
    let Some(token) = form.get("token") else { return stale() };
    login.throttle.count(origin.ip);
    let (digest, now) = (digest_of(token), login.clock.now());
    if let Err(error) = login.outbox.may_give() {
        return unavailable(&error);
    }
    // Hashes are dear, and are computed for whoever has a link alone.
    let name = match login.store.read(|sql| sql.enrolment(&digest, now)) {
        Ok(Some(name)) => name,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let password = match typed(&login, (&form, "password"), name.as_str()) {
        Typed::Good(password) => password,
        Typed::Problem(problem) => return show(&login, &browser, token, Some(problem)),
    };
    let hash = match login.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(error) => return unavailable(&error),
    };
    let passwords = Arc::clone(&login.passwords);
    let mut record = origin.record(Event::EnrolmentUsed, Outcome::Allow, now);
    record.action = Some("set-password".to_owned());
    let used = login.outbox.commit(move |sql, at| {
        let Some(name) = sql.use_enrolment(&digest, now)? else { return Ok(Change::none(false)) };
        let cut = set(sql, (&name, &hash), &passwords.counters(&name), None, at)?;
        record.actor = Actor { sub: Some(name.to_string()), kind: ActorKind::Human, ..Actor::default() };
        Ok::<_, ChangeError>(Change::told_by(true, [record]).cutting(cut))
    });
    let (title, text) = (Id::of("enrol-done-title"), Id::of("enrol-done"));
    match used.await {
        Ok(true) => pages::message(StatusCode::OK, title, text),
        Ok(false) => stale(),
        Err(error) => unavailable(&error),
    }
}
