//! Tokens that are bound to a key (RFC 9449): rows O06, O12 and O13 of the corpus.

use chartgate_protocol::jose::Algorithm;
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Tokens, USER_SCOPE};
use crate::device;
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::possession::{DpopKey, now};
use crate::shared;
use crate::wire::{Answer, Call, Connection, encode};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Tokens of a person, bound to this key.
async fn bound(gateway: &Gateway, app: &App<'_>, key: &DpopKey) -> Tokens {
    let code = app.code(gateway, &gateway.demo_person("dana")).await;
    Tokens::of(&key.send(gateway, &app.exchange_call(&code)).await)
}

fn own_record(gateway: &Gateway) -> Call {
    Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0]))
}

async fn reads(gateway: &Gateway, key: &DpopKey, token: &str) -> bool {
    let answer = key.using(gateway, own_record(gateway), token).to(gateway).await;
    key.learn(&answer);
    match answer.status {
        200 => true,
        401 => false,
        other => panic!("{other}: {}", answer.text()),
    }
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

/// What the challenge of the scheme `DPoP` says.
fn challenge(answer: &Answer) -> String {
    let all = answer.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap());
    all.filter(|value| value.starts_with("DPoP ")).map(str::to_owned).collect::<Vec<_>>().join("; ")
}

fn register(gateway: &Gateway, id: &str, kind: &str, more: &[&str]) -> Value {
    let words =
        ["client", "add", id, "--kind", kind, "--scope", "openid offline_access user/*.rs system/*.rs"];
    serde_json::from_str(&gateway.command(&[&words, more].concat())).unwrap()
}

#[tokio::test]
async fn a_bound_token_reads_with_its_proof_and_every_answer_says_what_it_is() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256] {
        let key = DpopKey::of(algorithm);
        let tokens = bound(gateway, &app, &key).await;
        assert_eq!(tokens.answer["token_type"], "DPoP");
        assert_eq!(tokens.claims()["cnf"], json!({ "jkt": key.jkt() }));
        assert!(reads(gateway, &key, &tokens.access).await);
        let found = key.using(gateway, Call::get("/fhir/Patient?_count=1"), &tokens.access).to(gateway).await;
        assert_eq!(found.status, 200, "a query is no part of htu");
        let told = key.using(gateway, Call::get("/userinfo"), &tokens.access).to(gateway).await;
        assert_eq!(told.json()["sub"], "dana");
        let stranger = Call::get("/userinfo").bearer(&tokens.access).to(gateway).await;
        assert_eq!(stranger.status, 401);
    }
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let algorithms = metadata["dpop_signing_alg_values_supported"].as_array().unwrap();
    assert!(algorithms.contains(&json!("ES256")) && !algorithms.contains(&json!("none")));
    let resource = Call::get("/.well-known/oauth-protected-resource/fhir").to(gateway).await.json();
    assert_eq!(resource["dpop_signing_alg_values_supported"], metadata["dpop_signing_alg_values_supported"]);
    // Who shows nothing learns both ways, in this order.
    let answer = own_record(gateway).to(gateway).await;
    assert!(answer.header("www-authenticate").starts_with("Bearer "));
    assert!(challenge(&answer).contains("algs=\"ES256 "), "{}", challenge(&answer));
}

#[tokio::test]
async fn o06_o13_a_bound_token_is_no_bearer_token_and_an_unbound_one_no_dpop_token() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let (key, thief) = (DpopKey::new(), DpopKey::new());
    let tokens = bound(gateway, &app, &key).await;
    assert!(reads(gateway, &key, &tokens.access).await);
    let as_bearer = own_record(gateway).bearer(&tokens.access).to(gateway).await;
    assert_eq!(as_bearer.status, 401);
    assert!(as_bearer.header("www-authenticate").contains("error=\"invalid_token\""));
    thief.learn(
        &key.using_with(gateway, own_record(gateway), &tokens.access, &json!({"nonce": null}))
            .to(gateway)
            .await,
    );
    assert!(!reads(gateway, &thief, &tokens.access).await);
    let unbound = app.tokens(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(unbound.answer["token_type"], "Bearer");
    assert!(!reads(gateway, &key, &unbound.access).await);
    let dressed = key.proof(gateway, ("GET", "/fhir/metadata"), Some(&unbound.access), &json!({}));
    let beside = own_record(gateway).bearer(&unbound.access).header("dpop", &dressed).to(gateway).await;
    assert_eq!(beside.status, 200, "beside `Bearer` a proof says nothing");
    let records = gateway.audit(&["--outcome", "deny"]);
    assert!(
        records.iter().any(|record| record["event"] == "access" && record["decision"]["reason"] == "cnf")
    );
}

#[tokio::test]
async fn o13_a_proof_that_is_not_exactly_right_opens_nothing() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let key = DpopKey::new();
    let tokens = bound(gateway, &app, &key).await;
    assert!(reads(gateway, &key, &tokens.access).await);
    let token = tokens.access.as_str();
    let here = format!("{}/fhir/Patient/{}", gateway.issuer, gateway.panel("dana")[0]);
    for changes in [
        json!({ "htm": "POST" }),
        json!({ "htm": "get" }),
        json!({ "htm": null }),
        json!({ "htu": format!("{}/token", gateway.issuer) }),
        json!({ "htu": format!("{here}/") }),
        json!({ "htu": here.replace("/fhir/", "/FHIR/") }),
        json!({ "htu": here.replace("https:", "http:") }),
        json!({ "htu": here.replace("localhost", "localhost.evil.example") }),
        json!({ "htu": null }),
        json!({ "iat": now() - 61 }),
        json!({ "iat": now() + 60 }),
        json!({ "iat": null }),
        json!({ "ath": null }),
        json!({ "ath": crate::possession::ath("another token") }),
        json!({ "jti": null }),
        json!({ "jti": "j".repeat(129) }),
    ] {
        let answer = key.using_with(gateway, own_record(gateway), token, &changes).to(gateway).await;
        assert_eq!(answer.status, 401, "{changes}");
        assert!(
            challenge(&answer).contains("error=\"invalid_dpop_proof\""),
            "{changes}: {}",
            challenge(&answer)
        );
        assert_eq!(answer.header("dpop-nonce"), "", "{changes}");
    }
    let same =
        key.using_with(gateway, own_record(gateway), token, &json!({ "htu": format!("{here}?a=b#c") }));
    assert_eq!(same.to(gateway).await.status, 200);
    // Two proofs, in two lines or in one, are none; and so is no proof.
    let [first, second] =
        [0, 1].map(|_| key.proof(gateway, own_record(gateway).place(), Some(token), &json!({})));
    let by_dpop = |call: Call| call.header("authorization", &format!("DPoP {token}"));
    for call in [
        by_dpop(own_record(gateway)).header("dpop", &first).header("dpop", &second),
        by_dpop(own_record(gateway)).header("dpop", &format!("{first}, {second}")),
        by_dpop(own_record(gateway)).header("dpop", ""),
        by_dpop(own_record(gateway)),
    ] {
        let answer = call.to(gateway).await;
        assert_eq!(answer.status, 401);
        assert!(challenge(&answer).contains("invalid_dpop_proof"));
    }
    // At the token endpoint alike, and what was tried is recorded.
    let code = app.code(gateway, &gateway.demo_person("dana")).await;
    let call = app.exchange_call(&code);
    for changes in [json!({ "htm": "GET" }), json!({ "htu": here }), json!({ "iat": now() - 61 })] {
        let proof = key.proof(gateway, call.place(), None, &changes);
        let answer = call.clone().header("dpop", &proof).to(gateway).await;
        assert_eq!(refused(&answer), (400, "invalid_dpop_proof".to_owned()), "{changes}");
    }
    let proofs = [0, 1].map(|_| key.proof(gateway, call.place(), None, &json!({})));
    let two = call.clone().header("dpop", &proofs[0]).header("dpop", &proofs[1]).to(gateway).await;
    assert_eq!(refused(&two), (400, "invalid_dpop_proof".to_owned()));
    assert_eq!(key.send(gateway, &call).await.status, 200, "the code was not used up by any of them");
    let records = gateway.audit(&["--outcome", "deny"]);
    for reason in
        ["dpop-htm", "dpop-htu", "dpop-too-old", "dpop-too-early", "dpop-ath", "dpop-jti", "dpop-several"]
    {
        assert!(records.iter().any(|record| record["decision"]["reason"] == reason), "{reason}");
    }
}

#[tokio::test]
async fn o13_a_nonce_is_asked_for_once_and_before_anything_is_used_up() {
    let gateway = shared::demo();
    let app = App::web(gateway, USER_SCOPE);
    let code = app.code(gateway, &gateway.demo_person("dana")).await;
    let (key, call) = (DpopKey::new(), app.exchange_call(&code));
    let without = call.clone().header("dpop", &key.proof(gateway, call.place(), None, &json!({})));
    let answer = without.to(gateway).await;
    assert_eq!(refused(&answer), (400, "use_dpop_nonce".to_owned()));
    key.learn(&answer);
    let proof = key.proof(gateway, call.place(), None, &json!({}));
    let answer = call.header("dpop", &proof).to(gateway).await;
    let tokens = Tokens::of(&answer);
    assert_eq!(answer.header("dpop-nonce"), "", "it is good for a while");
    let unasked = key.using_with(gateway, own_record(gateway), &tokens.access, &json!({ "nonce": "x" }));
    let answer = unasked.to(gateway).await;
    assert_eq!((answer.status, answer.header("dpop-nonce").len()), (401, 43));
    assert!(challenge(&answer).contains("error=\"use_dpop_nonce\""));
    assert!(
        reads(gateway, &key, &tokens.access).await,
        "the authorization server's nonce is good at a route"
    );
}

#[tokio::test]
async fn o13_a_proof_is_used_once_also_by_fifty_at_once() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let key = DpopKey::new();
    let tokens = bound(gateway, &app, &key).await;
    let once = key.using(gateway, own_record(gateway), &tokens.access);
    assert_eq!(once.clone().to(gateway).await.status, 200);
    let again = once.to(gateway).await;
    assert_eq!(again.status, 401);
    assert!(challenge(&again).contains("invalid_dpop_proof"));
    // Another proof by the same name is the same proof.
    let named =
        |jti: &str| key.using_with(gateway, own_record(gateway), &tokens.access, &json!({ "jti": jti }));
    assert_eq!(named("mine").to(gateway).await.status, 200);
    assert_eq!(named("mine").to(gateway).await.status, 401);
    let one = key.using(gateway, own_record(gateway), &tokens.access);
    let answers = at_once(gateway, FIFTY, |_| one.clone()).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), FIFTY - 1);

    let service = App { client: "demo-service", secret: Some(gateway.secret("demo-service")), ..app.clone() };
    let call = service.token_call(&[("grant_type", "client_credentials")]);
    let proof = key.proof(gateway, call.place(), None, &json!({}));
    let answers = at_once(gateway, FIFTY, |_| call.clone().header("dpop", &proof)).await;
    let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(Tokens::of(won[0]).claims()["cnf"]["jkt"], key.jkt());
    let lost = answers.iter().filter(|answer| refused(answer) == (400, "invalid_dpop_proof".to_owned()));
    assert_eq!(lost.count(), FIFTY - 1);
}

#[tokio::test]
async fn o13_a_proof_that_an_earlier_run_took_is_none_in_the_next() {
    let mut gateway = Gateway::demo("dpop-restart", &[]);
    let key = DpopKey::new();
    let tokens = bound(&gateway, &App::public(USER_SCOPE), &key).await;
    let call = key.using(&gateway, own_record(&gateway), &tokens.access);
    assert_eq!(call.clone().to(&gateway).await.status, 200);
    gateway.kill_and_restart();
    let answer = call.to(&gateway).await;
    assert_eq!(answer.status, 401);
    assert!(challenge(&answer).contains("use_dpop_nonce"), "its nonce is not one of this run");
    key.learn(&answer);
    assert!(reads(&gateway, &key, &tokens.access).await);
}

#[tokio::test]
async fn o06_o12_a_public_clients_refresh_token_is_bound_to_its_key() {
    let gateway = shared::demo();
    let app = App::public(USER_SCOPE);
    let (key, thief) = (DpopKey::new(), DpopKey::new());
    let first = bound(gateway, &app, &key).await;
    let call = app.refresh_call(first.refresh());
    assert_eq!(
        refused(&call.clone().to(gateway).await),
        (400, "invalid_grant".to_owned()),
        "without a proof"
    );
    assert_eq!(refused(&thief.send(gateway, &call).await), (400, "invalid_grant".to_owned()));
    let second = Tokens::of(&key.send(gateway, &call).await);
    assert_eq!(second.answer["token_type"], "DPoP");
    assert_eq!(second.claims()["cnf"]["jkt"], key.jkt());
    assert!(reads(gateway, &key, &second.access).await);
    // An answer that was lost is asked for again by the same key; by any other it is theft.
    let retried = Tokens::of(&key.send(gateway, &call).await);
    assert!(reads(gateway, &key, &retried.access).await && !reads(gateway, &key, &second.access).await);
    assert_eq!(thief.send(gateway, &call).await.error(), "invalid_grant");
    assert!(!reads(gateway, &key, &retried.access).await);
    assert_eq!(key.send(gateway, &app.refresh_call(retried.refresh())).await.error(), "invalid_grant");
}

#[tokio::test]
async fn o12_a_confidential_client_may_take_a_new_key_and_never_none() {
    let gateway = shared::demo();
    let app = App::web(gateway, USER_SCOPE);
    let (key, next) = (DpopKey::new(), DpopKey::new());
    let first = bound(gateway, &app, &key).await;
    let call = app.refresh_call(first.refresh());
    assert_eq!(refused(&call.clone().to(gateway).await), (400, "invalid_grant".to_owned()));
    let second = Tokens::of(&next.send(gateway, &call).await);
    assert_eq!(second.claims()["cnf"]["jkt"], next.jkt());
    assert!(reads(gateway, &next, &second.access).await && !reads(gateway, &key, &second.access).await);
    let told = app.call("/introspect", &[("token", &second.access)]).to(gateway).await.json();
    assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("DPoP")));
    assert_eq!(told["cnf"]["jkt"], next.jkt());
    let told = app.call("/introspect", &[("token", second.refresh())]).to(gateway).await.json();
    assert_eq!(told["cnf"]["jkt"], next.jkt());
    // Its own token may be given up without a proof: that ends it, and opens nothing.
    assert_eq!(app.call("/revoke", &[("token", &second.access)]).to(gateway).await.status, 200);
    assert!(!reads(gateway, &next, &second.access).await);
}

#[tokio::test]
async fn o12_what_is_exchanged_for_a_bound_token_is_bound() {
    let gateway = shared::demo();
    let callback = ["--redirect-uri", "http://127.0.0.1/callback", "--grant", "authorization_code"];
    let shown = register(
        gateway,
        "dpop-app",
        "confidential",
        &[&callback[..], &["--grant", EXCHANGE, "--may-act", "dpop-agent"]].concat(),
    );
    let app = App {
        client: "dpop-app",
        secret: shown["client_secret"].as_str(),
        scope: "openid user/*.rs",
        patient: None,
        route: "/fhir",
    };
    let agent = register(gateway, "dpop-agent", "confidential", &["--grant", EXCHANGE]);
    let agent = App { client: "dpop-agent", secret: agent["client_secret"].as_str(), ..app.clone() };
    let (key, agents) = (DpopKey::new(), DpopKey::new());
    let tokens = bound(gateway, &app, &key).await;
    let exchange = |by: &App<'_>| {
        let fields = [
            ("grant_type", EXCHANGE),
            ("subject_token", &tokens.access),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        by.token_call(&fields)
    };
    for by in [&app, &agent] {
        assert_eq!(refused(&exchange(by).to(gateway).await), (400, "invalid_request".to_owned()));
    }
    let exchanged = Tokens::of(&agents.send(gateway, &exchange(&agent)).await);
    assert_eq!(
        (&exchanged.claims()["cnf"]["jkt"], &exchanged.answer["token_type"]),
        (&json!(agents.jkt()), &json!("DPoP"))
    );
    assert!(reads(gateway, &agents, &exchanged.access).await);
    assert_eq!(own_record(gateway).bearer(&exchanged.access).to(gateway).await.status, 401);
    // A client that narrows its own token keeps the key.
    assert_eq!(refused(&agents.send(gateway, &exchange(&app)).await), (400, "invalid_request".to_owned()));
    let narrowed = Tokens::of(&key.send(gateway, &exchange(&app)).await);
    assert_eq!(narrowed.claims()["cnf"]["jkt"], key.jkt());
    let records = gateway.audit(&["--client", "dpop-agent", "--outcome", "deny"]);
    assert!(records.iter().any(|record| record["decision"]["reason"] == "key-not-proved"));
}

#[tokio::test]
async fn o06_a_code_that_was_announced_for_a_key_is_redeemed_by_that_key_alone() {
    let gateway = shared::demo();
    let app = App::web(gateway, USER_SCOPE);
    let (key, thief) = (DpopKey::new(), DpopKey::new());
    let jkt = key.jkt();
    let mut request = app.request(gateway);
    request.push(("dpop_jkt", jkt.clone()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let dana = gateway.demo_person("dana");
    for wrong in [Some(&thief), None] {
        let redirect = app.authorize_with(gateway, &mut Browser::default(), &dana, &fields).await;
        let call = app.exchange_call(&redirect.get("code").unwrap());
        let answer = match wrong {
            Some(thief) => thief.send(gateway, &call).await,
            None => call.to(gateway).await,
        };
        assert_eq!(refused(&answer), (400, "invalid_dpop_proof".to_owned()));
    }
    let redirect = app.authorize_with(gateway, &mut Browser::default(), &dana, &fields).await;
    let tokens = Tokens::of(&key.send(gateway, &app.exchange_call(&redirect.get("code").unwrap())).await);
    assert_eq!(tokens.claims()["cnf"]["jkt"], jkt);

    // A pushed request announces it by a proof, or by both if they agree.
    let plain: Vec<(&str, &str)> = fields.iter().filter(|(name, _)| *name != "dpop_jkt").copied().collect();
    let push = |fields: &[(&str, &str)]| Call::form("/par", fields).basic(app.client, app.secret.unwrap());
    assert_eq!(refused(&thief.send(gateway, &push(&fields)).await), (400, "invalid_dpop_proof".to_owned()));
    for pushed in [key.send(gateway, &push(&plain)).await, key.send(gateway, &push(&fields)).await] {
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
        let start = format!("/authorize?{}", encode(&[("client_id", app.client), ("request_uri", &uri)]));
        let redirect = Browser::default().lead(gateway, &start, &dana, None).await;
        assert_eq!(redirect.target, CALLBACK);
        let call = app.exchange_call(&redirect.get("code").unwrap());
        assert_eq!(refused(&call.to(gateway).await), (400, "invalid_dpop_proof".to_owned()));
    }
    let proof = key.proof(gateway, ("POST", "/par"), None, &json!({}));
    let twice = at_once(gateway, 2, |_| push(&plain).header("dpop", &proof)).await;
    assert_eq!(twice.iter().filter(|answer| answer.status == 201).count(), 1, "o13: a proof for one request");
}

#[tokio::test]
async fn o12_a_device_that_proved_a_key_when_it_asked_is_answered_by_that_key_alone() {
    let gateway = shared::demo();
    let callback = ["--grant", "urn:ietf:params:oauth:grant-type:device_code", "--grant", "refresh_token"];
    register(gateway, "dpop-tv", "public", &callback);
    let app = App { client: "dpop-tv", ..App::public("openid user/*.rs") };
    let (key, thief) = (DpopKey::new(), DpopKey::new());
    let asked = device::told(&key.send(gateway, &device::ask_call(&app)).await);
    let poll = device::poll(&app, &asked);
    assert_eq!(refused(&thief.send(gateway, &poll).await), (400, "invalid_grant".to_owned()));
    assert_eq!(refused(&poll.clone().to(gateway).await), (400, "invalid_grant".to_owned()));
    assert_eq!(key.send(gateway, &poll).await.error(), "authorization_pending");
    device::approve(gateway, &mut Browser::default(), &gateway.demo_person("dana"), &asked.user_code).await;
    let tokens = Tokens::of(&key.send(gateway, &poll).await);
    assert_eq!(tokens.claims()["cnf"]["jkt"], key.jkt());
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    assert!(reads(gateway, &key, &tokens.access).await);
}

#[tokio::test]
async fn a_client_registered_for_bound_tokens_gets_no_others() {
    let gateway = shared::demo();
    let words = ["--grant", "client_credentials", "--role", "service", "--dpop-bound-access-tokens"];
    let shown = register(gateway, "dpop-service", "backend", &words);
    assert_eq!(shown["dpop_bound_access_tokens"], true);
    let app =
        App { client: "dpop-service", secret: shown["client_secret"].as_str(), ..App::public("system/*.rs") };
    let call = app.token_call(&[("grant_type", "client_credentials")]);
    assert_eq!(refused(&call.clone().to(gateway).await), (400, "invalid_dpop_proof".to_owned()));
    let key = DpopKey::new();
    let tokens = Tokens::of(&key.send(gateway, &call).await);
    assert!(reads(gateway, &key, &tokens.access).await);
    let records = gateway.audit(&["--client", "dpop-service"]);
    let issued = records.iter().find(|record| record["event"] == "token.issue").unwrap();
    assert_eq!(issued["detail"]["jkt"], key.jkt(), "{issued}");
}

#[tokio::test]
async fn writes_and_http2_take_proofs_as_reads_do() {
    let own = Gateway::demo("dpop-writes", &[]);
    let (gateway, key) = (&own, DpopKey::new());
    let tokens = bound(gateway, &App::public(USER_SCOPE), &key).await;
    let mut connection = Connection::open_http2(gateway).await;
    let call = key.using(gateway, own_record(gateway), &tokens.access);
    assert_eq!(connection.send(call).await.status, 200);
    let patient = gateway.panel("dana")[0];
    let note = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "proved" },
        "effectiveDateTime": "2026-01-02T03:04:05Z",
        "subject": { "reference": format!("Patient/{patient}") } });
    let write = key.using(gateway, Call::fhir("POST", "/fhir/Observation", &note), &tokens.access);
    let written = connection.send(write).await;
    assert_eq!(written.status, 201, "{}", written.text());
    let wrong = key.using_with(
        gateway,
        Call::fhir("POST", "/fhir/Observation", &note),
        &tokens.access,
        &json!({ "htm": "GET" }),
    );
    assert_eq!(connection.send(wrong).await.status, 401);
}
