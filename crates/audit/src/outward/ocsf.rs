//! Events of the Open Cybersecurity Schema Framework, version 1.5.0.

use serde_json::{Map, Value, json};

use super::object::Put as _;
use super::topic::{Crud, Topic};
use super::{Shown, Source, exposed, words};
use crate::record::{Event, Outcome, Record};

/// The version of the schema.
const VERSION: &str = "1.5.0";

/// An entry as an event.
#[must_use]
pub fn event(shown: &Shown, source: &Source) -> Value {
    let entry = shown.entry();
    let record = &entry.record;
    let (class, activity, particular) = class(record, source);
    let Class { category, class, name } = class;
    let (severity, severity_name) = match (record.event, record.outcome) {
        (Event::WatchFinding, _) | (_, Outcome::Error) => (4, "High"),
        (_, Outcome::Deny) => (3, "Medium"),
        (_, Outcome::Allow) => (1, "Informational"),
    };
    let (status, status_name) = match record.outcome {
        Outcome::Allow => (1, "Success"),
        Outcome::Deny | Outcome::Error => (2, "Failure"),
    };
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
        "unmapped": unmapped(shown),
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

/// The activity of what is none of a class.
const OTHER: u8 = 99;

/// The class of a record, its activity there, and what the class wants to know.
fn class(record: &Record, source: &Source) -> (Class, u8, Value) {
    let iam = |class, name| Class { category: 3, class, name };
    let by = actor(record);
    let resource = exposed(record.resource.as_ref());
    let service = json!({ "name": "Chartgate", "uid": source.origin });
    let entity = |kind: &str| json!({ "entity": { "name": resource.unwrap_or(record.event.as_str()), "type": kind }, "actor": by });
    match Topic::of(record.event) {
        Topic::Access => access(record, &by),
        Topic::SignIn => {
            (iam(3002, "Authentication"), 1, json!({ "user": user(record), "service": service, "actor": by }))
        }
        Topic::SignOut => {
            (iam(3002, "Authentication"), 2, json!({ "user": user(record), "service": service, "actor": by }))
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
            let name = resource.unwrap_or("somebody unknown");
            (
                iam(3001, "Account Change"),
                activity,
                json!({ "user": { "uid": name, "name": name }, "actor": by }),
            )
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
    }
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
    let ip = record.source_ip.as_ref().map(|ip| ip.expose().to_string());
    let from = ip.map_or_else(|| json!({ "name": "not told" }), |ip| json!({ "ip": ip }));
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

/// What the schema has no place for.
fn unmapped(shown: &Shown) -> Value {
    let entry = shown.entry();
    let record = &entry.record;
    let mut rest = Map::new();
    let texts = |list: &[chartgate_values::Phi<String>]| -> Value {
        list.iter().map(|text| json!(text.expose())).collect()
    };
    for (name, value) in [
        ("patients", (!record.patients.is_empty()).then(|| texts(&record.patients))),
        ("purpose_of_use", record.purpose_of_use.as_ref().map(|purpose| json!(purpose))),
        ("fhir_user", exposed(record.actor.fhir_user.as_ref()).map(|user| json!(user))),
        ("actor_kind", Some(json!(record.actor.kind.as_str()))),
        ("jti", record.jti.as_ref().map(|jti| json!(jti))),
        ("grant", record.grant.as_ref().map(|grant| json!(grant))),
        ("entry", record.entry.map(|entry| json!(entry))),
        ("count", record.response.count.map(|count| json!(count))),
        ("withheld", record.response.withheld.map(|withheld| json!(withheld))),
        ("query", exposed(record.request.query.as_ref()).map(|query| json!(query))),
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
