//! Finding every patient that a resource names, wherever and however it does.

use std::collections::BTreeSet;

use super::Others;
use crate::fhir::base::BaseUrls;
use crate::fhir::name::{ResourceId, ResourceType};
use crate::fhir::reference::Target;
use crate::json::{Members, Node};

/// Who may be named.
pub(super) struct Mention<'a> {
    pub(super) known: &'a BTreeSet<ResourceId>,
    pub(super) bases: &'a BaseUrls,
}

/// Looks for a patient who is not known. The outermost resource may be a Patient, one within may not.
pub(super) fn find(resource: &Node<'_>, allowed: &Mention<'_>) -> Others {
    match resource {
        Node::Object(members) => any(members.iter().map(|(name, value)| allowed.member(name, value))),
        _ => Others::None,
    }
}

fn any(mut all: impl Iterator<Item = Others>) -> Others {
    if all.any(|others| others == Others::Named) { Others::Named } else { Others::None }
}

impl Mention<'_> {
    fn member(&self, name: &str, value: &Node<'_>) -> Others {
        match value {
            Node::Text(text) if is_link(name) => self.text(text),
            Node::Array(items) => any(items.iter().map(|item| self.member(name, item))),
            Node::Object(members) => self.object(name, members),
            Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => Others::None,
        }
    }

    fn object(&self, name: &str, members: &Members<'_>) -> Others {
        let says = |name: &str| members.get(name).and_then(Node::as_str);
        let is_patient = says("resourceType") == Some("Patient");
        let points =
            ["reference", "identifier", "display"].iter().any(|member| members.get(member).is_some());
        let is_proven =
            || matches!(says("reference").map(|text| Target::of(text, self.bases)), Some(Target::Record(_)));
        // A Reference that says that it is to a Patient, and does not prove to which.
        let is_unproven = says("type") == Some("Patient") && points && !is_proven();
        if is_patient || is_unproven {
            return Others::Named;
        }
        // The URL of an extension says what it means, not whom.
        let is_extension = matches!(name, "extension" | "modifierExtension");
        let inner = members.iter().filter(|(inner, _)| !(is_extension && *inner == "url"));
        any(inner.map(|(name, value)| self.member(name, value)))
    }

    fn text(&self, text: &str) -> Others {
        match Target::of(text, self.bases) {
            Target::Record(record) if record.resource_type != ResourceType::PATIENT => Others::None,
            Target::Record(record) if self.known.contains(&record.id) => Others::None,
            Target::Record(_) => Others::Named,
            // What is contained is looked at where it stands.
            Target::Contained(_) => Others::None,
            Target::Unproven if looks_like_a_patient(text) => Others::Named,
            Target::Unproven => Others::None,
        }
    }
}

/// Whether the text of a member of this name points to something: a Reference, or a uri, url or canonical.
fn is_link(name: &str) -> bool {
    matches!(name, "reference" | "uri" | "url")
        || ["Uri", "Url", "Canonical"].iter().any(|kind| name.ends_with(kind))
}

/// Whether a text that proves nothing would be taken by somebody for a reference to a Patient: on another server,
/// by a condition, with escapes or white space in it.
fn looks_like_a_patient(text: &str) -> bool {
    let plain = unescaped(text);
    let mut segments = plain.split(['/', '?', '#', '|', '\\']).map(str::trim);
    segments.any(|segment| segment.eq_ignore_ascii_case("patient")) && segments.next().is_some()
}

/// Undoes escapes, and those that stand for escapes, as deep as a chain of servers might.
fn unescaped(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..DEEPEST_ESCAPE {
        bytes = without_escapes(&bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn without_escapes(mut text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let escaped = match rest {
            [high, low, after @ ..] if *first == b'%' => {
                digit(*high).zip(digit(*low)).map(|(high, low)| ((high << 4) | low, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, rest));
        out.push(byte);
        text = after;
    }
    out
}

const DEEPEST_ESCAPE: usize = 4;
