//! Where a person is signed in, and ending that: one session or all the others; and the browsers that they are known in. NIST SP
//! 800-63B-4 section 5.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::{BrowserId, SessionId, Subject};
use chartgate_access::session::{Session, Timeouts};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::Login;
use super::account;
use super::agent::agent_in;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::known_browser::digest_here;
use super::once_more;
use super::sign_in::person;
use crate::live::outbox::{Change, ChangeError};
use crate::pages;
use crate::store::known::KnownBrowser;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::Tongue;

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    t: Tongue,
    this: Shown,
    others: Vec<Shown>,
    browsers: Vec<ShownBrowser>,
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

/// A browser that they are known in.
struct ShownBrowser {
    id: String,
    agent: String,
    is_this: bool,
    since: String,
    since_shown: String,
    seen: String,
    seen_shown: String,
}

impl ShownBrowser {
    fn of(known: &KnownBrowser, this: Option<&BrowserId>, t: Tongue) -> Self {
        Self {
            id: known.id.to_string(),
            agent: agent_in(t, known.agent.as_deref()),
            is_this: this == Some(&known.id),
            since: known.since.to_string(),
            since_shown: pages::minutes(known.since),
            seen: known.seen_at.to_string(),
            seen_shown: pages::minutes(known.seen_at),
        }
    }
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
        (true, false, _) if has("mca") => "password-phone",
        (false, false, _) if has("mca") => "elsewhere-phone",
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
    let (of, now) = ((&present.user.name, &present.session.id), login.clock.now());
    let others = login.store.read(|sql| others(sql, of, login.timeouts, now));
    match others.and_then(|others| Ok((others, browsers(&login, &visit, &present)?))) {
        Ok((others, browsers)) => {
            let page = SessionsPage {
                t: visit.browser.tongue,
                this: Shown::of(&present.session, visit.browser.tongue),
                others: others.iter().map(|one| Shown::of(one, visit.browser.tongue)).collect(),
                browsers,
                hidden: visit.browser.hidden(&[]),
            };
            visit.browser.show(StatusCode::OK, &page, None)
        }
        Err(error) => unavailable(&error),
    }
}

/// The person's sessions that are good now but for this one, newest first.
fn others(
    sql: &Sql<'_>,
    (of, this): (&Subject, &SessionId),
    timeouts: Timeouts,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let mut open = sql.open_sessions(Some(of))?;
    open.retain(|one| one.id != *this && one.check(timeouts, now).is_ok());
    Ok(open)
}

/// The browsers that the person is known in, the last one first.
fn browsers(login: &Login, visit: &Visit, present: &Present) -> Result<Vec<ShownBrowser>, StoreError> {
    let (name, now) = (&present.user.name, login.clock.now());
    let here = digest_here(&visit.headers, name);
    let (known, this) = login.store.read(|sql| {
        let this = here.map(|digest| sql.browser_id(name, &digest)).transpose()?.flatten();
        Ok::<_, StoreError>((sql.known_browsers(name, now)?, this))
    })?;
    Ok(known.iter().map(|one| ShownBrowser::of(one, this.as_ref(), visit.browser.tongue)).collect())
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    if let Some(id) = visit.form.get("browser") {
        return forget(&login, &visit, &present, id).await;
    }
    let Some(wanted) = visit.form.get("session") else { return stale() };
    if wanted == present.session.id.as_str() {
        return account::end_this(&login, &visit, &present).await;
    }
    let (name, wanted) = (present.user.name.clone(), wanted.to_owned());
    let record_of_end = record_of_end(&login, &visit, &present);
    let record_of_browser = record_of_browser(&login, &visit, &present);
    let (all, here) = (wanted == OTHERS, digest_here(&visit.headers, &name));
    let (this, timeouts) = (present.session.id.clone(), login.timeouts);
    let ended = login.outbox.commit(move |sql, now| {
        // Those of somebody else are none that could be ended here: nobody learns whether they are there. One that began while
        // the page was looked at is one of the others.
        let mut ending = others(sql, (&name, &this), timeouts, now)?;
        ending.retain(|one| all || one.id.as_str() == wanted);
        let (mut cut, mut records) = (Vec::new(), Vec::new());
        // Whoever is half way in with what they had there is not any more.
        sql.void_half_sign_ins(&name)?;
        // Nor is their phone asked where they are not signed in any more.
        if all {
            let forgotten = sql.forget_other_browsers(&name, here.as_deref())?;
            records.extend(forgotten.iter().map(|id| about(id, record_of_browser.clone())));
        }
        for Session { id, .. } in ending {
            records.push(Record { session: Some(id.to_string()), ..record_of_end.clone() });
            sql.end_session(&id, now)?;
            sql.forget_browser_of(&name, &id)?;
            cut.push(CutOff::UpTo { target: Target::Session(id), not_before: now });
        }
        Ok::<_, ChangeError>(Change::told_by((), records).cutting(cut))
    });
    match ended.await {
        Ok(()) => see_other("/account/sessions"),
        Err(error) => unavailable(&error),
    }
}

/// Forgets a browser that the person is known in. Those of others are none that could be forgotten here.
async fn forget(login: &Login, visit: &Visit, present: &Present, id: &str) -> Response {
    let Ok(id) = id.parse::<BrowserId>() else { return stale() };
    let name = present.user.name.clone();
    let record = about(&id, record_of_browser(login, visit, present));
    let forgotten = login.outbox.commit(move |sql, _| {
        let forgotten = sql.forget_browser(&name, &id)?;
        Ok::<_, ChangeError>(Change::told_by(forgotten, (forgotten == Used::Now).then_some(record)))
    });
    match forgotten.await {
        Ok(Used::Now) => see_other("/account/sessions"),
        Ok(Used::Before) => stale(),
        Err(error) => unavailable(&error),
    }
}

/// That a person had a browser forgotten.
fn record_of_browser(login: &Login, visit: &Visit, present: &Present) -> Record {
    let mut record = once_more::record(login, visit, present, Event::FactorRemoved, Outcome::Allow);
    record.detail.insert("factor".to_owned(), Phi::new("known-browser".to_owned()));
    record
}

fn about(browser: &BrowserId, mut record: Record) -> Record {
    record.resource = Some(Phi::new(browser.to_string()));
    record
}

/// That a person ended another session of theirs, which is to be named.
pub(super) fn record_of_end(login: &Login, visit: &Visit, present: &Present) -> Record {
    let mut record = visit.origin.record(Event::Logout, Outcome::Allow, login.clock.now());
    record.action = Some("logout".to_owned());
    record.actor = person(&present.user);
    record
}
