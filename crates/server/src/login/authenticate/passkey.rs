//! Whether a passkey is whose it says. ATTACKS A01, A03, A08.
//!
//! After the password, or a link, it is counted with that person's codes. Alone it is not: there is no secret in it that could
//! be guessed, so nothing is to be gained by trying often (NIST SP 800-63B-4 section 3.2.2), and whoever knows a name could keep its
//! person out by wrong passwords. It clears no failures either: those are tries at a password that it does not show, and
//! who guesses that gets no new ones by its person's signing in. Whether nobody has such a passkey, it is somebody else's, its
//! person is disabled or its signature wrong: the answer is the same.

use chartgate_access::ids::FactorId;
use chartgate_access::login::assurance::Assurance;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::{User, UserState};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;

use super::{Again, Proven, Reason, again_refused, counter_in_session};
use crate::live::passkeys::{Ceremony, PasskeyRefused, Shown};
use crate::login::Login;
use crate::login::form::Present;
use crate::login::second_factor::Half;
use crate::login::sign_in::person;
use crate::net::origin::Origin;
use crate::store::second_factors::Used;
use crate::store::{Sql, StoreError};

/// What came of a passkey.
pub(in crate::login) enum PasskeyAttempt {
    /// It is this person's, unless it was used before. The failures before are kept under this name, where they count for it.
    Good(Box<(User, Shown)>, Option<String>),
    Refused(Reason, Option<User>),
}

/// Who has to have signed, if that is known, and for what.
#[derive(Clone, Copy)]
pub(in crate::login) struct Wanted<'a> {
    pub(in crate::login) of: Option<&'a Half>,
    pub(in crate::login) ceremony: Ceremony<'a>,
}

/// Looks at what a browser brings of a passkey. It is not used up yet.
pub(in crate::login) async fn passkey(
    login: &Login,
    origin: &Origin,
    wanted: Wanted<'_>,
    brought: &str,
) -> Result<PasskeyAttempt, StoreError> {
    let now = login.clock.now();
    login.throttle.count(origin.ip);
    if login.passkeys.is_of_an_old_page(brought, wanted.ceremony, now) {
        return Ok(PasskeyAttempt::Refused(Reason::OldPage, None));
    }
    let claimed = login.passkeys.claimed(brought)?;
    let of = claimed.as_ref().map(|claimed| login.store.read(|sql| sql.user(claimed.of()))).transpose()?;
    let Some(user) = wanted.of.map(|half| half.user.clone()).or(of.flatten()) else {
        return Ok(PasskeyAttempt::Refused(Reason::Passkey("unknown-passkey"), None));
    };
    let counter = wanted.of.map(|half| half.counter(login));
    if let Some(counted) = counter.clone() {
        let failures = login.store.write(move |sql| sql.begin_login(&counted, now)).await?;
        if failures.check(now).is_err() {
            return Ok(PasskeyAttempt::Refused(Reason::Throttled, Some(user)));
        }
    }
    if user.state != UserState::Enabled {
        return Ok(PasskeyAttempt::Refused(Reason::Disabled, Some(user)));
    }
    match verified(login, origin, &user, wanted.ceremony, brought).await? {
        Ok(shown) => Ok(PasskeyAttempt::Good(Box::new((user, shown)), counter)),
        Err(reason) => Ok(PasskeyAttempt::Refused(reason, Some(user))),
    }
}

/// Asks somebody who is signed in for their passkey, in place of password and code, and for one that hardware keeps where that
/// is needed. Counted by session, as those are.
pub(in crate::login) async fn again_by_passkey(
    login: &Login,
    origin: &Origin,
    present: &Present,
    (ceremony, needed): (Ceremony<'_>, Assurance),
    brought: &str,
) -> Result<Again, StoreError> {
    let now = login.clock.now();
    login.throttle.count(origin.ip);
    if login.passkeys.is_of_an_old_page(brought, ceremony, now) {
        return Ok(Again::Refused(Reason::OldPage));
    }
    let counter = counter_in_session(login, present);
    let counted = counter.clone();
    let failures = login.store.write(move |sql| sql.begin_login(&counted, now)).await?;
    if failures.check(now).is_err() {
        return again_refused(login, &counter, Reason::Throttled);
    }
    let reason = match verified(login, origin, &present.user, ceremony, brought).await? {
        Ok(shown) => {
            let opener = shown.passkey.id.clone();
            let is_enough = Assurance::of(&login.passkeys.factor_of(&shown.passkey).amr()) >= needed;
            // Theirs in any case: one that is not enough is used up as well, and was no wrong one.
            let clear = counter.clone();
            let used = login.store.write(move |sql| {
                let used = shown.use_up(sql, now)?;
                if used == Used::Now {
                    sql.clear_login_failures(&clear)?;
                }
                Ok(used)
            });
            match used.await {
                Ok(Used::Now) if is_enough => return Ok(Again::Right(Proven::Passkey(opener))),
                Ok(Used::Now) => Reason::NoHardwareKey,
                Ok(Used::Before) => Reason::Passkey("passkey-used"),
                Err::<_, StoreError>(error) => return Err(error),
            }
        }
        Err(reason) => reason,
    };
    again_refused(login, &counter, reason)
}

/// What this person has signed, or why it does not do.
async fn verified(
    login: &Login,
    origin: &Origin,
    user: &User,
    ceremony: Ceremony<'_>,
    brought: &str,
) -> Result<Result<Shown, Reason>, StoreError> {
    let Some(claimed) = login.passkeys.claimed(brought)? else {
        return Ok(Err(Reason::Passkey("unknown-passkey")));
    };
    if *claimed.of() != user.name {
        return Ok(Err(Reason::Passkey(PasskeyRefused::SomebodyElses.code())));
    }
    let id = claimed.id().clone();
    match login.passkeys.verify(claimed, ceremony, login.clock.now()) {
        Ok(shown) => Ok(Ok(shown)),
        Err(refused) => {
            tracing::info!(cause = refused.code(), "passkey");
            if matches!(refused, PasskeyRefused::Suspected) {
                put_out_of_use(login, origin, user, id).await?;
            }
            Ok(Err(Reason::Passkey(refused.code())))
        }
    }
}

/// A counter that went back: the passkey is good for nothing from now on, the record says so, and its person's page.
pub(in crate::login) async fn put_out_of_use(
    login: &Login,
    origin: &Origin,
    user: &User,
    id: FactorId,
) -> Result<(), StoreError> {
    let now = login.clock.now();
    let mut record = origin.record(Event::FactorSuspected, Outcome::Deny, now);
    record.action = Some(Event::FactorSuspected.as_str().to_owned());
    record.actor = person(user);
    record.resource = Some(Phi::new(id.to_string()));
    if let Err(error) = login.journal.append(&record, Withheld::new(())).await {
        // It stays as it is; so does the counter, so that the next one is suspected as well.
        tracing::error!(%error, "passkey");
        return Ok(());
    }
    let name = user.name.clone();
    let suspect = move |sql: &Sql<'_>, at| {
        if sql.suspect_passkey(&id, &name, now)? == Used::Before {
            return Ok::<_, StoreError>(((), Vec::new()));
        }
        // One of two holders is not its person, and nobody can say which: what either opened ends, what outlives a session too.
        sql.end_all_sessions(&name, at)?;
        Ok(((), vec![CutOff::UpTo { target: Target::Subject(name), not_before: at }]))
    };
    login.cut_offs.cut(suspect).await
}
