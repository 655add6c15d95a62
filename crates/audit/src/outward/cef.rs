//! ArcSight's Common Event Format, version 0.

use std::net::IpAddr;

use super::text::is_printable;
use super::{Shown, Source, exposed};
use crate::record::Outcome;

/// An entry as an event. Patients are named as far as there is room.
#[must_use]
pub fn event(shown: &Shown, source: &Source, room: usize) -> String {
    let entry = shown.entry();
    let record = &entry.record;
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
        text.push_str(&header(field));
    }
    text.push('|');
    let mut extension = Vec::new();
    let mut add = |key: &str, value: Option<String>| {
        extension.extend(value.map(|value| format!("{key}={}", escaped(&value))));
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    add("rt", Some(record.time.as_micros().div_euclid(1000).to_string()));
    add("externalId", Some(entry.index.to_string()));
    add("dvchost", Some(source.host.clone()));
    add("deviceExternalId", Some(source.origin.clone()));
    add("suser", record.actor.sub.clone());
    add("requestClientApplication", record.actor.client_id.clone());
    match record.source_ip.as_ref().map(|ip| *ip.expose()) {
        Some(IpAddr::V4(ip)) => add("src", Some(ip.to_string())),
        Some(IpAddr::V6(ip)) => {
            add("c6a2", Some(ip.to_string()));
            add("c6a2Label", Some("Source IPv6 Address".to_owned()));
        }
        None => {}
    }
    add("act", record.action.clone());
    add("request", exposed(record.resource.as_ref()).map(str::to_owned));
    add("requestMethod", record.request.method.clone());
    add("outcome", Some(record.outcome.as_str().to_owned()));
    add("reason", record.decision.reason.clone());
    add("cnt", number(record.response.count));
    let listed = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
    for (place, label, value) in [
        ("cs1", "purposeOfUse", record.purpose_of_use.clone()),
        ("cs2", "policies", listed(&record.decision.policies)),
        ("cs3", "route", record.route.clone()),
        ("cs4", "requestId", record.request_id.clone()),
        ("cs5", "session", record.session.clone()),
        ("cn1", "status", number(record.response.status.map(u64::from))),
        ("cn2", "withheld", number(record.response.withheld)),
    ] {
        if value.is_some() {
            add(place, value);
            add(&format!("{place}Label"), Some(label.to_owned()));
        }
    }
    text.push_str(&extension.join(" "));
    let mut patients = String::new();
    for patient in &record.patients {
        let one = escaped(patient.expose());
        if text.len().saturating_add(patients.len()).saturating_add(one.len()).saturating_add(32) > room {
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
    text
}

/// In the header `\` and `|` stand behind a backslash.
fn header(text: &str) -> String {
    escape(text, |c| matches!(c, '\\' | '|'))
}

/// In the extension `\` and `=` do. What would end a line is not sent.
fn escaped(text: &str) -> String {
    escape(text, |c| matches!(c, '\\' | '='))
}

fn escape(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_special(c) {
            out.push('\\');
        }
        out.push(if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER });
    }
    out
}
