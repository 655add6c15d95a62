//! A small real FHIR R4 server on a loopback port: read, vread, history, search with paging and inclusion, create,
//! update, delete. It takes
//! calls that carry the gateway's own credential, and no others.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_protocol::form::Form;
use chartgate_values::{Clock, Secret};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;

use super::include;
use super::search::{self, Search};
use super::stored::{PutError, Records, Version};
use crate::net::body;

/// The path of its base URL.
pub(super) const BASE: &str = "/fhir";
const LONGEST_BODY: u64 = 16 << 20;

/// The sample server.
pub(super) struct FhirServer {
    pub(super) records: Arc<Records>,
    /// What the gateway presents.
    pub(super) credential: Secret<String>,
    pub(super) clock: Arc<dyn Clock>,
    /// Its own base URL, for links.
    pub(super) base: String,
}

/// A page of an answer.
struct Paged<'a> {
    path: &'a str,
    form: &'a Form,
    offset: usize,
    count: usize,
}

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener, server: Arc<FhirServer>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl FhirServer {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let expected = format!("Bearer {}", self.credential.expose());
        let given =
            request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        if !bool::from(given.ct_eq(expected.as_bytes())) {
            return outcome(StatusCode::UNAUTHORIZED, "login", "only the gateway may call this server");
        }
        let (head, content) = request.into_parts();
        let Ok(content) = body::take(content, LONGEST_BODY, body::REQUEST_TIME).await else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the body did not come");
        };
        let path = head.uri.path().strip_prefix(BASE).unwrap_or_default().trim_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let query = head.uri.query().unwrap_or_default();
        match (&head.method, parts.as_slice()) {
            (&Method::GET, ["metadata"]) => self.capabilities(),
            (&Method::GET, [kind]) => self.search(kind, query),
            (&Method::POST, [kind, "_search"]) => {
                let form = String::from_utf8_lossy(&content);
                self.search(kind, if query.is_empty() { &form } else { query })
            }
            (&Method::GET, [kind, "_history"]) => self.history(&path, self.records.history(kind), query),
            (&Method::GET, [kind, id, "_history"]) => {
                let versions = self.records.versions(kind, id).into_iter().rev();
                let versions: Vec<_> = versions.map(|version| ((*id).to_owned(), version)).collect();
                match versions.is_empty() {
                    true => outcome(StatusCode::NOT_FOUND, "not-found", "no such resource"),
                    false => self.history(&path, versions, query),
                }
            }
            (&Method::GET, [kind, id]) => self.read(kind, id, None),
            (&Method::GET, [kind, id, "_history", number]) => self.read(kind, id, Some(number)),
            (&Method::POST, [kind]) => self.create(kind, &content),
            (&Method::PUT, [kind, id]) => self.update(kind, id, &content, &head.headers),
            (&Method::DELETE, [kind, id]) => self.delete(kind, id, &head.headers),
            _ => outcome(StatusCode::BAD_REQUEST, "not-supported", "this server does not do that"),
        }
    }

    fn capabilities(&self) -> Response<Full<Bytes>> {
        let interactions: Vec<Value> = [
            "read",
            "vread",
            "history-instance",
            "history-type",
            "search-type",
            "create",
            "update",
            "delete",
        ]
        .map(|code| json!({ "code": code }))
        .into();
        let parameters: Vec<Value> =
            search::parameters().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        let resources: Vec<Value> = self
            .records
            .types()
            .into_iter()
            .map(|kind| json!({ "type": kind, "interaction": interactions, "searchParam": parameters }))
            .collect();
        answer(
            StatusCode::OK,
            &json!({
                "resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
                "date": self.clock.now(), "fhirVersion": "4.0.1", "format": ["application/fhir+json"],
                "rest": [{ "mode": "server", "resource": resources }],
            }),
        )
    }

    fn read(&self, kind: &str, id: &str, number: Option<&&str>) -> Response<Full<Bytes>> {
        let versions = self.records.versions(kind, id);
        let found = match number {
            None => versions.last(),
            Some(number) => versions.iter().find(|version| version.number.to_string() == **number),
        };
        match found {
            Some(version) => version
                .resource
                .as_ref()
                .map_or_else(|| outcome(StatusCode::GONE, "deleted", "deleted"), |r| of_version(version, r)),
            None => outcome(StatusCode::NOT_FOUND, "not-found", "no such resource"),
        }
    }

    fn search(&self, kind: &str, query: &str) -> Response<Full<Bytes>> {
        let Ok(form) = Form::parse_repeating(query) else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the parameters are not a form");
        };
        let search = match Search::read(form.iter()) {
            Ok(search) => search,
            Err(name) => {
                let text = format!("the search parameter {name} is not supported");
                return outcome(StatusCode::BAD_REQUEST, "not-supported", &text);
            }
        };
        let found = search.run(self.records.all(kind));
        let page: Vec<Value> = found
            .iter()
            .skip(search.offset)
            .take(search.count)
            .filter_map(|version| version.resource.clone())
            .collect();
        let along = search.includes.run(&self.records, &page);
        let entry = |mode: &'static str| {
            move |resource: &Value| {
                let url = format!("{}/{}", self.base, include::name(resource)?);
                Some(json!({ "fullUrl": url, "resource": resource, "search": { "mode": mode } }))
            }
        };
        let entries: Vec<Value> =
            page.iter().filter_map(entry("match")).chain(along.iter().filter_map(entry("include"))).collect();
        let paged = Paged { path: kind, form: &form, offset: search.offset, count: search.count };
        answer(
            StatusCode::OK,
            &json!({
                "resourceType": "Bundle", "type": "searchset", "total": found.len(),
                "link": self.links(&paged, found.len()), "entry": entries,
            }),
        )
    }

    /// The address of a page, and of the one after it.
    fn links(&self, paged: &Paged<'_>, all: usize) -> Vec<Value> {
        let Paged { path, form, offset, count } = paged;
        let mut links =
            vec![json!({ "relation": "self", "url": format!("{}/{path}?{}", self.base, form.encode()) })];
        let next = offset.saturating_add(*count);
        if next < all && *count > 0 {
            let mut again = Form::default();
            form.iter()
                .filter(|(name, _)| *name != "_offset")
                .for_each(|(name, value)| again.push(name, value));
            again.push("_offset", &next.to_string());
            let url = format!("{}/{path}?{}", self.base, again.encode());
            links.push(json!({ "relation": "next", "url": url }));
        }
        links
    }

    /// http.html#history of these versions, which come with their ids, the newest first.
    fn history(&self, path: &str, versions: Vec<(String, Version)>, query: &str) -> Response<Full<Bytes>> {
        let Ok(form) = Form::parse_repeating(query) else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the parameters are not a form");
        };
        let (mut count, mut offset, mut since) = (20, 0, "");
        for (name, value) in form.iter() {
            match (name, value.parse()) {
                ("_count", Ok(number)) => count = number,
                ("_offset", Ok(number)) => offset = number,
                ("_since", _) => since = value,
                _ => return outcome(StatusCode::BAD_REQUEST, "not-supported", "a parameter of no history"),
            }
        }
        let kind = path.split('/').next().unwrap_or(path);
        let versions: Vec<_> = versions
            .into_iter()
            .filter(|(_, version)| version.updated.to_string().as_str() >= since)
            .collect();
        let entry = |(id, version): &(String, Version)| {
            let (method, status) = match (&version.resource, version.number) {
                (None, _) => ("DELETE", "204"),
                (Some(_), 1) => ("POST", "201"),
                (Some(_), _) => ("PUT", "200"),
            };
            let url = if method == "POST" { kind.to_owned() } else { format!("{kind}/{id}") };
            let mut entry = json!({
                "fullUrl": format!("{}/{kind}/{id}", self.base),
                "request": { "method": method, "url": url },
                "response": { "status": status, "lastModified": version.updated, "etag": format!("W/\"{}\"", version.number) },
            });
            if let (Some(resource), Value::Object(members)) = (&version.resource, &mut entry) {
                members.insert("resource".to_owned(), resource.clone());
            }
            entry
        };
        let entries: Vec<Value> = versions.iter().skip(offset).take(count).map(entry).collect();
        let paged = Paged { path, form: &form, offset, count };
        answer(
            StatusCode::OK,
            &json!({
                "resourceType": "Bundle", "type": "history", "total": versions.len(),
                "link": self.links(&paged, versions.len()), "entry": entries,
            }),
        )
    }

    fn create(&self, kind: &str, content: &[u8]) -> Response<Full<Bytes>> {
        let id = crate::entropy::digest_of(crate::entropy::opaque_secret().expose()).replace(['_', '-'], "x");
        let id: String = id.chars().take(20).collect();
        self.store(kind, &id, content, None, StatusCode::CREATED)
    }

    fn update(&self, kind: &str, id: &str, content: &[u8], headers: &HeaderMap) -> Response<Full<Bytes>> {
        let status =
            if self.records.versions(kind, id).is_empty() { StatusCode::CREATED } else { StatusCode::OK };
        self.store(kind, id, content, if_match(headers), status)
    }

    fn store(
        &self,
        kind: &str,
        id: &str,
        content: &[u8],
        expected: Option<u64>,
        status: StatusCode,
    ) -> Response<Full<Bytes>> {
        let Ok(mut resource) = serde_json::from_slice::<Value>(content) else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the body is not JSON");
        };
        match &mut resource {
            Value::Object(members) if members.get("resourceType") == Some(&json!(kind)) => {
                members.insert("id".to_owned(), id.into());
            }
            _ => return outcome(StatusCode::BAD_REQUEST, "invalid", "the body is another type"),
        }
        match self.records.put(kind, id, Some(resource), expected, self.clock.now()) {
            Ok(version) => {
                let Some(resource) = &version.resource else {
                    return outcome(StatusCode::INTERNAL_SERVER_ERROR, "exception", "not stored");
                };
                let mut response = of_version(&version, resource);
                *response.status_mut() = status;
                let location = format!("{}/{kind}/{id}/_history/{}", self.base, version.number);
                if let Ok(location) = HeaderValue::from_str(&location) {
                    response.headers_mut().insert(header::LOCATION, location);
                }
                response
            }
            Err(error) => failed(&error),
        }
    }

    fn delete(&self, kind: &str, id: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if self.records.versions(kind, id).is_empty() {
            return outcome(StatusCode::NOT_FOUND, "not-found", "no such resource");
        }
        match self.records.put(kind, id, None, if_match(headers), self.clock.now()) {
            Ok(_) => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &PutError) -> Response<Full<Bytes>> {
    match error {
        PutError::AnotherVersion => outcome(StatusCode::PRECONDITION_FAILED, "conflict", "another version"),
        PutError::File(error) => {
            tracing::error!(%error, "the sample server's file");
            outcome(StatusCode::INTERNAL_SERVER_ERROR, "exception", "not stored")
        }
    }
}

fn if_match(headers: &HeaderMap) -> Option<u64> {
    let tag = headers.get(header::IF_MATCH)?.to_str().ok()?;
    tag.strip_prefix("W/\"")?.strip_suffix('"')?.parse().ok()
}

fn of_version(version: &Version, resource: &Value) -> Response<Full<Bytes>> {
    let mut response = answer(StatusCode::OK, resource);
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{}\"", version.number)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn outcome(status: StatusCode, code: &str, text: &str) -> Response<Full<Bytes>> {
    let issue = json!({ "severity": "error", "code": code, "diagnostics": text });
    answer(status, &json!({ "resourceType": "OperationOutcome", "issue": [issue] }))
}

fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/fhir+json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
