//! The page where a person sees what they sign in with, and changes it: with their password once more, and with a code where
//! they have a second factor (ATTACKS A07). NIST SP 800-63B-4 sections 4.1 and 4.6.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::{FactorId, Subject};
use chartgate_access::login::assurance::Assurance;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::Login;
use super::account::end_session;
use super::authenticate::{self, Again, CodeAsked, Shown};
use super::enrol_factor::{self, RecoveryPage};
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::sign_in::person;
use super::then::Then;
use crate::live::factors::{Factors, MOST};
use crate::pages;
use crate::store::StoreError;
use crate::store::second_factors::{FactorChange, RecoveryCount, StoredFactor, Used};

#[derive(Template)]
#[template(path = "factors.html")]
struct FactorsPage<'a> {
    username: &'a str,
    factors: Vec<FactorShown>,
    left: u32,
    made: u32,
    changes: Vec<ChangeShown>,
    problem: Option<&'a str>,
    hidden: String,
}

struct FactorShown {
    id: String,
    label: String,
    added: String,
    added_shown: String,
    used_shown: Option<String>,
}

/// A change, as its person is told of it.
pub(super) struct ChangeShown {
    pub(super) at: String,
    pub(super) at_shown: String,
    pub(super) words: &'static str,
}

/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=factors";
const WRONG: &str = "The password or the code is not right, or the code was used already.";
const LAST: &str = "You have to have a second factor: add another one before you remove the last.";
const FULL: &str = "You have as many as there can be: remove one first.";

/// What was changed of late.
pub(super) fn changes(
    login: &Login,
    of: &Subject,
    since: Option<Timestamp>,
) -> Result<Vec<ChangeShown>, StoreError> {
    let now = login.clock.now();
    let all = login.store.read(|sql| sql.factor_changes(of, now))?;
    let is_new = |at: Timestamp| since.is_none_or(|since| at >= since);
    let shown = all.into_iter().filter(|(at, _)| is_new(*at)).map(|(at, change)| ChangeShown {
        at: at.to_string(),
        at_shown: pages::minutes(at),
        words: match change {
            FactorChange::Added => "an authenticator application was added.",
            FactorChange::Removed => "an authenticator application was removed.",
            FactorChange::RecoveryCodesMade => "new recovery codes were made.",
            FactorChange::RecoveryCodeUsed => "a recovery code was used to sign in, or to change this.",
            FactorChange::Reset => "an administrator removed your second factors.",
        },
    });
    Ok(shown.collect())
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => show(&login, &visit, &present, None),
        Ok(None) => see_other(SIGN_IN),
        Err(error) => unavailable(&error),
    }
}

fn show(login: &Login, visit: &Visit, present: &Present, problem: Option<&str>) -> Response {
    let name = &present.user.name;
    let read = login.store.read(|sql| Ok::<_, StoreError>((sql.factors(name)?, sql.recovery_codes(name)?)));
    let (factors, RecoveryCount { left, made }) = match read {
        Ok(read) => read,
        Err(error) => return unavailable(&error),
    };
    let changes = match changes(login, name, None) {
        Ok(changes) => changes,
        Err(error) => return unavailable(&error),
    };
    let shown = |factor: StoredFactor| FactorShown {
        id: factor.id.to_string(),
        label: factor.label,
        added: factor.added_at.to_string(),
        added_shown: pages::minutes(factor.added_at),
        used_shown: factor.last_used_at.map(pages::minutes),
    };
    let page = FactorsPage {
        username: name.as_str(),
        factors: factors.into_iter().map(shown).collect(),
        left,
        made,
        changes,
        problem,
        hidden: visit.browser.hidden(&[]),
    };
    visit.browser.show(StatusCode::OK, &page, None)
}

/// What somebody wants changed.
enum Wish {
    Add,
    Recovery,
    Remove(FactorId),
}

impl Wish {
    fn read(text: &str) -> Option<Self> {
        match text {
            "add" => Some(Self::Add),
            "recovery" => Some(Self::Recovery),
            other => other.strip_prefix("remove-")?.parse().ok().map(Self::Remove),
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Add => Event::FactorAdded,
            Self::Recovery => Event::RecoveryCodesMade,
            Self::Remove(_) => Event::FactorRemoved,
        }
    }
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    let present = match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => present,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return unavailable(&error),
    };
    let Some(wish) = visit.form.get("change").and_then(Wish::read) else { return stale() };
    let factors = match login.store.read(|sql| sql.factors(&present.user.name)) {
        Ok(factors) => factors,
        Err(error) => return unavailable(&error),
    };
    let is_needed = login.second_factors.of(&present.user) == Assurance::TwoFactors;
    match &wish {
        Wish::Add if factors.len() >= MOST => return show(&login, &visit, &present, Some(FULL)),
        Wish::Remove(_) if is_needed && factors.len() <= 1 => {
            return show(&login, &visit, &present, Some(LAST));
        }
        // Without a factor there is nothing that these would be of.
        Wish::Recovery | Wish::Remove(_) if factors.is_empty() => return stale(),
        Wish::Add | Wish::Recovery | Wish::Remove(_) => {}
    }
    if let Err(response) = authenticate_again(&login, &visit, &present, &wish, factors.is_empty()).await {
        return *response;
    }
    match wish {
        Wish::Add => enrol_factor::offer(&login, &visit, &present.user, &Then::Factors).await,
        Wish::Recovery => make_recovery_codes(&login, &visit, &present).await,
        Wish::Remove(id) => remove(&login, &visit, &present, id, is_needed).await,
    }
}

/// A session says who signed in, not who sits there now.
async fn authenticate_again(
    login: &Login,
    visit: &Visit,
    present: &Present,
    wish: &Wish,
    has_none: bool,
) -> Result<(), Box<Response>> {
    let typed = |name| visit.form.get(name).unwrap_or_default();
    let code = if has_none { CodeAsked::No } else { CodeAsked::Typed(typed("code")) };
    let shown = Shown { password: typed("password"), code };
    let came = authenticate::again(login, &visit.origin, present, shown).await;
    let (reason, answer) = match came.map_err(|error| unavailable(&error))? {
        Again::Right => return Ok(()),
        Again::Refused(reason) => {
            (reason.code(), show(login, visit, present, Some(reason.words().unwrap_or(WRONG))))
        }
        Again::Spent => {
            let text = "The password or the code was wrong too often. Sign in again.";
            let answer = pages::message(StatusCode::FORBIDDEN, "Signed out", text);
            ("too-many-failures", end_session(login, &visit.origin, present, None, answer).await)
        }
    };
    let mut record = record(login, visit, present, wish.event(), Outcome::Deny);
    record.decision.reason = Some(reason.to_owned());
    Err(Box::new(recorded(login, &record, answer).await))
}

async fn make_recovery_codes(login: &Login, visit: &Visit, present: &Present) -> Response {
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

async fn remove(login: &Login, visit: &Visit, present: &Present, id: FactorId, is_needed: bool) -> Response {
    let (name, now) = (present.user.name.clone(), login.clock.now());
    let removed_id = id.clone();
    let removed = login
        .store
        .write(move |sql| {
            // Asked here again: of two that are removed at once, one is the last.
            if is_needed && sql.factors(&name)?.len() <= 1 {
                return Ok(Used::Before);
            }
            sql.remove_factor(&name, &removed_id, now)
        })
        .await;
    match removed {
        Ok(Used::Now) => {}
        Ok(Used::Before) => return stale(),
        Err::<_, StoreError>(error) => return unavailable(&error),
    }
    let mut record = record(login, visit, present, Event::FactorRemoved, Outcome::Allow);
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
