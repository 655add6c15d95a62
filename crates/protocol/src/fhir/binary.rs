//! Binary: content, and the record that protects it. HL7 FHIR 4.0.1, binary.html and http.html#binary.
//!
//! A Binary says of itself neither whose it is nor what is in it. It is as much a patient's as the record that its
//! `securityContext` names, or, where it names none, as the DocumentReferences that point to it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::base::BaseUrls;
use super::content::MediaType;
use super::name::{ResourceId, ResourceType};
use super::reference::{Reference, Target};
use super::resource::{BadAnswer, Resource};
use crate::form::Form;
use crate::json::Node;

/// What a Binary says that protects it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Guard {
    /// This record.
    Record(Reference),
    /// Nothing: then it is what points to it.
    Unsaid,
    /// Something that proves nothing, which protects it from everybody.
    Unproven,
}

/// What is in a Binary. It has no `Debug`, for it is PHI.
pub struct Content {
    /// What it says it is.
    pub media_type: MediaType,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What protects a Binary, by its own word.
#[must_use]
pub fn guard_of(binary: &Node<'_>, bases: &BaseUrls) -> Guard {
    let Some(context) = binary.get("securityContext") else { return Guard::Unsaid };
    match context.get("reference").and_then(Node::as_str).map(|text| Target::of(text, bases)) {
        // Content has no content of its own to be decided by.
        Some(Target::Record(record)) if record.resource_type != ResourceType::BINARY => Guard::Record(record),
        Some(Target::Record(_) | Target::Contained(_) | Target::Unproven) | None => Guard::Unproven,
    }
}

/// The Binaries of this service to which a resource points, by `Attachment.url` or by reference, wherever it does.
#[must_use]
pub fn binaries_in(resource: &Node<'_>, bases: &BaseUrls) -> BTreeSet<ResourceId> {
    let mut found = BTreeSet::new();
    collect(resource, bases, &mut found);
    found
}

fn collect(value: &Node<'_>, bases: &BaseUrls, found: &mut BTreeSet<ResourceId>) {
    match value {
        Node::Object(members) => members.iter().for_each(|(name, value)| match value {
            Node::Text(text) if matches!(name, "url" | "reference") => {
                if let Target::Record(record) = Target::of(text, bases)
                    && record.resource_type == ResourceType::BINARY
                {
                    found.insert(record.id);
                }
            }
            value => collect(value, bases, found),
        }),
        Node::Array(items) => items.iter().for_each(|item| collect(item, bases, found)),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => {}
    }
}

/// The search by which the DocumentReferences are found that point to a Binary, by each of its names.
#[must_use]
pub fn search_for_pointers(binary: &ResourceId, bases: &BaseUrls) -> String {
    let mut form = Form::default();
    let BaseUrls { public, upstream, .. } = bases;
    form.push("location", &format!("Binary/{binary},{public}/Binary/{binary},{upstream}/Binary/{binary}"));
    form.push("_count", &MOST_POINTERS.to_string());
    form.behind(&format!("/{}", ResourceType::DOCUMENT_REFERENCE))
}

/// More DocumentReferences than these do not point to one Binary.
const MOST_POINTERS: u16 = 50;

/// What is in a Binary.
///
/// # Errors
/// [`BadAnswer::NotAResource`] if it says not what it is, or its data is no base64.
pub fn content_of(binary: &Resource<'_>) -> Result<Content, BadAnswer> {
    let text = |name| binary.value().get(name).and_then(Node::as_str);
    let media_type = text("contentType").and_then(MediaType::of).ok_or(BadAnswer::NotAResource)?;
    let data = match binary.value().get("data") {
        None => "",
        Some(data) => data.as_str().ok_or(BadAnswer::NotAResource)?,
    };
    // datatypes.html#base64Binary: there may be whitespace.
    let plain: Cow<'_, [u8]> = match data.bytes().any(|b| b.is_ascii_whitespace()) {
        false => Cow::Borrowed(data.as_bytes()),
        true => data.bytes().filter(|b| !b.is_ascii_whitespace()).collect(),
    };
    let bytes = STANDARD.decode(plain).map_err(|_| BadAnswer::NotAResource)?;
    Ok(Content { media_type, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::version::FhirVersion;
    use crate::json::parse;

    fn bases() -> BaseUrls {
        BaseUrls {
            public: "https://g/fhir".parse().unwrap(),
            upstream: "http://u/r4".parse().unwrap(),
            version: FhirVersion::R4,
        }
    }

    #[test]
    fn what_protects_content_is_one_record_of_ours_or_nothing_is_proven() {
        let guard = |context: &str| {
            let text = format!(r#"{{"resourceType":"Binary","id":"b"{context}}}"#);
            guard_of(&parse(text.as_bytes(), 8).unwrap(), &bases())
        };
        assert_eq!(guard(""), Guard::Unsaid);
        let named = Guard::Record("Patient/a".parse().unwrap());
        for reference in ["Patient/a", "https://g/fhir/Patient/a", "http://u/r4/Patient/a/_history/2"] {
            assert_eq!(guard(&format!(r#","securityContext":{{"reference":"{reference}"}}"#)), named);
        }
        for context in [
            r#"{"reference":"Binary/c"}"#,
            r##"{"reference":"#p"}"##,
            r#"{"reference":"https://evil/Patient/a"}"#,
            r#"{"reference":"Patient/a?x"}"#,
            r#"{"reference":"Patient/%61"}"#,
            r#"{"reference":7}"#,
            r#"{"identifier":{"value":"a"}}"#,
            "null",
            "[]",
            r#""Patient/a""#,
        ] {
            assert_eq!(guard(&format!(r#","securityContext":{context}"#)), Guard::Unproven, "{context}");
        }
    }

    #[test]
    fn a_pointer_is_found_wherever_it_stands_and_in_whatever_form() {
        let text = r#"{"resourceType":"DocumentReference","content":[{"attachment":{"url":"Binary/a"}},
            {"attachment":{"url":"https://g/fhir/Binary/b"}},{"attachment":{"url":"http://u/r4/Binary/c/_history/1"}},
            {"attachment":{"url":"https://evil/Binary/d"}},{"attachment":{"url":"Patient/e","title":"Binary/f"}}],
            "extension":[{"url":"x","valueReference":{"reference":"Binary/g"}}]}"#;
        let found = binaries_in(&parse(text.as_bytes(), 8).unwrap(), &bases());
        let found: Vec<_> = found.iter().map(ResourceId::as_str).collect();
        assert_eq!(found, ["a", "b", "c", "g"]);
        let search = search_for_pointers(&"a".parse().unwrap(), &bases());
        assert_eq!(
            search,
            "/DocumentReference?location=Binary%2Fa%2Chttps%3A%2F%2Fg%2Ffhir%2FBinary%2Fa%2Chttp%3A%2F%2Fu%2Fr4%2FBinary%2Fa&_count=50"
        );
    }

    #[test]
    fn content_is_decoded_or_it_is_none() {
        let content = |members: &str| {
            let text = format!(r#"{{"resourceType":"Binary","id":"b"{members}}}"#);
            let binary = Resource::parse(text.as_bytes(), &"Binary/b".parse().unwrap(), None).unwrap();
            content_of(&binary).map(|content| (content.media_type.to_string(), content.bytes))
        };
        let pdf = |bytes: &[u8]| Ok(("application/pdf".to_owned(), bytes.to_vec()));
        assert_eq!(content(r#","contentType":"Application/PDF","data":"aGk=""#), pdf(b"hi"));
        assert_eq!(content(r#","contentType":"application/pdf","data":"a\nG k=\n""#), pdf(b"hi"));
        assert_eq!(content(r#","contentType":"application/pdf""#), pdf(b""));
        for members in [
            "",
            r#","data":"aGk=""#,
            r#","contentType":"pdf","data":"aGk=""#,
            r#","contentType":"a/b\r\nx: y","data":"aGk=""#,
            r#","contentType":"application/pdf","data":"aGk""#,
            r#","contentType":"application/pdf","data":7"#,
            r#","contentType":"application/pdf","data":"a_k=""#,
        ] {
            assert_eq!(content(members).err(), Some(BadAnswer::NotAResource), "{members}");
        }
    }
}
