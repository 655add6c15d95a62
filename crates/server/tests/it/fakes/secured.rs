//! An upstream that wants to know who calls: over TLS, with a certificate or a token of its own token endpoint.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the server does and has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// What `/token` was asked: `Authorization` and body.
    pub(crate) asked: Vec<(String, String)>,
    /// `Authorization` of each other request.
    pub(crate) called: Vec<String>,
    /// What `/token` answers, if it is not a token.
    pub(crate) token_fault: Option<StatusCode>,
    /// How long tokens are good.
    pub(crate) expires_in: u64,
    /// A token that is not believed.
    pub(crate) disbelieved: String,
    /// What every other request is answered, whoever calls.
    pub(crate) call_answer: Option<StatusCode>,
    /// What `/keys` answers; nothing: 503.
    pub(crate) keys: Option<String>,
    /// For how many seconds it says that they may be kept.
    pub(crate) keys_max_age: Option<u32>,
    /// How often it was asked.
    pub(crate) keys_asked: usize,
    /// What clients say of themselves, by path.
    pub(crate) documents: BTreeMap<String, Document>,
    /// Which of it was asked for.
    pub(crate) documents_asked: Vec<String>,
    /// What was said under `/logout`: the path and the body.
    pub(crate) logouts: Vec<(String, String)>,
    /// What is answered there, one after the other; nothing: 200.
    pub(crate) logout_answers: VecDeque<StatusCode>,
    /// `Authorization` and body of each request to `/ping`.
    pub(crate) pings: Vec<(String, String)>,
    /// What those are answered.
    pub(crate) ping_answer: StatusCode,
    /// Messages for phones (RFC 8030 section 5).
    pub(crate) pushes: Vec<Pushed>,
    /// What those are answered; nothing: 201.
    pub(crate) push_answer: Option<StatusCode>,
}

/// A message for a phone.
#[derive(Clone)]
pub(crate) struct Pushed {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is answered under a path.
#[derive(Clone)]
pub(crate) struct Document {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// The server. It ends with its value.
pub(crate) struct Secured {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Seen>>,
    _connections: JoinSet<()>,
}

/// Whether callers have to show a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Certificates {
    Wanted,
    NotWanted,
}

/// Makes a CA (`ca.pem`) and in its name a server (`server.pem`) and a caller (`caller.pem`), each with its key.
pub(crate) fn certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("caller", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, &ca).unwrap().pem())
            .unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

impl Secured {
    pub(crate) async fn start(folder: &Path, wanted: Certificates) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match wanted {
            Certificates::NotWanted => builder.with_no_client_auth(),
            Certificates::Wanted => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen { expires_in: 3600, ..Seen::default() }));
        let kept = Arc::clone(&seen);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                open.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(request, Arc::clone(&kept)));
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        Self { port, seen, _connections: connections }
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let by = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    let answer = |status: StatusCode, text: String| {
        let response = Response::builder().status(status).header("content-type", "application/json");
        Ok(response.body(Full::from(text)).unwrap())
    };
    if head.uri.path() == "/token" {
        // All who want a token at once have come by the time there is one.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut seen = seen.lock().unwrap();
        seen.asked.push((by, String::from_utf8(body.to_vec()).unwrap()));
        if let Some(status) = seen.token_fault {
            return answer(status, r#"{"error":"invalid_client"}"#.to_owned());
        }
        let (number, life) = (seen.asked.len(), seen.expires_in);
        let token =
            format!(r#"{{"access_token":"fetched-{number}","token_type":"Bearer","expires_in":{life}}}"#);
        return answer(StatusCode::OK, token);
    }
    let mut seen = seen.lock().unwrap();
    if let Some(document) = seen.documents.get(head.uri.path()).cloned() {
        seen.documents_asked.push(head.uri.path().to_owned());
        let mut response = Response::builder().status(document.status);
        for (name, value) in document.headers {
            response = response.header(name, value);
        }
        return Ok(response.body(Full::from(document.body)).unwrap());
    }
    if head.uri.path() == "/keys" {
        seen.keys_asked = seen.keys_asked.saturating_add(1);
        return match seen.keys.clone() {
            Some(keys) => {
                let mut response = answer(StatusCode::OK, keys)?;
                if let Some(seconds) = seen.keys_max_age {
                    let value = format!("max-age={seconds}").parse().unwrap();
                    response.headers_mut().insert("cache-control", value);
                }
                Ok(response)
            }
            None => answer(StatusCode::SERVICE_UNAVAILABLE, String::new()),
        };
    }
    if head.uri.path().starts_with("/logout") {
        let said = String::from_utf8(body.to_vec()).unwrap();
        seen.logouts.push((head.uri.path().to_owned(), said));
        let status = seen.logout_answers.pop_front().unwrap_or(StatusCode::OK);
        return answer(status, String::new());
    }
    if head.uri.path() == "/ping" {
        seen.pings.push((by, String::from_utf8(body.to_vec()).unwrap()));
        let to = Response::builder().status(seen.ping_answer).header("location", "/elsewhere");
        return Ok(to.body(Full::from("{}")).unwrap());
    }
    if head.uri.path().starts_with("/push/") {
        let path = head.uri.path().to_owned();
        seen.pushes.push(Pushed { path, headers: head.headers, body });
        return answer(seen.push_answer.unwrap_or(StatusCode::CREATED), String::new());
    }
    if head.uri.path() == "/elsewhere" {
        let to = Response::builder().status(StatusCode::FOUND).header("location", "/keys");
        return Ok(to.body(Full::default()).unwrap());
    }
    seen.called.push(by.clone());
    let status =
        if by == seen.disbelieved && !by.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    answer(seen.call_answer.unwrap_or(status), "{}".to_owned())
}
