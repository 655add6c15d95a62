//! Changes to what a person signs in with, each on record before it is answered.

use std::sync::Arc;

use axum::response::Response;
use chartgate_access::ids::FactorId;
use chartgate_access::login::assurance::{Assurance, Offered, SecondFactor};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;
use http::StatusCode;

use super::{Has, Wish, show};
use crate::live::factors::Factors;
use crate::live::outbox::{Change, ChangeError};
use crate::live::passkeys::labelled;
use crate::login::enrol_factor::RecoveryPage;
use crate::login::form::{Present, Visit, see_other, stale, unavailable};
use crate::login::once_more::{self, Confirmed, record, recorded};
use crate::login::then::Then;
use crate::login::{Login, passkey};
use crate::store::second_factors::Used;
use crate::tongue::Id;

const BY_PASSKEY: Id = Id::of("factors-by-passkey");

/// Whether somebody showed once more who they are, with what this change takes.
pub(super) async fn authenticate_again(
    login: &Login,
    visit: &Visit,
    present: &Present,
    wish: &Wish,
    has: &Has,
) -> Result<Confirmed, Box<Response>> {
    // A name opens nothing: whoever sits at the session may change it.
    if let Wish::Rename(_) = wish {
        return Ok(Confirmed::by_session(present));
    }
    // What can be phished is not enough for what cannot: whoever has a passkey gets another one, or loses it, by it alone.
    if visit.form.get("credential").is_none()
        && login.offered != Offered::CodesAlone
        && has.is_by_passkey(wish)
    {
        let mut record = record(login, visit, present, wish.event(), Outcome::Deny);
        record.decision.reason = Some("passkey-needed".to_owned());
        let answer = show(login, visit, present, Some(BY_PASSKEY));
        return Err(Box::new(recorded(login, &record, answer).await));
    }
    let needed = match wish {
        wish if has.is_by_passkey(wish) => passkey::strongest(login, &present.user),
        _ => Ok(login.second_factors.of(&present.user)),
    };
    let needed = needed.map_err(|error| unavailable(&error))?;
    let refused = record(login, visit, present, wish.event(), Outcome::Deny);
    let show = |problem| show(login, visit, present, Some(problem));
    once_more::shown(login, visit, (present, needed), refused, show).await
}

pub(super) async fn make_recovery_codes(
    login: &Login,
    visit: &Visit,
    present: &Present,
    confirmed: Confirmed,
) -> Response {
    if let Err(error) = login.outbox.may_give() {
        return unavailable(&error);
    }
    let name = present.user.name.clone();
    let (codes, now) = (Factors::new_recovery_codes(&name), login.clock.now());
    let digests = codes.digests.clone();
    let mut record = record(login, visit, present, Event::RecoveryCodesMade, Outcome::Allow);
    record.detail.insert("recovery_codes".to_owned(), Phi::new(codes.digests.len().to_string()));
    let kept = login.outbox.commit(move |sql, _| {
        if !confirmed.stands(sql)? {
            return Ok(Change::none(false));
        }
        sql.set_recovery_codes(&name, &digests, now)?;
        Ok::<_, ChangeError>(Change::told_by(true, [record]))
    });
    match kept.await {
        Ok(true) => {}
        Ok(false) => return stale(),
        Err(error) => return unavailable(&error),
    }
    let page = RecoveryPage {
        t: visit.browser.tongue,
        username: present.user.name.as_str(),
        codes: &codes.shown,
        target: Then::Factors.target(),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

/// Removes an application or a passkey.
pub(super) async fn remove(
    login: &Login,
    visit: &Visit,
    (present, confirmed): (&Present, Confirmed),
    id: FactorId,
    needed: Assurance,
) -> Response {
    let (name, now) = (present.user.name.clone(), login.clock.now());
    let this = present.session.id.clone();
    let known = Arc::clone(&login.passkeys.known);
    let mut record = record(login, visit, present, Event::FactorRemoved, Outcome::Allow);
    record.resource = Some(Phi::new(id.to_string()));
    let removed = login.outbox.commit(move |sql, at| {
        // Asked here again: of two that are removed at once, one is the last.
        let is_last = Has::of(sql, &name, &known)?.missing_without(&id, needed).is_some();
        if is_last || !confirmed.stands(sql)? {
            return Ok(Change::none(Used::Before));
        }
        let factor = sql.passkeys(&name)?.iter().find(|one| one.id == id).map(|one| known.factor_of(one));
        let removed = if sql.remove_passkey(&name, &id, now)? == Used::Now {
            factor
        } else {
            let application = sql.remove_factor(&name, &id, now)?;
            (application == Used::Now).then_some(SecondFactor::AuthenticatorApp)
        };
        let Some(removed) = removed else { return Ok(Change::none(Used::Before)) };
        record.detail.insert("factor".to_owned(), Phi::new(removed.code().to_owned()));
        // Whoever found it or copied it may have signed in with it.
        sql.end_all_but(&name, Some(&this), at)?;
        let cut = CutOff::UpTo { target: Target::Subject(name), not_before: at };
        Ok::<_, ChangeError>(Change::told_by(Used::Now, [record]).cutting([cut]))
    });
    answered(removed.await)
}

/// Calls a passkey something else.
pub(super) async fn rename(
    login: &Login,
    visit: &Visit,
    (present, confirmed): (&Present, Confirmed),
    id: FactorId,
) -> Response {
    let (name, label) = (present.user.name.clone(), labelled(visit.form.get("label").unwrap_or_default()));
    let mut record = record(login, visit, present, Event::FactorRenamed, Outcome::Allow);
    record.resource = Some(Phi::new(id.to_string()));
    let renamed = login.outbox.commit(move |sql, _| {
        if !confirmed.stands(sql)? || sql.rename_passkey(&name, &id, &label)? == Used::Before {
            return Ok(Change::none(Used::Before));
        }
        Ok::<_, ChangeError>(Change::told_by(Used::Now, [record]))
    });
    answered(renamed.await)
}

fn answered(changed: Result<Used, ChangeError>) -> Response {
    match changed {
        Ok(Used::Now) => see_other("/account/factors"),
        Ok(Used::Before) => stale(),
        Err(error) => unavailable(&error),
    }
}
