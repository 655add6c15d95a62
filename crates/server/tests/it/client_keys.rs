//! Clients whose keys are under an address of theirs (`jwks_uri`): rows J06, J08 and O24 of the corpus.

use chartgate_protocol::jose::jwe::Encrypted;
use chartgate_protocol::jose::{
    Algorithm, ContentEncryption, DecryptionKey, DecryptionKeySet, KeyManagement, KeySet, SigningKey, jws,
};
use chartgate_values::SeededEntropy;
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, USER_SCOPE, part};
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::gateway::{Gateway, Scratch};
use crate::reload::reload;
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Answer, Call};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A way out to servers of the tests.
pub(crate) const OUT: &str = "[egress]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\nca = \"ca.pem\"\n";

/// A gateway with a backend whose keys are under `path` of a server.
async fn serve(name: &str, egress: &str, path: &str) -> (Gateway, Secured) {
    let scratch = Scratch::new(name);
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    let gateway = serve_in(scratch, "", egress, SCOPE);
    let address = format!("https://localhost:{}{path}", server.port);
    let words =
        ["client", "add", "lab", "--kind", "backend", "--jwks-uri", &address, "--scope", "system/*.rs"];
    let made: serde_json::Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    assert_eq!(
        (&made["token_endpoint_auth_method"], &made["jwks_uri"]),
        (&json!("private_key_jwt"), &json!(address))
    );
    (gateway, server)
}

fn publish(server: &Secured, keys: &[&SigningKey]) {
    let set: KeySet = keys.iter().map(|key| key.verifying_key().clone()).collect();
    server.seen.lock().unwrap().keys = Some(serde_json::to_string(&set).unwrap());
}

async fn ask(gateway: &Gateway, key: &SigningKey, jti: &str) -> Answer {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = json!({ "iss": "lab", "sub": "lab", "aud": gateway.issuer, "exp": now.saturating_add(200), "jti": jti });
    let assertion = jws::sign(key, "JWT", &claims).unwrap();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", BEARER),
        ("client_assertion", assertion.as_str()),
    ];
    Call::form("/token", &fields).to(gateway).await
}

#[tokio::test]
async fn j06_keys_are_asked_for_once_and_made_up_names_of_keys_ask_nobody() {
    let (gateway, server) = serve("jwks-uri", OUT, "/keys").await;
    let keys = [(); 2].map(|()| SigningKey::generate(Algorithm::ES384).unwrap());
    publish(&server, &[&keys[0]]);
    for jti in ["a", "b", "c"] {
        let answer = ask(&gateway, &keys[0], jti).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(server.seen.lock().unwrap().keys_asked, 1);
    for number in 0..20 {
        let made_up = SigningKey::generate(Algorithm::ES384).unwrap();
        assert_eq!(ask(&gateway, &made_up, &format!("flood-{number}")).await.error(), "invalid_client");
    }
    assert_eq!(server.seen.lock().unwrap().keys_asked, 1, "half a minute has not passed");
    assert_eq!(ask(&gateway, &keys[1], "other").await.status, 401, "a key that is not published");
}

#[tokio::test]
async fn a_reload_forgets_no_keys() {
    let (gateway, server) = serve("jwks-uri-reload", OUT, "/keys").await;
    let key = SigningKey::generate(Algorithm::ES384).unwrap();
    publish(&server, &[&key]);
    assert_eq!(ask(&gateway, &key, "a").await.status, 200);
    server.seen.lock().unwrap().keys = None;
    reload(&gateway).await;
    let answer = ask(&gateway, &key, "b").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // But by whom they may be vouched for is not what it was.
    let file = gateway.folder().join("chartgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"127.0.0.0/8\", \"::1/128\"", "\"10.0.0.0/8\"")).unwrap();
    reload(&gateway).await;
    assert_eq!(ask(&gateway, &key, "c").await.error(), "invalid_client");
}

#[tokio::test]
async fn answers_are_encrypted_to_the_key_that_the_client_publishes_now() {
    let scratch = Scratch::new("jwks-uri-encryption");
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    let gateway = serve_in(scratch, "", OUT, SCOPE);
    let person = gateway.person("physician", &[]);
    let address = format!("https://localhost:{}/keys", server.port);
    let words = [
        "client",
        "add",
        "reader",
        "--kind",
        "confidential",
        "--redirect-uri",
        CALLBACK,
        "--scope",
        USER_SCOPE,
    ];
    let mut more = vec!["--jwks-uri", &address];
    for answer in [
        "--id-token-encrypted-response-alg",
        "--userinfo-encrypted-response-alg",
        "--introspection-encrypted-response-alg",
    ] {
        more.extend([answer, "ECDH-ES+A256KW"]);
    }
    let made: Value = serde_json::from_str(&gateway.command(&[&words[..], &more].concat())).unwrap();
    let secret = made["client_secret"].as_str().unwrap();
    let app = App { client: "reader", secret: Some(secret), route: "", ..App::public("fhirUser openid") };
    let keys = [1, 2].map(|seed| {
        DecryptionKey::generate(KeyManagement::EcdhEsA256Kw, &mut SeededEntropy::new(seed)).unwrap()
    });
    let kids = [0, 1].map(|number: usize| keys[number].kid().to_owned());
    let publish = |number: usize| {
        let signing = SigningKey::generate(Algorithm::ES384).unwrap();
        let set = json!({ "keys": [signing.public_jwk(), keys[number].public_jwk().unwrap()] });
        let mut seen = server.seen.lock().unwrap();
        (seen.keys, seen.keys_max_age) = (Some(set.to_string()), Some(1));
    };
    let mut browser = Browser::default();
    browser.sign_in(&gateway, &person).await;
    for number in [0, 1] {
        publish(number);
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let tokens = app.tokens_in(&gateway, &mut browser, &person).await;
        let info = Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await;
        let ask = app.call("/introspect", &[("token", &tokens.access)]);
        let told = ask.header("accept", "application/token-introspection+jwt").to(&gateway).await;
        for token in [tokens.answer["id_token"].as_str().unwrap(), info.text(), told.text()] {
            assert_eq!(part(token, 0)["kid"], json!(kids[number]), "{token}");
        }
    }
    let own: DecryptionKeySet = keys.into_iter().collect();
    let tokens = app.tokens_in(&gateway, &mut browser, &person).await;
    let token =
        Encrypted::parse(tokens.answer["id_token"].as_str().unwrap(), &ContentEncryption::ALL, 1 << 14)
            .unwrap();
    let opened = token.decrypt_with(&own).unwrap();
    assert_eq!(part(opened.signed_token().unwrap(), 1)["sub"], json!(person.name));
    // A key that may not be kept and cannot be had is none, and nothing is given out less protected than it was asked for.
    server.seen.lock().unwrap().keys = None;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let code = app.authorize(&gateway, &mut browser, &person).await.get("code").unwrap();
    assert_eq!(app.exchange_call(&code).to(&gateway).await.error(), "server_error");
}

#[tokio::test]
async fn keys_that_cannot_be_had_prove_nothing() {
    let (gateway, server) = serve("jwks-uri-dead", OUT, "/keys").await;
    let key = SigningKey::generate(Algorithm::ES384).unwrap();
    assert_eq!(ask(&gateway, &key, "a").await.error(), "invalid_client");
    assert_eq!(server.seen.lock().unwrap().keys_asked, 1);
}

#[tokio::test]
async fn o24_a_redirect_is_not_followed() {
    let (gateway, server) = serve("jwks-uri-redirect", OUT, "/elsewhere").await;
    let key = SigningKey::generate(Algorithm::ES384).unwrap();
    publish(&server, &[&key]);
    assert_eq!(ask(&gateway, &key, "a").await.error(), "invalid_client");
    assert_eq!(server.seen.lock().unwrap().keys_asked, 0);
}

#[tokio::test]
async fn j08_an_address_within_our_own_network_is_not_called() {
    let (gateway, server) = serve("jwks-uri-private", "", "/keys").await;
    let key = SigningKey::generate(Algorithm::ES384).unwrap();
    publish(&server, &[&key]);
    assert_eq!(ask(&gateway, &key, "a").await.error(), "invalid_client");
    assert_eq!(server.seen.lock().unwrap().keys_asked, 0);
    for address in ["http://localhost/keys", "https://u@localhost/keys", "file:///etc/passwd"] {
        let words =
            ["client", "add", "x", "--kind", "backend", "--jwks-uri", address, "--scope", "system/*.rs"];
        assert!(!gateway.try_command(&words).success, "{address}");
    }
}
