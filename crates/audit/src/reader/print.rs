//! An entry as JSON for people and scripts. The names here are public: scripts rely on them.

use chartgate_values::{Phi, Timestamp};
use serde::Serialize;
use serde::ser::SerializeMap;

use super::Entry;
use crate::record::{ActorKind, Event, Outcome};

impl Entry {
    /// One line of JSON with everything that is known, patients included. Every call is a place to review.
    #[must_use]
    pub fn to_exposed_json(&self) -> String {
        // INVARIANT: strings, numbers and maps with string keys always serialise.
        serde_json::to_string(&Printed::of(self)).unwrap_or_default()
    }
}

/// Members without `skip_serializing_if` are always there.
#[derive(Serialize)]
struct Printed<'a> {
    index: u64,
    time: Timestamp,
    event: Event,
    outcome: Outcome,
    actor: PrintedActor<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_behalf_of: Vec<PrintedDelegate<'a>>,
    action: Option<&'a str>,
    resource: Option<&'a str>,
    patients: Vec<&'a str>,
    purpose_of_use: Option<&'a str>,
    decision: PrintedDecision<'a>,
    session: Option<&'a str>,
    jti: Option<&'a str>,
    source: PrintedSource,
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<PrintedRequest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<PrintedResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u32>,
    #[serde(skip_serializing_if = "Detail::is_empty")]
    detail: Detail<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<&'a str>,
}

#[derive(Serialize)]
struct PrintedActor<'a> {
    sub: Option<&'a str>,
    client_id: Option<&'a str>,
    kind: ActorKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    fhir_user: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
}

#[derive(Serialize)]
struct PrintedDelegate<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
struct PrintedDecision<'a> {
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    obligations: &'a [String],
}

#[derive(Serialize)]
struct PrintedSource {
    ip: Option<String>,
}

#[derive(Serialize)]
struct PrintedRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
}

#[derive(Serialize)]
struct PrintedResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    digests: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<&'a str>,
}

struct Detail<'a>(&'a std::collections::BTreeMap<String, Phi<String>>);

impl Detail<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Detail<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0 {
            map.serialize_entry(key, value.expose())?;
        }
        map.end()
    }
}

impl<'a> Printed<'a> {
    fn of(entry: &'a Entry) -> Self {
        let record = &entry.record;
        let request = PrintedRequest {
            method: record.request.method.as_deref(),
            digest: exposed(record.request.digest.as_ref()),
            query: exposed(record.request.query.as_ref()),
        };
        let response = PrintedResponse {
            status: record.response.status,
            count: record.response.count,
            bytes: record.response.bytes,
            digests: all_exposed(&record.response.digests),
            truncated: record.response.truncated.as_deref(),
        };
        let delegates = record.on_behalf_of.iter();
        Self {
            index: entry.index,
            time: record.time,
            event: record.event,
            outcome: record.outcome,
            actor: PrintedActor {
                sub: record.actor.sub.as_deref(),
                client_id: record.actor.client_id.as_deref(),
                kind: record.actor.kind,
                fhir_user: exposed(record.actor.fhir_user.as_ref()),
                roles: &record.actor.roles,
            },
            on_behalf_of: delegates
                .map(|of| PrintedDelegate { sub: &of.sub, client_id: of.client_id.as_deref() })
                .collect(),
            action: record.action.as_deref(),
            resource: exposed(record.resource.as_ref()),
            patients: all_exposed(&record.patients),
            purpose_of_use: record.purpose_of_use.as_deref(),
            decision: PrintedDecision {
                policies: &record.decision.policies,
                reason: record.decision.reason.as_deref(),
                obligations: &record.decision.obligations,
            },
            session: record.session.as_deref(),
            jti: record.jti.as_deref(),
            source: PrintedSource { ip: record.source_ip.as_ref().map(|ip| ip.expose().to_string()) },
            request_id: record.request_id.as_deref(),
            route: record.route.as_deref(),
            request: (record.request != Default::default()).then_some(request),
            response: (record.response != Default::default()).then_some(response),
            withheld: record.response.withheld,
            acr: record.acr.as_deref(),
            amr: &record.amr,
            auth_time: record.auth_time,
            grant: record.grant.as_deref(),
            entry: record.entry,
            detail: Detail(&record.detail),
            sealed: entry.sealed.as_ref().map(|month| month.as_str()),
        }
    }
}

fn exposed(text: Option<&Phi<String>>) -> Option<&str> {
    text.map(|text| text.expose().as_str())
}

fn all_exposed(texts: &[Phi<String>]) -> Vec<&str> {
    texts.iter().map(|text| text.expose().as_str()).collect()
}
