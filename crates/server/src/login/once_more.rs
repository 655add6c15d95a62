//! Showing once more who one is, before what one signs in with is changed (ATTACKS A07), and the record of that. A session says
//! who signed in, not who sits there now: a passkey says so, or password and code; where hardware has to keep it, such a passkey alone.

use axum::response::Response;
use chartgate_access::ids::{FactorId, SessionId, Subject};
use chartgate_access::login::assurance::{Assurance, Holds};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_audit::record::{Event, Outcome, Record};
use http::StatusCode;

use super::account::end_session;
use super::authenticate::{self, Again, CodeAsked, Proven, Reason, Shown, again_by_passkey};
use super::form::{Present, Visit, unavailable};
use super::sign_in::person;
use super::{Login, passkey};
use crate::live::passkeys::Ceremony;
use crate::pages;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::Id;

const WRONG: Id = Id::of("once-more-wrong");
const WRONG_PASSKEY: Id = Id::of("once-more-wrong-passkey");
const BY_HARDWARE: Id = Id::of("once-more-by-hardware");

/// That somebody has shown once more who they are, in their session. What they change by it asks again, in its own transaction,
/// whether that stands: a password is looked at for a while, and it may have been set anew meanwhile, or the session ended.
pub(super) struct Confirmed {
    session: SessionId,
    of: Subject,
    /// Nothing, where their session is enough.
    by: Option<Proven>,
}

impl Confirmed {
    /// Of somebody who is signed in, for what wants no more.
    pub(super) fn by_session(present: &Present) -> Self {
        Self { session: present.session.id.clone(), of: present.user.name.clone(), by: None }
    }

    /// Of somebody who is signed in, by what they have shown once more.
    pub(super) fn of(present: &Present, by: Proven) -> Self {
        Self { by: Some(by), ..Self::by_session(present) }
    }

    /// The passkey that they showed, if it was one.
    pub(super) fn passkey(&self) -> Option<&FactorId> {
        match &self.by {
            Some(Proven::Passkey(id)) => Some(id),
            Some(Proven::Password(_)) | None => None,
        }
    }

    /// Whether it stands: the session is open, its person may sign in, and what they showed is theirs.
    pub(super) fn stands(&self, sql: &Sql<'_>) -> Result<bool, StoreError> {
        let is_open = sql.session(&self.session)?.is_some_and(|session| session.ended_at.is_none());
        let is_enabled = sql.user(&self.of)?.is_some_and(|user| user.state == UserState::Enabled);
        let is_theirs = self.by.as_ref().map_or(Ok(true), |by| by.stands(sql, &self.of))?;
        Ok(is_open && is_enabled && is_theirs)
    }

    /// The same as the ground of what it begins.
    pub(super) fn ground(self) -> impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static {
        move |sql| Ok(if self.stands(sql)? { Used::Now } else { Used::Before })
    }
}

/// Whether whoever needs to be so strong for this showed it: who has a key that hardware keeps, and needs one, shows nothing
/// else. `refused` is the record of the change that is refused otherwise, and `show` the page that says why.
pub(super) async fn shown(
    login: &Login,
    visit: &Visit,
    (present, needed): (&Present, Assurance),
    mut refused: Record,
    show: impl FnOnce(Id) -> Response,
) -> Result<Confirmed, Box<Response>> {
    let typed = |name| visit.form.get(name).unwrap_or_default();
    let is_by_hardware = is_by_hardware(login, &present.user, needed).map_err(|error| unavailable(&error))?;
    if is_by_hardware && typed("credential").is_empty() {
        refused.decision.reason = Some(Reason::NoHardwareKey.code().to_owned());
        return Err(Box::new(recorded(login, &refused, show(BY_HARDWARE)).await));
    }
    let (came, wrong) = match typed("credential") {
        "" => {
            let holds = login.factors.holds(&present.user.name).map_err(|error| unavailable(&error))?;
            let code = if holds == Holds::Nothing { CodeAsked::No } else { CodeAsked::Typed(typed("code")) };
            let shown = Shown { password: typed("password"), code };
            let came = authenticate::again(login, &visit.origin, present, shown).await;
            (came.map_err(|error| unavailable(&error))?, WRONG)
        }
        brought => {
            let ceremony = Ceremony::Change { session: &present.session.id };
            let came = again_by_passkey(login, &visit.origin, present, (ceremony, needed), brought).await;
            (came.map_err(|error| unavailable(&error))?, WRONG_PASSKEY)
        }
    };
    let (reason, answer) = match came {
        Again::Right(by) => return Ok(Confirmed::of(present, by)),
        Again::Refused(reason) => (reason.code(), show(reason.words().unwrap_or(wrong))),
        Again::Spent(_) => {
            let (title, text) = (Id::of("sign-out-done"), Id::of("once-more-spent"));
            let answer = pages::message(StatusCode::FORBIDDEN, title, text);
            ("too-many-failures", end_session(login, &visit.origin, present, None, answer).await)
        }
    };
    refused.decision.reason = Some(reason.to_owned());
    Err(Box::new(recorded(login, &refused, answer).await))
}

/// Whether somebody who needs to be so strong confirms with a key that hardware keeps, and with nothing else: they have one.
pub(super) fn is_by_hardware(login: &Login, user: &User, needed: Assurance) -> Result<bool, StoreError> {
    Ok(needed == Assurance::HardwareKey && passkey::has_hardware(login, &user.name)?)
}

/// The record of a change by somebody who is signed in.
pub(super) fn record(
    login: &Login,
    visit: &Visit,
    present: &Present,
    event: Event,
    outcome: Outcome,
) -> Record {
    let mut record = visit.origin.record(event, outcome, login.clock.now());
    record.action = Some(event.as_str().to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record
}

/// Gives the answer once the record is in the log.
pub(super) async fn recorded(login: &Login, record: &Record, answer: Response) -> Response {
    match login.journal.append(record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}
