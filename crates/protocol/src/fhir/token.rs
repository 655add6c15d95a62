//! Token parameters that can constrain a scope, and whether a record has what one asks for. HL7 FHIR 4.0.1,
//! search.html#token; SMART App Launch 2.2, "Finer-grained resource constraints using search parameters".
//!
//! Which there are is data. One counts only for the elements that R4 says it looks at, so that what a person agreed to does
//! not depend on how an upstream searches.

use std::fmt;
use std::str::FromStr;

use super::name::ResourceType;
use crate::json::Node;

/// A parameter of one type, with the element that it looks at.
#[derive(Debug, Eq, PartialEq)]
pub struct TokenParameter {
    resource_type: &'static str,
    name: &'static str,
    element: &'static str,
    shape: Shape,
}

/// How an element holds its codes. HL7 FHIR 4.0.1, datatypes.html.
#[derive(Debug, Eq, PartialEq)]
enum Shape {
    /// `CodeableConcept`: any of its codings.
    Concept,
    /// `Coding`.
    Coding,
    /// `code`, whose system is that of the value set that it is bound to.
    Code(&'static str),
}

/// A value that is asked for: `code`, `system|code`, `|code` or `system|`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TokenValue {
    system: System,
    code: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
enum System {
    Any,
    None,
    Is(String),
}

/// The text is none of a token's four forms, or has characters that no code needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a token value")]
pub struct MalformedToken;

impl TokenParameter {
    /// The parameter of a type, if scopes can be constrained by it.
    #[must_use]
    pub fn find(resource_type: &str, name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|own| own.resource_type == resource_type && own.name == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The element that it looks at.
    pub(super) fn element(&self) -> &'static str {
        self.element
    }

    /// The type that it is of.
    #[must_use]
    pub fn resource_type(&self) -> Option<ResourceType> {
        self.resource_type.parse().ok()
    }

    /// Whether a record has one of these values.
    #[must_use]
    pub fn has(&self, record: &Node<'_>, values: &[TokenValue]) -> bool {
        let is_of_type = record.get("resourceType").and_then(Node::as_str) == Some(self.resource_type);
        let Some(element) = record.get(self.element).filter(|_| is_of_type) else { return false };
        let is_asked =
            |system: Option<&str>, code: Option<&str>| values.iter().any(|value| value.matches(system, code));
        let coding = |coding: &Node<'_>| {
            let member = |name| coding.get(name).and_then(Node::as_str);
            is_asked(member("system"), member("code"))
        };
        items(element).iter().any(|item| match &self.shape {
            Shape::Concept => {
                item.get("coding").and_then(Node::as_array).unwrap_or_default().iter().any(coding)
            }
            // R5 has a CodeableConcept in some places where R4 has a Coding.
            Shape::Coding => {
                coding(item)
                    || item.get("coding").and_then(Node::as_array).unwrap_or_default().iter().any(coding)
            }
            Shape::Code(system) => item.as_str().is_some_and(|code| is_asked(Some(system), Some(code))),
        })
    }
}

/// The items of a list, or the one that is there.
fn items<'n, 'a>(element: &'n Node<'a>) -> &'n [Node<'a>] {
    element.as_array().unwrap_or_else(|| std::slice::from_ref(element))
}

impl TokenValue {
    /// A code of a system.
    ///
    /// # Errors
    /// [`MalformedToken`].
    pub fn of(system: &str, code: &str) -> Result<Self, MalformedToken> {
        format!("{system}|{code}").parse()
    }

    /// Whether whatever has `other` has this too.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        (self.system == System::Any || self.system == other.system)
            && (self.code.is_none() || self.code == other.code)
    }

    /// The code, where it asks for one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    fn matches(&self, system: Option<&str>, code: Option<&str>) -> bool {
        let of_system = match &self.system {
            System::Any => true,
            System::None => system.is_none(),
            System::Is(asked) => system == Some(asked),
        };
        of_system && code.is_some() && (self.code.is_none() || self.code.as_deref() == code)
    }
}

impl FromStr for TokenValue {
    type Err = MalformedToken;

    fn from_str(text: &str) -> Result<Self, MalformedToken> {
        let plain = |part: &str| {
            (1..=MAX_PART).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'|' | b',' | b'\\' | b'$'))
        };
        let own = |part: &str| plain(part).then(|| part.to_owned()).ok_or(MalformedToken);
        match text.split_once('|') {
            None => Ok(Self { system: System::Any, code: Some(own(text)?) }),
            Some(("", code)) => Ok(Self { system: System::None, code: Some(own(code)?) }),
            Some((system, "")) => Ok(Self { system: System::Is(own(system)?), code: None }),
            Some((system, code)) => Ok(Self { system: System::Is(own(system)?), code: Some(own(code)?) }),
        }
    }
}

impl fmt::Display for TokenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.system {
            System::Any => {}
            System::None => f.write_str("|")?,
            System::Is(system) => write!(f, "{system}|")?,
        }
        f.write_str(self.code.as_deref().unwrap_or_default())
    }
}

/// Values as a search has them, separated by commas.
#[must_use]
pub fn list(values: &[TokenValue]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The longest system or code.
const MAX_PART: usize = 256;

const fn concept(resource_type: &'static str, name: &'static str, element: &'static str) -> TokenParameter {
    TokenParameter { resource_type, name, element, shape: Shape::Concept }
}

const fn code(
    resource_type: &'static str,
    name: &'static str,
    element: &'static str,
    system: &'static str,
) -> TokenParameter {
    TokenParameter { resource_type, name, element, shape: Shape::Code(system) }
}

/// What scopes can be constrained by. Parameters that look into other elements besides, like `code` of allergies, are not here:
/// half of one would find less than its name says.
static TABLE: &[TokenParameter] = &[
    code("AllergyIntolerance", "category", "category", "http://hl7.org/fhir/allergy-intolerance-category"),
    code(
        "AllergyIntolerance",
        "criticality",
        "criticality",
        "http://hl7.org/fhir/allergy-intolerance-criticality",
    ),
    code("AllergyIntolerance", "type", "type", "http://hl7.org/fhir/allergy-intolerance-type"),
    concept("AllergyIntolerance", "clinical-status", "clinicalStatus"),
    concept("AllergyIntolerance", "verification-status", "verificationStatus"),
    concept("CarePlan", "category", "category"),
    code("CarePlan", "intent", "intent", "http://hl7.org/fhir/request-intent"),
    code("CarePlan", "status", "status", "http://hl7.org/fhir/request-status"),
    concept("CareTeam", "category", "category"),
    code("CareTeam", "status", "status", "http://hl7.org/fhir/care-team-status"),
    concept("Condition", "category", "category"),
    concept("Condition", "clinical-status", "clinicalStatus"),
    concept("Condition", "code", "code"),
    concept("Condition", "severity", "severity"),
    concept("Condition", "verification-status", "verificationStatus"),
    concept("Coverage", "type", "type"),
    concept("DiagnosticReport", "category", "category"),
    concept("DiagnosticReport", "code", "code"),
    code("DiagnosticReport", "status", "status", "http://hl7.org/fhir/diagnostic-report-status"),
    concept("DocumentReference", "category", "category"),
    code("DocumentReference", "status", "status", "http://hl7.org/fhir/document-reference-status"),
    concept("DocumentReference", "type", "type"),
    TokenParameter { resource_type: "Encounter", name: "class", element: "class", shape: Shape::Coding },
    code("Encounter", "status", "status", "http://hl7.org/fhir/encounter-status"),
    concept("Encounter", "type", "type"),
    concept("Goal", "achievement-status", "achievementStatus"),
    concept("Goal", "category", "category"),
    code("Goal", "lifecycle-status", "lifecycleStatus", "http://hl7.org/fhir/goal-status"),
    code("Immunization", "status", "status", "http://hl7.org/fhir/event-status"),
    concept("Immunization", "vaccine-code", "vaccineCode"),
    concept("MedicationRequest", "category", "category"),
    code("MedicationRequest", "intent", "intent", "http://hl7.org/fhir/CodeSystem/medicationrequest-intent"),
    code("MedicationRequest", "status", "status", "http://hl7.org/fhir/CodeSystem/medicationrequest-status"),
    concept("Observation", "category", "category"),
    concept("Observation", "code", "code"),
    code("Observation", "status", "status", "http://hl7.org/fhir/observation-status"),
    concept("Procedure", "category", "category"),
    concept("Procedure", "code", "code"),
    code("Procedure", "status", "status", "http://hl7.org/fhir/event-status"),
    code("QuestionnaireResponse", "status", "status", "http://hl7.org/fhir/questionnaire-answers-status"),
    concept("ServiceRequest", "category", "category"),
    concept("ServiceRequest", "code", "code"),
    code("ServiceRequest", "intent", "intent", "http://hl7.org/fhir/request-intent"),
    code("ServiceRequest", "status", "status", "http://hl7.org/fhir/request-status"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::search::SearchQuery;
    use crate::fhir::version::FhirVersion;
    use crate::json;

    const LABORATORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory";

    fn has(resource_type: &str, name: &str, value: &str, record: &str) -> bool {
        let parameter = TokenParameter::find(resource_type, name).unwrap();
        parameter.has(&json::parse(record.as_bytes(), 16).unwrap(), &[value.parse().unwrap()])
    }

    #[test]
    fn every_parameter_is_one_of_r4s_that_searches_take() {
        for own in TABLE {
            let resource_type = own.resource_type().unwrap();
            assert_eq!(
                SearchQuery::offers(FhirVersion::R4, resource_type, own.name),
                Some((own.name, "token")),
                "{own:?}"
            );
            assert_eq!(TokenParameter::find(own.resource_type, own.name), Some(own), "once: {own:?}");
        }
    }

    #[test]
    fn a_concept_has_a_value_by_any_of_its_codings_and_never_by_its_text() {
        let record = |category: &str| format!(r#"{{"resourceType":"Observation","category":{category}}}"#);
        let ours = r#"[{"coding":[{"system":"x","code":"y"}]},{"coding":[{"code":"laboratory",
            "system":"http://terminology.hl7.org/CodeSystem/observation-category"}]}]"#;
        for value in
            [LABORATORY, "laboratory", "http://terminology.hl7.org/CodeSystem/observation-category|", "x|y"]
        {
            assert!(has("Observation", "category", value, &record(ours)), "{value}");
        }
        for value in ["|laboratory", "x|laboratory", "Laboratory", "vital-signs", "z|"] {
            assert!(!has("Observation", "category", value, &record(ours)), "{value}");
        }
        for category in [
            "null",
            "[]",
            "{}",
            r#""laboratory""#,
            r#"[{"text":"laboratory"}]"#,
            r#"[{"coding":{"code":"laboratory"}}]"#,
            r#"[{"coding":[{"display":"laboratory"}]}]"#,
            r#"[{"coding":["laboratory"]}]"#,
        ] {
            assert!(!has("Observation", "category", "laboratory", &record(category)), "{category}");
        }
        let elsewhere = r#"{"resourceType":"Condition","category":[{"coding":[{"code":"laboratory"}]}]}"#;
        assert!(!has("Observation", "category", "laboratory", elsewhere), "another type");
        assert!(has(
            "Observation",
            "category",
            "|laboratory",
            &record(r#"[{"coding":[{"code":"laboratory"}]}]"#)
        ));
    }

    #[test]
    fn codes_and_codings_have_their_values() {
        let observation = r#"{"resourceType":"Observation","status":"final"}"#;
        for (value, expected) in [
            ("final", true),
            ("http://hl7.org/fhir/observation-status|final", true),
            ("|final", false),
            ("http://hl7.org/fhir/event-status|final", false),
            ("amended", false),
        ] {
            assert_eq!(has("Observation", "status", value, observation), expected, "{value}");
        }
        let encounter = r#"{"resourceType":"Encounter","class":{"system":"s","code":"AMB"}}"#;
        assert!(
            has("Encounter", "class", "s|AMB", encounter) && !has("Encounter", "class", "IMP", encounter)
        );
    }

    #[test]
    fn what_a_value_includes_it_matches_too() {
        let parse = |text: &str| text.parse::<TokenValue>().unwrap();
        for (wide, narrow) in [("a", "s|a"), ("s|", "s|a"), ("a", "|a"), ("s|a", "s|a")] {
            assert!(parse(wide).includes(&parse(narrow)), "{wide} {narrow}");
        }
        for (one, other) in
            [("s|a", "a"), ("s|a", "s|"), ("|a", "a"), ("s|", "t|a"), ("|a", "s|a"), ("a", "s|")]
        {
            assert!(!parse(one).includes(&parse(other)), "{one} {other}");
        }
    }

    #[test]
    fn other_forms_are_no_values() {
        for text in ["", "|", "a|b|c", "a b", "a,b", "a\\|b", "a$b", "ä", "a\n"] {
            assert_eq!(text.parse::<TokenValue>(), Err(MalformedToken), "{text}");
        }
        for text in ["a", "|a", "s|", "http://x.example/s|a"] {
            assert_eq!(text.parse::<TokenValue>().unwrap().to_string(), text);
        }
    }
}
