//! Setting a password through a one-time link.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::permit::Withheld;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use http::StatusCode;

use super::Login;
use super::form::{Browser, Submission, Visit, stale, unavailable};
use super::provider::Way;
use crate::entropy::digest_of;
use crate::pages;
use crate::passwords::SHORTEST;
use crate::store::StoreError;
use crate::store::second_factors::FactorChange;
use crate::tongue::{Id, Tells as _, Tongue, Words};

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
    let (Some(token), Some(password)) = (form.get("token"), form.get("password")) else { return stale() };
    let username = form.get("username").unwrap_or_default();
    if let Err(problem) = login.passwords.check(password, username) {
        return show(&login, &browser, token, Some(problem.words()));
    }
    if form.get("again") != Some(password) {
        return show(&login, &browser, token, Some(Words::of("enrol-differ")));
    }
    let hash = match login.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(error) => return unavailable(&error),
    };
    let (digest, now) = (digest_of(token), login.clock.now());
    let passwords = Arc::clone(&login.passwords);
    let used = login
        .cut_offs
        .cut(move |sql, at| {
            let Some(name) = sql.use_enrolment(&digest, now)? else { return Ok((None, Vec::new())) };
            sql.set_password_hash(&name, Some(&hash))?;
            sql.note_factor_change(&name, FactorChange::PasswordSet, at)?;
            sql.clear_login_failures(&passwords.blind(name.as_str()))?;
            // A new password ends what the old one opened.
            sql.end_all_sessions(&name, at)?;
            let cut = CutOff::UpTo { target: Target::Subject(name.clone()), not_before: at };
            Ok::<_, StoreError>((Some(name), vec![cut]))
        })
        .await;
    let name = match used {
        Ok(Some(name)) => name,
        Ok(None) => return stale(),
        Err(error) => return unavailable(&error),
    };
    let mut record = origin.record(Event::EnrolmentUsed, Outcome::Allow, now);
    record.action = Some("set-password".to_owned());
    record.actor = Actor { sub: Some(name.to_string()), kind: ActorKind::Human, ..Actor::default() };
    let (title, text) = (Id::of("enrol-done-title"), Id::of("enrol-done"));
    let answer = pages::message(StatusCode::OK, title, text);
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}
