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
        "Observation" | "_search" => bundle(patient, other),
        "small" => observation("small", patient, 10),
        "huge" => observation("huge", patient, 18 << 20),
        "beyond" => observation("beyond", patient, 25 << 20),
        other => panic!("{other}"),
    };
    let response =
        Response::builder().header("content-type", "application/fhir+json").header("etag", "W/\"1\"");
    response.body(Full::from(body.to_string())).unwrap()
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
