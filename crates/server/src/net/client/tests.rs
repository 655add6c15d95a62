use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// What a server does once it has answered.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Then {
    Waits,
    Closes,
}

/// A server that gives everybody the same answer, and remembers what it was asked.
struct Server {
    base: Uri,
    accepted: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: &'static str, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap()).parse().unwrap();
        let server = Self { base, accepted: Arc::default(), heads: Arc::default() };
        let (accepted, heads) = (Arc::clone(&server.accepted), Arc::clone(&server.heads));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let heads = Arc::clone(&heads);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        heads.lock().unwrap().push(String::from_utf8(buffer[..read].to_vec()).unwrap());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        if then == Then::Closes {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    fn client(&self) -> HttpClient {
        let tls = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        HttpClient::with(&self.base, tls).unwrap()
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn read(client: &HttpClient) -> Result<Bytes, CallError> {
    let response = client.call(Request::get("/fhir/Patient/a").body(Full::default()).unwrap()).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    for answer in [ANSWER, CHUNKED] {
        let server = Server::start(answer, Then::Waits).await;
        let client = server.client();
        for _ in 0..20 {
            assert_eq!(read(&client).await.unwrap(), "{}");
        }
        assert_eq!(server.accepted(), 1);
        let host = server.base.authority().unwrap().clone();
        for head in server.heads.lock().unwrap().iter() {
            assert!(head.starts_with("GET /fhir/Patient/a HTTP/1.1\r\n"), "{head}");
            assert!(head.contains(&format!("host: {host}\r\n")), "{head}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_is_not_used() {
    let server = Server::start(ANSWER, Then::Closes).await;
    let client = server.client();
    for asked in 1..=5 {
        assert_eq!(read(&client).await.unwrap(), "{}");
        // Until the end of the connection has arrived.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.accepted(), asked);
    }
}

#[tokio::test]
async fn requests_at_the_same_time_have_a_connection_each_and_leave_it_to_others() {
    let server = Server::start(ANSWER, Then::Waits).await;
    let client = server.client();
    for _ in 0..3 {
        let all: Vec<_> =
            (0..8).map(|_| (client.clone(), Request::get("/").body(Full::default()).unwrap())).collect();
        let mut answers = Vec::new();
        for (client, request) in all {
            answers.push(client.call(request).await.unwrap());
        }
        for answer in answers {
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
        }
    }
    assert_eq!(server.accepted(), 8);
}

#[tokio::test]
async fn where_the_server_speaks_http2_all_requests_share_a_connection() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = tls::provider();
    let versions = rustls::DEFAULT_VERSIONS;
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Uri = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let (count, authority) = (Arc::clone(&accepted), base.authority().unwrap().to_string());
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        loop {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let authority = authority.clone();
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                assert_eq!(request.uri().authority().unwrap().as_str(), authority);
                async { Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("{}")))) }
            });
            let stream = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(executor).serve_connection(stream, service),
            );
        }
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = HttpClient::with(&base, tls).unwrap();
    assert_eq!(read(&client).await.unwrap(), "{}");
    let all: Vec<_> = (0..8)
        .map(|_| client.clone())
        .map(|client| tokio::spawn(async move { read(&client).await }))
        .collect();
    for answer in all {
        assert_eq!(answer.await.unwrap().unwrap(), "{}");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_closes_its_connection() {
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", Then::Waits).await;
    let client = server.client();
    let response = client.call(Request::get("/").body(Full::default()).unwrap()).await.unwrap();
    drop(response);
    let _ = client.call(Request::get("/").body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn what_is_no_http_and_what_breaks_off_is_no_answer() {
    for answer in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"] {
        let server = Server::start(answer, Then::Closes).await;
        assert!(matches!(read(&server.client()).await, Err(CallError::Broken(_))), "{answer:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Uri = format!("http://{}", nobody.local_addr().unwrap()).parse().unwrap();
    drop(nobody);
    let server = Server { base, accepted: Arc::default(), heads: Arc::default() };
    assert!(matches!(read(&server.client()).await, Err(CallError::Unreachable(_))));
}
