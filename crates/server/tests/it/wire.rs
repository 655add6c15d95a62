//! Calling a gateway: over TLS with its own CA, by hyper for what is well formed and by bare bytes for what is not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chartgate_protocol::form::Form;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::gateway::Gateway;

/// A request to come.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A posted form.
    pub(crate) fn form(path: &str, fields: &[(&str, &str)]) -> Self {
        Self::new("POST", path).body("application/x-www-form-urlencoded", encode(fields))
    }

    /// A FHIR resource to be written.
    pub(crate) fn fhir(method: &str, path: &str, resource: &Value) -> Self {
        Self::new(method, path).body("application/fhir+json", resource.to_string())
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, name: &str, secret: &str) -> Self {
        self.header("authorization", &format!("Basic {}", STANDARD.encode(format!("{name}:{secret}"))))
    }

    /// Method and path.
    pub(crate) fn place(&self) -> (&str, &str) {
        (&self.method, &self.path)
    }

    /// Over a connection of its own.
    pub(crate) async fn to(self, gateway: &Gateway) -> Answer {
        Connection::open(gateway).await.send(self).await
    }
}

/// The body of a form.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let mut form = Form::default();
    for (name, value) in fields {
        form.push(name, value);
    }
    form.encode()
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text()))
    }

    /// `error` of an OAuth answer.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Everything that a caller could tell apart, the date aside.
    pub(crate) fn without_date(&self) -> (u16, Vec<(String, String)>, Bytes) {
        let headers = self.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (self.status, headers.collect(), self.body.clone())
    }
}

/// One open connection.
pub(crate) struct Connection {
    sender: Sender,
    authority: String,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// HTTP/1.1.
    pub(crate) async fn open(gateway: &Gateway) -> Self {
        Self::open_from(gateway, fresh_address()).await
    }

    /// To the listener that asks for certificates, with this one or with none.
    pub(crate) async fn open_mutual(gateway: &Gateway, port: u16, identity: Option<&Identity>) -> Self {
        let resolver =
            Arc::new(Shown { identity: identity.map(Identity::certified), asked: Mutex::default() });
        let to = Target { port, resolver };
        let stream = tls_to(gateway, fresh_address(), &[b"http/1.1"], to).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::Http1(sender), authority: format!("localhost:{port}") }
    }

    /// The same, from an address of the loopback network.
    pub(crate) async fn open_from(gateway: &Gateway, from: Ipv4Addr) -> Self {
        Self::try_open(gateway, from).await.unwrap()
    }

    pub(crate) async fn try_open(gateway: &Gateway, from: Ipv4Addr) -> Result<Self, std::io::Error> {
        let stream = tls(gateway, from, &[b"http/1.1"]).await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender: Sender::Http1(sender), authority: authority(gateway) })
    }

    /// HTTP/2.
    pub(crate) async fn open_http2(gateway: &Gateway) -> Self {
        let stream = tls(gateway, fresh_address(), &[b"h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender: Sender::Http2(sender), authority: authority(gateway) }
    }

    /// Whether the gateway has not closed it.
    pub(crate) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }

    pub(crate) async fn send(&mut self, call: Call) -> Answer {
        self.try_send(call).await.unwrap()
    }

    /// Sends a request and waits for all of its answer.
    pub(crate) async fn try_send(&mut self, call: Call) -> Result<Answer, hyper::Error> {
        let (head, body) = self.begin(call).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn begin(&mut self, call: Call) -> Result<Response<Incoming>, hyper::Error> {
        let mut request = Request::builder().method(call.method.as_str());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(&call.path).header("host", &self.authority);
                sender.ready().await?;
                sender.send_request(request.body(Full::from(call.body)).unwrap()).await
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{}", self.authority, call.path));
                sender.ready().await?;
                sender.send_request(request.body(Full::from(call.body)).unwrap()).await
            }
        }
    }
}

/// Sends bytes as they are, and gives everything that comes until the gateway closes or says nothing for a while.
pub(crate) async fn raw(gateway: &Gateway, bytes: impl AsRef<[u8]>) -> Raw {
    let mut stream = tls(gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
    // The gateway may close before it has taken everything.
    let _ = stream.write_all(bytes.as_ref()).await;
    let _ = stream.flush().await;
    read_all(&mut stream, Duration::from_secs(3)).await
}

/// What came back to bare bytes.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) text: String,
    pub(crate) closed: bool,
}

impl Raw {
    /// The status of every answer, in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let lines = self.text.split("HTTP/1.1 ").skip(1);
        lines.map(|rest| rest.get(..3).unwrap_or_default().parse().unwrap_or_default()).collect()
    }
}

pub(crate) async fn read_all(stream: &mut TlsStream<TcpStream>, patience: Duration) -> Raw {
    let mut received = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    let closed = loop {
        match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break true,
            Ok(Ok(count)) => received.extend_from_slice(&buffer[..count]),
            Err(_) => break false,
        }
    };
    Raw { text: String::from_utf8_lossy(&received).into_owned(), closed }
}

/// Who a client is towards a listener that asks for certificates.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// PKCS#8.
    pub(crate) key: Vec<u8>,
}

impl Identity {
    fn certified(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::new(self.chain.clone(), provider.key_provider.load_private_key(key).unwrap()))
    }
}

/// Shows a certificate where one is asked for, and notes whether one was.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    identity: Option<Arc<CertifiedKey>>,
    asked: Mutex<bool>,
}

impl Shown {
    pub(crate) fn was_asked(&self) -> bool {
        *self.asked.lock().unwrap()
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.asked.lock().unwrap() = true;
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A port, and what is shown there.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) resolver: Arc<Shown>,
}

/// A TLS connection, checked against the gateway's own CA.
pub(crate) async fn tls(
    gateway: &Gateway,
    from: Ipv4Addr,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    tls_to(gateway, from, protocols, Target { port: gateway.port, resolver: Arc::default() }).await
}

/// The same to another port, where a certificate may be asked for.
pub(crate) async fn tls_to(
    gateway: &Gateway,
    from: Ipv4Addr,
    protocols: &[&[u8]],
    to: Target,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(gateway.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(to.resolver);
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], to.port))).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

pub(crate) fn authority(gateway: &Gateway) -> String {
    format!("localhost:{}", gateway.port)
}

/// A loopback address in turn: failures of one test are not another's.
pub(crate) fn fresh_address() -> Ipv4Addr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    Ipv4Addr::new(127, 0, 1, LAST.fetch_add(1, Ordering::Relaxed).max(1))
}
