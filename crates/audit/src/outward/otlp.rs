//! OpenTelemetry's log records, in the JSON of OTLP 1.x, and what a collector answers.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shown, Source, exposed, words};
use crate::record::Outcome;

/// An `ExportLogsServiceRequest` of these entries.
#[must_use]
pub fn request(entries: &[Shown], source: &Source) -> Value {
    let records: Vec<Value> = entries.iter().map(|entry| log_record(entry, source)).collect();
    let resource = [
        text("service.name", "chartgate"),
        text("service.version", source.version),
        text("host.name", &source.host),
    ];
    json!({ "resourceLogs": [{
        "resource": { "attributes": resource },
        "scopeLogs": [{ "scope": { "name": "chartgate.audit", "version": source.version }, "logRecords": records }],
    }] })
}

fn log_record(shown: &Shown, source: &Source) -> Value {
    let entry = shown.entry();
    let record = &entry.record;
    let (severity, severity_name) = match record.outcome {
        Outcome::Allow => (9, "INFO"),
        Outcome::Deny => (13, "WARN"),
        Outcome::Error => (17, "ERROR"),
    };
    // 64-bit numbers are text in Protocol Buffers' JSON.
    let nanoseconds = i128::from(record.time.as_micros()).saturating_mul(1000).max(0).to_string();
    let mut attributes = vec![
        number("chartgate.index", entry.index),
        text("chartgate.origin", &source.origin),
        text("chartgate.outcome", record.outcome.as_str()),
        text("chartgate.actor.kind", record.actor.kind.as_str()),
    ];
    let ip = record.source_ip.as_ref().map(|ip| ip.expose().to_string());
    for (name, value) in [
        ("user.id", record.actor.sub.as_deref()),
        ("client.address", ip.as_deref()),
        ("http.request.method", record.request.method.as_deref()),
        ("session.id", record.session.as_deref()),
        ("chartgate.client_id", record.actor.client_id.as_deref()),
        ("chartgate.fhir_user", exposed(record.actor.fhir_user.as_ref())),
        ("chartgate.action", record.action.as_deref()),
        ("chartgate.resource", exposed(record.resource.as_ref())),
        ("chartgate.purpose_of_use", record.purpose_of_use.as_deref()),
        ("chartgate.reason", record.decision.reason.as_deref()),
        ("chartgate.route", record.route.as_deref()),
        ("chartgate.request_id", record.request_id.as_deref()),
        ("chartgate.jti", record.jti.as_deref()),
        ("chartgate.grant", record.grant.as_deref()),
        ("chartgate.query", exposed(record.request.query.as_ref())),
        ("chartgate.sealed", entry.sealed.as_ref().map(|month| month.as_str())),
    ] {
        attributes.extend(value.map(|value| text(name, value)));
    }
    for (name, value) in [
        ("http.response.status_code", record.response.status.map(u64::from)),
        ("chartgate.count", record.response.count),
        ("chartgate.withheld", record.response.withheld),
        ("chartgate.entry", record.entry.map(u64::from)),
    ] {
        attributes.extend(value.map(|value| number(name, value)));
    }
    let patients: Vec<&str> = record.patients.iter().map(|patient| patient.expose().as_str()).collect();
    for (name, list) in [
        ("user.roles", record.actor.roles.iter().map(String::as_str).collect()),
        ("chartgate.policies", record.decision.policies.iter().map(String::as_str).collect()),
        ("chartgate.patients", patients),
    ] {
        attributes.extend((!list.is_empty()).then(|| texts(name, &list)));
    }
    let detail = record.detail.iter();
    attributes.extend(detail.map(|(name, value)| text(&format!("chartgate.detail.{name}"), value.expose())));
    json!({
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": severity,
        "severityText": severity_name,
        "eventName": format!("chartgate.{}", record.event),
        "body": { "stringValue": words::sentence(shown) },
        "attributes": attributes,
    })
}

fn text(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

fn number(name: &str, value: u64) -> Value {
    json!({ "key": name, "value": { "intValue": value.to_string() } })
}

fn texts(name: &str, values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({ "stringValue": value })).collect();
    json!({ "key": name, "value": { "arrayValue": { "values": values } } })
}

/// How many records a collector says that it did not take. OTLP 1.x, "Partial Success". What is no such answer says nothing.
#[must_use]
pub fn rejected(answer: &[u8]) -> u64 {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        partial_success: Option<Partial>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Partial {
        rejected_log_records: Option<Number>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }
    let answer = serde_json::from_slice::<Answer>(answer).ok();
    match answer.and_then(|answer| answer.partial_success?.rejected_log_records) {
        Some(Number::Number(number)) => number,
        // Whatever it is, it is not nothing.
        Some(Number::Text(text)) => text.parse().unwrap_or(1),
        None => 0,
    }
}
