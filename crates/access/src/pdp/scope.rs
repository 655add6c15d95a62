//! What a token's SMART scopes reach. SMART App Launch 2.2.

use chartgate_protocol::smart::scope::{Level, Permission};

use super::caller::{Caller, CallerKind};
use super::relation::Belongs;

/// How far the scopes reach for one permission on one type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Not at all.
    Nothing,
    /// The record of the patient in context, and what belongs to nobody.
    PatientInContext,
    /// Whatever policy allows.
    Policy,
}

impl Caller {
    /// How far this caller's scopes reach.
    ///
    /// `user/` scopes count for people, `system/` for programs, `patient/` where a patient is in context. A scope
    /// with search constraints counts for nothing until they are enforced.
    #[must_use]
    pub fn reach(&self, permission: Permission, resource_type: &str) -> Reach {
        let mut reach = Reach::Nothing;
        for scope in &self.smart {
            if !scope.permissions.contains(permission)
                || !scope.types.covers(resource_type)
                || !scope.constraints.is_empty()
            {
                continue;
            }
            match (scope.level, self.facts.kind) {
                (Level::User, CallerKind::Person) | (Level::System, CallerKind::Workload) => {
                    return Reach::Policy;
                }
                (Level::Patient, _) if self.patient.is_some() => reach = Reach::PatientInContext,
                (Level::Patient | Level::User | Level::System, _) => {}
            }
        }
        reach
    }

    /// Whether a record lies within a reach.
    #[must_use]
    pub fn reaches(&self, reach: Reach, record: &Belongs) -> Within {
        let within = match (reach, record) {
            (Reach::Nothing, _) => false,
            (Reach::Policy, _) | (Reach::PatientInContext, Belongs::ToNobody) => true,
            (Reach::PatientInContext, Belongs::Unknown) => false,
            (Reach::PatientInContext, Belongs::To(patients)) => {
                !patients.is_empty() && patients.iter().all(|patient| Some(patient) == self.patient.as_ref())
            }
        };
        if within { Within::Yes } else { Within::No }
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
        assert_eq!(reach(Person, "patient/*.rs", Some("p")), Reach::PatientInContext);
        assert_eq!(reach(Person, "patient/*.rs", None), Reach::Nothing, "no context, no reach");
        assert_eq!(reach(Person, "user/*.s", None), Reach::Nothing);
        assert_eq!(reach(Person, "user/Patient.rs", None), Reach::Nothing);
        assert_eq!(reach(Person, "user/Observation.rs?category=laboratory", None), Reach::Nothing);
    }

    #[test]
    fn the_context_reaches_its_patient_and_what_is_nobodys() {
        let app = caller(CallerKind::Person, &["patient/*.rs"], Some("p"));
        let to = |ids: &[&str]| Belongs::To(ids.iter().map(|id| id.parse().unwrap()).collect());
        let within = |belongs| app.reaches(Reach::PatientInContext, &belongs);
        assert_eq!(within(to(&["p"])), Within::Yes);
        assert_eq!(within(Belongs::ToNobody), Within::Yes);
        assert_eq!(within(to(&["q"])), Within::No);
        assert_eq!(within(to(&["p", "q"])), Within::No);
        assert_eq!(within(Belongs::Unknown), Within::No);
        assert_eq!(app.reaches(Reach::Nothing, &Belongs::ToNobody), Within::No);
    }
}
