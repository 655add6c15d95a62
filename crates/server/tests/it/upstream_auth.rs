//! The gateway's own credential towards an upstream, where it is fetched or shown in the handshake.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use crate::browser::App;
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Scratch, chartgate};
use crate::parallel::at_once;
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Answer, Call};

const SECRET: &str = "hush: 100% quiet/otter";
const FETCHED: &str = r#"{ client_credentials = { token_url = "https://localhost:PORT/token", client_id = "gate way",
    client_secret = { file = "hush" }, scope = "orders/*.read system" } }"#;

fn route(port: u16, auth: &str) -> String {
    // An inline table stands on one line.
    let auth = auth.replace("PORT", &port.to_string()).replace('\n', " ");
    format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"https://localhost:{port}/api\"\n\
         upstream_ca = \"ca.pem\"\nupstream_auth = {auth}\n[[route.allow]]\nmethods = [\"GET\"]\n\
         path = \"/orders/{{id}}\"\nscope = \"orders.read\"\n"
    )
}

/// A gateway before a server that knows its callers, and a token for it.
async fn serve(name: &str, wanted: Certificates, auth: &str) -> (Gateway, Secured, String) {
    let scratch = Scratch::new(name);
    certificates(scratch.path());
    scratch.write("hush", format!("{SECRET}\n"));
    let upstream = Secured::start(scratch.path(), wanted).await;
    let gateway = serve_in(scratch, "", &route(upstream.port, auth), SCOPE);
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let token = app.tokens(&gateway, &gateway.person("billing", &[])).await.access;
    (gateway, upstream, token)
}

fn asked(token: &str) -> Call {
    Call::get("/orders/17").bearer(token)
}

async fn ask(gateway: &Gateway, token: &str) -> Answer {
    asked(token).to(gateway).await
}

#[tokio::test]
async fn a_token_is_fetched_once_for_all_who_need_it_and_used_until_shortly_before_it_expires() {
    let (gateway, upstream, token) = serve("fetched", Certificates::NotWanted, FETCHED).await;
    for answer in at_once(&gateway, 20, |_| asked(&token)).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    {
        let mut seen = upstream.seen.lock().unwrap();
        let [(authorization, form)] = &seen.asked[..] else { panic!("{} fetches", seen.asked.len()) };
        let basic = STANDARD.decode(authorization.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(basic).unwrap(), "gate%20way:hush%3A%20100%25%20quiet%2Fotter");
        assert_eq!(form, "grant_type=client_credentials&scope=orders%2F%2A.read%20system");
        assert_eq!(seen.called, vec!["Bearer fetched-1"; 20]);
        seen.called.clear();
        seen.expires_in = 2;
        // The upstream believes this one no more: the next request has another.
        seen.disbelieved = "Bearer fetched-1".to_owned();
    }
    // Not so young any more that another would fare no better.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(&gateway, &token).await.status, 502, "it is about our token, not the caller's");
    assert_eq!(ask(&gateway, &token).await.status, 200);
    assert_eq!(ask(&gateway, &token).await.status, 200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(ask(&gateway, &token).await.status, 200);
    let called = upstream.seen.lock().unwrap().called.clone();
    assert_eq!(called[..2], ["Bearer fetched-1", "Bearer fetched-2"]);
    assert_eq!(
        called.last().unwrap(),
        &format!("Bearer fetched-{}", upstream.seen.lock().unwrap().asked.len())
    );
    assert!(upstream.seen.lock().unwrap().asked.len() >= 3, "one that was over was used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_it_is_a_502_with_its_record_and_neither_secret_nor_token_is_ever_said() {
    let (mut gateway, upstream, token) = serve("not-fetched", Certificates::NotWanted, FETCHED).await;
    upstream.seen.lock().unwrap().token_fault = Some(StatusCode::UNAUTHORIZED);
    for answer in at_once(&gateway, 10, |_| asked(&token)).await {
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
    let asked = upstream.seen.lock().unwrap().asked.len();
    assert!(asked <= 2, "each of them asked the token endpoint: {asked}");
    assert!(upstream.seen.lock().unwrap().called.is_empty(), "nobody called without a credential");
    let accesses: Vec<_> = gateway
        .audit(&["--action", "GET"])
        .into_iter()
        .filter(|record| record["event"] == "access")
        .collect();
    assert_eq!(accesses.len(), 10);
    for access in accesses {
        assert_eq!(access["outcome"], "error");
        assert_eq!(access["decision"]["reason"], "no-upstream-credential");
    }
    upstream.seen.lock().unwrap().token_fault = None;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(&gateway, &token).await.status, 200, "it recovers by itself");

    let records = gateway.audit(&[]).iter().map(ToString::to_string).collect::<String>();
    let said = format!("{}{records}", tokio::task::block_in_place(|| gateway.terminate()));
    assert!(said.contains("a token for an upstream cannot be had"), "{said}");
    for secret in [SECRET, "quiet", "fetched-", "Bearer"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test]
async fn g02_what_an_upstream_says_of_our_credential_is_not_said_of_the_callers() {
    let own = r#"{ client_certificate = { certificate = "caller.pem", private_key = "caller.key" } }"#;
    let bearer = r#"{ bearer = { file = "hush" } }"#;
    let (refused, wrong) = ("upstream-credential-refused", "upstream-wrong");
    for (name, auth, status, shown, reason) in [
        ("certificate-401", own, 401, 502, Some(refused)),
        ("certificate-407", own, 407, 502, Some(refused)),
        ("bearer-401", bearer, 401, 502, Some(refused)),
        ("bearer-403", bearer, 403, 403, None),
        ("none-401", "{}", 401, 401, None),
        ("none-407", "{}", 407, 502, Some(wrong)),
    ] {
        let (gateway, upstream, token) = serve(name, Certificates::NotWanted, auth).await;
        upstream.seen.lock().unwrap().call_answer = Some(StatusCode::from_u16(status).unwrap());
        let answer = ask(&gateway, &token).await;
        assert_eq!(answer.status, shown, "{name}: {}", answer.text());
        let record = gateway.audit(&["--event", "access"]).pop().unwrap();
        assert_eq!(record["decision"]["reason"].as_str(), reason, "{name}");
        assert_eq!(record["outcome"], if reason.is_some() { "error" } else { "allow" }, "{name}");
    }
}

#[tokio::test]
async fn a_certificate_is_shown_to_an_upstream_that_wants_one() {
    let own = r#"{ client_certificate = { certificate = "caller.pem", private_key = "caller.key" } }"#;
    let (gateway, upstream, token) = serve("certificate", Certificates::Wanted, own).await;
    let answer = ask(&gateway, &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.seen.lock().unwrap().called, [""], "and no other credential");
    drop(gateway);
    let (gateway, upstream, token) = serve("no-certificate", Certificates::Wanted, "{}").await;
    assert_eq!(ask(&gateway, &token).await.status, 502);
    assert!(upstream.seen.lock().unwrap().called.is_empty());
}

#[test]
fn what_a_credential_lacks_is_said_with_line_and_key() {
    let scratch = Scratch::new("credentials");
    let tls = "issuer = \"https://gate.example.org\"\n[tls]\ncertificate = \"x\"\nprivate_key = \"x\"\n";
    scratch.write("x", "");
    scratch.write("two-lines", "otter\notter\n");
    scratch.write("control", "otter-\u{7f}");
    let check = |auth: &str| {
        let file = scratch.write("chartgate.toml", format!("{tls}{}", route(1, auth)));
        chartgate(&["config", "check", "--config", file.to_str().unwrap()]).err
    };
    for (auth, problem) in [
        (r#"{ client_credentials = { client_id = "a", client_secret = "b" } }"#, "token_url`: is missing"),
        (
            r#"{ client_credentials = { token_url = "http://idp/token", client_id = "a", client_secret = "b" } }"#,
            "token_url`: is plain http",
        ),
        (
            r#"{ client_credentials = { token_url = "https://a/token", client_id = "a" } }"#,
            "client_secret`: is missing",
        ),
        (
            r#"{ client_certificate = { certificate = "none.pem", private_key = "x" } }"#,
            "certificate`: no file",
        ),
        (r#"{ bearer = "a", basic = { username = "a", password = "b" } }"#, "more than one kind"),
        (r#"{ basic = { username = "a" } }"#, "password`: is missing"),
        (r#"{ bearer = { file = "two-lines" } }"#, "bearer`: is empty, or has a character that cannot stand"),
        (r#"{ bearer = { file = "control" } }"#, "bearer`: is empty, or has a character that cannot stand"),
        (r#"{ bearer = { file = "x" } }"#, "bearer`: is empty, or has a character that cannot stand"),
    ] {
        let said = check(auth);
        assert!(said.contains(problem) && said.contains("line 11: "), "{auth}: {said}");
        assert!(!said.contains("ott") && said.contains("chartgate.toml"), "{auth}: {said}");
    }
}

#[tokio::test]
async fn a_reload_with_a_secret_that_cannot_be_sent_calls_nobody_without_one() {
    let bearer = r#"{ bearer = { file = "hush" } }"#;
    let (gateway, upstream, token) = serve("unsendable", Certificates::NotWanted, bearer).await;
    std::fs::write(gateway.folder().join("hush"), "otter\nand otter\n").unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while !gateway.output().contains("is not used") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Commands read the file too.
    std::fs::write(gateway.folder().join("hush"), format!("{SECRET}\n")).unwrap();
    let rejected = until_recorded(&gateway, "config.rejected", 1).await;
    assert!(rejected[0].to_string().contains("upstream_auth.bearer"), "{rejected:?}");
    assert!(!rejected[0].to_string().contains("otter"), "{rejected:?}");
    assert_eq!(ask(&gateway, &token).await.status, 200);
    assert_eq!(upstream.seen.lock().unwrap().called, [format!("Bearer {SECRET}")], "the one before");
}
