//! Signing out because an application asks for it: whether the person has to be asked first.
//! OpenID Connect RP-Initiated Logout 1.0 section 2.

use std::time::Duration;

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, SessionId, Subject};
use crate::session::Session;

/// How long a person may take over the page.
pub const LOGOUT_LIFE: Duration = Duration::from_secs(600);

/// A request to sign out that was checked and waits for its browser.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PendingLogout {
    /// The application, if it said who it is.
    pub client_id: Option<ClientId>,
    /// Whom its ID token speaks of, if it sent a good one.
    pub hint: Option<Hint>,
    /// Where the browser goes afterwards: compared already, and with `state`.
    pub target: Option<String>,
    /// When the request came.
    pub created_at: Timestamp,
}

/// What a verified ID token says of a session.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    /// The person.
    pub subject: Subject,
    /// Their session; ID tokens of offline grants name none.
    pub session: Option<SessionId>,
}

/// What has to happen next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a session that is to end has to be ended"]
pub enum LogoutStep {
    /// Nobody is signed in here.
    Nobody,
    /// Ask: the application did not show that it knows this session (ATTACKS O31).
    Ask,
    /// End the session.
    End,
}

impl PendingLogout {
    /// The next step in a browser with this session.
    pub fn next(&self, session: Option<&Session>) -> LogoutStep {
        let Some(session) = session else { return LogoutStep::Nobody };
        match &self.hint {
            Some(Hint { session: Some(named), .. }) if *named == session.id => LogoutStep::End,
            Some(Hint { session: None, subject }) if *subject == session.subject => LogoutStep::End,
            Some(_) | None => LogoutStep::Ask,
        }
    }

    /// Where a browser goes in which nobody had to be signed out, or asked: only where a good ID token vouches for the
    /// application, lest anybody use us as a way to somewhere else (ATTACKS O02).
    #[must_use]
    pub fn target_unasked(&self) -> Option<&str> {
        self.hint.as_ref().and(self.target.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: "abcdefghijklmnopqrstuv".parse().unwrap(),
            subject: "dana".parse().unwrap(),
            auth_time: Timestamp::from_unix(1000),
            last_seen: Timestamp::from_unix(1000),
            ended_at: None,
            amr: Vec::new(),
            agent: None,
            elsewhere: None,
        }
    }

    fn pending(hint: Option<(&str, Option<&str>)>) -> PendingLogout {
        PendingLogout {
            client_id: None,
            hint: hint.map(|(subject, session)| Hint {
                subject: subject.parse().unwrap(),
                session: session.map(|id| id.parse().unwrap()),
            }),
            target: Some("https://a.example/".into()),
            created_at: Timestamp::from_unix(1000),
        }
    }

    #[test]
    fn o31_only_an_id_token_of_this_very_session_ends_it_unasked() {
        let here = session();
        for (hint, step) in [
            (Some(("dana", Some("abcdefghijklmnopqrstuv"))), LogoutStep::End),
            (Some(("dana", None)), LogoutStep::End),
            (Some(("dana", Some("zzzzzzzzzzzzzzzzzzzzzz"))), LogoutStep::Ask),
            (Some(("nils", None)), LogoutStep::Ask),
            (None, LogoutStep::Ask),
        ] {
            assert_eq!(pending(hint).next(Some(&here)), step, "{hint:?}");
            assert_eq!(pending(hint).next(None), LogoutStep::Nobody);
        }
    }

    #[test]
    fn o02_nobody_is_sent_on_unasked_without_a_good_id_token() {
        assert_eq!(pending(None).target_unasked(), None);
        assert_eq!(pending(Some(("dana", None))).target_unasked(), Some("https://a.example/"));
    }
}
