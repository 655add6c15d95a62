//! What is asked of people, as sentences.

use std::fmt;

use chartgate_protocol::fhir::token::{TokenParameter, TokenValue};
use chartgate_protocol::oauth::authorization_details::AuthorizationDetail;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::oidc::claims_request::{AskedClaim, ClaimsRequest};
use chartgate_protocol::smart::categories::Category;
use chartgate_protocol::smart::scope::{Constraint, Level, Permission, SmartScope, TypePattern};

/// Something that is asked for. As text, it is English: what is signed of it (docs/adr/0041) says it so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Who somebody is.
    Identity,
    /// Their address.
    Email,
    /// Which entry in the records is theirs.
    OwnEntry,
    /// To keep it while they are away.
    Offline,
    /// To keep it while they are signed in.
    Online,
    /// To see and end what applications have.
    Apps,
    /// A scope that has no words.
    Other(String),
    /// A whole record, in an emergency.
    Emergency {
        /// Whose.
        patient: String,
    },
    /// Records by a SMART scope.
    Records {
        /// What is to be done with them.
        permissions: Vec<Permission>,
        /// Of this type alone.
        resource_type: Option<String>,
        /// Whose.
        level: Level,
        /// Only those that are so.
        only: Vec<Only>,
    },
    /// Records in detail.
    Detail {
        /// What is to be done with them.
        permissions: Vec<Permission>,
        /// Their types.
        types: Vec<String>,
        /// Whose.
        patients: Vec<String>,
    },
}

/// What records have to be like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Only {
    /// The search parameter.
    pub parameter: String,
    /// One of these.
    pub values: Vec<Kind>,
}

/// A value of a constraint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A category that has words.
    Known(&'static Category),
    /// Any other, by its code.
    Code(String),
}

/// Scopes in words.
#[must_use]
pub fn wishes(scope: &ScopeSet) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for wish in scope.iter().filter_map(wish) {
        if !wishes.contains(&wish) {
            wishes.push(wish);
        }
    }
    wishes
}

fn wish(token: &str) -> Option<Wish> {
    if let Ok(smart) = token.parse::<SmartScope>() {
        return Some(smart_wish(&smart));
    }
    Some(match token {
        "openid" | "profile" | "fhirUser" => Wish::Identity,
        "email" => Wish::Email,
        "offline_access" => Wish::Offline,
        "online_access" => Wish::Online,
        "account.apps" => Wish::Apps,
        "launch" | "launch/patient" | "launch/encounter" => return None,
        other => Wish::Other(other.to_owned()),
    })
}

/// What is asked for in detail, with whose records it is.
#[must_use]
pub fn detailed_wish(detail: &AuthorizationDetail) -> Wish {
    let records = match detail {
        AuthorizationDetail::FhirRecords(records) => records,
        AuthorizationDetail::EmergencyAccess(access) => {
            return Wish::Emergency { patient: access.patient.clone() };
        }
    };
    let is_wanted = |permission| records.actions.iter().any(|action| action.permission() == permission);
    Wish::Detail {
        permissions: permissions(is_wanted),
        types: records.datatypes.iter().cloned().collect(),
        patients: records.patients.iter().cloned().collect(),
    }
}

/// What is asked for by name.
#[must_use]
pub fn asked_wishes(claims: &ClaimsRequest) -> Vec<Wish> {
    let all = claims.id_token.union(&claims.userinfo);
    all.map(|claim| match claim {
        AskedClaim::Email => Wish::Email,
        AskedClaim::FhirUser => Wish::OwnEntry,
    })
    .collect()
}

/// In the order in which sentences name them.
fn permissions(is_wanted: impl Fn(Permission) -> bool) -> Vec<Permission> {
    let all =
        [Permission::Read, Permission::Search, Permission::Create, Permission::Update, Permission::Delete];
    all.into_iter().filter(|permission| is_wanted(*permission)).collect()
}

fn smart_wish(scope: &SmartScope) -> Wish {
    Wish::Records {
        permissions: permissions(|permission| scope.permissions.contains(permission)),
        resource_type: match &scope.types {
            TypePattern::All => None,
            TypePattern::One(name) => Some(name.clone()),
        },
        level: scope.level,
        only: scope.constraints.iter().map(only).collect(),
    }
}

fn only(constraint: &Constraint) -> Only {
    let parameter = constraint.parameter();
    Only {
        parameter: parameter.name().to_owned(),
        values: constraint.values().iter().map(|value| kind(parameter, value)).collect(),
    }
}

/// A value, as a category where it is one that we have words for.
#[must_use]
pub fn kind(parameter: &TokenParameter, value: &TokenValue) -> Kind {
    let categories = parameter.resource_type().into_iter().flat_map(|own| Category::of(own.as_str()));
    let known = categories
        .filter(|_| parameter.name() == "category")
        .find(|category| category.value().is_some_and(|own| value.code().is_some() && value.includes(&own)));
    known.map_or_else(
        || Kind::Code(value.code().map_or_else(|| value.to_string(), str::to_owned)),
        Kind::Known,
    )
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("Know who you are"),
            Self::Email => f.write_str("Know your e-mail address"),
            Self::OwnEntry => f.write_str("Know which entry in the records is yours"),
            Self::Offline => f.write_str("Keep this access while you are away"),
            Self::Online => f.write_str("Keep this access while you are signed in"),
            Self::Apps => f.write_str("See which applications have access in your name, and take it away"),
            Self::Other(scope) => write!(f, "Use “{scope}”"),
            Self::Emergency { patient } => {
                write!(f, "See the whole record of the patient {patient} in an emergency")
            }
            Self::Records { permissions, resource_type, level, only } => {
                let whose = match level {
                    Level::Patient => "in the record of the chosen patient",
                    Level::User => "in the records that you may see",
                    Level::System => "in all records",
                };
                let what = resource_type
                    .as_ref()
                    .map_or_else(|| "everything".to_owned(), |name| format!("{name} entries"));
                write!(f, "{} {what} {whose}", verbs(permissions))?;
                let only: Vec<String> = only.iter().map(ToString::to_string).collect();
                if only.is_empty() { Ok(()) } else { write!(f, ", only {}", listed(&only, "and")) }
            }
            Self::Detail { permissions, types, patients } => {
                let whose = if patients.len() == 1 { "the patient" } else { "the patients" };
                let (types, patients) = (listed(types, "and"), listed(patients, "and"));
                write!(f, "{} {types} entries of {whose} {patients}", verbs(permissions))
            }
        }
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| format!("“{value}”")).collect();
        let values = listed(&values, "or");
        match self.parameter.as_str() {
            "category" => write!(f, "of the kind {values}"),
            name => write!(f, "where {} is {values}", name.replace('-', " ")),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(category) => f.write_str(category.words),
            Self::Code(code) => f.write_str(code),
        }
    }
}

/// Words as a sentence has them.
fn listed(words: &[String], last_after: &str) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {last_after} {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// What is to be done, at the beginning of a sentence.
fn verbs(permissions: &[Permission]) -> String {
    let verb = |permission: &Permission| match permission {
        Permission::Read => "see",
        Permission::Search => "search",
        Permission::Create => "add",
        Permission::Update => "change",
        Permission::Delete => "delete",
    };
    let verbs: Vec<String> = permissions.iter().map(|permission| verb(permission).to_owned()).collect();
    capital(&listed(&verbs, "and"))
}

/// A sentence begins with a capital letter.
#[must_use]
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(scope: &str) -> Vec<String> {
        wishes(&scope.parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn details_read_as_sentences_that_say_whose_records_they_are() {
        let text = r#"[{"type":"fhir_records","actions":["read","search","create"],"datatypes":["Condition","Observation"],
            "patients":["p1","p2","p3"]}]"#;
        let details = AuthorizationDetail::read(text).unwrap();
        let sentence = "See, search and add Condition and Observation entries of the patients p1, p2 and p3";
        assert_eq!(detailed_wish(&details[0]).to_string(), sentence);
    }

    #[test]
    fn constraints_read_as_what_alone_is_given() {
        let scope = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory,x|y \
                     user/Condition.r?clinical-status=active&category=http://odd.example|z";
        assert_eq!(
            said(scope),
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
            said(scope),
            [
                "Know who you are",
                "Keep this access while you are away",
                "See and search everything in the record of the chosen patient",
                "See, search, add, change and delete Observation entries in the records that you may see",
            ]
        );
    }
}
