//! Who is in whose care, for pickers and administrators.

use std::collections::BTreeSet;

use chartgate_access::ids::{FhirUser, PatientId, Subject};
use chartgate_protocol::fhir::reference::Reference;

use super::{Looking, carer};
use crate::config::{CareFrom, CareTable, Route};
use crate::directory::{Carers, InCare};
use crate::pep::fhir::FhirUpstream;
use crate::pep::{Gateway, Upstream};

impl Gateway {
    /// Who is in somebody's care on each FHIR route, or on the one of this audience, by the name of the route.
    pub(in crate::pep) async fn in_care(
        &self,
        audience: Option<&str>,
        (subject, fhir_user): (&Subject, Option<&FhirUser>),
        wanted: Option<&PatientId>,
    ) -> Vec<(&str, InCare)> {
        let mut found = Vec::new();
        for (route, upstream) in self.fhir_routes(audience) {
            let mut in_care = InCare::default();
            let CareFrom { table, sources, .. } = &upstream.care.from;
            if let Some(person) = fhir_user.and_then(carer).filter(|_| !sources.is_empty()) {
                let wanted: BTreeSet<PatientId> = wanted.into_iter().cloned().collect();
                let looking = if wanted.is_empty() { Looking::AtAll } else { Looking::For(&wanted) };
                let relations = upstream.relations(&person, looking, &*self.clock).await;
                let told = |(patient, proof): (&PatientId, &Reference)| (patient.clone(), proof.to_string());
                in_care.by.extend(relations.proofs.iter().map(told));
                in_care.failed.clone_from(&relations.failed);
            }
            if *table == CareTable::Counts {
                let table = self.care.of(subject);
                in_care.by.extend(table.iter().map(|patient| (patient.clone(), "table".to_owned())));
            }
            found.push((route.name.as_str(), in_care));
        }
        // An audience without FHIR has nobody to ask.
        if found.is_empty() {
            let table = self.care.of(subject);
            let by = table.iter().map(|patient| (patient.clone(), "table".to_owned())).collect();
            found.push(("", InCare { by, failed: BTreeSet::new() }));
        }
        found
    }

    /// In whose care a patient is on each FHIR route.
    pub(in crate::pep) async fn carers_of(&self, patient: &PatientId) -> Vec<(&str, Carers)> {
        let mut found = Vec::new();
        for (route, upstream) in self.fhir_routes(None) {
            let (proven, failed) = upstream.carers_of(patient, self.clock.now()).await;
            let table = match upstream.care.from.table {
                CareTable::Counts => self.care.carers_of(patient),
                CareTable::Ignored => Vec::new(),
            };
            found.push((route.name.as_str(), Carers { table, proven, failed }));
        }
        found
    }

    pub(in crate::pep) fn fhir_routes(
        &self,
        audience: Option<&str>,
    ) -> impl Iterator<Item = (&Route, &FhirUpstream)> {
        self.gates.iter().filter_map(move |gate| match &gate.upstream {
            Upstream::Fhir(upstream) if audience.is_none_or(|audience| gate.route().audience == audience) => {
                Some((gate.route(), &**upstream))
            }
            Upstream::Fhir(_) | Upstream::Http(_) => None,
        })
    }
}
