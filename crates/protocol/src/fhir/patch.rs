//! A patch of a record. HL7 FHIR 4.0.1, http.html#patch; JSON Patch (RFC 6902) alone.
//!
//! It is applied here and goes upstream as an update, so that what is stored is what was decided on.

use super::mask::Mask;
use super::outcome::IssueType;
use super::resource::{MAX_DEPTH, Resource};
use super::version::FhirVersion;
use super::write::{Draft, WriteError};
use crate::json::Node;
use crate::json::patch::{JsonPatch, MalformedPatch, PatchConflict};

/// A patch as it came. It has no `Debug`: what it puts into a record is PHI.
pub struct Patch<'a>(JsonPatch<'a>);

/// Why a patch is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// RFC 5789 section 2.2: a malformed patch document, 400.
    #[error("{0}")]
    Malformed(#[from] MalformedPatch),
    /// RFC 5789 section 2.2: a patch that cannot be applied to what is there, 422.
    #[error("{0}")]
    Conflict(#[from] PatchConflict),
    /// What comes of it could not be sent as an update either, 422.
    #[error("what comes of the patch is refused: {0}")]
    Result(WriteError),
    /// resource.html#Meta: what the server says of a record is not the client's to change, 422.
    #[error("the patch changes meta.versionId or meta.lastUpdated, which the server gives")]
    Meta,
}

impl PatchError {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Conflict(_) | Self::Result(_) | Self::Meta => 422,
        }
    }

    /// The code of the issue.
    #[must_use]
    pub fn issue(self) -> IssueType {
        match self {
            Self::Conflict(PatchConflict::TooLarge(_)) | Self::Malformed(MalformedPatch::TooMany) => {
                IssueType::TooLong
            }
            Self::Conflict(PatchConflict::Place(_) | PatchConflict::Test(_)) => IssueType::Conflict,
            Self::Malformed(
                MalformedPatch::Json(_) | MalformedPatch::NotOperations | MalformedPatch::Operation(_),
            )
            | Self::Meta => IssueType::Invalid,
            Self::Result(error) => error.issue(),
        }
    }
}

impl<'a> Patch<'a> {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`PatchError::Malformed`].
    pub fn parse(body: &'a [u8]) -> Result<Self, PatchError> {
        Ok(Self(JsonPatch::parse(body, MAX_DEPTH)?))
    }

    /// Whether somebody from whom this much of the record is kept may apply it: it looks at nothing that they do not see and
    /// changes nothing of it.
    #[must_use]
    pub fn keeps_to(&self, mask: &Mask, version: FhirVersion, record: &Resource<'_>) -> bool {
        let resource_type = record.reference().resource_type;
        let shows = |way| mask.shows(version, resource_type.as_str(), way);
        !mask.concerns_record(record) || self.0.ways().all(shows)
    }

    /// What a record becomes, of no more than `max_bytes`: the same record still, for all that it says of itself.
    ///
    /// # Errors
    /// [`PatchError`].
    pub fn apply(&self, record: &Resource<'_>, max_bytes: usize) -> Result<Draft, PatchError> {
        let text = self.0.apply(record.text(), max_bytes)?;
        let draft = Draft::of_update(text.as_bytes(), record.reference()).map_err(PatchError::Result)?;
        for name in ["versionId", "lastUpdated"] {
            let given = |node: &Node<'_>| {
                node.get("meta").and_then(|meta| meta.get(name)).cloned().map(Node::into_owned)
            };
            if given(record.value()) != given(draft.value()) {
                return Err(PatchError::Meta);
            }
        }
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::reference::Reference;

    const RECORD: &str = r#"{"resourceType":"Observation","id":"a","meta":{"versionId":"3","lastUpdated":"2026-01-01T00:00:00Z","tag":[{"code":"x"}]},"subject":{"reference":"Patient/me"},"valueQuantity":{"value":1.10}}"#;

    fn patched(patch: &str) -> Result<String, PatchError> {
        let asked: Reference = "Observation/a".parse().unwrap();
        let record = Resource::parse(RECORD.as_bytes(), &asked, None).unwrap();
        Ok(Patch::parse(patch.as_bytes())?.apply(&record, 4096)?.text().to_owned())
    }

    #[test]
    fn a_patch_changes_what_it_names_and_no_letter_else() {
        let patch = r#"[{"op":"test","path":"/meta/versionId","value":"3"},
            {"op":"replace","path":"/subject/reference","value":"Patient/you"},{"op":"remove","path":"/meta/tag"}]"#;
        let expected = RECORD.replace("Patient/me", "Patient/you").replace(r#","tag":[{"code":"x"}]"#, "");
        assert_eq!(patched(patch), Ok(expected));
        assert_eq!(patched("[]").as_deref(), Ok(RECORD));
    }

    #[test]
    fn a_record_stays_the_record_that_it_is() {
        let of = |op: &str| patched(&format!("[{op}]")).unwrap_err();
        for (op, error) in [
            (r#"{"op":"replace","path":"/id","value":"b"}"#, PatchError::Result(WriteError::Id)),
            (r#"{"op":"remove","path":"/id"}"#, PatchError::Result(WriteError::Id)),
            (
                r#"{"op":"replace","path":"/resourceType","value":"Condition"}"#,
                PatchError::Result(WriteError::Type),
            ),
            (
                r#"{"op":"replace","path":"","value":{"resourceType":"Observation","id":"b"}}"#,
                PatchError::Result(WriteError::Id),
            ),
            (r#"{"op":"replace","path":"/meta/versionId","value":"4"}"#, PatchError::Meta),
            (r#"{"op":"remove","path":"/meta/versionId"}"#, PatchError::Meta),
            (r#"{"op":"remove","path":"/meta"}"#, PatchError::Meta),
            (r#"{"op":"add","path":"/meta/lastUpdated","value":"2020-01-01T00:00:00Z"}"#, PatchError::Meta),
            (
                r#"{"op":"replace","path":"/subject/reference","value":"Patient?identifier=x"}"#,
                PatchError::Result(WriteError::ConditionalReference),
            ),
        ] {
            assert_eq!(of(op), error, "{op}");
            assert_eq!(error.status(), 422, "{op}");
        }
        let nowhere = of(r#"{"op":"remove","path":""}"#);
        assert_eq!((nowhere.status(), nowhere.issue()), (422, IssueType::Conflict));
        assert_eq!(of("1").status(), 400);
    }
}
