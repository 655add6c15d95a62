//! Back-channel logout: whoever got an ID token in a session is told when it ends, by whatever. Rows O21 and O33.

use std::time::{Duration, Instant};

use chartgate_protocol::form::Form;
use chartgate_protocol::jose::{Algorithm, KeySet, jws};
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{App, Browser, part};
use crate::client_keys::OUT;
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Scratch};
use crate::routes::serve_in;
use crate::wire::{Call, encode};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const PATIENCE: Duration = Duration::from_secs(30);

async fn serve(name: &str, egress: &str) -> (Gateway, Secured) {
    let scratch = Scratch::new(name);
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    (serve_in(scratch, "", egress, "openid"), server)
}

fn register(gateway: &Gateway, server: &Secured, id: &str, path: &str, more: &[&str]) {
    let uri = format!("https://localhost:{}{path}", server.port);
    let words = ["client", "add", id, "--kind", "public", "--redirect-uri", "http://127.0.0.1/callback"];
    let words = [&words[..], &["--scope", "openid", "--backchannel-logout-uri", &uri], more].concat();
    let shown: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    assert_eq!(shown["backchannel_logout_uri"], uri.as_str());
}

fn app(client: &str) -> App<'_> {
    App { client, secret: None, scope: "openid", patient: None, route: "" }
}

/// What was said, once so much was: each path and the claims of its token, verified by the published keys.
async fn told(gateway: &Gateway, server: &Secured, count: usize) -> Vec<(String, Value)> {
    let begun = Instant::now();
    while server.seen.lock().unwrap().logouts.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{:?}", server.seen.lock().unwrap().logouts);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = server.seen.lock().unwrap().logouts.clone();
    assert_eq!(said.len(), count, "{said:?}");
    let jwks = Call::get("/jwks").to(gateway).await;
    let keys = KeySet::parse(jwks.text().as_bytes()).unwrap();
    let mut told: Vec<_> = said.into_iter().map(|(path, body)| (path, claims(&body, &keys))).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told
}

fn claims(body: &str, keys: &KeySet) -> Value {
    let form = Form::parse(body).unwrap();
    assert_eq!(form.iter().count(), 1, "nothing else is said");
    let token = form.get("logout_token").unwrap();
    let token = jws::Unverified::parse(token, &Algorithm::ALL, 1 << 14).unwrap();
    let verified = token.verify_with(keys, jws::ExpectedType::Exactly("logout+jwt")).unwrap();
    let mut claims: Value = serde_json::from_slice(verified.payload()).unwrap();
    claims["alg"] = json!(verified.header().algorithm);
    claims
}

#[tokio::test]
async fn o33_every_way_in_which_a_session_ends_is_told_once_to_each_client_that_it_had() {
    let (gateway, server) = serve("logout", OUT).await;
    register(&gateway, &server, "portal", "/logout/portal", &[]);
    let modern =
        ["--id-token-signed-response-alg", "ES256", "--post-logout-redirect-uri", "https://app.example/"];
    register(&gateway, &server, "modern", "/logout/modern", &modern);
    register(&gateway, &server, "other", "/logout/other", &[]);
    for what in ["sign-out", "end_session", "session end", "user disable"] {
        server.seen.lock().unwrap().logouts.clear();
        let (person, bystander) = (gateway.person("physician", &[]), gateway.person("physician", &[]));
        app("other").tokens(&gateway, &bystander).await;
        let mut browser = Browser::default();
        let first = app("portal").tokens_in(&gateway, &mut browser, &person).await;
        app("till").tokens_in(&gateway, &mut browser, &person).await;
        // Twice: it is told once.
        app("modern").tokens_in(&gateway, &mut browser, &person).await;
        let last = app("modern").tokens_in(&gateway, &mut browser, &person).await;
        let session = first.session();
        assert_eq!(session, last.session());
        match what {
            "sign-out" => {
                let page = browser.get(&gateway, "/account").await;
                browser.submit(&gateway, &page, &[]).await;
            }
            "end_session" => {
                let hint = last.answer["id_token"].as_str().unwrap();
                let query = [("id_token_hint", hint), ("post_logout_redirect_uri", "https://app.example/")];
                browser.follow(&gateway, &format!("/end-session?{}", encode(&query))).await;
            }
            "session end" => drop(gateway.command(&["session", "end", &session])),
            _ => drop(gateway.command(&["user", "disable", &person.name])),
        }
        let told = told(&gateway, &server, 2).await;
        for ((path, claims), (client, algorithm)) in
            told.iter().zip([("modern", "ES256"), ("portal", "RS256")])
        {
            assert_eq!(path, &format!("/logout/{client}"), "{what}");
            assert_eq!(claims["alg"], algorithm);
            assert_eq!((&claims["iss"], &claims["aud"]), (&json!(gateway.issuer), &json!(client)));
            assert_eq!((&claims["sub"], &claims["sid"]), (&json!(person.name), &json!(session)));
            assert_eq!(claims["events"], json!({ EVENT: {} }));
            assert!(claims.get("nonce").is_none() && claims["jti"].as_str().unwrap().len() >= 16);
            let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
            assert!((1..=120).contains(&exp.saturating_sub(iat)));
        }
        assert_ne!(told[0].1["jti"], told[1].1["jti"]);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(server.seen.lock().unwrap().logouts.len(), 2, "{what}: told again");
    }
    let records = until_recorded(&gateway, "logout.tell", 8).await;
    assert_eq!(records.len(), 8);
    assert!(records.iter().all(|record| record["outcome"] == "allow" && record["actor"]["kind"] == "local"));

    // A logout token is good for nothing else.
    let body = server.seen.lock().unwrap().logouts[0].1.clone();
    let token = Form::parse(&body).unwrap().get("logout_token").unwrap().to_owned();
    assert_eq!(part(&token, 0)["typ"], "logout+jwt");
    assert_eq!(Call::get("/userinfo").bearer(&token).to(&gateway).await.status, 401);
    let query = encode(&[("id_token_hint", &token), ("post_logout_redirect_uri", "https://app.example/")]);
    let hinted = Browser::default().follow(&gateway, &format!("/end-session?{query}")).await;
    assert_eq!(hinted.status, 400, "{}", hinted.text());
}

#[tokio::test]
async fn o21_what_may_pass_is_tried_again_and_what_a_client_refuses_is_not() {
    let (mut gateway, server) = serve("logout-faults", OUT).await;
    register(&gateway, &server, "portal", "/logout", &[]);
    register(&gateway, &server, "redirecting", "/elsewhere", &[]);
    let end = async |client: &str, gateway: &Gateway| {
        let tokens = app(client).tokens(gateway, &gateway.person("physician", &[])).await;
        gateway.command(&["session", "end", &tokens.session()]);
        tokens.session()
    };
    let answer = |codes: &[StatusCode]| server.seen.lock().unwrap().logout_answers.extend(codes);
    answer(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]);
    let session = end("portal", &gateway).await;
    let told_first = told(&gateway, &server, 3).await;
    assert!(told_first.iter().all(|(_, claims)| claims["sid"] == session.as_str()));
    let jtis: std::collections::BTreeSet<_> = told_first.iter().map(|(_, c)| c["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 3, "a token is shown once");

    server.seen.lock().unwrap().logouts.clear();
    for status in [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        answer(&[status]);
        end("portal", &gateway).await;
    }
    end("redirecting", &gateway).await;
    let errors = || async {
        let records = gateway.audit(&["--outcome", "error"]);
        let told = records.into_iter().filter(|record| record["event"] == "logout.tell");
        let mut reasons: Vec<String> =
            told.map(|record| record["decision"]["reason"].as_str().unwrap().to_owned()).collect();
        reasons.sort();
        reasons
    };
    let begun = Instant::now();
    while errors().await != ["status-302", "status-400", "status-401", "status-403"] {
        assert!(begun.elapsed() < PATIENCE, "{:?}", errors().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(server.seen.lock().unwrap().logouts.len(), 3, "refused is refused");

    // Who is to be told is not forgotten, whatever happens to us.
    server.seen.lock().unwrap().logouts.clear();
    answer(&[StatusCode::SERVICE_UNAVAILABLE; 2]);
    let session = end("portal", &gateway).await;
    gateway.kill_and_restart();
    let begun = Instant::now();
    while !server.seen.lock().unwrap().logout_answers.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "it was forgotten");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = told(&gateway, &server, 3).await;
    assert!(after.iter().all(|(_, claims)| claims["sid"] == session.as_str()));
}

#[tokio::test]
async fn o21_nobody_in_our_own_network_is_told_unless_the_operator_allows_it() {
    let (gateway, server) = serve("logout-private", "[egress]\nca = \"ca.pem\"\n").await;
    register(&gateway, &server, "portal", "/logout", &[]);
    for bad in ["http://localhost/logout", "https://u@localhost/", "https://localhost/#x"] {
        let words =
            ["client", "add", "bad", "--kind", "public", "--redirect-uri", "http://127.0.0.1/callback"];
        let refused = gateway.try_command(&[&words[..], &["--backchannel-logout-uri", bad]].concat());
        assert!(!refused.success, "{bad}");
    }
    let tokens = app("portal").tokens(&gateway, &gateway.person("physician", &[])).await;
    gateway.command(&["session", "end", &tokens.session()]);
    let records = until_recorded(&gateway, "logout.tell", 2).await;
    assert_eq!(records[1]["decision"]["reason"], "address-not-public");
    assert!(server.seen.lock().unwrap().logouts.is_empty());
}

#[tokio::test]
async fn automatic_logoff_is_told_too_and_recorded() {
    let (mut gateway, server) = serve("logout-idle", OUT).await;
    register(&gateway, &server, "portal", "/logout", &[]);
    let (idle, fresh) = (gateway.person("physician", &[]), gateway.person("physician", &[]));
    let (idle, fresh) =
        (app("portal").tokens(&gateway, &idle).await, app("portal").tokens(&gateway, &fresh).await);
    gateway.terminate();
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "UPDATE sessions SET last_seen = last_seen - 3600000000 WHERE id = ?1";
    assert_eq!(database.execute(text, [idle.session()]).unwrap(), 1);
    gateway.start();
    let told = told(&gateway, &server, 1).await;
    assert_eq!(told[0].1["sid"], idle.session().as_str());
    let records = until_recorded(&gateway, "session.end", 1).await;
    assert_eq!((records.len(), &records[0]["decision"]["reason"]), (1, &json!("session-over")));
    for (tokens, status) in [(&idle, 401), (&fresh, 200)] {
        assert_eq!(Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await.status, status);
    }
}
