//! Clients that go away before their answer: what was begun ends with its record, and a revocation in force.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::{Gateway, Scratch};
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Call, Connection, authority, encode, fresh_address, tls};

/// How often each is tried: the answer must not win the race every time.
const TIMES: usize = 8;
/// How long a record or a cut-off may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a request, and closes the connection without waiting for a byte of the answer.
pub(crate) async fn hang_up(gateway: &Gateway, head: &str, body: &str) {
    let mut stream = tls(gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
    // Session tickets that nobody has read would turn the close into a reset, which may overtake the request.
    let _ = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0; 1])).await;
    let request =
        format!("{head}\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{body}", authority(gateway), body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// The `access` records that name each of these, once every one of them is there; fewer when patience ends.
async fn accesses(gateway: &Gateway, named: &[String], action: &str) -> Vec<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let records = gateway.audit(&["--action", action]);
        let of = |name: &String| {
            let names = |record: &&Value| record["event"] == "access" && record.to_string().contains(name);
            records.iter().filter(names).cloned().collect::<Vec<_>>()
        };
        let found: Vec<Vec<Value>> = named.iter().map(of).collect();
        if found.iter().all(|records| !records.is_empty()) || begun.elapsed() > PATIENCE {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_read_and_a_write_have_their_one_record_though_the_client_hung_up() {
    let gateway = &Gateway::demo("hang-ups", &[]);
    let me = gateway.panel("dana")[0];
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let bearer = format!("authorization: Bearer {token}");

    let missing: Vec<String> = (0..TIMES).map(|number| format!("hung-up-{number}")).collect();
    for id in &missing {
        hang_up(gateway, &format!("GET /fhir/Patient/{id} HTTP/1.1\r\n{bearer}"), "").await;
    }
    for (id, records) in missing.iter().zip(accesses(gateway, &missing, "read").await) {
        assert_eq!(records.len(), 1, "{id}: {records:?}");
    }

    let mut observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("Patient/{me}") } });
    let mut written = Vec::new();
    for _ in 0..TIMES {
        let made = Call::fhir("POST", "/fhir/Observation", &observation).bearer(&token).to(gateway).await;
        written.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    for id in &written {
        observation["id"] = id.as_str().into();
        let head =
            format!("PUT /fhir/Observation/{id} HTTP/1.1\r\ncontent-type: application/fhir+json\r\n{bearer}");
        hang_up(gateway, &head, &observation.to_string()).await;
    }
    for (id, records) in written.iter().zip(accesses(gateway, &written, "update").await) {
        assert_eq!(records.len(), 1, "{id}: {records:?}");
        assert_eq!(records[0]["outcome"], "allow", "{}", records[0]);
        let now = Call::get(&format!("/fhir/Observation/{id}")).bearer(&token).to(gateway).await;
        assert_eq!(now.header("etag"), "W/\"2\"", "the record says what happened");
    }
}

#[tokio::test]
async fn a_revocation_is_in_force_though_the_client_hung_up() {
    let gateway = &Gateway::demo("revoke-hang-ups", &[]);
    let patient = gateway.patients()[0];
    let read = |token: &str| Call::get(&format!("/fhir/Patient/{patient}")).bearer(token).to(gateway);
    let app = App::public(USER_SCOPE);
    let dana = gateway.demo_person("dana");
    for number in 0..TIMES {
        let token = app.tokens(gateway, &dana).await.access;
        assert_eq!(read(&token).await.status, 200);
        let body = encode(&[("token", &token), ("client_id", app.client)]);
        let head = "POST /revoke HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
        hang_up(gateway, head, &body).await;
        let begun = Instant::now();
        while read(&token).await.status != 401 {
            assert!(begun.elapsed() < PATIENCE, "revocation {number} came to nothing");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // The cut-off is in force before its record is durable.
    let begun = Instant::now();
    let revoked = || gateway.audit(&[]).iter().filter(|record| record["event"] == "token.revoke").count();
    while revoked() < TIMES {
        assert!(begun.elapsed() < PATIENCE, "{} of {TIMES} recorded", revoked());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn streams_that_are_reset_hold_their_turn_until_what_they_began_has_ended() {
    // It takes connections, and answers nobody.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let kept = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            kept.push(stream);
        }
    });
    let route = format!(
        r#"[[route]]
name = "orders"
kind = "http"
path = "/orders"
upstream = "http://127.0.0.1:{port}"
[[route.allow]]
methods = ["GET"]
path = "/orders/{{id}}"
"#
    );
    let gateway = &serve_in(Scratch::new("reset-streams"), "", &route, SCOPE);
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let token = app.tokens(gateway, &gateway.person("physician", &[])).await.access;
    let call = Call::get("/orders/1").bearer(&token);
    let mut connection = Connection::open_http2(gateway).await;
    let mut refused = None;
    for number in 0..400 {
        // Sent, and reset before there is an answer, unless that is there at once.
        let begun = tokio::time::timeout(Duration::from_millis(20), connection.begin(call.clone()));
        if let Ok(answer) = begun.await {
            assert_eq!(answer.unwrap().status(), 503);
            refused = Some(number);
            break;
        }
    }
    assert!(refused.is_some_and(|number| number >= 128), "{refused:?}");
    assert_eq!(connection.send(Call::get("/jwks")).await.status, 503, "the connection has had its turns");
    let mut another = Connection::open_http2(gateway).await;
    assert_eq!(another.send(Call::get("/jwks")).await.status, 200, "and no other one");
    kept.abort();
}
