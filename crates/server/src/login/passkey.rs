//! Signing in with a passkey: alone, for it is two factors, or after the password. Web Authentication Level 3 section 7.2;
//! ATTACKS A01, A05, A08, O32.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chartgate_access::ids::Subject;
use chartgate_access::login::assurance::{Assurance, Next, Offered, SecondFactor, after_passkey};
use chartgate_access::principal::User;
use chartgate_access::token::revocation::CutOff;
use chartgate_values::Timestamp;

use super::Login;
use super::authenticate::{self, PasskeyAttempt, Reason, Wanted, refuse};
use super::form::{Submission, Visit, see_other, stale, unavailable};
use super::new_passkey;
use super::new_password;
use super::second_factor::{self, Half};
use super::sign_in::{self, Begin, needed, start_session, with_cookies};
use super::then::Then;
use crate::live::passkeys::{Ceremony, Shown};
use crate::store::half_sign_ins::{First, Stage};
use crate::store::passkeys::StoredPasskey;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::Id;

const WRONG: Id = Id::of("passkey-wrong");

/// What a page asks the browser for whoever signs in there, where passkeys are offered.
pub(super) fn for_anybody(login: &Login, visit: &Visit) -> Option<String> {
    if login.offered == Offered::CodesAlone {
        return None;
    }
    let browser = visit.browser.digest();
    Some(login.passkeys.request(Ceremony::SignIn { browser: &browser }, &[], login.clock.now()))
}

/// The same for one of the passkeys that are somebody's, if they have any that is good for something. Where one that hardware
/// keeps is needed, and they have it, for no other.
pub(super) fn for_one(
    login: &Login,
    ceremony: Ceremony<'_>,
    of: &Subject,
    needed: Assurance,
) -> Result<Option<String>, StoreError> {
    let mut passkeys = in_use(login, of)?;
    if passkeys.is_empty() {
        return Ok(None);
    }
    let is_hardware = |passkey: &StoredPasskey| is_hardware(login, passkey);
    if needed == Assurance::HardwareKey && passkeys.iter().any(is_hardware) {
        passkeys.retain(is_hardware);
    }
    Ok(Some(login.passkeys.request(ceremony, &passkeys, login.clock.now())))
}

/// Whether somebody has a passkey that is good for something.
pub(super) fn is_had(login: &Login, of: &Subject) -> Result<bool, StoreError> {
    Ok(!in_use(login, of)?.is_empty())
}

/// Whether one of somebody's passkeys that are good for something is kept by hardware.
pub(super) fn has_hardware(login: &Login, of: &Subject) -> Result<bool, StoreError> {
    Ok(in_use(login, of)?.iter().any(|passkey| is_hardware(login, passkey)))
}

/// What confirms a change of somebody's passkeys. Whoever has one that hardware keeps shows that, whatever they need to sign in:
/// else a copy of another one would be enough to put a key of one's own beside it, or in its place (ATTACKS A07).
pub(super) fn strongest(login: &Login, user: &User) -> Result<Assurance, StoreError> {
    let has_hardware = has_hardware(login, &user.name)?;
    Ok(if has_hardware { Assurance::HardwareKey } else { login.second_factors.of(user) })
}

/// Those of somebody's passkeys that are good for something.
fn in_use(login: &Login, of: &Subject) -> Result<Vec<StoredPasskey>, StoreError> {
    if login.offered == Offered::CodesAlone {
        return Ok(Vec::new());
    }
    let mut passkeys = login.store.read(|sql| sql.passkeys(of))?;
    passkeys.retain(|passkey| passkey.suspected_at.is_none());
    Ok(passkeys)
}

fn is_hardware(login: &Login, passkey: &StoredPasskey) -> bool {
    login.passkeys.factor_of(passkey) == SecondFactor::HardwareKey
}

pub(super) async fn submit(State(login): State<Arc<Login>>, Submission(visit): Submission) -> Response {
    if login.offered == Offered::CodesAlone {
        return stale();
    }
    let half = match visit.form.get("sign_in").map(|_| Half::of(&login, &visit)).transpose() {
        Ok(None) => None,
        Ok(Some(half @ Half { stage: Stage::Prove, .. })) => Some(half),
        Ok(Some(_)) => return stale(),
        Err(response) => return *response,
    };
    let browser = visit.browser.digest();
    let wanted = match &half {
        Some(half) => Wanted { of: Some(half), ceremony: Ceremony::SecondFactor { half: &half.digest } },
        None => Wanted { of: None, ceremony: Ceremony::SignIn { browser: &browser } },
    };
    let brought = visit.form.get("credential").unwrap_or_default();
    let (reason, user) = match authenticate::passkey(&login, &visit.origin, wanted, brought).await {
        Ok(PasskeyAttempt::Good(good, counter)) => {
            let (user, shown) = *good;
            let good = Good { user: &user, shown, counter, half: half.as_ref() };
            match go_on(&login, &visit, good).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(reason)) => (reason, Some(user)),
                Err(response) => return *response,
            }
        }
        Ok(PasskeyAttempt::Refused(reason, user)) => (reason, user),
        Err(error) => return unavailable(&error),
    };
    refuse(&login, &visit.origin, reason, user.as_ref(), || {
        let problem = reason.words().unwrap_or(WRONG);
        match &half {
            Some(half) => second_factor::show(&login, &visit, half, Some(problem), reason.status()),
            None => {
                let typed = visit.form.get("username").unwrap_or_default();
                sign_in::show(&login, &visit, Some((problem, typed)), reason.status())
            }
        }
    })
    .await
}

/// A passkey that is somebody's, and was not used up.
struct Good<'a> {
    user: &'a User,
    shown: Shown,
    /// Where failures are kept, if they count for it.
    counter: Option<String>,
    /// What came before it.
    half: Option<&'a Half>,
}

/// What comes of a good passkey: a session, if it is strong enough for what waits and for whom it is.
async fn go_on(
    login: &Login,
    visit: &Visit,
    good: Good<'_>,
) -> Result<Result<Response, Reason>, Box<Response>> {
    let Good { user, shown, counter, half } = good;
    let then = Then::of(&visit.form);
    let needed = needed(login, then.begun(login, visit)?.as_ref(), user);
    let holds = login.factors.holds(&user.name).map_err(|error| unavailable(&error))?;
    let (factor, opener) = (login.passkeys.factor_of(&shown.passkey), shown.passkey.id.clone());
    let first = half.map_or(First::Passkey, |half| half.first.clone());
    let (digest, now) = (half.map(|half| half.digest.clone()), login.clock.now());
    match after_passkey(Assurance::of(&factor.amr()), holds, needed) {
        // Whoever came by a link sets a new password, and signs in with it.
        Next::Session | Next::EnrolAPasskey if first == First::Link => {
            let act = move |sql: &Sql<'_>| {
                let spent = spend(sql, &shown, digest.as_deref(), None, now)?;
                Ok(if spent.is_some() { Used::Now } else { Used::Before })
            };
            let answer = new_password::ask(login, visit, (user, factor), act).await?;
            Ok(answer.ok_or(Reason::Passkey("passkey-used")))
        }
        // Used up, and no wrong one; what it came after goes on, with the key that is enough.
        Next::Prove | Next::Enrol => {
            let act = move |sql: &Sql<'_>| spend(sql, &shown, None, counter.as_deref(), now);
            match login.store.write(act).await {
                Ok(Some(_)) => Ok(Err(not_enough(login, user)?)),
                Ok(None) => Ok(Err(Reason::Passkey("passkey-used"))),
                Err::<_, StoreError>(error) => Err(Box::new(unavailable(&error))),
            }
        }
        // No session: the failures before are kept until there is one.
        Next::EnrolAPasskey => {
            let act = move |sql: &Sql<'_>| {
                let spent = spend(sql, &shown, digest.as_deref(), None, now)?;
                Ok(if spent.is_some() { Used::Now } else { Used::Before })
            };
            let answer = new_passkey::ask(login, visit, (user, first, Some(opener)), &then, act).await?;
            Ok(answer.ok_or(Reason::Passkey("passkey-used")))
        }
        Next::Session => {
            let begin = Begin::with_factor(user, &first, factor);
            let act = move |sql: &Sql<'_>, _| spend(sql, &shown, digest.as_deref(), counter.as_deref(), now);
            match start_session(login, visit, begin, act).await? {
                Some(cookies) => Ok(Ok(with_cookies(see_other(&then.target()), cookies))),
                None => Ok(Err(Reason::Passkey("passkey-used"))),
            }
        }
    }
}

/// Why a passkey is not enough for somebody who has a stronger one, which may be out of use: then nobody here can help them.
fn not_enough(login: &Login, user: &User) -> Result<Reason, Box<Response>> {
    match has_hardware(login, &user.name) {
        Ok(true) => Ok(Reason::NoHardwareKey),
        Ok(false) => Ok(Reason::HardwareKeyOutOfUse),
        Err(error) => Err(Box::new(unavailable(&error))),
    }
}

/// What belongs to what comes of it: the passkey and its challenge are used up, and the half sign-in.
fn spend(
    sql: &Sql<'_>,
    shown: &Shown,
    half: Option<&str>,
    counter: Option<&str>,
    now: Timestamp,
) -> Result<Option<Vec<CutOff>>, StoreError> {
    if shown.use_up(sql, now)? == Used::Before {
        return Ok(None);
    }
    if let Some(digest) = half
        && sql.take_half_sign_in(digest, now)?.is_none()
    {
        return Ok(None);
    }
    if let Some(counter) = counter {
        sql.clear_login_failures(counter)?;
    }
    Ok(Some(Vec::new()))
}
