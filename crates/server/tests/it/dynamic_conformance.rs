//! What modules of OpenID's conformance suite ask of dynamic registration, by their names: the test plan oidcc-dynamic.

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use serde_json::json;

use crate::browser::{App, Browser, CALLBACK, Tokens, VERIFIER, part};
use crate::client_keys::OUT;
use crate::dynamic_registration::{OPEN, SCOPE, app, register, registered, serve, serve_here, text};
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::gateway::{Gateway, Scratch};
use crate::wire::{Answer, Call, encode};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn publish(server: &Secured, key: &SigningKey) {
    let set = KeySet::from_iter([key.verifying_key().clone()]);
    server.seen.lock().unwrap().keys = Some(serde_json::to_string(&set).unwrap());
}

/// A token request of a client that shows by this key who it is.
async fn ask(gateway: &Gateway, id: &str, key: &SigningKey, jti: &str, fields: &[(&str, &str)]) -> Answer {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims =
        json!({ "iss": id, "sub": id, "aud": gateway.issuer, "exp": now.saturating_add(200), "jti": jti });
    let assertion = jws::sign(key, "JWT", &claims).unwrap();
    let proof = [("client_assertion_type", BEARER), ("client_assertion", assertion.as_str())];
    Call::form("/token", &[fields, &proof].concat()).to(gateway).await
}

#[tokio::test]
async fn oidcc_registration_jwks_uri_the_keys_under_an_address_count_and_those_that_come_after() {
    let scratch = Scratch::new("dcr-jwks-uri");
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    let mut gateway = serve_here(scratch, &format!("{OPEN}{OUT}"), 9);
    let [old, new] = [(); 2].map(|()| SigningKey::generate(Algorithm::ES256).unwrap());
    publish(&server, &old);
    let address = format!("https://localhost:{}/keys", server.port);
    let asked = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": address });
    let told = registered(&register(&asked).to(&gateway).await);
    assert_eq!(told["jwks_uri"], address);
    let id = text(&told, "client_id");
    let code = app(&told).code(&gateway, &gateway.person("billing", &[])).await;
    let grant = ("grant_type", "authorization_code");
    let exchange = [grant, ("code", &code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    assert_eq!(ask(&gateway, id, &new, "0", &exchange).await.error(), "invalid_client", "not published");
    let tokens = Tokens::of(&ask(&gateway, id, &old, "1", &exchange).await);
    publish(&server, &new);
    // One that has just started remembers no keys.
    gateway.kill_and_restart();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())];
    let refreshed = Tokens::of(&ask(&gateway, id, &new, "2", &refresh).await);
    let again = [("grant_type", "refresh_token"), ("refresh_token", refreshed.refresh())];
    assert_eq!(ask(&gateway, id, &old, "3", &again).await.error(), "invalid_client", "it is gone");
}

#[tokio::test]
async fn o24_a_registered_address_of_keys_leads_into_no_network_of_ours() {
    let scratch = Scratch::new("dcr-private");
    certificates(scratch.path());
    let server = Secured::start(scratch.path(), Certificates::NotWanted).await;
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    publish(&server, &key);
    let gateway = serve_here(scratch, OPEN, 9);
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let address = format!("https://{host}:{}/keys", server.port);
        let asked = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": address });
        let told = registered(&register(&asked).to(&gateway).await);
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", "x")];
        let answer = ask(&gateway, text(&told, "client_id"), &key, host, &refresh).await;
        assert_eq!(answer.error(), "invalid_client", "{host}");
    }
    assert_eq!(server.seen.lock().unwrap().keys_asked, 0);
}

#[tokio::test]
async fn oidcc_redirect_uri_query_is_part_of_the_address() {
    let gateway = serve("dcr-query", OPEN, 9);
    let with_query = format!("{CALLBACK}?foo=bar");
    let told = registered(&register(&json!({ "redirect_uris": [with_query, CALLBACK] })).to(&gateway).await);
    let bea = gateway.person("billing", &[]);
    let fields = |uri: &str| {
        let mut request = app(&told).request(&gateway);
        request.retain(|(name, _)| *name != "redirect_uri");
        if !uri.is_empty() {
            request.push(("redirect_uri", uri.to_owned()));
        }
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        format!("/authorize?{}", encode(&fields))
    };
    let back = Browser::default().lead(&gateway, &fields(&with_query), &bea, None).await;
    assert_eq!((back.target.as_str(), back.get("foo").as_deref()), (CALLBACK, Some("bar")));
    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", &back.get("code").unwrap()),
        ("redirect_uri", &with_query),
        ("code_verifier", VERIFIER),
    ];
    Tokens::of(&app(&told).token_call(&exchange).to(&gateway).await);
    for other in [
        format!("{CALLBACK}?foo=baz"),
        format!("{with_query}&more=1"),
        format!("{CALLBACK}?more=1"),
        String::new(),
    ] {
        let answer = Call::get(&fields(&other)).to(&gateway).await;
        assert_eq!(answer.status, 400, "{other}: {}", answer.text());
    }
}

#[tokio::test]
async fn oidcc_userinfo_rs256_a_client_says_how_its_answers_are_signed() {
    let gateway = serve("dcr-rs256", OPEN, 9);
    let asked = json!({ "userinfo_signed_response_alg": "RS256", "id_token_signed_response_alg": "RS256" });
    let told = registered(&register(&asked).to(&gateway).await);
    assert_eq!(told["userinfo_signed_response_alg"], "RS256");
    let client = App { scope: SCOPE, ..app(&told) };
    let tokens = client.tokens(&gateway, &gateway.person("billing", &[])).await;
    assert_eq!(part(text(&tokens.answer, "id_token"), 0)["alg"], "RS256");
    let own = App { scope: "openid", route: "", ..app(&told) };
    let tokens = own.tokens(&gateway, &gateway.person("billing", &[])).await;
    let info = Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await;
    assert_eq!((info.status, info.header("content-type")), (200, "application/jwt"));
    assert_eq!(part(info.text(), 0)["alg"], "RS256");
    assert_eq!(part(info.text(), 1)["aud"], told["client_id"]);
}
