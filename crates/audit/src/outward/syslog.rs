//! Syslog messages, RFC 5424, in frames that count their octets, RFC 5425.

use super::fitted::{Fields, within};
use super::text::{shown as as_shown, visible_ascii};
use super::topic::outcome;
use super::{Shown, Source, cef, dicom, exposed, words};
use crate::record::Outcome;

/// What a message says of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Structured data, and a sentence for people.
    Rfc5424,
    /// ArcSight's Common Event Format, in place of the sentence.
    Cef,
    /// DICOM audit messages, as IHE ATNA wants them.
    Dicom,
}

/// The text names no format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of rfc5424, cef, dicom")]
pub struct UnknownFormat;

impl std::str::FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "rfc5424" => Ok(Self::Rfc5424),
            "cef" => Ok(Self::Cef),
            "dicom" => Ok(Self::Dicom),
            _ => Err(UnknownFormat),
        }
    }
}

/// How messages are made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Syslog {
    /// What they say.
    pub format: Format,
    /// The private enterprise number in the name of our structured data. RFC 5424 section 7.2.2.
    pub enterprise: u32,
    /// The longest message of ours, in octets, but for DICOM's. What is listed ends before.
    pub longest: usize,
    /// Whence.
    pub source: Source,
}

/// Facility 10, security and authorization messages.
const FACILITY: u8 = 10;
/// RFC 5424 section 6.4: what follows is UTF-8.
const BOM: &str = "\u{feff}";
/// Room that is left for whoever adds to a message on its way.
const SPARE: usize = 256;
/// Room for the names of what is not all there.
const NAMES: usize = 160;
/// What stands around a parameter: a space, `=` and quotes.
const AROUND: usize = 4;

impl Syslog {
    /// The frames of an entry: one; in DICOM's words as many as its patients need, and none for what is no act by itself.
    #[must_use]
    pub fn frames(&self, shown: &Shown) -> Vec<Vec<u8>> {
        let header = self.header(shown);
        let room = self.longest.saturating_sub(SPARE).saturating_sub(header.len());
        let bodies = match self.format {
            Format::Rfc5424 => {
                let (sentence, _) = within(&words::sentence(shown), room / 4, |c, out| out.push(c));
                let room = room.saturating_sub(sentence.len());
                vec![format!("{} {BOM}{sentence}", self.structured(shown, room))]
            }
            Format::Cef => vec![format!("- {}", cef::event(shown, &self.source, room))],
            Format::Dicom => {
                let messages = dicom::messages(shown, &self.source);
                messages.into_iter().map(|message| format!("- {BOM}{message}")).collect()
            }
        };
        bodies.into_iter().map(|body| frame(&format!("{header} {body}"))).collect()
    }

    /// RFC 5424 section 6.2.
    fn header(&self, shown: &Shown) -> String {
        let record = &shown.entry().record;
        let severity: u8 = match (self.format, record.outcome) {
            // The profile has one for all.
            (Format::Dicom, _) | (_, Outcome::Allow) => 5,
            (_, Outcome::Deny) => 4,
            (_, Outcome::Error) => 3,
        };
        let priority = FACILITY.saturating_mul(8).saturating_add(severity);
        let message_id = match self.format {
            // IHE ITI TF-2, 3.20.4.1.2.1.
            Format::Dicom => "IHE+RFC-3881",
            Format::Rfc5424 | Format::Cef => record.event.as_str(),
        };
        let host = visible_ascii(&self.source.host, 255);
        format!("<{priority}>1 {} {host} chartgate - {}", record.time, visible_ascii(message_id, 32))
    }

    /// RFC 5424 section 6.3. Patients are named as far as there is room; how many there are stands before them. What is not all
    /// there is named behind.
    fn structured(&self, shown: &Shown, room: usize) -> String {
        let entry = shown.entry();
        let record = &entry.record;
        let mut data = format!("[chartgate@{}", self.enterprise);
        let end = room.saturating_sub(NAMES);
        let fitted = self.parameters(shown).fitted(end.saturating_sub(data.len()));
        let mut cut = fitted.cut;
        fitted.fields.iter().for_each(|(name, value)| push(&mut data, name, value));
        let mut details = Fields::new(escape, AROUND);
        for (name, value) in &record.detail {
            details.add(parameter(name), Some(value.expose().clone()));
        }
        let fitted = details.fitted(end.saturating_sub(data.len()));
        cut.extend(fitted.cut);
        fitted.fields.iter().for_each(|(name, value)| push(&mut data, name, value));
        for patient in &record.patients {
            let (patient, _) = within(patient.expose(), usize::MAX, escape);
            let length = data.len().saturating_add("patient".len()).saturating_add(patient.len());
            if length.saturating_add(AROUND) > end {
                break;
            }
            push(&mut data, "patient", &patient);
        }
        if !cut.is_empty() {
            let (cut, _) = within(&cut.join(" "), NAMES.saturating_sub(32), escape);
            push(&mut data, "truncated", &cut);
        }
        data.push(']');
        data
    }

    fn parameters(&self, shown: &Shown) -> Fields {
        let entry = shown.entry();
        let record = &entry.record;
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let listed = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
        let mut fields = Fields::new(escape, AROUND);
        for (name, value) in [
            ("index", Some(entry.index.to_string())),
            ("origin", Some(self.source.origin.clone())),
            ("event", Some(record.event.as_str().to_owned())),
            ("outcome", Some(outcome(record).to_owned())),
            ("actorKind", Some(record.actor.kind.as_str().to_owned())),
            ("sub", record.actor.sub.clone()),
            ("client", record.actor.client_id.clone()),
            ("onBehalfOf", listed(&words::delegates(record))),
            ("fhirUser", exposed(record.actor.fhir_user.as_ref()).map(str::to_owned)),
            ("roles", listed(&record.actor.roles)),
            ("action", record.action.clone()),
            ("resource", exposed(record.resource.as_ref()).map(str::to_owned)),
            ("query", exposed(record.request.query.as_ref()).map(str::to_owned)),
            ("purpose", record.purpose_of_use.clone()),
            ("policies", listed(&record.decision.policies)),
            ("obligations", listed(&record.decision.obligations)),
            ("reason", record.decision.reason.clone()),
            ("ip", record.source_ip.as_ref().map(|ip| ip.expose().to_string())),
            ("route", record.route.clone()),
            ("method", record.request.method.clone()),
            ("status", number(record.response.status.map(u64::from))),
            ("count", number(record.response.count)),
            ("withheld", number(record.response.withheld)),
            ("bytes", number(record.response.bytes)),
            ("endedBy", record.response.truncated.clone()),
            ("session", record.session.clone()),
            ("jti", record.jti.clone()),
            ("grant", record.grant.clone()),
            ("requestId", record.request_id.clone()),
            ("entry", number(record.entry.map(u64::from))),
            ("acr", record.acr.clone()),
            ("amr", listed(&record.amr)),
            ("authTime", record.auth_time.map(|time| time.to_string())),
            ("sealed", entry.sealed.as_ref().map(|month| month.as_str().to_owned())),
            ("patientCount", (!record.patients.is_empty()).then(|| record.patients.len().to_string())),
        ] {
            fields.add(name, value);
        }
        fields
    }
}

/// A name of a particular, as a name of ours: `detail-policy_set`. RFC 5424 section 6.3.3.
fn parameter(name: &str) -> String {
    let plain = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_');
    format!("detail-{}", plain.take(25).collect::<String>())
}

/// RFC 5424 section 6.3.3: `"`, `\` and `]` behind a backslash. Control characters are not sent.
fn escape(c: char, out: &mut String) {
    if matches!(c, '"' | '\\' | ']') {
        out.push('\\');
    }
    out.push(as_shown(c));
}

fn push(data: &mut String, name: &str, value: &str) {
    data.push_str(&format!(" {name}=\"{value}\""));
}

/// RFC 5425 section 4.3: the length in octets, a space, the message.
fn frame(message: &str) -> Vec<u8> {
    let mut frame = message.len().to_string().into_bytes();
    frame.push(b' ');
    frame.extend_from_slice(message.as_bytes());
    frame
}
