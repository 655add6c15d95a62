//! Name and password. NIST SP 800-63B-4 section 3.1.1; ATTACKS A01, A02, O32.
//!
//! Whether a name is unknown, a person disabled or a password wrong, the answer, its time and its count are the same.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::{EmergencyId, SessionId, Subject};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_access::session::Session;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_audit::watch::FindingId;
use chartgate_protocol::form::Form;
use chartgate_values::{Phi, Timestamp};
use http::{HeaderMap, StatusCode, header};

use super::Login;
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::net::cookie;
use crate::net::origin::Origin;
use crate::passwords::Verdict;
use crate::store::StoreError;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    application: Option<&'a str>,
    problem: Option<&'a str>,
    username: &'a str,
    hidden: String,
}

/// Wrong passwords after which a session is over in which they were asked for again; none of them has to wait.
const TRIES_IN_SESSION: u32 = 5;
const WRONG: &str = "That name and password do not fit together.";
const BUSY: &str = "Too many people are signing in just now. Try again in a moment.";
const TOO_OFTEN: &str =
    "Too many attempts. Wait a little, then try again; if it goes on, ask your administrator.";

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    show(&login, &visit, None, StatusCode::OK)
}

/// What the person goes on with once they are signed in.
enum Then<'a> {
    /// An application's request.
    Request(&'a str),
    /// The code of a device.
    Device,
    /// Their applications.
    Apps,
    /// Emergency access.
    Emergency,
    /// Its reviews.
    Reviews,
    /// One of them.
    Review(&'a str, EmergencyId),
    /// What the log shows that somebody should look at.
    Findings,
    /// One of that.
    Finding(&'a str, FindingId),
    /// Nothing in particular.
    Account,
}

impl<'a> Then<'a> {
    fn of(form: &'a Form) -> Self {
        match (form.get("request"), form.get("then")) {
            (Some(handle), _) => Self::Request(handle),
            (None, Some("device")) => Self::Device,
            (None, Some("apps")) => Self::Apps,
            (None, Some("emergency")) => Self::Emergency,
            (None, Some("reviews")) => Self::Reviews,
            (None, Some("findings")) => Self::Findings,
            (None, Some(other)) => {
                let review = other.strip_prefix("review-").and_then(|id| id.parse().ok());
                let finding = other.strip_prefix("finding-").and_then(|id| id.parse().ok());
                match (review, finding) {
                    (Some(id), _) => Self::Review(other, id),
                    (None, Some(id)) => Self::Finding(other, id),
                    (None, None) => Self::Account,
                }
            }
            (None, None) => Self::Account,
        }
    }

    fn hidden(&self) -> Option<(&str, &str)> {
        match self {
            Self::Request(handle) => Some(("request", handle)),
            Self::Device => Some(("then", "device")),
            Self::Apps => Some(("then", "apps")),
            Self::Emergency => Some(("then", "emergency")),
            Self::Reviews => Some(("then", "reviews")),
            Self::Findings => Some(("then", "findings")),
            Self::Review(then, _) | Self::Finding(then, _) => Some(("then", then)),
            Self::Account => None,
        }
    }

    fn target(&self) -> String {
        match self {
            Self::Request(handle) => format!("/authorize/continue?request={handle}"),
            Self::Device => "/device".to_owned(),
            Self::Apps => "/account/apps".to_owned(),
            Self::Emergency => "/emergency".to_owned(),
            Self::Reviews => "/emergency/reviews".to_owned(),
            Self::Findings => "/watch/findings".to_owned(),
            Self::Finding(_, id) => format!("/watch/finding?id={id}"),
            Self::Review(_, id) => format!("/emergency/review?id={id}"),
            Self::Account => "/account".to_owned(),
        }
    }
}

fn show(login: &Login, visit: &Visit, problem: Option<(&str, &str)>, status: StatusCode) -> Response {
    let (browser, then) = (&visit.browser, Then::of(&visit.form));
    let handle = visit.form.get("request");
    let begun = match handle.map(|handle| browser.pending(login, handle)).transpose() {
        Ok(Some(None)) => return stale(),
        Ok(begun) => begun.flatten(),
        Err(error) => return unavailable(&error),
    };
    let hint = begun.as_ref().and_then(|begun| begun.pending.login_hint.as_deref()).unwrap_or_default();
    let page = SignIn {
        application: begun.as_ref().map(|begun| begun.client.client_id.as_str()),
        problem: problem.map(|(text, _)| text),
        username: problem.map_or(hint, |(_, username)| username),
        hidden: browser.hidden(then.hidden().as_slice()),
    };
    let target = begun.as_ref().and_then(|begun| begun.pending.reply_to.form_target());
    browser.show(status, &page, target)
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let Visit { browser, form, origin, headers } = &visit;
    if let Some(handle) = form.get("request") {
        match browser.pending(&login, handle) {
            Ok(Some(_)) => {}
            Ok(None) => return stale(),
            Err(error) => return unavailable(&error),
        }
    }
    let (typed, password) =
        (form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default());
    let attempt = match check(&login, origin, typed, password).await {
        Ok(attempt) => attempt,
        Err(error) => return unavailable(&error),
    };
    let user = match attempt {
        Attempt::Good(user) => user,
        Attempt::Refused(reason, user) => {
            return refuse(&login, origin, reason, user.as_ref(), || {
                let status = match reason {
                    Reason::Throttled => StatusCode::TOO_MANY_REQUESTS,
                    Reason::Busy => StatusCode::SERVICE_UNAVAILABLE,
                    Reason::UnknownUser | Reason::WrongPassword | Reason::Disabled => StatusCode::OK,
                };
                show(&login, &visit, Some((reason.words().unwrap_or(WRONG), typed)), status)
            })
            .await;
        }
    };
    match start_session(&login, origin, headers, &user).await {
        Ok(cookie) => {
            let mut response = see_other(&Then::of(form).target());
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Err(response) => response,
    }
}

/// What came of a name and a password.
enum Attempt {
    Good(User),
    Refused(Reason, Option<User>),
}

#[derive(Clone, Copy)]
pub(super) enum Reason {
    Throttled,
    Busy,
    UnknownUser,
    WrongPassword,
    Disabled,
}

impl Reason {
    /// What people are told besides that it was wrong.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Throttled => Some(TOO_OFTEN),
            Self::Busy => Some(BUSY),
            Self::UnknownUser | Self::WrongPassword | Self::Disabled => None,
        }
    }

    /// The stable code for the record.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "user-disabled",
        }
    }
}

async fn check(login: &Login, origin: &Origin, typed: &str, password: &str) -> Result<Attempt, StoreError> {
    let canonical: String = typed.trim().to_lowercase().chars().take(64).collect();
    // Counted whether or not it is somebody's name, under a name that gives nothing away: it may be a password.
    let counter = login.passwords.blind(&canonical);
    verify(login, origin, counter, canonical.parse().ok(), password).await
}

/// What came of the password of somebody who is signed in.
pub(super) enum Again {
    Right,
    Refused(Reason),
    /// So many were wrong that the session cannot be believed any more.
    Spent,
}

/// Asks somebody for their password once more. Counted by session: a stranger, who can fill the counter of a name from
/// anywhere, must not keep a clinician from what they need, and whoever sits at their session has few tries.
pub(super) async fn check_again(
    login: &Login,
    origin: &Origin,
    present: &Present,
    password: &str,
) -> Result<Again, StoreError> {
    let (name, session) = (&present.user.name, &present.session.id);
    let counter = login.passwords.blind(&format!("{name} in the session {session}"));
    let counted = counter.clone();
    let reason = match verify(login, origin, counter, Some(name.clone()), password).await? {
        Attempt::Good(_) => return Ok(Again::Right),
        Attempt::Refused(reason, _) => reason,
    };
    let failures = login.store.read(|sql| sql.login_failures(&counted))?;
    Ok(if failures.count >= TRIES_IN_SESSION { Again::Spent } else { Again::Refused(reason) })
}

async fn verify(
    login: &Login,
    origin: &Origin,
    counter: String,
    name: Option<Subject>,
    password: &str,
) -> Result<Attempt, StoreError> {
    let now = login.clock.now();
    login.throttle.count(origin.ip);
    let counted = counter.clone();
    let failures = login.store.write(move |sql| sql.begin_login(&counted, now)).await?;
    let (user, hash) = login.store.read(|sql| {
        let Some(name) = &name else { return Ok::<_, StoreError>((None, None)) };
        Ok((sql.user(name)?, sql.password_hash(name)?))
    })?;
    if failures.check(now).is_err() {
        return Ok(Attempt::Refused(Reason::Throttled, user));
    }
    // A hash is computed in any case, so that time tells nothing.
    let verdict = login.passwords.verify(password, hash.as_deref()).await;
    let (reason, user) = match (user, verdict) {
        (Some(user), Verdict::Right) if user.state == UserState::Enabled => {
            login.store.write(move |sql| sql.clear_login_failures(&counter)).await?;
            return Ok(Attempt::Good(user));
        }
        (user, Verdict::Busy) => (Reason::Busy, user),
        (Some(user), Verdict::Right) => (Reason::Disabled, Some(user)),
        (Some(user), Verdict::Wrong) => (Reason::WrongPassword, Some(user)),
        (None, Verdict::Right | Verdict::Wrong) => (Reason::UnknownUser, None),
    };
    Ok(Attempt::Refused(reason, user))
}

/// Records a failed sign-in. A name that is nobody's is not written down: it may be a password in the wrong field.
async fn refuse(
    login: &Login,
    origin: &Origin,
    reason: Reason,
    user: Option<&User>,
    answer: impl FnOnce() -> Response,
) -> Response {
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let mut record = origin.record(Event::LoginFailed, Outcome::Deny, login.clock.now());
    record.action = Some("login".to_owned());
    record.decision.reason = Some(reason.code().to_owned());
    if let Some(user) = user {
        record.actor = person(user);
    }
    match login.journal.append(&record, Withheld::new(answer())).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}

/// Starts a session under a new id (ATTACKS O32), and ends the one that the browser had, with its tokens.
async fn start_session(
    login: &Login,
    origin: &Origin,
    headers: &HeaderMap,
    user: &User,
) -> Result<http::HeaderValue, Response> {
    let now: Timestamp = login.clock.now();
    let secret = opaque_secret();
    let session = Session {
        id: SessionId::random(&mut SystemEntropy),
        subject: user.name.clone(),
        auth_time: now,
        last_seen: now,
        ended_at: None,
        amr: vec!["pwd".to_owned()],
    };
    let mut record = origin.record(Event::LoginSucceeded, Outcome::Allow, now);
    record.action = Some("login".to_owned());
    record.actor = person(user);
    record.session = Some(session.id.to_string());
    record.amr = session.amr.clone();
    record.auth_time = Some(now);
    let (digest, former) =
        (digest_of(secret.expose()), cookie::read(headers, cookie::SESSION).map(digest_of));
    let kept = login
        .cut_offs
        .cut(move |sql, now| {
            let mut cut = Vec::new();
            if let Some(former) = former.map(|digest| sql.session_by_cookie(&digest)).transpose()?.flatten() {
                sql.end_session(&former.id, now)?;
                cut.push(CutOff::UpTo { target: Target::Session(former.id), not_before: now });
            }
            sql.add_session(&session, &digest)?;
            Ok(((), cut))
        })
        .await;
    kept.map_err(|error: StoreError| unavailable(&error))?;
    let cookie = Withheld::new(cookie::set(cookie::SESSION, secret.expose()));
    match login.journal.append(&record, cookie).await {
        Ok(recorded) => Ok(Withheld::release(recorded)),
        Err(error) => Err(unavailable(&error)),
    }
}

/// What records say of a person.
pub(super) fn person(user: &User) -> Actor {
    Actor {
        sub: Some(user.name.to_string()),
        kind: ActorKind::Human,
        fhir_user: user.fhir_user.as_ref().map(|f| Phi::new(f.to_string())),
        roles: user.roles.iter().map(ToString::to_string).collect(),
        ..Actor::default()
    }
}
