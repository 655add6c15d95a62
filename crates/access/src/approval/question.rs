//! What a person is shown, and what they sign when they say yes: the same. Whoever has the record can see later what that was.
//!
//! A question is shown as lines, each with its name: who asks, in whose name, for what, whose records, where, why, from where, until
//! when. The text of these lines is part of what is signed, and so are the facts behind it, so that neither can be given for
//! the other.

use std::fmt::Write as _;
use std::net::IpAddr;

use chartgate_audit::tree::Hash;
use chartgate_protocol::base64url;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::{Timestamp, network_of};
use serde::Serialize;

use super::deed::Deed;
use super::known::Acquaintance;
use super::opened::Opened;
use crate::grant::backchannel::BackchannelRequest;
use crate::ids::{ClientId, PatientId, Subject};
use crate::login::wishes::wishes;

/// What is asked of a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// Its name; where a client asks, its `auth_req_id`.
    pub id: String,
    /// Through which application.
    pub client: Option<ClientId>,
    /// Whether its person has used it before, where it is the application that asks.
    pub acquaintance: Acquaintance,
    /// In whose name; of another's deed, whose yes it takes.
    pub actor: Subject,
    /// What is to be done.
    pub action: Action,
    /// The record that it is about, where it is about one.
    pub patient: Option<PatientId>,
    /// What of it, as the application names it.
    pub data_class: String,
    /// Where it will be good, where that is one place.
    pub audience: Option<String>,
    /// Why.
    pub purpose: Option<PurposeOfUse>,
    /// What the other screen shows too.
    pub message: Option<String>,
    /// From where.
    pub from: Option<IpAddr>,
    /// Until when it can be answered.
    pub expiry: Timestamp,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Somebody who knows the password wants to be signed in.
    SignIn,
    /// An application wants to act in the person's name.
    Act,
    /// Nothing: emergency access was opened in the person's name, and they say whether it was they.
    Opened(Opened),
    /// Somebody else wants to do something that takes another's yes.
    Deed(Box<Deed>),
}

/// A line of what is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// What it tells of.
    pub name: &'static str,
    /// It.
    pub value: String,
}

impl Action {
    /// Its name in what is signed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Act => "act",
            Self::Opened(_) => "emergency",
            Self::Deed(_) => "deed",
        }
    }
}

impl Question {
    /// What a client asks, of a person who is this patient, if they are one.
    #[must_use]
    pub fn of_client(id: &str, request: &BackchannelRequest, own_record: Option<PatientId>) -> Self {
        let of_patient = request.scope.iter().any(|token| token.starts_with("patient/"));
        Self {
            id: id.to_owned(),
            client: Some(request.client_id.clone()),
            acquaintance: request.acquaintance,
            actor: request.subject.clone(),
            action: Action::Act,
            patient: own_record.filter(|_| of_patient),
            data_class: request.scope.to_string(),
            audience: Some(request.audience.clone()),
            purpose: request.purpose_of_use,
            message: request.binding_message.clone(),
            from: request.asked_from,
            expiry: request.expires_at,
        }
    }

    /// What is shown, line by line.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let lines = match &self.action {
            Action::SignIn => {
                let who = match &self.client {
                    Some(client) => {
                        format!("Somebody who knows your password, on the way to the application {client}")
                    }
                    None => "Somebody who knows your password".to_owned(),
                };
                let (whose, why) = ("All that you may see".to_owned(), "To be signed in as you");
                self.asked([who, "Sign in as you".to_owned(), whose, self.why(why)])
            }
            Action::Act => {
                let who = match &self.client {
                    Some(client) => format!("The application {client}"),
                    None => "Nobody known".to_owned(),
                };
                self.asked([who, self.what(), self.whose(), self.why("It gives no reason")])
            }
            Action::Opened(opened) => opened.lines(self),
            Action::Deed(deed) => deed.lines(self),
        };
        let shown =
            |(name, value): (_, Option<String>)| value.map(|value| Line { name, value: plain(&value) });
        lines.into_iter().filter_map(shown).collect()
    }

    /// What is shown, as one text.
    #[must_use]
    pub fn displayed_text(&self) -> String {
        let mut text = String::new();
        for Line { name, value } in self.lines() {
            // INVARIANT: a string takes whatever is written to it.
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    /// What is signed, in the one spelling of RFC 8785.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let displayed_text = self.displayed_text();
        let signed = Signed {
            action: self.action.name(),
            actor: self.actor.as_str(),
            audience: self.audience.as_deref(),
            auth_req_id: &self.id,
            client: self.client.as_ref().map(ClientId::as_str),
            data_class: &self.data_class,
            displayed_text: &displayed_text,
            expiry: self.expiry.as_unix(),
            patient: self.patient.as_ref().map(PatientId::as_str),
            purpose: self.purpose.map(PurposeOfUse::code),
        };
        // INVARIANT: texts and a whole number always serialise.
        serde_json::to_string(&signed).unwrap_or_default()
    }

    /// What the person's key is asked to sign: SHA-256 over [`Question::signed_text`].
    #[must_use]
    pub fn challenge(&self) -> [u8; 32] {
        *Hash::of(&[self.signed_text().as_bytes()]).as_bytes()
    }

    /// What records tell of what was shown. The text is not always kept as long as its hash.
    #[must_use]
    pub fn told(&self) -> [(&'static str, String); 2] {
        let text = self.displayed_text();
        let hash = base64url::encode(Hash::of(&[text.as_bytes()]).as_bytes());
        [("displayed_text", text), ("displayed_text_hash", hash)]
    }

    /// The lines of what can be said no to.
    fn asked(&self, [who, what, whose, why]: [String; 4]) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("Who asks", Some(who)),
            ("Known to you", self.newness()),
            ("In whose name", Some(self.actor.to_string())),
            ("What for", Some(what)),
            ("Whose records", Some(whose)),
            ("Where", self.audience.clone()),
            ("Why", Some(why)),
            ("From where", self.from.map(place)),
            ("Message", self.message.as_ref().map(|message| format!("“{message}”"))),
            ("Until", Some(until(self.expiry))),
        ]
    }

    /// What is said of who asks, where they are not known.
    fn newness(&self) -> Option<String> {
        match self.acquaintance {
            Acquaintance::Used => None,
            Acquaintance::NeverUsed => {
                Some("No, you have not used this application in the last ninety days".to_owned())
            }
        }
    }

    fn what(&self) -> String {
        match self.data_class.parse() {
            Ok(scope) => wishes(&scope).iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Err(_) => self.data_class.clone(),
        }
    }

    fn whose(&self) -> String {
        let has = |level: &str| self.data_class.split(' ').any(|token| token.starts_with(level));
        match &self.patient {
            _ if has("system/") => "All records".to_owned(),
            _ if has("user/") => "All that you may see".to_owned(),
            Some(_) => "Your own, and nobody else's".to_owned(),
            // Scopes that name no records may still open some, at a place that asks for no others.
            None => "Whatever that place gives to somebody signed in as you".to_owned(),
        }
    }

    fn why(&self, unless: &str) -> String {
        self.purpose.map_or_else(|| unless.to_owned(), |purpose| format!("For {}", purpose.words()))
    }
}

/// What is signed. Its members stand in the order in which RFC 8785 has them, all are text or a whole number, and text is
/// escaped as that wants it.
#[derive(Serialize)]
struct Signed<'a> {
    action: &'a str,
    actor: &'a str,
    audience: Option<&'a str>,
    auth_req_id: &'a str,
    client: Option<&'a str>,
    data_class: &'a str,
    displayed_text: &'a str,
    expiry: i64,
    patient: Option<&'a str>,
    purpose: Option<&'a str>,
}

/// An address as people compare it: for IPv6 the network.
pub(super) fn place(ip: IpAddr) -> String {
    match network_of(ip) {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(network) => format!("{network}/64"),
    }
}

pub(super) fn until(time: Timestamp) -> String {
    let shown: String = time.to_string().chars().take("2026-11-25T17:18:19".len()).collect();
    format!("{} UTC", shown.replace('T', " "))
}

/// Text that stays in its line and shows in the order in which it is written.
fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.chars().filter(|c| !turns(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
