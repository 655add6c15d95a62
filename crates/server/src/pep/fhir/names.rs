//! Names for the patient picker: a search like any other, by the person who picks, with its own record.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::ids::PatientId;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::User;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::searchset::{Disposition, Links, Searchset};
use chartgate_protocol::json::Node;
use chartgate_values::Phi;
use http::StatusCode;

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
    let (found, reason) = match upstream.patients(patients).await {
        Ok(answer) if answer.status == StatusCode::OK => {
            (read(&answer.body, upstream, patients), "patient-picker".to_owned())
        }
        Ok(answer) => (BTreeMap::new(), format!("upstream-answered-{}", answer.status.as_u16())),
        Err(fault) => (BTreeMap::new(), format!("upstream {fault}")),
    };
    let outcome = if reason == "patient-picker" { Outcome::Allow } else { Outcome::Error };
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
    record.decision.reason = Some(reason);
    record.patients = found.keys().map(|id| Phi::new(id.to_string())).collect();
    record.response.count = u64::try_from(found.len()).ok();
    match gateway.journal.append(&record, Withheld::new(found)).await {
        Ok(recorded) => Ok(Withheld::release(recorded)),
        Err(_) => Err(DirectoryError::Unrecorded),
    }
}

/// The names of the patients that were asked for and found.
fn read(body: &[u8], upstream: &FhirUpstream, asked: &BTreeSet<PatientId>) -> BTreeMap<PatientId, String> {
    let mut found = BTreeMap::new();
    let Ok(searchset) = Searchset::parse(body, ResourceType::PATIENT, &upstream.bases) else { return found };
    let nowhere = Links { own: "", next: None };
    searchset.release(nowhere, &upstream.bases, |resource| {
        let id = resource.reference().id.as_str().parse::<PatientId>().ok().filter(|id| asked.contains(id));
        found.extend(id.zip(name(resource.value())));
        Disposition::Withhold
    });
    found
}

/// "Family, Given (birth date)" of a Patient.
fn name(patient: &Node<'_>) -> Option<String> {
    let text = |value: &Node<'_>, member: &str| value.get(member).and_then(Node::as_str).map(str::to_owned);
    let first = patient.get("name")?.as_array()?.first()?;
    let given: Vec<&str> =
        first.get("given").and_then(Node::as_array)?.iter().filter_map(Node::as_str).collect();
    let name = format!("{}, {}", text(first, "family")?, given.join(" "));
    Some(match text(patient, "birthDate") {
        Some(born) => format!("{name} ({born})"),
        None => name,
    })
}
