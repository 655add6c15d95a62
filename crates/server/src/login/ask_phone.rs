//! The screen where somebody who knows a password waits until its person has said yes on their phone, by typing the number that
//! stands here. NIST SP 800-63B-4 section 3.1.3.2; ATTACKS A05, O20. Nobody is asked where they were never seen
//! ([`super::known_browser`]).
//!
//! It is one more way from a half sign-in to a session, beside the code: as that, it is no session until then. It is not
//! resistant to phishing: a page in between can show the number on.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::approval::question::Question;
use chartgate_access::approval::sign_in::SignInAnswer;
use chartgate_access::ids::ClientId;
use chartgate_access::login::assurance::{Next, SecondFactor};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::UserState;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::StatusCode;

use super::Login;
use super::approve::told;
use super::form::{Submission, Visit, see_other, stale, unavailable};
use super::known_browser::{self, PhoneHere, Seen};
use super::once_more::recorded;
use super::second_factor::{self, Half, next};
use super::sign_in::{Begin, person, start_session, with_cookies};
use super::then::Then;
use crate::pages::{self, Scripts};
use crate::store::half_sign_ins::{First, Stage};
use crate::store::pending::Took;
use crate::store::sign_in_approvals::{Asked, KeptSignIn};
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "ask_phone.html")]
struct WaitingPage<'a> {
    t: Tongue,
    username: &'a str,
    /// Where the phone finds the question.
    place: String,
    number: Option<String>,
    until: String,
    state: &'static str,
    text: Option<Id>,
    /// Where to ask how it stands, the page again, and the page of the code.
    poll: String,
    again: String,
    code: String,
    hidden: String,
}

const FLOODED: Id = Id::of("ask-phone-flooded");

/// How the question of a half sign-in stands.
fn state_of(login: &Login, kept: Option<&KeptSignIn>) -> (&'static str, Option<Id>) {
    let Some(KeptSignIn { approval, .. }) = kept else { return ("none", Some(FLOODED)) };
    let is_over = login.clock.now() >= approval.expires_at;
    match approval.answer {
        SignInAnswer::Waiting if !is_over => ("waiting", None),
        SignInAnswer::Approved if !is_over => ("approved", Some(Id::of("ask-phone-approved"))),
        SignInAnswer::Waiting | SignInAnswer::Approved => ("over", Some(Id::of("ask-phone-over"))),
        SignInAnswer::Denied => ("denied", Some(Id::of("ask-phone-denied"))),
        SignInAnswer::Failed => ("failed", Some(Id::of("ask-phone-failed"))),
        SignInAnswer::Used => ("over", Some(Id::of("ask-phone-used"))),
    }
}

fn half(login: &Login, visit: &Visit) -> Result<Half, Box<Response>> {
    match Half::of(login, visit)? {
        // What the phone shows says that somebody knows the password.
        half @ Half { stage: Stage::Prove, first: First::Password, .. } => Ok(half),
        _ => Err(Box::new(stale())),
    }
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match half(&login, &visit) {
        Ok(half) => show(&login, &visit, &half, StatusCode::OK),
        Err(response) => *response,
    }
}

/// How it stands, for the page's script.
pub(super) async fn state(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    // A no on the phone ends the half sign-in.
    let Ok(half) = half(&login, &visit) else { return told("over".to_owned()) };
    match login.store.read(|sql| sql.sign_in_approval_of(&half.digest)) {
        Ok(kept) => told(state_of(&login, kept.as_ref()).0.to_owned()),
        Err::<_, StoreError>(error) => unavailable(&error),
    }
}

fn show(login: &Login, visit: &Visit, half: &Half, status: StatusCode) -> Response {
    let kept = match login.store.read(|sql| sql.sign_in_approval_of(&half.digest)) {
        Ok(kept) => kept,
        Err::<_, StoreError>(error) => return unavailable(&error),
    };
    let then = Then::of(&visit.form);
    let target = match then.form_target(login, visit) {
        Ok(target) => target,
        Err(response) => return *response,
    };
    let (state, text) = state_of(login, kept.as_ref());
    let waiting = kept.filter(|_| state == "waiting");
    let number = match waiting.as_ref().map(|kept| login.approvals.number(kept)).transpose() {
        Ok(number) => number.map(|number| grouped(&number.shown())),
        Err(error) => return unavailable(&error),
    };
    let fields: Vec<_> = std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).collect();
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    let at = |path: &str| format!("{path}?sign_in={}{more}", half.handle);
    let page = WaitingPage {
        t: visit.browser.tongue,
        username: half.user.name.as_str(),
        place: format!("{}/approve", login.issuer.strip_prefix("https://").unwrap_or(&login.issuer)),
        number,
        until: waiting.map(|kept| pages::seconds(kept.approval.expires_at)).unwrap_or_default(),
        state,
        text,
        poll: at("/login/phone/state"),
        again: at("/login/phone"),
        code: at("/login/code"),
        hidden: visit.browser.hidden(&fields),
    };
    visit.browser.show_with(status, &page, target.as_deref(), Scripts::App)
}

/// As people read numbers to each other.
fn grouped(digits: &str) -> String {
    digits.split_at_checked(3).map_or_else(|| digits.to_owned(), |(front, back)| format!("{front} {back}"))
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let half = match half(&login, &visit) {
        Ok(half) => half,
        Err(response) => return *response,
    };
    // No more is to be had by it than by a code.
    match next(&login, &visit, &half) {
        Ok(Next::Session) => {}
        Ok(Next::Prove | Next::Enrol | Next::EnrolAPasskey) => return stale(),
        Err(response) => return *response,
    }
    if let Err(response) = check_seen(&login, &visit, &half).await {
        return *response;
    }
    match visit.form.get("act") {
        Some("ask") => ask(&login, &visit, &half).await,
        Some("go-on") => go_on(&login, &visit, &half).await,
        Some(_) | None => stale(),
    }
}

/// Nobody is asked where they were never seen, whatever form is sent.
async fn check_seen(login: &Login, visit: &Visit, half: &Half) -> Result<(), Box<Response>> {
    let begun = Then::of(&visit.form).begun(login, visit)?;
    let here = PhoneHere::of(login, visit, (&half.user, &half.first), begun.as_ref());
    let here = here.map_err(|error| unavailable(&error))?;
    match here {
        PhoneHere::Asked => Ok(()),
        PhoneHere::None => Err(Box::new(stale())),
        PhoneHere::NotAsked(why) => {
            login.throttle.reserve.admit_stranger().map_err(|kept| unavailable(&kept))?;
            let record = known_browser::record(login, visit, &half.user, begun.as_ref(), why);
            let page = second_factor::show(login, visit, half, here.words(), StatusCode::FORBIDDEN);
            Err(Box::new(recorded(login, &record, page).await))
        }
    }
}

/// Asks the person whose password it is, unless they are being asked by this very sign-in.
async fn ask(login: &Login, visit: &Visit, half: &Half) -> Response {
    let found = login.store.read(|sql| {
        let phones = sql.phones(&half.user.name)?;
        Ok::<_, StoreError>((phones, sql.sign_in_approval_of(&half.digest)?))
    });
    let (phones, kept) = match found {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    if phones.is_empty() || half.user.state != UserState::Enabled {
        return stale();
    }
    let then = Then::of(&visit.form);
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    let page = see_other(&format!("/login/phone?sign_in={}{more}", half.handle));
    if ["waiting", "approved"].contains(&state_of(login, kept.as_ref()).0) {
        return page;
    }
    let client = match client_of(login, visit, &then) {
        Ok(client) => client,
        Err(response) => return *response,
    };
    let asked = login.approvals.ask_sign_in(&half.digest, &half.user, client, visit.origin.ip).await;
    let (question, asked) = match asked {
        Ok(asked) => asked,
        Err(error) => return unavailable(&error),
    };
    let mut record = record_of(login, visit, half, &question);
    let answer = match asked {
        Asked::Yes => page,
        Asked::No(flood) => {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some(flood.code().to_owned());
            record.detail.insert("flood".to_owned(), Phi::new(flood.code().to_owned()));
            show(login, visit, half, StatusCode::TOO_MANY_REQUESTS)
        }
    };
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => {
            if asked == Asked::Yes
                && let Err(error) = login.approvals.put(&half.user.name, &question.id).await
            {
                return unavailable(&error);
            }
            Withheld::release(recorded)
        }
        Err(error) => unavailable(&error),
    }
}

/// On the way to which application somebody signs in.
fn client_of(login: &Login, visit: &Visit, then: &Then<'_>) -> Result<Option<ClientId>, Box<Response>> {
    let Then::Request(handle) = then else { return Ok(None) };
    let begun = visit.browser.pending(login, handle).map_err(|error| unavailable(&error))?;
    Ok(Some(begun.ok_or_else(stale)?.client.client_id.clone()))
}

fn record_of(login: &Login, visit: &Visit, half: &Half, question: &Question) -> Record {
    let mut record = visit.origin.record(Event::ApprovalRequested, Outcome::Allow, login.clock.now());
    record.action = Some(question.action.name().to_owned());
    record.actor = person(&half.user);
    record.resource = Some(Phi::new(question.id.clone()));
    record.detail.insert("user".to_owned(), Phi::new(half.user.name.to_string()));
    record.detail.extend(question.told().map(|(name, value)| (name.to_owned(), Phi::new(value))));
    record
}

/// Begins the session that the person has said yes to.
async fn go_on(login: &Login, visit: &Visit, half: &Half) -> Response {
    if half.user.state != UserState::Enabled {
        return stale();
    }
    let begun = match Then::of(&visit.form).begun(login, visit) {
        Ok(begun) => begun,
        Err(response) => return *response,
    };
    let seen = Seen::at(visit, &half.user.name, begun.as_ref());
    let begin = Begin::with_factor(&half.user, &half.first, SecondFactor::Phone);
    let (digest, now) = (half.digest.clone(), login.clock.now());
    let counter = half.counter(login);
    let use_up = move |sql: &Sql<'_>, _| {
        // What was known of it may have been forgotten meanwhile.
        if seen.check(sql, now)?.is_err() {
            return Ok(None);
        }
        if sql.use_sign_in_approval(&digest, now)? == Took::Nothing
            || sql.take_half_sign_in(&digest, now)?.is_none()
        {
            return Ok(None);
        }
        sql.clear_login_failures(&counter)?;
        Ok(Some(Vec::new()))
    };
    match start_session(login, visit, begin, use_up).await {
        Ok(Some(cookies)) => with_cookies(see_other(&Then::of(&visit.form).target()), cookies),
        Ok(None) => show(login, visit, half, StatusCode::OK),
        Err(response) => response,
    }
}
