//! Events of the Open Cybersecurity Schema Framework, version 1.5.0.

use serde_json::{Map, Value, json};

use super::object::Put as _;
use super::particulars::particulars_but;
use super::topic::{Crud, Phase, Topic};
use super::{Shown, Source, exposed, words};
use crate::record::{ActorKind, Event, Outcome, Record};

/// The version of the schema.
const VERSION: &str = "1.5.0";

/// An entry as an event.
#[must_use]
pub fn event(shown: &Shown, source: &Source) -> Value {
    let entry = shown.entry();
    let record = &entry.record;
    let (class, activity, particular) = class(record, source);
    let rest = unmapped(shown, class.places());
    let Class { category, class, name } = class;
    let (severity, severity_name) = match (record.event, record.outcome) {
        (Event::WatchFinding, _) | (_, Outcome::Error) => (4, "High"),
        (_, Outcome::Deny) => (3, "Medium"),
        (_, Outcome::Allow) => (1, "Informational"),
    };
    let (status, status_name) = status(record);
    let kind = i64::from(class).saturating_mul(100).saturating_add(i64::from(activity));
    let mut event = json!({
        "activity_id": activity,
        "category_uid": category,
        "class_name": name,
        "class_uid": class,
        "type_uid": kind,
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": record.time.as_micros().div_euclid(1000),
        "message": words::sentence(shown),
        "metadata": metadata(shown, source),
        "unmapped": rest,
    });
    if activity == OTHER {
        event.put("activity_name", json!(record.event.as_str()));
    }
    if let Some(reason) = &record.decision.reason {
        event.put("status_detail", json!(reason));
    }
    if let (Some(event), Value::Object(particular)) = (event.as_object_mut(), particular) {
        event.extend(particular);
    }
    event
}

/// How it ended. A finding's is how far it is, which has numbers of its own.
fn status(record: &Record) -> (u8, &'static str) {
    let disposition = record.detail.get("disposition").map(|disposition| disposition.expose().as_str());
    match (Topic::of(record.event), Phase::of(record.event), record.outcome) {
        (_, Phase::Intended, _) => (OTHER, "Intended"),
        (Topic::Finding, _, _) if record.event == Event::WatchFinding => (1, "New"),
        (Topic::Finding, _, Outcome::Allow) => match disposition {
            Some("appropriate") => (3, "Suppressed"),
            Some("needs-follow-up") => (2, "In Progress"),
            _ => (4, "Resolved"),
        },
        // Somebody tried to close it.
        (Topic::Finding, _, Outcome::Deny | Outcome::Error) => (2, "In Progress"),
        (_, _, Outcome::Allow) => (1, "Success"),
        (_, _, Outcome::Deny | Outcome::Error) => (2, "Failure"),
    }
}

fn metadata(shown: &Shown, source: &Source) -> Value {
    let entry = shown.entry();
    let mut metadata = json!({
        "version": VERSION,
        "product": { "name": "Chartgate", "vendor_name": "Chartgate", "version": source.version },
        "uid": format!("{}/{}", source.origin, entry.index),
        "log_name": source.origin,
        "log_provider": source.host,
        "sequence": entry.index,
        "event_code": entry.record.event.as_str(),
    });
    metadata.put_some("correlation_uid", entry.record.request_id.as_ref().map(|id| json!(id)));
    metadata
}

/// A class of events.
struct Class {
    category: u8,
    class: u16,
    name: &'static str,
}

impl Class {
    /// What of a record has a place in the class, by the names that it has among the rest.
    const fn places(&self) -> &'static [&'static str] {
        match self.class {
            6003 => &[
                "source_ip",
                "action",
                "resource",
                "route",
                "method",
                "status",
                "session",
                "policies",
                "actor",
            ],
            3001..=3004 => &["source_ip", "session", "policies", "actor"],
            _ => &[],
        }
    }
}

/// The activity of what is none of a class.
const OTHER: u8 = 99;

/// The class of a record, its activity there, and what the class wants to know.
fn class(record: &Record, source: &Source) -> (Class, u8, Value) {
    let iam = |class, name| Class { category: 3, class, name };
    let by = actor(record);
    let resource = exposed(record.resource.as_ref());
    let service = json!({ "name": "Chartgate", "uid": source.origin });
    let entity = |kind: &str| json!({ "entity": { "name": resource.unwrap_or(record.event.as_str()), "type": kind }, "actor": by });
    let (class, activity, mut particular) = match Topic::of(record.event) {
        Topic::Access => access(record, &by),
        Topic::SignIn => {
            (iam(3002, "Authentication"), 1, json!({ "user": user(record), "service": service, "actor": by }))
        }
        Topic::SignOut => {
            // Whose session it was, where somebody else ended it. Of a trusted issuer's nobody here knows that.
            let whose = match (exposed(record.detail.get("user")), record.actor.kind) {
                (Some(whose), _) => named(whose),
                (None, ActorKind::Local) => named("somebody unknown"),
                (None, _) => user(record),
            };
            (iam(3002, "Authentication"), 2, json!({ "user": whose, "service": service, "actor": by }))
        }
        Topic::Token => {
            (iam(3002, "Authentication"), 3, json!({ "user": user(record), "service": service, "actor": by }))
        }
        Topic::Consent => {
            let activity = if record.event == Event::ConsentGranted { 1 } else { OTHER };
            let of = json!({ "user": user(record), "privileges": ["consent"], "actor": by });
            (iam(3003, "Authorize Session"), activity, of)
        }
        Topic::EmergencyBegins => {
            let of = json!({ "user": user(record), "privileges": ["emergency-access"], "actor": by });
            (iam(3003, "Authorize Session"), 1, of)
        }
        Topic::Emergency => {
            let of = json!({ "user": user(record), "privileges": ["emergency-access"], "actor": by });
            (iam(3003, "Authorize Session"), OTHER, of)
        }
        Topic::User => {
            let activity = match record.event {
                Event::UserAdded => 1,
                Event::UserEnabled => 2,
                Event::PasswordSet => 3,
                Event::UserDisabled => 5,
                Event::FactorsReset => 11,
                _ => OTHER,
            };
            (iam(3001, "Account Change"), activity, json!({ "user": named(account(record)), "actor": by }))
        }
        Topic::Client => (iam(3004, "Entity Management"), entity_activity(record.event), entity("client")),
        Topic::Care => (iam(3004, "Entity Management"), 3, entity("care")),
        Topic::Setting => (iam(3004, "Entity Management"), entity_activity(record.event), entity("setting")),
        Topic::Log => (iam(3004, "Entity Management"), entity_activity(record.event), entity("audit log")),
        Topic::Finding => {
            let class = Class { category: 2, class: 2004, name: "Detection Finding" };
            let activity = if record.event == Event::WatchFinding { 1 } else { 3 };
            let title = record.decision.reason.as_deref().unwrap_or("finding");
            let uid = record.detail.get("finding").map_or(title, |id| id.expose().as_str());
            (class, activity, json!({ "finding_info": { "title": title, "uid": uid } }))
        }
        Topic::Starts | Topic::Stops => {
            let activity = if Topic::of(record.event) == Topic::Starts { 3 } else { 4 };
            let app = json!({ "name": "Chartgate", "vendor_name": "Chartgate", "version": source.version });
            let class = Class { category: 6, class: 6002, name: "Application Lifecycle" };
            (class, activity, json!({ "app": app }))
        }
    };
    if class.category == 3 {
        particular.put_some("src_endpoint", endpoint(record));
    }
    (class, activity, particular)
}

/// Where it came from.
fn endpoint(record: &Record) -> Option<Value> {
    record.source_ip.as_ref().map(|ip| json!({ "ip": ip.expose().to_string() }))
}

fn entity_activity(event: Event) -> u8 {
    match event {
        Event::ClientAdded | Event::HoldPlaced | Event::ClientInvited => 1,
        Event::ClientRead | Event::AuditRead | Event::BackupBegun => 2,
        Event::ClientChanged | Event::KeyRotated | Event::PolicyReloaded | Event::ConfigReloaded => 3,
        Event::ClientRemoved | Event::HoldReleased | Event::DataKeyShredded | Event::ClientUninvited => 4,
        Event::ExportBegun => 10,
        _ => OTHER,
    }
}

fn access(record: &Record, by: &Value) -> (Class, u8, Value) {
    let class = Class { category: 6, class: 6003, name: "API Activity" };
    let activity = match Crud::of(record.action.as_deref()) {
        // Who counts acts counts each once.
        _ if Phase::of(record.event) != Phase::Done => OTHER,
        Crud::Create => 1,
        Crud::Read => 2,
        Crud::Update => 3,
        Crud::Delete => 4,
        // A search reads.
        Crud::Execute if record.action.as_deref() == Some("search") => 2,
        Crud::Execute => OTHER,
    };
    let mut api = json!({ "operation": record.action.as_deref().unwrap_or(record.event.as_str()) });
    if let Some(route) = &record.route {
        api.put("service", json!({ "name": route }));
    }
    if let Some(id) = &record.request_id {
        api.put("request", json!({ "uid": id }));
    }
    if let Some(status) = record.response.status {
        api.put("response", json!({ "code": status }));
    }
    let from = endpoint(record).unwrap_or_else(|| json!({ "name": "not told" }));
    let mut of = json!({ "actor": by, "api": api, "src_endpoint": from });
    if let Some(resource) = exposed(record.resource.as_ref()) {
        let kind = resource.split('/').next().unwrap_or_default();
        of.put("resources", json!([{ "name": resource, "type": kind }]));
    }
    if let Some(method) = &record.request.method {
        of.put("http_request", json!({ "http_method": method }));
    }
    (class, activity, of)
}

/// Whose account it is: what people do about their own ways to sign in is done to those, and not to whom they are.
fn account(record: &Record) -> &str {
    let own = record.actor.sub.as_deref();
    let told = exposed(record.resource.as_ref());
    let found = match record.event {
        Event::FactorAdded
        | Event::FactorRemoved
        | Event::FactorRenamed
        | Event::FactorSuspected
        | Event::RecoveryCodesMade => own.or(told),
        _ => told.or(own),
    };
    found.unwrap_or("somebody unknown")
}

/// A person of whom nothing but the name is known here.
fn named(name: &str) -> Value {
    json!({ "uid": name, "name": name })
}

/// The person, or whatever acted.
fn user(record: &Record) -> Value {
    let name = super::who(record);
    let mut user = json!({ "uid": name, "name": name });
    if !record.actor.roles.is_empty() {
        let groups = record.actor.roles.iter().map(|role| json!({ "name": role, "type": "role" })).collect();
        user.put("groups", groups);
    }
    user
}

fn actor(record: &Record) -> Value {
    let mut actor = Map::new();
    if record.actor.sub.is_some() {
        actor.insert("user".to_owned(), user(record));
    }
    if let Some(client) = &record.actor.client_id {
        actor.insert("app_uid".to_owned(), json!(client));
    }
    if actor.is_empty() {
        actor.insert("app_name".to_owned(), json!(record.actor.kind.as_str()));
    }
    if let Some(session) = &record.session {
        actor.insert("session".to_owned(), json!({ "uid": session }));
    }
    if !record.decision.policies.is_empty() {
        let decision = record.outcome.as_str();
        let decided = record.decision.policies.iter();
        let decided: Value =
            decided.map(|policy| json!({ "decision": decision, "policy": { "name": policy } })).collect();
        actor.insert("authorizations".to_owned(), decided);
    }
    Value::Object(actor)
}

/// What the schema has no place for, or this class has none.
fn unmapped(shown: &Shown, placed: &[&str]) -> Value {
    let entry = shown.entry();
    let record = &entry.record;
    let mut rest = Map::new();
    let texts = |list: &[chartgate_values::Phi<String>]| -> Value {
        list.iter().map(|text| json!(text.expose())).collect()
    };
    let is_left = |name: &str| !placed.contains(&name);
    let of_actor = |value: Option<Value>| value.filter(|_| is_left("actor"));
    for (name, value) in particulars_but(record, &NUMBERS_AND_LISTS).filter(|(name, _)| is_left(name)) {
        rest.insert(name.to_owned(), json!(value));
    }
    // An actor without a person has no roles.
    let roles = (!record.actor.roles.is_empty() && (is_left("actor") || record.actor.sub.is_none()))
        .then(|| json!(record.actor.roles));
    let resource = exposed(record.resource.as_ref()).filter(|_| is_left("resource"));
    for (name, value) in [
        ("sub", of_actor(record.actor.sub.as_ref().map(|sub| json!(sub)))),
        ("client_id", of_actor(record.actor.client_id.as_ref().map(|client| json!(client)))),
        ("roles", roles),
        ("resource", resource.map(|resource| json!(resource))),
        ("patients", (!record.patients.is_empty()).then(|| texts(&record.patients))),
        ("status", record.response.status.filter(|_| is_left("status")).map(|status| json!(status))),
        ("entry", record.entry.map(|entry| json!(entry))),
        ("count", record.response.count.map(|count| json!(count))),
        ("withheld", record.response.withheld.map(|withheld| json!(withheld))),
        ("bytes", record.response.bytes.map(|bytes| json!(bytes))),
        ("digests", (!record.response.digests.is_empty()).then(|| texts(&record.response.digests))),
        ("sealed", entry.sealed.as_ref().map(|month| json!(month.as_str()))),
    ] {
        rest.extend(value.map(|value| (name.to_owned(), value)));
    }
    if !record.on_behalf_of.is_empty() {
        let delegates = record.on_behalf_of.iter();
        let delegates: Value =
            delegates.map(|of| json!({ "sub": of.sub, "client_id": of.client_id })).collect();
        rest.insert("on_behalf_of".to_owned(), delegates);
    }
    if !record.detail.is_empty() {
        let detail = record.detail.iter();
        let detail: Map<String, Value> =
            detail.map(|(name, value)| (name.clone(), json!(value.expose()))).collect();
        rest.insert("detail".to_owned(), Value::Object(detail));
    }
    Value::Object(rest)
}

/// What is no text in the rest.
const NUMBERS_AND_LISTS: [&str; 6] = ["on_behalf_of", "status", "entry", "count", "withheld", "bytes"];
