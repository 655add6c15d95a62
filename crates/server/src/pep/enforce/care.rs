//! What one request knows of the patients whose records it is about: who is in its caller's care, by the care table and by
//! what the upstream says once that was asked; which are minors; and what they have forbidden.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use chartgate_access::ids::PatientId;
use chartgate_protocol::fhir::name::ResourceId;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_values::{Clock, Timestamp};

use crate::pep::fhir::{Age, FhirUpstream, Looking, Relations, Restrictions};

/// Who is in the caller's care. What was found stays the same for all of a request.
pub(in crate::pep) struct Care<'a> {
    table: Arc<BTreeSet<PatientId>>,
    asking: Asking<'a>,
    found: OnceLock<Arc<Relations>>,
    consents: RwLock<BTreeMap<PatientId, Arc<Restrictions>>>,
    ages: RwLock<BTreeMap<PatientId, Age>>,
}

/// Where to ask for more.
pub(in crate::pep) struct Asking<'a> {
    pub(in crate::pep) upstream: &'a FhirUpstream,
    /// Whom to ask for, as FHIR knows them; `None` where the table alone counts.
    pub(in crate::pep) person: Option<Reference>,
    pub(in crate::pep) clock: &'a dyn Clock,
}

/// Whether more is known than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "what was decided before is decided anew"]
pub(in crate::pep) enum Known {
    AsBefore,
    More,
}

impl<'a> Care<'a> {
    pub(in crate::pep) fn new(table: Arc<BTreeSet<PatientId>>, asking: Asking<'a>) -> Self {
        Self { table, asking, found: OnceLock::new(), consents: RwLock::default(), ages: RwLock::default() }
    }

    /// Of which FHIR the records are.
    pub(super) fn version(&self) -> FhirVersion {
        self.asking.upstream.version()
    }

    pub(super) fn in_table(&self, patient: &PatientId) -> bool {
        self.table.contains(patient)
    }

    pub(super) fn is_in_care(&self, patient: &PatientId) -> bool {
        self.in_table(patient) || self.found.get().is_some_and(|found| found.by(patient).is_some())
    }

    /// All patients in the caller's care, as far as was looked.
    pub(super) fn patients(&self) -> BTreeSet<PatientId> {
        let found = self.found.get().into_iter().flat_map(|found| found.patients());
        self.table.iter().chain(found).cloned().collect()
    }

    /// By what each of these patients is in the caller's care; nothing where the table alone counts.
    pub(super) fn by(&self, patients: &BTreeSet<PatientId>) -> Vec<String> {
        if self.asking.person.is_none() {
            return Vec::new();
        }
        let found = self.found.get();
        let by = |patient: &PatientId| match self.in_table(patient) {
            true => Some("table".to_owned()),
            false => found.and_then(|found| found.by(patient)).map(ToString::to_string),
        };
        patients.iter().filter_map(by).collect()
    }

    /// Which look-ups failed.
    pub(super) fn failed(&self) -> BTreeSet<String> {
        self.found.get().map(|found| found.failed().clone()).unwrap_or_default()
    }

    /// Whether there is somebody to ask, who was not asked yet.
    pub(super) fn is_open(&self) -> bool {
        self.asking.person.is_some() && self.found.get().is_none()
    }

    /// Looks who is in the caller's care, with an eye on these patients.
    pub(super) async fn look_up(&self, patients: &BTreeSet<PatientId>) -> Known {
        let Asking { upstream, person: Some(person), clock } = &self.asking else { return Known::AsBefore };
        if self.found.get().is_some() {
            return Known::AsBefore;
        }
        let found = upstream.relations(person, Looking::For(patients), *clock).await;
        // Another entry of the same batch may have been as quick; then that holds for this one as well.
        let _ = self.found.set(found);
        Known::More
    }

    /// The Organizations of which everybody here is, if Consents are looked at, and if that is known.
    pub(super) fn consents_are_looked_at(&self) -> Option<Option<&BTreeSet<ResourceId>>> {
        self.asking.upstream.consents_are_looked_at()
    }

    /// What these patients have forbidden; `None` if that was not looked at for each of them yet.
    pub(super) fn consents_of(&self, patients: &BTreeSet<PatientId>) -> Option<Vec<Arc<Restrictions>>> {
        let known = self.consents.read().unwrap_or_else(PoisonError::into_inner);
        patients.iter().map(|patient| known.get(patient).cloned()).collect()
    }

    /// Looks at what these patients have forbidden.
    pub(super) async fn look_at_consents(&self, patients: &BTreeSet<PatientId>) {
        let Asking { upstream, clock, .. } = &self.asking;
        let found = upstream.consents_of(patients, *clock).await;
        let mut known = self.consents.write().unwrap_or_else(PoisonError::into_inner);
        // What was found before stays the same for all of a request.
        for (patient, own) in found {
            known.entry(patient).or_insert(own);
        }
    }

    /// Whether records of minors are labelled.
    pub(super) fn minors_are_labelled(&self) -> bool {
        self.asking.upstream.labels_minors()
    }

    /// Which of these patients are minors; `None` if that was not looked at for each of them yet.
    pub(super) fn ages_of(&self, patients: &BTreeSet<PatientId>) -> Option<Vec<Age>> {
        let known = self.ages.read().unwrap_or_else(PoisonError::into_inner);
        patients.iter().map(|patient| known.get(patient).copied()).collect()
    }

    /// Looks which of these patients are minors.
    pub(super) async fn look_at_ages(&self, patients: &BTreeSet<PatientId>) {
        let Asking { upstream, clock, .. } = &self.asking;
        let found = upstream.ages_of(patients, *clock).await;
        let mut known = self.ages.write().unwrap_or_else(PoisonError::into_inner);
        for (patient, age) in found {
            known.entry(patient).or_insert(age);
        }
    }

    /// When it is.
    pub(super) fn now(&self) -> Timestamp {
        self.asking.clock.now()
    }
}
