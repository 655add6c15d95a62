//! What a FHIR route can do: what the server behind it says, as far as the gateway offers it. HL7 FHIR 4.0.1,
//! capabilitystatement.html. Open to everybody, as SMART App Launch 2.2 wants; recorded like all else.

use axum::body::Body;
use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::content;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::search::SearchQuery;
use chartgate_protocol::fhir::version::FhirVersion;
use http::request::Parts as Head;
use http::{HeaderValue, Response, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::mask::FHIR_JSON;
use super::session::{Answered, Exchange};
use crate::config::RouteKind;
use crate::pep::respond::{Refused, UpstreamFault};

/// What the gateway offers of FHIR's interactions where the server behind it does.
const OFFERED: [&str; 8] =
    ["read", "vread", "history-instance", "history-type", "search-type", "create", "update", "delete"];
const OF_BINARY: [&str; 4] = ["read", "vread", "create", "update"];
/// What a type says where the gateway applies patches: JSON Patch goes upstream as an update on condition of a version.
const PATCH: &str = "patch";

pub(super) async fn serve(exchange: &mut Exchange<'_>, head: &Head) -> Answered {
    exchange.record.action = Some("capabilities".to_owned());
    let accept = head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    content::acceptable(accept, None, exchange.upstream.version()).map_err(|e| Refused::Request(e.into()))?;
    let now = exchange.gateway.clock.now();
    let said = exchange.upstream.capabilities(now).await.map_err(Refused::Upstream)?;
    let theirs: Value = serde_json::from_slice(&said).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let ours = statement(exchange, &theirs);
    let mut response = Response::new(Body::from(ours.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(Withheld::new(response))
}

fn statement(exchange: &Exchange<'_>, theirs: &Value) -> Value {
    let mut ours = without_operations(exchange, theirs);
    let rest = ours.pointer_mut("/rest/0").and_then(Value::as_object_mut);
    if let (Some(rest), Some(operations)) = (rest, operations(exchange, theirs)) {
        rest.insert("operation".to_owned(), operations);
    }
    ours
}

fn without_operations(exchange: &Exchange<'_>, theirs: &Value) -> Value {
    let issuer = &exchange.gateway.issuer;
    let version = exchange.upstream.version();
    let rest = theirs.pointer("/rest/0/resource").and_then(Value::as_array);
    let system = theirs.pointer("/rest/0/interaction").and_then(Value::as_array).into_iter().flatten();
    let code = |interaction: &Value| interaction.get("code").and_then(Value::as_str).map(str::to_owned);
    // The entries of a batch go upstream by themselves, whatever it can do.
    let system: Vec<Value> = system
        .filter_map(code)
        .filter(|code| code == "transaction")
        .chain(["batch".to_owned()])
        .map(|code| json!({ "code": code }))
        .collect();
    let resources: Vec<Resource> =
        rest.into_iter().flatten().filter_map(|theirs| resource(version, theirs)).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "date": exchange.gateway.clock.now(),
        "fhirVersion": theirs.get("fhirVersion").cloned().unwrap_or_else(|| json!(version.publication())),
        "format": ["application/fhir+json"],
        "implementation": { "description": "FHIR behind Chartgate", "url": exchange.upstream.bases.public.to_string() },
        "rest": [{
            "mode": "server",
            "security": {
                "service": [{ "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }] }],
                "extension": [{
                    "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                    "extension": [
                        { "url": "authorize", "valueUri": format!("{issuer}/authorize") },
                        { "url": "token", "valueUri": format!("{issuer}/token") },
                        { "url": "revoke", "valueUri": format!("{issuer}/revoke") },
                    ],
                }],
            },
            "resource": resources,
            "interaction": system,
        }],
        "patchFormat": ["application/json-patch+json"],
    })
}

/// Bulk export, where the server behind has it and the route lets it.
fn operations(exchange: &Exchange<'_>, theirs: &Value) -> Option<Value> {
    let RouteKind::Fhir { exports, .. } = &exchange.route.kind else { return None };
    let listed = |list: Option<&Value>| {
        let names = list.and_then(Value::as_array).into_iter().flatten();
        names.filter_map(|one| one.get("name")?.as_str()).any(|name| name == "export")
    };
    let resources = theirs.pointer("/rest/0/resource").and_then(Value::as_array).into_iter().flatten();
    let has = listed(theirs.pointer("/rest/0/operation"))
        || resources.into_iter().any(|resource| listed(resource.get("operation")));
    let definition = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export";
    (has && exports.at_once > 0).then(|| json!([{ "name": "export", "definition": definition }]))
}

/// What can be done with a type.
#[derive(Serialize)]
struct Resource {
    #[serde(rename = "type")]
    resource_type: &'static str,
    interaction: Vec<Value>,
    #[serde(rename = "conditionalCreate")]
    conditional_create: bool,
    #[serde(rename = "conditionalUpdate")]
    conditional_update: bool,
    #[serde(rename = "conditionalDelete")]
    conditional_delete: &'static str,
    /// Clients look here for how a type is searched by patient.
    #[serde(rename = "searchParam", skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Value>,
}

fn resource(version: FhirVersion, theirs: &Value) -> Option<Resource> {
    let resource_type = ResourceType::of(version, theirs.get("type")?.as_str()?).ok()?;
    let listed = |name: &str| theirs.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut codes: Vec<&str> = listed("interaction")
        .filter_map(|interaction| interaction.get("code")?.as_str())
        .filter(|code| OFFERED.contains(code))
        // Content is found by what points to it.
        .filter(|code| resource_type != ResourceType::BINARY || OF_BINARY.contains(code))
        .collect();
    if resource_type != ResourceType::BINARY && codes.contains(&"update") {
        codes.push(PATCH);
    }
    // A condition is a search of the gateway's, and then a write of a record that is named.
    let by_condition = |code| codes.contains(&code) && codes.contains(&"search-type");
    let (conditional_create, conditional_update) = (by_condition("create"), by_condition("update"));
    let conditional_delete = if by_condition("delete") { "single" } else { "not-supported" };
    let offered = codes.into_iter().map(|code| json!({ "code": code })).collect();
    let parameters = listed("searchParam")
        .filter_map(|parameter| SearchQuery::offers(version, resource_type, parameter.get("name")?.as_str()?))
        .map(|(name, kind)| json!({ "name": name, "type": kind }))
        .collect();
    Some(Resource {
        resource_type: resource_type.as_str(),
        interaction: offered,
        conditional_create,
        conditional_update,
        conditional_delete,
        parameters,
    })
}
