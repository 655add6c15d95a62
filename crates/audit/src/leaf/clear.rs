//! The clear part. Members stand in the order of their names, as RFC 8785 has them; what is empty is left out.

use std::borrow::Cow;

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{Actor, ActorKind, Decision, Delegate, Event, Outcome, Record, Request, Response};

type Text<'a> = Cow<'a, str>;

/// INVARIANT: here and below fields are declared in the order of their names, which a test checks.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acr: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Text<'a>>,
    actor: ClearActor<'a>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    amr: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth_time: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "ClearDecision::is_empty")]
    decision: ClearDecision<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<u32>,
    event: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grant: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    on_behalf_of: Vec<ClearDelegate<'a>>,
    outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose_of_use: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "ClearRequest::is_empty")]
    request: ClearRequest<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "ClearResponse::is_empty")]
    response: ClearResponse<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Text<'a>>,
    time: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearActor<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<Text<'a>>,
    kind: ActorKind,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    roles: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<Text<'a>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearDecision<'a> {
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    obligations: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    policies: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearDelegate<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<Text<'a>>,
    sub: Text<'a>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearRequest<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<Text<'a>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearResponse<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    truncated: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withheld: Option<u64>,
}

impl ClearDecision<'_> {
    fn is_empty(&self) -> bool {
        self.obligations.is_empty() && self.policies.is_empty() && self.reason.is_none()
    }
}

impl ClearRequest<'_> {
    fn is_empty(&self) -> bool {
        self.method.is_none()
    }
}

impl ClearResponse<'_> {
    fn is_empty(&self) -> bool {
        let Self { bytes, count, status, truncated, withheld } = self;
        bytes.is_none() && count.is_none() && status.is_none() && truncated.is_none() && withheld.is_none()
    }
}

impl<'a> Clear<'a> {
    /// The clear part of a record; none if a number has no exact form in JSON.
    pub(super) fn of(record: &'a Record) -> Option<Self> {
        let Response { status, count, withheld, bytes, truncated, digests: _ } = &record.response;
        let exact = |number: &Option<u64>| number.is_none_or(|number| number <= MAX_EXACT);
        if ![count, withheld, bytes].into_iter().all(exact) {
            return None;
        }
        let delegate =
            |of: &'a Delegate| ClearDelegate { client_id: text(&of.client_id), sub: (&of.sub).into() };
        Some(Self {
            acr: text(&record.acr),
            action: text(&record.action),
            actor: ClearActor {
                client_id: text(&record.actor.client_id),
                kind: record.actor.kind,
                roles: Cow::Borrowed(&record.actor.roles),
                sub: text(&record.actor.sub),
            },
            amr: Cow::Borrowed(&record.amr),
            auth_time: record.auth_time,
            decision: ClearDecision {
                obligations: Cow::Borrowed(&record.decision.obligations),
                policies: Cow::Borrowed(&record.decision.policies),
                reason: text(&record.decision.reason),
            },
            entry: record.entry,
            event: record.event,
            grant: text(&record.grant),
            jti: text(&record.jti),
            on_behalf_of: record.on_behalf_of.iter().map(delegate).collect(),
            outcome: record.outcome,
            purpose_of_use: text(&record.purpose_of_use),
            request: ClearRequest { method: text(&record.request.method) },
            request_id: text(&record.request_id),
            response: ClearResponse {
                bytes: *bytes,
                count: *count,
                status: *status,
                truncated: text(truncated),
                withheld: *withheld,
            },
            route: text(&record.route),
            session: text(&record.session),
            time: record.time,
        })
    }

    /// Canonical JSON. Strings and whole numbers print in serde_json as RFC 8785 sections 3.2.2.2 and 3.2.2.3 say.
    pub(super) fn to_json(&self) -> Option<Vec<u8>> {
        let mut json = Vec::with_capacity(TYPICAL_LENGTH);
        serde_json::to_writer(&mut json, self).ok()?;
        Some(json)
    }

    /// The record without its sealed part; none if a number has no exact form in JSON.
    pub(super) fn into_record(self) -> Option<Record> {
        let delegate =
            |of: ClearDelegate<'_>| Delegate { sub: of.sub.into_owned(), client_id: owned(of.client_id) };
        let record = Record {
            actor: Actor {
                sub: owned(self.actor.sub),
                client_id: owned(self.actor.client_id),
                kind: self.actor.kind,
                fhir_user: None,
                roles: self.actor.roles.into_owned(),
            },
            on_behalf_of: self.on_behalf_of.into_iter().map(delegate).collect(),
            action: owned(self.action),
            purpose_of_use: owned(self.purpose_of_use),
            decision: Decision {
                policies: self.decision.policies.into_owned(),
                reason: owned(self.decision.reason),
                obligations: self.decision.obligations.into_owned(),
            },
            session: owned(self.session),
            jti: owned(self.jti),
            request_id: owned(self.request_id),
            route: owned(self.route),
            request: Request { method: owned(self.request.method), ..Request::default() },
            response: Response {
                status: self.response.status,
                count: self.response.count,
                withheld: self.response.withheld,
                bytes: self.response.bytes,
                digests: Vec::new(),
                truncated: owned(self.response.truncated),
            },
            acr: owned(self.acr),
            amr: self.amr.into_owned(),
            auth_time: self.auth_time,
            grant: owned(self.grant),
            entry: self.entry,
            ..Record::new(self.event, self.outcome, self.time)
        };
        Clear::of(&record).is_some().then_some(record)
    }
}

const MAX_EXACT: u64 = (1 << 53) - 1;

/// How much room to reserve.
const TYPICAL_LENGTH: usize = 1024;

fn text(from: &Option<String>) -> Option<Text<'_>> {
    from.as_deref().map(Cow::Borrowed)
}

fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(Cow::into_owned)
}
