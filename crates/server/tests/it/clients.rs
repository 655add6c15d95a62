//! Attacks on how clients show who they are, and what discovery promises: rows O14, O15, O17, O28 of the corpus.

use chartgate_protocol::jose::{Algorithm, SigningKey, jws};
use chartgate_values::Secret;
use serde_json::{Value, json};

use crate::browser::part;
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The key that the demo's backend registered.
fn backend_key(gateway: &Gateway) -> SigningKey {
    let jwk = gateway.client("demo-backend")["private_jwk"].to_string();
    SigningKey::from_private_jwk(Algorithm::ES384, &Secret::new(jwk.into_bytes())).unwrap()
}

/// Claims that are right, but for what is changed: `null` leaves a claim out.
fn claims(gateway: &Gateway, jti: &str, changes: &Value) -> Value {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut claims = json!({
        "iss": "demo-backend", "sub": "demo-backend", "aud": format!("{}/token", gateway.issuer),
        "iat": now, "exp": now.saturating_add(240), "jti": jti,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => match value.as_str().and_then(|text| text.strip_prefix("now")) {
                Some(by) => claims[name] = now.saturating_add_signed(by.parse().unwrap()).into(),
                None => claims[name] = value.clone(),
            },
        }
    }
    claims
}

fn ask(assertion: &str) -> Call {
    let fields = [
        ("grant_type", "client_credentials"),
        ("scope", "system/*.rs"),
        ("client_assertion_type", BEARER),
        ("client_assertion", assertion),
    ];
    Call::form("/token", &fields)
}

fn is_invalid_client(answer: &Answer) -> bool {
    answer.status == 401 && answer.error() == "invalid_client"
}

#[tokio::test]
async fn a_backend_gets_a_token_for_itself_by_an_assertion() {
    let gateway = shared::demo();
    let key = backend_key(gateway);
    for (jti, audience) in [("token-url", "/token"), ("issuer", "")] {
        let aud = json!({ "aud": format!("{}{audience}", gateway.issuer) });
        let assertion = jws::sign(&key, "JWT", &claims(gateway, jti, &aud)).unwrap();
        let answer = ask(&assertion).to(gateway).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(part(&token, 1)["sub"], "demo-backend");
        assert_eq!(answer.json().get("refresh_token"), None);
        assert!(answer.json()["expires_in"].as_u64().unwrap() <= 300);
        let any = Call::get(&format!("/fhir/Patient/{}", gateway.patients()[5])).bearer(&token);
        assert_eq!(any.to(gateway).await.status, 200);
        let write = json!({ "resourceType": "Patient" });
        let refused = Call::fhir("POST", "/fhir/Patient", &write).bearer(&token).to(gateway).await;
        assert_eq!(refused.status, 403, "it may read and search, no more");
    }
}

#[tokio::test]
async fn o14_an_assertion_is_good_once() {
    let gateway = shared::demo();
    let assertion = jws::sign(&backend_key(gateway), "JWT", &claims(gateway, "once", &json!({}))).unwrap();
    assert_eq!(ask(&assertion).to(gateway).await.status, 200);
    assert!(is_invalid_client(&ask(&assertion).to(gateway).await));
    // The same `jti` under another signature is the same assertion.
    let again = jws::sign(&backend_key(gateway), "JWT", &claims(gateway, "once", &json!({}))).unwrap();
    assert_ne!(assertion, again);
    assert!(is_invalid_client(&ask(&again).to(gateway).await));
}

#[tokio::test]
async fn o14_of_fifty_parallel_uses_of_an_assertion_one_wins() {
    let gateway = shared::demo();
    for jti in ["race-1", "race-2", "race-3"] {
        let assertion = jws::sign(&backend_key(gateway), "JWT", &claims(gateway, jti, &json!({}))).unwrap();
        let answers = at_once(gateway, FIFTY, |_| ask(&assertion)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert_eq!(answers.iter().filter(|answer| is_invalid_client(answer)).count(), FIFTY - 1);
    }
}

#[tokio::test]
async fn o14_an_assertion_that_is_not_exactly_right_is_refused() {
    let gateway = shared::demo();
    let key = backend_key(gateway);
    let issuer = gateway.issuer.as_str();
    for (number, changes) in [
        json!({ "aud": "https://elsewhere.example/token" }),
        json!({ "aud": [format!("{issuer}/token")] }),
        json!({ "aud": format!("{issuer}/token/") }),
        json!({ "aud": format!("{issuer}/fhir") }),
        json!({ "aud": null }),
        json!({ "exp": "now+330" }),
        json!({ "exp": "now+86400" }),
        json!({ "exp": "now+0" }),
        json!({ "exp": "now-1" }),
        json!({ "exp": null }),
        json!({ "exp": "2099-01-01" }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": "now+60" }),
        json!({ "iat": "now+60" }),
        json!({ "iss": "demo-service" }),
        json!({ "sub": "demo-service" }),
        json!({ "iss": "demo-service", "sub": "demo-service" }),
        json!({ "iss": null }),
        json!({ "sub": null }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "jti": 7 }),
    ]
    .iter()
    .enumerate()
    {
        let assertion = jws::sign(&key, "JWT", &claims(gateway, &format!("o14-{number}"), changes)).unwrap();
        let answer = ask(&assertion).to(gateway).await;
        assert!(is_invalid_client(&answer), "{changes}: {}", answer.text());
    }
    let stranger = SigningKey::generate(Algorithm::ES384).unwrap();
    let forged = jws::sign(&stranger, "JWT", &claims(gateway, "forged", &json!({}))).unwrap();
    assert!(is_invalid_client(&ask(&forged).to(gateway).await), "another's key");
    let as_access_token = jws::sign(&key, "at+jwt", &claims(gateway, "typ", &json!({}))).unwrap();
    assert!(is_invalid_client(&ask(&as_access_token).to(gateway).await), "another kind of token");
    let good = jws::sign(&key, "JWT", &claims(gateway, "good", &json!({}))).unwrap();
    let (head, signature) = good.rsplit_once('.').unwrap();
    for bad in [
        format!("{head}."),
        head.to_owned(),
        format!("{good}="),
        format!("{good} "),
        format!("{head}.A{}", signature.split_at(1).1),
    ] {
        let answer = ask(&bad).to(gateway).await;
        // A signature that begins with that letter by chance would be a good one.
        assert!(is_invalid_client(&answer) || bad == good, "{bad}");
    }
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    assert!(is_invalid_client(&ask(&unsigned).to(gateway).await), "j01");
    for (name, call) in [
        (
            "other type",
            Call::form("/token", &[("client_assertion_type", "saml"), ("client_assertion", &good)]),
        ),
        ("no type", Call::form("/token", &[("client_assertion", &good)])),
        ("secret", Call::form("/token", &[("client_id", "demo-backend"), ("client_secret", "x")])),
        ("nothing", Call::form("/token", &[("client_id", "demo-backend")])),
    ] {
        assert!(is_invalid_client(&call.to(gateway).await), "{name}");
    }
}

#[tokio::test]
async fn o28_a_client_authenticates_in_its_own_way_and_one_way_at_a_time() {
    let gateway = shared::demo();
    let secret = gateway.secret("demo-service");
    let grant = ("grant_type", "client_credentials");
    let basic = Call::form("/token", &[grant]).basic("demo-service", secret).to(gateway).await;
    assert_eq!(basic.status, 200);
    assert_eq!(basic.json()["scope"], "system/*.rs", "what it is registered for");

    let post = [grant, ("client_id", "demo-service"), ("client_secret", secret)];
    assert!(is_invalid_client(&Call::form("/token", &post).to(gateway).await), "registered for basic");
    let both = Call::form("/token", &post).basic("demo-service", secret).to(gateway).await;
    assert_eq!((both.status, both.error()), (400, "invalid_request".to_owned()));
    let other = Call::form("/token", &[grant, ("client_id", "demo-web")]).basic("demo-service", secret);
    assert_eq!(other.to(gateway).await.error(), "invalid_request");
    let twice = Call::form("/token", &[grant]).basic("demo-service", secret).basic("demo-service", secret);
    assert_eq!(twice.to(gateway).await.status, 400, "g05");

    let mut refusals = Vec::new();
    for (name, secret) in
        [("demo-service", "wrong"), ("demo-service", ""), ("nobody", secret), ("demo-app", "x")]
    {
        let answer = Call::form("/token", &[grant]).basic(name, secret).to(gateway).await;
        assert!(answer.header("www-authenticate").starts_with("Basic "), "{name}");
        assert!(is_invalid_client(&answer), "{name}");
        refusals.push(answer.without_date());
    }
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "a01: known and unknown look alike");
    assert!(is_invalid_client(
        &Call::form("/token", &[grant]).header("authorization", "Basic !!").to(gateway).await
    ));
    assert!(is_invalid_client(
        &Call::form("/token", &[grant]).header("authorization", "Bearer x").to(gateway).await
    ));
}

#[tokio::test]
async fn o28_a_client_of_client_secret_post_is_served_by_post_alone() {
    let gateway = shared::demo();
    let made = gateway.command(&[
        "client",
        "add",
        "poster",
        "--kind",
        "confidential",
        "--auth-method",
        "client_secret_post",
        "--grant",
        "client_credentials",
        "--scope",
        "system/Observation.rs",
        "--role",
        "service",
    ]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let secret = made["client_secret"].as_str().unwrap();
    let grant = ("grant_type", "client_credentials");
    let post = [grant, ("client_id", "poster"), ("client_secret", secret)];
    let answer = Call::form("/token", &post).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(Call::get("/fhir/Observation?_count=1").bearer(&token).to(gateway).await.status, 200);
    assert_eq!(Call::get("/fhir/Condition?_count=1").bearer(&token).to(gateway).await.status, 403);
    assert!(is_invalid_client(&Call::form("/token", &[grant]).basic("poster", secret).to(gateway).await));

    // A new secret takes the old one's place; a removed client has neither secret nor token.
    let rotated: Value =
        serde_json::from_str(&gateway.command(&["client", "rotate-secret", "poster"])).unwrap();
    assert!(is_invalid_client(&Call::form("/token", &post).to(gateway).await));
    let fresh = rotated["client_secret"].as_str().unwrap();
    let post = [grant, ("client_id", "poster"), ("client_secret", fresh)];
    assert_eq!(Call::form("/token", &post).to(gateway).await.status, 200);
    gateway.command(&["client", "remove", "poster"]);
    assert!(is_invalid_client(&Call::form("/token", &post).to(gateway).await), "o15");
    assert_eq!(Call::get("/fhir/Observation?_count=1").bearer(&token).to(gateway).await.status, 401);
    let again = ["client", "add", "poster", "--kind", "backend", "--grant", "client_credentials"];
    assert!(!gateway.try_command(&again).success, "a13: ids are never reused");
}

#[tokio::test]
async fn o11_a_service_is_granted_what_it_is_registered_for_and_nothing_of_peoples() {
    let gateway = shared::demo();
    let secret = gateway.secret("demo-service");
    let ask = |scope: &str| {
        Call::form("/token", &[("grant_type", "client_credentials"), ("scope", scope)])
            .basic("demo-service", secret)
    };
    let mixed =
        ask("system/Patient.rs openid offline_access launch/patient user/*.rs patient/*.rs system/*.cruds");
    assert_eq!(mixed.to(gateway).await.json()["scope"], "system/Patient.rs");
    for none in ["openid", "user/*.rs", "system/*.cruds", "system/Patient.sr", "nonsense"] {
        assert_eq!(ask(none).to(gateway).await.error(), "invalid_scope", "{none}");
    }
    let elsewhere =
        Call::form("/token", &[("grant_type", "client_credentials"), ("resource", "https://x.example")])
            .basic("demo-service", secret);
    assert_eq!(elsewhere.to(gateway).await.error(), "invalid_target");
}

#[tokio::test]
async fn discovery_says_what_is_there_and_every_endpoint_that_it_names_answers() {
    let gateway = shared::demo();
    let openid = Call::get("/.well-known/openid-configuration").to(gateway).await;
    let oauth = Call::get("/.well-known/oauth-authorization-server").to(gateway).await;
    assert_eq!(openid.json(), oauth.json());
    let document = openid.json();
    assert_eq!(document["issuer"], gateway.issuer);
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(document["response_types_supported"], json!(["code"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    for (name, status) in [
        ("authorization_endpoint", 400),
        ("token_endpoint", 405),
        ("jwks_uri", 200),
        ("userinfo_endpoint", 401),
        ("revocation_endpoint", 405),
    ] {
        let url = document[name].as_str().unwrap();
        let path = url.strip_prefix(&gateway.issuer).unwrap();
        assert_eq!(Call::get(path).to(gateway).await.status, status, "{name}");
    }
    // Smart-configuration is JSON whatever `Accept` says, and open to any site.
    for accept in ["application/json", "application/fhir+xml", "*/*"] {
        let smart =
            Call::get("/fhir/.well-known/smart-configuration").header("accept", accept).to(gateway).await;
        assert_eq!((smart.status, smart.header("content-type")), (200, "application/json"), "{accept}");
        assert_eq!(smart.header("access-control-allow-origin"), "*");
        let smart = smart.json();
        assert_eq!(smart["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(smart["token_endpoint"], document["token_endpoint"]);
        for capability in
            ["launch-standalone", "client-confidential-asymmetric", "permission-online", "permission-v2"]
        {
            assert!(smart["capabilities"].as_array().unwrap().contains(&capability.into()), "{capability}");
        }
    }
    let resource = Call::get("/.well-known/oauth-protected-resource/fhir").to(gateway).await.json();
    assert_eq!(resource["resource"], format!("{}/fhir", gateway.issuer));
    assert_eq!(resource["authorization_servers"], json!([gateway.issuer]));
    let metadata = Call::get("/fhir/metadata").to(gateway).await;
    let statement = metadata.json();
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    let offered = statement["rest"][0]["resource"].as_array().unwrap();
    let observation = offered.iter().find(|one| one["type"] == "Observation").unwrap();
    let parameters = observation["searchParam"].as_array().unwrap();
    assert!(parameters.contains(&json!({ "name": "patient", "type": "reference" })), "{parameters:?}");
    // The server behind lists it for every type; R4 does not have it for this one, and the gateway refuses it.
    assert!(!parameters.iter().any(|one| one["name"] == "birthdate"), "{parameters:?}");
    assert_eq!(metadata.header("access-control-allow-origin"), "*");
    let challenge = Call::get("/fhir/Patient/x").to(gateway).await;
    assert_eq!(challenge.status, 401);
    let named = format!("{}/.well-known/oauth-protected-resource/fhir", gateway.issuer);
    assert!(
        challenge.header("www-authenticate").contains(&named),
        "{}",
        challenge.header("www-authenticate")
    );
    for later in ["/admin", "/admin/api/v1/users", "/admin/api/openapi.json", "/nothing"] {
        assert_eq!(Call::get(later).to(gateway).await.status, 404, "{later}");
    }
}
