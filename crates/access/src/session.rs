//! A person's session in a browser: it ends by itself when idle or old, and at once when told to.
//! 45 CFR 164.312(a)(2)(iii); NIST SP 800-63B-4 section 2.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::ids::{SessionId, Subject};
use crate::login::assurance::Assurance;

/// How long sessions live, by how strongly their person signed in. NIST SP 800-63B-4 sections 2.1.3, 2.2.3 and 2.3.3 have
/// limits of their own for each level of assurance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// After one factor.
    pub one_factor: Limits,
    /// After two.
    pub two_factors: Limits,
    /// After two of which one cannot be phished.
    pub phishing_resistant: Limits,
}

/// How long a session lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Without activity.
    pub idle: Duration,
    /// At all.
    pub absolute: Duration,
}

impl Timeouts {
    /// Those of a sign-in of this strength.
    #[must_use]
    pub fn of(&self, assurance: Assurance) -> Limits {
        match assurance {
            Assurance::OneFactor => self.one_factor,
            Assurance::TwoFactors => self.two_factors,
            Assurance::PhishingResistant | Assurance::HardwareKey => self.phishing_resistant,
        }
    }

    /// No session lives longer.
    #[must_use]
    pub fn longest(&self) -> Limits {
        self.fold(Duration::max)
    }

    /// Every session may live as long.
    #[must_use]
    pub fn shortest(&self) -> Limits {
        self.fold(Duration::min)
    }

    fn fold(&self, of_two: fn(Duration, Duration) -> Duration) -> Limits {
        let Self { one_factor, two_factors, phishing_resistant } = self;
        let of_all = |of: fn(&Limits) -> Duration| {
            of_two(of_two(of(one_factor), of(two_factors)), of(phishing_resistant))
        };
        Limits { idle: of_all(|limits| limits.idle), absolute: of_all(|limits| limits.absolute) }
    }
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
        let Limits { idle, absolute } = timeouts.of(self.assurance());
        if now >= self.auth_time.plus(absolute) {
            return Err(SessionOver::Absolute);
        }
        if now >= self.last_seen.plus(idle) {
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
        self.auth_time.plus(timeouts.of(self.assurance()).absolute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { idle: Duration::from_secs(900), absolute: Duration::from_secs(43_200) };
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
    fn a_session_has_the_limits_of_how_strongly_its_person_signed_in() {
        let limits = |idle, absolute| Limits {
            idle: Duration::from_secs(idle),
            absolute: Duration::from_secs(absolute),
        };
        let timeouts = Timeouts {
            one_factor: limits(60, 600),
            two_factors: limits(120, 300),
            phishing_resistant: limits(90, 900),
        };
        for (amr, idle, absolute) in [
            (vec!["pwd"], 60, 600),
            (vec!["pwd", "otp", "mfa"], 120, 300),
            (vec!["pop", "user", "mfa"], 90, 900),
        ] {
            let at = |seconds: i64| Timestamp::from_unix(1000 + seconds);
            let mut s = Session { amr: amr.iter().map(ToString::to_string).collect(), ..session() };
            assert_eq!(s.check(timeouts, at(idle - 1)), Ok(()), "{amr:?}");
            assert_eq!(s.check(timeouts, at(idle)), Err(SessionOver::Idle), "{amr:?}");
            s.last_seen = at(absolute - 1);
            assert_eq!(s.check(timeouts, at(absolute - 1)), Ok(()), "{amr:?}");
            assert_eq!(s.check(timeouts, at(absolute)), Err(SessionOver::Absolute), "{amr:?}");
            assert_eq!(s.deadline(timeouts), at(absolute), "{amr:?}");
        }
        assert_eq!((timeouts.longest(), timeouts.shortest()), (limits(120, 900), limits(60, 300)));
    }

    #[test]
    fn an_ended_session_is_over_at_once() {
        let mut s = session();
        s.ended_at = Some(Timestamp::from_unix(1001));
        assert_eq!(s.check(TIMEOUTS, Timestamp::from_unix(1001)), Err(SessionOver::Ended));
    }
}
