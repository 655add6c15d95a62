//! Which FHIR is spoken: R4, R4B or R5. HL7 FHIR 5.0.0, versions.html.
//!
//! The interactions are the same in all three; what differs is data, a table of each kind for each version, and in a few
//! resources (Consent, CareTeam, Encounter) what an element is called. Tables are read when they are first asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// A version of FHIR that can stand behind a route.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum FhirVersion {
    /// 4.0.
    #[default]
    R4,
    /// 4.3.
    R4B,
    /// 5.0.
    R5,
}

/// The text names no version that is spoken here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of 4.0, 4.3, 5.0")]
pub struct UnknownVersion;

impl FhirVersion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::R4, Self::R4B, Self::R5];

    /// As the parameter `fhirVersion` of a media type has it. http.html#version-parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::R4 => "4.0",
            Self::R4B => "4.3",
            Self::R5 => "5.0",
        }
    }

    /// The publication whose definitions are used, as `CapabilityStatement.fhirVersion` has it.
    #[must_use]
    pub fn publication(self) -> &'static str {
        match self {
            Self::R4 => "4.0.1",
            Self::R4B => "4.3.0",
            Self::R5 => "5.0.0",
        }
    }

    /// Whether a publication is of this version: `4.0.1` of 4.0, whatever its third number.
    #[must_use]
    pub fn is_of(self, publication: &str) -> bool {
        let rest = publication.strip_prefix(self.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl FromStr for FhirVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownVersion)
    }
}

impl fmt::Display for FhirVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A table of each version, read when it is first asked for.
pub(super) struct PerVersion<T: 'static> {
    r4: LazyLock<T>,
    r4b: LazyLock<T>,
    r5: LazyLock<T>,
}

impl<T> PerVersion<T> {
    pub(super) const fn of(r4: fn() -> T, r4b: fn() -> T, r5: fn() -> T) -> Self {
        Self { r4: LazyLock::new(r4), r4b: LazyLock::new(r4b), r5: LazyLock::new(r5) }
    }

    pub(super) fn get(&'static self, version: FhirVersion) -> &'static T {
        match version {
            FhirVersion::R4 => &self.r4,
            FhirVersion::R4B => &self.r4b,
            FhirVersion::R5 => &self.r5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_two_numbers_and_covers_what_was_published_of_it() {
        for version in FhirVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert!(version.is_of(version.publication()) && version.is_of(version.as_str()));
        }
        for text in ["4", "4.0.1", "4.1", "R4", "", "3.0", "6.0"] {
            assert_eq!(text.parse::<FhirVersion>(), Err(UnknownVersion), "{text}");
        }
        for text in ["4.3.0", "4.00", "40.1", "", "5.0.0"] {
            assert!(!FhirVersion::R4.is_of(text), "{text}");
        }
    }
}
