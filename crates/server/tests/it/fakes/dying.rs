//! A FHIR server that gives one record and does not survive that anybody changes it.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The server. It ends with its value.
pub(crate) struct DyingFhir {
    pub(crate) port: u16,
    _connections: JoinSet<()>,
}

impl DyingFhir {
    /// `Observation/breaks` takes its connection with it, `Observation/hangs` never answers; both are of this patient.
    pub(crate) async fn start(patient: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| answer(request, patient));
                open.spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { port, _connections: connections }
    }
}

async fn answer(request: Request<Incoming>, patient: &str) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let id = request.uri().path().rsplit('/').next().unwrap().to_owned();
    match (request.method(), id.as_str()) {
        (&Method::GET, "metadata") => {
            let said = json!({ "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1" });
            Ok(Response::new(Full::from(said.to_string())))
        }
        (&Method::GET, _) => {
            let record = json!({ "resourceType": "Observation", "id": id, "meta": { "versionId": "1" },
                "status": "final", "code": { "text": "x" }, "subject": { "reference": format!("Patient/{patient}") } });
            let response = Response::builder().header("content-type", "application/fhir+json");
            Ok(response.body(Full::from(record.to_string())).unwrap())
        }
        (_, "hangs") => match std::future::pending::<Infallible>().await {},
        _ => Err(std::io::Error::other("it dies")),
    }
}
