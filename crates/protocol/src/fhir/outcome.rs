//! `OperationOutcome`: what a FHIR client reads where there is no resource. HL7 FHIR 4.0.1, operationoutcome.html.

use serde::Serialize;

/// What kind of issue it is: <http://hl7.org/fhir/issue-type>, as far as we have use for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssueType {
    /// The request is not well formed.
    Invalid,
    /// The request lacks something that it has to have.
    Required,
    /// The request is well formed and asks for something that is not offered.
    NotSupported,
    /// There is no such record, or none that the caller may know of.
    NotFound,
    /// The record is not in the state that the request presumes.
    Conflict,
    /// A rule of the server's stands against it.
    BusinessRule,
    /// More records than one are meant.
    MultipleMatches,
    /// Nobody is signed in, or not well enough.
    Login,
    /// The token is not good any more.
    Expired,
    /// The caller may not do this.
    Forbidden,
    /// Some of the answer is withheld.
    Suppressed,
    /// The answer is larger than we carry.
    TooLong,
    /// Too many requests.
    Throttled,
    /// Something broke for now; it may go better later.
    Transient,
    /// Something broke.
    Exception,
}

/// An `OperationOutcome`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct OperationOutcome {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    issue: Vec<Issue>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Issue {
    severity: &'static str,
    code: IssueType,
    diagnostics: String,
}

impl Issue {
    fn of_emergency(place: &str) -> Self {
        let diagnostics = format!(
            "if you have to see the record of a patient who is not in your care in an emergency, there is {place}"
        );
        Self { severity: "information", code: IssueType::Suppressed, diagnostics }
    }
}

/// The body of every 404 about a record: the same bytes whether it does not exist or may not be seen.
pub const NOT_FOUND: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"no such resource"}]}"#;

impl OperationOutcome {
    /// An outcome with a sentence for the developer at the other end, which never holds a value out of a request
    /// or a record.
    #[must_use]
    pub fn new(code: IssueType, diagnostics: &str) -> Self {
        let issue = Issue { severity: "error", code, diagnostics: diagnostics.to_owned() };
        Self { resource_type: "OperationOutcome", issue: vec![issue] }
    }

    /// What stands in place of [`NOT_FOUND`] for whoever may have emergency access, whether there is such a record or not.
    /// HL7 FHIR 4.0.1 security.html#break-the-glass.
    #[must_use]
    pub fn not_found_or_emergency(place: &str) -> Self {
        let mut outcome = Self::new(IssueType::NotFound, "no such resource");
        outcome.issue.push(Issue::of_emergency(place));
        outcome
    }

    /// The same beside a search that finds nothing.
    #[must_use]
    pub fn emergency(place: &str) -> Self {
        Self { resource_type: "OperationOutcome", issue: vec![Issue::of_emergency(place)] }
    }

    /// The outcome as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // INVARIANT: strings alone are always written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_body_is_what_would_be_written() {
        assert_eq!(OperationOutcome::new(IssueType::NotFound, "no such resource").to_json(), NOT_FOUND);
    }

    #[test]
    fn codes_are_spelled_as_hl7_spells_them() {
        let json = OperationOutcome::new(IssueType::NotSupported, "x \" y").to_json();
        assert!(json.contains(r#""code":"not-supported""#), "{json}");
        assert!(json.contains(r#""diagnostics":"x \" y""#), "{json}");
    }
}
