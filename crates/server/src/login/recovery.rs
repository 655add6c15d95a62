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
use chartgate_access::login::assurance::Required;
use chartgate_access::login::recovery::{Known, Lost, NoLink, may_have_link};
use chartgate_access::principal::User;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::{Phi, Timestamp};
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
use crate::live::factors::Factors;
use crate::net::origin::Origin;
use crate::pages;
use crate::store::half_sign_ins::{First, Stage};
use crate::store::recoveries::{Asked, Wish};
use crate::store::second_factors::FactorChange;
use crate::store::{Sql, StoreError};
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

const TOO_OFTEN: &str = "too-often";

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
    let is_in_place =
        half.first == First::Password && look(login, Lost::Factors, &half.user.name)?.may.is_ok();
    Ok(is_in_place.then(|| address("/login/lost", half, then)))
}

fn address(page: &str, half: &Half, then: &Then<'_>) -> String {
    let more = then.hidden().map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
    format!("{page}?sign_in={}{more}", half.handle)
}

/// Who it is, and whether a link is sent in place of what they lost, and good for something.
fn look(login: &Login, lost: Lost, name: &Subject) -> Result<Looked, StoreError> {
    let rule = Rule::of(login);
    let looked = login.store.read(|sql| rule.look(sql, lost, name))?;
    Ok(match login.recovery {
        Recovery::Administrator => Looked { may: Err("not-offered"), ..looked },
        Recovery::Mail => looked,
    })
}

/// Somebody who asks for a link, if it is anybody, and why they get none, if they do not.
struct Looked {
    user: Option<User>,
    may: Result<(), &'static str>,
}

/// What says who may have a link, to be asked in a transaction.
struct Rule {
    factors: Arc<Factors>,
    required: Arc<Required>,
}

impl Rule {
    fn of(login: &Login) -> Self {
        Self { factors: Arc::clone(&login.factors), required: Arc::clone(&login.second_factors) }
    }

    /// Of nobody all is looked up that is of somebody, so that time tells nothing.
    fn look(&self, sql: &Sql<'_>, lost: Lost, name: &Subject) -> Result<Looked, StoreError> {
        let (user, hash, holds) =
            (sql.user(name)?, sql.password_hash(name)?, self.factors.holds_in(sql, name)?);
        let may = user.as_ref().map_or(Err("unknown-user"), |user| {
            let known = Known {
                state: user.state,
                has_password: hash.is_some(),
                has_address: user.email.is_some(),
                holds,
                needed: self.required.of(user),
            };
            may_have_link(lost, known).map_err(NoLink::code)
        });
        Ok(Looked { user, may })
    }
}

/// Putting what somebody enrols in the place of all that they have beside their password.
pub(super) struct Replacing {
    rule: Rule,
    of: Subject,
}

impl Replacing {
    pub(super) fn by(login: &Login, user: &User) -> Self {
        Self { rule: Rule::of(login), of: user.name.clone() }
    }

    /// Removes it, and says what is cut off with it: whoever has it may not be its person. Nothing, where their roles, or what
    /// they have, are others by now, so that it may not be.
    pub(super) fn replace(&self, sql: &Sql<'_>, now: Timestamp) -> Result<Option<Vec<CutOff>>, StoreError> {
        if self.rule.look(sql, Lost::Factors, &self.of)?.may.is_err() {
            return Ok(None);
        }
        sql.reset_factors(&self.of, FactorChange::Replaced, now)?;
        sql.end_all_sessions(&self.of, now)?;
        Ok(Some(vec![CutOff::UpTo { target: Target::Subject(self.of.clone()), not_before: now }]))
    }
}

/// What that would remove, for the record.
pub(super) fn replaced(login: &Login, of: &Subject) -> Result<String, StoreError> {
    login.store.read(|sql| {
        let factors = sql.factors(of)?.into_iter().map(|one| one.id.to_string());
        let phones = sql.phones(of)?.into_iter().map(|one| one.id.to_string());
        let passkeys = sql.passkeys(of)?.into_iter().map(|one| one.id.to_string());
        Ok(factors.chain(passkeys).chain(phones).collect::<Vec<_>>().join(" "))
    })
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
    let answer = |_| pages::message(StatusCode::OK, Id::of("recover-sent-title"), Id::of("recover-sent-if"));
    ask(&login, &visit.origin, (Lost::Password, &typed), answer).await
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
    // Whoever showed their password is told what it is about.
    let answer = |refused: Option<&'static str>| match refused {
        None => pages::message(StatusCode::OK, Id::of("recover-sent-title"), Id::of("recover-sent")),
        Some(TOO_OFTEN) => {
            let (title, text) = (Id::of("recover-not-sent"), Id::of("recover-too-often"));
            pages::message(StatusCode::TOO_MANY_REQUESTS, title, text)
        }
        Some(_) => {
            let (title, text) = (Id::of("recover-not-sent"), Id::of("recover-by-administrator"));
            pages::message(StatusCode::FORBIDDEN, title, text)
        }
    };
    ask(&login, &visit.origin, (Lost::Factors, half.user.name.as_str()), answer).await
}

/// Keeps the wish for a link, and puts it on record, whatever comes of it.
async fn ask(
    login: &Login,
    origin: &Origin,
    (lost, typed): (Lost, &str),
    answer: impl FnOnce(Option<&'static str>) -> Response,
) -> Response {
    login.throttle.count(origin.ip);
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let looked = typed.parse().ok().map(|name| look(login, lost, &name)).transpose();
    let Looked { user, may } = match looked {
        Ok(looked) => looked.unwrap_or(Looked { user: None, may: Err("unknown-user") }),
        Err(error) => return unavailable(&error),
    };
    let (id, counter) = (digest_of(opaque_secret().expose()), login.passwords.blind(typed));
    let (to, now) = (user.as_ref().filter(|_| may.is_ok()).map(|user| user.name.clone()), login.clock.now());
    let asked = login.store.write(move |sql| {
        sql.ask_for_link(&Wish { id: &id, counter: &counter, user: to.as_ref(), lost }, now)
    });
    let refused = match asked.await {
        Ok(Asked::Now) => may.err(),
        Ok(Asked::TooOften) => Some(TOO_OFTEN),
        Err(error) => return unavailable(&error),
    };
    let outcome = if refused.is_none() { Outcome::Allow } else { Outcome::Deny };
    let mut record = origin.record(Event::RecoveryAsked, outcome, now);
    record.action = Some(Event::RecoveryAsked.as_str().to_owned());
    record.decision.reason = refused.map(str::to_owned);
    // A name that is nobody's is not written down: it may be a password in the wrong field.
    record.actor = user.as_ref().map(person).unwrap_or_default();
    record.detail.insert("lost".to_owned(), Phi::new(lost.code().to_owned()));
    recorded(login, &record, answer(refused)).await
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
