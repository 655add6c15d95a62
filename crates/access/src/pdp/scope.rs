//! What a token's SMART scopes and details reach. SMART App Launch 2.2, RFC 9396.

use chartgate_protocol::smart::scope::{Level, Permission, SmartScope};

use super::caller::{Caller, CallerKind, RecordsOf};
use super::relation::Belongs;
use crate::ids::PatientId;

/// How far a token reaches for one permission on one type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Not at all.
    Nothing,
    /// The records of patients that it names, and what belongs to nobody.
    NamedPatients,
    /// Whatever policy allows.
    Policy,
}

impl Caller {
    /// How far this caller's scopes and details reach.
    ///
    /// `user/` scopes count for people, `system/` for programs, `patient/` where a patient is in context. A scope
    /// with search constraints counts for nothing until they are enforced. Details name their patients.
    #[must_use]
    pub fn reach(&self, permission: Permission, resource_type: &str) -> Reach {
        let mut reach = Reach::Nothing;
        for scope in self.covering(permission, resource_type) {
            match (scope.level, self.facts.kind) {
                (Level::User, CallerKind::Person) | (Level::System, CallerKind::Workload) => {
                    return Reach::Policy;
                }
                (Level::Patient, _) if self.patient.is_some() => reach = Reach::NamedPatients,
                (Level::Patient | Level::User | Level::System, _) => {}
            }
        }
        if self.details.iter().any(|detail| detail.covers(permission, resource_type)) {
            reach = Reach::NamedPatients;
        }
        reach
    }

    /// The patients that the token names for one permission on one type.
    pub fn named_patients(
        &self,
        permission: Permission,
        resource_type: &str,
    ) -> impl Iterator<Item = &PatientId> {
        let mut scopes = self.covering(permission, resource_type);
        let in_context = scopes.any(|scope| scope.level == Level::Patient);
        let details = self.details.iter().filter(move |detail| detail.covers(permission, resource_type));
        self.patient.iter().filter(move |_| in_context).chain(details.flat_map(RecordsOf::patients))
    }

    /// Whether a record of a type lies within what the token reaches.
    #[must_use]
    pub fn reaches(&self, permission: Permission, resource_type: &str, record: &Belongs) -> Within {
        let is_named = |patient| self.named_patients(permission, resource_type).any(|named| named == patient);
        let within = match (self.reach(permission, resource_type), record) {
            (Reach::Nothing, _) => false,
            (Reach::Policy, _) | (Reach::NamedPatients, Belongs::ToNobody) => true,
            (Reach::NamedPatients, Belongs::Unknown) => false,
            (Reach::NamedPatients, Belongs::To(patients)) => {
                !patients.is_empty() && patients.iter().all(is_named)
            }
        };
        if within { Within::Yes } else { Within::No }
    }

    fn covering(&self, permission: Permission, resource_type: &str) -> impl Iterator<Item = &SmartScope> {
        self.smart.iter().filter(move |scope| {
            scope.permissions.contains(permission)
                && scope.types.covers(resource_type)
                && scope.constraints.is_empty()
        })
    }
}

/// Whether a record lies within a reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Within {
    /// It does.
    Yes,
    /// It does not.
    No,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::pdp::caller::Facts;

    fn caller(kind: CallerKind, scopes: &[&str], patient: Option<&str>) -> Caller {
        Caller {
            facts: Facts {
                kind,
                subject: "s".parse().unwrap(),
                client_id: "c".parse().unwrap(),
                roles: BTreeSet::new(),
                acr: None,
                amr: BTreeSet::new(),
                purpose_of_use: None,
            },
            smart: scopes.iter().map(|s| s.parse().unwrap()).collect(),
            scopes: BTreeSet::new(),
            details: Vec::new(),
            patient: patient.map(|p| p.parse().unwrap()),
            fhir_user: None,
        }
    }

    #[test]
    fn each_level_counts_for_its_kind_of_caller_alone() {
        use CallerKind::{Person, Workload};
        let reach =
            |kind, scope, patient| caller(kind, &[scope], patient).reach(Permission::Read, "Observation");
        assert_eq!(reach(Person, "user/*.rs", None), Reach::Policy);
        assert_eq!(reach(Workload, "user/*.rs", None), Reach::Nothing);
        assert_eq!(reach(Workload, "system/*.rs", None), Reach::Policy);
        assert_eq!(reach(Person, "system/*.rs", None), Reach::Nothing);
        assert_eq!(reach(Person, "patient/*.rs", Some("p")), Reach::NamedPatients);
        assert_eq!(reach(Person, "patient/*.rs", None), Reach::Nothing, "no context, no reach");
        assert_eq!(reach(Person, "user/*.s", None), Reach::Nothing);
        assert_eq!(reach(Person, "user/Patient.rs", None), Reach::Nothing);
        assert_eq!(reach(Person, "user/Observation.rs?category=laboratory", None), Reach::Nothing);
    }

    #[test]
    fn the_context_reaches_its_patient_and_what_is_nobodys() {
        let app = caller(CallerKind::Person, &["patient/*.rs"], Some("p"));
        let to = |ids: &[&str]| Belongs::To(ids.iter().map(|id| id.parse().unwrap()).collect());
        let within = |belongs| app.reaches(Permission::Read, "Observation", &belongs);
        assert_eq!(within(to(&["p"])), Within::Yes);
        assert_eq!(within(Belongs::ToNobody), Within::Yes);
        assert_eq!(within(to(&["q"])), Within::No);
        assert_eq!(within(to(&["p", "q"])), Within::No);
        assert_eq!(within(Belongs::Unknown), Within::No);
        assert_eq!(app.reaches(Permission::Create, "Observation", &Belongs::ToNobody), Within::No);
    }
}
