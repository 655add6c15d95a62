//! Whether somebody is who they say: passwords, codes and passkeys, and how often they may be tried. NIST SP 800-63B-4 sections 3.1.1 and
//! 3.2.2; ATTACKS A01 to A04.
//!
//! Whether a name is unknown, a person disabled or a password wrong, the answer, its time and its count are the same. Codes
//! count where passwords do: whoever knows a password has as few tries at the code as whoever knows nothing. A passkey alone is
//! nothing to be guessed, and is not counted.

mod passkey;

use axum::response::Response;
use chartgate_access::ids::{FactorId, Subject};
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_audit::record::{Event, Outcome};
use http::StatusCode;

pub(super) use self::passkey::{PasskeyAttempt, Wanted, again_by_passkey, passkey, put_out_of_use};
use super::Login;
use super::form::{Present, unavailable};
use super::second_factor::Half;
use super::sign_in::person;
use crate::live::factors::{FactorError, Proof};
use crate::net::origin::Origin;
use crate::passwords::Verdict;
use crate::store::login_failures::Tried;
use crate::store::passkeys::StoredPasskey;
use crate::store::pending::Took;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};
use crate::tongue::Id;

/// Wrong passwords or codes after which a session is over in which they were asked for again; none of them has to wait.
const TRIES_IN_SESSION: u32 = 5;
const OLD_PAGE: Id = Id::of("passkey-old-page");
const NO_HARDWARE: Id = Id::of("passkey-no-hardware");
const HARDWARE_OUT_OF_USE: Id = Id::of("passkey-hardware-out-of-use");
const BUSY: Id = Id::of("sign-in-busy");
const TOO_OFTEN: Id = Id::of("sign-in-too-often");

/// What came of a name and a password.
pub(super) enum Attempt {
    /// They fit.
    Good(User, Right),
    Refused(Reason, Option<User>),
}

/// A right password.
pub(super) struct Right {
    /// The failures before are kept under this name, until all that is asked for was right.
    counter: String,
    /// The hash by which it is right. Where another stands by now, somebody has set another password.
    hash: String,
    /// How it was counted before it was looked at.
    tried: Tried,
}

impl Right {
    /// Whether it is right still, in the transaction of what it opens; then the failures before are forgotten.
    pub(super) fn settle(&self, sql: &Sql<'_>, of: &Subject) -> Result<Used, StoreError> {
        if !self.is_right(sql, of)? {
            return Ok(Used::Before);
        }
        sql.clear_login_failures(&self.counter).map(|()| Used::Now)
    }

    /// Whether it is right still.
    pub(super) fn is_right(&self, sql: &Sql<'_>, of: &Subject) -> Result<bool, StoreError> {
        Ok(sql.password_hash(of)?.as_ref() == Some(&self.hash))
    }

    /// The same as the ground of what it begins. It clears nothing, nor is it a failure of what is shown after it (ATTACKS A03).
    pub(super) fn stands(
        self,
        of: Subject,
    ) -> impl FnOnce(&Sql<'_>) -> Result<Used, StoreError> + Send + 'static {
        move |sql| {
            if !self.is_right(sql, &of)? {
                return Ok(Used::Before);
            }
            sql.take_back_login(&self.counter, self.tried).map(|()| Used::Now)
        }
    }
}

/// What came of a code.
pub(super) enum CodeAttempt {
    /// It is the person's, unless it was used before. The failures before are kept under this name.
    Good(Proof, String),
    Refused(Reason),
}

#[derive(Clone, Copy)]
pub(super) enum Reason {
    Throttled,
    Busy,
    UnknownUser,
    WrongPassword,
    Disabled,
    WrongCode,
    /// With the stable code of what is wrong with it.
    Passkey(&'static str),
    /// It is good, and hardware does not keep it, where that is needed and the person has such a one.
    NoHardwareKey,
    /// The same, and the one that they have is out of use.
    HardwareKeyOutOfUse,
    /// What a passkey signed is of a page that stood open for too long.
    OldPage,
}

impl Reason {
    /// What people are told besides that it was wrong.
    pub(super) fn words(self) -> Option<Id> {
        match self {
            Self::Throttled => Some(TOO_OFTEN),
            Self::Busy => Some(BUSY),
            Self::OldPage => Some(OLD_PAGE),
            Self::NoHardwareKey => Some(NO_HARDWARE),
            Self::HardwareKeyOutOfUse => Some(HARDWARE_OUT_OF_USE),
            Self::UnknownUser | Self::WrongPassword | Self::Disabled | Self::WrongCode | Self::Passkey(_) => {
                None
            }
        }
    }

    /// The status of the page that says so: what was wrong with what was shown tells nothing.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnknownUser
            | Self::WrongPassword
            | Self::Disabled
            | Self::WrongCode
            | Self::Passkey(_)
            | Self::NoHardwareKey
            | Self::HardwareKeyOutOfUse
            | Self::OldPage => StatusCode::OK,
        }
    }

    /// The stable code for the record.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Busy => "busy",
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "user-disabled",
            Self::WrongCode => "wrong-code",
            Self::Passkey(code) => code,
            Self::NoHardwareKey | Self::HardwareKeyOutOfUse => "hardware-key-needed",
            Self::OldPage => "passkey-page-over",
        }
    }
}

/// A name as it is counted and looked up, however it was typed (ATTACKS A02).
pub(super) fn canonical(typed: &str) -> String {
    typed.trim().to_lowercase().chars().take(64).collect()
}

/// Looks at a name and a password.
pub(super) async fn password(
    login: &Login,
    origin: &Origin,
    typed: &str,
    password: &str,
) -> Result<Attempt, StoreError> {
    let canonical = canonical(typed);
    // Counted whether or not it is somebody's name, under a name that gives nothing away: it may be a password.
    let counter = login.passwords.blind(&canonical);
    verify(login, origin, counter, canonical.parse().ok(), password).await
}

/// Looks at a code of whoever showed their password, or came by a link. It is counted, and is not used up yet.
pub(super) async fn code(
    login: &Login,
    origin: &Origin,
    half: &Half,
    typed: &str,
) -> Result<CodeAttempt, FactorError> {
    let now = login.clock.now();
    login.throttle.count(origin.ip);
    let (user, counter) = (&half.user, half.counter(login));
    let counted = counter.clone();
    let failures = login.store.write(move |sql| sql.begin_login(&counted, now)).await?;
    if failures.check(now).is_err() {
        return Ok(CodeAttempt::Refused(Reason::Throttled));
    }
    let proof = login.factors.read(&user.name, typed, now)?;
    Ok(match proof {
        _ if user.state != UserState::Enabled => CodeAttempt::Refused(Reason::Disabled),
        Some(proof) => CodeAttempt::Good(proof, counter),
        None => CodeAttempt::Refused(Reason::WrongCode),
    })
}

/// What somebody who is signed in shows once more.
pub(super) struct Shown<'a> {
    pub(super) password: &'a str,
    pub(super) code: CodeAsked<'a>,
}

/// Whether that has to be a second factor too.
#[derive(Clone, Copy)]
pub(super) enum CodeAsked<'a> {
    No,
    Typed(&'a str),
}

/// What somebody has shown once more.
pub(super) enum Proven {
    /// Their password, with a code where one was asked for.
    Password(Right),
    Passkey(FactorId),
}

impl Proven {
    /// Whether it is theirs still.
    pub(super) fn stands(&self, sql: &Sql<'_>, of: &Subject) -> Result<bool, StoreError> {
        match self {
            Self::Password(right) => right.is_right(sql, of),
            Self::Passkey(id) => {
                let good = |passkey: &StoredPasskey| passkey.id == *id && passkey.suspected_at.is_none();
                Ok(sql.passkeys(of)?.iter().any(good))
            }
        }
    }
}

/// What came of it.
pub(super) enum Again {
    Right(Proven),
    Refused(Reason),
    /// So many were wrong, of which this is the last, that the session cannot be believed any more.
    Spent(Reason),
}

/// Asks somebody for their password once more, and for a code. Counted by session: a stranger, who can fill the counter of a
/// name from anywhere, must not keep a clinician from what they need, and whoever sits at their session has few tries.
pub(super) async fn again(
    login: &Login,
    origin: &Origin,
    present: &Present,
    shown: Shown<'_>,
) -> Result<Again, FactorError> {
    let name = &present.user.name;
    let counter = counter_in_session(login, present);
    let counted = counter.clone();
    let reason = match verify(login, origin, counter, Some(name.clone()), shown.password).await? {
        Attempt::Good(_, right) => {
            let proof = match shown.code {
                CodeAsked::No => None,
                CodeAsked::Typed(typed) => Some(login.factors.read(name, typed, login.clock.now())?),
            };
            match proof {
                Some(None) => Reason::WrongCode,
                other => match settle(login, name, other.flatten(), right.counter.clone()).await? {
                    Used::Now => return Ok(Again::Right(Proven::Password(right))),
                    Used::Before => Reason::WrongCode,
                },
            }
        }
        Attempt::Refused(reason, _) => reason,
    };
    Ok(again_refused(login, &counted, reason)?)
}

fn again_refused(login: &Login, counted: &str, reason: Reason) -> Result<Again, StoreError> {
    let failures = login.store.read(|sql| sql.login_failures(counted))?;
    Ok(if failures.count >= TRIES_IN_SESSION { Again::Spent(reason) } else { Again::Refused(reason) })
}

/// Under which name somebody's tries in their own session are counted.
fn counter_in_session(login: &Login, present: &Present) -> String {
    login.passwords.blind(&format!("{} in the session {}", present.user.name, present.session.id))
}

/// Uses a code up, if there is one, and forgets the failures before.
async fn settle(
    login: &Login,
    name: &Subject,
    proof: Option<Proof>,
    counter: String,
) -> Result<Used, StoreError> {
    let (name, now) = (name.clone(), login.clock.now());
    login
        .store
        .write(move |sql| {
            let used = proof.map_or(Ok(Used::Now), |proof| proof.use_up(sql, &name, now))?;
            if used == Used::Now {
                sql.clear_login_failures(&counter)?;
            }
            Ok(used)
        })
        .await
}

async fn verify(
    login: &Login,
    origin: &Origin,
    counter: String,
    name: Option<Subject>,
    password: &str,
) -> Result<Attempt, StoreError> {
    let now = login.clock.now();
    login.throttle.count(origin.ip);
    let counted = counter.clone();
    let failures = login.store.write(move |sql| sql.begin_login(&counted, now)).await?;
    let (user, hash) = login.store.read(|sql| {
        let Some(name) = &name else { return Ok::<_, StoreError>((None, None)) };
        Ok((sql.user(name)?, sql.password_hash(name)?))
    })?;
    if failures.check(now).is_err() {
        return Ok(Attempt::Refused(Reason::Throttled, user));
    }
    let tried = Tried { before: failures.last, at: now };
    // A hash is computed in any case, so that time tells nothing.
    let verdict = login.passwords.verify(password, hash.as_deref()).await;
    if verdict == Verdict::Busy {
        // It was not looked at.
        let counter = counter.clone();
        login.store.write(move |sql| sql.take_back_login(&counter, tried)).await?;
    }
    let (reason, user) = match (user, verdict) {
        (Some(user), Verdict::Right) if user.state == UserState::Enabled => {
            match standing(login, &user.name, password, hash.unwrap_or_default()).await? {
                Some(hash) => return Ok(Attempt::Good(user, Right { counter, hash, tried })),
                None => (Reason::WrongPassword, Some(user)),
            }
        }
        (user, Verdict::Busy) => (Reason::Busy, user),
        (Some(user), Verdict::Right) => (Reason::Disabled, Some(user)),
        (Some(user), Verdict::Wrong) => (Reason::WrongPassword, Some(user)),
        (None, Verdict::Right | Verdict::Wrong) => (Reason::UnknownUser, None),
    };
    Ok(Attempt::Refused(reason, user))
}

/// The hash by which a right password stands, made anew where it was of another cost than hashes are now. None if somebody has
/// set another password since it was looked at.
async fn standing(
    login: &Login,
    of: &Subject,
    password: &str,
    old: String,
) -> Result<Option<String>, StoreError> {
    if !login.passwords.is_outdated(&old) {
        return Ok(Some(old));
    }
    // If it cannot be made now it stays as it is, until the next time.
    let Ok(new) = login.passwords.hash(password).await else { return Ok(Some(old)) };
    let (name, kept) = (of.clone(), new.clone());
    if login.store.write(move |sql| sql.replace_password_hash(&name, &old, &kept)).await? == Took::It {
        return Ok(Some(new));
    }
    // Another sign-in of the same person may have been quicker.
    let Some(now) = login.store.read(|sql| sql.password_hash(of))? else { return Ok(None) };
    let is_same = login.passwords.verify(password, Some(&now)).await == Verdict::Right;
    Ok(is_same.then_some(now))
}

/// Records a failed sign-in. A name that is nobody's is not written down: it may be a password in the wrong field.
pub(super) async fn refuse(
    login: &Login,
    origin: &Origin,
    reason: Reason,
    user: Option<&User>,
    answer: impl FnOnce() -> Response,
) -> Response {
    if let Err(kept) = login.throttle.reserve.admit_stranger() {
        return unavailable(&kept);
    }
    let mut record = origin.record(Event::LoginFailed, Outcome::Deny, login.clock.now());
    record.action = Some("login".to_owned());
    record.decision.reason = Some(reason.code().to_owned());
    if let Some(user) = user {
        record.actor = person(user);
    }
    match login.journal.append(&record, Withheld::new(answer())).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => unavailable(&error),
    }
}
