//! Which kinds of records a person lets an application have. SMART App Launch 2.2, "Finer-grained resource constraints".
//!
//! A person can give less than is asked for, by categories. What they choose are scopes that the asked ones include.

use chartgate_protocol::fhir::token::TokenValue;
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::categories::Category;
use chartgate_protocol::smart::scope::{Constraint, Level, SmartScope, TypePattern};

/// A type of which some kinds can be given and others not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The type.
    pub resource_type: String,
    /// The kinds to choose from.
    pub kinds: Vec<TokenValue>,
}

/// What there is to choose in what is asked for: nothing of a type that is asked for in another way too, which would give
/// all of it.
#[must_use]
pub fn choices(scope: &ScopeSet, details: &[AuthorizationDetail]) -> Vec<Choice> {
    let in_detail = |name: &String| {
        details.iter().any(|detail| match detail {
            AuthorizationDetail::FhirRecords(records) => records.datatypes.contains(name),
            AuthorizationDetail::EmergencyAccess(_) => true,
        })
    };
    let smart: Vec<SmartScope> = scope.iter().filter_map(|token| token.parse().ok()).collect();
    let mut choices: Vec<Choice> = Vec::new();
    for own in &smart {
        let TypePattern::One(name) = &own.types else { continue };
        // Where everything is asked of, whatever its level, keeping a part back would keep nothing back.
        let is_in_all = |all: &SmartScope| all.types == TypePattern::All && all.level != Level::System;
        if own.level == Level::System || in_detail(name) || smart.iter().any(is_in_all) {
            continue;
        }
        let kinds: Vec<TokenValue> = match category(own) {
            Some(asked) => asked.values().to_vec(),
            None => Category::of(name).filter_map(Category::value).collect(),
        };
        let at = choices.iter().position(|choice| choice.resource_type == *name);
        match at.and_then(|at| choices.get_mut(at)) {
            Some(choice) => {
                let new: Vec<_> = kinds.into_iter().filter(|kind| !choice.kinds.contains(kind)).collect();
                choice.kinds.extend(new);
            }
            None if kinds.is_empty() => {}
            None => choices.push(Choice { resource_type: name.clone(), kinds }),
        }
    }
    choices
}

/// The same without the records of a type that are of no chosen kind.
#[must_use]
pub fn narrowed(scope: &ScopeSet, resource_type: &str, chosen: &[TokenValue]) -> ScopeSet {
    let mut narrowed = ScopeSet::default();
    for token in scope.iter() {
        let smart = token.parse::<SmartScope>().ok();
        match smart.filter(|own| own.types == TypePattern::One(resource_type.to_owned())) {
            None => drop(narrowed.insert(token)),
            // A scope for each kind, as applications ask for them.
            Some(own) => {
                for kind in chosen {
                    if let Some(part) = part(&own, kind) {
                        let _ = narrowed.insert(&part.to_string());
                    }
                }
            }
        }
    }
    narrowed
}

/// What a scope says of one kind.
fn part(scope: &SmartScope, kind: &TokenValue) -> Option<SmartScope> {
    let TypePattern::One(name) = &scope.types else { return None };
    let of_kind = Constraint::new(name, CATEGORY, vec![kind.clone()]).ok()?;
    let fits = category(scope).is_none_or(|asked| asked.includes(&of_kind));
    let others = scope.constraints.iter().filter(|own| own.parameter() != of_kind.parameter()).cloned();
    let constraints = std::iter::once(of_kind.clone()).chain(others).collect();
    fits.then(|| SmartScope { constraints, ..scope.clone() })
}

fn category(scope: &SmartScope) -> Option<&Constraint> {
    scope.constraints.iter().find(|own| own.parameter().name() == CATEGORY)
}

const CATEGORY: &str = "category";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::covered;

    fn scope(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    #[test]
    fn kinds_of_a_whole_type_and_those_that_were_asked_for_can_be_chosen() {
        let asked = scope("openid patient/Observation.rs patient/Patient.rs patient/Condition.rs?category=x");
        let all = choices(&asked, &[]);
        let told: Vec<_> =
            all.iter().map(|choice| (choice.resource_type.as_str(), choice.kinds.len())).collect();
        assert_eq!(told, [("Condition", 1), ("Observation", 6)]);
        assert!(choices(&scope("system/Observation.rs"), &[]).is_empty());
    }

    #[test]
    fn nothing_is_offered_to_be_kept_back_that_is_given_in_another_way() {
        for asked in [
            "patient/*.rs patient/Observation.rs",
            "patient/*.rs user/Observation.rs",
            "user/*.rs patient/Observation.rs",
        ] {
            assert!(choices(&scope(asked), &[]).is_empty(), "{asked}");
        }
        let detail = serde_json::json!({
            "type": "fhir_records", "actions": ["read"], "datatypes": ["Observation"], "patients": ["p-1"],
        });
        let details = [serde_json::from_value(detail).unwrap()];
        let told = choices(&scope("patient/Observation.rs patient/Condition.rs"), &details);
        let types: Vec<_> = told.iter().map(|choice| choice.resource_type.as_str()).collect();
        assert_eq!(types, ["Condition"]);
    }

    #[test]
    fn what_is_chosen_is_asked_for_by_scopes_that_the_asked_one_includes() {
        let laboratory = Category::of("Observation").find(|own| own.code == "laboratory").unwrap();
        let survey = Category::of("Observation").find(|own| own.code == "survey").unwrap();
        let asked = scope("openid patient/Condition.rs patient/Observation.rs");
        let chosen = [laboratory.value().unwrap(), survey.value().unwrap()];
        let given = narrowed(&asked, "Observation", &chosen);
        let expected = [
            "openid",
            "patient/Condition.rs",
            &laboratory.scope("patient", "rs"),
            &survey.scope("patient", "rs"),
        ];
        assert_eq!(given.to_string(), expected.join(" "));
        assert_eq!(covered(&asked, &given), given);
        assert_eq!(narrowed(&asked, "Observation", &[]).to_string(), "openid patient/Condition.rs");
        // Other constraints stay, and kinds that were not asked for are not added.
        let asked = scope("user/Observation.rs?category=a,b&status=final");
        let given = narrowed(&asked, "Observation", &["b".parse().unwrap(), "c".parse().unwrap()]);
        assert_eq!(given.to_string(), "user/Observation.rs?category=b&status=final");
        assert_eq!(covered(&asked, &given), given);
    }
}
