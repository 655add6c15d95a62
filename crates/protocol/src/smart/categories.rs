//! Kinds of records that people tell apart: the categories for which US Core 6.1 asks scopes. 45 CFR 170.315(g)(10).

use crate::fhir::token::TokenValue;

/// A category of one type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Category {
    /// The type.
    pub resource_type: &'static str,
    /// Of its code.
    pub system: &'static str,
    /// The code.
    pub code: &'static str,
    /// What it means, to a patient.
    pub words: &'static str,
}

impl Category {
    /// Those that can be chosen among a type's records.
    pub fn of(resource_type: &str) -> impl Iterator<Item = &'static Self> {
        ALL.iter().filter(move |category| category.resource_type == resource_type)
    }

    /// All.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ALL.iter()
    }

    /// As the value of a search.
    #[must_use]
    pub fn value(&self) -> Option<TokenValue> {
        TokenValue::of(self.system, self.code).ok()
    }

    /// The scope that asks for it alone.
    #[must_use]
    pub fn scope(&self, level: &str, permissions: &str) -> String {
        let Self { resource_type, system, code, .. } = self;
        format!("{level}/{resource_type}.{permissions}?category={system}|{code}")
    }
}

const OBSERVATION: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const CONDITION: &str = "http://terminology.hl7.org/CodeSystem/condition-category";

const fn category(
    resource_type: &'static str,
    system: &'static str,
    code: &'static str,
    words: &'static str,
) -> Category {
    Category { resource_type, system, code, words }
}

static ALL: [Category; 9] = [
    category("Condition", CONDITION, "problem-list-item", "Problems on the problem list"),
    category("Condition", CONDITION, "encounter-diagnosis", "Diagnoses made at visits"),
    category(
        "Condition",
        "http://hl7.org/fhir/us/core/CodeSystem/condition-category",
        "health-concern",
        "Health concerns",
    ),
    category("Observation", OBSERVATION, "laboratory", "Laboratory results"),
    category("Observation", OBSERVATION, "vital-signs", "Vital signs, such as weight and blood pressure"),
    category("Observation", OBSERVATION, "social-history", "Habits and way of life, such as smoking"),
    category("Observation", OBSERVATION, "survey", "Answers to questionnaires"),
    category(
        "Observation",
        "http://hl7.org/fhir/us/core/CodeSystem/us-core-category",
        "sdoh",
        "Circumstances of life, such as housing and food",
    ),
    category(
        "Observation",
        "http://hl7.org/fhir/us/core/CodeSystem/us-core-observation-category",
        "clinical-test",
        "Other clinical tests",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smart::scope::{SmartScope, TypePattern};

    #[test]
    fn each_can_be_asked_for_by_a_scope_of_its_own() {
        for category in Category::all() {
            let scope: SmartScope = category.scope("patient", "rs").parse().unwrap();
            assert_eq!(scope.types, TypePattern::One(category.resource_type.to_owned()));
            assert_eq!(scope.constraints[0].values(), [category.value().unwrap()]);
        }
    }
}
