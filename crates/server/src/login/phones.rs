//! Where a person adds the phone that they hold, so that it is woken when something waits, and removes phones: with their
//! password once more, and with a code where they have a second factor, as with all that they sign in with.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::FactorId;
use chartgate_access::login::assurance::Holds;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::StatusCode;

use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::once_more::{self, Confirmed};
use super::sign_in::with_cookies;
use super::{Login, passkey};
use crate::entropy::digest_of;
use crate::live::outbox::{Change, ChangeError};
use crate::live::passkeys::Ceremony;
use crate::live::phones::{MOST, NewPhone, NotWoken};
use crate::net::cookie;
use crate::pages::{self, Scripts};
use crate::store::StoreError;
use crate::store::second_factors::Used;
use crate::tongue::{Id, Tongue};

#[derive(Template)]
#[template(path = "phones.html")]
struct PhonesPage<'a> {
    t: Tongue,
    username: &'a str,
    phones: Vec<PhoneShown>,
    /// What this browser would be subscribed with; nothing where it has nothing to be woken by, or is added already.
    key: Option<String>,
    wants_code: bool,
    /// What the browser is asked in place of password and code.
    confirm: Option<String>,
    /// Whether nothing takes its place.
    is_by_hardware: bool,
    problem: Option<Id>,
    hidden: String,
}

/// A phone, as its person sees it.
pub(super) struct PhoneShown {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) is_this: bool,
    pub(super) is_woken: bool,
    pub(super) added: String,
    pub(super) added_shown: String,
    pub(super) used_shown: Option<String>,
}

const FULL: Id = Id::of("factors-full");
const SIGN_IN: &str = "/login?then=phones";

/// Which of a person's phones they hold.
pub(super) fn this_one(
    login: &Login,
    visit: &Visit,
    present: &Present,
) -> Result<Option<FactorId>, StoreError> {
    let Some(secret) = cookie::read(&visit.headers, cookie::PHONE) else { return Ok(None) };
    login.store.read(|sql| sql.phone(&present.user.name, &digest_of(secret)))
}

/// All of them.
pub(super) fn shown(login: &Login, visit: &Visit, present: &Present) -> Result<Vec<PhoneShown>, StoreError> {
    let this = this_one(login, visit, present)?;
    let phones = login.store.read(|sql| sql.phones(&present.user.name))?;
    Ok(phones
        .into_iter()
        .map(|phone| PhoneShown {
            is_this: this.as_ref() == Some(&phone.id),
            id: phone.id.to_string(),
            label: phone.label,
            is_woken: phone.subscription.is_some(),
            added: phone.added_at.to_string(),
            added_shown: pages::minutes(phone.added_at),
            used_shown: phone.last_used_at.map(pages::minutes),
        })
        .collect())
}

pub(super) async fn page(State(login): State<Arc<Login>>, visit: Visit) -> Response {
    match Present::of(&login, &visit.headers) {
        Ok(Some(present)) => show(&login, &visit, &present, None),
        Ok(None) => see_other(SIGN_IN),
        Err(error) => unavailable(&error),
    }
}

fn show(login: &Login, visit: &Visit, present: &Present, problem: Option<Id>) -> Response {
    let ceremony = Ceremony::Change { session: &present.session.id };
    let found = shown(login, visit, present).and_then(|phones| {
        let holds = login.factors.holds(&present.user.name)?;
        let needed = login.second_factors.of(&present.user);
        let is_by_hardware = once_more::is_by_hardware(login, &present.user, needed)?;
        let confirm = passkey::for_one(login, ceremony, &present.user.name, needed)?;
        Ok((phones, holds, (confirm, is_by_hardware)))
    });
    let (phones, holds, (confirm, is_by_hardware)) = match found {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    let page = PhonesPage {
        t: visit.browser.tongue,
        username: present.user.name.as_str(),
        phones,
        key: login.phones.public_key(),
        wants_code: holds != Holds::Nothing,
        confirm,
        is_by_hardware,
        problem,
        hidden: visit.browser.hidden(&[]),
    };
    visit.browser.show_with(StatusCode::OK, &page, None, Scripts::App)
}

/// What somebody wants changed.
enum Wish {
    Add,
    Remove(FactorId),
}

impl Wish {
    fn read(text: &str) -> Option<Self> {
        match text {
            "add" => Some(Self::Add),
            other => other.strip_prefix("remove-")?.parse().ok().map(Self::Remove),
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Add => Event::FactorAdded,
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
    let refused = record(&login, &visit, &present, wish.event(), Outcome::Deny);
    let show = |problem: Id| show(&login, &visit, &present, Some(problem));
    let needed = login.second_factors.of(&present.user);
    let confirmed = match once_more::shown(&login, &visit, (&present, needed), refused, show).await {
        Ok(confirmed) => confirmed,
        Err(response) => return *response,
    };
    match wish {
        Wish::Add => add(&login, &visit, &present, confirmed).await,
        Wish::Remove(id) => remove(&login, &visit, (&present, confirmed), id).await,
    }
}

/// What came of adding a phone.
enum Added {
    /// In place of what it was before, or beside the others.
    Now,
    TooMany,
    /// What was shown for it does not stand any more.
    TooLate,
}

async fn add(login: &Login, visit: &Visit, present: &Present, confirmed: Confirmed) -> Response {
    if let Err(error) = login.outbox.may_give() {
        return unavailable(&error);
    }
    let typed = |name| visit.form.get(name).unwrap_or_default();
    let now = login.clock.now();
    let NewPhone { phone, secret, digest } =
        match login.phones.new_phone(typed("label"), typed("subscription"), now) {
            Ok(new) => new,
            Err(NotWoken::Service | NotWoken::Malformed) => {
                return show(login, visit, present, Some(Id::of("phones-service")));
            }
            Err(error @ NotWoken::Unsealed) => return unavailable(&error),
        };
    let mut record = record(login, visit, present, Event::FactorAdded, Outcome::Allow);
    record.resource = Some(Phi::new(phone.id.to_string()));
    let woken = if phone.subscription.is_some() { "push" } else { "looked-at" };
    record.detail.insert("woken".to_owned(), Phi::new(woken.to_owned()));
    let opener = confirmed.passkey();
    record.detail.extend(opener.map(|opener| ("after_passkey".to_owned(), Phi::new(opener.to_string()))));
    let (name, former) = (present.user.name.clone(), this_one(login, visit, present));
    let former = match former {
        Ok(former) => former,
        Err(error) => return unavailable(&error),
    };
    // What this phone was before, it is not beside that.
    let mut removed = self::record(login, visit, present, Event::FactorRemoved, Outcome::Allow);
    removed.resource = former.as_ref().map(|former| Phi::new(former.to_string()));
    removed.decision.reason = Some("added-again".to_owned());
    let added = login.outbox.commit(move |sql, _| {
        if !confirmed.stands(sql)? {
            return Ok(Change::none(Added::TooLate));
        }
        let is_one_less = match &former {
            Some(former) => sql.remove_phone(&name, former, now)? == Used::Now,
            None => false,
        };
        let removed = is_one_less.then_some(removed);
        if sql.phones(&name)?.len() >= MOST {
            return Ok(Change::told_by(Added::TooMany, removed));
        }
        sql.add_phone(&name, &phone, &digest)?;
        Ok::<_, ChangeError>(Change::told_by(Added::Now, removed.into_iter().chain([record])))
    });
    match added.await {
        Ok(Added::Now) => with_cookies(see_other("/approve"), [cookie::keep(cookie::PHONE, secret.expose())]),
        Ok(Added::TooMany) => show(login, visit, present, Some(FULL)),
        Ok(Added::TooLate) => stale(),
        Err(error) => unavailable(&error),
    }
}

async fn remove(
    login: &Login,
    visit: &Visit,
    (present, confirmed): (&Present, Confirmed),
    id: FactorId,
) -> Response {
    let (name, now) = (present.user.name.clone(), login.clock.now());
    let mut record = record(login, visit, present, Event::FactorRemoved, Outcome::Allow);
    record.resource = Some(Phi::new(id.to_string()));
    let removed = login.outbox.commit(move |sql, _| {
        if !confirmed.stands(sql)? || sql.remove_phone(&name, &id, now)? == Used::Before {
            return Ok(Change::none(Used::Before));
        }
        Ok::<_, ChangeError>(Change::told_by(Used::Now, [record]))
    });
    match removed.await {
        Ok(Used::Now) => see_other("/approve/phone"),
        Ok(Used::Before) => stale(),
        Err(error) => unavailable(&error),
    }
}

fn record(login: &Login, visit: &Visit, present: &Present, event: Event, outcome: Outcome) -> Record {
    let mut record = once_more::record(login, visit, present, event, outcome);
    record.detail.insert("factor".to_owned(), Phi::new("phone".to_owned()));
    record
}
