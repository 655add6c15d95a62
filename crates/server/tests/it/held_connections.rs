//! Connections that are held without need: too many of one address, idle ones, and ones whose answer nobody reads.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::browser::App;
use crate::fakes::streaming::Streaming;
use crate::gateway::Gateway;
use crate::routes::{SCOPE, serve_routes};
use crate::wire::{Call, Connection, authority, fresh_address, tls};

/// How long a busy machine may take over what is due.
const PATIENCE: Duration = Duration::from_secs(30);

fn serve(name: &str, listen: &str, upstream: u16) -> Gateway {
    let route = format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\n\
         upstream = \"http://127.0.0.1:{upstream}/api\"\n[[route.allow]]\nmethods = [\"GET\"]\n\
         path = \"/orders/{{id}}\"\nscope = \"orders.read\"\n"
    );
    serve_routes(name, listen, &route, SCOPE)
}

async fn token(gateway: &Gateway) -> String {
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    app.tokens(gateway, &gateway.person("billing", &[])).await.access
}

#[tokio::test]
async fn an_address_holds_so_many_connections_and_no_more() {
    let upstream = Streaming::start().await;
    let gateway = serve("many-connections", "connections_per_address = 5", upstream.port);
    let one = Ipv4Addr::new(127, 9, 9, 1);
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(Connection::open_from(&gateway, one).await);
    }
    assert!(Connection::try_open(&gateway, one).await.is_err(), "a sixth");
    let elsewhere = Ipv4Addr::new(127, 9, 9, 2);
    let mut other = Connection::open_from(&gateway, elsewhere).await;
    assert_eq!(other.send(Call::get("/jwks")).await.status, 200, "others are served");
    for connection in &mut held {
        assert_eq!(connection.send(Call::get("/jwks")).await.status, 200);
    }
    drop(held.pop());
    let begun = Instant::now();
    while Connection::try_open(&gateway, one).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "a closed connection makes no room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_and_one_with_an_open_stream_is_not() {
    let upstream = Streaming::start().await;
    let gateway = serve("idle-connections", "idle_timeout = \"2s\"", upstream.port);
    let token = token(&gateway).await;
    let mut streaming = Connection::open_http2(&gateway).await;
    let mut stream = streaming.begin(Call::get("/orders/events").bearer(&token)).await.unwrap().into_body();

    let mut idle = Connection::open_http2(&gateway).await;
    assert_eq!(idle.send(Call::get("/jwks")).await.status, 200);
    let mut quiet = tls(&gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
    let head = format!("GET /jwks HTTP/1.1\r\nhost: {}\r\n\r\n", authority(&gateway));
    quiet.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut buffer = vec![0; 64 << 10];
    while !matches!(tokio::time::timeout(PATIENCE, quiet.read(&mut buffer)).await.unwrap(), Ok(0) | Err(_)) {}
    assert!(begun.elapsed() > Duration::from_millis(1500), "it had its time");
    while idle.is_open() {
        assert!(begun.elapsed() < PATIENCE, "an idle HTTP/2 connection is held");
        // Its pings are answered meanwhile: they are no requests.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // By now the stream has been open for longer than that.
    use http_body_util::BodyExt as _;
    for _ in 0..100 {
        stream.frame().await.unwrap().unwrap();
    }
    assert!(streaming.is_open());
}

#[tokio::test]
async fn a_connection_whose_answer_nobody_reads_is_closed() {
    let upstream = Streaming::start().await;
    let gateway = serve("stalled-connections", "stall_timeout = \"2s\"", upstream.port);
    let token = token(&gateway).await;
    // One on HTTP/1, where the socket is full, and one on HTTP/2, where the window is.
    let mut first = Connection::open(&gateway).await;
    let mut second = Connection::open_http2(&gateway).await;
    let _asleep = (
        first.begin(Call::get("/orders/endless").bearer(&token)).await.unwrap(),
        second.begin(Call::get("/orders/endless").bearer(&token)).await.unwrap(),
    );
    let begun = Instant::now();
    loop {
        let mut ends = gateway.audit(&["--action", "GET"]);
        ends.retain(|record| record["event"] == "access.end");
        if ends.len() == 2 {
            assert!(ends.iter().all(|end| end["decision"]["reason"] == "client-gone"), "{ends:?}");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{ends:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
