//! Names for the patient picker: a search like any other, by the person who picks, with its own record.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::ids::PatientId;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::User;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_protocol::json;
use chartgate_values::Phi;
use http::StatusCode;
use serde_json::Value;

use super::upstream::FhirUpstream;
use crate::config::Route;
use crate::directory::DirectoryError;
use crate::net::origin::Origin;
use crate::pep::Gateway;

/// The names of these patients. Whom the upstream does not know has none; if it cannot be asked, nobody has.
pub(in crate::pep) async fn names(
    gateway: &Gateway,
    route: &Route,
    upstream: &FhirUpstream,
    origin: &Origin,
    user: &User,
    patients: &BTreeSet<PatientId>,
) -> Result<BTreeMap<PatientId, String>, DirectoryError> {
    if patients.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut found = BTreeMap::new();
    let mut reason = None;
    for id in patients {
        match upstream.patient(id).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                if let Some(name) = name(&answer.body, id) {
                    found.insert(id.clone(), name);
                }
            }
            Ok(_) => {}
            Err(fault) => {
                reason = Some(fault.to_string());
                break;
            }
        }
    }
    let outcome = if reason.is_some() { Outcome::Error } else { Outcome::Allow };
    let mut record = origin.record(Event::Access, outcome, gateway.clock.now());
    record.route = Some(route.name.clone());
    record.action = Some("search".to_owned());
    record.resource = Some(Phi::new("Patient".to_owned()));
    record.actor = Actor {
        sub: Some(user.name.to_string()),
        kind: ActorKind::Human,
        roles: user.roles.iter().map(ToString::to_string).collect(),
        ..Actor::default()
    };
    record.decision.reason = Some(reason.unwrap_or_else(|| "patient-picker".to_owned()));
    record.patients = found.keys().map(|id| Phi::new(id.to_string())).collect();
    record.response.count = u64::try_from(found.len()).ok();
    match gateway.journal.append(&record, Withheld::new(found)).await {
        Ok(recorded) => Ok(Withheld::release(recorded)),
        Err(_) => Err(DirectoryError::Unrecorded),
    }
}

/// "Family, Given (birth date)" of a Patient that has this id.
fn name(body: &[u8], id: &PatientId) -> Option<String> {
    let patient = json::parse(body, 64).ok()?;
    let text = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
    if text(&patient, "resourceType")? != "Patient" || text(&patient, "id")? != id.as_str() {
        return None;
    }
    let first = patient.pointer("/name/0")?;
    let given: Vec<&str> =
        first.get("given").and_then(Value::as_array)?.iter().filter_map(Value::as_str).collect();
    let name = format!("{}, {}", text(first, "family")?, given.join(" "));
    Some(match text(&patient, "birthDate") {
        Some(born) => format!("{name} ({born})"),
        None => name,
    })
}
