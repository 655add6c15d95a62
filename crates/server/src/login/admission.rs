//! Who somebody is here that signed in at an identity provider: whoever that account was linked to, whoever links it by their
//! one-time link, or somebody new where the configuration lets them in. ATTACKS A10.
//!
//! Whether an account is nobody's, its person shut out, or a name taken, the answer is the same.

use std::collections::BTreeSet;

use axum::response::Response;
use chartgate_access::ids::{Role, Subject};
use chartgate_access::login::provider::{Newcomers, name_for, roles_of};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::jose::provider_token::SignedInThere;
use chartgate_values::{Phi, Timestamp};
use http::StatusCode;

use super::Login;
use super::form::{Visit, stale, unavailable};
use super::provider::NoSignIn;
use super::sign_in::person;
use crate::live::identity_providers::Provider;
use crate::live::outbox;
use crate::pages;
use crate::store::provider_links::Linked;
use crate::store::second_factors::FactorChange;
use crate::store::users::Added;
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Words};

/// What has to be written before somebody is in.
#[derive(Clone, Debug)]
struct Change {
    link: Link,
    /// The person as they were, if they were.
    former: Option<User>,
}

/// What becomes of the account.
#[derive(Clone, Debug)]
enum Link {
    /// It is theirs.
    Stands,
    /// It becomes theirs, by the one-time link with this digest.
    ByInvitation(String),
    /// It becomes theirs with their being added.
    OfNewcomer,
}

impl Change {
    /// The roles that they had, if they have others now.
    fn former_roles(&self, user: &User) -> Option<&BTreeSet<Role>> {
        self.former.as_ref().map(|former| &former.roles).filter(|roles| **roles != user.roles)
    }

    /// Whether they had roles that they have no more.
    fn takes_away_from(&self, user: &User) -> bool {
        self.former_roles(user).is_some_and(|former| !former.is_subset(&user.roles))
    }
}

/// Why an account opens nothing here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum NotAdmitted {
    /// It is nobody's.
    Unlinked,
    /// Its person may not sign in.
    Disabled,
    /// It is somebody else's than the link.
    SomebodyElses,
    /// The name that they would have belongs or belonged to somebody, or is none.
    NoName,
}

impl NotAdmitted {
    /// The stable code for the record.
    fn code(self) -> &'static str {
        match self {
            Self::Unlinked => "account-unlinked",
            Self::Disabled => "user-disabled",
            Self::SomebodyElses => "account-of-another",
            Self::NoName => "name-taken",
        }
    }
}

/// Finds out who it is, and writes what has to be written for that.
pub(super) async fn admit(
    login: &Login,
    visit: &Visit,
    provider: &Provider,
    there: &SignedInThere,
    enrolment: Option<&str>,
) -> Result<User, Box<Response>> {
    let now = login.clock.now();
    let who = login.store.read(|sql| whom(sql, provider, there, enrolment, now));
    let (user, change) = match who.map_err(|error| unavailable(&error))? {
        Some(Ok(found)) => found,
        Some(Err((cause, user))) => {
            let refused = refuse_person(login, visit, provider, there, (cause, user.as_ref())).await;
            return Err(Box::new(refused));
        }
        None => return Err(Box::new(stale())),
    };
    // What somebody is there no more they are not here either, whether it can be recorded or not.
    if !change.takes_away_from(&user) {
        login.outbox.may_give().map_err(|error| unavailable(&error))?;
    }
    let records = records_of(visit, provider, there, (&user, &change), now);
    let (issuer, subject) = (provider.config.issuer.to_string(), there.sub.as_str().to_owned());
    let person = user.clone();
    let written = login.outbox.commit(move |sql, at| {
        let cut = write(sql, (&issuer, &subject), (&person, &change), at)?;
        Ok(outbox::Change::told_by((), records).cutting(cut))
    });
    match written.await {
        Ok(()) => Ok(user),
        Err(NotWritten::TooLate) => Err(Box::new(stale())),
        Err(NotWritten::NotAdmitted(cause)) => {
            Err(Box::new(refuse_person(login, visit, provider, there, (cause, None)).await))
        }
        Err(error @ (NotWritten::Store(_) | NotWritten::Unrecorded(_))) => Err(Box::new(unavailable(&error))),
    }
}

type Found = Result<(User, Change), (NotAdmitted, Option<User>)>;

/// Who it is, or why nobody; nothing where the one-time link is none.
fn whom(
    sql: &Sql<'_>,
    provider: &Provider,
    there: &SignedInThere,
    enrolment: Option<&str>,
    now: Timestamp,
) -> Result<Option<Found>, StoreError> {
    let config = &provider.config;
    let invited = match enrolment {
        Some(digest) => match sql.enrolment(digest, now)? {
            Some(name) => Some((name, digest.to_owned())),
            None => return Ok(None),
        },
        None => None,
    };
    let linked = sql.linked_user(config.issuer.as_str(), there.sub.as_str())?;
    let roles =
        config.groups.as_ref().map(|(_, groups)| roles_of(groups, there.groups.iter().map(String::as_str)));
    let (name, link) = match (linked, invited) {
        (Some(name), Some((invited, _))) if name != invited => {
            return Ok(Some(Err((NotAdmitted::SomebodyElses, sql.user(&name)?))));
        }
        (Some(name), _) => (name, Link::Stands),
        (None, Some((name, digest))) => (name, Link::ByInvitation(digest)),
        (None, None) => return newcomer(sql, provider, there, roles.unwrap_or_default(), now).map(Some),
    };
    let Some(former) = sql.user(&name)? else { return Ok(Some(Err((NotAdmitted::Unlinked, None)))) };
    if former.state != UserState::Enabled {
        return Ok(Some(Err((NotAdmitted::Disabled, Some(former)))));
    }
    let roles = roles.unwrap_or_else(|| former.roles.clone());
    let user = User { roles, ..former.clone() };
    Ok(Some(Ok((user, Change { link, former: Some(former) }))))
}

/// Somebody whom nobody here knows.
fn newcomer(
    sql: &Sql<'_>,
    provider: &Provider,
    there: &SignedInThere,
    roles: BTreeSet<Role>,
    now: Timestamp,
) -> Result<Found, StoreError> {
    if provider.config.newcomers == Newcomers::Refused {
        return Ok(Err((NotAdmitted::Unlinked, None)));
    }
    let name: Option<Subject> = there.name.as_deref().and_then(name_for);
    let Some(name) = name else { return Ok(Err((NotAdmitted::NoName, None))) };
    // Never by name: an account of somebody else's may have been given theirs.
    if sql.user(&name)?.is_some() {
        return Ok(Err((NotAdmitted::NoName, None)));
    }
    let state = UserState::Enabled;
    let user = User { name, state, roles, fhir_user: None, email: None, created_at: now };
    Ok(Ok((user, Change { link: Link::OfNewcomer, former: None })))
}

/// Why nothing was written, or is not on record yet.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    /// Somebody was quicker.
    #[error("somebody was quicker")]
    TooLate,
    /// And so they do not get in.
    #[error("{}", .0.code())]
    NotAdmitted(NotAdmitted),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unrecorded(#[from] AppendError),
}

/// Writes it, if it can still be written, and says what is cut off with it.
fn write(
    sql: &Sql<'_>,
    account: (&str, &str),
    (user, change): (&User, &Change),
    now: Timestamp,
) -> Result<Vec<CutOff>, NotWritten> {
    if let Some(former) = &change.former
        && sql.user(&user.name)?.as_ref() != Some(former)
    {
        return Err(NotWritten::TooLate);
    }
    let link = || match sql.link_provider(account, &user.name, now)? {
        Linked::Yes => Ok(()),
        Linked::Taken => Err(NotWritten::NotAdmitted(NotAdmitted::SomebodyElses)),
    };
    match &change.link {
        // It may have been taken away meanwhile.
        Link::Stands if sql.linked_user(account.0, account.1)?.as_ref() == Some(&user.name) => {}
        Link::Stands => return Err(NotWritten::NotAdmitted(NotAdmitted::Unlinked)),
        Link::ByInvitation(digest) => {
            if sql.use_enrolment(digest, now)?.as_ref() != Some(&user.name) {
                return Err(NotWritten::TooLate);
            }
            link()?;
            sql.note_factor_change(&user.name, FactorChange::AccountLinked, now)?;
        }
        Link::OfNewcomer => {
            if sql.add_user(user)? == Added::NameTaken {
                return Err(NotWritten::NotAdmitted(NotAdmitted::NoName));
            }
            link()?;
        }
    }
    let mut cut = Vec::new();
    if change.former_roles(user).is_some() {
        sql.set_user_roles(&user.name, &user.roles)?;
        // What was given to roles that they have no more ends; what they gained only makes new tokens say more.
        if change.takes_away_from(user) {
            cut.push(CutOff::UpTo { target: Target::Subject(user.name.clone()), not_before: now });
        }
    }
    sql.provider_link_used(account, now)?;
    Ok(cut)
}

/// The records of what is written: of the account, and of roles that are others than before.
fn records_of(
    visit: &Visit,
    provider: &Provider,
    there: &SignedInThere,
    (user, change): (&User, &Change),
    now: Timestamp,
) -> Vec<Record> {
    let record = |event: Event| {
        let mut record = visit.origin.record(event, Outcome::Allow, now);
        record.action = Some(event.as_str().to_owned());
        record.actor = person(user);
        record.resource = Some(Phi::new(user.name.to_string()));
        tell(&mut record, provider, Some(there));
        record
    };
    let linked = match change.link {
        Link::Stands => None,
        Link::ByInvitation(_) => Some(record(Event::EnrolmentUsed)),
        Link::OfNewcomer => {
            let mut record = record(Event::UserAdded);
            record.detail.insert("roles".to_owned(), list(&user.roles));
            Some(record)
        }
    };
    let changed = change.former_roles(user).map(|former| {
        let mut record = record(Event::UserChanged);
        record.detail.insert("roles_before".to_owned(), list(former));
        record.detail.insert("roles".to_owned(), list(&user.roles));
        record
    });
    linked.into_iter().chain(changed).collect()
}

fn list(roles: &BTreeSet<Role>) -> Phi<String> {
    let roles: Vec<&str> = roles.iter().map(Role::as_str).collect();
    Phi::new(roles.join(" "))
}

fn tell(record: &mut Record, provider: &Provider, there: Option<&SignedInThere>) {
    record.detail.insert("provider".to_owned(), Phi::new(provider.config.name.clone()));
    if let Some(there) = there {
        record.detail.insert("provider_subject".to_owned(), Phi::new(there.sub.as_str().to_owned()));
    }
}

/// Nobody signed in there, as far as we can tell.
pub(super) async fn refuse_sign_in(
    login: &Login,
    visit: &Visit,
    provider: &Provider,
    (cause, there): (&NoSignIn, Option<&SignedInThere>),
) -> Response {
    let name = &provider.config.name;
    tracing::warn!(provider = %name, %cause, "nobody signed in");
    let mut record = visit.origin.record(Event::LoginFailed, Outcome::Deny, login.clock.now());
    record.decision.reason = Some(cause.code().to_owned());
    tell(&mut record, provider, there);
    let title = Words::of("provider-not-title").with("provider", &provider.config.title);
    let text = match cause {
        NoSignIn::TimeUnsaid => Id::of("provider-no-time"),
        NoSignIn::Refused | NoSignIn::MixedUp | NoSignIn::NotLately | NoSignIn::Failed(_) => {
            Id::of("provider-not")
        }
    };
    refuse(login, visit, record, (StatusCode::OK, title, text)).await
}

/// Somebody signed in there who is not let in here.
async fn refuse_person(
    login: &Login,
    visit: &Visit,
    provider: &Provider,
    there: &SignedInThere,
    (cause, user): (NotAdmitted, Option<&User>),
) -> Response {
    let mut record = visit.origin.record(Event::LoginFailed, Outcome::Deny, login.clock.now());
    record.decision.reason = Some(cause.code().to_owned());
    record.actor = user.map(person).unwrap_or_default();
    tell(&mut record, provider, Some(there));
    let title = Words::of("provider-nothing-title").with("provider", &provider.config.title);
    refuse(login, visit, record, (StatusCode::FORBIDDEN, title, Id::of("provider-nothing"))).await
}

async fn refuse(
    login: &Login,
    visit: &Visit,
    mut record: Record,
    (status, title, text): (StatusCode, Words, Id),
) -> Response {
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    record.action = Some("login".to_owned());
    let answer = visit.browser.remembered(pages::message(status, title, text));
    match login.journal.append(&record, Withheld::new(answer)).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}
