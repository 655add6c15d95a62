//! What a token's SMART scopes and details reach. SMART App Launch 2.2, RFC 9396.

use chartgate_protocol::fhir::token::{TokenParameter, TokenValue};
use chartgate_protocol::json::Node;
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

/// Of which records of a type a reach is asked.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Of any that there can be: as far as the widest scope reaches.
    Any,
    /// Of this one: scopes with search constraints count where it fulfils them.
    This(&'a Node<'a>),
}

/// Whether scopes with search constraints bear on a type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Constrained {
    /// None does.
    No,
    /// One does, and another reaches records that it does not.
    InPart,
    /// All that reach the type have constraints. What any of them lets through has, for each parameter here, one of its
    /// values.
    To(Vec<(&'static TokenParameter, Vec<TokenValue>)>),
}

impl Caller {
    /// How far this caller's scopes and details reach.
    ///
    /// `user/` scopes count for people, `system/` for programs, `patient/` where a patient is in context. Details name their
    /// patients.
    #[must_use]
    pub fn reach(&self, permission: Permission, resource_type: &str, which: Which<'_>) -> Reach {
        let mut reach = Reach::Nothing;
        for scope in self.covering(permission, resource_type, which) {
            match (scope.level, self.facts.kind) {
                (Level::User, CallerKind::Person) | (Level::System, CallerKind::Workload) => {
                    return Reach::Policy;
                }
                (Level::Patient, _) if self.patient.is_some() => reach = Reach::NamedPatients,
                (Level::Patient | Level::User | Level::System, _) => {}
            }
        }
        if self.details.records.iter().any(|detail| detail.covers(permission, resource_type)) {
            reach = Reach::NamedPatients;
        }
        reach
    }

    /// The patients that the token names for one permission on one type.
    pub fn named_patients(
        &self,
        permission: Permission,
        resource_type: &str,
        which: Which<'_>,
    ) -> impl Iterator<Item = &PatientId> {
        let mut scopes = self.covering(permission, resource_type, which);
        let in_context = scopes.any(|scope| scope.level == Level::Patient);
        let details =
            self.details.records.iter().filter(move |detail| detail.covers(permission, resource_type));
        self.patient.iter().filter(move |_| in_context).chain(details.flat_map(RecordsOf::patients))
    }

    /// Whether a record of a type lies within what the token reaches.
    #[must_use]
    pub fn reaches(
        &self,
        permission: Permission,
        resource_type: &str,
        belongs: &Belongs,
        which: Which<'_>,
    ) -> Within {
        let is_named =
            |patient| self.named_patients(permission, resource_type, which).any(|named| named == patient);
        let within = match (self.reach(permission, resource_type, which), belongs) {
            (Reach::Nothing, _) => false,
            (Reach::Policy, _) | (Reach::NamedPatients, Belongs::ToNobody) => true,
            (Reach::NamedPatients, Belongs::Unknown) => false,
            (Reach::NamedPatients, Belongs::To(patients)) => {
                !patients.is_empty() && patients.iter().all(is_named)
            }
        };
        if within { Within::Yes } else { Within::No }
    }

    /// Whether records of a type are withheld for what stands in them.
    #[must_use]
    pub fn constrained(&self, permission: Permission, resource_type: &str) -> Constrained {
        let scopes = || self.covering(permission, resource_type, Which::Any);
        if scopes().all(|scope| scope.constraints.is_empty()) {
            return Constrained::No;
        }
        let detailed = self.details.records.iter().any(|detail| detail.covers(permission, resource_type));
        if detailed || scopes().any(|scope| scope.constraints.is_empty()) {
            return Constrained::InPart;
        }
        // A parameter that one of the scopes does not speak of says nothing about all that may leave.
        let mut common: Vec<(&'static TokenParameter, Vec<TokenValue>)> = Vec::new();
        for first in scopes().take(1).flat_map(|scope| &scope.constraints) {
            let own = |scope: &SmartScope| {
                let constraint = scope.constraints.iter().find(|own| own.parameter() == first.parameter());
                constraint.map(|own| own.values().to_vec())
            };
            if let Some(values) = scopes().map(own).collect::<Option<Vec<_>>>() {
                common.push((first.parameter(), values.concat()));
            }
        }
        Constrained::To(common)
    }

    fn covering<'c>(
        &'c self,
        permission: Permission,
        resource_type: &str,
        which: Which<'_>,
    ) -> impl Iterator<Item = &'c SmartScope> {
        self.smart.iter().filter(move |scope| {
            scope.permissions.contains(permission)
                && scope.types.covers(resource_type)
                && match which {
                    Which::Any => true,
                    Which::This(record) => scope.holds(record),
                }
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

    use chartgate_protocol::fhir::token::list;
    use chartgate_protocol::json;
    use proptest::prelude::*;

    use super::super::caller::Details;
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
            details: Details::default(),
            patient: patient.map(|p| p.parse().unwrap()),
            fhir_user: None,
        }
    }

    #[test]
    fn each_level_counts_for_its_kind_of_caller_alone() {
        use CallerKind::{Person, Workload};
        let reach = |kind, scope, patient| {
            caller(kind, &[scope], patient).reach(Permission::Read, "Observation", Which::Any)
        };
        assert_eq!(reach(Person, "user/*.rs", None), Reach::Policy);
        assert_eq!(reach(Workload, "user/*.rs", None), Reach::Nothing);
        assert_eq!(reach(Workload, "system/*.rs", None), Reach::Policy);
        assert_eq!(reach(Person, "system/*.rs", None), Reach::Nothing);
        assert_eq!(reach(Person, "patient/*.rs", Some("p")), Reach::NamedPatients);
        assert_eq!(reach(Person, "patient/*.rs", None), Reach::Nothing, "no context, no reach");
        assert_eq!(reach(Person, "user/*.s", None), Reach::Nothing);
        assert_eq!(reach(Person, "user/Patient.rs", None), Reach::Nothing);
    }

    #[test]
    fn the_context_reaches_its_patient_and_what_is_nobodys() {
        let app = caller(CallerKind::Person, &["patient/*.rs"], Some("p"));
        let to = |ids: &[&str]| Belongs::To(ids.iter().map(|id| id.parse().unwrap()).collect());
        let within = |belongs| app.reaches(Permission::Read, "Observation", &belongs, Which::Any);
        assert_eq!(within(to(&["p"])), Within::Yes);
        assert_eq!(within(Belongs::ToNobody), Within::Yes);
        assert_eq!(within(to(&["q"])), Within::No);
        assert_eq!(within(to(&["p", "q"])), Within::No);
        assert_eq!(within(Belongs::Unknown), Within::No);
        let create = app.reaches(Permission::Create, "Observation", &Belongs::ToNobody, Which::Any);
        assert_eq!(create, Within::No);
    }

    const LABORATORY: &str =
        r#"{"resourceType":"Observation","category":[{"coding":[{"code":"laboratory"}]}]}"#;
    const VITALS: &str = r#"{"resourceType":"Observation","category":[{"coding":[{"code":"vital-signs"}]}]}"#;

    #[test]
    fn smart_370_a_constrained_scope_reaches_the_records_that_fulfil_it_and_no_others() {
        let scopes = ["user/Observation.r?category=laboratory", "patient/Observation.rs", "user/Condition.r"];
        let app = caller(CallerKind::Person, &scopes, Some("p"));
        let within = |text: &str, patient: &str| {
            let record = json::parse(text.as_bytes(), 16).unwrap();
            let belongs = Belongs::To(BTreeSet::from([patient.parse().unwrap()]));
            app.reaches(Permission::Read, "Observation", &belongs, Which::This(&record))
        };
        assert_eq!((within(LABORATORY, "q"), within(LABORATORY, "p")), (Within::Yes, Within::Yes));
        assert_eq!((within(VITALS, "q"), within(VITALS, "p")), (Within::No, Within::Yes));
        assert_eq!(app.reach(Permission::Read, "Observation", Which::Any), Reach::Policy);
        assert_eq!(app.constrained(Permission::Read, "Observation"), Constrained::InPart);
        assert_eq!(app.constrained(Permission::Search, "Observation"), Constrained::No);
        assert_eq!(app.constrained(Permission::Read, "Condition"), Constrained::No);
    }

    #[test]
    fn what_all_scopes_ask_of_a_record_is_known_before_it_is_fetched() {
        let common = |scopes: &[&str]| match caller(CallerKind::Person, scopes, None)
            .constrained(Permission::Read, "Observation")
        {
            Constrained::To(common) => common
                .iter()
                .map(|(parameter, values)| format!("{}={}", parameter.name(), list(values)))
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let (one, other) = ("user/Observation.r?category=a&status=final", "user/Observation.r?category=b,c");
        assert_eq!(common(&[one, other]), ["category=a,b,c"]);
        assert_eq!(common(&[one]), ["category=a", "status=final"]);
        assert!(common(&[one, "user/Observation.r?code=x"]).is_empty());
    }

    proptest! {
        #[test]
        fn smart_370_no_record_without_a_matching_category_is_within_reach(
            kinds in prop::collection::vec("[ab]|laboratory|vital-signs", 0..4), system in prop::option::of("[st]"),
        ) {
            let system = system.map(|s| format!(r#","system":"{s}""#)).unwrap_or_default();
            let codings: Vec<_> = kinds.iter().map(|k| format!(r#"{{"coding":[{{"code":"{k}"{system}}}]}}"#)).collect();
            let text = format!(r#"{{"resourceType":"Observation","category":[{}]}}"#, codings.join(","));
            let record = json::parse(text.as_bytes(), 16).unwrap();
            let scope = "user/Observation.cruds?category=laboratory";
            let app = caller(CallerKind::Person, &[scope, "user/Condition.cruds", "patient/Condition.rs"], Some("p"));
            for permission in [Permission::Read, Permission::Search, Permission::Create, Permission::Update] {
                let within = app.reaches(permission, "Observation", &Belongs::ToNobody, Which::This(&record));
                prop_assert_eq!(within == Within::Yes, kinds.iter().any(|kind| kind == "laboratory"));
            }
        }
    }
}
