//! Answers as JWTs, signed and encrypted as a client asks: ID tokens, userinfo, introspection (RFC 9701).

use chartgate_protocol::jose::jwe::{self, Encrypted};
use chartgate_protocol::jose::{
    Algorithm, ContentEncryption, DecryptionKey, DecryptionKeySet, KeyManagement, KeySet, SigningKey, jws,
};
use chartgate_values::SeededEntropy;
use serde_json::{Value, json};

use crate::browser::{App, Tokens, USER_SCOPE, part};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call};

const JWT: &str = "application/token-introspection+jwt";

fn register(gateway: &Gateway, id: &str, more: &[&str]) -> String {
    let words =
        ["client", "add", id, "--kind", "confidential", "--redirect-uri", "http://127.0.0.1/callback"];
    let shown = gateway.command(&[&words[..], &["--scope", USER_SCOPE], more].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["client_secret"].as_str().unwrap().to_owned()
}

fn app<'a>(client: &'a str, secret: &'a str) -> App<'a> {
    App { client, secret: Some(secret), ..App::public(USER_SCOPE) }
}

async fn ask(gateway: &Gateway, app: &App<'_>, token: &str, accept: &str) -> Answer {
    app.call("/introspect", &[("token", token)]).header("accept", accept).to(gateway).await
}

/// The claims of a JWT of ours, with the algorithm that it is signed with.
async fn verified(gateway: &Gateway, token: &str, typ: &'static str) -> (Algorithm, Value) {
    let jwks = Call::get("/jwks").to(gateway).await;
    let keys = KeySet::parse(jwks.text().as_bytes()).unwrap();
    let expected = if typ == "JWT" { jws::ExpectedType::PlainJwt } else { jws::ExpectedType::Exactly(typ) };
    let token = jws::Unverified::parse(token, &Algorithm::ALL, 1 << 14).unwrap();
    let verified = token.verify_with(&keys, expected).unwrap();
    (verified.header().algorithm, serde_json::from_slice(verified.payload()).unwrap())
}

#[tokio::test]
async fn introspection_is_a_jwt_for_who_asks_and_says_what_the_other_answer_says() {
    let gateway = shared::demo();
    let secret = register(gateway, "jwt-asker", &["--introspection-signed-response-alg", "ES256"]);
    let app = app("jwt-asker", &secret);
    let tokens: Tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    let plain = ask(gateway, &app, &tokens.access, "application/json").await;
    assert_eq!(plain.header("content-type"), "application/json");
    for (token, typ) in [(tokens.access.as_str(), "access"), (tokens.refresh(), "refresh"), ("x", "nothing")]
    {
        let plain = ask(gateway, &app, token, "*/*").await.json();
        let answer = ask(gateway, &app, token, &format!("application/json;q=0.1, {JWT}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, JWT), "{typ}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let (algorithm, claims) = verified(gateway, answer.text(), "token-introspection+jwt").await;
        assert_eq!(algorithm, Algorithm::ES256);
        assert_eq!(claims["token_introspection"], plain, "{typ}");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(gateway.issuer), &json!("jwt-asker")));
        let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
        let expected = ["iss", "aud", "iat", "token_introspection"];
        assert_eq!(names, expected, "nothing of the token stands outside");
        // RFC 9701 section 8: such an answer opens nothing.
        assert_eq!(Call::get("/userinfo").bearer(answer.text()).to(gateway).await.status, 401);
    }
    let web = App::web(gateway, USER_SCOPE);
    let theirs = web.tokens(gateway, &gateway.demo_person("dana")).await;
    let answer = ask(gateway, &web, &theirs.access, JWT).await;
    assert_eq!(verified(gateway, answer.text(), "token-introspection+jwt").await.0, Algorithm::RS256);
    let foreign = ask(gateway, &app, &theirs.access, JWT).await;
    let (_, claims) = verified(gateway, foreign.text(), "token-introspection+jwt").await;
    assert_eq!(claims["token_introspection"], json!({ "active": false }), "o27");
    let nobody = Call::form("/introspect", &[("token", "x")]).header("accept", JWT).to(gateway).await;
    assert_eq!(nobody.error(), "invalid_client", "o28");
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let algorithms = metadata["introspection_signing_alg_values_supported"].as_array().unwrap();
    assert!(algorithms.contains(&json!("ES256")) && algorithms.contains(&json!("RS256")));
}

#[tokio::test]
async fn answers_are_encrypted_to_the_clients_key_and_signed_within() {
    let gateway = shared::demo();
    let mut entropy = SeededEntropy::new(1);
    for (number, management) in KeyManagement::PUBLIC.into_iter().enumerate() {
        let content = ContentEncryption::ALL[number];
        let key = DecryptionKey::generate(management, &mut entropy).unwrap();
        let signing = SigningKey::generate(Algorithm::ES384).unwrap();
        let set = json!({ "keys": [signing.public_jwk(), key.public_jwk().unwrap()] });
        let file = gateway.scratch().write(&format!("encrypted-{number}.jwks"), set.to_string());
        let mut words = vec!["--jwks-file".to_owned(), file.to_str().unwrap().to_owned()];
        for answer in ["id-token", "userinfo", "introspection"] {
            words.extend([format!("--{answer}-encrypted-response-alg"), management.name().to_owned()]);
            words.extend([format!("--{answer}-encrypted-response-enc"), content.name().to_owned()]);
        }
        words.extend(
            ["--id-token-signed-response-alg", "ES256", "--userinfo-signed-response-alg", "EdDSA"]
                .map(str::to_owned),
        );
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let id = format!("encrypted-{number}");
        let secret = register(gateway, &id, &words);
        let app = app(&id, &secret);
        let tokens: Tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
        let kid = key.kid().to_owned();
        let keys: DecryptionKeySet = [key].into_iter().collect();
        let open = |token: &str| {
            let header = part(token, 0);
            assert_eq!((&header["alg"], &header["enc"]), (&json!(management.name()), &json!(content.name())));
            assert_eq!((&header["kid"], &header["cty"]), (&json!(kid), &json!("JWT")));
            let token = Encrypted::parse(token, &[content], jwe::MAX_TOKEN_BYTES).unwrap();
            token.decrypt_with(&keys).unwrap().signed_token().unwrap().to_owned()
        };
        let signed = open(tokens.answer["id_token"].as_str().unwrap());
        let (algorithm, claims) = verified(gateway, &signed, "JWT").await;
        assert_eq!(
            (algorithm, &claims["sub"], &claims["aud"]),
            (Algorithm::ES256, &json!("dana"), &json!(id))
        );

        let answer = Call::get("/userinfo").bearer(&tokens.access).to(gateway).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/jwt"));
        let (algorithm, claims) = verified(gateway, &open(answer.text()), "JWT").await;
        assert_eq!((algorithm, &claims["sub"]), (Algorithm::EdDSA, &json!("dana")));
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(gateway.issuer), &json!(id)));

        let answer = ask(gateway, &app, &tokens.access, JWT).await;
        let (algorithm, claims) = verified(gateway, &open(answer.text()), "token-introspection+jwt").await;
        assert_eq!(algorithm, Algorithm::RS256);
        assert_eq!(claims["token_introspection"]["active"], true);
        // Who asks for the plain answer gets it.
        assert_eq!(ask(gateway, &app, &tokens.access, "*/*").await.json()["active"], true);
    }
}

#[tokio::test]
async fn whoever_introspects_by_a_token_gets_the_same_jwt() {
    let gateway = shared::demo();
    let key = DecryptionKey::generate(KeyManagement::EcdhEsA256Kw, &mut SeededEntropy::new(7)).unwrap();
    let set = json!({ "keys": [key.public_jwk().unwrap()] });
    let file = gateway.scratch().write("by-token.jwks", set.to_string());
    let words = ["client", "add", "by-token", "--kind", "confidential", "--redirect-uri"];
    let more = ["http://127.0.0.1/callback", "--grant", "client_credentials", "--scope", "introspect"];
    let may = ["--permission", "introspect:any", "--jwks-file", file.to_str().unwrap()];
    let wanted = ["--introspection-encrypted-response-alg", "ECDH-ES+A256KW"];
    let shown = gateway.command(&[&words[..], &more, &may, &wanted].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let fields = [("grant_type", "client_credentials"), ("scope", "introspect")];
    let secret = shown["client_secret"].as_str().unwrap();
    let answer = Call::form("/token", &fields).basic("by-token", secret).to(gateway).await;
    let own =
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let ask = || Call::form("/introspect", &[("token", &dana)]).bearer(&own);
    let plain = ask().to(gateway).await;
    assert_eq!((plain.header("content-type"), &plain.json()["active"]), ("application/json", &json!(true)));
    let told = ask().header("accept", JWT).to(gateway).await;
    assert_eq!((told.status, told.header("content-type")), (200, JWT), "{}", told.text());
    let keys: DecryptionKeySet = [key].into_iter().collect();
    let token = Encrypted::parse(told.text(), &ContentEncryption::ALL, jwe::MAX_TOKEN_BYTES).unwrap();
    let opened = token.decrypt_with(&keys).unwrap();
    let (_, claims) = verified(gateway, opened.signed_token().unwrap(), "token-introspection+jwt").await;
    assert_eq!((&claims["aud"], &claims["token_introspection"]), (&json!("by-token"), &plain.json()));
}

#[test]
fn an_encryption_needs_a_key_for_it_and_a_name_that_is_known() {
    let gateway = shared::demo();
    let signing = SigningKey::generate(Algorithm::RS256).unwrap();
    let file =
        gateway.scratch().write("signing-only.jwks", json!({ "keys": [signing.public_jwk()] }).to_string());
    let words =
        ["client", "add", "keyless", "--kind", "public", "--redirect-uri", "http://127.0.0.1/callback"];
    for more in [
        &["--id-token-encrypted-response-alg", "RSA-OAEP-256"][..],
        &["--id-token-encrypted-response-alg", "RSA-OAEP-256", "--jwks-file", file.to_str().unwrap()],
        &["--userinfo-encrypted-response-alg", "RSA1_5"],
        &["--userinfo-encrypted-response-alg", "dir"],
        &[
            "--introspection-encrypted-response-alg",
            "ECDH-ES",
            "--introspection-encrypted-response-enc",
            "A192GCM",
        ],
        &["--introspection-encrypted-response-enc", "A128GCM"],
        &["--introspection-signed-response-alg", "HS256"],
    ] {
        let refused = gateway.try_command(&[&words[..], more].concat());
        assert!(!refused.success, "{more:?}");
    }
}
