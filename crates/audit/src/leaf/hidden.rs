//! What of a record is sealed: all that can tell something of a patient.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use chartgate_values::Phi;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::record::Record;

type Text<'a> = Cow<'a, str>;

/// The plaintext of the sealed part as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hidden<'a> {
    #[serde(default)]
    detail: BTreeMap<Text<'a>, Text<'a>>,
    #[serde(default)]
    digest: Option<Text<'a>>,
    #[serde(default)]
    digests: Vec<Text<'a>>,
    #[serde(default)]
    fhir_user: Option<Text<'a>>,
    #[serde(default)]
    patients: Vec<Text<'a>>,
    #[serde(default)]
    query: Option<Text<'a>>,
    #[serde(default)]
    resource: Option<Text<'a>>,
    #[serde(default)]
    source_ip: Option<Text<'a>>,
}

/// The same as it is written, straight from the record: members in the order of their names, as in the clear part.
#[derive(Clone, Copy)]
pub(super) struct ToHide<'a>(&'a Record);

impl<'a> ToHide<'a> {
    /// What of a record has to be sealed, if anything.
    pub(super) fn of(record: &'a Record) -> Option<Self> {
        let is_there = !record.detail.is_empty()
            || record.request.digest.is_some()
            || !record.response.digests.is_empty()
            || record.actor.fhir_user.is_some()
            || !record.patients.is_empty()
            || record.request.query.is_some()
            || record.resource.is_some()
            || record.source_ip.is_some();
        is_there.then_some(Self(record))
    }

    pub(super) fn to_json(self) -> Option<Vec<u8>> {
        let mut json = Vec::with_capacity(TYPICAL_LENGTH);
        serde_json::to_writer(&mut json, &self).ok()?;
        Some(json)
    }
}

impl Serialize for ToHide<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record) = self;
        let mut members = serializer.serialize_map(None)?;
        if !record.detail.is_empty() {
            members.serialize_entry("detail", &Exposed(&record.detail))?;
        }
        if let Some(digest) = &record.request.digest {
            members.serialize_entry("digest", digest.expose())?;
        }
        if !record.response.digests.is_empty() {
            members.serialize_entry("digests", &Exposed(&record.response.digests))?;
        }
        if let Some(fhir_user) = &record.actor.fhir_user {
            members.serialize_entry("fhir_user", fhir_user.expose())?;
        }
        if !record.patients.is_empty() {
            members.serialize_entry("patients", &Exposed(&record.patients))?;
        }
        if let Some(query) = &record.request.query {
            members.serialize_entry("query", query.expose())?;
        }
        if let Some(resource) = &record.resource {
            members.serialize_entry("resource", resource.expose())?;
        }
        if let Some(ip) = &record.source_ip {
            members.serialize_entry("source_ip", ip.expose())?;
        }
        members.end()
    }
}

/// What is about to be sealed, laid open for it.
struct Exposed<'a, T>(&'a T);

impl Serialize for Exposed<'_, Vec<Phi<String>>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Phi::expose))
    }
}

impl Serialize for Exposed<'_, BTreeMap<String, Phi<String>>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value.expose())))
    }
}

impl<'a> Hidden<'a> {
    pub(super) fn from_json(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Puts the sealed part back into the record; none if it holds what was never sealed.
    pub(super) fn join(self, mut record: Record) -> Option<Record> {
        let text = |text: Text<'_>| Phi::new(text.into_owned());
        record.detail = self.detail.into_iter().map(|(k, v)| (k.into_owned(), text(v))).collect();
        record.request.digest = self.digest.map(text);
        record.response.digests = self.digests.into_iter().map(text).collect();
        record.actor.fhir_user = self.fhir_user.map(text);
        record.patients = self.patients.into_iter().map(text).collect();
        record.request.query = self.query.map(text);
        record.resource = self.resource.map(text);
        let ip = self.source_ip.map(|text| text.parse::<IpAddr>());
        record.source_ip = ip.transpose().ok()?.map(Phi::new);
        Some(record)
    }
}

/// How much room to reserve.
const TYPICAL_LENGTH: usize = 512;
