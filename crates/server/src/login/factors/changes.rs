//! Changes to what a person signs in with, each recorded before it is answered.

use axum::response::Response;
use chartgate_access::ids::FactorId;
use chartgate_access::login::assurance::{Assurance, Offered, SecondFactor};
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::StatusCode;

use super::{Has, Wish, show};
use crate::live::factors::Factors;
use crate::live::passkeys::labelled;
use crate::login::Login;
use crate::login::account::end_session;
use crate::login::authenticate::{self, Again, CodeAsked, Shown, again_by_passkey};
use crate::login::enrol_factor::{RecoveryPage, end_other_sessions};
use crate::login::form::{Present, Visit, see_other, stale, unavailable};
use crate::login::sign_in::person;
use crate::login::then::Then;
use crate::pages;
use crate::store::StoreError;
use crate::store::second_factors::Used;

const WRONG: &str = "The password or the code is not right, or the code was used already.";
const BY_PASSKEY: &str =
    "That takes a passkey of yours. If you have none any more, your administrator can remove them all.";
const WRONG_PASSKEY: &str = "That passkey did not do. Try again.";

/// A session says who signed in, not who sits there now: a passkey says so, or password and code.
pub(super) async fn authenticate_again(
    login: &Login,
    visit: &Visit,
    present: &Present,
    wish: &Wish,
    has: &Has,
) -> Result<(), Box<Response>> {
    // A name opens nothing: whoever sits at the session may change it.
    if let Wish::Rename(_) = wish {
        return Ok(());
    }
    let typed = |name| visit.form.get(name).unwrap_or_default();
    // What can be phished is not enough for what cannot: whoever has a passkey gets another one, or loses it, by it alone.
    if typed("credential").is_empty() && login.offered == Offered::Passkeys && has.is_by_passkey(wish) {
        let mut record = record(login, visit, present, wish.event(), Outcome::Deny);
        record.decision.reason = Some("passkey-needed".to_owned());
        let answer = show(login, visit, present, Some(BY_PASSKEY));
        return Err(Box::new(recorded(login, &record, answer).await));
    }
    let (came, wrong) = match typed("credential") {
        "" => {
            let code = if has.is_nothing() { CodeAsked::No } else { CodeAsked::Typed(typed("code")) };
            let shown = Shown { password: typed("password"), code };
            let came = authenticate::again(login, &visit.origin, present, shown).await;
            (came.map_err(|error| unavailable(&error))?, WRONG)
        }
        brought => {
            let came = again_by_passkey(login, &visit.origin, present, brought).await;
            (came.map_err(|error| unavailable(&error))?, WRONG_PASSKEY)
        }
    };
    let (reason, answer) = match came {
        Again::Right => return Ok(()),
        Again::Refused(reason) => {
            (reason.code(), show(login, visit, present, Some(reason.words().unwrap_or(wrong))))
        }
        Again::Spent => {
            let text = "What you showed was wrong too often. Sign in again.";
            let answer = pages::message(StatusCode::FORBIDDEN, "Signed out", text);
            ("too-many-failures", end_session(login, &visit.origin, present, None, answer).await)
        }
    };
    let mut record = record(login, visit, present, wish.event(), Outcome::Deny);
    record.decision.reason = Some(reason.to_owned());
    Err(Box::new(recorded(login, &record, answer).await))
}

pub(super) async fn make_recovery_codes(login: &Login, visit: &Visit, present: &Present) -> Response {
    let name = present.user.name.clone();
    let (codes, now) = (Factors::new_recovery_codes(&name), login.clock.now());
    let digests = codes.digests.clone();
    let kept = login.store.write(move |sql| sql.set_recovery_codes(&name, &digests, now)).await;
    if let Err::<(), StoreError>(error) = kept {
        return unavailable(&error);
    }
    let page = RecoveryPage {
        username: present.user.name.as_str(),
        codes: &codes.shown,
        target: Then::Factors.target(),
    };
    let answer = visit.browser.show(StatusCode::OK, &page, None);
    let mut record = record(login, visit, present, Event::RecoveryCodesMade, Outcome::Allow);
    record.detail.insert("recovery_codes".to_owned(), Phi::new(codes.digests.len().to_string()));
    recorded(login, &record, answer).await
}

/// Removes an application or a passkey.
pub(super) async fn remove(
    login: &Login,
    visit: &Visit,
    present: &Present,
    id: FactorId,
    needed: Assurance,
) -> Response {
    let (name, now) = (present.user.name.clone(), login.clock.now());
    let removed_id = id.clone();
    let this = present.session.id.clone();
    let removed = login
        .cut_offs
        .cut(move |sql, at| {
            // Asked here again: of two that are removed at once, one is the last.
            if Has::of(sql, &name)?.missing_without(&removed_id, needed).is_some() {
                return Ok((None, Vec::new()));
            }
            let removed = if sql.remove_passkey(&name, &removed_id, now)? == Used::Now {
                Some(SecondFactor::Passkey)
            } else {
                let application = sql.remove_factor(&name, &removed_id, now)?;
                (application == Used::Now).then_some(SecondFactor::AuthenticatorApp)
            };
            // Whoever found it or copied it may have signed in with it.
            let cut = if removed.is_some() { end_other_sessions(sql, &name, &this, at)? } else { Vec::new() };
            Ok((removed, cut))
        })
        .await;
    let factor = match removed {
        Ok(Some(factor)) => factor,
        Ok(None) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    };
    let mut record = record(login, visit, present, Event::FactorRemoved, Outcome::Allow);
    record.resource = Some(Phi::new(id.to_string()));
    record.detail.insert("factor".to_owned(), Phi::new(factor.code().to_owned()));
    recorded(login, &record, see_other("/account/factors")).await
}

/// Calls a passkey something else.
pub(super) async fn rename(login: &Login, visit: &Visit, present: &Present, id: FactorId) -> Response {
    let (name, label) = (present.user.name.clone(), labelled(visit.form.get("label").unwrap_or_default()));
    let renamed_id = id.clone();
    match login.store.write(move |sql| sql.rename_passkey(&name, &renamed_id, &label)).await {
        Ok(Used::Now) => {}
        Ok(Used::Before) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    }
    let mut record = record(login, visit, present, Event::FactorRenamed, Outcome::Allow);
    record.resource = Some(Phi::new(id.to_string()));
    recorded(login, &record, see_other("/account/factors")).await
}

fn record(login: &Login, visit: &Visit, present: &Present, event: Event, outcome: Outcome) -> Record {
    let mut record = visit.origin.record(event, outcome, login.clock.now());
    record.action = Some(event.as_str().to_owned());
    record.actor = person(&present.user);
    record.session = Some(present.session.id.to_string());
    record
}

async fn recorded(login: &Login, record: &Record, answer: Response) -> Response {
    match login.journal.append(record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}
