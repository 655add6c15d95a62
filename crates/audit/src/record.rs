//! What one entry of the log says: who did what to what, when, and why it was allowed or not.
//!
//! The fields are plain text and this module's own types, for the log knows nothing of policies or protocols.
//! Whatever can tell something of a patient is [`Phi`] and is sealed in the stored entry ([`crate::leaf`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chartgate_values::{Phi, Timestamp};

pub(crate) mod names;

pub use names::{ActorKind, Event, Outcome, UnknownName};

/// One act. Made from [`Record::new`] with the rest filled in:
/// `Record { actor, ..Record::new(Event::Access, Outcome::Allow, now) }`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// What kind of act.
    pub event: Event,
    /// How it was decided or ended.
    pub outcome: Outcome,
    /// When.
    pub time: Timestamp,
    /// Who acted.
    pub actor: Actor,
    /// Who acts for them, where somebody does: the token's `act` chain, nearest first.
    pub on_behalf_of: Vec<Delegate>,
    /// The interaction, statement verb, tool or command, such as `read`.
    pub action: Option<String>,
    /// What it was done to, such as `Observation/17`.
    pub resource: Option<Phi<String>>,
    /// Whose records it touched: bare ids.
    pub patients: Vec<Phi<String>>,
    /// The purpose of use, such as `TREAT`.
    pub purpose_of_use: Option<String>,
    /// Why it was decided so.
    pub decision: Decision,
    /// The session's id.
    pub session: Option<String>,
    /// The access token's id.
    pub jti: Option<String>,
    /// Where the request came from.
    pub source_ip: Option<Phi<IpAddr>>,
    /// The request's id, shared by all records of one request.
    pub request_id: Option<String>,
    /// The route's name.
    pub route: Option<String>,
    /// What was asked.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// How strongly the person had signed in.
    pub acr: Option<String>,
    /// By which methods.
    pub amr: Vec<String>,
    /// When.
    pub auth_time: Option<Timestamp>,
    /// The grant's id.
    pub grant: Option<String>,
    /// Which entry of a batch or transaction, from zero.
    pub entry: Option<u32>,
    /// Particulars of administrative acts. Never a secret.
    pub detail: BTreeMap<String, Phi<String>>,
}

impl Record {
    /// A record of which only this much is known.
    #[must_use]
    pub fn new(event: Event, outcome: Outcome, time: Timestamp) -> Self {
        Self {
            event,
            outcome,
            time,
            actor: Actor::default(),
            on_behalf_of: Vec::new(),
            action: None,
            resource: None,
            patients: Vec::new(),
            purpose_of_use: None,
            decision: Decision::default(),
            session: None,
            jti: None,
            source_ip: None,
            request_id: None,
            route: None,
            request: Request::default(),
            response: Response::default(),
            acr: None,
            amr: Vec::new(),
            auth_time: None,
            grant: None,
            entry: None,
            detail: BTreeMap::new(),
        }
    }

    /// The patients of whom an access gave something: not those who were asked for by name and of whom nothing was found.
    pub fn patients_given(&self) -> impl Iterator<Item = &Phi<String>> {
        let nothing_of = self.detail.get(NOTHING_OF).map(|named| named.expose().as_str()).unwrap_or_default();
        let nothing_of: BTreeSet<&str> = nothing_of.split(' ').collect();
        self.patients.iter().filter(move |patient| !nothing_of.contains(patient.expose().as_str()))
    }
}

/// In `detail`: of which of the record's patients, who were asked for by name, nothing was found; with spaces between.
pub const NOTHING_OF: &str = "nothing_of";

/// In `detail`: when the record came into the log, where that was not at once.
pub const RECORDED_AT: &str = "recorded_at";

/// In `detail`: how many records of an export are of patients whom the record does not name, for it names so many already.
pub const MORE_PATIENTS: &str = "more_patients";

/// Who acted. By default, someone unknown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Actor {
    /// The subject.
    pub sub: Option<String>,
    /// The OAuth client.
    pub client_id: Option<String>,
    /// What kind of actor.
    pub kind: ActorKind,
    /// Who the subject is in FHIR, such as `Practitioner/dana`. A patient may be an actor, hence sealed.
    pub fhir_user: Option<Phi<String>>,
    /// The roles that the decision saw.
    pub roles: Vec<String>,
}

/// One link of an `act` chain. RFC 8693 section 4.1.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Delegate {
    /// The subject that acts or is acted for.
    pub sub: String,
    /// The client through which.
    pub client_id: Option<String>,
}

/// Why an act was allowed or denied.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decision {
    /// The policies that determined the decision.
    pub policies: Vec<String>,
    /// A stable code, such as `interrupted`.
    pub reason: Option<String>,
    /// What was asked of the answer, such as masking.
    pub obligations: Vec<String>,
}

/// What was asked, as far as it is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// The HTTP method.
    pub method: Option<String>,
    /// A digest of what was sent. Short content can be guessed from its digest, hence sealed.
    pub digest: Option<Phi<String>>,
    /// The query or statement.
    pub query: Option<Phi<String>>,
}

/// What came back, as far as it is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: Option<u16>,
    /// Resources or rows that were released.
    pub count: Option<u64>,
    /// Resources or rows that were held back.
    pub withheld: Option<u64>,
    /// Bytes that were released.
    pub bytes: Option<u64>,
    /// Digests of what was released.
    pub digests: Vec<Phi<String>>,
    /// Why the answer ended early, if it did: a stable code.
    pub truncated: Option<String>,
}
