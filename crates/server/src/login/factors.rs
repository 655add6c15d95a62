//! The page where a person sees what they sign in with, and changes it: with what they have, once more (ATTACKS A07). NIST SP
//! 800-63B-4 sections 4.1 and 4.6.

mod changes;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::{FactorId, Subject};
use chartgate_access::login::assurance::{Assurance, Offered, SecondFactor};
use chartgate_audit::record::Event;
use chartgate_values::Timestamp;
use http::StatusCode;

use self::changes::{authenticate_again, make_recovery_codes, remove, rename};
use super::form::{Present, Submission, Visit, see_other, stale, unavailable};
use super::phones::{self, PhoneShown};
use super::second_factor::in_time;
use super::then::Then;
use super::{Login, enrol_factor, new_passkey, once_more, passkey};
use crate::live::factors::MOST;
use crate::live::passkeys::Ceremony;
use crate::live::passkeys::authenticators::KnownAuthenticators;
use crate::pages;
use crate::store::half_sign_ins::First;
use crate::store::passkeys::{Backup, StoredPasskey};
use crate::store::provider_links::ProviderLink;
use crate::store::second_factors::{RecoveryCount, StoredFactor};
use crate::store::{Sql, StoreError};
use crate::tongue::{Id, Tells as _, Tongue, Words};

#[derive(Template)]
#[template(path = "factors.html")]
struct FactorsPage<'a> {
    t: Tongue,
    username: &'a str,
    applications: Vec<FactorShown>,
    passkeys: Vec<PasskeyShown>,
    accounts: Vec<AccountShown>,
    phones: Vec<PhoneShown>,
    left: u32,
    made: u32,
    changes: Vec<ChangeShown>,
    /// Whether they have one to change.
    has_password: bool,
    problem: Option<Id>,
    /// Whether passkeys are offered.
    is_offered: bool,
    /// What the browser is asked in place of password and code.
    confirm: Option<String>,
    /// Whether nothing takes its place.
    is_by_hardware: bool,
    hidden: String,
}

struct FactorShown {
    id: String,
    label: String,
    added: String,
    added_shown: String,
    used_shown: Option<String>,
}

/// An account at an identity provider.
struct AccountShown {
    title: String,
    since: String,
    since_shown: String,
}

/// What keeps a passkey, as its maker has attested it.
struct Keeper {
    model: String,
    by: String,
    /// Whether that counts now.
    is_believed: bool,
}

struct PasskeyShown {
    keeper: Option<Keeper>,
    id: String,
    label: String,
    kind: Id,
    added: String,
    added_shown: String,
    used_shown: Option<String>,
    suspected_shown: Option<String>,
}

/// A change, as its person is told of it.
pub(super) struct ChangeShown {
    pub(super) at: String,
    pub(super) at_shown: String,
    pub(super) words: Words,
}

/// Sign in, then come back.
const SIGN_IN: &str = "/login?then=factors";
const LAST: Id = Id::of("factors-last");
const LAST_PASSKEY: Id = Id::of("factors-last-passkey");
const LAST_HARDWARE: Id = Id::of("factors-last-hardware");
const FULL: Id = Id::of("factors-full");

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
        words: change.words(),
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

fn show(login: &Login, visit: &Visit, present: &Present, problem: Option<Id>) -> Response {
    match shown(login, visit, present, problem) {
        Ok(page) => visit.browser.show_with_script(StatusCode::OK, &page, None),
        Err(error) => unavailable(&error),
    }
}

fn shown<'a>(
    login: &Login,
    visit: &Visit,
    present: &'a Present,
    problem: Option<Id>,
) -> Result<FactorsPage<'a>, StoreError> {
    let name = &present.user.name;
    let (has, RecoveryCount { left, made }, links, has_password) = login.store.read(|sql| {
        Ok::<_, StoreError>((
            Has::of(sql, name, &login.passkeys.known)?,
            sql.recovery_codes(name)?,
            sql.provider_links(name)?,
            sql.password_hash(name)?.is_some(),
        ))
    })?;
    let ceremony = Ceremony::Change { session: &present.session.id };
    let needed = login.second_factors.of(&present.user);
    Ok(FactorsPage {
        t: visit.browser.tongue,
        username: name.as_str(),
        applications: has.applications.into_iter().map(FactorShown::of).collect(),
        passkeys: has
            .passkeys
            .into_iter()
            .map(|(one, factor)| PasskeyShown::of(login, one, factor))
            .collect(),
        accounts: links.iter().map(|link| AccountShown::of(login, link)).collect(),
        phones: phones::shown(login, visit, present)?,
        left,
        made,
        changes: changes(login, name, None)?,
        has_password,
        problem,
        is_offered: login.offered != Offered::CodesAlone,
        confirm: passkey::for_one(login, ceremony, name, passkey::strongest(login, &present.user)?)?,
        is_by_hardware: once_more::is_by_hardware(login, &present.user, needed)?,
        hidden: visit.browser.hidden(&[]),
    })
}

impl FactorShown {
    fn of(factor: StoredFactor) -> Self {
        Self {
            id: factor.id.to_string(),
            label: factor.label,
            added: factor.added_at.to_string(),
            added_shown: pages::minutes(factor.added_at),
            used_shown: factor.last_used_at.map(pages::minutes),
        }
    }
}

impl AccountShown {
    fn of(login: &Login, link: &ProviderLink) -> Self {
        let known = login.providers.iter().find(|one| one.config.issuer.as_str() == link.issuer);
        Self {
            title: known.map_or_else(|| link.issuer.clone(), |one| one.config.title.clone()),
            since: link.linked_at.to_string(),
            since_shown: pages::minutes(link.linked_at),
        }
    }
}

impl PasskeyShown {
    fn of(login: &Login, passkey: StoredPasskey, factor: SecondFactor) -> Self {
        let known = login.passkeys.known.in_force();
        let keeper = passkey.attested.as_ref().map(|attested| Keeper {
            model: known.name_of(attested.model),
            by: attested.by.clone(),
            is_believed: factor == SecondFactor::HardwareKey,
        });
        Self {
            keeper,
            id: passkey.id.to_string(),
            label: passkey.label,
            kind: match passkey.backup {
                Backup::DeviceBound => Id::of("factors-passkey-bound"),
                Backup::Eligible => Id::of("factors-passkey-eligible"),
                Backup::BackedUp => Id::of("factors-passkey-synced"),
            },
            added: passkey.added_at.to_string(),
            added_shown: pages::minutes(passkey.added_at),
            used_shown: passkey.last_used_at.map(pages::minutes),
            suspected_shown: passkey.suspected_at.map(pages::minutes),
        }
    }
}

/// What somebody has.
struct Has {
    applications: Vec<StoredFactor>,
    /// With what each is worth.
    passkeys: Vec<(StoredPasskey, SecondFactor)>,
}

impl Has {
    fn of(sql: &Sql<'_>, name: &Subject, known: &KnownAuthenticators) -> Result<Self, StoreError> {
        let with_worth = |passkey: StoredPasskey| {
            let factor = known.factor_of(&passkey);
            (passkey, factor)
        };
        let passkeys = sql.passkeys(name)?.into_iter().map(with_worth).collect();
        Ok(Self { applications: sql.factors(name)?, passkeys })
    }

    fn is_nothing(&self) -> bool {
        self.applications.is_empty() && self.passkeys.is_empty()
    }

    /// Whether this is changed by a passkey alone.
    fn is_by_passkey(&self, wish: &Wish) -> bool {
        let has_one = self.passkeys.iter().any(|(passkey, _)| passkey.suspected_at.is_none());
        let is_of_passkeys = match wish {
            Wish::AddPasskey => true,
            Wish::Remove(id) => {
                self.passkeys.iter().any(|(passkey, _)| passkey.id == *id && passkey.suspected_at.is_none())
            }
            Wish::Add | Wish::Recovery | Wish::Rename(_) => false,
        };
        has_one && is_of_passkeys
    }

    /// What would be missing without this one, for somebody who has to sign in so strongly.
    fn missing_without(&self, id: &FactorId, needed: Assurance) -> Option<Id> {
        let good = self.passkeys.iter().filter(|(one, _)| one.suspected_at.is_none() && one.id != *id);
        let hardware = good.clone().filter(|(_, factor)| *factor == SecondFactor::HardwareKey).count();
        let passkeys = good.count();
        let applications = self.applications.iter().filter(|application| application.id != *id).count();
        match needed {
            Assurance::HardwareKey if hardware == 0 => Some(LAST_HARDWARE),
            Assurance::PhishingResistant if passkeys == 0 => Some(LAST_PASSKEY),
            Assurance::TwoFactors if passkeys == 0 && applications == 0 => Some(LAST),
            Assurance::OneFactor
            | Assurance::TwoFactors
            | Assurance::PhishingResistant
            | Assurance::HardwareKey => None,
        }
    }
}

/// What somebody wants changed.
enum Wish {
    Add,
    AddPasskey,
    Recovery,
    Remove(FactorId),
    Rename(FactorId),
}

impl Wish {
    fn read(text: &str) -> Option<Self> {
        match text {
            "add" => Some(Self::Add),
            "add-passkey" => Some(Self::AddPasskey),
            "recovery" => Some(Self::Recovery),
            other => match other.split_once('-')? {
                ("remove", id) => id.parse().ok().map(Self::Remove),
                ("rename", id) => id.parse().ok().map(Self::Rename),
                _ => None,
            },
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Add | Self::AddPasskey => Event::FactorAdded,
            Self::Recovery => Event::RecoveryCodesMade,
            Self::Remove(_) => Event::FactorRemoved,
            Self::Rename(_) => Event::FactorRenamed,
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
    let has = login.store.read(|sql| Has::of(sql, &present.user.name, &login.passkeys.known));
    let has = match has {
        Ok(has) => has,
        Err(error) => return unavailable(&error),
    };
    let needed = login.second_factors.of(&present.user);
    let missing = match &wish {
        Wish::Remove(id) => has.missing_without(id, needed),
        Wish::Add | Wish::AddPasskey | Wish::Recovery | Wish::Rename(_) => None,
    };
    if missing.is_some() {
        return show(&login, &visit, &present, missing);
    }
    match &wish {
        Wish::Add if has.applications.len() >= MOST => return show(&login, &visit, &present, Some(FULL)),
        Wish::AddPasskey if has.passkeys.len() >= MOST => return show(&login, &visit, &present, Some(FULL)),
        Wish::AddPasskey if login.offered == Offered::CodesAlone => return stale(),
        // Without a factor there is nothing that these would be of.
        Wish::Recovery | Wish::Remove(_) if has.is_nothing() => return stale(),
        Wish::Add | Wish::AddPasskey | Wish::Recovery | Wish::Remove(_) | Wish::Rename(_) => {}
    }
    // What they showed now, and not what they signed in with.
    let confirmed = match authenticate_again(&login, &visit, &present, &wish, &has).await {
        Ok(confirmed) => confirmed,
        Err(response) => return *response,
    };
    let opener = confirmed.passkey().cloned();
    let first = if opener.is_some() { First::Passkey } else { First::Password };
    let to = (&present.user, first, opener);
    match wish {
        Wish::Add => in_time(enrol_factor::ask(&login, &visit, to, &Then::Factors, confirmed.ground()).await),
        Wish::AddPasskey => {
            in_time(new_passkey::ask(&login, &visit, to, &Then::Factors, confirmed.ground()).await)
        }
        Wish::Recovery => make_recovery_codes(&login, &visit, &present, confirmed).await,
        Wish::Remove(id) => remove(&login, &visit, (&present, confirmed), id, needed).await,
        Wish::Rename(id) => rename(&login, &visit, (&present, confirmed), id).await,
    }
}
