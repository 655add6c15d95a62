//! The context of a launch, as an EHR gives it and an application gets it beside its tokens. SMART App Launch 2.2, "Scopes
//! and Launch Context".

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fhir::reference::Reference;
use crate::form::Form;
use crate::json;

/// What stands beside a token, but for patient and encounter, which the token itself has as well.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LaunchContext {
    /// Whether the application has to show whose record is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    /// What the person is about to do, in words that EHR and application agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Other resources in context.
    #[serde(default, rename = "fhirContext", skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<ContextItem>,
}

/// One of them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Said")]
pub struct ContextItem {
    /// A relative reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// A canonical URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<String>,
    /// A FHIR identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Map<String, Value>>,
    /// The type of the resource.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// As what it is in context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    reference: Option<String>,
    canonical: Option<String>,
    identifier: Option<Map<String, Value>>,
    #[serde(rename = "type")]
    resource_type: Option<String>,
    role: Option<String>,
}

impl TryFrom<Said> for ContextItem {
    type Error = MalformedContext;

    fn try_from(said: Said) -> Result<Self, MalformedContext> {
        let Said { reference, canonical, identifier, resource_type, role } = said;
        // Requirement 178.
        if reference.is_none() && canonical.is_none() && identifier.is_none() {
            return Err(MalformedContext);
        }
        // Requirements 188 and 190: `launch` alone needs no absolute URI.
        let is_role = |role: &str| {
            role == LAUNCH || role.split_once(':').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        };
        if role.as_deref().is_some_and(|role| !is_role(role)) {
            return Err(MalformedContext);
        }
        // Requirement 177: these have members of their own, unless their role is another one.
        let named = reference.as_deref().and_then(|text| text.split('/').next()).or(resource_type.as_deref());
        if has_a_member(named, role.as_deref()) {
            return Err(MalformedContext);
        }
        Ok(Self { reference, canonical, identifier, resource_type, role })
    }
}

/// Whether what is named has a member of its own in a token answer, in the role that it is named in.
fn has_a_member(named: Option<&str>, role: Option<&str>) -> bool {
    matches!(named, Some("Patient" | "Encounter")) && role.is_none_or(|role| role == LAUNCH)
}

/// The role that is meant where none is named.
const LAUNCH: &str = "launch";

/// What an EHR says when it asks for a launch handle; names in it are not looked up yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LaunchRequest {
    /// The application that is launched.
    pub app: String,
    /// The person who launches it, if that matters.
    pub user: Option<String>,
    /// The patient whose record is open.
    pub patient: Option<String>,
    /// The encounter.
    pub encounter: Option<String>,
    /// Everything else.
    pub context: LaunchContext,
}

/// The context is not one that an application may be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("app, patient, encounter, intent, need_patient_banner or fhir_context is missing or malformed")]
pub struct MalformedContext;

impl LaunchRequest {
    /// Reads the form.
    ///
    /// # Errors
    /// [`MalformedContext`].
    pub fn read(form: &Form) -> Result<Self, MalformedContext> {
        let text = |name| form.get(name).map(str::to_owned);
        let need_patient_banner = match form.get("need_patient_banner") {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(MalformedContext),
        };
        let intent = text("intent");
        if intent.as_ref().is_some_and(|intent| intent.is_empty() || intent.len() > MAX_INTENT) {
            return Err(MalformedContext);
        }
        let fhir_context = form.get("fhir_context").map(ContextItem::read_all).transpose()?;
        Ok(Self {
            app: text("app").ok_or(MalformedContext)?,
            user: text("user"),
            patient: text("patient"),
            encounter: text("encounter"),
            context: LaunchContext {
                need_patient_banner,
                intent,
                fhir_context: fhir_context.unwrap_or_default(),
            },
        })
    }
}

impl ContextItem {
    /// Reads an array of them.
    ///
    /// # Errors
    /// [`MalformedContext`].
    pub fn read_all(text: &str) -> Result<Vec<Self>, MalformedContext> {
        if text.len() > MAX_BYTES {
            return Err(MalformedContext);
        }
        let checked = json::check(text.as_bytes(), MAX_DEPTH).map_err(|_| MalformedContext)?;
        let items: Vec<Self> = serde_json::from_str(checked).map_err(|_| MalformedContext)?;
        // An absolute reference could name the Patient all the same, and so could the type beside another one. What was stored
        // before that was asked is read still.
        let is_told = |item: &Self| {
            item.reference.as_deref().is_none_or(|reference| reference.parse::<Reference>().is_ok())
                && !has_a_member(item.resource_type.as_deref(), item.role.as_deref())
        };
        if items.iter().all(is_told) { Ok(items) } else { Err(MalformedContext) }
    }
}

/// Longest intent that we carry.
const MAX_INTENT: usize = 256;
/// Every token answer has to have room for it.
const MAX_BYTES: usize = 4096;
/// An identifier names an assigner, which has an identifier.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn smart_178_an_item_names_something_by_a_role_that_there_may_be() {
        for good in [
            r#"[]"#,
            r#"[{"reference":"ImagingStudy/123"}]"#,
            r#"[{"reference":"ImagingStudy/123","role":"launch"},{"canonical":"http://q.example/Q|1","type":"Questionnaire"}]"#,
            r#"[{"identifier":{"system":"s","value":"v"},"type":"Basic","role":"https://ehr.example/role"}]"#,
            r#"[{"reference":"Patient/b","role":"https://ehr.example/other-twin"}]"#,
        ] {
            let read = ContextItem::read_all(good).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), good);
        }
        for bad in [
            r#"{}"#,
            r#"[{}]"#,
            r#"[{"type":"Basic"}]"#,
            r#"[{"reference":"Basic/1","role":""}]"#,
            r#"[{"reference":"Basic/1","role":"twin"}]"#,
            r#"[{"reference":"Patient/1"}]"#,
            r#"[{"reference":"https://ehr.example/fhir/Patient/2"}]"#,
            r#"[{"reference":"https://ehr.example/fhir/Patient/2","type":"Patient"}]"#,
            r#"[{"reference":"https://ehr.example/fhir/Basic/2","role":"https://ehr.example/role"}]"#,
            r#"[{"reference":"Basic/1","type":"Patient"}]"#,
            r#"[{"reference":"Patient/1","type":"Basic"}]"#,
            r#"[{"reference":"/Patient/1"}]"#,
            r#"[{"reference":"Basic"}]"#,
            r#"[{"reference":"Encounter/1","role":"launch"}]"#,
            r#"[{"identifier":{},"type":"Patient"}]"#,
            r#"[{"reference":"Basic/1","reference":"Basic/2"}]"#,
            r#"[{"reference":"Basic/1","else":1}]"#,
        ] {
            assert_eq!(ContextItem::read_all(bad), Err(MalformedContext), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[\[\]{}":,a-z/]{0,60}"#) {
            let _ = ContextItem::read_all(&text);
        }
    }
}
