//! Who is in the care of the caller of one request: by the care table, and by what the upstream says once that was asked.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use chartgate_access::ids::PatientId;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_values::Clock;

use crate::pep::fhir::{FhirUpstream, Looking, Relations};

/// Who is in the caller's care. What was found stays the same for all of a request.
pub(in crate::pep) struct Care<'a> {
    table: Arc<BTreeSet<PatientId>>,
    asking: Option<Asking<'a>>,
    found: OnceLock<Arc<Relations>>,
}

/// Where to ask for more.
pub(in crate::pep) struct Asking<'a> {
    pub(in crate::pep) upstream: &'a FhirUpstream,
    /// Who asks, as FHIR knows them.
    pub(in crate::pep) person: Reference,
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
    pub(in crate::pep) fn new(table: Arc<BTreeSet<PatientId>>, asking: Option<Asking<'a>>) -> Self {
        Self { table, asking, found: OnceLock::new() }
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
        if self.asking.is_none() {
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
        self.asking.is_some() && self.found.get().is_none()
    }

    /// Looks who is in the caller's care, with an eye on these patients.
    pub(super) async fn look_up(&self, patients: &BTreeSet<PatientId>) -> Known {
        let Some(Asking { upstream, person, clock }) = &self.asking else { return Known::AsBefore };
        if self.found.get().is_some() {
            return Known::AsBefore;
        }
        let found = upstream.relations(person, Looking::For(patients), *clock).await;
        // Another entry of the same batch may have been as quick; then that holds for this one as well.
        let _ = self.found.set(found);
        Known::More
    }
}
