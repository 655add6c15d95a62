//! The clear part: what is read into, and how it is written. Members stand in the order of their names, as RFC 8785 has
//! them; what is empty is left out.

use std::borrow::Cow;

use chartgate_values::Timestamp;
use serde::Deserialize;

use super::canonical::Members;
use crate::record::{Actor, ActorKind, Decision, Delegate, Event, Outcome, Record, Request, Response};

type Text<'a> = Cow<'a, str>;

/// A clear part as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clear<'a> {
    #[serde(default)]
    acr: Option<Text<'a>>,
    #[serde(default)]
    action: Option<Text<'a>>,
    actor: ClearActor<'a>,
    #[serde(default)]
    amr: Cow<'a, [String]>,
    #[serde(default)]
    auth_time: Option<Timestamp>,
    #[serde(default)]
    decision: ClearDecision<'a>,
    #[serde(default)]
    entry: Option<u32>,
    event: Event,
    #[serde(default)]
    grant: Option<Text<'a>>,
    #[serde(default)]
    jti: Option<Text<'a>>,
    #[serde(default)]
    on_behalf_of: Vec<ClearDelegate<'a>>,
    outcome: Outcome,
    #[serde(default)]
    purpose_of_use: Option<Text<'a>>,
    #[serde(default)]
    request: ClearRequest<'a>,
    #[serde(default)]
    request_id: Option<Text<'a>>,
    #[serde(default)]
    response: ClearResponse<'a>,
    #[serde(default)]
    route: Option<Text<'a>>,
    #[serde(default)]
    session: Option<Text<'a>>,
    time: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearActor<'a> {
    #[serde(default)]
    client_id: Option<Text<'a>>,
    kind: ActorKind,
    #[serde(default)]
    roles: Cow<'a, [String]>,
    #[serde(default)]
    sub: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearDecision<'a> {
    #[serde(default)]
    obligations: Cow<'a, [String]>,
    #[serde(default)]
    policies: Cow<'a, [String]>,
    #[serde(default)]
    reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearDelegate<'a> {
    #[serde(default)]
    client_id: Option<Text<'a>>,
    sub: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearRequest<'a> {
    #[serde(default)]
    method: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearResponse<'a> {
    #[serde(default)]
    bytes: Option<u64>,
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    truncated: Option<Text<'a>>,
    #[serde(default)]
    withheld: Option<u64>,
}

/// Adds the clear part of a record in canonical form.
pub(super) fn push_clear(record: &Record, json: &mut Vec<u8>) {
    let Record { actor, decision, response, .. } = record;
    let mut clear = Members::of(json);
    clear.text_if_any("acr", record.acr.as_deref());
    clear.text_if_any("action", record.action.as_deref());
    clear.object_if_any("actor", |of| {
        of.text_if_any("client_id", actor.client_id.as_deref());
        of.text("kind", actor.kind.as_str());
        of.texts_if_any("roles", strs(&actor.roles));
        of.text_if_any("sub", actor.sub.as_deref());
    });
    clear.texts_if_any("amr", strs(&record.amr));
    time_if_any(&mut clear, "auth_time", record.auth_time);
    clear.object_if_any("decision", |of| {
        of.texts_if_any("obligations", strs(&decision.obligations));
        of.texts_if_any("policies", strs(&decision.policies));
        of.text_if_any("reason", decision.reason.as_deref());
    });
    clear.number_if_any("entry", record.entry);
    clear.text("event", record.event.as_str());
    clear.text_if_any("grant", record.grant.as_deref());
    clear.text_if_any("jti", record.jti.as_deref());
    if !record.on_behalf_of.is_empty() {
        push_delegates(&record.on_behalf_of, clear.member("on_behalf_of"));
    }
    clear.text("outcome", record.outcome.as_str());
    clear.text_if_any("purpose_of_use", record.purpose_of_use.as_deref());
    clear.object_if_any("request", |of| of.text_if_any("method", record.request.method.as_deref()));
    clear.text_if_any("request_id", record.request_id.as_deref());
    clear.object_if_any("response", |of| {
        of.number_if_any("bytes", response.bytes);
        of.number_if_any("count", response.count);
        of.number_if_any("status", response.status);
        of.text_if_any("truncated", response.truncated.as_deref());
        of.number_if_any("withheld", response.withheld);
    });
    clear.text_if_any("route", record.route.as_deref());
    clear.text_if_any("session", record.session.as_deref());
    time_if_any(&mut clear, "time", Some(record.time));
    clear.end();
}

fn time_if_any(members: &mut Members<'_>, name: &str, time: Option<Timestamp>) {
    members.text_if_any(name, time.map(Timestamp::to_text).as_ref().map(|text| text.as_str()));
}

fn push_delegates(delegates: &[Delegate], json: &mut Vec<u8>) {
    let mut before = b'[';
    for delegate in delegates {
        json.push(before);
        before = b',';
        let mut members = Members::of(json);
        members.text_if_any("client_id", delegate.client_id.as_deref());
        members.text("sub", &delegate.sub);
        members.end();
    }
    json.push(b']');
}

fn strs(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().map(String::as_str)
}

/// Whether every number of a record has an exact form in JSON. RFC 8785 section 3.2.2.3.
pub(super) fn has_exact_numbers(record: &Record) -> bool {
    let Response { status: _, count, withheld, bytes, truncated: _, digests: _ } = &record.response;
    [count, withheld, bytes].into_iter().all(|number| number.is_none_or(|number| number <= MAX_EXACT))
}

impl Clear<'_> {
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
        has_exact_numbers(&record).then_some(record)
    }
}

const MAX_EXACT: u64 = (1 << 53) - 1;

fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(Cow::into_owned)
}
