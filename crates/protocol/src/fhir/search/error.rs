//! Why a search is refused. HL7 FHIR 4.0.1, search.html#errors.

use std::fmt;

use crate::fhir::outcome::IssueType;

/// Why a search is refused. A parameter is named, a value never.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SearchError {
    /// search.html#errors: not a parameter of this type, or one that reaches beyond the records searched.
    #[error("parameter {0} is not supported")]
    Parameter(ShownName),
    /// search.html#modifiers.
    #[error("the modifier of parameter {0} is not supported")]
    Modifier(ShownName),
    /// The value is not of the parameter's kind, or of a form that is not offered.
    #[error("the value of parameter {0} is not of a supported form")]
    Value(ShownName),
    /// Once is enough, and two would contradict each other.
    #[error("parameter {0} comes more than once")]
    Repeated(ShownName),
    /// http.html#search: which of the two counts differs between servers.
    #[error("parameter {0} stands in the URL and in the body")]
    InUrlAndBody(ShownName),
    /// Each is more work for the upstream.
    #[error("parameter {0} comes more often than is taken")]
    TooMany(ShownName),
}

/// A parameter's name as far as it can be shown: no digits, so that no value passes for one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownName(String);

impl SearchError {
    /// The code of the issue.
    #[must_use]
    pub fn issue(&self) -> IssueType {
        match self {
            Self::Parameter(_) | Self::Modifier(_) => IssueType::NotSupported,
            Self::Value(_) | Self::Repeated(_) | Self::InUrlAndBody(_) | Self::TooMany(_) => {
                IssueType::Invalid
            }
        }
    }
}

impl ShownName {
    /// What can be shown of a name that came with a request.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let plain = |b: u8| b.is_ascii_alphabetic() || b"_-:.".contains(&b);
        let shown =
            if name.len() <= 64 && name.bytes().all(plain) { format!("`{name}`") } else { String::new() };
        Self(shown)
    }
}

impl fmt::Display for ShownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "with an unusual name" } else { &self.0 })
    }
}
