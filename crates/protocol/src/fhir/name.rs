//! What FHIR names things by: types, ids, versions. HL7 FHIR 4.0.1, resourcelist.html and datatypes.html#id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parameters;
use super::version::FhirVersion;

/// A resource type of one of the versions of FHIR, abstract ones and `Parameters` aside: nobody stores those.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct ResourceType(&'static str);

/// The text names no resource type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a resource type of FHIR")]
pub struct UnknownType;

/// The logical id of a resource.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId(String);

/// One version of a resource.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct VersionId(ResourceId);

/// The text is no id: 1 to 64 of A-Z, a-z, 0-9, `-`, `.`, and not a step in a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not 1 to 64 of A-Z, a-z, 0-9, `-`, `.`")]
pub struct MalformedId;

impl ResourceType {
    /// The type whose instances everything else is about.
    pub const PATIENT: Self = Self("Patient");
    /// Content, which some record protects.
    pub const BINARY: Self = Self("Binary");
    /// Patients that have something in common.
    pub const GROUP: Self = Self("Group");
    /// What points to content.
    pub const DOCUMENT_REFERENCE: Self = Self("DocumentReference");

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// All types of a version, in alphabetical order.
    pub fn all(version: FhirVersion) -> impl Iterator<Item = Self> {
        parameters::types(version).map(Self)
    }

    /// The type of this name in a version.
    ///
    /// # Errors
    /// [`UnknownType`] if it has none.
    pub fn of(version: FhirVersion, name: &str) -> Result<Self, UnknownType> {
        parameters::type_name(version, name).map(Self).ok_or(UnknownType)
    }

    /// Whether a version has it.
    #[must_use]
    pub fn is_in(self, version: FhirVersion) -> bool {
        parameters::type_name(version, self.0).is_some()
    }
}

impl FromStr for ResourceType {
    type Err = UnknownType;

    /// A type that any version has.
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        FhirVersion::ALL.into_iter().find_map(|version| Self::of(version, text).ok()).ok_or(UnknownType)
    }
}

impl Serialize for ResourceType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for ResourceType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl ResourceId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        // FHIR's pattern allows `.` and `..`, which are not names in a path but steps (RFC 3986 section 5.2.4).
        if !plain || !(1..=64).contains(&text.len()) || matches!(text, "." | "..") {
            return Err(MalformedId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ResourceId {
    type Error = MalformedId;

    fn try_from(text: String) -> Result<Self, MalformedId> {
        text.parse()
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VersionId {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Reads an entity tag as `If-Match` carries it: `W/"3"`, or strong as some clients write it. HL7 FHIR 4.0.1,
    /// http.html#concurrency.
    ///
    /// # Errors
    /// [`MalformedId`] if it is none, or several.
    pub fn from_entity_tag(tag: &str) -> Result<Self, MalformedId> {
        let quoted = tag.strip_prefix("W/").unwrap_or(tag);
        quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(MalformedId)?.parse()
    }

    /// The entity tag of this version.
    #[must_use]
    pub fn entity_tag(&self) -> String {
        format!("W/\"{self}\"")
    }
}

impl FromStr for VersionId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        text.parse().map(Self)
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_each_version_in_their_own_spelling() {
        let counts = FhirVersion::ALL.map(|version| ResourceType::all(version).count());
        assert_eq!(counts, [145, 140, 158]);
        for (name, versions) in
            [("DeviceUseStatement", [true, true, false]), ("DeviceUsage", [false, false, true])]
        {
            let own = name.parse::<ResourceType>().unwrap();
            assert_eq!(FhirVersion::ALL.map(|version| own.is_in(version)), versions);
        }
        assert_eq!("Patient".parse::<ResourceType>().unwrap().as_str(), "Patient");
        for text in ["patient", "Patients", "", "Resource", "DomainResource", "CanonicalResource", "Patient "]
        {
            assert_eq!(text.parse::<ResourceType>(), Err(UnknownType), "{text}");
        }
    }

    #[test]
    fn g01_an_id_is_never_a_step_in_a_path() {
        for text in ["1", "a.b-C", ".a", "...", &"x".repeat(64)] {
            assert!(text.parse::<ResourceId>().is_ok(), "{text}");
        }
        for text in ["", ".", "..", "a/b", "a_b", "%2e", "a b", "a;b", "ä", &"x".repeat(65)] {
            assert_eq!(text.parse::<ResourceId>(), Err(MalformedId), "{text}");
        }
    }

    #[test]
    fn an_entity_tag_names_one_version() {
        assert_eq!(VersionId::from_entity_tag("W/\"3\"").unwrap().as_str(), "3");
        assert_eq!(VersionId::from_entity_tag("\"3\"").unwrap().as_str(), "3");
        for tag in ["3", "*", "W/3", "W/\"\"", "W/\"1\", W/\"2\"", "\"", "w/\"3\""] {
            assert_eq!(VersionId::from_entity_tag(tag), Err(MalformedId), "{tag}");
        }
    }
}
