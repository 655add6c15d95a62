//! What a patient has forbidden: Consent resources, as far as they keep records from somebody. HL7 FHIR 4.0.1, consent.html.
//!
//! A rule forbids what it certainly covers. What cannot be read of it is taken to cover whatever it might: where that
//! forbids, the answer is that it is unclear, which is a denial as well; where it permits, it permits nothing.

use chartgate_values::Timestamp;

use super::base::BaseUrls;
use super::name::{ResourceId, ResourceType};
use super::reference::{Reference, Target};
use super::resource::Resource;
use super::version::FhirVersion;
use crate::json::Node;

mod condition;
mod rule;

pub use condition::{Act, Asked, Asker, Record};
use rule::Rule;

/// What a Consent says of what is asked; the strictest last.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Says {
    /// It keeps nothing.
    Nothing,
    /// It cannot be understood, and might forbid it.
    Unclear,
    /// It forbids it.
    Denied,
}

/// A Consent in force about a patient's privacy.
#[derive(Clone, Debug)]
pub struct Directive {
    /// Which.
    pub reference: Reference,
    /// Whose.
    pub patient: Whose,
    content: Content,
}

/// Whose Consent it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Whose {
    /// This patient's.
    Patient(ResourceId),
    /// It cannot be told.
    Unknown,
}

#[derive(Clone, Debug)]
enum Content {
    /// What holds where no rule does, and the rule.
    Understood(Says, Option<Rule>),
    NotUnderstood,
}

impl Directive {
    /// Reads a Consent; `None` where it keeps nothing from anybody: not in force, or of another kind.
    #[must_use]
    pub fn read(resource: &Resource<'_>, bases: &BaseUrls) -> Option<Self> {
        let value = resource.value();
        if resource.reference().resource_type.as_str() != "Consent" {
            return None;
        }
        let whose = match bases.version {
            FhirVersion::R4 | FhirVersion::R4B => "patient",
            FhirVersion::R5 => "subject",
        };
        let patient = match value.get(whose).and_then(|patient| patient.get("reference")?.as_str()) {
            Some(text) => match Target::of(text, bases) {
                Target::Record(record) if record.resource_type == ResourceType::PATIENT => {
                    Whose::Patient(record.id)
                }
                Target::Record(_) | Target::Contained(_) | Target::Unproven => Whose::Unknown,
            },
            None => Whose::Unknown,
        };
        let is_altered = value.get("modifierExtension").is_some() || value.get("implicitRules").is_some();
        let status = value.get("status").and_then(Node::as_str);
        let scope = match bases.version {
            FhirVersion::R4 | FhirVersion::R4B => scope(value.get("scope")),
            FhirVersion::R5 => scope_of_categories(value.get("category")),
        };
        let content = match (status, scope) {
            _ if is_altered => Content::NotUnderstood,
            (Some(status), _) if is_out_of_force(bases.version, status) => return None,
            (_, Scope::Another) => return None,
            (Some("active"), Scope::Privacy) => match bases.version {
                FhirVersion::R4 | FhirVersion::R4B => {
                    let rule = value.get("provision").map(|rule| Rule::read(rule, bases));
                    Content::Understood(base(value), rule)
                }
                // Without a decision nobody knows what its provisions are exceptions to.
                FhirVersion::R5 => match Rule::of_decision(value, bases) {
                    Some(rule) => Content::Understood(Says::Nothing, Some(rule)),
                    None => Content::NotUnderstood,
                },
            },
            (_, Scope::Privacy | Scope::Unknown) => Content::NotUnderstood,
        };
        Some(Self { reference: resource.reference().clone(), patient, content })
    }

    /// What it says of what is asked.
    #[must_use]
    pub fn says(&self, asked: &Asked<'_>) -> Says {
        match &self.content {
            Content::NotUnderstood => Says::Unclear,
            Content::Understood(base, None) => *base,
            Content::Understood(base, Some(rule)) => rule.says(asked, *base).unwrap_or(*base),
        }
    }

    /// Whether there is anything that it might keep from somebody.
    #[must_use]
    pub fn restricts(&self) -> bool {
        match &self.content {
            Content::NotUnderstood => true,
            Content::Understood(base, rule) => {
                *base != Says::Nothing || rule.as_ref().is_some_and(Rule::restricts)
            }
        }
    }
}

enum Scope {
    Privacy,
    Another,
    Unknown,
}

/// valueset-consent-scope.html.
/// Whether a status says that the Consent is not in force: by a code of its version.
fn is_out_of_force(version: FhirVersion, status: &str) -> bool {
    match (version, status) {
        (_, "draft" | "inactive" | "entered-in-error")
        | (FhirVersion::R4 | FhirVersion::R4B, "proposed" | "rejected")
        | (FhirVersion::R5, "not-done") => true,
        (FhirVersion::R4 | FhirVersion::R4B | FhirVersion::R5, _) => false,
    }
}

fn scope(scope: Option<&Node<'_>>) -> Scope {
    let codings = scope.and_then(|scope| scope.get("coding")?.as_array()).unwrap_or_default();
    let codes = || {
        codings.iter().filter_map(|coding| {
            let system = coding.get("system").and_then(Node::as_str);
            (system.is_none_or(|system| system == SCOPES))
                .then(|| coding.get("code").and_then(Node::as_str))?
        })
    };
    if codes().any(|code| code == "patient-privacy") {
        Scope::Privacy
    } else if codes().any(|code| ["adr", "research", "treatment"].contains(&code)) {
        Scope::Another
    } else {
        Scope::Unknown
    }
}

/// R5 has no scope. A Consent of which no category says that it is of another kind is taken for one about privacy.
fn scope_of_categories(categories: Option<&Node<'_>>) -> Scope {
    let categories = categories.and_then(Node::as_array).unwrap_or_default();
    let mut said = categories.iter().map(|category| scope(Some(category))).peekable();
    let is_another = said.peek().is_some() && said.all(|scope| matches!(scope, Scope::Another));
    if is_another { Scope::Another } else { Scope::Privacy }
}

const SCOPES: &str = "http://terminology.hl7.org/CodeSystem/consentscope";

/// What holds where no rule says otherwise: consent-definitions.html#Consent.policyRule.
fn base(consent: &Node<'_>) -> Says {
    let Some(rule) = consent.get("policyRule") else {
        // Where there is no rule at all, it is in a document that nobody here can read.
        let has_rules = consent.get("provision").is_some();
        return if has_rules { Says::Nothing } else { Says::Unclear };
    };
    let codings = rule.get("coding").and_then(Node::as_array).unwrap_or_default();
    let codes: Vec<&str> = codings.iter().filter_map(|own| own.get("code").and_then(Node::as_str)).collect();
    if codes.iter().any(|code| code.starts_with("OPTOUT")) {
        Says::Denied
    } else if !codes.is_empty() && codes.len() == codings.len() && codes.iter().all(|code| *code == "OPTIN") {
        Says::Nothing
    } else {
        Says::Unclear
    }
}

/// When a rule is asked.
pub(super) type Now = Timestamp;

#[cfg(test)]
mod tests;
