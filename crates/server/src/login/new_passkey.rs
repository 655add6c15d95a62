//! Adding a passkey. Web Authentication Level 3 section 7.1; NIST SP 800-63B-4 section 4.1; ATTACKS A05, A07, A08.
//!
//! It begins, as with an application, with a proof that is minutes old. Nobody has signed anything when a passkey was made: so
//! what comes after it is no session, but the page that asks for it. Every session of the person's ends.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::FactorId;
use chartgate_access::login::assurance::{Assurance, Holds, Offered, SecondFactor};
use chartgate_access::principal::{User, UserState};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;
use http::StatusCode;

use super::enrol_factor::{self, RecoveryPage, end_open_sessions};
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::once_more::recorded;
use super::second_factor::{Half, begin_half, go_on_with};
use super::sign_in::{needed, person};
use super::then::Then;
use super::{Login, recovery};
use crate::live::factors::{MOST, NewRecoveryCodes};
use crate::live::outbox::Change;
use crate::live::passkeys::Ceremony;
use crate::store::half_sign_ins::{First, HalfSignIn, Stage};
use crate::store::passkeys::{Added, StoredPasskey};
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "new_passkey.html")]
struct NewPasskey<'a> {
    t: Tongue,
    username: &'a str,
    is_required: bool,
    /// Whether it takes the place of all that there was.
    replaces: bool,
    /// Whether nothing else will do.
    is_alone: bool,
    /// And of passkeys, one that hardware keeps.
    is_hardware: bool,
    options: String,
    problem: Option<Id>,
    hidden: String,
}

const WRONG: Id = Id::of("new-passkey-wrong");
const NO_HARDWARE: Id = Id::of("new-passkey-no-hardware");

/// Lets whoever showed enough add a passkey, and do nothing else until they have; unless what they showed does not stand any more.
pub(super) async fn ask(
    login: &Login,
    visit: &Visit,
    (user, first, passkey): (&User, First, Option<FactorId>),
    then: &Then<'_>,
    ground: impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static,
) -> Result<Option<Response>, Box<Response>> {
    let half = HalfSignIn { subject: user.name.clone(), first, passkey, stage: Stage::EnrolAPasskey };
    go_on_with(login, visit, then, (|_: &str| Ok((half, "/login/new-passkey")), ground)).await
}

/// Whether what begins with an application may end with a passkey: with nobody's second one, for a code is enough for an
/// application, and a passkey is what a further one takes (ATTACKS A07).
pub(super) fn may_be_instead(login: &Login, half: &Half) -> Result<bool, StoreError> {
    let holds = login.factors.holds(&half.user.name)?;
    let has_none = matches!(holds, Holds::Nothing | Holds::Codes);
    Ok(has_none && login.offered != Offered::CodesAlone)
}

/// The half sign-in in which a passkey may be added.
fn half(login: &Login, visit: &Visit) -> Result<Half, Box<Response>> {
    let half = Half::of(login, visit)?;
    let may_be = match &half.stage {
        Stage::Enrol(_) => may_be_instead(login, &half).map_err(|error| unavailable(&error))?,
        Stage::EnrolAPasskey => login.offered != Offered::CodesAlone,
        Stage::Prove | Stage::NewPassword => false,
    };
    if may_be && half.user.state == UserState::Enabled { Ok(half) } else { Err(Box::new(stale())) }
}

/// Which kind has to be added: one that hardware keeps, where the person needs that and has none.
fn wanted(login: &Login, visit: &Visit, half: &Half) -> Result<SecondFactor, Box<Response>> {
    let begun = Then::of(&visit.form).begun(login, visit)?;
    let holds = login.factors.holds(&half.user.name).map_err(|error| unavailable(&error))?;
    Ok(match (holds, needed(login, begun.as_ref(), &half.user)) {
        (Holds::Nothing | Holds::Codes | Holds::APasskey, Assurance::HardwareKey) => {
            SecondFactor::HardwareKey
        }
        _ => SecondFactor::Passkey,
    })
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match half(&login, &visit) {
        Ok(half) => show(&login, &visit, &half, None),
        Err(response) => *response,
    }
}

fn show(login: &Login, visit: &Visit, half: &Half, problem: Option<Id>) -> Response {
    let (then, name) = (Then::of(&visit.form), &half.user.name);
    let found = then.form_target(login, visit).and_then(|target| Ok((target, wanted(login, visit, half)?)));
    let (target, wanted) = match found {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let read = login.store.read(|sql| sql.passkeys(name));
    let (has, present) = match read.and_then(|has| Ok((has, Present::of(login, &visit.headers)?))) {
        Ok(read) => read,
        Err(error) => return unavailable(&error),
    };
    let fields: Vec<_> = std::iter::once(("sign_in", half.handle.as_str())).chain(then.hidden()).collect();
    let ceremony = Ceremony::Enrol { half: &half.digest };
    let page = NewPasskey {
        t: visit.browser.tongue,
        username: name.as_str(),
        is_required: present.is_none_or(|present| present.user.name != *name),
        replaces: half.first.replaces(),
        is_alone: matches!(half.stage, Stage::EnrolAPasskey),
        is_hardware: wanted == SecondFactor::HardwareKey,
        options: login.passkeys.creation(ceremony, name, (&has, wanted), login.clock.now()),
        problem,
        hidden: visit.browser.hidden(&fields),
    };
    visit.browser.show_with_script(StatusCode::OK, &page, target.as_deref())
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let half = half(&login, &visit).and_then(|half| Ok((wanted(&login, &visit, &half)?, half)));
    let (wanted, half) = match half {
        Ok(half) => half,
        Err(response) => return *response,
    };
    login.throttle.count(visit.origin.ip);
    let typed = |name| visit.form.get(name).unwrap_or_default();
    let (name, now) = (&half.user.name, login.clock.now());
    let ceremony = Ceremony::Enrol { half: &half.digest };
    let made = login.passkeys.registered(typed("credential"), ceremony, name, typed("label"), now);
    let passkey = match made {
        Ok(passkey) => passkey,
        Err(refused) => {
            tracing::info!(cause = refused.code(), "passkey");
            return refuse(&login, &visit, &half, refused.code(), WRONG).await;
        }
    };
    let factor = login.passkeys.factor_of(&passkey);
    if wanted == SecondFactor::HardwareKey && factor != wanted {
        return refuse(&login, &visit, &half, "hardware-key-needed", NO_HARDWARE).await;
    }
    let codes = match login.factors.holds(name) {
        Ok(holds) => enrol_factor::codes_for(&half, holds),
        Err(error) => return unavailable(&error),
    };
    match keep(&login, &visit, &half, passkey, codes.as_ref()).await {
        Ok(answer) => answer,
        Err(response) => *response,
    }
}

/// Shows the page once more, with why what was made is not kept, and puts that on record.
async fn refuse(login: &Login, visit: &Visit, half: &Half, reason: &str, problem: Id) -> Response {
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let mut record = visit.origin.record(Event::FactorAdded, Outcome::Deny, login.clock.now());
    record.action = Some(Event::FactorAdded.as_str().to_owned());
    record.decision.reason = Some(reason.to_owned());
    record.actor = person(&half.user);
    recorded(login, &record, show(login, visit, half, Some(problem))).await
}

/// Why nothing was written, and nothing that was there is gone.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error("somebody was quicker")]
    Before,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unrecorded(#[from] AppendError),
}

/// Keeps the passkey; what its person has open ends, and they are asked for it.
async fn keep(
    login: &Login,
    visit: &Visit,
    half: &Half,
    passkey: StoredPasskey,
    codes: Option<&NewRecoveryCodes>,
) -> Result<Response, Box<Response>> {
    login.outbox.may_give().map_err(|error| unavailable(&error))?;
    let (user, now) = (&half.user, login.clock.now());
    let mut record = visit.origin.record(Event::FactorAdded, Outcome::Allow, now);
    record.action = Some(Event::FactorAdded.as_str().to_owned());
    record.actor = person(user);
    record.resource = Some(Phi::new(passkey.id.to_string()));
    let mut note = |name: &str, text: String| record.detail.insert(name.to_owned(), Phi::new(text));
    note("factor", login.passkeys.factor_of(&passkey).code().to_owned());
    note("after", half.first.code().to_owned());
    if let Some(opener) = &half.passkey {
        note("after_passkey", opener.to_string());
    }
    note("passkey", passkey.backup.code().to_owned());
    if let Some(attested) = &passkey.attested {
        note("model", attested.model.to_string());
        note("attested_by", attested.by.clone());
        note("root", attested.root.clone());
    }
    if let Some(codes) = codes {
        note("recovery_codes", codes.digests.len().to_string());
    }
    if half.first.replaces() {
        note("replaced", recovery::replaced(login, &user.name).map_err(|error| unavailable(&error))?);
    }
    let (name, digest) = (user.name.clone(), half.digest.clone());
    let added = passkey.id.clone();
    let digests = codes.map(|codes| codes.digests.clone());
    let (is_instead, replaces) = (matches!(half.stage, Stage::Enrol(_)), half.first.replaces());
    let replacing = replaces.then(|| recovery::Replacing::by(login, user));
    let kept = login.outbox.commit(move |sql, at| {
        let most = if is_instead { 1 } else { MOST };
        if sql.take_half_sign_in(&digest, now)?.is_none() {
            return Err(NotKept::Before);
        }
        let mut cut = Vec::new();
        if let Some(replacing) = replacing {
            cut = replacing.replace(sql, at)?.ok_or(NotKept::Before)?;
        }
        if sql.passkeys(&name)?.len() >= most {
            return Err(NotKept::Before);
        }
        // Whoever else is about to enrol with less than this is not any more.
        sql.void_half_sign_ins(&name)?;
        if sql.add_passkey(&passkey)? == Added::Before {
            return Err(NotKept::Before);
        }
        if let Some(digests) = digests {
            sql.set_recovery_codes(&name, &digests, now)?;
        }
        cut.extend(end_open_sessions(sql, &name, None, at)?);
        Ok(Change::told_by((), [record]).cutting(cut))
    });
    match kept.await {
        Ok(()) => {}
        // A passkey is one person's, once; browsers make no second one.
        Err(NotKept::Before) => return Err(Box::new(stale())),
        Err(error) => return Err(Box::new(unavailable(&error))),
    }
    let (subject, first) = (user.name.clone(), half.first.once_enrolled());
    let next = HalfSignIn { subject: subject.clone(), first, passkey: None, stage: Stage::Prove };
    let new = |_: &str| Ok((next, "/login/code"));
    // Whose passkeys were taken away meanwhile has none to show.
    let is_there = move |sql: &Sql<'_>| {
        let has_it = sql.passkeys(&subject)?.iter().any(|passkey| passkey.id == added);
        Ok(if has_it { Used::Now } else { Used::Before })
    };
    let target = begin_half(login, visit, &Then::of(&visit.form), (new, is_there)).await?;
    let target = target.ok_or_else(stale)?;
    let target = format!("{target}&added=passkey");
    Ok(match codes {
        Some(codes) => {
            let page = RecoveryPage {
                t: visit.browser.tongue,
                username: user.name.as_str(),
                codes: &codes.shown,
                target,
            };
            visit.browser.show(StatusCode::OK, &page, None)
        }
        None => see_other(&target),
    })
}
