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
async fn an_answer_without_a_body_leaves_its_connection_to_the_next() {
    for answer in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
        let server = Server::start(answer, Then::Waits).await;
        let client = server.client();
        for _ in 0..5 {
            let request = Request::delete("/").body(Full::default()).unwrap();
            // As callers do that see that there is nothing to read.
            drop(client.call(request).await.unwrap());
        }
        assert_eq!(server.accepted(), 1, "{answer}");
    }
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
