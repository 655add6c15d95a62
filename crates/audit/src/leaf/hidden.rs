//! What of a record is sealed: all that can tell something of a patient.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use chartgate_values::Phi;
use serde::{Deserialize, Serialize};

use crate::record::Record;

type Text<'a> = Cow<'a, str>;

/// The plaintext of the sealed part. Members in the order of their names, as in the clear part.
#[derive(Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hidden<'a> {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    detail: BTreeMap<Text<'a>, Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    digests: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fhir_user: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patients: Vec<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_ip: Option<Text<'a>>,
}

impl<'a> Hidden<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        let text = |text: &'a Phi<String>| Text::from(text.expose());
        Self {
            detail: record.detail.iter().map(|(k, v)| (k.into(), text(v))).collect(),
            digest: record.request.digest.as_ref().map(text),
            digests: record.response.digests.iter().map(text).collect(),
            fhir_user: record.actor.fhir_user.as_ref().map(text),
            patients: record.patients.iter().map(text).collect(),
            query: record.request.query.as_ref().map(text),
            resource: record.resource.as_ref().map(text),
            source_ip: record.source_ip.as_ref().map(|ip| ip.expose().to_string().into()),
        }
    }

    pub(super) fn to_json(&self) -> Option<Vec<u8>> {
        let mut json = Vec::with_capacity(TYPICAL_LENGTH);
        serde_json::to_writer(&mut json, self).ok()?;
        Some(json)
    }

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
