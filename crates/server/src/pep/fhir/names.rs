//! What the pickers show: names of patients, encounters of one. A search like any other, by the person who picks, with its own
//! record.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chartgate_access::ids::PatientId;
use chartgate_access::permit::Withheld;
use chartgate_access::principal::User;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome};
use chartgate_protocol::fhir::bundle::{Links, Released};
use chartgate_protocol::fhir::labels::labels_of;
use chartgate_protocol::fhir::membership::{Membership, patients_of};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::json::Node;
use chartgate_values::Phi;
use http::StatusCode;

use super::upstream::{Answer, FhirUpstream};
use crate::config::Route;
use crate::directory::{DirectoryError, Encounter};
use crate::net::origin::Origin;
use crate::pep::Gateway;
use crate::pep::respond::UpstreamFault;

/// Somebody who picks, and where what they pick from is.
#[derive(Clone, Copy)]
pub(in crate::pep) struct Picking<'a> {
    pub(in crate::pep) gateway: &'a Gateway,
    pub(in crate::pep) route: &'a Route,
    pub(in crate::pep) upstream: &'a FhirUpstream,
    pub(in crate::pep) origin: &'a Origin,
    pub(in crate::pep) user: &'a User,
}

/// The names of these patients. Whom the upstream does not know has none; if it cannot be asked, nobody has.
pub(in crate::pep) async fn names(
    picking: &Picking<'_>,
    patients: &BTreeSet<PatientId>,
) -> Result<BTreeMap<PatientId, String>, DirectoryError> {
    if patients.is_empty() {
        return Ok(BTreeMap::new());
    }
    let upstream = picking.upstream;
    let open = picking.without_consents(patients).await;
    let found = body_of(upstream.patients(patients).await).map(|body| read(&body, upstream, &open));
    let told = found.as_ref().map(|found| found.keys().cloned().collect()).unwrap_or_default();
    picking.record(ResourceType::PATIENT, "patient-picker", told, found, BTreeMap::len).await
}

/// The latest encounters of a patient. None if the upstream cannot be asked.
pub(in crate::pep) async fn encounters(
    picking: &Picking<'_>,
    patient: &PatientId,
) -> Result<Vec<Encounter>, DirectoryError> {
    let Ok(resource_type) = "Encounter".parse::<ResourceType>() else { return Ok(Vec::new()) };
    let upstream = picking.upstream;
    let only = BTreeSet::from([patient.clone()]);
    let is_open = !picking.without_consents(&only).await.is_empty();
    let found = body_of(upstream.encounters(patient, LISTED).await).map(|body| match is_open {
        true => read_encounters(&body, resource_type, upstream, patient),
        false => Vec::new(),
    });
    picking
        .record(resource_type, "encounter-picker", BTreeSet::from([patient.clone()]), found, Vec::len)
        .await
}

/// What an upstream found, or why it found nothing.
fn body_of(answer: Result<Answer, UpstreamFault>) -> Result<Bytes, String> {
    match answer {
        Ok(answer) if answer.status == StatusCode::OK => Ok(answer.body),
        Ok(answer) => Err(format!("upstream-answered-{}", answer.status.as_u16())),
        Err(fault) => Err(format!("upstream {fault}")),
    }
}

impl Picking<'_> {
    /// Those of some patients who have forbidden nothing: what others have forbidden may be just this.
    async fn without_consents(&self, patients: &BTreeSet<PatientId>) -> BTreeSet<PatientId> {
        if self.upstream.consents_are_looked_at().is_none() {
            return patients.clone();
        }
        let consents = self.upstream.consents_of(patients, &*self.gateway.clock).await;
        consents.into_iter().filter(|(_, own)| !own.restrict()).map(|(patient, _)| patient).collect()
    }

    /// Gives away what was found once it is recorded, with those of whom it tells.
    async fn record<T: Default + Send>(
        &self,
        resource_type: ResourceType,
        why: &str,
        patients: BTreeSet<PatientId>,
        found: Result<T, String>,
        count: fn(&T) -> usize,
    ) -> Result<T, DirectoryError> {
        let (outcome, found, reason) = match found {
            Ok(found) => (Outcome::Allow, found, why.to_owned()),
            Err(reason) => (Outcome::Error, T::default(), reason),
        };
        let mut record = self.origin.record(Event::Access, outcome, self.gateway.clock.now());
        record.route = Some(self.route.name.clone());
        record.action = Some("search".to_owned());
        record.resource = Some(Phi::new(resource_type.to_string()));
        record.actor = Actor {
            sub: Some(self.user.name.to_string()),
            kind: ActorKind::Human,
            fhir_user: self.user.fhir_user.as_ref().map(|own| Phi::new(own.to_string())),
            roles: self.user.roles.iter().map(ToString::to_string).collect(),
            ..Actor::default()
        };
        record.decision.reason = Some(reason);
        record.patients = patients.iter().map(|id| Phi::new(id.to_string())).collect();
        record.response.count = u64::try_from(count(&found)).ok();
        match self.gateway.journal.append(&record, Withheld::new(found)).await {
            Ok(recorded) => Ok(Withheld::release(recorded)),
            Err(_) => Err(DirectoryError::Unrecorded),
        }
    }
}

/// The encounters that are this patient's and nobody else's.
fn read_encounters(
    body: &[u8],
    resource_type: ResourceType,
    upstream: &FhirUpstream,
    patient: &PatientId,
) -> Vec<Encounter> {
    let mut found = Vec::new();
    let Ok(searchset) =
        Searchset::parse(body, Sought::Type(resource_type, Companions::None), &upstream.bases)
    else {
        return Vec::new();
    };
    let nowhere = Links { own: "", next: None };
    let _: Released<()> = searchset.release(nowhere, &upstream.bases, |resource, _| {
        let is_theirs = match patients_of(resource.value(), &upstream.bases) {
            Membership::Patients(whose) => whose.iter().all(|id| id.as_str() == patient.as_str()),
            Membership::Nobody | Membership::Unknown => false,
        };
        // One with a label may be hidden from the person; here it is from everybody.
        if is_theirs && labels_of(resource.value()).is_empty() {
            let period = match upstream.version() {
                FhirVersion::R4 | FhirVersion::R4B => "period",
                FhirVersion::R5 => "actualPeriod",
            };
            let began = resource.value().get(period).and_then(|period| period.get("start")?.as_str());
            let title = title(resource.value(), began);
            found.push((began.map(str::to_owned), Encounter { id: resource.reference().id.clone(), title }));
        }
        Disposition::Withhold
    });
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.into_iter().map(|(_, encounter)| encounter).take(LISTED).collect()
}

/// "2024-03-12 09:00, outpatient visit" of an Encounter.
fn title(encounter: &Node<'_>, began: Option<&str>) -> String {
    let text = |node: &Node<'_>, member: &str| node.get(member).and_then(Node::as_str).map(str::to_owned);
    let kind = encounter.get("type").and_then(Node::as_array).and_then(|types| {
        let first = types.first()?;
        text(first, "text").or_else(|| text(first.get("coding")?.as_array()?.first()?, "display"))
    });
    // R5 has a list of concepts in the place of a coding.
    let class = encounter.get("class").and_then(|class| match class.as_array() {
        Some(classes) => classes.first()?.get("coding")?.as_array()?.first(),
        None => Some(class),
    });
    let class = class.and_then(|class| match class.get("code").and_then(Node::as_str) {
        Some("AMB") => Some("outpatient visit".to_owned()),
        Some("IMP" | "ACUTE" | "NONAC") => Some("hospital stay".to_owned()),
        Some("EMER") => Some("emergency visit".to_owned()),
        Some("HH") => Some("home visit".to_owned()),
        Some("VR") => Some("visit by phone or video".to_owned()),
        Some(_) | None => text(class, "display"),
    });
    let kind = kind.or(class).unwrap_or_else(|| "visit".to_owned());
    match began {
        Some(began) => format!("{}, {kind}", began.chars().take(16).collect::<String>().replace('T', " ")),
        None => kind,
    }
}

/// The names of the patients that were asked for and found.
fn read(body: &[u8], upstream: &FhirUpstream, asked: &BTreeSet<PatientId>) -> BTreeMap<PatientId, String> {
    let mut found = BTreeMap::new();
    let Ok(searchset) =
        Searchset::parse(body, Sought::Type(ResourceType::PATIENT, Companions::None), &upstream.bases)
    else {
        return found;
    };
    let nowhere = Links { own: "", next: None };
    let _: Released<()> = searchset.release(nowhere, &upstream.bases, |resource, _| {
        let id = resource.reference().id.as_str().parse::<PatientId>().ok().filter(|id| asked.contains(id));
        // A patient with a label is picked by id alone, for who that is may be hidden from the person.
        let name = name(resource.value()).filter(|_| labels_of(resource.value()).is_empty());
        found.extend(id.zip(name));
        Disposition::Withhold
    });
    found
}

/// The most encounters that are listed.
const LISTED: usize = 50;

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
