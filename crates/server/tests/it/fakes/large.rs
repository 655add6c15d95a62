//! A FHIR server with long answers.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Stands in every long record.
pub(crate) const MARKER: &str = "the-patient-likes-marigolds";
/// How many records a search finds, each of about 64 KiB: 20 MiB. Every fourth is of another patient.
pub(crate) const FOUND: usize = 320;

/// The server. It ends with its value.
pub(crate) struct LargeFhir {
    pub(crate) port: u16,
    _connections: JoinSet<()>,
}

impl LargeFhir {
    /// Answers about `patient`, with some of `other` among the results of a search.
    pub(crate) async fn start(patient: &'static str, other: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| async move {
                    Ok::<_, Infallible>(answer(&request, patient, other))
                });
                open.spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { port, _connections: connections }
    }
}

fn answer(request: &Request<Incoming>, patient: &str, other: &str) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let last = path.rsplit('/').next().unwrap();
    let body = match last {
        "_search" if path.ends_with("/Condition/_search") => many("Condition", 10 << 20, patient, other),
        "_search" if path.ends_with("/Procedure/_search") => many("Procedure", 50 << 20, patient, other),
        "_search" if BROKEN.iter().any(|of| path.contains(of)) => return sent(broken(path, patient, other)),
        "$everything" => many("Procedure", 50 << 20, patient, other),
        "pt-mine" => json!({ "resourceType": "Patient", "id": "pt-mine" }).to_string(),
        "Observation" | "_search" => bundle(patient, other).to_string(),
        "metadata" => json!({ "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1" }).to_string(),
        "_history" => versions(100_001),
        "small" => observation("small", patient, 10).to_string(),
        "huge" => observation("huge", patient, 18 << 20).to_string(),
        "beyond" => observation("beyond", patient, 25 << 20).to_string(),
        other => panic!("{other}"),
    };
    sent(body.into_bytes())
}

fn sent(body: Vec<u8>) -> Response<Full<Bytes>> {
    let response =
        Response::builder().header("content-type", "application/fhir+json").header("etag", "W/\"1\"");
    response.body(Full::from(body)).unwrap()
}

/// Types of which a long answer is broken near its end: each in its own way.
pub(crate) const BROKEN: [&str; 6] =
    ["AllergyIntolerance", "Encounter", "Immunization", "Goal", "CarePlan", "DiagnosticReport"];

fn broken(path: &str, patient: &str, other: &str) -> Vec<u8> {
    let resource_type = BROKEN.into_iter().find(|of| path.contains(of)).unwrap();
    let mut whole = many(resource_type, 2 << 20, patient, other).into_bytes();
    let (cut, end): (usize, &[u8]) = match resource_type {
        // A second list of entries, under a name that is written otherwise.
        "AllergyIntolerance" => (1, br#","\u0065ntry":[]}"#),
        // An entry with a name twice.
        "Encounter" => (3, br#","search":{}}]}"#),
        // A string that is no text.
        "Immunization" => (3, b",\"x\":\"\xff\"}]}"),
        "Goal" => (1, b""),
        // A list with nothing behind a comma.
        "CarePlan" => (2, b",]}"),
        // What kind of bundle it is twice.
        _ => (1, br#","type":"searchset"}"#),
    };
    whole.truncate(whole.len().saturating_sub(cut));
    whole.extend(end);
    whole
}

fn observation(id: &str, patient: &str, length: usize) -> Value {
    let text = MARKER.repeat(length.div_ceil(MARKER.len()));
    json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("Patient/{patient}") }, "valueString": text })
}

fn bundle(patient: &str, other: &str) -> Value {
    let entry = |number: usize| {
        let of = if number % 4 == 3 { other } else { patient };
        json!({ "resource": observation(&format!("o{number}"), of, 64 << 10), "search": { "mode": "match" } })
    };
    let entries: Vec<Value> = (0..FOUND).map(entry).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "total": FOUND, "entry": entries })
}

/// A history of so many records, each created once.
fn versions(records: usize) -> String {
    let version = |number: usize| {
        format!(
            r#"{{"resource":{{"resourceType":"Basic","id":"b{number}"}},"request":{{"method":"POST","url":"Basic"}}}}"#
        )
    };
    let all: Vec<String> = (0..records).map(version).collect();
    format!(r#"{{"resourceType":"Bundle","type":"history","entry":[{}]}}"#, all.join(","))
}

/// A searchset of so many bytes, of short records. Every fourth is of another patient.
fn many(resource_type: &str, length: usize, patient: &str, other: &str) -> String {
    let mut text = r#"{"resourceType":"Bundle","type":"searchset","link":[],"entry":["#.to_owned();
    let filler = MARKER.repeat(60);
    text.push_str(
        r#"{"resource":{"resourceType":"Organization","id":"clinic"},"search":{"mode":"include"}},"#,
    );
    for number in 0.. {
        let of = if number % 4 == 3 { other } else { patient };
        text.push_str(&format!(
            r#"{{"resource":{{"resourceType":"{resource_type}","id":"r{number}","subject":{{"reference":"Patient/{of}"}},"performer":[{{"actor":{{"reference":"Organization/clinic"}}}}],"code":{{"text":"{filler}"}}}},"search":{{"mode":"match"}}}}"#
        ));
        if text.len() > length {
            break;
        }
        text.push(',');
    }
    text.push_str("]}");
    text
}
