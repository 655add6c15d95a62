//! A person's session in a browser: it ends by itself when idle or old, and at once when told to.
//! 45 CFR 164.312(a)(2)(iii); NIST SP 800-63B-4 section 2.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::ids::{SessionId, Subject};
use crate::login::assurance::Assurance;

/// How long sessions live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// Without activity.
    pub idle: Duration,
    /// At all.
    pub absolute: Duration,
}

/// A signed-in browser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// The public name of the session.
    pub id: SessionId,
    /// Whose it is.
    pub subject: Subject,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// When it was last used.
    pub last_seen: Timestamp,
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
    /// How the person signed in. RFC 8176.
    pub amr: Vec<String>,
    /// What they signed in with, in our own words: `Firefox on Windows`.
    pub agent: Option<String>,
    /// With whose word, where it was not here that they showed who they are.
    pub elsewhere: Option<Elsewhere>,
}

/// With whose word somebody is signed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Elsewhere {
    /// The provider's issuer.
    pub issuer: String,
    /// What it says of when.
    pub auth_time: AuthTime,
}

/// Whether it is known when somebody showed who they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthTime {
    /// It is.
    Said,
    /// A provider did not say: it was no later than it told us who somebody is, and perhaps long before.
    Presumed,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SessionOver {
    /// Signed out or cut off.
    #[error("session was ended")]
    Ended,
    /// Automatic logoff.
    #[error("session was idle for too long")]
    Idle,
    /// Beyond its absolute life.
    #[error("session has reached its absolute limit")]
    Absolute,
}

impl Session {
    /// Whether the session is good now.
    ///
    /// # Errors
    /// [`SessionOver`] with the first cause.
    pub fn check(&self, timeouts: Timeouts, now: Timestamp) -> Result<(), SessionOver> {
        if self.ended_at.is_some() {
            return Err(SessionOver::Ended);
        }
        if now >= self.auth_time.plus(timeouts.absolute) {
            return Err(SessionOver::Absolute);
        }
        if now >= self.last_seen.plus(timeouts.idle) {
            return Err(SessionOver::Idle);
        }
        Ok(())
    }

    /// When the person showed who they are, if that is known. OpenID Connect Core section 2: what is not known is not said.
    #[must_use]
    pub fn known_auth_time(&self) -> Option<Timestamp> {
        match self.elsewhere.as_ref().map(|elsewhere| elsewhere.auth_time) {
            None | Some(AuthTime::Said) => Some(self.auth_time),
            Some(AuthTime::Presumed) => None,
        }
    }

    /// How strongly the person signed in.
    #[must_use]
    pub fn assurance(&self) -> Assurance {
        Assurance::of(&self.amr)
    }

    /// When the session ends at the latest.
    #[must_use]
    pub fn deadline(&self, timeouts: Timeouts) -> Timestamp {
        self.auth_time.plus(timeouts.absolute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { one_factor: LIMITS, two_factors: LIMITS, phishing_resistant: LIMITS };

    fn session() -> Session {
        Session {
            id: "abcdefghijklmnopqrstuv".parse().unwrap(),
            subject: "dana".parse().unwrap(),
            auth_time: Timestamp::from_unix(1000),
            last_seen: Timestamp::from_unix(1000),
            ended_at: None,
            amr: vec!["pwd".into()],
            agent: None,
            elsewhere: None,
        }
    }

    #[test]
    fn a_session_expires_at_its_deadlines_not_after_them() {
        let mut s = session();
        assert_eq!(s.check(TIMEOUTS, Timestamp::from_unix(1899)), Ok(()));
        assert_eq!(s.check(TIMEOUTS, Timestamp::from_unix(1900)), Err(SessionOver::Idle));
        s.last_seen = Timestamp::from_unix(44_199);
        assert_eq!(s.check(TIMEOUTS, Timestamp::from_unix(44_199)), Ok(()));
        assert_eq!(s.check(TIMEOUTS, Timestamp::from_unix(44_200)), Err(SessionOver::Absolute));
    }

    #[test]
    fn an_ended_session_is_over_at_once() {
        let mut s = session();
        s.ended_at = Some(Timestamp::from_unix(1001));
        assert_eq!(s.check(TIMEOUTS, Timestamp::from_unix(1001)), Err(SessionOver::Ended));
    }
}
