//! ArcSight's Common Event Format, version 0.

use std::net::IpAddr;

use super::fitted::{Fields, within};
use super::text::shown as as_shown;
use super::topic::outcome;
use super::{Shown, Source, exposed, words};
use crate::record::{Outcome, Record};

/// What stands around a key of the extension: a space and `=`.
const AROUND: usize = 2;
/// The longest name of an event.
const LONGEST_NAME: usize = 256;
/// Room for the names of what is not all there.
const NAMES: usize = 192;

/// An entry as an event of at most `room` octets. Patients are named as far as there is room; what is not all there is named.
#[must_use]
pub fn event(shown: &Shown, source: &Source, room: usize) -> String {
    let record = &shown.entry().record;
    let severity = match record.outcome {
        Outcome::Allow => "3",
        Outcome::Deny => "6",
        Outcome::Error => "7",
    };
    let name = record.action.as_deref().unwrap_or(record.event.as_str());
    let fields = ["Chartgate", "chartgate", source.version, record.event.as_str(), name, severity];
    let mut text = "CEF:0".to_owned();
    for field in fields {
        text.push('|');
        text.push_str(&within(field, LONGEST_NAME, in_header).0);
    }
    text.push('|');
    let end = room.saturating_sub(NAMES);
    let fitted = extension(shown, source).fitted(end.saturating_sub(text.len()));
    let pairs = fitted.fields.iter().map(|(key, value)| format!("{key}={value}"));
    text.push_str(&pairs.collect::<Vec<_>>().join(" "));
    let mut patients = String::new();
    for patient in &record.patients {
        let (one, _) = within(patient.expose(), usize::MAX, in_extension);
        if text.len().saturating_add(patients.len()).saturating_add(one.len()).saturating_add(32) > end {
            break;
        }
        if !patients.is_empty() {
            patients.push(' ');
        }
        patients.push_str(&one);
    }
    if !patients.is_empty() {
        text.push_str(&format!(" cs6={patients} cs6Label=patients"));
    }
    if !fitted.cut.is_empty() {
        let (cut, _) = within(&fitted.cut.join(" "), NAMES.saturating_sub(64), in_extension);
        text.push_str(&format!(" flexString2={cut} flexString2Label=truncated"));
    }
    text
}

fn extension(shown: &Shown, source: &Source) -> Fields {
    let entry = shown.entry();
    let record = &entry.record;
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let listed = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    let mut fields = Fields::new(in_extension, AROUND);
    fields.add("rt", Some(record.time.as_micros().div_euclid(1000).to_string()));
    fields.add("externalId", Some(entry.index.to_string()));
    fields.add("dvchost", Some(source.host.clone()));
    fields.add("deviceExternalId", Some(source.origin.clone()));
    fields.add("suser", record.actor.sub.clone());
    fields.add("spriv", listed(&record.actor.roles));
    fields.add("requestClientApplication", record.actor.client_id.clone());
    address(&mut fields, record);
    fields.add("act", record.action.clone());
    fields.add("request", exposed(record.resource.as_ref()).map(str::to_owned));
    fields.add("requestMethod", record.request.method.clone());
    fields.add("outcome", Some(outcome(record).to_owned()));
    fields.add("reason", record.decision.reason.clone());
    fields.add("out", number(record.response.bytes));
    for (place, label, value) in [
        ("cs1", "purposeOfUse", record.purpose_of_use.clone()),
        ("cs2", "policies", listed(&record.decision.policies)),
        ("cs3", "route", record.route.clone()),
        ("cs4", "requestId", record.request_id.clone()),
        ("cs5", "session", record.session.clone()),
        ("flexString1", "onBehalfOf", listed(&words::delegates(record))),
        // Not `cnt`, which says how often an event was seen.
        ("flexNumber1", "count", number(record.response.count)),
        ("cn1", "status", number(record.response.status.map(u64::from))),
        ("cn2", "withheld", number(record.response.withheld)),
        ("cn3", "entry", number(record.entry.map(u64::from))),
    ] {
        if value.is_some() {
            fields.add(place, value);
            fields.add(format!("{place}Label"), Some(label.to_owned()));
        }
    }
    fields
}

fn address(fields: &mut Fields, record: &Record) {
    match record.source_ip.as_ref().map(|ip| *ip.expose()) {
        Some(IpAddr::V4(ip)) => fields.add("src", Some(ip.to_string())),
        Some(IpAddr::V6(ip)) => {
            fields.add("c6a2", Some(ip.to_string()));
            fields.add("c6a2Label", Some("Source IPv6 Address".to_owned()));
        }
        None => {}
    }
}

/// In the header `\` and `|` stand behind a backslash.
fn in_header(c: char, out: &mut String) {
    if matches!(c, '\\' | '|') {
        out.push('\\');
    }
    out.push(as_shown(c));
}

/// In the extension `\` and `=` do. What would end a line is not sent.
fn in_extension(c: char, out: &mut String) {
    if matches!(c, '\\' | '=') {
        out.push('\\');
    }
    out.push(as_shown(c));
}
