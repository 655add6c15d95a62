//! Authorization requests that their client signed (RFC 9101), and answers that we sign (JARM): row O23 of the corpus.

use chartgate_protocol::jose::jwe::{self, Recipient};
use chartgate_protocol::jose::{Algorithm, ContentEncryption, EncryptionKey, KeyManagement, SigningKey, jws};
use chartgate_values::SeededEntropy;
use serde_json::{Map, Value, json};

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, form_of, part};
use crate::gateway::Gateway;
use crate::possession::now;
use crate::shared;
use crate::wire::{Answer, Call, encode};

const SCOPE: &str = "openid user/*.rs";
const TYPE: &str = "oauth-authz-req+jwt";

/// A client that signs its requests, and shows who it is by a secret.
struct Signer {
    id: String,
    secret: String,
    key: SigningKey,
}

impl Signer {
    fn register(gateway: &Gateway, id: &str, more: &[&str]) -> Self {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let jwks = json!({ "keys": [key.public_jwk()] });
        let file = gateway.scratch().write(&format!("{id}.json"), jwks.to_string());
        let words = ["client", "add", id, "--kind", "confidential", "--jwks-file", file.to_str().unwrap()];
        let rest =
            ["--redirect-uri", CALLBACK, "--redirect-uri", "https://other.example/cb", "--scope", SCOPE];
        let shown = gateway.command(&[&words[..], &rest, more].concat());
        let shown: Value = serde_json::from_str(&shown).unwrap();
        Self { id: id.to_owned(), secret: shown["client_secret"].as_str().unwrap().to_owned(), key }
    }

    fn app(&self) -> App<'_> {
        App { client: &self.id, secret: Some(&self.secret), scope: SCOPE, patient: None, route: "/fhir" }
    }

    /// A good object with these changes; what is `null` is left out.
    fn object(&self, gateway: &Gateway, changes: &Value) -> String {
        self.signed(TYPE, &self.claims(gateway, changes))
    }

    fn signed(&self, typ: &str, claims: &Value) -> String {
        jws::sign(&self.key, typ, claims).unwrap()
    }

    fn claims(&self, gateway: &Gateway, changes: &Value) -> Value {
        let mut claims: Map<String, Value> = self
            .app()
            .request(gateway)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        for (name, value) in [
            ("iss", json!(self.id)),
            ("aud", json!(gateway.issuer)),
            ("nbf", json!(now())),
            ("exp", json!(now().saturating_add(60))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        for (name, value) in changes.as_object().unwrap() {
            claims.insert(name.clone(), value.clone());
        }
        claims.retain(|_, value| !value.is_null());
        claims.into()
    }

    fn start(&self, object: &str, more: &[(&str, &str)]) -> String {
        let fields = [("client_id", self.id.as_str()), ("request", object)];
        format!("/authorize?{}", encode(&[&fields, more].concat()))
    }

    fn push(&self, fields: &[(&str, &str)]) -> Call {
        self.app().call("/par", fields)
    }
}

/// The error of an answer, wherever it stands.
fn error_of(answer: &Answer) -> Option<String> {
    Redirect::of(answer).get("error")
}

#[tokio::test]
async fn o23_the_object_is_the_request_and_what_stands_beside_it_is_nothing() {
    let gateway = shared::demo();
    let signer = Signer::register(gateway, "signer", &[]);
    let dana = gateway.demo_person("dana");
    let object = signer.object(gateway, &json!({}));
    let beside = [
        ("response_type", "code"),
        ("scope", "openid user/*.cruds"),
        ("state", "forged"),
        ("redirect_uri", "https://other.example/cb"),
        ("code_challenge", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("nonce", "forged"),
        ("prompt", "none"),
    ];
    for more in [&beside[..], &[]] {
        let mut browser = Browser::default();
        let redirect = browser.lead(gateway, &signer.start(&object, more), &dana, None).await;
        assert_eq!(redirect.target, CALLBACK);
        assert_eq!(redirect.get("state").as_deref(), Some("state-of-the-app"));
        let tokens =
            Tokens::of(&signer.app().exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
        assert_eq!(tokens.answer["scope"], SCOPE);
        assert_eq!(part(tokens.answer["id_token"].as_str().unwrap(), 1).get("nonce"), None);
    }
    // What is left out of the object is not taken from beside it.
    let without = signer.object(gateway, &json!({ "code_challenge": null }));
    let challenge = [("code_challenge", crate::browser::CHALLENGE), ("code_challenge_method", "S256")];
    let answer = Call::get(&signer.start(&without, &challenge)).to(gateway).await;
    assert_eq!(error_of(&answer).as_deref(), Some("invalid_request"));
    for twice in [format!("&request={object}"), "&client_id=signer".to_owned()] {
        let answer = Call::get(&(signer.start(&object, &[]) + &twice)).to(gateway).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "o29");
    }
    // Pushed, it is the same.
    let pushed = signer.push(&[("request", &object), ("scope", "openid user/*.cruds")]).to(gateway).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let start = format!("/authorize?{}", encode(&[("client_id", "signer"), ("request_uri", &uri)]));
    let redirect = Browser::default().lead(gateway, &start, &dana, None).await;
    let tokens = Tokens::of(&signer.app().exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(tokens.answer["scope"], SCOPE);
}

#[tokio::test]
async fn o23_an_object_that_is_not_exactly_right_is_no_request() {
    let gateway = shared::demo();
    let signer = Signer::register(gateway, "strict-signer", &[]);
    let other = Signer::register(gateway, "other-signer", &[]);
    let good = signer.claims(gateway, &json!({}));
    let mut objects: Vec<(String, &str)> = [
        (json!({ "iss": "other-signer" }), "invalid_request_object"),
        (json!({ "iss": null }), "invalid_request_object"),
        (json!({ "aud": "https://elsewhere.example" }), "invalid_request_object"),
        (json!({ "aud": [gateway.issuer, "https://elsewhere.example"] }), "invalid_request_object"),
        (json!({ "aud": format!("{}/token", gateway.issuer) }), "invalid_request_object"),
        (json!({ "exp": now() - 1 }), "invalid_request_object"),
        (json!({ "exp": null }), "invalid_request_object"),
        (json!({ "exp": now() + 7200 }), "invalid_request_object"),
        (json!({ "nbf": now() + 60 }), "invalid_request_object"),
        (json!({ "client_id": "other-signer" }), "invalid_request"),
        (json!({ "client_id": null }), "invalid_request_object"),
        (json!({ "sub": "strict-signer" }), "invalid_request_object"),
        (json!({ "request": "a.b.c" }), "invalid_request_object"),
        (json!({ "request_uri": "https://evil.example/r" }), "invalid_request_object"),
        (json!({ "scope": ["openid"] }), "invalid_request_object"),
        (json!({ "state": "a\u{0}b" }), "invalid_request_object"),
    ]
    .into_iter()
    .map(|(changes, error)| (signer.object(gateway, &changes), error))
    .collect();
    let forged = jws::sign(&other.key, TYPE, &good).unwrap();
    objects.push((forged, "invalid_request_object"));
    objects.push((signer.signed("at+jwt", &good), "invalid_request_object"));
    let payload = signer.object(gateway, &json!({})).split('.').nth(1).unwrap().to_owned();
    objects.push((format!("eyJhbGciOiJub25lIn0.{payload}."), "invalid_request_object"));
    objects.push(("x".to_owned(), "invalid_request_object"));
    for (object, error) in &objects {
        // By the browser, where the request beside it says whom to tell; and pushed.
        let fields = [("redirect_uri", CALLBACK), ("state", "s")];
        let answer = Call::get(&signer.start(object, &fields)).to(gateway).await;
        assert_eq!(error_of(&answer).as_deref(), Some(*error), "{object}");
        let nowhere = Call::get(&signer.start(object, &[])).to(gateway).await;
        assert_eq!((nowhere.status, nowhere.header("location")), (400, ""), "{object}");
        let evil = [("redirect_uri", "https://evil.example/cb")];
        let answer = Call::get(&signer.start(object, &evil)).to(gateway).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "o01");
        let answer = signer.push(&[("request", object)]).to(gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, *error), "{object}");
    }
    let evil = signer.object(gateway, &json!({ "redirect_uri": "https://evil.example/cb" }));
    let answer = Call::get(&signer.start(&evil, &[("redirect_uri", CALLBACK)])).to(gateway).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (400, ""),
        "what is signed has to be registered too"
    );
    let by_secret = App::web(gateway, SCOPE);
    let answer = by_secret.call("/par", &[("request", &objects[0].0)]).to(gateway).await;
    assert_eq!(answer.error(), "invalid_request_object", "a client without keys signs nothing");
}

#[tokio::test]
async fn a_client_that_has_to_sign_gets_nothing_for_an_unsigned_request() {
    let gateway = shared::demo();
    let signer = Signer::register(gateway, "always-signer", &["--require-signed-request-object"]);
    let request = signer.app().request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(error_of(&answer).as_deref(), Some("invalid_request"));
    assert_eq!(signer.push(&fields).to(gateway).await.error(), "invalid_request");
    let object = signer.object(gateway, &json!({ "nbf": null }));
    assert_eq!(Call::get(&signer.start(&object, &[])).to(gateway).await.status, 303);
    let words = ["client", "add", "keyless", "--kind", "confidential", "--redirect-uri", CALLBACK];
    assert!(!gateway.try_command(&[&words[..], &["--require-signed-request-object"]].concat()).success);
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(
        (&metadata["request_parameter_supported"], &metadata["require_signed_request_object"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(metadata["request_uri_parameter_supported"], false, "none but those of pushed requests");
}

/// What a signed answer says, once it was found to be ours, for this client and good now.
async fn opened(gateway: &Gateway, response: &str, client: &str) -> Value {
    let jwks = Call::get("/jwks").to(gateway).await;
    let keys = chartgate_protocol::jose::KeySet::parse(&jwks.body).unwrap();
    let expected = chartgate_protocol::jose::jws::ExpectedType::PlainJwt;
    let token = jws::Unverified::parse(response, &Algorithm::ALL, 16_384).unwrap();
    assert!(token.verify_with(&keys, expected).is_ok());
    let claims = part(response, 1);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(gateway.issuer), &json!(client)));
    let left = claims["exp"].as_i64().unwrap().saturating_sub(now());
    assert!((1..=600).contains(&left), "{left}");
    claims
}

#[tokio::test]
async fn answers_reach_the_client_as_it_asked_for_them_signed_or_not() {
    let gateway = shared::demo();
    let app = App::public(SCOPE);
    let dana = gateway.demo_person("dana");
    for mode in ["query", "jwt", "query.jwt", "form_post", "form_post.jwt"] {
        let mut request = app.request(gateway);
        request.push(("response_mode", mode.to_owned()));
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let start = format!("/authorize?{}", encode(&fields));
        let mut browser = Browser::default();
        let page = browser.follow(gateway, &start).await;
        let filled = [("username", dana.name.as_str()), ("password", &dana.password)];
        let page = browser.submit(gateway, &page, &filled).await;
        let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
        let (target, parameters) = if mode.starts_with("form_post") {
            let policy = answer.header("content-security-policy").to_owned();
            assert!(policy.contains("form-action 'self' http://127.0.0.1:9999"), "{policy}");
            assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
            form_of(&answer)
        } else {
            let redirect = Redirect::of(&answer);
            let names = ["code", "state", "iss", "response"];
            let found = names.into_iter().filter_map(|name| Some((name.to_owned(), redirect.get(name)?)));
            (redirect.target.clone(), found.collect())
        };
        assert_eq!(target, CALLBACK, "{mode}");
        let said: Map<String, Value> =
            parameters.into_iter().map(|(name, value)| (name, value.into())).collect();
        let said = if mode.ends_with("jwt") {
            assert_eq!(said.keys().collect::<Vec<_>>(), ["response"], "{mode}");
            opened(gateway, said["response"].as_str().unwrap(), "demo-app").await
        } else {
            Value::from(said)
        };
        assert_eq!(
            (&said["state"], &said["iss"]),
            (&json!("state-of-the-app"), &json!(gateway.issuer)),
            "{mode}"
        );
        Tokens::of(&app.exchange_call(said["code"].as_str().unwrap()).to(gateway).await);
    }
    // Errors go the same way, also the person's own no.
    let mut request = app.request(gateway);
    request.retain(|(name, _)| *name != "code_challenge");
    request.push(("response_mode", "jwt".to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    let redirect = Redirect::of(&answer);
    assert_eq!(redirect.get("error"), None);
    let said = opened(gateway, &redirect.get("response").unwrap(), "demo-app").await;
    assert_eq!((&said["error"], &said["state"]), (&json!("invalid_request"), &json!("state-of-the-app")));
    let mut request = app.request(gateway);
    request.push(("response_mode", "form_post.jwt".to_owned()));
    request.push(("prompt", "consent".to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut browser = Browser::default();
    let page = browser.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    let page =
        browser.submit(gateway, &page, &[("username", &dana.name), ("password", &dana.password)]).await;
    let answer = browser.submit(gateway, &page, &[("decision", "deny")]).await;
    let (target, parameters) = form_of(&answer);
    let said = opened(gateway, &parameters[0].1, "demo-app").await;
    assert_eq!((target.as_str(), &said["error"]), (CALLBACK, &json!("access_denied")));
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let modes = json!(["query", "form_post", "jwt", "query.jwt", "form_post.jwt"]);
    assert_eq!(metadata["response_modes_supported"], modes);
    assert_eq!(
        metadata["authorization_signing_alg_values_supported"],
        metadata["id_token_signing_alg_values_supported"]
    );
}

#[tokio::test]
async fn an_object_that_a_client_encrypts_is_read_and_one_that_it_does_not_is_none_of_its() {
    let gateway = shared::demo();
    let more =
        ["--request-object-encryption-alg", "ECDH-ES+A256KW", "--request-object-encryption-enc", "A128GCM"];
    let signer = Signer::register(gateway, "sealing-signer", &more);
    let plain = Signer::register(gateway, "plain-signer", &[]);
    let jwks = Call::get("/jwks").to(gateway).await;
    let key = EncryptionKey::first_of(jwks.text().as_bytes(), KeyManagement::EcdhEsA256Kw).unwrap().unwrap();
    let seal = |signer: &Signer, content: ContentEncryption| {
        let claims = signer.claims(gateway, &json!({}));
        let to = Recipient { key: &key, content };
        jwe::sign_and_encrypt(&signer.key, TYPE, &claims, to, &mut SeededEntropy::new(1)).unwrap()
    };
    let sealed = seal(&signer, ContentEncryption::A128Gcm);
    let (mut browser, dana) = (Browser::default(), gateway.demo_person("dana"));
    let redirect = browser.lead(gateway, &signer.start(&sealed, &[]), &dana, None).await;
    let code = redirect.get("code").unwrap();
    assert_eq!(Tokens::of(&signer.app().exchange_call(&code).to(gateway).await).answer["scope"], SCOPE);
    assert_eq!(signer.push(&[("request", &sealed)]).to(gateway).await.status, 201);
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(metadata["request_object_encryption_alg_values_supported"], json!(["ECDH-ES+A256KW"]));
    for (signer, wrong) in [
        (&signer, signer.object(gateway, &json!({}))),
        (&signer, seal(&signer, ContentEncryption::A256Gcm)),
        (&plain, seal(&plain, ContentEncryption::A128Gcm)),
        (&plain, sealed.clone()),
    ] {
        let refused = signer.push(&[("request", &wrong)]).to(gateway).await;
        assert_eq!(refused.error(), "invalid_request_object");
    }
}
