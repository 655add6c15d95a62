//! What is kept of a value, to be written anew.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::json::{Object, read};

/// A value as it leaves.
pub(in crate::fhir) enum Kept<'a> {
    /// As it came.
    AsIs(&'a RawValue),
    /// Another text in its place.
    Text(String),
    /// Of an array, these items.
    Array(Vec<Self>),
    /// Of an object, these members, each name once.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// Members that are kept.
pub(in crate::fhir) type Members<'a> = Vec<(Cow<'a, str>, Kept<'a>)>;

const VALUES: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

impl<'a> Kept<'a> {
    /// An object, if anything is left of it: json.html has no empty ones.
    pub(in crate::fhir) fn object(members: Members<'a>) -> Option<Self> {
        (!members.is_empty()).then_some(Self::Object(members))
    }

    /// An array, if anything is left of it.
    pub(in crate::fhir) fn array(items: Vec<Self>) -> Option<Self> {
        (!items.is_empty()).then_some(Self::Array(items))
    }

    /// Its text.
    pub(in crate::fhir) fn to_json(&self) -> Option<Box<RawValue>> {
        serde_json::value::to_raw_value(self).ok()
    }

    /// The same resource, saying in `meta` what became of it: by a tag, and by labels of security. resource.html#Meta.
    pub(in crate::fhir) fn labelled(self, tag: &'static str, labels: Vec<&'static str>) -> Self {
        let mut members = self.into_members();
        let at = members.iter().position(|(name, _)| name == "meta");
        let mut meta = at.map(|at| members.remove(at).1.into_members()).unwrap_or_default();
        for (name, codes) in [("tag", vec![tag]), ("security", labels)] {
            let at = meta.iter().position(|(own, _)| own == name);
            let mut codings = at.map(|at| meta.remove(at).1.into_items()).unwrap_or_default();
            codings.extend(codes.into_iter().map(coding));
            meta.extend(Self::array(codings).map(|codings| (Cow::Borrowed(name), codings)));
        }
        let at = at.unwrap_or(members.len());
        members.insert(at, (Cow::Borrowed("meta"), Self::Object(meta)));
        Self::Object(members)
    }

    fn into_members(self) -> Members<'a> {
        match self {
            Self::Object(members) => members,
            Self::AsIs(raw) => {
                let text: &'a str = raw.get();
                read::<Object<'a>>(text).map(members_of).unwrap_or_default()
            }
            Self::Text(_) | Self::Array(_) => Vec::new(),
        }
    }

    fn into_items(self) -> Vec<Self> {
        match self {
            Self::Array(items) => items,
            Self::AsIs(raw) => {
                let text: &'a str = raw.get();
                let items: Vec<&'a RawValue> = read(text).unwrap_or_default();
                items.into_iter().map(Self::AsIs).collect()
            }
            Self::Text(_) | Self::Object(_) => Vec::new(),
        }
    }
}

fn members_of<'a>(object: Object<'a>) -> Members<'a> {
    object.into_members().into_iter().map(|(name, value)| (name, Kept::AsIs(value))).collect()
}

fn coding<'a>(code: &'static str) -> Kept<'a> {
    let text = |text: &str| Kept::Text(text.to_owned());
    Kept::Object(vec![(Cow::Borrowed("system"), text(VALUES)), (Cow::Borrowed("code"), text(code))])
}

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AsIs(raw) => raw.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}
