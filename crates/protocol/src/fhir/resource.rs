//! One resource as the upstream gave it, its text untouched. HL7 FHIR 4.0.1, json.html and http.html#read.
//!
//! A decimal's precision is part of its value (datatypes.html#decimal), so what leaves is the text that came, and
//! the value that was parsed beside it serves decisions alone.

use serde_json::value::RawValue;

use super::base::BaseUrls;
use super::name::{ResourceId, ResourceType, VersionId};
use super::outcome::{IssueType, OperationOutcome};
use super::reference::Reference;
use crate::json::{self, JsonError, Node};

/// A resource with a type and an id. It has no `Debug`, for it is PHI from end to end.
pub struct Resource<'a> {
    text: &'a str,
    value: Node<'a>,
    reference: Reference,
}

/// Why an answer of the upstream is not passed on: 502.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadAnswer {
    /// RFC 8259, RFC 7493.
    #[error("the upstream's answer is {0}")]
    Json(#[from] JsonError),
    /// json.html: no object with a type and an id.
    #[error("the upstream's answer is no resource")]
    NotAResource,
    /// http.html#read: another record, or another version of it.
    #[error("the upstream's answer is another resource than the one asked for")]
    OtherResource,
    /// bundle.html: no bundle, or one of another kind.
    #[error("the upstream's answer is another bundle than the one asked for")]
    OtherBundle,
    /// bundle.html: what stands around the entries is more than any bundle needs.
    #[error("the upstream's answer has too much around its entries")]
    TooMuchAround,
    /// search.html#include: what comes along cannot be told from so much.
    #[error("the upstream's answer refers to more than can be remembered")]
    TooManyReferences,
    /// http.html#paging: to follow it would leave the upstream, to drop it would lose records without a word.
    #[error("the upstream's next page lies outside of its base URL")]
    NextPage,
}

impl BadAnswer {
    /// The HTTP status.
    pub const STATUS: u16 = 502;

    /// The body of the answer to the client, which learns nothing of the upstream.
    #[must_use]
    pub fn outcome(self) -> OperationOutcome {
        OperationOutcome::new(IssueType::Exception, "the server behind the gateway gave an unusable answer")
    }
}

impl<'a> Resource<'a> {
    /// Reads the answer to a read or vread.
    ///
    /// # Errors
    /// [`BadAnswer`], also where the answer is not what was asked for.
    pub fn parse(body: &'a [u8], asked: &Reference, version: Option<&VersionId>) -> Result<Self, BadAnswer> {
        let value = json::parse(body, MAX_DEPTH)?;
        let text = std::str::from_utf8(body).map_err(|_| JsonError::NotUtf8)?;
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        let resource = Self::of(text, value).ok_or(BadAnswer::NotAResource)?;
        let other_version = |asked: &VersionId| resource.version().is_some_and(|own| own != *asked);
        if resource.reference != *asked || version.is_some_and(other_version) {
            return Err(BadAnswer::OtherResource);
        }
        Ok(resource)
    }

    /// Reads a resource that is there by itself, whichever it is.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub(super) fn parse_any(body: &'a [u8]) -> Result<Self, BadAnswer> {
        let value = json::parse(body, MAX_DEPTH)?;
        let text = std::str::from_utf8(body).map_err(|_| JsonError::NotUtf8)?;
        Self::of(text.trim_matches([' ', '\t', '\n', '\r']), value).ok_or(BadAnswer::NotAResource)
    }

    /// Reads a resource out of text that was checked before.
    pub(super) fn read(text: &'a RawValue) -> Option<Self> {
        Self::of(text.get(), json::parse(text.get().as_bytes(), MAX_DEPTH).ok()?)
    }

    fn of(text: &'a str, value: Node<'a>) -> Option<Self> {
        let member = |name| value.get(name).and_then(Node::as_str);
        let resource_type: ResourceType = member("resourceType")?.parse().ok()?;
        let id: ResourceId = member("id")?.parse().ok()?;
        Some(Self { text, value, reference: Reference { resource_type, id } })
    }

    /// Its type and id.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Its content, to decide by.
    #[must_use]
    pub fn value(&self) -> &Node<'a> {
        &self.value
    }

    /// Its text as it came. What leaves is a [`View`](super::view::View) of it.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// `meta.versionId`, where it is one that can stand in an entity tag.
    #[must_use]
    pub fn version(&self) -> Option<VersionId> {
        self.value.get("meta")?.get("versionId")?.as_str()?.parse().ok()
    }
}

/// Where a record is, as `Location` and `Content-Location` say it. http.html#create.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// The record.
    pub reference: Reference,
    /// Its version.
    pub version: Option<VersionId>,
}

impl Location {
    /// Reads the upstream's header: under its base or relative to it. Anything else is nothing that we can stand
    /// for, and is left out.
    #[must_use]
    pub fn parse(header: &str, bases: &BaseUrls) -> Option<Self> {
        let relative = match bases.upstream.strip(header) {
            Some(rest) => rest.strip_prefix('/')?,
            None => header,
        };
        let (reference, version) = match relative.split_once("/_history/") {
            Some((reference, version)) => (reference, Some(version.parse().ok()?)),
            None => (relative, None),
        };
        Some(Self { reference: reference.parse().ok()?, version })
    }

    /// The same place as clients see it.
    #[must_use]
    pub fn public_url(&self, bases: &BaseUrls) -> String {
        match &self.version {
            Some(version) => format!("{}/{}/_history/{version}", bases.public, self.reference),
            None => format!("{}/{}", bases.public, self.reference),
        }
    }
}

/// The deepest nesting of an answer or a body.
pub(super) const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::version::FhirVersion;

    fn read(body: &str, version: Option<&str>) -> Result<String, BadAnswer> {
        let version = version.map(|version| version.parse().unwrap());
        Resource::parse(body.as_bytes(), &"Patient/a".parse().unwrap(), version.as_ref())
            .map(|resource| resource.text().to_owned())
    }

    #[test]
    fn the_text_leaves_as_it_came() {
        let body =
            r#"{"id":"a", "resourceType":"Patient","x":[1.10, 1e-3, "\u00e4", 0.30000000000000000001]}"#;
        assert_eq!(read(body, None).as_deref(), Ok(body));
    }

    #[test]
    fn another_resource_than_the_one_asked_for_is_a_bad_answer() {
        for body in [r#"{"resourceType":"Patient","id":"b"}"#, r#"{"resourceType":"Observation","id":"a"}"#] {
            assert_eq!(read(body, None), Err(BadAnswer::OtherResource), "{body}");
        }
        let versioned = r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"2"}}"#;
        assert_eq!(read(versioned, Some("2")).as_deref(), Ok(versioned));
        assert_eq!(read(versioned, Some("1")), Err(BadAnswer::OtherResource));
    }

    #[test]
    fn what_is_no_resource_is_a_bad_answer() {
        for body in ["[]", "{}", r#"{"resourceType":"Patient"}"#, r#"{"resourceType":"Patient","id":"a/b"}"#]
        {
            assert_eq!(read(body, None), Err(BadAnswer::NotAResource), "{body}");
        }
        let twice = r#"{"resourceType":"Patient","id":"b","id":"a"}"#;
        assert_eq!(read(twice, None), Err(BadAnswer::Json(JsonError::DuplicateName)));
        let deep =
            format!(r#"{{"resourceType":"Patient","id":"a","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
        assert_eq!(read(&deep, None), Err(BadAnswer::Json(JsonError::TooDeep)));
    }

    #[test]
    fn a_location_is_told_in_our_own_name() {
        let bases = BaseUrls {
            public: "https://g/fhir".parse().unwrap(),
            upstream: "http://u/fhir".parse().unwrap(),
            version: FhirVersion::R4,
        };
        let told = |header| Location::parse(header, &bases).map(|location| location.public_url(&bases));
        for header in ["http://u/fhir/Patient/a/_history/1", "Patient/a/_history/1"] {
            assert_eq!(told(header).as_deref(), Some("https://g/fhir/Patient/a/_history/1"));
        }
        assert_eq!(told("http://u/fhir/Patient/a").as_deref(), Some("https://g/fhir/Patient/a"));
        for header in [
            "",
            "http://evil/fhir/Patient/a",
            "http://u/fhirx/Patient/a",
            "/fhir/Patient/a",
            "Patient/../x",
            "Foo/a",
        ] {
            assert_eq!(told(header), None, "{header}");
        }
    }
}
