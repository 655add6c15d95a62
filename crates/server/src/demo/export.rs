//! The sample server's bulk export: begun at once, ready in a moment, and of the records as they were when it began. HL7 FHIR
//! Bulk Data Access 2.0.0.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::form::Form;
use chartgate_values::Timestamp;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::fhir_server::{FhirServer, answer, failed, new_id, outcome};
use super::include::{all_references, name};
use super::stored::PutError;

/// How long one takes.
const TAKES: Duration = Duration::from_millis(700);

/// An export that was asked for.
pub(super) struct Export {
    /// `$export`, `Patient/$export` or `Group/ID/$export`.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) asked_at: Timestamp,
}

impl FhirServer {
    /// Answers what is about exports; anything else is somebody else's.
    pub(super) fn export(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
    ) -> Option<Response<Full<Bytes>>> {
        let parts: Vec<&str> = path.split('/').collect();
        Some(match (method, parts.as_slice()) {
            (&Method::GET, ["$export"] | ["Patient" | "Group", .., "$export"]) => {
                self.begin(path, query, headers)
            }
            (&Method::GET, ["$export-poll-status"]) => self.poll(query),
            (&Method::DELETE, ["$export-poll-status"]) => {
                let ended = self.records.end_export(query.trim_start_matches("job="));
                match ended {
                    Ok(true) => empty(StatusCode::ACCEPTED),
                    Ok(false) => outcome(StatusCode::NOT_FOUND, "not-found", "no such export"),
                    Err(error) => failed(&PutError::File(error)),
                }
            }
            (&Method::GET, ["$export-file", id, kind]) => self.exported(id, kind),
            _ => return None,
        })
    }

    fn begin(&self, path: &str, query: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let prefer = headers.get("prefer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !prefer.split(',').any(|one| one.trim() == "respond-async") {
            return outcome(StatusCode::BAD_REQUEST, "required", "Prefer: respond-async");
        }
        let known = ["_type", "_since", "_outputFormat"];
        let form = Form::parse_repeating(query).unwrap_or_default();
        if let Some((name, _)) = form.iter().find(|(name, _)| !known.contains(name)) {
            let text = format!("the parameter {name} is not supported");
            return outcome(StatusCode::BAD_REQUEST, "not-supported", &text);
        }
        let group = path.strip_prefix("Group/").and_then(|rest| rest.strip_suffix("/$export"));
        if group.is_some_and(|id| self.records.versions("Group", id).is_empty()) {
            return outcome(StatusCode::NOT_FOUND, "not-found", "no such group");
        }
        let id = new_id();
        let export = Export { path: path.to_owned(), query: query.to_owned(), asked_at: self.clock.now() };
        if let Err(error) = self.records.begin_export(&id, &export) {
            return failed(&PutError::File(error));
        }
        let mut response = empty(StatusCode::ACCEPTED);
        let url = format!("{}/$export-poll-status?job={id}", self.base);
        if let Ok(url) = HeaderValue::try_from(url) {
            response.headers_mut().insert(header::CONTENT_LOCATION, url);
        }
        response
    }

    fn poll(&self, query: &str) -> Response<Full<Bytes>> {
        let id = query.trim_start_matches("job=");
        let Some(export) = self.records.export(id) else {
            return outcome(StatusCode::NOT_FOUND, "not-found", "no such export");
        };
        if self.clock.now() < export.asked_at.plus(TAKES) {
            let mut response = empty(StatusCode::ACCEPTED);
            response.headers_mut().insert("x-progress", HeaderValue::from_static("in progress: 50%"));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            return response;
        }
        let file = |kind: String| {
            let count = self.of_type(&export, &kind).len();
            let url = format!("{}/$export-file/{id}/{kind}", self.base);
            (count > 0).then(|| json!({ "type": kind, "url": url, "count": count }))
        };
        let output: Vec<Value> = export.types(self).into_iter().filter_map(file).collect();
        answer(
            StatusCode::OK,
            &json!({ "transactionTime": export.asked_at, "request": format!("{}/{}?{}", self.base, export.path, export.query),
                "requiresAccessToken": true, "output": output, "error": [] }),
        )
    }

    fn exported(&self, id: &str, kind: &str) -> Response<Full<Bytes>> {
        let Some(export) = self.records.export(id) else {
            return outcome(StatusCode::NOT_FOUND, "not-found", "no such export");
        };
        let lines: String = self.of_type(&export, kind).iter().map(|record| format!("{record}\n")).collect();
        let mut response = Response::new(Full::from(lines));
        let ndjson = HeaderValue::from_static("application/fhir+ndjson");
        response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
        response
    }

    /// The records of a type, as they were.
    fn of_type(&self, export: &Export, kind: &str) -> Vec<Value> {
        let form = Form::parse_repeating(&export.query).unwrap_or_default();
        let since = form.get("_since").and_then(|text| text.parse::<Timestamp>().ok());
        let all = self.records.as_of(kind, export.asked_at).into_iter();
        let all = all.filter(|version| since.is_none_or(|since| version.updated >= since));
        let group = export.path.strip_prefix("Group/").and_then(|rest| rest.strip_suffix("/$export"));
        let members = group.map(|id| {
            let mut members = Vec::new();
            let versions = self.records.versions("Group", id);
            if let Some(group) = versions.last().and_then(|version| version.resource.as_ref()) {
                all_references(group, &mut members);
            }
            members
        });
        let concerns = |record: &Value| {
            let mut references = vec![name(record).unwrap_or_default()];
            all_references(record, &mut references);
            references.iter().any(|one| match &members {
                Some(members) => members.contains(one),
                None => export.path == "$export" || one.starts_with("Patient/"),
            })
        };
        all.filter_map(|version| version.resource).filter(|record| concerns(record)).collect()
    }
}

impl Export {
    fn types(&self, server: &FhirServer) -> BTreeSet<String> {
        let form = Form::parse_repeating(&self.query).unwrap_or_default();
        match form.get("_type") {
            Some(types) => types.split(',').map(str::to_owned).collect(),
            None => server.records.types().into_iter().collect(),
        }
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
