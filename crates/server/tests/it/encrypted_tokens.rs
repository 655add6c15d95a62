//! Access tokens that we alone read, and our keys that others encrypt to.

use chartgate_protocol::jose::jwe::{self, Message, Recipient};
use chartgate_protocol::jose::{Algorithm, ContentEncryption, EncryptionKey, KeyManagement, SigningKey, jws};
use chartgate_values::SeededEntropy;
use serde_json::{Value, json};

use crate::browser::{App, Tokens, USER_SCOPE, part};
use crate::gateway::Gateway;
use crate::wire::{Answer, Call, Connection};

/// A demo whose FHIR route wants encrypted tokens.
fn serve(name: &str) -> Gateway {
    let mut gateway = Gateway::demo(name, &[]);
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let changed = text.replace("path          = \"/fhir\"\n", "path = \"/fhir\"\nencrypted_tokens = true\n");
    assert_ne!(text, changed);
    std::fs::write(gateway.config(), changed).unwrap();
    gateway.terminate();
    gateway.start();
    gateway
}

fn list(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.command(&["key", "list", "--output", "json"]);
    let keys: Vec<Value> = serde_json::from_str(&text).unwrap();
    keys.into_iter().filter(|key| key["use"] == "enc").collect()
}

/// Our published keys to encrypt to, by name.
async fn published(gateway: &Gateway) -> Vec<String> {
    let jwks = Call::get("/jwks").to(gateway).await.json();
    let keys = jwks["keys"].as_array().unwrap().iter().filter(|key| key["use"] == "enc");
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn own(gateway: &Gateway) -> Call {
    Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0]))
}

async fn read(gateway: &Gateway, token: &str) -> Answer {
    own(gateway).bearer(token).to(gateway).await
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// A text, encrypted to our key as anybody may.
async fn encrypt(gateway: &Gateway, text: &str, cty: Option<&str>) -> String {
    let jwks = Call::get("/jwks").to(gateway).await;
    let key = EncryptionKey::first_of(jwks.text().as_bytes(), KeyManagement::EcdhEsA256Kw).unwrap().unwrap();
    let to = Recipient { key: &key, content: ContentEncryption::A256Gcm };
    jwe::encrypt(
        to,
        &Message { typ: Some("JWT"), cty, plaintext: text.as_bytes() },
        &mut SeededEntropy::new(1),
    )
    .unwrap()
}

#[tokio::test]
async fn a_route_that_wants_encrypted_tokens_takes_no_others_and_nobody_else_reads_them() {
    let gateway = serve("encrypted");
    let app = App::web(&gateway, USER_SCOPE);
    let tokens: Tokens = app.tokens(&gateway, &gateway.demo_person("dana")).await;
    let token = tokens.access.as_str();
    assert_eq!(token.split('.').count(), 5);
    let header = part(token, 0);
    assert_eq!((&header["alg"], &header["enc"]), (&json!("ECDH-ES+A256KW"), &json!("A256GCM")));
    assert!(published(&gateway).await.contains(&kid(token)));
    assert!(!token.contains(&chartgate_protocol::base64url::encode(b"dana")));
    let mut connection = Connection::open(&gateway).await;
    for _ in 0..2 {
        assert_eq!(connection.send(own(&gateway).bearer(token)).await.status, 200);
    }
    let claims = app.call("/introspect", &[("token", token)]).to(&gateway).await.json();
    assert_eq!((&claims["active"], &claims["sub"]), (&json!(true), &json!("dana")));
    assert_eq!(Call::get("/userinfo").bearer(token).to(&gateway).await.json()["sub"], "dana");

    let mut altered = token.to_owned().into_bytes();
    let last = altered.len() - 20;
    altered[last] = if altered[last] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    let stranger = SigningKey::generate(Algorithm::RS256).unwrap();
    let mut forged = claims.clone();
    forged
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["active", "token_type", "username"].contains(&name.as_str()));
    let forged = jws::sign(&stranger, "at+jwt", &forged).unwrap();
    // A token of ours that is for us alone is signed alone.
    let elsewhere = App { route: "", scope: "openid", ..app.clone() };
    let signed = elsewhere.tokens(&gateway, &gateway.demo_person("dana")).await.access;
    assert_eq!(signed.split('.').count(), 3);
    for (what, wrong) in [
        ("altered", altered),
        ("signed by a stranger, encrypted to us", encrypt(&gateway, &forged, Some("JWT")).await),
        ("signed by a stranger", forged.clone()),
        ("ours, for another place, encrypted by somebody", encrypt(&gateway, &signed, Some("JWT")).await),
        ("ours, for another place", signed.clone()),
        ("nothing signed within", encrypt(&gateway, &claims.to_string(), None).await),
        ("encrypted twice", encrypt(&gateway, token, Some("JWT")).await),
    ] {
        assert_eq!(read(&gateway, &wrong).await.status, 401, "{what}");
    }
    // It is revoked as any other, by itself.
    app.call("/revoke", &[("token", token)]).to(&gateway).await;
    assert_eq!(connection.send(own(&gateway).bearer(token)).await.status, 401);
    let other = app.tokens(&gateway, &gateway.demo_person("dana")).await.access;
    assert_eq!(read(&gateway, &other).await.status, 200);
    gateway.command(&["token", "revoke", &other]);
    assert_eq!(read(&gateway, &other).await.status, 401);
}

#[tokio::test]
async fn keys_to_encrypt_to_rotate_as_others_do_and_old_tokens_are_still_read() {
    let gateway = serve("encrypted-keys");
    let app = App::public(USER_SCOPE);
    let dana = gateway.demo_person("dana");
    let old = app.tokens(&gateway, &dana).await.access;
    let before = published(&gateway).await;
    assert_eq!(before.len(), 2, "the one that is used, and the next");
    gateway.command(&["key", "rotate", "--now"]);
    let new = app.tokens(&gateway, &dana).await.access;
    let after = published(&gateway).await;
    assert!(before.contains(&kid(&new)) && kid(&new) != kid(&old), "every sender could know it already");
    assert!(!after.contains(&kid(&old)), "nobody shall encrypt to it any more");
    let retired = list(&gateway).into_iter().find(|key| key["kid"] == kid(&old).as_str()).unwrap();
    assert_eq!(retired["phase"], "retired");
    for token in [&old, &new] {
        assert_eq!(read(&gateway, token).await.status, 200);
    }
    // An emergency: what is encrypted to it is read no more, also where it was read before.
    gateway.command(&["key", "rotate", "--emergency", &kid(&new)]);
    assert_eq!(read(&gateway, &new).await.status, 401);
    assert_eq!(read(&gateway, &old).await.status, 200);
    gateway.command(&["key", "rotate", "--emergency", &kid(&old)]);
    assert_eq!(read(&gateway, &old).await.status, 401);
    let last = app.tokens(&gateway, &dana).await.access;
    assert_eq!(read(&gateway, &last).await.status, 200);
}
