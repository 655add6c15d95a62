//! Whether somebody's phone may be asked at a sign-in, and woken by an application: not where they were never seen. Whoever has
//! learnt a password and sits elsewhere can have nobody asked until they give in. ATTACKS O20; NIST SP 800-63B-4 section 3.2.5.
//!
//! Seen is a browser in which they showed a passkey or a code, and an application that they let act in their name. A yes on the
//! phone is no sight of anything: it was said somewhere else.

use std::time::Duration;

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use crate::login::assurance::{Assurance, SecondFactor};

/// For so long something is known that was seen.
pub const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 3600);

/// Why somebody's phone is not asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NeverSeen {
    /// They have shown no second factor in this browser of late.
    #[error("this person has shown no second factor in this browser of late")]
    Browser,
    /// They have not used the application that is waiting, of late.
    #[error("this person has not used this application of late")]
    Client,
}

/// Where a sign-in leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Towards {
    /// Pages of ours.
    OwnPages,
    /// An application, and when its person used it last.
    Client(Option<Timestamp>),
}

/// Whether somebody has used an application before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acquaintance {
    /// They have.
    #[default]
    Used,
    /// They have not, as far as anybody here remembers.
    NeverUsed,
}

/// What a sign-in shows of the browser that it was in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Its person sat at it, with more than a password.
    Seen,
    /// Nothing.
    Nothing,
}

impl NeverSeen {
    /// The stable code for the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Browser => "never-seen-browser",
            Self::Client => "never-seen-client",
        }
    }
}

impl Acquaintance {
    /// By when its person used it last.
    #[must_use]
    pub fn of(used_at: Option<Timestamp>, now: Timestamp) -> Self {
        if is_known(used_at, now) { Self::Used } else { Self::NeverUsed }
    }
}

impl Sight {
    /// What a sign-in so strong, with this factor if it was with one here, shows.
    #[must_use]
    pub fn of(assurance: Assurance, factor: Option<SecondFactor>) -> Self {
        match factor {
            Some(SecondFactor::Phone) => Self::Nothing,
            _ if assurance == Assurance::OneFactor => Self::Nothing,
            Some(
                SecondFactor::AuthenticatorApp
                | SecondFactor::RecoveryCode
                | SecondFactor::Passkey
                | SecondFactor::HardwareKey,
            )
            | None => Self::Seen,
        }
    }
}

/// Whether somebody may be asked on their phone: in a browser where they were last seen then, on the way there.
///
/// # Errors
/// [`NeverSeen`]: why not.
pub fn check(seen_at: Option<Timestamp>, towards: Towards, now: Timestamp) -> Result<(), NeverSeen> {
    if !is_known(seen_at, now) {
        return Err(NeverSeen::Browser);
    }
    match towards {
        Towards::OwnPages => Ok(()),
        Towards::Client(used_at) if is_known(used_at, now) => Ok(()),
        Towards::Client(_) => Err(NeverSeen::Client),
    }
}

fn is_known(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_some_and(|last| now < last.plus(KNOWN_FOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(days.saturating_mul(24 * 3600)))
    }

    #[test]
    fn o20_nobody_is_asked_where_they_were_never_seen_nor_ninety_days_after() {
        let here = |seen_at, now| check(seen_at, Towards::OwnPages, now);
        assert_eq!(here(None, at(100)), Err(NeverSeen::Browser));
        assert_eq!(here(Some(at(10)), at(10)), Ok(()));
        let last = at(100).minus(Duration::from_secs(1));
        assert_eq!(here(Some(at(10)), last), Ok(()));
        assert_eq!(here(Some(at(10)), at(100)), Err(NeverSeen::Browser));
    }

    #[test]
    fn o20_nor_on_the_way_to_an_application_that_they_never_used() {
        let towards = |used_at| check(Some(at(99)), Towards::Client(used_at), at(100));
        assert_eq!(towards(Some(at(99))), Ok(()));
        assert_eq!(towards(Some(at(11))), Ok(()));
        for never in [None, Some(at(10))] {
            assert_eq!(towards(never), Err(NeverSeen::Client));
            assert_eq!(Acquaintance::of(never, at(100)), Acquaintance::NeverUsed);
        }
        // The browser comes first: whoever sits elsewhere learns nothing of what its person uses.
        assert_eq!(check(None, Towards::Client(None), at(100)), Err(NeverSeen::Browser));
        assert_eq!(check(None, Towards::Client(Some(at(99))), at(100)), Err(NeverSeen::Browser));
    }

    #[test]
    fn a_yes_on_a_phone_and_a_password_alone_show_nothing_of_a_browser() {
        use SecondFactor::{AuthenticatorApp, HardwareKey, Passkey, Phone, RecoveryCode};
        let of = |factor: SecondFactor| Sight::of(Assurance::of(&factor.amr()), Some(factor));
        assert_eq!(of(Phone), Sight::Nothing);
        for factor in [AuthenticatorApp, RecoveryCode, Passkey, HardwareKey] {
            assert_eq!(of(factor), Sight::Seen, "{factor:?}");
        }
        assert_eq!(Sight::of(Assurance::OneFactor, None), Sight::Nothing);
        // Two factors, both at an identity provider.
        assert_eq!(Sight::of(Assurance::TwoFactors, None), Sight::Seen);
    }
}
