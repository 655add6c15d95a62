//! Clients whose keys are under an address of theirs (`jwks_uri`): rows J06, J08 and O24 of the corpus.

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use serde_json::json;

use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::gateway::{Gateway, Scratch};
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
