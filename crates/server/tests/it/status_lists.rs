//! Token Status List: places that say nothing, bits that say what was revoked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chartgate_protocol::base64url;
use chartgate_protocol::jose::{Algorithm, KeySet, jws};
use miniz_oxide::inflate::decompress_to_vec_zlib;
use serde_json::{Value, json};

use crate::browser::{App, Tokens, USER_SCOPE, part};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Call, Connection, fresh_address};

fn register(gateway: &Gateway, id: &str, more: &[&str]) -> Value {
    let words = ["client", "add", id, "--redirect-uri", "http://127.0.0.1/callback", "--scope", USER_SCOPE];
    serde_json::from_str(&gateway.command(&[&words[..], more].concat())).unwrap()
}

fn place(token: &str) -> (String, u64) {
    let status = &part(token, 1)["status"]["status_list"];
    (status["uri"].as_str().unwrap().to_owned(), status["idx"].as_u64().unwrap())
}

/// The claims of a list, its signature verified by the published keys.
async fn fetch(gateway: &Gateway, uri: &str) -> Value {
    let path = uri.strip_prefix(&gateway.issuer).unwrap();
    let answer = Call::get(path).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let jwks = Call::get("/jwks").to(gateway).await;
    let keys = KeySet::parse(jwks.text().as_bytes()).unwrap();
    let token = jws::Unverified::parse(answer.text(), &Algorithm::ALL, 1 << 20).unwrap();
    let verified = token.verify_with(&keys, jws::ExpectedType::Exactly("statuslist+jwt")).unwrap();
    let claims: Value = serde_json::from_slice(verified.payload()).unwrap();
    assert_eq!((&claims["sub"], &claims["status_list"]["bits"]), (&json!(uri), &json!(1)));
    assert!(claims["exp"].as_i64() > claims["iat"].as_i64() && claims["ttl"].as_u64().unwrap() <= 60);
    claims
}

/// As somebody reads it who knows the draft alone.
async fn is_invalid(gateway: &Gateway, token: &str) -> bool {
    let (uri, idx) = place(token);
    let claims = fetch(gateway, &uri).await;
    let list = base64url::decode(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let bytes = decompress_to_vec_zlib(&list).unwrap();
    assert_eq!(bytes.len(), 8192, "a list has one length, however many have a place in it");
    bytes[usize::try_from(idx / 8).unwrap()] >> (idx % 8) & 1 == 1
}

/// A list that was just written is good for a second.
async fn turns_invalid(gateway: &Gateway, token: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if is_invalid(gateway, token).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test]
async fn only_who_asks_has_a_place_and_its_bit_follows_every_kind_of_revocation() {
    let mut gateway = Gateway::demo("status", &[]);
    register(&gateway, "listed", &["--kind", "public", "--token-status-list"]);
    register(&gateway, "doomed", &["--kind", "public", "--token-status-list"]);
    let app = App { client: "listed", ..App::public(USER_SCOPE) };
    let bystander = app.tokens(&gateway, &gateway.person("physician", &[])).await.access;
    let unlisted = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await;
    assert!(unlisted.claims().get("status").is_none());
    for what in ["token", "session", "user", "client", "key"] {
        let app = App { client: if what == "client" { "doomed" } else { "listed" }, ..app.clone() };
        let person = gateway.person("physician", &[]);
        let tokens: Tokens = app.tokens(&gateway, &person).await;
        assert!(!is_invalid(&gateway, &tokens.access).await, "{what}");
        match what {
            "token" => gateway.command(&["token", "revoke", &tokens.jti()]),
            "session" => gateway.command(&["session", "end", &tokens.session()]),
            "user" => gateway.command(&["user", "disable", &person.name]),
            "client" => gateway.command(&["client", "remove", "doomed"]),
            _ => gateway.command(&["key", "rotate", "--emergency"]),
        };
        assert!(turns_invalid(&gateway, &tokens.access).await, "{what}");
        assert_eq!(is_invalid(&gateway, &bystander).await, what == "key", "{what}");
    }
    // A list outlives the process, and so do its bits.
    let fresh = app.tokens(&gateway, &gateway.person("physician", &[])).await.access;
    gateway.kill_and_restart();
    assert!(!is_invalid(&gateway, &fresh).await && is_invalid(&gateway, &bystander).await);
    assert_eq!(Call::get("/status-lists/nothing").to(&gateway).await.status, 404);
}

#[tokio::test]
async fn who_asks_for_lists_all_the_time_is_turned_away() {
    let gateway = shared::demo();
    let mut connection = Connection::open_from(gateway, fresh_address()).await;
    let mut asked = 0;
    while connection.send(Call::get("/status-lists/nothing")).await.status == 404 {
        asked += 1;
        assert!(asked < 20_000, "never turned away");
    }
    assert!(asked >= 1000, "turned away after {asked}");
}

#[tokio::test]
async fn fifty_tokens_at_once_have_fifty_places_in_no_order_that_tells_of_theirs() {
    let gateway = shared::demo();
    let words = ["client", "add", "listed-backend", "--kind", "backend", "--scope", "system/*.rs"];
    let shown: Value =
        serde_json::from_str(&gateway.command(&[&words[..], &["--token-status-list"]].concat())).unwrap();
    assert_eq!(shown["token_status_list"], true);
    let secret = shown["client_secret"].as_str().unwrap();
    let call = Call::form("/token", &[("grant_type", "client_credentials")]).basic("listed-backend", secret);
    let answers = at_once(gateway, FIFTY, |_| call.clone()).await;
    let tokens: Vec<String> =
        answers.iter().map(|answer| answer.json()["access_token"].as_str().unwrap().to_owned()).collect();
    let places: BTreeSet<_> = tokens.iter().map(|token| place(token)).collect();
    assert_eq!(places.len(), FIFTY);
    let numbers: Vec<u64> = tokens.iter().map(|token| place(token).1).collect();
    // By chance alone this holds for one run in 2^49 or so.
    assert!(numbers.iter().any(|n| *n > 1 << 15) && numbers.iter().any(|n| *n < 1 << 15), "{numbers:?}");
    assert!(!numbers.is_sorted(), "{numbers:?}");
}
