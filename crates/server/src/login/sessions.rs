//! Where a person is signed in, and ending that: one session or all the others. NIST SP 800-63B-4 section 5.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::SessionId;
use chartgate_access::session::Session;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome, Record};
use http::StatusCode;

use super::Login;
use super::account;
use super::agent::agent_in;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use crate::pages;
use crate::store::StoreError;
use crate::tongue::Tongue;

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    t: Tongue,
    this: Shown,
    others: Vec<Shown>,
    hidden: String,
}

/// A session, as its person reads of it.
struct Shown {
    id: String,
    agent: String,
    /// How they signed in there, as its message tells it apart.
    how: &'static str,
    since: String,
    since_shown: String,
    seen: String,
    seen_shown: String,
}

impl Shown {
    fn of(session: &Session, t: Tongue) -> Self {
        Self {
            id: session.id.to_string(),
            agent: agent_in(t, session.agent.as_deref()),
            how: how(&session.amr),
            since: session.auth_time.to_string(),
            since_shown: pages::minutes(session.auth_time),
            seen: session.last_seen.to_string(),
            seen_shown: pages::minutes(session.last_seen),
        }
    }
}

/// How somebody signed in, as they know it.
fn how(amr: &[String]) -> &'static str {
    let has = |method: &str| amr.iter().any(|one| one == method);
    match (has("pwd"), has("otp"), has("pop")) {
        (_, _, true) if has("hwk") => "hardware-key",
        (_, _, true) => "passkey",
        (true, true, _) => "password-code",
        (true, false, _) => "password",
        (false, true, _) => "elsewhere-code",
        (false, false, _) => "elsewhere",
    }
}

/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=sessions";
/// What the form says in place of a session: all but this one.
const OTHERS: &str = "others";

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    match others(&login, &present) {
        Ok(others) => {
            let page = SessionsPage {
                t: visit.browser.tongue,
                this: Shown::of(&present.session, visit.browser.tongue),
                others: others.iter().map(|one| Shown::of(one, visit.browser.tongue)).collect(),
                hidden: visit.browser.hidden(&[]),
            };
            visit.browser.show(StatusCode::OK, &page, None)
        }
        Err(error) => unavailable(&error),
    }
}

/// The person's other sessions that are good now, newest first.
fn others(login: &Login, present: &Present) -> Result<Vec<Session>, StoreError> {
    let now = login.clock.now();
    let mut open = login.store.read(|sql| sql.open_sessions(Some(&present.user.name)))?;
    open.retain(|one| one.id != present.session.id && one.check(login.timeouts, now).is_ok());
    Ok(open)
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let Some(wanted) = visit.form.get("session") else { return stale() };
    if wanted == present.session.id.as_str() {
        return account::end_this(&login, &visit, &present).await;
    }
    // Sessions of others are none that could be ended here: nobody learns whether they are there.
    let ending: Vec<SessionId> = match others(&login, &present) {
        Ok(others) => others
            .into_iter()
            .map(|session| session.id)
            .filter(|id| wanted == OTHERS || id.as_str() == wanted)
            .collect(),
        Err(error) => return unavailable(&error),
    };
    let (ended, name) = (ending.clone(), present.user.name.clone());
    let cut = login
        .cut_offs
        .cut(move |sql, now| {
            let mut cut = Vec::new();
            // Whoever is half way in with what they had there is not any more.
            sql.void_half_sign_ins(&name)?;
            for id in ending {
                sql.end_session(&id, now)?;
                cut.push(CutOff::UpTo { target: Target::Session(id), not_before: now });
            }
            Ok::<_, StoreError>(((), cut))
        })
        .await;
    if let Err(error) = cut {
        return unavailable(&error);
    }
    for id in &ended {
        if let Err(error) = login.journal.append(&record_of_end(&login, &visit, &present, id), ()).await {
            return unavailable(&error);
        }
    }
    see_other("/account/sessions")
}

/// That a person ended another session of theirs.
pub(super) fn record_of_end(login: &Login, visit: &Visit, present: &Present, ended: &SessionId) -> Record {
    let mut record = visit.origin.record(Event::Logout, Outcome::Allow, login.clock.now());
    record.action = Some("logout".to_owned());
    record.actor = person(&present.user);
    record.session = Some(ended.to_string());
    record
}
