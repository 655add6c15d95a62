//! SMART App Launch 2.2, by the numbers of its requirements for servers; `docs/smart-conformance.md` says which test holds
//! which of them, and which none holds.

use std::collections::BTreeSet;

use chartgate_protocol::jose::{Algorithm, SigningKey};
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Tokens, USER_SCOPE};
use crate::gateway::{Gateway, Person};
use crate::shared;
use crate::wire::{Answer, Call};

const PAGE: &str = include_str!("../../../../docs/smart-conformance.md");

#[test]
fn every_requirement_for_servers_stands_in_the_page() {
    let Some(folder) = shared::folder("standards") else { return };
    let list = std::fs::read_to_string(folder.join("smart-2.2-server-requirements.tsv")).unwrap();
    let required: BTreeSet<u32> = list
        .lines()
        .filter_map(|line| {
            let (number, rest) = line.split_once('\t')?;
            rest.starts_with("SHALL").then(|| number.parse().unwrap())
        })
        .collect();
    assert!(required.len() > 150, "the list was read");
    let mut told = BTreeSet::new();
    for number in PAGE.lines().filter_map(numbers).flatten() {
        assert!(told.insert(number), "{number} stands there twice");
    }
    let missing: Vec<_> = required.difference(&told).collect();
    assert!(missing.is_empty(), "docs/smart-conformance.md says nothing of {missing:?}");
}

/// The first cell of a row, where it has numbers: `14, 48-50`.
fn numbers(line: &str) -> Option<Vec<u32>> {
    let cell = line.strip_prefix("| ")?.split(" |").next()?;
    let mut numbers = Vec::new();
    for part in cell.split(", ") {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

#[tokio::test]
async fn smart_17_registered_origins_may_call_the_token_endpoint_and_fhir_and_no_others() {
    let gateway = shared::demo();
    let add = |id: &str, kind: &str, callback: &str| {
        let words = ["client", "add", id, "--kind", kind, "--redirect-uri", callback, "--scope", USER_SCOPE];
        gateway.command(&words)
    };
    add("smart-17", "public", CALLBACK);
    let app = App { client: "smart-17", ..App::public(USER_SCOPE) };
    let tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    let record = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let (ours, allowed) = ("http://127.0.0.1:9999", "access-control-allow-origin");
    let ask = |path: &str, method: &str, origin: &str| {
        Call::new("OPTIONS", path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization,content-type")
    };
    for (path, method) in [(record.as_str(), "GET"), ("/fhir/Observation", "POST"), ("/token", "POST")] {
        let answer = ask(path, method, ours).to(gateway).await;
        assert_eq!((answer.status, answer.header(allowed)), (204, ours), "{path}");
        assert!(answer.header("access-control-allow-methods").contains(method), "{path}");
        assert!(answer.header("access-control-allow-headers").contains("authorization"), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "no cookie goes along");
        let near_misses = [
            "https://evil.example",
            "null",
            "http://127.0.0.1:9998",
            "http://127.0.0.1:99990",
            "https://127.0.0.1:9999",
        ];
        for stranger in near_misses {
            let answer = ask(path, method, stranger).to(gateway).await;
            assert_eq!(answer.header(allowed), "", "{path} {stranger}");
            assert!(answer.status >= 400, "{path} {stranger}");
        }
    }
    let read = |origin: &str| Call::get(&record).header("origin", origin).bearer(&tokens.access);
    let answer = read(ours).to(gateway).await;
    assert_eq!((answer.status, answer.header(allowed), answer.header("vary")), (200, ours, "origin"));
    assert!(answer.header("access-control-expose-headers").contains("etag"));
    let answer = read("https://evil.example").to(gateway).await;
    assert_eq!((answer.status, answer.header(allowed)), (200, ""), "a page of theirs cannot read it");
    let refused = app.refresh_call("x").header("origin", ours).to(gateway).await;
    assert_eq!((refused.error().as_str(), refused.header(allowed)), ("invalid_grant", ours));
    // A registration counts from then on, and only that of an application without a secret: others are no browsers.
    for (id, kind, status) in [("cors-page", "public", 204), ("cors-server", "confidential", 405)] {
        let origin = format!("https://{id}.example");
        assert_ne!(ask("/token", "POST", &origin).to(gateway).await.status, 204);
        add(id, kind, &format!("{origin}/callback"));
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(ask("/token", "POST", &origin).to(gateway).await.status, status, "{id}");
    }
    // What is for people and what is open to all stays as it is.
    let page = Call::get("/login").header("origin", ours).to(gateway).await;
    assert_eq!(page.header(allowed), "");
    let open = Call::get("/fhir/metadata").header("origin", "https://evil.example").to(gateway).await;
    assert_eq!(open.header(allowed), "*");
}

async fn with_patient(gateway: &Gateway, app: &App<'_>) -> Tokens {
    app.tokens(gateway, &gateway.demo_person("dana")).await
}

#[tokio::test]
async fn smart_109_a_refresh_answers_with_the_scope_and_context_of_the_first() {
    let gateway = shared::demo();
    let patient = gateway.panel("dana")[0];
    let app =
        App { patient: Some(patient), ..App::public("openid launch/patient patient/*.rs offline_access") };
    let first = with_patient(gateway, &app).await;
    let next = Tokens::of(&app.refresh_call(first.refresh()).to(gateway).await);
    for member in ["scope", "token_type", "expires_in", "patient", "need_patient_banner"] {
        assert!(!first.answer[member].is_null(), "{member}");
        assert_eq!(next.answer[member], first.answer[member], "{member}");
    }
    assert_eq!(first.answer["patient"], patient);
    assert_ne!(next.access, first.access);
}

#[tokio::test]
async fn smart_164_a_patient_scope_by_itself_puts_a_patient_in_context() {
    let gateway = shared::demo();
    let patient = gateway.panel("dana")[1];
    let app = App { patient: Some(patient), ..App::public("openid patient/*.rs") };
    let tokens = with_patient(gateway, &app).await;
    assert_eq!(tokens.answer["patient"], patient);
    assert_eq!(tokens.answer["scope"], "openid patient/*.rs");
}

#[tokio::test]
async fn smart_277_introspection_tells_the_launch_context_of_the_token_answer() {
    let gateway = shared::demo();
    let patient = gateway.panel("dana")[0];
    let web = App { patient: Some(patient), ..App::web(gateway, "openid fhirUser patient/*.rs") };
    let tokens = with_patient(gateway, &web).await;
    let told = web.call("/introspect", &[("token", &tokens.access)]).to(gateway).await.json();
    let id_token = crate::browser::part(tokens.answer["id_token"].as_str().unwrap(), 1);
    for (member, expected) in [
        ("active", &json!(true)),
        ("scope", &tokens.answer["scope"]),
        ("client_id", &json!("demo-web")),
        ("patient", &tokens.answer["patient"]),
        ("need_patient_banner", &tokens.answer["need_patient_banner"]),
        ("iss", &id_token["iss"]),
        ("sub", &id_token["sub"]),
        ("fhirUser", &id_token["fhirUser"]),
    ] {
        assert!(!expected.is_null(), "{member}");
        assert_eq!(&told[member], expected, "{member}");
    }
    let life = told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap();
    assert_eq!(life, tokens.answer["expires_in"].as_i64().unwrap(), "276");
}

#[tokio::test]
async fn smart_197_whom_no_resource_represents_gives_no_fhir_user() {
    let gateway = shared::demo();
    let password = "quiet-otter-climbs-nobody";
    let file = std::env::temp_dir().join(format!("chartgate-smart-197-{}", std::process::id()));
    std::fs::write(&file, password).unwrap();
    let words = ["user", "add", "no-resource", "--role", "physician", "--password-file"];
    gateway.command(&[&words[..], &[file.to_str().unwrap()]].concat());
    std::fs::remove_file(&file).unwrap();
    let person = Person { name: "no-resource".to_owned(), password: password.to_owned() };
    let app = App::public("openid fhirUser user/*.rs");
    let tokens = app.tokens_in(gateway, &mut Browser::default(), &person).await;
    assert_eq!(tokens.answer["scope"], "openid user/*.rs");
    let id_token = crate::browser::part(tokens.answer["id_token"].as_str().unwrap(), 1);
    assert_eq!((id_token.get("fhirUser"), tokens.claims().get("fhirUser")), (None, None));
}

#[tokio::test]
async fn smart_338_an_address_of_keys_that_was_not_registered_fails_the_assertion() {
    let gateway = shared::demo();
    let key = SigningKey::generate(Algorithm::ES384).unwrap();
    let keys: chartgate_protocol::jose::KeySet = std::iter::once(key.verifying_key().clone()).collect();
    let file = std::env::temp_dir().join(format!("chartgate-smart-338-{}", std::process::id()));
    std::fs::write(&file, serde_json::to_string(&keys).unwrap()).unwrap();
    let words = ["client", "add", "smart-338", "--kind", "backend", "--scope", "system/*.rs", "--jwks-file"];
    gateway.command(&[&words[..], &[file.to_str().unwrap()]].concat());
    std::fs::remove_file(&file).unwrap();
    let ask = async |jku: Option<&str>, jti: &str| -> Answer {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut header = json!({ "alg": "ES384", "typ": "JWT", "kid": key.kid() });
        if let Some(jku) = jku {
            header["jku"] = json!(jku);
        }
        let claims = json!({ "iss": "smart-338", "sub": "smart-338", "aud": format!("{}/token", gateway.issuer),
            "exp": now.saturating_add(200), "jti": jti });
        let assertion = signed(&key, &header, &claims);
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        Call::form("/token", &fields).to(gateway).await
    };
    let good = ask(None, "without").await;
    assert_eq!(good.status, 200, "{}", good.text());
    for jku in ["https://evil.example/keys", "http://169.254.169.254/", ""] {
        let answer = ask(Some(jku), &format!("with {jku}")).await;
        assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "{jku}");
    }
}

fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| chartgate_protocol::base64url::encode(value.to_string().as_bytes());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", chartgate_protocol::base64url::encode(&signature))
}

#[tokio::test]
async fn smart_373_the_configuration_has_what_its_capabilities_require() {
    let gateway = shared::demo();
    let smart = Call::get("/fhir/.well-known/smart-configuration").to(gateway).await.json();
    for endpoint in [
        "issuer",
        "jwks_uri",
        "authorization_endpoint",
        "token_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
    ] {
        assert!(smart[endpoint].as_str().unwrap().starts_with("https://"), "{endpoint}");
    }
    let lists = |member: &str, value: &str| smart[member].as_array().unwrap().contains(&value.into());
    for (member, value) in [
        ("grant_types_supported", "authorization_code"),
        ("grant_types_supported", "client_credentials"),
        ("token_endpoint_auth_methods_supported", "private_key_jwt"),
        ("token_endpoint_auth_signing_alg_values_supported", "RS384"),
        ("token_endpoint_auth_signing_alg_values_supported", "ES384"),
        ("scopes_supported", "launch/patient"),
        ("capabilities", "sso-openid-connect"),
        ("capabilities", "client-confidential-asymmetric"),
        ("capabilities", "context-banner"),
    ] {
        assert!(lists(member, value), "{member} {value}");
    }
    // What is not built is not said.
    for absent in ["context-style", "smart-app-state"] {
        assert!(!lists("capabilities", absent), "{absent}");
    }
}
