//! What of a record is sealed: all that can tell something of a patient.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chartgate_values::Phi;
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// The plaintext of the sealed part. Members in the order of their names, as in the clear part.
#[derive(Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hidden {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    detail: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    digests: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fhir_user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patients: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_ip: Option<String>,
}

impl Hidden {
    pub(super) fn of(record: &Record) -> Self {
        let one = |from: &Option<Phi<String>>| from.as_ref().map(|text| text.expose().clone());
        let many = |from: &[Phi<String>]| from.iter().map(|text| text.expose().clone()).collect();
        Self {
            detail: record.detail.iter().map(|(k, v)| (k.clone(), v.expose().clone())).collect(),
            digest: one(&record.request.digest),
            digests: many(&record.response.digests),
            fhir_user: one(&record.actor.fhir_user),
            patients: many(&record.patients),
            query: one(&record.request.query),
            resource: one(&record.resource),
            source_ip: record.source_ip.as_ref().map(|ip| ip.expose().to_string()),
        }
    }

    pub(super) fn to_json(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub(super) fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Puts the sealed part back into the record; none if it holds what was never sealed.
    pub(super) fn join(self, mut record: Record) -> Option<Record> {
        record.detail = self.detail.into_iter().map(|(k, v)| (k, Phi::new(v))).collect();
        record.request.digest = self.digest.map(Phi::new);
        record.response.digests = self.digests.into_iter().map(Phi::new).collect();
        record.actor.fhir_user = self.fhir_user.map(Phi::new);
        record.patients = self.patients.into_iter().map(Phi::new).collect();
        record.request.query = self.query.map(Phi::new);
        record.resource = self.resource.map(Phi::new);
        let ip = self.source_ip.map(|text| text.parse::<IpAddr>());
        record.source_ip = ip.transpose().ok()?.map(Phi::new);
        Some(record)
    }
}
