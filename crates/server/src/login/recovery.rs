//! Asking for a link in place of the password, or of what is shown beside it. NIST SP 800-63B-4 section 4.2; ATTACKS A01, A06.
//!
//! A link is one of two proofs, and never stands alone ([`recovery`](chartgate_access::login::recovery)). Whether a name is
//! somebody's, whether they have an address and whether anything was sent, the answer and what is written for it are the same;
//! sending comes later. The log says which it was.

pub(super) mod link;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::Subject;
use chartgate_access::login::recovery::{Known, Lost, NoLink, may_have_link};
use chartgate_access::principal::User;
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;
use http::StatusCode;

use super::Login;
use super::authenticate::canonical;
use super::form::{Submission, Visit, stale, unavailable};
use super::once_more::recorded;
use super::second_factor::Half;
use super::sign_in::person;
use super::then::Then;
use crate::config::Recovery;
use crate::entropy::{digest_of, opaque_secret};
use crate::net::origin::Origin;
use crate::pages;
use crate::store::StoreError;
use crate::store::half_sign_ins::{First, Stage};
use crate::store::recoveries::{Asked, Wish};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "forgot.html")]
struct Forgot {
    t: Tongue,
    back: String,
    hidden: String,
}

#[derive(Template)]
#[template(path = "lost.html")]
struct LostFactors<'a> {
    t: Tongue,
    username: &'a str,
    back: String,
    hidden: String,
}

/// Where somebody goes who does not know their password any more, if links are sent.
pub(super) fn for_lost_password(login: &Login, then: &Then<'_>) -> Option<String> {
    let more = then.hidden().map(|(name, value)| format!("?{name}={value}")).unwrap_or_default();
    (login.recovery == Recovery::Mail).then(|| format!("/login/forgot{more}"))
}

/// Where somebody goes who showed their password and has nothing else any more, if a link helps them.
pub(super) fn for_lost_factors(
    login: &Login,
    half: &Half,
    then: &Then<'_>,
) -> Result<Option<String>, StoreError> {
    let is_in_place = login.recovery == Recovery::Mail
        && half.first == First::Password
        && may_have(login, Lost::Factors, Some(&half.user))?.is_ok();
    Ok(is_in_place.then(|| address("/login/lost", half, then)))
}

fn address(page: &str, half: &Half, then: &Then<'_>) -> String {
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    format!("{page}?sign_in={}{more}", half.handle)
}

/// Whether a link is sent in place of what was lost. Of nobody everything is looked up that is looked up of somebody.
fn may_have(login: &Login, lost: Lost, user: Option<&User>) -> Result<Result<(), &'static str>, StoreError> {
    let Some(user) = user else { return Ok(Err("unknown-user")) };
    let known = login.store.read(|sql| {
        Ok::<_, StoreError>(Known {
            state: user.state,
            has_password: sql.password_hash(&user.name)?.is_some(),
            has_address: user.email.is_some(),
            holds: login.factors.holds_in(sql, &user.name)?,
            needed: login.second_factors.of(user),
        })
    })?;
    Ok(may_have_link(lost, known).map_err(NoLink::code))
}

pub(super) async fn ask_for_password(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    if login.recovery != Recovery::Mail {
        return stale();
    }
    let then = Then::of(&visit.form);
    let hidden = visit.browser.hidden(then.hidden().as_slice());
    let page = Forgot { t: visit.browser.tongue, back: then.sign_in(), hidden };
    visit.browser.show(StatusCode::OK, &page, None)
}

pub(super) async fn asked_for_password(
    State(login): State<Arc<Login>>,
    Submission(visit): Submission,
) -> Response {
    if login.recovery != Recovery::Mail {
        return stale();
    }
    let typed = canonical(visit.form.get("username").unwrap_or_default());
    let user = typed.parse::<Subject>().ok().map(|name| login.store.read(|sql| sql.user(&name)));
    let user = match user.transpose() {
        Ok(user) => user.flatten(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    };
    let answer = pages::message(StatusCode::OK, Id::of("recover-sent-title"), Id::of("recover-sent-if"));
    ask(&login, &visit.origin, (Lost::Password, &typed, user.as_ref()), answer).await
}

/// The half sign-in of whoever showed their password, and may have a link in place of what comes after it.
fn half(login: &Login, visit: &Visit) -> Result<Half, Box<Response>> {
    match Half::of(login, visit)? {
        half @ Half { stage: Stage::Prove, first: First::Password, .. }
            if login.recovery == Recovery::Mail =>
        {
            Ok(half)
        }
        _ => Err(Box::new(stale())),
    }
}

pub(super) async fn ask_for_factors(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    let half = match half(&login, &visit) {
        Ok(half) => half,
        Err(response) => return *response,
    };
    let then = Then::of(&visit.form);
    let fields: Vec<_> = std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).collect();
    let page = LostFactors {
        t: visit.browser.tongue,
        username: half.user.name.as_str(),
        back: address("/login/code", &half, &then),
        hidden: visit.browser.hidden(&fields),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

pub(super) async fn asked_for_factors(
    State(login): State<Arc<Login>>,
    Submission(visit): Submission,
) -> Response {
    let half = match half(&login, &visit) {
        Ok(half) => half,
        Err(response) => return *response,
    };
    let answer = pages::message(StatusCode::OK, Id::of("recover-sent-title"), Id::of("recover-sent"));
    let who = (Lost::Factors, half.user.name.as_str(), Some(&half.user));
    ask(&login, &visit.origin, who, answer).await
}

/// Keeps the wish for a link, and puts it on record, whatever comes of it.
async fn ask(
    login: &Login,
    origin: &Origin,
    (lost, typed, user): (Lost, &str, Option<&User>),
    answer: Response,
) -> Response {
    login.throttle.count(origin.ip);
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let may = match may_have(login, lost, user) {
        Ok(may) => may,
        Err(error) => return unavailable(&error),
    };
    let (id, counter) = (digest_of(opaque_secret().expose()), login.passwords.blind(typed));
    let (to, now) = (user.filter(|_| may.is_ok()).map(|user| user.name.clone()), login.clock.now());
    let asked = login.store.write(move |sql| {
        sql.ask_for_link(&Wish { id: &id, counter: &counter, user: to.as_ref(), lost }, now)
    });
    let refused = match asked.await {
        Ok(Asked::Now) => may.err(),
        Ok(Asked::TooOften) => Some("too-often"),
        Err(error) => return unavailable(&error),
    };
    let outcome = if refused.is_none() { Outcome::Allow } else { Outcome::Deny };
    let mut record = origin.record(Event::RecoveryAsked, outcome, now);
    record.action = Some(Event::RecoveryAsked.as_str().to_owned());
    record.decision.reason = refused.map(str::to_owned);
    // A name that is nobody's is not written down: it may be a password in the wrong field.
    record.actor = user.map(person).unwrap_or_default();
    record.detail.insert("lost".to_owned(), Phi::new(lost.code().to_owned()));
    recorded(login, &record, answer).await
}

/// Gives the answer once it is on record that one of the proofs was shown.
pub(super) async fn proven(
    login: &Login,
    origin: &Origin,
    (user, proof): (&User, &str),
    answer: Response,
) -> Response {
    let mut record = origin.record(Event::RecoveryProven, Outcome::Allow, login.clock.now());
    record.action = Some(Event::RecoveryProven.as_str().to_owned());
    record.actor = person(user);
    record.detail.insert("proof".to_owned(), Phi::new(proof.to_owned()));
    recorded(login, &record, answer).await
}
