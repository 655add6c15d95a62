//! What of a record is sealed: all that can tell something of a patient.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use chartgate_values::Phi;
use serde::Deserialize;

use super::canonical::{Members, push_number};
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
    source_ip: Option<IpAddr>,
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

    /// Adds it in canonical form.
    pub(super) fn push_json(self, json: &mut Vec<u8>) {
        let Self(record) = self;
        let text = |of: &'a Option<Phi<String>>| of.as_ref().map(|text| text.expose().as_str());
        let texts = |of: &'a [Phi<String>]| of.iter().map(|text| text.expose().as_str());
        let mut members = Members::of(json);
        members.object_if_any("detail", |of| {
            record.detail.iter().for_each(|(name, text)| of.named(name, text.expose()));
        });
        members.text_if_any("digest", text(&record.request.digest));
        members.texts_if_any("digests", texts(&record.response.digests));
        members.text_if_any("fhir_user", text(&record.actor.fhir_user));
        members.texts_if_any("patients", texts(&record.patients));
        members.text_if_any("query", text(&record.request.query));
        members.text_if_any("resource", text(&record.resource));
        match record.source_ip.as_ref().map(Phi::expose) {
            Some(IpAddr::V4(ip)) => push_ipv4(*ip, members.member("source_ip")),
            Some(IpAddr::V6(ip)) => members.text("source_ip", &ip.to_string()),
            None => {}
        }
        members.end();
    }
}

/// Most requests come from one, and `Display` takes its time.
fn push_ipv4(ip: Ipv4Addr, json: &mut Vec<u8>) {
    let mut before = b'"';
    for octet in ip.octets() {
        json.push(before);
        before = b'.';
        push_number(json, octet.into());
    }
    json.push(b'"');
}

impl<'a> Hidden<'a> {
    pub(super) fn from_json(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Puts the sealed part back into the record.
    pub(super) fn join(self, mut record: Record) -> Record {
        let text = |text: Text<'_>| Phi::new(text.into_owned());
        record.detail = self.detail.into_iter().map(|(k, v)| (k.into_owned(), text(v))).collect();
        record.request.digest = self.digest.map(text);
        record.response.digests = self.digests.into_iter().map(text).collect();
        record.actor.fhir_user = self.fhir_user.map(text);
        record.patients = self.patients.into_iter().map(text).collect();
        record.request.query = self.query.map(text);
        record.resource = self.resource.map(text);
        record.source_ip = self.source_ip.map(Phi::new);
        record
    }
}
