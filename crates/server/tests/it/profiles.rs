//! What each client profile asks (`client add --profile`): conflicts C1 to C3, C5 and C8 of the standards.

use chartgate_protocol::jose::{Algorithm, SigningKey, jws};
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Tokens, VERIFIER, part};
use crate::gateway::Gateway;
use crate::possession::{DpopKey, now};
use crate::shared;
use crate::wire::{Answer, Call, encode};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPE: &str = "openid offline_access user/*.rs";

/// A client with a key by which it shows who it is.
struct Keyed {
    id: String,
    key: SigningKey,
}

impl Keyed {
    fn register(gateway: &Gateway, id: &str, profile: &str, algorithm: Algorithm) -> (Self, Value) {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwks = json!({ "keys": [key.public_jwk()] });
        let file = gateway.scratch().write(&format!("{id}.json"), jwks.to_string());
        let words = [
            "client",
            "add",
            id,
            "--kind",
            "confidential",
            "--profile",
            profile,
            "--auth-method",
            "private_key_jwt",
        ];
        let more = ["--jwks-file", file.to_str().unwrap(), "--redirect-uri", CALLBACK, "--scope", SCOPE];
        let grants =
            ["--grant", "authorization_code", "--grant", "refresh_token", "--grant", "client_credentials"];
        let shown = gateway.command(&[&words[..], &more, &grants].concat());
        (Self { id: id.to_owned(), key }, serde_json::from_str(&shown).unwrap())
    }

    fn call(&self, path: &str, fields: &[(&str, &str)], claims: &Value) -> Call {
        let mut all = json!({ "iss": self.id, "sub": self.id, "iat": now(), "exp": now().saturating_add(240),
            "jti": format!("{}-{}", self.id, std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()) });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let assertion = jws::sign(&self.key, "JWT", &all).unwrap();
        let shown = [("client_assertion_type", BEARER), ("client_assertion", assertion.as_str())];
        Call::form(path, &[fields, &shown].concat())
    }
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

#[tokio::test]
async fn c1_assertions_are_for_the_issuer_or_the_token_endpoint_and_as_long_as_the_profile_says() {
    let gateway = shared::demo();
    let token_url = format!("{}/token", gateway.issuer);
    for (profile, token_endpoint, longest) in
        [("smart", true, 300), ("mcp", true, 300), ("plain", true, 3600), ("fapi2", false, 300)]
    {
        let id = format!("c1-{profile}");
        let (client, _) = Keyed::register(gateway, &id, profile, Algorithm::ES256);
        let fields = [("grant_type", "client_credentials"), ("scope", "none")];
        // What the client is refused for, once it is known: a scope that it has not.
        let known = |answer: &Answer| answer.error() != "invalid_client";
        for (claims, expected) in [
            (json!({ "aud": gateway.issuer }), true),
            (json!({ "aud": token_url }), token_endpoint),
            (json!({ "aud": [gateway.issuer] }), false),
            (json!({ "aud": [gateway.issuer, "https://elsewhere.example"] }), false),
            (json!({ "aud": gateway.issuer, "exp": now() + longest - 20 }), true),
            (json!({ "aud": gateway.issuer, "exp": now() + longest + 20 }), false),
        ] {
            let answer = client.call("/token", &fields, &claims).to(gateway).await;
            assert_eq!(known(&answer), expected, "{profile} {claims}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn c3_fapi_clients_sign_with_ps256_es256_or_eddsa_and_smart_ones_also_with_es384() {
    let gateway = shared::demo();
    let aud = json!({ "aud": gateway.issuer });
    let fields = [("grant_type", "client_credentials"), ("scope", "none")];
    for (algorithm, fapi) in [
        (Algorithm::PS256, true),
        (Algorithm::EdDSA, true),
        (Algorithm::RS256, false),
        (Algorithm::ES384, false),
    ] {
        for (profile, expected) in [("smart", true), ("fapi2", fapi)] {
            let id = format!("c3-{profile}-{}", algorithm.name().to_lowercase());
            let (client, _) = Keyed::register(gateway, &id, profile, algorithm);
            let answer = client.call("/token", &fields, &aud).to(gateway).await;
            assert_eq!(answer.error() != "invalid_client", expected, "{id}");
        }
    }
}

#[tokio::test]
async fn c5_c8_a_fapi_client_pushes_proves_a_key_and_keeps_its_refresh_token() {
    let gateway = shared::demo();
    let (client, shown) = Keyed::register(gateway, "fapi-app", "fapi2", Algorithm::ES256);
    for (name, value) in [
        ("profile", json!("fapi2")),
        ("require_pushed_authorization_requests", json!(true)),
        ("dpop_bound_access_tokens", json!(true)),
        ("id_token_signed_response_alg", json!("ES256")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let aud = json!({ "aud": gateway.issuer });
    let app = App { client: "fapi-app", scope: SCOPE, ..App::public(SCOPE) };
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let direct = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(crate::browser::Redirect::of(&direct).get("error").as_deref(), Some("invalid_request"), "c8");
    let code_of = async || {
        let pushed = client.call("/par", &fields, &aud).to(gateway).await;
        let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let start = format!("/authorize?{}", encode(&[("client_id", app.client), ("request_uri", &uri)]));
        let redirect = Browser::default().lead(gateway, &start, &gateway.demo_person("dana"), None).await;
        assert_eq!(redirect.get("iss"), Some(gateway.issuer.clone()));
        redirect.get("code").unwrap()
    };
    let redeem = |code: &str| {
        let grant = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        client.call("/token", &[&grant[..], &[("code_verifier", VERIFIER)]].concat(), &aud)
    };
    let answer = redeem(&code_of().await).to(gateway).await;
    assert_eq!(refused(&answer), (400, "invalid_dpop_proof".to_owned()), "no token that is bound to nothing");
    let weak = DpopKey::of(Algorithm::ES384);
    let code = code_of().await;
    weak.learn(&weak.first(gateway, &redeem(&code)).await);
    let proof = weak.proof(gateway, ("POST", "/token"), None, &json!({}));
    let answer = redeem(&code).header("dpop", &proof).to(gateway).await;
    assert_eq!(
        refused(&answer),
        (400, "invalid_dpop_proof".to_owned()),
        "c3: nor one that is signed otherwise"
    );

    let key = DpopKey::new();
    let code = code_of().await;
    key.learn(&key.first(gateway, &redeem(&code)).await);
    let send = async |call: Call| {
        let proof = key.proof(gateway, call.place(), None, &json!({}));
        call.header("dpop", &proof).to(gateway).await
    };
    let tokens = Tokens::of(&send(redeem(&code)).await);
    assert_eq!(part(tokens.answer["id_token"].as_str().unwrap(), 0)["alg"], "ES256");
    assert_eq!(part(&tokens.access, 0)["alg"], "ES256", "c3: every token of it");
    let asked = client.call("/introspect", &[("token", &tokens.access)], &aud);
    let told = asked.header("accept", "application/token-introspection+jwt").to(gateway).await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert_eq!(
        part(told.text(), 0)["alg"],
        "ES256",
        "c3: and every answer, though it registered none for this"
    );
    assert_eq!(part(told.text(), 1)["token_introspection"]["active"], true);
    let own = Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0]));
    assert_eq!(key.using(gateway, own, &tokens.access).to(gateway).await.status, 200);
    // c5: used as often as it is wanted, by whoever proves who they are and some key.
    let refresh = || {
        client.call("/token", &[("grant_type", "refresh_token"), ("refresh_token", tokens.refresh())], &aud)
    };
    for _ in 0..3 {
        let next = Tokens::of(&send(refresh()).await);
        assert_eq!((next.answer.get("refresh_token"), &next.answer["token_type"]), (None, &json!("DPoP")));
    }
    assert_eq!(refused(&refresh().to(gateway).await), (400, "invalid_dpop_proof".to_owned()));
    let answers: Vec<Answer> = {
        let calls: Vec<Call> = (0..10)
            .map(|_| refresh().header("dpop", &key.proof(gateway, ("POST", "/token"), None, &json!({}))))
            .collect();
        crate::parallel::at_once(gateway, calls.len(), |number| calls[number].clone()).await
    };
    assert!(answers.iter().all(|answer| answer.status == 200), "none is a replay of another");
    let revoke = client.call("/revoke", &[("token", tokens.refresh())], &aud).to(gateway).await;
    assert_eq!(revoke.status, 200);
    assert_eq!(refused(&send(refresh()).await), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn an_mcp_client_names_its_resource_in_every_request() {
    let gateway = shared::demo();
    let words =
        ["client", "add", "mcp-app", "--kind", "public", "--profile", "mcp", "--redirect-uri", CALLBACK];
    gateway.command(&[&words[..], &["--scope", SCOPE]].concat());
    let app = App { client: "mcp-app", ..App::public("openid user/*.rs") };
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request
        .iter()
        .filter(|(name, _)| *name != "aud")
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(crate::browser::Redirect::of(&answer).get("error").as_deref(), Some("invalid_target"));
    let resource = format!("{}/fhir", gateway.issuer);
    let named = [&fields[..], &[("resource", resource.as_str())]].concat();
    let dana = gateway.demo_person("dana");
    let redirect = app.authorize_with(gateway, &mut Browser::default(), &dana, &named).await;
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(tokens.claims()["aud"], resource);
    // Named again, it is the same one: a token for one place is not had for another.
    let refresh = |token: &str, resource: &str| {
        app.token_call(&[("grant_type", "refresh_token"), ("refresh_token", token), ("resource", resource)])
    };
    for (other, why) in
        [(gateway.issuer.as_str(), "for another resource"), ("https://elsewhere.example", "not one that")]
    {
        let answer = refresh(tokens.refresh(), other).to(gateway).await;
        assert_eq!(refused(&answer), (400, "invalid_target".to_owned()), "{other}");
        let described = answer.json()["error_description"].as_str().unwrap_or_default().to_owned();
        assert!(described.contains(why), "{other}: {described}");
    }
    let next = Tokens::of(&refresh(tokens.refresh(), &resource).to(gateway).await);
    assert_eq!(next.claims()["aud"], resource);
    let (service, _) = Keyed::register(gateway, "mcp-service", "mcp", Algorithm::ES256);
    let fields = [("grant_type", "client_credentials"), ("scope", "openid")];
    let answer = service.call("/token", &fields, &json!({ "aud": gateway.issuer })).to(gateway).await;
    assert_eq!(answer.status, 400);
}

#[test]
fn a_registration_that_its_profile_does_not_allow_is_refused() {
    let gateway = shared::demo();
    let jwks = json!({ "keys": [SigningKey::generate(Algorithm::ES256).unwrap().public_jwk()] });
    let file = gateway.scratch().write("refused.json", jwks.to_string());
    let keys = ["--jwks-file", file.to_str().unwrap()];
    for (words, why) in [
        (&["--kind", "public"][..], "private_key_jwt"),
        (&["--kind", "confidential"], "private_key_jwt"),
        (
            &["--kind", "confidential", "--auth-method", "client_secret_basic", keys[0], keys[1]],
            "private_key_jwt",
        ),
        (
            &["--kind", "confidential", keys[0], keys[1], "--id-token-signed-response-alg", "RS256"],
            "ID tokens",
        ),
        (
            &["--kind", "confidential", keys[0], keys[1], "--introspection-signed-response-alg", "RS256"],
            "signed with PS256",
        ),
    ] {
        let all = ["client", "add", "no-fapi", "--profile", "fapi2", "--redirect-uri", CALLBACK];
        let done = gateway.try_command(&[&all[..], words].concat());
        assert!(!done.success && done.err.contains(why), "{words:?}: {}", done.err);
    }
    assert!(!gateway.try_command(&["client", "add", "x", "--kind", "public", "--profile", "strict"]).success);
}

impl Keyed {
    /// A good request object of an application with these changes; what is `null` is left out.
    fn object(&self, gateway: &Gateway, jti: &str, changes: &Value) -> String {
        let mut claims = json!({});
        for (name, value) in (App { client: &self.id, ..App::public(SCOPE) }).request(gateway) {
            claims[name] = value.into();
        }
        let (from, until) = (now(), now().saturating_add(60));
        for (name, value) in [
            ("iss", json!(self.id)),
            ("aud", json!(gateway.issuer)),
            ("nbf", json!(from)),
            ("exp", json!(until)),
            ("jti", json!(jti)),
        ] {
            claims[name] = value;
        }
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jws::sign(&self.key, "oauth-authz-req+jwt", &claims).unwrap()
    }
}

#[tokio::test]
async fn fapi2_par_ensure_client_assertions_nbf_8_seconds_in_the_future_is_accepted_and_others_are_not() {
    let gateway = shared::demo();
    let fields = [("grant_type", "client_credentials"), ("scope", "none")];
    for (profile, eight_ahead) in [("fapi2", true), ("smart", false)] {
        let (client, _) = Keyed::register(gateway, &format!("skew-{profile}"), profile, Algorithm::ES256);
        for (ahead, expected) in [(0, true), (8, eight_ahead), (61, false)] {
            for name in ["nbf", "iat"] {
                let claims = json!({ "aud": gateway.issuer, name: now() + ahead });
                let answer = client.call("/token", &fields, &claims).to(gateway).await;
                assert_eq!(answer.error() != "invalid_client", expected, "{profile} {name} {ahead}");
            }
        }
        let par = json!({ "aud": format!("{}/par", gateway.issuer) });
        assert_eq!(
            client.call("/par", &[], &par).to(gateway).await.error(),
            "invalid_client",
            "another audience"
        );
    }
    assert_eq!(Call::get("/par").to(gateway).await.status, 405);
}

#[tokio::test]
async fn fapi2_ensure_request_objects_are_of_their_time_their_algorithm_and_used_once() {
    let gateway = shared::demo();
    let (client, _) = Keyed::register(gateway, "fapi-objects", "fapi2", Algorithm::ES256);
    let push = async |client: &Keyed, object: &str| {
        let fields = [("request", object), ("state", "outside")];
        client.call("/par", &fields, &json!({ "aud": gateway.issuer })).to(gateway).await
    };
    for (number, (changes, error)) in [
        (json!({}), ""),
        (json!({ "nbf": now() + 8 }), ""),
        (json!({ "state": "s".repeat(384) }), ""),
        (json!({ "jti": null, "state": null }), ""),
        (json!({ "nbf": now() + 65, "exp": now() + 90 }), "invalid_request_object"),
        (json!({ "nbf": now() - 3700 }), "invalid_request_object"),
        (json!({ "nbf": null }), "invalid_request_object"),
        (json!({ "redirect_uri": null }), "invalid_request"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = push(&client, &client.object(gateway, &format!("object-{number}"), &changes)).await;
        assert_eq!(answer.error(), error, "{changes}: {}", answer.text());
    }
    let object = client.object(gateway, "twice", &json!({}));
    assert_eq!(push(&client, &object).await.status, 201);
    assert_eq!(refused(&push(&client, &object).await), (400, "invalid_request_object".into()), "once");
    // A key that is good for other clients: RS256 is nothing that this profile signs with.
    let rsa = SigningKey::generate(Algorithm::RS256).unwrap();
    let jwks = json!({ "keys": [client.key.public_jwk(), rsa.public_jwk()] });
    let file = gateway.scratch().write("fapi-objects-rsa.json", jwks.to_string());
    let words = [
        "client",
        "add",
        "fapi-rsa",
        "--kind",
        "confidential",
        "--profile",
        "fapi2",
        "--auth-method",
        "private_key_jwt",
    ];
    let more = ["--jwks-file", file.to_str().unwrap(), "--redirect-uri", CALLBACK, "--scope", SCOPE];
    gateway.command(&[&words[..], &more].concat());
    let both = Keyed { id: "fapi-rsa".to_owned(), key: client.key };
    let by_rsa = Keyed { id: "fapi-rsa".to_owned(), key: rsa }.object(gateway, "rsa", &json!({}));
    assert_eq!(refused(&push(&both, &by_rsa).await), (400, "invalid_request_object".into()));
    let by_ec = both.object(gateway, "ec", &json!({}));
    assert_eq!(push(&both, &by_ec).await.status, 201);
}
