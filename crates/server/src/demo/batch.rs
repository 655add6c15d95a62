//! The sample server's batches and transactions. HL7 FHIR 4.0.1, http.html#transaction.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::fhir_server::{Asked, FhirServer, answer, failed, new_id, of_tag, outcome};
use super::stored::{Expected, Put, Version};

impl FhirServer {
    /// Does what the entries of a bundle say.
    pub(super) fn bundle(&self, content: &[u8]) -> Response<Full<Bytes>> {
        let bundle: Value = serde_json::from_slice(content).unwrap_or_default();
        let entries = bundle.get("entry").and_then(Value::as_array).cloned().unwrap_or_default();
        match bundle.get("type").and_then(Value::as_str) {
            Some("batch") => {
                let entries: Vec<Value> = entries.iter().map(|entry| self.entry(entry)).collect();
                let response =
                    json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries });
                answer(StatusCode::OK, &response)
            }
            Some("transaction") => self.transaction(entries),
            _ => outcome(StatusCode::BAD_REQUEST, "invalid", "neither a batch nor a transaction"),
        }
    }

    /// One entry of a batch, as a request by itself.
    fn entry(&self, entry: &Value) -> Value {
        let Some((method, url)) = method_and_url(entry) else {
            return json!({ "response": { "status": "400" } });
        };
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let content = entry.get("resource").map(Value::to_string).unwrap_or_default();
        let condition = condition(entry);
        let asked = Asked { method: &method, path, query, content: content.as_bytes(), condition };
        let (head, body) = self.one(&asked).into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let response = json!({ "status": head.status.as_u16().to_string(), "etag": text(header::ETAG),
            "location": text(header::LOCATION) });
        let body = body.collect();
        let body = futures_util::FutureExt::now_or_never(body).and_then(Result::ok);
        let body: Value =
            body.and_then(|body| serde_json::from_slice(&body.to_bytes()).ok()).unwrap_or_default();
        match head.status.is_success() {
            true => json!({ "resource": body, "response": response }),
            false => json!({ "response": response, "outcome": body }),
        }
    }

    /// All entries or none. Those that write; to read, there are batches.
    fn transaction(&self, entries: Vec<Value>) -> Response<Full<Bytes>> {
        let mut puts = Vec::new();
        let mut names = BTreeMap::new();
        for mut entry in entries {
            let planned = method_and_url(&entry).and_then(|(method, url)| {
                let (kind, id) = match (&method, url.split_once('/')) {
                    (&Method::POST, None) => (url.to_owned(), new_id()),
                    (&Method::PUT | &Method::DELETE, Some((kind, id))) => (kind.to_owned(), id.to_owned()),
                    _ => return None,
                };
                Some((method, kind, id))
            });
            let Some((method, kind, id)) = planned else {
                return outcome(StatusCode::BAD_REQUEST, "not-supported", "not a write of one record");
            };
            if let Some(name) = entry.get("fullUrl").and_then(Value::as_str) {
                names.insert(name.to_owned(), format!("{kind}/{id}"));
            }
            let expected = condition(&entry);
            let resource = entry.get_mut("resource").map(Value::take).filter(|_| method != Method::DELETE);
            if resource.is_none() && method != Method::DELETE {
                return outcome(StatusCode::BAD_REQUEST, "required", "an entry without its resource");
            }
            puts.push((method, Put { kind, id, resource, expected }));
        }
        let mut methods = Vec::new();
        let mut named = Vec::new();
        for (method, mut put) in puts {
            if let Some(resource) = &mut put.resource {
                resolve(resource, &names);
                if let Value::Object(members) = resource {
                    members.insert("id".to_owned(), put.id.clone().into());
                }
            }
            methods.push((method, format!("{}/{}", put.kind, put.id)));
            named.push(put);
        }
        match self.records.put(named, self.clock.now()) {
            Err(error) => failed(&error),
            Ok(versions) => {
                let entries: Vec<Value> =
                    methods.iter().zip(&versions).map(|(m, v)| self.stored(m, v)).collect();
                let response =
                    json!({ "resourceType": "Bundle", "type": "transaction-response", "entry": entries });
                answer(StatusCode::OK, &response)
            }
        }
    }

    fn stored(&self, (method, name): &(Method, String), version: &Version) -> Value {
        let Some(resource) = &version.resource else {
            return json!({ "response": { "status": "204 No Content" } });
        };
        let status = if version.number == 1 || *method == Method::POST { "201 Created" } else { "200 OK" };
        json!({
            "resource": resource,
            "response": {
                "status": status,
                "location": format!("{}/{name}/_history/{}", self.base, version.number),
                "etag": format!("W/\"{}\"", version.number),
                "lastModified": version.updated,
            },
        })
    }
}

fn method_and_url(entry: &Value) -> Option<(Method, &str)> {
    let request = entry.get("request")?;
    let method = request.get("method")?.as_str()?.parse().ok()?;
    Some((method, request.get("url")?.as_str()?))
}

fn condition(entry: &Value) -> Expected {
    let text = |name| entry.get("request").and_then(|request| request.get(name)?.as_str());
    match (text("ifMatch"), text("ifNoneMatch")) {
        (Some(tag), _) => of_tag(tag),
        (None, Some("*")) => Expected::Nothing,
        (None, _) => Expected::Whatever,
    }
}

/// Puts in what the names of entries stand for. http.html#trules.
fn resolve(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                match value {
                    Value::String(text) if member == "reference" => {
                        if let Some(name) = names.get(text) {
                            text.clone_from(name);
                        }
                    }
                    value => resolve(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
