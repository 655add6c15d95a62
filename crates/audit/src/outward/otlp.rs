//! OpenTelemetry's log records, in the JSON of OTLP 1.x, and what a collector answers.

use serde_json::{Value, json};

use super::particulars::particulars_but;
use super::topic::outcome;
use super::{Shown, Source, exposed, words};
use crate::record::Outcome;

/// What is a number or a list, or has a name already.
const PLACED: [&str; 10] = [
    "actor_kind",
    "on_behalf_of",
    "policies",
    "obligations",
    "amr",
    "status",
    "count",
    "withheld",
    "bytes",
    "entry",
];

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
        text("chartgate.outcome", outcome(record)),
        text("chartgate.actor.kind", record.actor.kind.as_str()),
    ];
    for (name, value) in [
        ("user.id", record.actor.sub.as_deref()),
        ("chartgate.client_id", record.actor.client_id.as_deref()),
        ("chartgate.resource", exposed(record.resource.as_ref())),
        ("chartgate.reason", record.decision.reason.as_deref()),
        ("chartgate.sealed", entry.sealed.as_ref().map(|month| month.as_str())),
    ] {
        attributes.extend(value.map(|value| text(name, value)));
    }
    for (name, value) in particulars_but(record, &PLACED) {
        let name = match name {
            "source_ip" => "client.address",
            "method" => "http.request.method",
            "session" => "session.id",
            name => &format!("chartgate.{name}"),
        };
        attributes.push(text(name, &value));
    }
    for (name, value) in [
        ("http.response.status_code", record.response.status.map(u64::from)),
        ("chartgate.count", record.response.count),
        ("chartgate.withheld", record.response.withheld),
        ("chartgate.bytes", record.response.bytes),
        ("chartgate.entry", record.entry.map(u64::from)),
    ] {
        attributes.extend(value.map(|value| number(name, value)));
    }
    for (name, list) in [
        ("user.roles", record.actor.roles.clone()),
        ("chartgate.on_behalf_of", words::delegates(record)),
        ("chartgate.policies", record.decision.policies.clone()),
        ("chartgate.obligations", record.decision.obligations.clone()),
        ("chartgate.amr", record.amr.clone()),
        ("chartgate.patients", record.patients.iter().map(|patient| patient.expose().clone()).collect()),
        ("chartgate.digests", record.response.digests.iter().map(|digest| digest.expose().clone()).collect()),
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

fn texts(name: &str, values: &[String]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({ "stringValue": value })).collect();
    json!({ "key": name, "value": { "arrayValue": { "values": values } } })
}

/// A collector's answer that does not say that it took all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotTaken {
    /// It is no such answer.
    NoAnswer,
    /// It did not take some.
    Some,
}

/// Whether a collector took all. OTLP 1.x, "Partial Success": nothing and `{}` say so, and a rejection is any number but zero, under
/// either of the names that Protocol Buffers' JSON has for it.
///
/// # Errors
/// [`NotTaken`].
pub fn all_taken(answer: &[u8]) -> Result<(), NotTaken> {
    if answer.trim_ascii().is_empty() {
        return Ok(());
    }
    let answer: Value = serde_json::from_slice(answer).map_err(|_| NotTaken::NoAnswer)?;
    let partial = member(&answer, "partialSuccess", "partial_success")?;
    let rejected = match partial {
        None | Some(Value::Null) => None,
        Some(partial) => member(partial, "rejectedLogRecords", "rejected_log_records")?,
    };
    let is_nothing = match rejected {
        None | Some(Value::Null) => true,
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        // 64-bit numbers are text in Protocol Buffers' JSON.
        Some(Value::String(text)) => text.trim() == "0",
        Some(_) => return Err(NotTaken::NoAnswer),
    };
    if is_nothing { Ok(()) } else { Err(NotTaken::Some) }
}

fn member<'v>(of: &'v Value, name: &str, former: &str) -> Result<Option<&'v Value>, NotTaken> {
    let object = of.as_object().ok_or(NotTaken::NoAnswer)?;
    Ok(object.get(name).or_else(|| object.get(former)))
}
