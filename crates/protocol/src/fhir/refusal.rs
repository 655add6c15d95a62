//! Requests that are refused whatever the caller may do, and how that is said. HL7 FHIR 4.0.1, http.html.

use super::content::{NotAcceptable, UnsupportedMediaType};
use super::name::{MalformedId, UnknownType};
use super::outcome::{IssueType, OperationOutcome};
use super::search::SearchError;
use crate::form::FormError;

/// Why a request becomes no [`Interaction`](super::interaction::Interaction).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// RFC 3986 section 3.3: an escape, an empty or a dot segment, or more segments than any interaction has. Two
    /// readers may take it for two resources.
    #[error("the path is not one of a FHIR interaction, written plainly")]
    Path,
    /// http.html#general: the type is not known.
    #[error("{0}")]
    Type(#[from] UnknownType),
    /// datatypes.html#id.
    #[error("the id or version is {0}")]
    Id(#[from] MalformedId),
    /// RFC 9110 section 15.5.6: not for this path.
    #[error("the method is not offered for this path, only {allow}")]
    Method {
        /// The methods that are, as the `Allow` header lists them.
        allow: &'static str,
    },
    /// Part of FHIR, but not of what is offered.
    #[error("{0} not offered")]
    Unsupported(#[from] Unsupported),
    /// The query is no form.
    #[error("{0}")]
    Query(#[from] FormError),
    /// search.html.
    #[error("{0}")]
    Search(#[from] SearchError),
    /// http.html#mime-type.
    #[error("{0}")]
    NotAcceptable(#[from] NotAcceptable),
    /// http.html#mime-type.
    #[error("{0}")]
    MediaType(#[from] UnsupportedMediaType),
    /// http.html#concurrency: `If-Match` names one version.
    #[error("If-Match is not the entity tag of one version")]
    IfMatch,
    /// http.html#ccreate: a condition by which everything is found is none.
    #[error("a conditional write needs search criteria, and nothing but those")]
    Condition,
    /// RFC 9110 section 13.1.2.
    #[error("If-None-Match is not offered for writes")]
    IfNoneMatch,
    /// RFC 9110 section 5.3: a header of a condition that says two things, or none that can be read.
    #[error("a conditional header comes twice or is no text")]
    ConditionalHeader,
    /// operations.html: a value names a record in another way than by a reference of ours, so that it cannot be decided on.
    #[error("a value names a record in a way that does not say which it is")]
    Unproven,
    /// Bulk Data Access, export.html#headers.
    #[error("an export needs Prefer: respond-async")]
    Synchronous,
    /// RFC 6585 section 3: what is patched is a version that the client has seen.
    #[error("a patch needs If-Match with the version that it is for")]
    IfMatchMissing,
}

/// What FHIR has and we do not offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsupported {
    /// http.html#transaction: what is no request by itself.
    #[error("batches within batches, and capabilities, are")]
    Nested,
    /// fhirpatch.html.
    #[error("patches as Parameters are")]
    FhirPathPatch,
    /// http.html#history, of all types at once.
    #[error("history over all types is")]
    SystemHistory,
    /// operations.html, GraphQL among them; all but `$everything` of a patient and bulk export.
    #[error("this operation is")]
    Operation,
    /// search.html, by another compartment than a patient's, or of types that no one parameter finds in it.
    #[error("such a search by compartment is")]
    Compartment,
    /// search.html, over all types.
    #[error("search over all types is")]
    SystemSearch,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Path
            | Self::Id(_)
            | Self::Query(_)
            | Self::Search(_)
            | Self::IfMatch
            | Self::Condition
            | Self::Unproven
            | Self::IfNoneMatch
            | Self::ConditionalHeader
            | Self::Synchronous
            | Self::Unsupported(
                Unsupported::Nested
                | Unsupported::FhirPathPatch
                | Unsupported::SystemHistory
                | Unsupported::Operation
                | Unsupported::Compartment
                | Unsupported::SystemSearch,
            ) => 400,
            Self::Type(_) => 404,
            Self::Method { .. } => 405,
            Self::NotAcceptable(_) => 406,
            Self::MediaType(_) => 415,
            Self::IfMatchMissing => 428,
        }
    }

    /// The `Allow` header, which a 405 has to have.
    #[must_use]
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Method { allow } => Some(allow),
            _ => None,
        }
    }

    /// The code of the issue.
    #[must_use]
    pub fn issue(&self) -> IssueType {
        match self {
            Self::Path
            | Self::Id(_)
            | Self::Query(_)
            | Self::IfMatch
            | Self::Condition
            | Self::ConditionalHeader => IssueType::Invalid,
            Self::IfNoneMatch | Self::Unproven => IssueType::NotSupported,
            Self::IfMatchMissing | Self::Synchronous => IssueType::Required,
            Self::Type(_)
            | Self::Method { .. }
            | Self::Unsupported(_)
            | Self::NotAcceptable(_)
            | Self::MediaType(_) => IssueType::NotSupported,
            Self::Search(error) => error.issue(),
        }
    }

    /// The body of the answer. It names a parameter, never a value.
    #[must_use]
    pub fn outcome(&self) -> OperationOutcome {
        OperationOutcome::new(self.issue(), &self.to_string())
    }
}
