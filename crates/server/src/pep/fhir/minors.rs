//! Which patients are minors, by the birth dates that the upstream has: asked with the gateway's own credential, for the
//! patients whose records a decision is about, and remembered for a short while.
//!
//! A birth date counts for the Patient whom it stands in, and only if they were asked for. Where it cannot be asked for or
//! read it is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chartgate_access::ids::PatientId;
use chartgate_protocol::fhir::base::BaseUrls;
use chartgate_protocol::fhir::birth::Birth;
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::labels::Labels;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::searchset::{Companions, Searchset, Sought};
use chartgate_values::{Clock, Timestamp};
use http::StatusCode;
use moka::sync::Cache;

use super::upstream::FhirUpstream;
use super::written::Writing;
use crate::config::MinorLabels;

/// What is known of birth dates, and whether they are asked for.
pub(super) struct Births {
    minors: MinorLabels,
    kept: Cache<PatientId, Kept>,
    /// How many writes of Patients went by.
    writes: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Kept {
    birth: Option<Birth>,
    as_of: Timestamp,
    writes: u64,
}

/// What is known of one patient's age.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pep) enum Age {
    Minor,
    Adult,
    Unknown,
}

/// Of a patient who is a minor.
pub(in crate::pep) const MINOR: &str = "minor";
/// Of a patient of whom that cannot be told.
pub(in crate::pep) const MINOR_UNKNOWN: &str = "minor:unknown";

impl Age {
    /// The labels that the ages of a record's patients give it.
    pub(in crate::pep) fn labels(ages: &[Self]) -> Labels {
        let mut labels = Labels::new();
        if ages.contains(&Self::Minor) {
            labels.insert(MINOR.to_owned());
        }
        // Of a minor and of somebody else: it cannot be told which of the two it is about.
        if ages.contains(&Self::Unknown) || (ages.contains(&Self::Minor) && ages.contains(&Self::Adult)) {
            labels.insert(MINOR_UNKNOWN.to_owned());
        }
        labels
    }
}

/// So many patients' birth dates are remembered.
const PATIENTS: u64 = 10_000;
/// For so many patients is asked at once.
const AT_ONCE: usize = 50;
/// A birth date is believed so long,
const LIFE: Duration = Duration::from_mins(1);
/// and that there is none.
const NEGATIVE: Duration = Duration::from_secs(10);

impl Births {
    pub(super) fn new(minors: MinorLabels, writes: Arc<AtomicU64>) -> Self {
        Self { minors, kept: Cache::new(PATIENTS), writes }
    }

    /// What is done when writes are over that may have written anything.
    pub(super) fn writing_anything(&self) -> Writing<'_> {
        Writing(&self.writes)
    }

    /// The same for these writes.
    pub(super) fn writing<'i>(
        &self,
        writes: impl IntoIterator<Item = &'i Interaction>,
    ) -> Option<Writing<'_>> {
        let is_one = |write: &Interaction| write.written_type() == Some(ResourceType::PATIENT);
        writes.into_iter().any(is_one).then_some(Writing(&self.writes))
    }

    fn known(&self, patient: &PatientId, now: Timestamp) -> Option<Option<Birth>> {
        let kept = self.kept.get(patient)?;
        let life = if kept.birth.is_some() { LIFE } else { NEGATIVE };
        let is_good = kept.as_of <= now
            && now.since(kept.as_of) < life
            && kept.writes == self.writes.load(Ordering::SeqCst);
        is_good.then_some(kept.birth)
    }
}

impl FhirUpstream {
    /// Whether records of minors are labelled.
    pub(in crate::pep) fn labels_minors(&self) -> bool {
        match self.births.minors {
            MinorLabels::Off => false,
            MinorLabels::Under(_) => true,
        }
    }

    /// Which of these patients are minors: an answer for each.
    pub(in crate::pep) async fn ages_of(
        &self,
        patients: &BTreeSet<PatientId>,
        clock: &dyn Clock,
    ) -> BTreeMap<PatientId, Age> {
        let now = clock.now();
        let age = |birth: Option<&Birth>| match self.births.minors {
            MinorLabels::Off => Age::Unknown,
            MinorLabels::Under(years) => match birth.and_then(|birth| birth.is_under(years, now)) {
                Some(true) => Age::Minor,
                Some(false) => Age::Adult,
                None => Age::Unknown,
            },
        };
        let mut ages = BTreeMap::new();
        let mut unknown = Vec::new();
        for patient in patients {
            match self.births.known(patient, now) {
                Some(birth) => drop(ages.insert(patient.clone(), age(birth.as_ref()))),
                None => unknown.push(patient.clone()),
            }
        }
        for some in unknown.chunks(AT_ONCE) {
            // Dated before it is asked.
            let (as_of, writes) = (clock.now(), self.births.writes.load(Ordering::SeqCst));
            let some: BTreeSet<PatientId> = some.iter().cloned().collect();
            let found = match self.patients(&some).await {
                Ok(answer) if answer.status == StatusCode::OK => births(&answer.body, &some, &self.bases),
                Ok(answer) => {
                    tracing::warn!(status = answer.status.as_u16(), "birth dates cannot be looked up");
                    BTreeMap::new()
                }
                Err(fault) => {
                    tracing::warn!(%fault, "birth dates cannot be looked up");
                    BTreeMap::new()
                }
            };
            for patient in some {
                let birth = found.get(&patient).cloned().flatten();
                ages.insert(patient.clone(), age(birth.as_ref()));
                self.births.kept.insert(patient, Kept { birth, as_of, writes });
            }
        }
        ages
    }
}

/// The birth dates of those who were asked for, by their own Patients; none of whom more than one is told.
fn births(body: &[u8], asked: &BTreeSet<PatientId>, bases: &BaseUrls) -> BTreeMap<PatientId, Option<Birth>> {
    let mut found = BTreeMap::<PatientId, Option<Birth>>::new();
    let sought = Sought::Type(ResourceType::PATIENT, Companions::None);
    let Ok(searchset) = Searchset::parse(body, sought, bases) else { return found };
    searchset.each(|resource| {
        let id = resource.reference().id.as_str().parse::<PatientId>().ok();
        if let Some(id) = id.filter(|id| asked.contains(id)) {
            let birth = Birth::of(resource.value());
            let known = found.entry(id).or_insert_with(|| birth.clone());
            if *known != birth {
                *known = None;
            }
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use chartgate_protocol::fhir::version::FhirVersion;

    #[test]
    fn a_birth_date_counts_for_the_patient_whom_it_stands_in() {
        let patient =
            |id: &str, born: &str| json!({ "resourceType": "Patient", "id": id, "birthDate": born });
        let records = [
            patient("kid", "2015"),
            patient("other", "2015"),
            patient("two", "2015"),
            patient("two", "1970"),
            patient("none", "long ago"),
            json!({ "resourceType": "Person", "id": "grown", "birthDate": "2015" }),
            json!({ "resourceType": "Patient", "id": "x", "birthDate": "2015",
                "contained": [patient("grown", "2015")], "link": [{ "other": { "reference": "Patient/grown" } }] }),
        ];
        let entries: Vec<_> = records
            .iter()
            .map(|record| {
                json!({ "resource": record, "search": { "mode": "match" },
            "fullUrl": "http://ehr/fhir/Patient/grown" })
            })
            .collect();
        let body = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string();
        let base = |text: &str| text.parse().unwrap();
        let bases = BaseUrls {
            public: base("https://gate/fhir"),
            upstream: base("http://ehr/fhir"),
            version: FhirVersion::R4,
        };
        let asked = ["kid", "grown", "two", "none"].map(|id| id.parse().unwrap()).into();
        let found = births(body.as_bytes(), &asked, &bases);
        let of = |id: &str| found.get(&id.parse::<PatientId>().unwrap()).cloned().flatten();
        assert_eq!(of("kid"), Birth::parse("2015"));
        for id in ["other", "two", "none", "grown", "x"] {
            assert_eq!(of(id), None, "{id}");
        }
        assert!(births(b"{}", &asked, &bases).is_empty());
    }
}
