//! A small real FHIR R4 server on a loopback port: read, vread, history, search with paging and inclusion, create,
//! update, delete, batch, transaction, `$everything` and `$export`. It takes
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
use super::stored::{Expected, Put, PutError, Records, Version};
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

/// A request, or an entry of a batch.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// Below the base, without slashes around it.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) content: &'a [u8],
    pub(super) condition: Expected,
}

/// A page of an answer.
pub(super) struct Paged<'a> {
    pub(super) path: &'a str,
    pub(super) form: &'a Form,
    pub(super) offset: usize,
    pub(super) count: usize,
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
        let credential = format!("Bearer {}", self.credential.expose());
        let given =
            request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        if !bool::from(given.ct_eq(credential.as_bytes())) {
            return outcome(StatusCode::UNAUTHORIZED, "login", "only the gateway may call this server");
        }
        let (head, content) = request.into_parts();
        let Ok(content) = body::take(content, LONGEST_BODY, body::REQUEST_TIME).await else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the body did not come");
        };
        let path = head.uri.path().strip_prefix(BASE).unwrap_or_default().trim_matches('/').to_owned();
        let condition = expected(&head.headers);
        let asked = Asked {
            method: &head.method,
            path: &path,
            query: head.uri.query().unwrap_or_default(),
            content: &content,
            condition,
        };
        if let Some(answer) = self.export(asked.method, asked.path, asked.query, &head.headers) {
            return answer;
        }
        if path.is_empty() && asked.method == Method::POST {
            return self.bundle(asked.content);
        }
        self.one(&asked)
    }

    /// Answers one request, or one entry of a batch.
    pub(super) fn one(&self, asked: &Asked<'_>) -> Response<Full<Bytes>> {
        let Asked { method, path, query, content, condition } = *asked;
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::GET, ["metadata"]) => self.capabilities(),
            (&Method::GET, [kind]) => self.search(kind, query),
            (&Method::POST, [kind, "_search"]) => {
                let form = String::from_utf8_lossy(content);
                self.search(kind, if query.is_empty() { &form } else { query })
            }
            (&Method::GET, [kind, "_history"]) => self.history(path, self.records.history(kind), query),
            (&Method::GET, [kind, id, "_history"]) => {
                let versions = self.records.versions(kind, id).into_iter().rev();
                let versions: Vec<_> = versions.map(|version| ((*id).to_owned(), version)).collect();
                match versions.is_empty() {
                    true => outcome(StatusCode::NOT_FOUND, "not-found", "no such resource"),
                    false => self.history(path, versions, query),
                }
            }
            (&Method::GET, ["Patient", id, "$everything"]) => self.everything(id, query),
            (&Method::GET, ["Observation", "$lastn"]) => self.last(query),
            (&Method::GET, [kind, id]) => self.read(kind, id, None),
            (&Method::GET, [kind, id, "_history", number]) => self.read(kind, id, Some(number)),
            (&Method::POST, [kind]) => {
                self.store(kind, &new_id(), content, Expected::Nothing, StatusCode::CREATED)
            }
            (&Method::PUT, [kind, id]) => {
                let is_new = self.records.versions(kind, id).is_empty();
                let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
                self.store(kind, id, content, condition, status)
            }
            (&Method::DELETE, [kind, id]) => self.delete(kind, id, condition),
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
                "rest": [{ "mode": "server", "resource": resources,
                    "interaction": [{ "code": "transaction" }, { "code": "batch" }],
                    "operation": [{ "name": "export",
                        "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export" }] }],
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
        let found = search.run(&self.records, kind);
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
    pub(super) fn links(&self, paged: &Paged<'_>, all: usize) -> Vec<Value> {
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

    fn store(
        &self,
        kind: &str,
        id: &str,
        content: &[u8],
        expected: Expected,
        status: StatusCode,
    ) -> Response<Full<Bytes>> {
        let resource = match named(content, kind, id) {
            Ok(resource) => resource,
            Err(why) => return outcome(StatusCode::BAD_REQUEST, "invalid", why),
        };
        let put = Put { kind: kind.to_owned(), id: id.to_owned(), resource: Some(resource), expected };
        match self.records.put(vec![put], self.clock.now()).map(|mut stored| stored.pop()) {
            Ok(stored) => {
                let stored = stored.and_then(|version| {
                    Some((version.number, of_version(&version, version.resource.as_ref()?)))
                });
                let Some((number, mut response)) = stored else {
                    return outcome(StatusCode::INTERNAL_SERVER_ERROR, "exception", "not stored");
                };
                *response.status_mut() = status;
                let location = format!("{}/{kind}/{id}/_history/{number}", self.base);
                if let Ok(location) = HeaderValue::from_str(&location) {
                    response.headers_mut().insert(header::LOCATION, location);
                }
                response
            }
            Err(error) => failed(&error),
        }
    }

    fn delete(&self, kind: &str, id: &str, expected: Expected) -> Response<Full<Bytes>> {
        if self.records.versions(kind, id).is_empty() {
            return outcome(StatusCode::NOT_FOUND, "not-found", "no such resource");
        }
        let put = Put { kind: kind.to_owned(), id: id.to_owned(), resource: None, expected };
        match self.records.put(vec![put], self.clock.now()) {
            Ok(_) => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Err(error) => failed(&error),
        }
    }
}

pub(super) fn failed(error: &PutError) -> Response<Full<Bytes>> {
    match error {
        PutError::AnotherVersion => outcome(StatusCode::PRECONDITION_FAILED, "conflict", "another version"),
        PutError::File(error) => {
            tracing::error!(%error, "the sample server's file");
            outcome(StatusCode::INTERNAL_SERVER_ERROR, "exception", "not stored")
        }
    }
}

/// RFC 9110 section 13.1, as far as FHIR has it.
fn expected(headers: &HeaderMap) -> Expected {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (Some(tag), _) => of_tag(tag),
        (None, Some("*")) => Expected::Nothing,
        (None, _) => Expected::Whatever,
    }
}

/// The version of an entity tag; one that there cannot be where it is none of ours.
pub(super) fn of_tag(tag: &str) -> Expected {
    let number = tag.strip_prefix("W/\"").and_then(|rest| rest.strip_suffix('"'));
    Expected::Version(number.and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// An id that nobody has.
pub(super) fn new_id() -> String {
    let id = crate::entropy::digest_of(crate::entropy::opaque_secret().expose()).replace(['_', '-'], "x");
    id.chars().take(20).collect()
}

/// A record of a type, under an id.
///
/// # Errors
/// What is wrong with it.
fn named(content: &[u8], kind: &str, id: &str) -> Result<Value, &'static str> {
    let Ok(mut resource) = serde_json::from_slice::<Value>(content) else {
        return Err("the body is not JSON");
    };
    match &mut resource {
        Value::Object(members) if members.get("resourceType") == Some(&json!(kind)) => {
            members.insert("id".to_owned(), id.into());
            Ok(resource)
        }
        _ => Err("the body is another type"),
    }
}

pub(super) fn of_version(version: &Version, resource: &Value) -> Response<Full<Bytes>> {
    let mut response = answer(StatusCode::OK, resource);
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{}\"", version.number)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub(super) fn outcome(status: StatusCode, code: &str, text: &str) -> Response<Full<Bytes>> {
    let issue = json!({ "severity": "error", "code": code, "diagnostics": text });
    answer(status, &json!({ "resourceType": "OperationOutcome", "issue": [issue] }))
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/fhir+json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
