//! How often a secret may be tried. NIST SP 800-63B-4 section 3.2.2.
//!
//! Counted by the canonical name, whether or not it is somebody's, so that neither spelling nor existence matters
//! (ATTACKS A01, A02). One counter for all factors of an account (A03).

use std::time::Duration;

use chartgate_values::Timestamp;

/// Tries that cost nothing but themselves.
pub const FREE: u32 = 5;
/// Consecutive failures after which the secret has to be set anew.
pub const LIMIT: u32 = 100;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// Consecutive failures of one name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Failures {
    /// How many, since the last success.
    pub count: u32,
    /// The last one; `None` if there was none.
    pub last: Option<Timestamp>,
}

/// Why a try is not even looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Throttled {
    /// Too soon after the last failure.
    #[error("too many failures; next try in {} s", .0.as_secs())]
    Wait(Duration),
    /// The secret is spent.
    #[error("{LIMIT} consecutive failures: the password has to be set anew")]
    Spent,
}

impl Failures {
    /// Whether a try is looked at now.
    ///
    /// # Errors
    /// [`Throttled`].
    pub fn check(&self, now: Timestamp) -> Result<(), Throttled> {
        if self.count >= LIMIT {
            return Err(Throttled::Spent);
        }
        let Some(last) = self.last else { return Ok(()) };
        let opens = last.plus(self.pause());
        if now >= opens { Ok(()) } else { Err(Throttled::Wait(opens.since(now))) }
    }

    /// The same for codes that are not the account's own: there are pauses, but nothing that could be set anew.
    ///
    /// # Errors
    /// [`Throttled::Wait`].
    pub fn check_pause(&self, now: Timestamp) -> Result<(), Throttled> {
        Self { count: self.count.min(LIMIT.saturating_sub(1)), ..*self }.check(now)
    }

    /// One more failure.
    #[must_use]
    pub fn failed(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last: Some(now) }
    }

    /// One second after the fifth failure, twice as long after each further one, at most a quarter of an hour.
    fn pause(&self) -> Duration {
        let Some(doublings) = self.count.checked_sub(FREE) else { return Duration::ZERO };
        let seconds = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        Duration::from_secs(seconds).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(count: u32) -> Failures {
        Failures { count, last: Some(Timestamp::from_unix(1000)) }
    }

    #[test]
    fn the_first_tries_are_free_then_the_pause_doubles_up_to_its_limit() {
        let at = |s| Timestamp::from_unix(s);
        assert_eq!(after(4).check(at(1000)), Ok(()));
        assert_eq!(after(5).check(at(1000)), Err(Throttled::Wait(Duration::from_secs(1))));
        assert_eq!(after(5).check(at(1001)), Ok(()));
        assert_eq!(after(8).check(at(1007)), Err(Throttled::Wait(Duration::from_secs(1))));
        assert_eq!(after(99).check(at(1000)), Err(Throttled::Wait(LONGEST_PAUSE)));
        assert_eq!(after(99).check(at(1900)), Ok(()));
    }

    #[test]
    fn after_a_hundred_failures_no_waiting_helps() {
        assert_eq!(
            after(99).failed(Timestamp::from_unix(2000)).check(Timestamp::from_unix(i64::MAX)),
            Err(Throttled::Spent)
        );
    }
}
