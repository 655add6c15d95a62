//! Setting a password: what is typed, what it ends, and the page for whoever came by a link and showed their second factor. NIST
//! SP 800-63B-4 sections 3.1.1.2 and 4.2.2; ATTACKS A05, A06.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::{SessionId, Subject};
use chartgate_access::login::assurance::SecondFactor;
use chartgate_access::principal::{User, UserState};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::form::Form;
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::Login;
use super::form::{Submission, Visit, stale, unavailable};
use super::recovery::proven;
use super::second_factor::{Half, go_on_with};
use super::sign_in::person;
use super::then::Then;
use crate::live::outbox::{Change, ChangeError};
use crate::pages;
use crate::passwords::SHORTEST;
use crate::store::half_sign_ins::{First, HalfSignIn, Stage};
use crate::store::second_factors::{FactorChange, Used};
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tells as _, Tongue, Words};

#[derive(Template)]
#[template(path = "new_password.html")]
struct NewPassword<'a> {
    t: Tongue,
    username: &'a str,
    shortest: u64,
    problem: Option<Words>,
    hidden: String,
}

/// What was typed as a new password.
pub(super) enum Typed<'a> {
    /// One that may be set.
    Good(&'a str),
    /// What is wrong with it.
    Problem(Words),
}

/// Reads what somebody of this name typed twice: in this field, and again.
pub(super) fn typed<'a>(login: &Login, (form, field): (&'a Form, &str), of: &str) -> Typed<'a> {
    let password = form.get(field).unwrap_or_default();
    if let Err(problem) = login.passwords.check(password, of) {
        return Typed::Problem(problem.words());
    }
    if form.get("again") != Some(password) {
        return Typed::Problem(Words::of("enrol-differ"));
    }
    Typed::Good(password)
}

/// Sets a person's password, and ends what the one before opened, but for the session in which it is changed. Gives what is cut
/// off.
pub(super) fn set(
    sql: &Sql<'_>,
    (of, hash): (&Subject, &str),
    counters: &[String; 2],
    but: Option<&SessionId>,
    now: Timestamp,
) -> Result<Vec<CutOff>, StoreError> {
    sql.set_password_hash(of, Some(hash))?;
    sql.note_factor_change(of, FactorChange::PasswordSet, now)?;
    counters.iter().try_for_each(|counter| sql.clear_login_failures(counter))?;
    sql.end_all_but(of, but, now)?;
    Ok(vec![CutOff::UpTo { target: Target::Subject(of.clone()), not_before: now }])
}

/// Lets whoever came by a link, and showed this beside it, set a password, and do nothing else; unless what they showed was used
/// before.
pub(super) async fn ask(
    login: &Login,
    visit: &Visit,
    (user, factor): (&User, SecondFactor),
    use_up: impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static,
) -> Result<Option<Response>, Box<Response>> {
    let half = HalfSignIn {
        subject: user.name.clone(),
        first: First::Link,
        passkey: None,
        stage: Stage::NewPassword,
    };
    let new = |_: &str| Ok((half, "/login/new-password"));
    match go_on_with(login, visit, &Then::of(&visit.form), (new, use_up)).await? {
        Some(answer) => Ok(Some(proven(login, &visit.origin, (user, factor.code()), answer).await)),
        None => Ok(None),
    }
}

/// The half sign-in in which a password may be set.
fn half(login: &Login, visit: &Visit) -> Result<Half, Box<Response>> {
    match Half::of(login, visit)? {
        half @ Half { stage: Stage::NewPassword, first: First::Link, .. } => Ok(half),
        _ => Err(Box::new(stale())),
    }
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match half(&login, &visit) {
        Ok(half) => show(&visit, &half, None),
        Err(response) => *response,
    }
}

fn show(visit: &Visit, half: &Half, problem: Option<Words>) -> Response {
    let then = Then::of(&visit.form);
    let fields: Vec<_> = std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).collect();
    let page = NewPassword {
        t: visit.browser.tongue,
        username: half.user.name.as_str(),
        shortest: SHORTEST.into(),
        problem,
        hidden: visit.browser.hidden(&fields),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let half = match half(&login, &visit) {
        Ok(half) => half,
        Err(response) => return *response,
    };
    if let Err(error) = login.outbox.may_give() {
        return unavailable(&error);
    }
    let password = match typed(&login, (&visit.form, "password"), half.user.name.as_str()) {
        Typed::Good(password) => password,
        Typed::Problem(problem) => return show(&visit, &half, Some(problem)),
    };
    let hash = match login.passwords.hash(password).await {
        Ok(hash) => hash,
        Err(error) => return unavailable(&error),
    };
    let (name, digest) = (half.user.name.clone(), half.digest.clone());
    let (counters, now) = (login.passwords.counters(&name), login.clock.now());
    let mut record = visit.origin.record(Event::PasswordSet, Outcome::Allow, now);
    record.action = Some(Event::PasswordSet.as_str().to_owned());
    record.actor = person(&half.user);
    record.detail.insert("after".to_owned(), Phi::new(half.first.code().to_owned()));
    let was_set = login.outbox.commit(move |sql, at| {
        // Whoever was shut out meanwhile, or has another password by now, sets none.
        let is_enabled = sql.user(&name)?.is_some_and(|user| user.state == UserState::Enabled);
        if sql.take_half_sign_in(&digest, now)?.is_none() || !is_enabled {
            return Ok(Change::none(false));
        }
        let cut = set(sql, (&name, &hash), &counters, None, at)?;
        Ok::<_, ChangeError>(Change::told_by(true, [record]).cutting(cut))
    });
    let (title, text) = (Id::of("enrol-done-title"), Id::of("enrol-done"));
    match was_set.await {
        Ok(true) => pages::message(StatusCode::OK, title, text),
        Ok(false) => stale(),
        Err(error) => unavailable(&error),
    }
}
