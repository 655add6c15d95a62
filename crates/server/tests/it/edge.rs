//! Bare bytes at the edge: rows G01, G05, G06, G08, G11, G15 of the corpus, and the limits on heads and bodies.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Call, Connection, Raw, authority, fresh_address, raw, tls};

async fn danas_token(gateway: &Gateway) -> String {
    App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access
}

/// A request with this line and these further header lines, and nothing after it.
async fn head(gateway: &Gateway, line: &str, more: &[&str]) -> Raw {
    let mut bytes = format!("{line}\r\nhost: {}\r\n", authority(gateway));
    for header in more {
        bytes.push_str(header);
        bytes.push_str("\r\n");
    }
    bytes.push_str("\r\n");
    raw(gateway, bytes).await
}

#[tokio::test]
async fn g05_two_authorizations_or_a_joined_one_are_a_bad_request() {
    let gateway = shared::demo();
    let token = danas_token(gateway).await;
    let line = format!("GET /fhir/Patient/{} HTTP/1.1", gateway.panel("dana")[0]);
    let good = format!("authorization: Bearer {token}");
    assert_eq!(head(gateway, &line, &[&good, "connection: close"]).await.statuses(), [200]);
    let twice = head(gateway, &line, &[&good, &good]).await;
    assert_eq!((twice.statuses(), twice.closed), (vec![400], true));
    let mixed = head(gateway, &line, &[&good, "authorization: Basic eDp5"]).await;
    assert_eq!((mixed.statuses(), mixed.closed), (vec![400], true));
    let joined = head(gateway, &line, &[&format!("authorization: Bearer {token}, Bearer {token}")]).await;
    assert_eq!(joined.statuses(), [400], "{}", joined.text);
    for (value, status) in [
        ("authorization: Basic eDp5", 401),
        ("authorization:", 401),
        ("authorization: Bearer", 400),
        (&format!("authorization: Bearer  {token}"), 400),
        (&format!("authorization: bearer {token}"), 200),
        (&format!("authorization: Bearer {token}."), 401),
        (&format!("authorization: DPoP {token}"), 401),
    ] {
        let answer = head(gateway, &line, &[value, "connection: close"]).await;
        assert_eq!(answer.statuses(), [status], "{value}: {}", answer.text);
    }
}

#[tokio::test]
async fn g06_a_request_that_two_servers_could_frame_differently_is_refused_and_its_connection_closed() {
    let gateway = shared::demo();
    let token = danas_token(gateway).await;
    let host = format!("host: {}", authority(gateway));
    let good = format!("authorization: Bearer {token}");
    // What a smuggler hopes to have taken for a second request.
    let hidden = format!("GET /fhir/Patient HTTP/1.1\r\n{host}\r\n{good}\r\n\r\n");
    for (name, head) in [
        ("CL and TE", "content-length: 4\r\ntransfer-encoding: chunked"),
        ("TE and CL", "transfer-encoding: chunked\r\ncontent-length: 4"),
        ("two lengths", "content-length: 4\r\ncontent-length: 5"),
        ("joined lengths", "content-length: 4, 5"),
        ("signed length", "content-length: +4"),
        ("hexadecimal length", "content-length: 0x4"),
        ("length beyond u64", "content-length: 99999999999999999999999"),
        ("chunked twice", "transfer-encoding: chunked, chunked"),
        ("chunked not last", "transfer-encoding: chunked, identity"),
        ("other coding", "transfer-encoding: xchunked"),
        ("space before colon", "transfer-encoding : chunked"),
        ("folded line", "x: a\r\n b: c"),
        ("bare CR", "x: a\rb"),
        ("NUL", "x: a\0b"),
        ("no name", ": value"),
        ("no colon", "nonsense"),
    ] {
        let bytes = format!(
            "POST /fhir/Observation/_search HTTP/1.1\r\n{host}\r\n{good}\r\n{head}\r\n\r\n0\r\n\r\n{hidden}"
        );
        let answer = raw(gateway, bytes).await;
        let statuses = answer.statuses();
        assert!(statuses.len() <= 1, "{name}: a second answer on the connection: {statuses:?}");
        assert!(
            statuses.iter().all(|status| (400..500).contains(status) || *status == 501),
            "{name}: {statuses:?}"
        );
        assert!(answer.closed, "{name}");
    }
    let old = format!(
        "POST /fhir/Observation/_search HTTP/1.0\r\n{host}\r\n{good}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let answer = raw(gateway, old).await;
    assert!(answer.statuses().len() <= 1 && answer.closed, "HTTP/1.0 with chunks: {}", answer.text);
    let upgrade = format!(
        "GET /fhir/Patient/x HTTP/1.1\r\n{host}\r\n{good}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n{hidden}"
    );
    let answer = raw(gateway, upgrade).await;
    assert!(!answer.statuses().contains(&101), "{}", answer.text);
}

#[tokio::test]
async fn g05_a_repeated_host_is_refused_and_the_connection_closed() {
    let gateway = shared::demo();
    for more in [&["host: evil.example"][..], &["Host: localhost"]] {
        let answer = head(gateway, "GET /login HTTP/1.1", more).await;
        assert_eq!((answer.statuses(), answer.closed), (vec![400], true), "{}", answer.text);
    }
    // a06: what the Host says is nowhere in what we say of ourselves.
    let bytes =
        "GET /.well-known/openid-configuration HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let answer = raw(gateway, bytes).await;
    assert!(!answer.text.contains("evil.example"), "{}", answer.text);
    let bytes = "GET /fhir/Patient/x HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: evil.example\r\nconnection: close\r\n\r\n";
    let answer = raw(gateway, bytes).await;
    assert!(!answer.text.contains("evil.example"), "{}", answer.text);
}

#[tokio::test]
async fn g11_only_a_plain_path_is_a_target() {
    let gateway = shared::demo();
    let token = danas_token(gateway).await;
    let good = format!("authorization: Bearer {token}");
    let own = gateway.panel("dana")[0];
    let host = authority(gateway);
    for line in [
        format!("GET https://{host}/fhir/Patient/{own} HTTP/1.1"),
        format!("GET http://evil.example/fhir/Patient/{own} HTTP/1.1"),
        "OPTIONS * HTTP/1.1".to_owned(),
        format!("CONNECT {host} HTTP/1.1"),
        format!("GET fhir/Patient/{own} HTTP/1.1"),
        format!("GET /fhir/Patient/{own} HTTP/2.0"),
        format!("GET /fhir/Patient/{own} HTTP/9.9"),
        format!("GET  /fhir/Patient/{own} HTTP/1.1"),
        format!("GET /fhir/Patient/{own}"),
        format!("get@ /fhir/Patient/{own} HTTP/1.1"),
    ] {
        let answer = head(gateway, &line, &[&good]).await;
        assert!(answer.statuses().iter().all(|status| *status == 400), "{line}: {}", answer.text);
        assert!(answer.closed, "{line}");
    }
}

#[tokio::test]
async fn g08_no_header_takes_the_place_of_a_token_and_what_cannot_be_read_is_none() {
    let gateway = shared::demo();
    let line = format!("GET /fhir/Patient/{} HTTP/1.1", gateway.panel("dana")[0]);
    for header in [
        "user-agent: kube-probe/1.31",
        "user-agent: GoogleHC/1.0",
        "user-agent: ELB-HealthChecker/2.0",
        "x-original-url: /healthz",
        "x-rewrite-url: /healthz",
        "x-forwarded-uri: /healthz",
        "x-http-method-override: OPTIONS",
        "x-auth-request-user: dana",
        "cookie: __Host-session=%00%ff; =; ;;",
        "cookie: __Host-session",
        "authorization: Bearer a.b.c",
        "authorization: Basic ZGFuYTp4",
        "authorization: Negotiate YII",
    ] {
        let answer = head(gateway, &line, &[header, "connection: close"]).await;
        assert_eq!(answer.statuses(), [401], "{header}: {}", answer.text);
    }
    // RFC 6750 section 3.1: a request that is malformed, which opens as little.
    let empty = head(gateway, &line, &["authorization: Bearer", "connection: close"]).await;
    assert_eq!(empty.statuses(), [400], "{}", empty.text);
    // Nor is anybody a person on a page by a session that cannot be read.
    let account =
        head(gateway, "GET /account HTTP/1.1", &["cookie: __Host-session=%00", "connection: close"]).await;
    assert!(!account.statuses().is_empty() && !account.text.contains("Signed in as"), "{}", account.text);
}

/// What is sent before the handshake is over could be sent again by whoever saw it.
#[tokio::test]
async fn g15_nothing_is_taken_before_the_handshake_is_over() {
    let gateway = shared::demo();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(gateway.ca_file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let mut connection =
            rustls::ClientConnection::new(Arc::clone(&config), "localhost".try_into().unwrap()).unwrap();
        assert!(connection.early_data().is_none(), "a ticket allows early data");
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
        let request = format!(
            "GET /.well-known/openid-configuration HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            authority(gateway)
        );
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        resumed.push(connection.handshake_kind());
    }
    assert_eq!(resumed[1], Some(rustls::HandshakeKind::Resumed), "so that there was a ticket to ask");
}

#[tokio::test]
async fn g01_a_fhir_path_with_two_readings_is_a_bad_request_whatever_it_would_lead_to() {
    let gateway = shared::demo();
    let token = danas_token(gateway).await;
    let good = format!("authorization: Bearer {token}");
    let (own, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    for path in [
        format!("/fhir/Patient/{own}/../{other}"),
        format!("/fhir/Patient/{own}/%2e%2e/{other}"),
        format!("/fhir//Patient/{other}"),
        format!("/fhir/Patient//{other}"),
        format!("/fhir/Patient/{other};x=1"),
        format!("/fhir/Patient%2f{other}"),
        format!("/fhir/./Patient/{other}"),
        format!("/fhir/Patient/{other}\\"),
        format!("/fhir/%50atient/{other}"),
        format!("/fhir/Patient/{other}%20"),
        "/fhir/Patient/%00".to_owned(),
    ] {
        let answer = head(gateway, &format!("GET {path} HTTP/1.1"), &[&good, "connection: close"]).await;
        assert_eq!(answer.statuses(), [400], "{path}: {}", answer.text);
        assert!(!answer.text.contains("birthDate"), "{path}");
    }
    for path in [
        format!("//fhir/Patient/{own}"),
        format!("/x/../fhir/Patient/{own}"),
        format!("/fhir%2fPatient/{own}"),
        format!("/FHIR/Patient/{own}"),
    ] {
        let answer = head(gateway, &format!("GET {path} HTTP/1.1"), &[&good, "connection: close"]).await;
        assert!(matches!(answer.statuses()[..], [400 | 404]), "{path}: {}", answer.text);
        assert!(!answer.text.contains("birthDate"), "{path}");
    }
    let slash = Call::get(&format!("/fhir/Patient/{own}/")).bearer(&token).to(gateway).await;
    assert_ne!(slash.status, 500);
}

#[tokio::test]
async fn the_same_holds_over_http_2() {
    let gateway = shared::demo();
    let token = danas_token(gateway).await;
    let (own, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let mut connection = Connection::open_http2(gateway).await;
    let read = |path: &str| Call::get(path).bearer(&token);
    let path = format!("/fhir/Patient/{own}");
    for (name, status, call) in [
        ("good", 200, read(&path)),
        ("two authorizations", 400, read(&path).bearer(&token)),
        ("a host besides", 400, read(&path).header("host", "evil.example").header("host", "localhost")),
        ("dot segments", 400, read(&format!("/fhir/Patient/{own}/../{other}"))),
        ("escapes", 400, read(&format!("/fhir/Patient/%2e%2e/{other}"))),
        ("parameters", 400, read(&format!("/fhir/Patient/{other};x"))),
        ("somebody else's", 404, read(&format!("/fhir/Patient/{other}"))),
        ("nobody", 401, Call::get(&path)),
        ("good still", 200, read(&path)),
    ] {
        let answer = connection.send(call).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    let long = connection.try_send(read(&path).header("x-long", &"a".repeat(70 << 10))).await;
    assert!(long.is_err() || long.is_ok_and(|answer| answer.status == 431), "a head beyond 64 KiB");
}

#[tokio::test]
async fn a_head_beyond_64_kib_is_a_431() {
    let gateway = shared::demo();
    let long = format!("x-long: {}", "a".repeat(70 << 10));
    let answer = head(gateway, "GET /login HTTP/1.1", &[&long]).await;
    assert_eq!(answer.statuses(), [431], "{}", answer.text);
    let many: Vec<String> = (0..500).map(|number| format!("x-{number}: a")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answer = head(gateway, "GET /login HTTP/1.1", &many).await;
    assert_eq!(answer.statuses(), [431], "{}", answer.text);
    let below = format!("x-long: {}", "a".repeat(30 << 10));
    let answer = head(gateway, "GET /login HTTP/1.1", &[&below, "connection: close"]).await;
    assert_eq!(answer.statuses(), [200]);
}

#[tokio::test]
async fn a_body_beyond_8_mib_is_a_413_before_it_is_sent() {
    let gateway = shared::demo();
    let token = danas_token(gateway).await;
    let good = format!("authorization: Bearer {token}");
    let length = format!("content-length: {}", (8 << 20) + 1);
    let json = "content-type: application/fhir+json";
    let answer = head(gateway, "POST /fhir/Observation HTTP/1.1", &[&good, json, &length]).await;
    assert_eq!(answer.statuses(), [413], "{}", answer.text);
}

#[tokio::test]
async fn a_form_beyond_what_any_endpoint_takes_is_a_413_before_it_is_sent() {
    let gateway = shared::demo();
    for (length, status) in [(64 << 10, 100), ((64 << 10) + 1, 413)] {
        let length = format!("content-length: {length}");
        let form = "content-type: application/x-www-form-urlencoded";
        let answer = head(gateway, "POST /token HTTP/1.1", &["expect: 100-continue", form, &length]).await;
        assert_eq!(answer.statuses().first(), Some(&status), "{}", answer.text);
    }
}

#[tokio::test]
async fn who_sends_a_form_that_is_too_long_is_told_so_and_not_cut_off() {
    let gateway = shared::demo();
    for (path, begun, length) in
        [("/login", 18_000, 20_000), ("/login", 270_000, 900_000), ("/token", 270_000, 900_000)]
    {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n",
            authority(gateway)
        );
        let mut stream = tls(gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
        stream.write_all((head + &"x".repeat(begun)).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // So much is too long already, and the gateway has the time to see it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        for piece in "x".repeat(length - begun).as_bytes().chunks(16_000) {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        assert!(text.starts_with("HTTP/1.1 413"), "{path} {length}: {text}");
    }
}

#[tokio::test]
async fn a_head_that_comes_slowly_and_a_connection_that_says_nothing_are_closed() {
    let gateway = shared::demo();
    let slow = async {
        let mut stream = tls(gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
        let begun = Instant::now();
        stream.write_all(b"GET /login HTTP/1.1\r\n").await.unwrap();
        loop {
            // A header line each second keeps any time limit on silence alone from closing it.
            let mut byte = [0];
            match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut byte)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => {}
                Err(_) => drop(stream.write_all(b"x: y\r\n").await),
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "a slow head is waited for");
        }
    };
    let silent = async {
        let mut stream = tls(gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
        let answer = crate::wire::read_all(&mut stream, Duration::from_secs(60)).await;
        assert!(answer.closed && answer.statuses().is_empty(), "{answer:?}");
    };
    let no_handshake = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        assert!(tokio::time::timeout(Duration::from_secs(60), read).await.is_ok(), "waited for a handshake");
    };
    tokio::join!(slow, silent, no_handshake);
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_not_answered() {
    let gateway = shared::demo();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    stream.write_all(b"GET /login HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut bytes)).await;
    assert!(!String::from_utf8_lossy(&bytes).contains("HTTP/1.1"), "{bytes:?}");
}
