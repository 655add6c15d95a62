//! Browsers that people were seen in, and whether their phone may be asked from this one. ATTACKS O20.
//!
//! What names a browser is a secret of its own in a cookie, drawn when somebody first shows more than a password there. It opens
//! nothing, ever: it is looked at once a password was right, and all that it does is to let a phone be asked. Kept of it is a
//! digest for each person, so that nobody can tell who sat at one browser.

use axum::response::Response;
use chartgate_access::approval::known::{self, KNOWN_FOR, NeverSeen, Sight, Towards};
use chartgate_access::ids::{BrowserId, ClientId, Subject};
use chartgate_access::login::assurance::{Next, after_code};
use chartgate_access::principal::User;
use chartgate_access::session::Session;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Phi, Secret, Timestamp};
use http::{HeaderMap, HeaderValue};

use super::agent::agent_of;
use super::form::{Begun, Visit, unavailable};
use super::sign_in::{needed, person};
use super::then::Then;
use super::{Login, passkey};
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::net::cookie;
use crate::store::half_sign_ins::First;
use crate::store::known::{Before, KnownBrowser};
use crate::store::{Sql, StoreError};
use crate::tongue::Id;

/// The browser of a sign-in, for its person.
pub(super) struct Place {
    secret: Secret<String>,
    digest: String,
    agent: Option<String>,
}

/// Whether a phone is asked at a sign-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PhoneHere {
    /// There is none, or it would not be enough.
    None,
    /// There is one, and it is not asked.
    NotAsked(NeverSeen),
    /// It is, if its person wants it.
    Asked,
}

/// By what it is known whether somebody's phone may be asked.
pub(super) struct Seen {
    person: Subject,
    browser: Option<String>,
    client: Option<ClientId>,
}

impl Place {
    /// The browser that somebody signs in at, by the name that it has, or by a new one.
    pub(super) fn of(headers: &HeaderMap, person: &Subject) -> Self {
        let secret = named(headers).map_or_else(opaque_secret, |name| Secret::new(name.to_owned()));
        Self { digest: digest(person, secret.expose()), secret, agent: agent_of(headers) }
    }

    /// Notes what a sign-in shows of it, with the session that begins; says how it stood to its person before, if it shows
    /// anything.
    pub(super) fn note(
        &self,
        sql: &Sql<'_>,
        session: &Session,
        sight: Sight,
        now: Timestamp,
    ) -> Result<Option<Before>, StoreError> {
        match sight {
            Sight::Nothing => sql.follow_browser(&session.subject, &self.digest, &session.id).map(|()| None),
            Sight::Seen => {
                let id = BrowserId::random(&mut SystemEntropy);
                let new = KnownBrowser { id, agent: self.agent.clone(), since: now, seen_at: now };
                sql.see_browser(&session.subject, (&self.digest, &session.id), &new).map(Some)
            }
        }
    }

    /// What the browser is to keep once it was seen.
    pub(super) fn cookie(&self, sight: Sight) -> Option<HeaderValue> {
        match sight {
            Sight::Seen => Some(cookie::keep_for(cookie::KNOWN, self.secret.expose(), KNOWN_FOR)),
            Sight::Nothing => None,
        }
    }
}

impl Seen {
    /// At this browser, on the way to this application if there is one.
    pub(super) fn at(visit: &Visit, person: &Subject, begun: Option<&Begun>) -> Self {
        Self {
            person: person.clone(),
            browser: digest_here(&visit.headers, person),
            client: begun.map(|begun| begun.client.client_id.clone()),
        }
    }

    /// Whether the phone may be asked.
    pub(super) fn check(&self, sql: &Sql<'_>, now: Timestamp) -> Result<Result<(), NeverSeen>, StoreError> {
        let browser = self.browser.as_ref();
        let seen_at = browser.map(|digest| sql.browser_seen_at(&self.person, digest)).transpose()?.flatten();
        let towards = match &self.client {
            Some(client) => Towards::Client(sql.client_used_at(&self.person, client)?),
            None => Towards::OwnPages,
        };
        Ok(known::check(seen_at, towards, now))
    }
}

impl PhoneHere {
    /// Whether the phone of somebody who has shown this is asked here, on the way to what waits.
    pub(super) fn of(
        login: &Login,
        visit: &Visit,
        (user, first): (&User, &First),
        begun: Option<&Begun>,
    ) -> Result<Self, StoreError> {
        let now = login.clock.now();
        // What the phone shows says that somebody knows the password, and its yes is signed by a passkey.
        if *first != First::Password || !passkey::is_had(login, &user.name)? {
            return Ok(Self::None);
        }
        let needed = needed(login, begun, user);
        let seen = Seen::at(visit, &user.name, begun);
        login.store.read(|sql| {
            // No more is to be had by it than by a code.
            let is_enough = after_code(login.factors.holds_in(sql, &user.name)?, needed) == Next::Session;
            if !is_enough || sql.phones(&user.name)?.is_empty() {
                return Ok(Self::None);
            }
            Ok(match seen.check(sql, now)? {
                Ok(()) => Self::Asked,
                Err(why) => Self::NotAsked(why),
            })
        })
    }

    /// What is said in the place of the button, to whoever would see it elsewhere.
    pub(super) fn words(self) -> Option<Id> {
        match self {
            Self::None | Self::Asked => None,
            Self::NotAsked(NeverSeen::Browser) => Some(Id::of("factor-phone-not-here")),
            Self::NotAsked(NeverSeen::Client) => Some(Id::of("factor-phone-not-for-this")),
        }
    }
}

/// Puts on record that somebody gave a right password where their phone is not asked, before the page says anything.
pub(super) async fn note_not_asked(login: &Login, visit: &Visit, user: &User) -> Result<(), Box<Response>> {
    let begun = Then::of(&visit.form).begun(login, visit)?;
    let here = PhoneHere::of(login, visit, (user, &First::Password), begun.as_ref());
    match here.map_err(|error| unavailable(&error))? {
        PhoneHere::None | PhoneHere::Asked => Ok(()),
        PhoneHere::NotAsked(why) => {
            login.throttle.reserve.admit_stranger().map_err(|kept| unavailable(&kept))?;
            let record = record(login, visit, user, begun.as_ref(), why);
            login.journal.append(&record, ()).await.map(drop).map_err(|error| Box::new(unavailable(&error)))
        }
    }
}

/// The record of a question that is not put.
pub(super) fn record(
    login: &Login,
    visit: &Visit,
    user: &User,
    begun: Option<&Begun>,
    why: NeverSeen,
) -> Record {
    let mut record = visit.origin.record(Event::ApprovalRequested, Outcome::Deny, login.clock.now());
    record.action = Some("sign-in".to_owned());
    record.actor = person(user);
    record.decision.reason = Some(why.code().to_owned());
    let client = begun.map(|begun| begun.client.client_id.to_string());
    for (name, value) in [("user", Some(user.name.to_string())), ("client", client)] {
        record.detail.extend(value.map(|value| (name.to_owned(), Phi::new(value))));
    }
    record
}

/// What this browser is known by for a person, if it has a name.
pub(super) fn digest_here(headers: &HeaderMap, person: &Subject) -> Option<String> {
    named(headers).map(|name| digest(person, name))
}

/// The name of a browser, if it is one that we gave.
fn named(headers: &HeaderMap) -> Option<&str> {
    let is_ours = |name: &&str| {
        name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    cookie::read(headers, cookie::KNOWN).filter(is_ours)
}

fn digest(person: &Subject, secret: &str) -> String {
    digest_of(format!("known browser of {person} {secret}"))
}

/// 256 bits in base64url.
const NAME: usize = 43;

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn headers(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[test]
    fn a_browser_keeps_its_name_and_gets_one_in_place_of_what_is_none() {
        let (dana, nils): (Subject, Subject) = ("dana".parse().unwrap(), "nils".parse().unwrap());
        let new = Place::of(&HeaderMap::new(), &dana);
        assert!(new.cookie(Sight::Nothing).is_none());
        let given = new.cookie(Sight::Seen).unwrap().to_str().unwrap().to_owned();
        assert!(given.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=7776000"), "{given}");
        let sent = headers(given.split(';').next().unwrap());
        assert_eq!(Place::of(&sent, &dana).digest, new.digest);
        assert_eq!(digest_here(&sent, &dana).as_ref(), Some(&new.digest));
        assert_ne!(digest_here(&sent, &nils), digest_here(&sent, &dana), "nobody sees who shares a browser");
        let short = format!("__Host-known={}", "a".repeat(42));
        let odd = format!("__Host-known={}", "=".repeat(43));
        let twice = format!("__Host-known={0}; __Host-known={0}", "a".repeat(43));
        for bad in ["__Host-known=", "known=x", &short, &odd, &twice] {
            assert_eq!(digest_here(&headers(bad), &dana), None, "{bad}");
            assert_ne!(Place::of(&headers(bad), &dana).digest, digest(&dana, &"a".repeat(43)), "{bad}");
        }
    }
}
