//! DICOM audit messages, PS3.15 A.5, as IHE ITI-20 has them sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fitted::within;
use super::particulars::particulars_but;
use super::text::is_printable;
use super::topic::{Crud, Phase, Topic, outcome_code};
use super::{Shown, Source, exposed, who};
use crate::record::{Event, Record};

/// So many patients are named in one message; for more there are more messages.
const PATIENTS: usize = 24;
/// The longest query or particular that is sent, in bytes. Of a longer one the beginning is.
const LONGEST: usize = 2048;

/// What a message has another place for.
const PLACED: [&str; 4] = ["fhir_user", "on_behalf_of", "source_ip", "query"];

/// The messages of an entry, as XML without line breaks: none for what is about to be done, and for the end of an answer, which
/// would look like acts of their own.
#[must_use]
pub fn messages(shown: &Shown, source: &Source) -> Vec<String> {
    if Phase::of(shown.entry().record.event) != Phase::Done {
        return Vec::new();
    }
    let patients: Vec<&str> =
        shown.entry().record.patients.iter().map(|patient| patient.expose().as_str()).collect();
    if patients.is_empty() {
        return vec![message(shown, source, &[])];
    }
    patients.chunks(PATIENTS).map(|patients| message(shown, source, patients)).collect()
}

fn message(shown: &Shown, source: &Source, patients: &[&str]) -> String {
    let entry = shown.entry();
    let record = &entry.record;
    let mut xml = Xml("<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>".to_owned());
    event(&mut xml, record);
    participants(&mut xml, record, source);
    xml.open("AuditSourceIdentification", &[("AuditSourceID", &source.origin)]);
    xml.end("AuditSourceIdentification");
    for patient in patients {
        let (code, name) = ("2", "Patient Number");
        object(&mut xml, patient, ("1", "1"), ("RFC-3881", code, name), &[], None);
    }
    let index = entry.index.to_string();
    let mut details = vec![("chartgate-index", index.clone())];
    details.extend(entry.sealed.as_ref().map(|month| ("chartgate-sealed", month.as_str().to_owned())));
    details.extend(particulars_but(record, &PLACED).map(|(name, value)| match name {
        "request_id" => ("requestId", value),
        "purpose_of_use" => ("purposeOfUse", value),
        name => (name, value),
    }));
    details.extend(record.detail.iter().map(|(name, value)| (name.as_str(), beginning(value.expose()))));
    let query = exposed(record.request.query.as_ref()).map(beginning);
    let resource = exposed(record.resource.as_ref()).or(record.route.as_deref());
    // What tells which entry it is stands with what the act was done to, or with the entry itself.
    let id = resource.unwrap_or(index.as_str());
    // 2 is a system object; 3 a report, 24 a query, 13 a security resource.
    let role = match (Topic::of(record.event), &query) {
        (Topic::Access, Some(_)) => "24",
        (Topic::Access, None) => "3",
        _ => "13",
    };
    object(&mut xml, id, ("2", role), ("RFC-3881", "12", "URI"), &details, query.as_deref());
    xml.end("AuditMessage");
    xml.0
}

/// As much of it as is sent.
fn beginning(text: &str) -> String {
    within(text, LONGEST, |c, out| out.push(c)).0
}

/// A.5.2.1.
fn event(xml: &mut Xml, record: &Record) {
    let action = Crud::of(record.action.as_deref()).code();
    let outcome = outcome_code(record.outcome);
    let time = record.time.to_string();
    xml.open(
        "EventIdentification",
        &[("EventActionCode", action), ("EventDateTime", &time), ("EventOutcomeIndicator", outcome)],
    );
    let (code, name) = event_id(record);
    xml.code("EventID", "DCM", code, name);
    if let Some((code, name)) = event_type(record) {
        xml.code("EventTypeCode", "DCM", code, name);
    }
    xml.code("EventTypeCode", "chartgate", record.event.as_str(), record.event.as_str());
    if let Some(reason) = &record.decision.reason {
        xml.text("EventOutcomeDescription", reason);
    }
    xml.end("EventIdentification");
}

/// What kind of event. DICOM CID 400.
pub(super) fn event_id(record: &Record) -> (&'static str, &'static str) {
    match Topic::of(record.event) {
        Topic::Access if matches!(Crud::of(record.action.as_deref()), Crud::Execute) => ("110112", "Query"),
        Topic::Access => ("110110", "Patient Record"),
        Topic::SignIn | Topic::SignOut => ("110114", "User Authentication"),
        Topic::Log if record.event == Event::AuditRead => ("110101", "Audit Log Used"),
        Topic::Starts | Topic::Stops => ("110100", "Application Activity"),
        Topic::Token
        | Topic::Consent
        | Topic::EmergencyBegins
        | Topic::Emergency
        | Topic::User
        | Topic::Client
        | Topic::Care
        | Topic::Setting
        | Topic::Finding
        | Topic::Log => ("110113", "Security Alert"),
    }
}

/// Which of its kind. DICOM CID 401.
pub(super) fn event_type(record: &Record) -> Option<(&'static str, &'static str)> {
    match Topic::of(record.event) {
        Topic::SignIn => Some(("110122", "Login")),
        Topic::SignOut => Some(("110123", "Logout")),
        Topic::Starts => Some(("110120", "Application Start")),
        Topic::Stops => Some(("110121", "Application Stop")),
        Topic::EmergencyBegins => Some(("110127", "Emergency Override Started")),
        Topic::User => Some(("110137", "User Security Attributes Changed")),
        Topic::Setting => Some(("110131", "Security Configuration")),
        Topic::Access
        | Topic::Token
        | Topic::Consent
        | Topic::Emergency
        | Topic::Client
        | Topic::Care
        | Topic::Finding
        | Topic::Log => None,
    }
}

/// A.5.2.2: who acted, through which client, who acts for them, and we.
fn participants(xml: &mut Xml, record: &Record, source: &Source) {
    let ip = record.source_ip.as_ref().map(|ip| ip.expose().to_string());
    let mut attributes = vec![("UserID", who(record)), ("UserIsRequestor", "true")];
    let fhir_user = exposed(record.actor.fhir_user.as_ref());
    attributes.extend(fhir_user.map(|user| ("AlternativeUserID", user)));
    if let Some(ip) = &ip {
        attributes.extend([("NetworkAccessPointID", ip.as_str()), ("NetworkAccessPointTypeCode", "2")]);
    }
    xml.open("ActiveParticipant", &attributes);
    for role in &record.actor.roles {
        xml.code("RoleIDCode", "chartgate", role, role);
    }
    xml.end("ActiveParticipant");
    if let (Some(client), Some(_)) = (&record.actor.client_id, &record.actor.sub) {
        xml.open("ActiveParticipant", &[("UserID", client), ("UserIsRequestor", "false")]);
        xml.code("RoleIDCode", "DCM", "110150", "Application");
        xml.end("ActiveParticipant");
    }
    for delegate in &record.on_behalf_of {
        let mut attributes = vec![("UserID", delegate.sub.as_str()), ("UserIsRequestor", "false")];
        attributes.extend(delegate.client_id.as_deref().map(|client| ("AlternativeUserID", client)));
        xml.open("ActiveParticipant", &attributes);
        xml.code("RoleIDCode", "chartgate", "act", "acts for the requestor");
        xml.end("ActiveParticipant");
    }
    xml.open(
        "ActiveParticipant",
        &[
            ("UserID", &source.origin),
            ("UserIsRequestor", "false"),
            ("NetworkAccessPointID", &source.host),
            ("NetworkAccessPointTypeCode", "1"),
        ],
    );
    xml.code("RoleIDCode", "DCM", "110152", "Destination Role ID");
    xml.end("ActiveParticipant");
}

/// A.5.2.4.
fn object(
    xml: &mut Xml,
    id: &str,
    (kind, role): (&str, &str),
    (system, code, name): (&str, &str, &str),
    details: &[(&str, String)],
    query: Option<&str>,
) {
    xml.open(
        "ParticipantObjectIdentification",
        &[
            ("ParticipantObjectID", id),
            ("ParticipantObjectTypeCode", kind),
            ("ParticipantObjectTypeCodeRole", role),
        ],
    );
    xml.code("ParticipantObjectIDTypeCode", system, code, name);
    match query {
        Some(query) => xml.text("ParticipantObjectQuery", &STANDARD.encode(query)),
        None => xml.text("ParticipantObjectName", id),
    }
    for (name, value) in details {
        let value = STANDARD.encode(value);
        xml.open("ParticipantObjectDetail", &[("type", name), ("value", &value)]);
        xml.end("ParticipantObjectDetail");
    }
    xml.end("ParticipantObjectIdentification");
}

/// A document that is being written.
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.push(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    fn end(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.push(text);
        self.end(name);
    }

    /// A.5.1: a code, its system and its meaning.
    fn code(&mut self, name: &str, system: &str, code: &str, meaning: &str) {
        self.open(name, &[("csd-code", code), ("codeSystemName", system), ("originalText", meaning)]);
        self.end(name);
    }

    /// XML 1.0 section 2.2: not every character may stand in a document, however it is written.
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                '\u{fffe}' | '\u{ffff}' => self.0.push(char::REPLACEMENT_CHARACTER),
                c if is_printable(c) => self.0.push(c),
                _ => self.0.push(char::REPLACEMENT_CHARACTER),
            }
        }
    }
}
