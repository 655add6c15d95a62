//! What somebody may do only once another person has said yes to that very request: the two-person rule. Never one's own; once;
//! for a short time. Or what an agent may do only once the person for whom it acts has said yes. NIST SP 800-53 AC-3(2).
//!
//! A yes is for what the text says, and the text says all that the gateway knows of the request: method, address and headers, and
//! of what is sent its length and hash. Another request, another client, another session or another reason to be there is
//! another deed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use chartgate_audit::tree::Hash;
use chartgate_protocol::base64url;
use chartgate_protocol::oauth::purpose_of_use::PurposeOfUse;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::flood::{Asker, Past, Said};
use super::known::Acquaintance;
use super::question::{Action, Question, place, until};
use crate::ids::{ClientId, FhirUser, Role, SessionId, Subject};
use crate::principal::{User, UserState};

/// How long others have to answer.
pub const WAITS: Duration = Duration::from_mins(10);
/// Until when, from the asking on, it can be done: a yes of the last moment is good for a while.
pub const USABLE: Duration = Duration::from_mins(20);
/// The shortest reason that can say anything, and the longest, in characters.
pub const SHORTEST_REASON: usize = 5;
/// See [`SHORTEST_REASON`].
pub const LONGEST_REASON: usize = 300;

/// So much is shown of what a sender calls what they send.
const LONGEST_TYPE: usize = 100;

/// Something that takes another's yes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// Who wants to do it, and what.
    pub act: Act,
    /// Why, in their words.
    pub reason: String,
    /// From where.
    pub from: IpAddr,
    /// When they asked.
    pub asked_at: Timestamp,
}

/// Who wants to do what. A yes is for exactly this.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Who.
    pub asker: Subject,
    /// Through which client; a program that acts for itself is its own subject.
    pub client_id: ClientId,
    /// Who acts for them, if anybody does.
    pub agents: Vec<String>,
    /// In which session.
    pub session: Option<SessionId>,
    /// Whose own record is whose: one person may have two names.
    pub fhir_user: Option<FhirUser>,
    /// For what.
    pub purpose_of_use: Option<String>,
    /// Whose yes it takes.
    pub approver: Approver,
    /// At which route.
    pub route: String,
    /// How.
    pub method: String,
    /// Where, with all that stands behind it.
    pub target: String,
    /// How it is to be done and answered: each header that goes on, by its name, with all its values in order.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub content: Option<Content>,
}

/// Whose yes something takes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// Another person's, who has one of these roles.
    Another(BTreeSet<Role>),
    /// That of the person in whose name an agent asks.
    WhomItActsFor,
}

/// What is sent, which nobody but the server behind the gateway can read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Its media type, as its sender names it.
    pub media_type: Option<String>,
    /// Its length in bytes.
    pub length: usize,
    /// Its SHA-256 hash, in base64url.
    pub sha256: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeedState {
    /// Nothing yet.
    Waiting,
    /// Somebody said yes.
    Approved,
    /// Somebody said no, or the yes does not count any more.
    Denied,
    /// It was done.
    Used,
}

impl Content {
    /// What a request sends.
    #[must_use]
    pub fn of(media_type: Option<&str>, body: &[u8]) -> Option<Self> {
        (!body.is_empty()).then(|| Self {
            media_type: media_type.map(str::to_owned),
            length: body.len(),
            sha256: base64url::encode(Hash::of(&[body]).as_bytes()),
        })
    }
}

impl DeedState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Approved, Self::Denied, Self::Used];

    /// The stable name, for a store that replaces what is still in a state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
        }
    }
}

impl Act {
    /// What names it and nothing else: equal for equal acts alone.
    #[must_use]
    pub fn digest(&self) -> String {
        // INVARIANT: texts and numbers always serialise, and no two acts alike.
        let text = serde_json::to_string(self).unwrap_or_default();
        base64url::encode(Hash::of(&[text.as_bytes()]).as_bytes())
    }

    /// Whether this person, as they are now, may say yes. Another is somebody else, who has the role: whoever asks is not, whatever
    /// else they are, and by no other name that is known to be theirs; nor is who acts for them.
    #[must_use]
    pub fn may_be_approved_by(&self, user: &User) -> bool {
        let acts = self.agents.iter().any(|agent| agent == user.name.as_str());
        let may = match &self.approver {
            Approver::Another(roles) => {
                user.name != self.asker
                    && (user.fhir_user.is_none() || user.fhir_user != self.fhir_user)
                    && user.roles.iter().any(|role| roles.contains(role))
            }
            Approver::WhomItActsFor => user.name == self.asker && !self.agents.is_empty(),
        };
        may && !acts && user.state == UserState::Enabled
    }

    /// As whom they are counted: all agents of one person together, for they come to the same people's phones however many they
    /// are; and apart from that person, whom they keep from asking nothing.
    #[must_use]
    pub fn counted_as(&self) -> String {
        if self.agents.is_empty() { self.asker.to_string() } else { format!("agents for {}", self.asker) }
    }

    fn who(&self) -> String {
        match self.agents.as_slice() {
            [] if self.asker.as_str() == self.client_id.as_str() => {
                format!("The program {}, for itself", self.client_id)
            }
            [] => format!("{}, through the application {}", self.asker, self.client_id),
            agents => format!("The agent {}, which acts for {}", agents.join(", called by "), self.asker),
        }
    }
}

impl Deed {
    /// Until when it can be answered.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.asked_at.plus(WAITS)
    }

    /// Until when it can be done.
    #[must_use]
    pub fn usable_until(&self) -> Timestamp {
        self.asked_at.plus(USABLE)
    }

    /// What somebody who may say yes is shown.
    #[must_use]
    pub fn question(&self, id: &str, to: &Subject) -> Question {
        Question {
            id: id.to_owned(),
            client: Some(self.act.client_id.clone()),
            acquaintance: Acquaintance::Used,
            actor: to.clone(),
            action: Action::Deed(Box::new(self.clone())),
            patient: None,
            data_class: self.act.digest(),
            audience: Some(self.act.route.clone()),
            purpose: self.act.purpose_of_use.as_ref().and_then(|code| code.parse::<PurposeOfUse>().ok()),
            message: None,
            from: Some(self.from),
            expiry: self.expires_at(),
        }
    }

    /// Its lines, which are kept from making others of themselves by whoever shows them.
    pub(super) fn lines(&self, of: &Question) -> Vec<(&'static str, Option<String>)> {
        let Act { method, target, route, headers, content, .. } = &self.act;
        // The hash comes first, for what its sender calls it is the sender's word.
        let sent = content
            .as_ref()
            .map(|Content { length, sha256, .. }| format!("SHA-256 {sha256}, {length} bytes"));
        let named = content.as_ref().and_then(|content| content.media_type.as_deref());
        let named = named.map(|named| named.chars().take(LONGEST_TYPE).collect());
        let with: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        vec![
            ("Who asks", Some(self.act.who())),
            ("What for", Some(format!("{method} {target}"))),
            ("What is sent", sent),
            ("Called by its sender", named),
            ("With", (!with.is_empty()).then(|| with.join("; "))),
            ("Where", Some(format!("The route {route}"))),
            ("Why", Some(format!("“{}”", self.reason))),
            ("Purpose", of.purpose.map(|purpose| format!("For {}", purpose.words()))),
            ("From where", of.from.map(place)),
            ("Good for", Some(format!("This once, until {}", until(self.usable_until())))),
            ("Answer until", Some(until(of.expiry))),
        ]
    }

    /// As a question of before, of which this became.
    #[must_use]
    pub fn past(&self, state: DeedState) -> Past {
        Past {
            by: Asker::Person(self.act.counted_as()),
            // A no may come at any moment until the question ends, and is counted from there.
            asked_at: match state {
                DeedState::Denied => self.expires_at(),
                DeedState::Waiting | DeedState::Approved | DeedState::Used => self.asked_at,
            },
            expires_at: self.expires_at(),
            said: match state {
                DeedState::Waiting => Said::Nothing,
                DeedState::Approved | DeedState::Used => Said::Yes,
                DeedState::Denied => Said::No,
            },
        }
    }
}

#[cfg(test)]
mod tests;
