//! Showing once more who one is, before what one signs in with is changed (ATTACKS A07), and the record of that. A session says
//! who signed in, not who sits there now: a passkey says so, or password and code.

use axum::response::Response;
use chartgate_access::login::assurance::Holds;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use http::StatusCode;

use super::Login;
use super::account::end_session;
use super::authenticate::{self, Again, CodeAsked, Shown, again_by_passkey};
use super::form::{Present, Visit, unavailable};
use super::sign_in::person;
use crate::live::passkeys::Ceremony;
use crate::pages;
use crate::tongue::Id;

const WRONG: Id = Id::of("once-more-wrong");
const WRONG_PASSKEY: Id = Id::of("once-more-wrong-passkey");

/// Whether somebody showed it. `refused` is the record of the change that is refused otherwise, and `show` the page that says
/// why.
pub(super) async fn shown(
    login: &Login,
    visit: &Visit,
    present: &Present,
    mut refused: Record,
    show: impl FnOnce(Id) -> Response,
) -> Result<(), Box<Response>> {
    let typed = |name| visit.form.get(name).unwrap_or_default();
    let (came, wrong) = match typed("credential") {
        "" => {
            let holds = login.factors.holds(&present.user.name).map_err(|error| unavailable(&error))?;
            let code = if holds == Holds::Nothing { CodeAsked::No } else { CodeAsked::Typed(typed("code")) };
            let shown = Shown { password: typed("password"), code };
            let came = authenticate::again(login, &visit.origin, present, shown).await;
            (came.map_err(|error| unavailable(&error))?, WRONG)
        }
        brought => {
            let needed = login.second_factors.of(&present.user);
            let ceremony = Ceremony::Change { session: &present.session.id };
            let came = again_by_passkey(login, &visit.origin, present, (ceremony, needed), brought).await;
            (came.map_err(|error| unavailable(&error))?, WRONG_PASSKEY)
        }
    };
    let (reason, answer) = match came {
        Again::Right => return Ok(()),
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
