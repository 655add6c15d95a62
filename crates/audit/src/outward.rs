//! What of the log goes out to tools of others: which of it they may see, and how they want it said.
//!
//! An [`Entry`] becomes [`Shown`] by a [`View`], and only what is shown can be written: as our own JSON
//! ([`Entry::to_exposed_json`]), or in the formats here. Nothing here does I/O.

use aws_lc_rs::hmac;
use chartgate_values::Phi;

use crate::reader::Entry;
use crate::record::{ActorKind, Event, Record};
use crate::watch::{FindingId, Rule};

pub mod audit_event;
pub mod cef;
pub mod dicom;
mod fitted;
mod object;
pub mod ocsf;
pub mod otlp;
mod particulars;
pub mod syslog;
mod text;
mod topic;
mod words;

/// How much a receiver learns of patients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patients {
    /// How many there were, and of which types their records.
    LeftOut,
    /// The same patient is the same to this receiver; who it is nobody can tell without the gateway's key.
    Pseudonyms,
    /// All that the log says.
    Ids,
}

/// The text names none of the three.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of left-out, pseudonyms, ids")]
pub struct UnknownPatients;

impl std::str::FromStr for Patients {
    type Err = UnknownPatients;

    fn from_str(text: &str) -> Result<Self, UnknownPatients> {
        match text {
            "left-out" => Ok(Self::LeftOut),
            "pseudonyms" => Ok(Self::Pseudonyms),
            "ids" => Ok(Self::Ids),
            _ => Err(UnknownPatients),
        }
    }
}

impl Patients {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeftOut => "left-out",
            Self::Pseudonyms => "pseudonyms",
            Self::Ids => "ids",
        }
    }
}

/// What one receiver sees of entries.
#[derive(Clone)]
pub struct View {
    patients: Patients,
    key: hmac::Key,
}

/// An entry as a receiver may see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    entry: Entry,
    /// What names of patients are in it.
    patients: Patients,
}

impl Shown {
    /// What may be seen.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// About how many bytes its lists and texts have: to bound what waits in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let record = &self.entry.record;
        let lists = record.patients.iter().chain(&record.response.digests);
        let texts = lists.chain(record.detail.values()).chain(&record.resource).chain(&record.request.query);
        texts.map(|text| text.expose().len()).fold(1024, usize::saturating_add)
    }
}

/// Particulars that name no patient and quote nobody, whatever the event.
const HARMLESS: [&str; 40] = [
    "algorithm",
    "audience",
    "auth_method",
    "auth_methods",
    "change",
    "client",
    "disposition",
    "emergency",
    "expires_at",
    "export",
    "file",
    "finding",
    "former",
    "grant_type",
    "grant_types",
    "grants",
    "hold",
    "how",
    "index",
    "invitation",
    "kind",
    "more_patients",
    "name",
    "needs_restart",
    "next",
    "patients",
    "permission",
    "policies",
    "policy_set",
    "profile",
    "reached",
    "registered_by",
    "reviewer",
    "roles",
    "roles_before",
    "scope",
    "shadow_set",
    "user",
    "uses",
    "way",
];

/// Events that are about people who work with the gateway, programs and the gateway itself: what they are done to is no
/// patient and no record.
const OF_THE_GATEWAY: [&str; 10] =
    ["audit", "client", "config", "enrolment", "export", "gateway", "key", "policy", "session", "user"];

impl View {
    /// What a receiver sees; `secret` makes its pseudonyms.
    #[must_use]
    pub fn new(patients: Patients, secret: &[u8; 32], receiver: &str) -> Self {
        let parent = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let own = hmac::sign(&parent, receiver.as_bytes());
        Self { patients, key: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()) }
    }

    /// The entry as far as it may be seen.
    #[must_use]
    pub fn show(&self, entry: Entry) -> Shown {
        if self.patients == Patients::Ids {
            return Shown { entry, patients: Patients::Ids };
        }
        let Entry { index, mut record, sealed } = entry;
        // Where patients look at their own records, their pseudonym would stand beside the name that they sign in with. Of a
        // person who is not known to be a practitioner it is taken to be so.
        let mut patients = self.patients;
        if may_be_a_patient(&record) {
            record.source_ip = None;
            let kind = record.actor.fhir_user.as_ref().map(|user| type_of(user.expose()).to_owned());
            record.actor.fhir_user = kind.map(Phi::new);
            patients = Patients::LeftOut;
        }
        // The same of a finding that says whose record it is, or whose family's: neither the pseudonym stands beside the name
        // then, nor which record of the log has it, as the finding's own name does.
        if self.patients == Patients::Pseudonyms && tells_whose_record(&record) {
            if let Some(finding) = record.detail.get_mut("finding") {
                *finding = Phi::new(self.pseudonym("", finding.expose()));
            }
            patients = Patients::LeftOut;
        }
        if !is_of_the_gateway(record.event) {
            record.resource =
                record.resource.as_ref().map(|resource| Phi::new(self.resource(resource.expose(), patients)));
        }
        record.detail.retain(|name, _| HARMLESS.contains(&name.as_str()));
        if !record.patients.is_empty() {
            let count = record.patients.len().to_string();
            record.detail.insert("patients".to_owned(), Phi::new(count));
        }
        record.patients = match patients {
            Patients::LeftOut => Vec::new(),
            Patients::Pseudonyms | Patients::Ids => {
                record.patients.iter().map(|id| Phi::new(self.pseudonym("Patient", id.expose()))).collect()
            }
        };
        record.request.query = None;
        record.request.digest = None;
        record.response.digests = Vec::new();
        Shown { entry: Entry { index, record, sealed }, patients }
    }

    /// `Observation/17/_history/2` as `Observation/p-…/_history/…`, or as `Observation` alone.
    fn resource(&self, resource: &str, patients: Patients) -> String {
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        let is_type = kind.starts_with(|c: char| c.is_ascii_uppercase())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match (is_type, patients) {
            (true, Patients::LeftOut) => kind.to_owned(),
            (true, Patients::Pseudonyms | Patients::Ids) => {
                let segments = rest.split('/').filter(|segment| !segment.is_empty());
                let told = segments.map(|segment| {
                    let is_word = segment.starts_with(['$', '_'])
                        && segment.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                    if is_word { segment.to_owned() } else { self.pseudonym(kind, segment) }
                });
                std::iter::once(kind.to_owned()).chain(told).collect::<Vec<_>>().join("/")
            }
            (false, Patients::LeftOut) => "withheld".to_owned(),
            (false, Patients::Pseudonyms | Patients::Ids) => self.pseudonym("", resource),
        }
    }

    fn pseudonym(&self, kind: &str, id: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(kind.as_bytes());
        context.update(b"/");
        context.update(id.as_bytes());
        let digest = context.sign();
        let digits = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}"));
        format!("p-{}", digits.collect::<String>())
    }
}

fn is_of_the_gateway(event: Event) -> bool {
    let noun = event.as_str().split('.').next().unwrap_or_default();
    OF_THE_GATEWAY.contains(&noun)
}

/// Whether a record names somebody who may be the patient that it is about.
fn may_be_a_patient(record: &Record) -> bool {
    let is_person = matches!(record.actor.kind, ActorKind::Human | ActorKind::Agent);
    match &record.actor.fhir_user {
        Some(user) => !matches!(type_of(user.expose()), "Practitioner" | "PractitionerRole"),
        // A launch names whom it is for.
        None => is_person || record.event == Event::LaunchCreated,
    }
}

/// Whether a record is about a finding that tells who the patient is, or of which family.
fn tells_whose_record(record: &Record) -> bool {
    let finding = exposed(record.detail.get("finding")).and_then(|id| id.parse::<FindingId>().ok());
    matches!(finding.and_then(|finding| finding.rule()), Some(Rule::SelfAccess | Rule::SameSurname))
}

/// `Patient` of `https://gate.example/fhir/Patient/17`.
fn type_of(reference: &str) -> &str {
    reference.rsplit('/').nth(1).unwrap_or_default()
}

/// Where entries come from, as receivers are told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The log's origin.
    pub origin: String,
    /// The gateway's host.
    pub host: String,
    /// The program's version.
    pub version: &'static str,
}

/// Text that a record may have.
fn exposed(text: Option<&Phi<String>>) -> Option<&str> {
    text.map(|text| text.expose().as_str())
}

/// Who acted, in one word: the person, else the client.
fn who(record: &Record) -> &str {
    record.actor.sub.as_deref().or(record.actor.client_id.as_deref()).unwrap_or("somebody unknown")
}

#[cfg(test)]
mod tests;
