//! What stands between the gateway and the sample FHIR server: it hands on, drops what a request asks for, or lies.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How it behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// As the server behind it.
    Honest,
    /// Whatever a search or history asks for, it gives all that there is of the type.
    Heedless,
    /// It gives another patient's records under the names that were asked for, and all that there is besides.
    Lying,
    /// It fails where it is asked who is in whose care, and what patients have forbidden.
    Failing,
    /// Where it is asked what patients have forbidden, it takes the first value of each parameter.
    First,
    /// As the server behind it, but that it calls itself one of R4B,
    OfR4b,
    /// or of R5,
    OfR5,
    /// or that it does not say of which.
    Mute,
    /// It fails where it is asked for several patients.
    Nameless,
    /// It answers a search as it did the first time, unless it is told not to.
    Remembering,
    /// Of what the other patient has forbidden there is always a further page.
    Endless,
}

/// The server. It ends with its value.
pub(crate) struct Between {
    pub(crate) port: u16,
    manner: Arc<AtomicU8>,
    calls: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

/// Answers to searches, by target and form.
type Remembered = Arc<Mutex<BTreeMap<(String, Bytes), Bytes>>>;

impl Between {
    /// Stands before the server on this port; lies are told with the records of `other`.
    pub(crate) async fn start(real: u16, other: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (manner, calls) = (Arc::<AtomicU8>::default(), Arc::<AtomicUsize>::default());
        let mut connections = JoinSet::new();
        let behind = Behind {
            real,
            own: port,
            other: other.into(),
            manner: Arc::clone(&manner),
            calls: Arc::clone(&calls),
            remembered: Remembered::default(),
        };
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let behind = behind.clone();
                open.spawn(async move {
                    let service =
                        service_fn(|request| async { Ok::<_, Infallible>(behind.answer(request).await) });
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { port, manner, calls, _connections: connections }
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.store(manner as u8, Ordering::SeqCst);
    }

    /// How often it was called since the last look.
    pub(crate) fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Behind {
    real: u16,
    own: u16,
    other: Arc<str>,
    manner: Arc<AtomicU8>,
    calls: Arc<AtomicUsize>,
    remembered: Remembered,
}

/// A form with the first value of each parameter.
fn first_values(form: &[u8]) -> Bytes {
    let first = |pair: &str| pair.split("%2C").next().unwrap_or_default().to_owned();
    let text = std::str::from_utf8(form).unwrap();
    Bytes::from(text.split('&').map(first).collect::<Vec<_>>().join("&"))
}

/// Whether it is a search of a type, or a further page of one.
fn is_search(head: &http::request::Parts) -> bool {
    let path = head.uri.path().trim_start_matches("/fhir").trim_matches('/');
    path.ends_with("_search") || head.method == Method::GET && !path.contains('/') && path != "metadata"
}

/// The types of which a liar knows records.
const KINDS: [&str; 7] =
    ["Patient", "Observation", "Condition", "Encounter", "Coverage", "Practitioner", "CareTeam"];

impl Behind {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // What it says of itself it is asked now and then, whatever else happens.
        if !request.uri().path().ends_with("/metadata") {
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let manner = self.manner.load(Ordering::SeqCst);
        let asks_for_it = ["CareTeam", "Encounter", "Appointment", "Consent"]
            .iter()
            .any(|kind| head.uri.path().ends_with(&format!("/{kind}/_search")));
        if manner == Manner::Failing as u8 && asks_for_it {
            return Response::builder().status(500).body(Full::default()).unwrap();
        }
        if manner == Manner::Nameless as u8 && head.uri.path().ends_with("/Patient/_search") {
            return Response::builder().status(500).body(Full::default()).unwrap();
        }
        let is_first = manner == Manner::First as u8 && head.uri.path().ends_with("/Consent/_search");
        let body = if is_first { first_values(&body) } else { body };
        if manner == Manner::Remembering as u8 && is_search(&head) {
            return self.recall(&head, body).await;
        }
        if manner == Manner::Endless as u8 && self.asks_for_others_consents(&head, &body) {
            let more = format!("http://127.0.0.1:{}/fhir/Consent?more=1", self.own);
            let page = json!({ "resourceType": "Bundle", "type": "searchset",
                "link": [{ "relation": "next", "url": more }] });
            let response = Response::builder().header("content-type", "application/fhir+json");
            return response.body(Full::from(page.to_string())).unwrap();
        }
        let honest =
            self.call(&head, head.uri.path_and_query().unwrap().as_str(), head.method.clone(), body).await;
        let path = head.uri.path().trim_start_matches("/fhir").trim_matches('/').to_owned();
        let last = path.rsplit('/').next().unwrap_or_default();
        let lists = head.method == Method::GET
            && (!path.contains('/') || ["_history", "$everything"].contains(&last))
            || last == "_search";
        let lies = if manner == Manner::Lying as u8 {
            lists || (head.method == Method::GET && path != "metadata")
        } else {
            manner == Manner::Heedless as u8 && lists
        };
        let called = [
            (Manner::OfR4b, "4.0.1", "4.3.0"),
            (Manner::OfR5, "4.0.1", "5.0.0"),
            (Manner::Mute, "fhirVersion", "unsaid"),
        ];
        let called = called.iter().find(|(own, ..)| *own as u8 == manner && path == "metadata");
        if let Some((_, name, version)) = called {
            let said = honest.into_body().collect().await.unwrap().to_bytes();
            let said = String::from_utf8(said.to_vec()).unwrap().replace(name, version);
            return Response::new(Full::from(said));
        }
        if !lies || path == "metadata" {
            return honest;
        }
        let kind = path.split('/').next().unwrap_or_default();
        let lying = manner == Manner::Lying as u8;
        let answer =
            if lists { self.list(&head, kind, last, lying).await } else { self.another(&head, &path).await };
        let response =
            Response::builder().header("content-type", "application/fhir+json").header("etag", "W/\"1\"");
        response.body(Full::from(answer.to_string())).unwrap()
    }

    fn asks_for_others_consents(&self, head: &http::request::Parts, body: &[u8]) -> bool {
        let form = std::str::from_utf8(body).unwrap_or_default();
        let is_first = head.uri.path().ends_with("/Consent/_search") && form.contains(&*self.other);
        is_first || head.uri.query() == Some("more=1")
    }

    /// The answer to a search, from memory unless that is forbidden.
    async fn recall(&self, head: &http::request::Parts, body: Bytes) -> Response<Full<Bytes>> {
        let target = head.uri.path_and_query().unwrap().as_str().to_owned();
        let asked = (target.clone(), body.clone());
        let is_fresh = head.headers.get("cache-control").is_some_and(|value| value == "no-cache");
        let kept = self.remembered.lock().unwrap().get(&asked).cloned();
        if let Some(kept) = kept.filter(|_| !is_fresh) {
            return Response::builder()
                .header("content-type", "application/fhir+json")
                .body(Full::from(kept))
                .unwrap();
        }
        let (head, body) = self.call(head, &target, head.method.clone(), body).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.remembered.lock().unwrap().insert(asked, body.clone());
        Response::from_parts(head, Full::from(body))
    }

    async fn call(
        &self,
        head: &http::request::Parts,
        path: &str,
        method: Method,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let stream = TcpStream::connect(("127.0.0.1", self.real)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse::<Uri>().unwrap();
        for name in ["authorization", "content-type", "if-match", "if-none-match", "accept", "prefer"] {
            if let Some(value) = head.headers.get(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        request.headers_mut().insert("host", "127.0.0.1".parse().unwrap());
        let (mut head, body) = sender.send_request(request).await.unwrap().into_parts();
        // Its links are to itself, and this stands in its place.
        let (theirs, ours) = (format!("127.0.0.1:{}", self.real), format!("127.0.0.1:{}", self.own));
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap().replace(&theirs, &ours);
        if let Some(location) = head.headers.get("location").map(|value| value.to_str().unwrap().to_owned()) {
            head.headers.insert("location", location.replace(&theirs, &ours).parse().unwrap());
        }
        head.headers.remove("content-length");
        Response::from_parts(head, Full::from(body))
    }

    async fn all(&self, head: &http::request::Parts, kind: &str) -> Vec<Value> {
        let answer = self.call(head, &format!("/fhir/{kind}?_count=1000"), Method::GET, Bytes::new()).await;
        let bundle: Value =
            serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| entry["resource"].clone()).collect()
    }

    /// All that there is, as an answer to a search, history or `$everything`.
    async fn list(&self, head: &http::request::Parts, kind: &str, last: &str, lying: bool) -> Value {
        let mut records = self.all(head, kind).await;
        let mut entries = Vec::new();
        if last == "$everything" || lying {
            for kind in KINDS {
                records.extend(self.all(head, kind).await);
            }
        }
        for (place, record) in records.into_iter().enumerate() {
            let mode = if lying && place % 2 == 1 { "include" } else { "match" };
            let method = if lying && place % 5 == 4 { "DELETE" } else { "PUT" };
            let name = format!("{}/{}", record["resourceType"], record["id"]).replace('"', "");
            let mut record = record;
            if lying && place % 3 == 2 {
                // Somebody's, under a claim that it is nobody's or another's.
                record["contained"] = json!([{ "resourceType": "Patient", "id": "p" }]);
                record["extension"] = json!([{ "url": "x", "valueReference": { "reference": "#p" } }]);
            }
            let entry = match last {
                "_history" => json!({ "fullUrl": name, "resource": record,
                    "request": { "method": method, "url": name }, "response": { "status": "200" } }),
                _ => json!({ "fullUrl": name, "resource": record, "search": { "mode": mode } }),
            };
            entries.push(entry);
        }
        let bundle_type = if last == "_history" { "history" } else { "searchset" };
        json!({ "resourceType": "Bundle", "type": bundle_type, "total": entries.len(), "entry": entries,
            "id": *self.other, "note": format!("of {}", self.other) })
    }

    /// Another patient's record under the name that was asked for.
    async fn another(&self, head: &http::request::Parts, path: &str) -> Value {
        let mut steps = path.split('/');
        let (kind, id) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let all = self.all(head, kind).await;
        let of_other = |record: &&Value| record.to_string().contains(&*self.other);
        let mut record = all.iter().find(of_other).or(all.first()).cloned().unwrap_or_default();
        // A Patient is whoever its id says, so that a liar can only give another one.
        if kind != "Patient" {
            record["resourceType"] = json!(kind);
            record["id"] = json!(id);
        }
        record
    }
}
