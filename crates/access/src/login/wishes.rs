//! What is asked of people, as sentences.

use std::collections::BTreeSet;

use chartgate_protocol::fhir::token::{TokenParameter, TokenValue};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oidc::claims_request::{AskedClaim, ClaimsRequest};
use chartgate_protocol::smart::categories::Category;
use chartgate_protocol::smart::scope::{Constraint, Level, Permission, SmartScope, TypePattern};

/// Scopes in words.
#[must_use]
pub fn wishes(scope: &ScopeSet) -> Vec<String> {
    let mut wishes = Vec::new();
    for wish in scope.iter().filter_map(wish) {
        if !wishes.contains(&wish) {
            wishes.push(wish);
        }
    }
    wishes
}

fn wish(token: &str) -> Option<String> {
    if let Ok(smart) = token.parse::<SmartScope>() {
        return Some(smart_wish(&smart));
    }
    Some(match token {
        "openid" | "profile" | "fhirUser" => "Know who you are".to_owned(),
        "email" => EMAIL.to_owned(),
        "offline_access" => "Keep this access while you are away".to_owned(),
        "online_access" => "Keep this access while you are signed in".to_owned(),
        "account.apps" => "See which applications have access in your name, and take it away".to_owned(),
        "launch" | "launch/patient" | "launch/encounter" => return None,
        other => format!("Use “{other}”"),
    })
}

/// What is asked for in detail, with whose records it is.
#[must_use]
pub fn detailed_wish(detail: &AuthorizationDetail) -> String {
    let records = match detail {
        AuthorizationDetail::FhirRecords(records) => records,
        AuthorizationDetail::EmergencyAccess(access) => {
            return format!("See the whole record of the patient {} in an emergency", access.patient);
        }
    };
    let names = |all: &BTreeSet<String>| listed(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let verbs = verbs(|permission| records.actions.iter().any(|action| action.permission() == permission));
    let (types, patients) = (names(&records.datatypes), names(&records.patients));
    let whose = if records.patients.len() == 1 { "the patient" } else { "the patients" };
    format!("{verbs} {types} entries of {whose} {patients}")
}

const EMAIL: &str = "Know your e-mail address";

/// What is asked for by name.
#[must_use]
pub fn asked_wishes(claims: &ClaimsRequest) -> Vec<String> {
    let all = claims.id_token.union(&claims.userinfo);
    all.map(|claim| match claim {
        AskedClaim::Email => EMAIL.to_owned(),
        AskedClaim::FhirUser => "Know which entry in the records is yours".to_owned(),
    })
    .collect()
}

/// Words as a sentence has them.
fn listed(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// What is to be done, at the beginning of a sentence.
fn verbs(is_wanted: impl Fn(Permission) -> bool) -> String {
    let verbs: Vec<&str> = [
        (Permission::Read, "see"),
        (Permission::Search, "search"),
        (Permission::Create, "add"),
        (Permission::Update, "change"),
        (Permission::Delete, "delete"),
    ]
    .into_iter()
    .filter(|(permission, _)| is_wanted(*permission))
    .map(|(_, verb)| verb)
    .collect();
    let mut sentence = String::new();
    let verbs = listed(&verbs);
    let mut letters = verbs.chars();
    sentence.extend(letters.next().map(|c| c.to_ascii_uppercase()));
    sentence.extend(letters);
    sentence
}

fn smart_wish(scope: &SmartScope) -> String {
    let sentence = verbs(|permission| scope.permissions.contains(permission));
    let what = match &scope.types {
        TypePattern::All => "everything".to_owned(),
        TypePattern::One(name) => format!("{name} entries"),
    };
    let whose = match scope.level {
        Level::Patient => "in the record of the chosen patient",
        Level::User => "in the records that you may see",
        Level::System => "in all records",
    };
    let only = scope.constraints.iter().map(constraint).collect::<Vec<_>>();
    let only = if only.is_empty() { String::new() } else { format!(", only {}", listed_text(&only)) };
    format!("{sentence} {what} {whose}{only}")
}

fn constraint(constraint: &Constraint) -> String {
    let parameter = constraint.parameter();
    let values: Vec<String> =
        constraint.values().iter().map(|value| format!("“{}”", kind(parameter, value))).collect();
    match parameter.name() {
        "category" => format!("of the kind {}", alternatives(&values)),
        name => format!("where {} is {}", name.replace('-', " "), alternatives(&values)),
    }
}

/// A value in words, where it is a category that we have words for.
#[must_use]
pub fn kind(parameter: &TokenParameter, value: &TokenValue) -> String {
    let categories = parameter.resource_type().into_iter().flat_map(|own| Category::of(own.as_str()));
    let known = categories
        .filter(|_| parameter.name() == "category")
        .find(|category| category.value().is_some_and(|own| value.code().is_some() && value.includes(&own)));
    known.map_or_else(
        || value.code().map_or_else(|| value.to_string(), str::to_owned),
        |own| own.words.to_owned(),
    )
}

fn alternatives(values: &[String]) -> String {
    match values.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn listed_text(words: &[String]) -> String {
    listed(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_read_as_sentences_that_say_whose_records_they_are() {
        let text = r#"[{"type":"fhir_records","actions":["read","search","create"],"datatypes":["Condition","Observation"],
            "patients":["p1","p2","p3"]}]"#;
        let details = AuthorizationDetail::read(text).unwrap();
        let sentence = "See, search and add Condition and Observation entries of the patients p1, p2 and p3";
        assert_eq!(detailed_wish(&details[0]), sentence);
    }

    #[test]
    fn constraints_read_as_what_alone_is_given() {
        let scope = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory,x|y \
                     user/Condition.r?clinical-status=active&category=http://odd.example|z";
        assert_eq!(
            wishes(&scope.parse().unwrap()),
            [
                "See and search Observation entries in the record of the chosen patient, \
                 only of the kind “Laboratory results” or “y”",
                "See Condition entries in the records that you may see, \
                 only where clinical status is “active” and of the kind “z”",
            ]
        );
    }

    #[test]
    fn scopes_read_as_sentences() {
        let scope = "openid fhirUser launch/patient offline_access patient/*.rs user/Observation.cruds";
        assert_eq!(
            wishes(&scope.parse().unwrap()),
            [
                "Know who you are",
                "Keep this access while you are away",
                "See and search everything in the record of the chosen patient",
                "See, search, add, change and delete Observation entries in the records that you may see",
            ]
        );
    }
}
