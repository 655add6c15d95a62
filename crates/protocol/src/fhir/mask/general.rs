//! Elements removed, dates made years, identifiers renamed: all else stays as it came.
//!
//! The narrative goes in any case, for it repeats the elements: narrative.html.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::dates::{Years, is_date};
use super::kept::{Kept, Members};
use super::place::{Member, Place};
use super::{Mask, Masking, Unmaskable};
use crate::fhir::elements::{Part, is_named};
use crate::json::{Node, Object, read, read_string};

/// Carries out what takes away.
pub(super) struct General<'m> {
    masking: Masking<'m>,
    years: Option<Years>,
    pseudonyms: bool,
}

impl<'m> General<'m> {
    pub(super) fn new(masking: Masking<'m>) -> Self {
        let Mask { years, pseudonyms, .. } = masking.mask;
        Self { masking, years: years.then(|| Years::of(masking.year)), pseudonyms: *pseudonyms }
    }

    /// The same where elements are to be removed and nothing else is to be done.
    pub(super) fn removing(masking: Masking<'m>) -> Self {
        Self { masking, years: None, pseudonyms: false }
    }

    pub(super) fn of_text<'a>(&self, text: &'a str) -> Result<Kept<'a>, Unmaskable> {
        let object: Object<'a> = read(text).map_err(|_| Unmaskable)?;
        Ok(self.object(&Place::record(None, Vec::new()), object))
    }

    /// An object; one that is a resource, wherever it stands, is masked as one of its type.
    fn object<'a>(&self, place: &Place<'_>, object: Object<'a>) -> Kept<'a> {
        let version = self.masking.bases.version;
        let resource_type = object.string("resourceType").ok().flatten();
        let is_resource = resource_type.is_some();
        let resource;
        let place = match &resource_type {
            Some(name) => {
                let own = self.masking.mask.removed_of(name).map(|path| path.steps());
                let paths = own.chain(place.paths.iter().copied()).collect();
                resource = Place::record(Part::find(version, name), paths);
                &resource
            }
            None => place,
        };
        let mut members: Members<'a> = Vec::new();
        for (name, value) in object.into_members() {
            let base = name.strip_prefix('_').unwrap_or(&name);
            let left = match place.member(base, |step| is_named(step, base)) {
                Member::Stays(left) if !(is_resource && base == "text") => left,
                Member::Stays(_) | Member::Removed => continue,
            };
            let is_sibling = base.len() != name.len();
            let kept = match place.part {
                Some(part) if self.pseudonyms && !is_sibling && is_identifying_text(part, base) => {
                    self.identifying_text(value)
                }
                _ => {
                    let kind = place.kind(base).filter(|_| !is_sibling);
                    let part = kind.and_then(|kind| Part::find(version, kind));
                    self.value(base, kind, value, &Place::within(part, left, place))
                }
            };
            members.extend(kept.map(|kept| (name, kept)));
        }
        Kept::Object(members)
    }

    fn value<'a>(
        &self,
        name: &str,
        kind: Option<&'static str>,
        value: &'a RawValue,
        place: &Place<'_>,
    ) -> Option<Kept<'a>> {
        let text: &'a str = value.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let object: Object<'a> = read(text).ok()?;
                let is_identifier = match kind {
                    Some(kind) => kind == "Identifier",
                    None => matches!(name, "identifier" | "valueIdentifier"),
                };
                if is_identifier && self.pseudonyms {
                    return Some(self.identifier(&object));
                }
                Some(self.object(place, object))
            }
            Some(b'[') => {
                let items: Vec<&'a RawValue> = read(text).ok()?;
                // Without one of its items, what stands beside an array would be about others of them.
                let kept: Option<Vec<_>> =
                    items.into_iter().map(|item| self.value(name, kind, item, place)).collect();
                kept.map(Kept::Array)
            }
            Some(b'"') => self.text(kind, value),
            Some(_) | None => Some(Kept::AsIs(value)),
        }
    }

    fn text<'a>(&self, kind: Option<&'static str>, value: &'a RawValue) -> Option<Kept<'a>> {
        let Some(years) = self.years else { return Some(Kept::AsIs(value)) };
        let text = read_string(value.get()).ok()?;
        match kind {
            // An instant is none without its seconds.
            Some("instant") => None,
            Some("date" | "dateTime") => years.year(&text).map(|year| Kept::Text(year.to_owned())),
            _ if is_date(&text) => years.year(&text).map(|year| Kept::Text(year.to_owned())),
            _ => Some(Kept::AsIs(value)),
        }
    }

    /// A text in the place of one that identifies.
    fn identifying_text<'a>(&self, value: &'a RawValue) -> Option<Kept<'a>> {
        let text = read_string(value.get()).ok()?;
        Some(Kept::Text(self.masking.pseudonyms.of_identifier("", &text)))
    }

    /// An identifier with another value. Who gave it and when would tell of the value that it had.
    fn identifier<'a>(&self, object: &Object<'a>) -> Kept<'a> {
        let text = |name: &str| object.string(name).ok().flatten();
        let mut members: Members<'a> = Vec::new();
        for (name, value) in object.iter() {
            match name {
                "use" => members.push((Cow::Borrowed("use"), Kept::AsIs(value))),
                "system" => members.push((Cow::Borrowed("system"), Kept::AsIs(value))),
                _ => {}
            }
        }
        if let Some(value) = text("value") {
            let system = text("system").unwrap_or_default();
            let name = self.masking.pseudonyms.of_identifier(&system, &value);
            members.push((Cow::Borrowed("value"), Kept::Text(name)));
        }
        Kept::Object(members)
    }
}

/// Elements that identify somebody or their device though they are plain text, in the versions of FHIR in which they are.
fn is_identifying_text(part: Part, name: &str) -> bool {
    let is_text = matches!(part.kind(name), Some("string" | "base64Binary"));
    let identifies = matches!(
        (part.name(), name),
        ("Coverage", "subscriberId" | "dependent")
            | ("Device", "serialNumber" | "distinctIdentifier")
            | ("Device.udiCarrier", "carrierHRF" | "carrierAIDC")
    );
    is_text && identifies
}

/// The types of a record and of all resources within it.
pub(super) fn types_of<'n>(value: &'n Node<'_>) -> Box<dyn Iterator<Item = &'n str> + 'n> {
    match value {
        Node::Object(members) => {
            let own = members.get("resourceType").and_then(Node::as_str);
            Box::new(own.into_iter().chain(members.iter().flat_map(|(_, value)| types_of(value))))
        }
        Node::Array(items) => Box::new(items.iter().flat_map(types_of)),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => Box::new(std::iter::empty()),
    }
}
