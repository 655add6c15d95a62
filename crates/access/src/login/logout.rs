//! Signing out because an application asks for it: whether the person has to be asked first, and what their browser shows to
//! other applications. OpenID Connect RP-Initiated Logout 1.0 section 2, Front-Channel Logout 1.0 section 2.

use std::time::Duration;

use chartgate_protocol::form::Form;
use chartgate_protocol::oauth::https_uri::HttpsUri;
use chartgate_protocol::oauth::redirect::RedirectUri;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client::Client;
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

/// What a browser shows in a frame, so that an application sees that a session of it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutFrame {
    /// The page, with issuer and session.
    pub address: String,
    /// Its web origin.
    pub origin: String,
}

impl LogoutFrame {
    /// That of a client which registered one.
    #[must_use]
    pub fn of(client: &Client, issuer: &str, session: &SessionId) -> Option<Self> {
        let uri = client.options.frontchannel_logout_uri.as_ref()?;
        let origin = frame_origin(uri, &client.redirect_uris)?;
        let mut form = Form::default();
        form.push("iss", issuer);
        form.push("sid", session.as_str());
        let separator = if uri.as_str().contains('?') { '&' } else { '?' };
        Some(Self { address: format!("{uri}{separator}{}", form.encode()), origin })
    }
}

/// The web origin of an address to be shown in a frame, if it is that of one of these, as section 2 has it. It stands in a
/// Content-Security-Policy, where nothing but an origin has a place.
#[must_use]
pub fn frame_origin(uri: &HttpsUri, redirect_uris: &[RedirectUri]) -> Option<String> {
    let origin = uri.as_str().parse::<RedirectUri>().ok()?.origin()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte);
    let is_registered = redirect_uris.iter().any(|own| own.origin().as_ref() == Some(&origin));
    (is_registered && origin.bytes().all(plain)).then_some(origin)
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
    fn o02_a_frame_is_of_an_origin_that_the_client_is_sent_to_anyway_and_of_nothing_else() {
        let redirect_uris: Vec<RedirectUri> =
            ["https://App.example:443/cb", "https://b.example;script-src%20*/cb", "org.example.app:/cb"]
                .map(|uri| uri.parse().unwrap())
                .into();
        for (uri, origin) in [
            ("https://app.example/bye", Some("https://app.example")),
            ("https://app.example:443/bye?x=1", Some("https://app.example")),
            ("https://app.example:8443/bye", None),
            ("https://other.example/bye", None),
            ("https://b.example;script-src%20*/bye", None),
        ] {
            let found = frame_origin(&uri.parse().unwrap(), &redirect_uris);
            assert_eq!(found.as_deref(), origin, "{uri}");
        }
    }

    #[test]
    fn o02_nobody_is_sent_on_unasked_without_a_good_id_token() {
        assert_eq!(pending(None).target_unasked(), None);
        assert_eq!(pending(Some(("dana", None))).target_unasked(), Some("https://a.example/"));
    }
}
