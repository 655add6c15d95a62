//! References between resources, and what they prove. HL7 FHIR 4.0.1, references.html.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::base::BaseUrls;
use super::name::{ResourceId, ResourceType, VersionId};
use super::version::FhirVersion;
use crate::json::Node;

/// A record of this service, such as `Patient/123`.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: ResourceId,
}

/// The text is not a type, a slash and an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not of the form `Type/id`")]
pub struct NotLocal;

/// Where the text of a reference leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target<'a> {
    /// To a record of this service, in its present or a former version.
    Record(Reference),
    /// To a resource within the same one, by this id.
    Contained(&'a str),
    /// Somewhere that proves nothing: another server, a `urn:`, an encoded or conditional reference.
    Unproven,
}

impl<'a> Target<'a> {
    /// Finds out where a reference leads: relative, or absolute under one of our bases, letter by letter.
    #[must_use]
    pub fn of(text: &'a str, bases: &BaseUrls) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        let absolute = [&bases.public, &bases.upstream].iter().find_map(|base| base.strip(text));
        let relative = match absolute {
            Some(rest) => rest.strip_prefix('/').unwrap_or(rest),
            None => text,
        };
        let current = match relative.split_once("/_history/") {
            Some((current, version)) if version.parse::<VersionId>().is_ok() => current,
            Some(_) => return Self::Unproven,
            None => relative,
        };
        Reference::of(bases.version, current).map_or(Self::Unproven, Self::Record)
    }
}

/// The records of this service to which the References in a resource lead, wherever they stand.
#[must_use]
pub fn references_in(value: &Node<'_>, bases: &BaseUrls) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    collect(value, bases, &mut found);
    found
}

fn collect(value: &Node<'_>, bases: &BaseUrls, found: &mut BTreeSet<Reference>) {
    match value {
        Node::Object(members) => {
            if let Some(Node::Text(text)) = members.get("reference")
                && let Target::Record(record) = Target::of(text, bases)
            {
                found.insert(record);
            }
            members.iter().for_each(|(_, value)| collect(value, bases, found));
        }
        Node::Array(items) => items.iter().for_each(|item| collect(item, bases, found)),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => {}
    }
}

impl Reference {
    /// Reads one to a record of a type that a version has.
    ///
    /// # Errors
    /// [`NotLocal`].
    pub fn of(version: FhirVersion, text: &str) -> Result<Self, NotLocal> {
        let (resource_type, id) = text.split_once('/').ok_or(NotLocal)?;
        Ok(Self {
            resource_type: ResourceType::of(version, resource_type).map_err(|_| NotLocal)?,
            id: id.parse().map_err(|_| NotLocal)?,
        })
    }
}

impl FromStr for Reference {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let (resource_type, id) = text.split_once('/').ok_or(NotLocal)?;
        Ok(Self {
            resource_type: resource_type.parse().map_err(|_| NotLocal)?,
            id: id.parse().map_err(|_| NotLocal)?,
        })
    }
}

impl TryFrom<String> for Reference {
    type Error = NotLocal;

    fn try_from(text: String) -> Result<Self, NotLocal> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource_type, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target<'_> {
        let bases = BaseUrls {
            public: "https://gate.test/fhir".parse().unwrap(),
            upstream: "http://hapi.internal:8080/fhir".parse().unwrap(),
            version: FhirVersion::R4,
        };
        Target::of(text, &bases)
    }

    #[test]
    fn what_names_a_record_of_ours_letter_by_letter_is_proven() {
        for text in [
            "Patient/a",
            "Patient/a/_history/3",
            "https://gate.test/fhir/Patient/a",
            "http://hapi.internal:8080/fhir/Patient/a",
            "http://hapi.internal:8080/fhir/Patient/a/_history/1",
        ] {
            assert_eq!(target(text), Target::Record("Patient/a".parse().unwrap()), "{text}");
        }
        assert_eq!(target("#a"), Target::Contained("a"));
    }

    #[test]
    fn every_other_spelling_proves_nothing() {
        for text in [
            "",
            "a",
            "/Patient/a",
            "patient/a",
            "Patient/a ",
            " Patient/a",
            "Patient/a/",
            "Patient//a",
            "Patient/%61",
            "Patient%2Fa",
            "Patient/a#x",
            "Patient/a?x",
            "Patient/a/_history/",
            "Patient/a/_history/1/2",
            "Patient/../Patient/a",
            "Patient/..",
            "Patient?identifier=x|1",
            "Foo/a",
            "urn:uuid:3b7c9a1e-0000-4000-8000-000000000000",
            "https://other.test/fhir/Patient/a",
            "https://gate.test/fhirx/Patient/a",
            "https://gate.test/Patient/a",
            "https://gate.test/fhir/x/Patient/a",
            "HTTPS://gate.test/fhir/Patient/a",
        ] {
            assert_eq!(target(text), Target::Unproven, "{text}");
        }
    }
}
