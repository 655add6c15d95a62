//! FHIR R4 AuditEvents, by the patterns of IHE BALP, in a batch as ITI-20 (ATX: FHIR Feed) has it, and what a server answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::dicom;
use super::object::Put as _;
use super::particulars::particulars_but;
use super::topic::{Crud, Phase, Topic, outcome_code};
use super::{Patients, Shown, Source, exposed, words};
use crate::record::{Delegate, Event, Outcome, Record};

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const PARTICIPANTS: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";
const PROFILES: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";

/// What an AuditEvent has another place for; the query only if it is a search's.
const PLACED: [&str; 5] = ["query", "on_behalf_of", "purpose_of_use", "source_ip", "request_id"];

/// Where an AuditEvent stands: the index of its record, and how many of that record's are before it.
pub type Place = (u64, usize);

/// The most AuditEvents that a server gets at once.
pub const MOST: usize = 200;
/// A batch that is longer gets no more.
const LONG: usize = 2 << 20;

/// A batch that creates AuditEvents, as it is sent.
#[derive(Debug)]
pub struct Batch {
    /// The Bundle.
    pub body: Vec<u8>,
    /// Where each of its AuditEvents stands. Never empty.
    pub places: Vec<Place>,
}

/// The next AuditEvents of these entries from `from` on, at most `most` and not much more than can be held: a record can touch so
/// many patients that all of its AuditEvents cannot. None if there are no more.
#[must_use]
pub fn batch(entries: &[Shown], source: &Source, from: Place, most: usize) -> Option<Batch> {
    let (first, before) = from;
    let mut places = Vec::new();
    let mut body = br#"{"resourceType":"Bundle","type":"batch","entry":["#.to_vec();
    'full: for shown in entries.iter().filter(|shown| shown.entry().index >= first) {
        let index = shown.entry().index;
        let skipped = if index == first { before } else { 0 };
        for (number, event) in audit_events(shown, source, skipped).enumerate() {
            if places.len() >= most || body.len() > LONG {
                break 'full;
            }
            let entry = json!({ "resource": event, "request": { "method": "POST", "url": "AuditEvent" } });
            if !places.is_empty() {
                body.push(b',');
            }
            body.extend_from_slice(entry.to_string().as_bytes());
            places.push((index, skipped.saturating_add(number)));
        }
    }
    body.extend_from_slice(b"]}");
    (!places.is_empty()).then_some(Batch { body, places })
}

/// The AuditEvents of an entry but for the first few: one in all, or as BALP wants it one for each patient. None for what is about to
/// be done, and for the end of an answer, which would look like acts of their own.
pub fn audit_events<'a>(
    shown: &'a Shown,
    source: &'a Source,
    skipped: usize,
) -> impl Iterator<Item = Value> + 'a {
    let record = &shown.entry().record;
    let is_act = Phase::of(record.event) == Phase::Done;
    let about = record.patients.iter().map(|patient| Some(patient.expose().as_str()));
    let about = about.chain(record.patients.is_empty().then_some(None)).filter(move |_| is_act);
    about.skip(skipped).map(|patient| audit_event(shown, source, patient))
}

fn audit_event(shown: &Shown, source: &Source, patient: Option<&str>) -> Value {
    let record = &shown.entry().record;
    let crud = Crud::of(record.action.as_deref());
    let is_access = Topic::of(record.event) == Topic::Access && record.action.is_some();
    let action = crud.code();
    let outcome = outcome_code(record.outcome);
    let (kind, subtype) = if is_access {
        let kind =
            coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation");
        (kind, interaction(record.action.as_deref()))
    } else {
        let (code, name) = dicom::event_id(record);
        (coding(DCM, code, name), dicom::event_type(record).map(|(code, name)| coding(DCM, code, name)))
    };
    let own = coding("urn:chartgate:audit-event", record.event.as_str(), record.event.as_str());
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": kind,
        "subtype": subtype.into_iter().chain([own]).collect::<Vec<_>>(),
        "action": action,
        "recorded": record.time.to_string(),
        "outcome": outcome,
        "agent": agents(record, source, crud),
        "source": { "site": source.host, "observer": { "identifier": { "value": source.origin }, "display": "Chartgate" } },
        "entity": entities(shown, source, patient),
    });
    if let Some(profile) = profile(record, patient) {
        event.put("meta", json!({ "profile": [format!("{PROFILES}{profile}")] }));
    }
    event.put_some("outcomeDesc", record.decision.reason.as_ref().map(|reason| json!(reason)));
    event.put_some("purposeOfEvent", purpose(record));
    event
}

/// The pattern that an allowed act follows, if what is told of it is all that the pattern wants: each is for success alone, and for
/// one interaction with a FHIR server, and wants to know from where it was called and what was done to what.
fn profile(record: &Record, patient: Option<&str>) -> Option<String> {
    let act = match record.action.as_deref()? {
        "create" => "Create",
        "read" | "vread" => "Read",
        "update" | "patch" => "Update",
        "delete" => "Delete",
        "search" => "Query",
        _ => return None,
    };
    let is_told = if act == "Query" { record.request.query.is_some() } else { record.resource.is_some() };
    let holds = record.event == Event::Access
        && record.outcome == Outcome::Allow
        && record.source_ip.is_some()
        && is_told;
    holds.then(|| format!("{}{act}", if patient.is_some() { "Patient" } else { "" }))
}

fn interaction(action: Option<&str>) -> Option<Value> {
    let code = match action? {
        "search" => "search-type",
        "history" => "history-instance",
        code @ ("read" | "vread" | "update" | "patch" | "delete" | "create" | "capabilities") => code,
        _ => "operation",
    };
    Some(coding("http://hl7.org/fhir/restful-interaction", code, code))
}

/// The client, we, the person, and whoever acts for them. BALP names the end that records come from the source.
fn agents(record: &Record, source: &Source, crud: Crud) -> Vec<Value> {
    let (from, to) = ((DCM, "110153", "Source Role ID"), (DCM, "110152", "Destination Role ID"));
    let (client_role, own_role) = match crud {
        Crud::Read => (to, from),
        Crud::Create | Crud::Update | Crud::Execute => (from, to),
        Crud::Delete => ((DCM, "110150", "Application"), (PARTICIPANTS, "custodian", "Custodian")),
    };
    let typed = |(system, code, name): (&str, &str, &str)| json!({ "coding": [coding(system, code, name)] });
    let client = record.actor.client_id.as_deref();
    let mut caller = json!({
        "type": typed(client_role),
        "who": { "identifier": { "value": client.unwrap_or("unknown") } },
        "requestor": record.actor.sub.is_none(),
    });
    let ip = record.source_ip.as_ref().map(|ip| json!({ "address": ip.expose().to_string(), "type": "2" }));
    caller.put_some("network", ip);
    let own = json!({
        "type": typed(own_role),
        "who": { "identifier": { "value": source.origin }, "display": "Chartgate" },
        "requestor": false,
        "network": { "address": source.host, "type": "1" },
    });
    let person = record.actor.sub.as_deref().map(|sub| {
        let code = if matches!(crud, Crud::Read | Crud::Execute) {
            ("IRCP", "information recipient")
        } else {
            ("AUT", "author (originator)")
        };
        let kind = coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", code.0, code.1);
        let issuer = format!("https://{}", source.origin.split('/').next().unwrap_or_default());
        let mut who = json!({ "identifier": { "system": issuer, "value": sub } });
        let own = exposed(record.actor.fhir_user.as_ref()).filter(|user| is_reference(user));
        who.put_some("reference", own.map(|user| json!(user)));
        let mut person = json!({ "type": { "coding": [kind] }, "who": who, "requestor": true, "name": sub });
        let roles: Vec<Value> = record.actor.roles.iter().map(|role| json!({ "text": role })).collect();
        person.put_some("role", (!roles.is_empty()).then_some(Value::Array(roles)));
        let token = record.jti.as_ref().map(|jti| json!([format!("urn:ietf:params:oauth:jti:{jti}")]));
        person.put_some("policy", token);
        person.put_some("purposeOfUse", purpose(record));
        person
    });
    [caller, own].into_iter().chain(person).chain(record.on_behalf_of.iter().map(delegate)).collect()
}

/// One that acts for the person. No pattern of BALP has an agent of this type.
fn delegate(delegate: &Delegate) -> Value {
    let kind = coding("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "AGNT", "agent");
    let mut agent = json!({
        "type": { "coding": [kind] },
        "who": { "identifier": { "value": delegate.sub } },
        "requestor": false,
    });
    agent.put_some("altId", delegate.client_id.as_ref().map(|client| json!(client)));
    agent
}

fn purpose(record: &Record) -> Option<Value> {
    let code = record.purpose_of_use.as_deref()?;
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    Some(json!([{ "coding": [{ "system": system, "code": code }] }]))
}

fn entities(shown: &Shown, source: &Source, patient: Option<&str>) -> Vec<Value> {
    let entry = shown.entry();
    let record = &entry.record;
    let kind = |code: &str, name: &str| {
        coding("http://terminology.hl7.org/CodeSystem/audit-entity-type", code, name)
    };
    let role =
        |code: &str, name: &str| coding("http://terminology.hl7.org/CodeSystem/object-role", code, name);
    let mut entities = Vec::new();
    if let Some(id) = &record.request_id {
        let system = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
        let kind = coding(system, "XrequestId", "X-Request-Id");
        entities.push(json!({ "what": { "identifier": { "value": id } }, "type": kind }));
    }
    // BALP knows what was asked and what it was done to by their type alone, which is the same: there is one of the two.
    let resource = exposed(record.resource.as_ref());
    let query = exposed(record.request.query.as_ref());
    let search = query.filter(|_| record.action.as_deref() == Some("search"));
    let object = kind("2", "System Object");
    if let Some(query) = search {
        let query = STANDARD.encode(query);
        let mut asked = json!({ "type": object, "role": role("24", "Query"), "query": query });
        asked.put_some("description", resource.map(|resource| json!(resource)));
        entities.push(asked);
    } else if let Some(resource) = resource {
        let what = told(shown, "urn:chartgate:resource", resource);
        entities.push(json!({ "what": what, "type": object, "role": role("4", "Domain Resource") }));
    }
    if let Some(patient) = patient {
        let what = told(shown, "urn:chartgate:patient", &format!("Patient/{patient}"));
        entities.push(json!({ "what": what, "type": kind("1", "Person"), "role": role("1", "Patient") }));
    }
    // Where all this stands in our log, with what no other place is for.
    let index = json!({ "identifier": { "system": format!("https://{}", source.origin), "value": entry.index.to_string() } });
    let mut own = json!({ "what": index, "type": kind("4", "Other"), "description": words::sentence(shown) });
    let placed = if search.is_some() { &PLACED[..] } else { &PLACED[1..] };
    let rest = particulars_but(record, placed).map(|(name, value)| -> (&str, String) { (name, value) });
    let sealed = entry.sealed.as_ref().map(|month| ("sealed", month.as_str().to_owned()));
    let own_details = record.detail.iter().map(|(name, value)| (name.as_str(), value.expose().clone()));
    let details: Vec<Value> = own_details
        .chain(sealed)
        .chain(rest)
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, value)| json!({ "type": name, "valueString": value }))
        .collect();
    own.put_some("detail", (!details.is_empty()).then_some(Value::Array(details)));
    entities.push(own);
    entities
}

/// A reference where it is one; what is a pseudonym refers to nothing.
fn told(shown: &Shown, system: &str, text: &str) -> Value {
    let is_named = shown.patients == Patients::Ids || !text.contains("/p-");
    if is_reference(text) && is_named {
        return json!({ "reference": text });
    }
    json!({ "identifier": { "system": system, "value": text } })
}

/// `Type/id`, or that with a version. FHIR R4 section 2.3.0.1.
fn is_reference(text: &str) -> bool {
    let mut parts = text.split('/');
    let kind = parts.next().unwrap_or_default();
    let is_id = |part: Option<&str>| {
        part.is_some_and(|part| {
            (1..=64).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        })
    };
    let is_type =
        kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphabetic());
    is_type
        && is_id(parts.next())
        && match parts.next() {
            None => true,
            Some("_history") => is_id(parts.next()) && parts.next().is_none(),
            Some(_) => false,
        }
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({ "system": system, "code": code, "display": display })
}

/// A server's answer to a batch that does not say that all of it was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotTaken {
    /// It is no answer to a batch of so many.
    NoAnswer,
    /// Some were not taken.
    Some {
        /// What is said of the first of them.
        status: u16,
        /// How many before it were taken.
        leading: usize,
        /// How many in all were taken.
        taken: usize,
    },
}

/// Whether all of a batch of so many was taken. FHIR R4 section 3.1.0.11.2: an answer has an entry for each, in the same order.
///
/// # Errors
/// [`NotTaken`].
pub fn all_taken(answer: &[u8], count: usize) -> Result<(), NotTaken> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_| NotTaken::NoAnswer)?;
    let is_bundle = answer.get("resourceType").and_then(Value::as_str) == Some("Bundle");
    let entries =
        answer.get("entry").and_then(Value::as_array).filter(|_| is_bundle).ok_or(NotTaken::NoAnswer)?;
    if entries.len() != count {
        return Err(NotTaken::NoAnswer);
    }
    let statuses = entries.iter().map(|entry| {
        let status = entry.get("response").and_then(|response| response.get("status"));
        let digits = status.and_then(Value::as_str).and_then(|status| status.get(..3));
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or(NotTaken::NoAnswer)
    });
    let statuses: Vec<u16> = statuses.collect::<Result<_, _>>()?;
    let is_taken = |status: &u16| (200..300).contains(status);
    let leading = statuses.iter().take_while(|status| is_taken(status)).count();
    match statuses.get(leading) {
        None => Ok(()),
        Some(status) => {
            let taken = statuses.iter().filter(|status| is_taken(status)).count();
            Err(NotTaken::Some { status: *status, leading, taken })
        }
    }
}
