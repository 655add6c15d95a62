//! A FHIR server that answers as it is told to, path by path, and writes down what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[derive(Clone)]
struct Told {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// The server. It ends with its value.
pub(crate) struct BulkFhir {
    pub(crate) port: u16,
    told: Arc<Mutex<BTreeMap<String, Told>>>,
    asked: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

impl BulkFhir {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::<Mutex<BTreeMap<String, Told>>>::default();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let mut connections = JoinSet::new();
        let (script, seen) = (Arc::clone(&told), Arc::clone(&asked));
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                let service = service_fn(move |request: Request<Incoming>| {
                    let path = request.uri().path().to_owned();
                    // What it says of itself it is asked now and then, whatever else happens.
                    if !path.ends_with("/metadata") {
                        seen.lock().unwrap().push(format!("{} {path}", request.method()));
                    }
                    let told = script.lock().unwrap().get(&path).cloned();
                    async move { Ok::<_, Infallible>(answer(told)) }
                });
                open.spawn(async move {
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        let server = Self { port, told, asked, _connections: connections };
        let said = r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}"#;
        server.tell("/fhir/metadata", 200, &[], said);
        server
    }

    /// Says what is answered at a path.
    pub(crate) fn tell(&self, path: &str, status: u16, headers: &[(&'static str, String)], body: &str) {
        let told = Told { status, headers: headers.to_vec(), body: body.to_owned() };
        self.told.lock().unwrap().insert(path.to_owned(), told);
    }

    /// What it was asked since the last look.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn answer(told: Option<Told>) -> Response<Full<Bytes>> {
    let Some(Told { status, headers, body }) = told else {
        return Response::builder().status(404).body(Full::default()).unwrap();
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::from(body)).unwrap()
}
