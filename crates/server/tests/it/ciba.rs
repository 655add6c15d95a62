//! Asking a person who sits elsewhere (CIBA): rows O15, O17, O19, O20 and O21 of the corpus, and what the modules of the
//! FAPI-CIBA test plan ask of the endpoints.

use std::time::Duration;

use chartgate_protocol::jose::{Algorithm, SigningKey, jws};
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{App, Tokens};
use crate::fakes::secured::{Certificates, Secured, certificates};
use crate::gateway::{Gateway, Scratch};
use crate::parallel::{FIFTY, at_once};
use crate::routes::serve_in;
use crate::shared;
use crate::wire::{Answer, Call};

pub(crate) const GRANT: &str = "urn:openid:params:grant-type:ciba";
const SCOPE: &str = "openid user/*.rs";

/// A client that asks; gives its secret.
pub(crate) fn register(gateway: &Gateway, id: &str, more: &[&str]) -> String {
    let words = ["client", "add", id, "--kind", "confidential", "--grant", GRANT, "--grant", "refresh_token"];
    let scope = ["--scope", "openid offline_access launch/patient patient/*.rs user/*.rs"];
    let made = gateway.command(&[&words[..], &scope, more].concat());
    serde_json::from_str::<Value>(&made).unwrap()["client_secret"].as_str().unwrap().to_owned()
}

pub(crate) fn desk<'a>(id: &'a str, secret: &'a str) -> App<'a> {
    App { client: id, secret: Some(secret), scope: SCOPE, patient: None, route: "/fhir" }
}

pub(crate) fn ask_call(app: &App<'_>, fields: &[(&str, &str)]) -> Call {
    app.call("/backchannel-authentication", &[&[("scope", app.scope)], fields].concat())
}

/// The name of a request that was put.
pub(crate) async fn ask(gateway: &Gateway, app: &App<'_>, fields: &[(&str, &str)]) -> String {
    let answer = ask_call(app, fields).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    assert_eq!(told["interval"], 5);
    told["auth_req_id"].as_str().unwrap().to_owned()
}

pub(crate) fn poll(app: &App<'_>, auth_req_id: &str) -> Call {
    app.token_call(&[("grant_type", GRANT), ("auth_req_id", auth_req_id)])
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

#[tokio::test]
async fn fapi_ciba_id1_a_person_is_asked_elsewhere_says_yes_and_the_client_gets_its_tokens_once() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-story", &[]);
    let app = desk("desk-story", &secret);
    let asked = ask(gateway, &app, &[("login_hint", "dana"), ("binding_message", "Desk 4: 17-42")]).await;
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "authorization_pending");
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "slow_down");
    let list: Value =
        serde_json::from_str(&gateway.command(&["--output", "json", "approval", "list"])).unwrap();
    let shown = list.as_array().unwrap().iter().find(|one| one["auth_req_id"] == asked).unwrap();
    assert_eq!((&shown["user"], &shown["client"]), (&json!("dana"), &json!("desk-story")));
    assert_eq!((&shown["scope"], &shown["binding_message"]), (&json!(SCOPE), &json!("Desk 4: 17-42")));
    gateway.command(&["approval", "approve", &asked]);
    let tokens = Tokens::of(&poll(&app, &asked).to(gateway).await);
    assert_eq!((&tokens.claims()["sub"], tokens.claims().get("sid")), (&json!("dana"), None));
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    assert_eq!(Call::get(&own).bearer(&tokens.access).to(gateway).await.status, 200);
    assert_eq!(refusal(&poll(&app, &asked).to(gateway).await), (400, "invalid_grant".into()), "once");
    assert!(!gateway.try_command(&["approval", "deny", &asked]).success, "it was answered");
    let records = gateway.audit(&["--client", "desk-story"]);
    let events: Vec<&str> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert!(events.contains(&"approval.request") && events.contains(&"token.issue"), "{events:?}");
    let decided = gateway.audit(&["--action", "approval.approve"]);
    assert!(
        decided
            .iter()
            .any(|record| record["detail"]["user"] == "dana" && record["detail"]["client"] == "desk-story")
    );
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(metadata["backchannel_token_delivery_modes_supported"], json!(["poll", "ping"]));
    assert_eq!(metadata["backchannel_user_code_parameter_supported"], false);
}

#[tokio::test]
async fn fapi_ciba_id1_user_rejects_authentication() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-no", &[]);
    let app = desk("desk-no", &secret);
    let person = gateway.person("physician", &[]);
    let asked = ask(gateway, &app, &[("login_hint", &person.name)]).await;
    gateway.command(&["approval", "deny", &asked]);
    assert_eq!(refusal(&poll(&app, &asked).to(gateway).await), (400, "access_denied".into()));
    let again = ask_call(&app, &[("login_hint", &person.name)]).to(gateway).await;
    assert_eq!(refusal(&again), (403, "access_denied".into()), "o20: they have just said no to it");
    let other = gateway.person("physician", &[]);
    let fields = [("login_hint", other.name.as_str()), ("requested_expiry", "1")];
    let short = ask_call(&app, &fields).to(gateway).await.json();
    assert_eq!(short["expires_in"], 30, "o20: no shorter, or it could be put again and again");
    assert_eq!(refusal(&poll(&app, "made-up").to(gateway).await), (400, "invalid_grant".into()));
}

#[tokio::test]
async fn o19_what_is_ambiguous_unknown_or_not_this_clients_is_refused_with_its_code() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-bad", &[]);
    let app = desk("desk-bad", &secret);
    let person = gateway.person("physician", &[]);
    gateway.command(&["user", "disable", &person.name]);
    let long = "x".repeat(10 << 10);
    for (fields, code) in [
        (vec![], "invalid_request"),
        (vec![("login_hint", "dana"), ("id_token_hint", "a.b.c")], "invalid_request"),
        (vec![("id_token_hint", "a.b.c")], "invalid_request"),
        (vec![("login_hint_token", "x")], "invalid_request"),
        (vec![("login_hint", "dana"), ("login_hint", "nils")], "invalid_request"),
        (vec![("login_hint", "nobody-here")], "unknown_user_id"),
        (vec![("login_hint", "demo-service")], "unknown_user_id"),
        (vec![("login_hint", &person.name)], "unknown_user_id"),
        (vec![("login_hint", "dana"), ("binding_message", &long)], "invalid_binding_message"),
        (vec![("login_hint", "dana"), ("binding_message", "a\u{1b}[2Jb")], "invalid_request"),
        (vec![("login_hint", "dana"), ("binding_message", "a\u{202e}b")], "invalid_binding_message"),
        (vec![("login_hint", "dana"), ("requested_expiry", "0")], "invalid_request"),
        (
            vec![("login_hint", "dana"), ("client_notification_token", "x".repeat(30).leak())],
            "invalid_request",
        ),
        (vec![("login_hint", "dana"), ("resource", "https://elsewhere.example")], "invalid_target"),
    ] {
        assert_eq!(refusal(&ask_call(&app, &fields).to(gateway).await), (400, code.into()), "{fields:.200?}");
    }
    let no_openid =
        app.call("/backchannel-authentication", &[("scope", "user/*.rs"), ("login_hint", "dana")]);
    assert_eq!(refusal(&no_openid.to(gateway).await), (400, "invalid_scope".into()));
    let wrong = desk("desk-bad", "wrong");
    assert_eq!(
        refusal(&ask_call(&wrong, &[("login_hint", "dana")]).to(gateway).await),
        (401, "invalid_client".into())
    );
    // A public client may not be registered for it, and one without the grant is told so.
    let public = ["client", "add", "desk-public", "--kind", "public", "--grant", GRANT, "--scope", "openid"];
    assert!(!gateway.try_command(&public).success);
    let service = App { client: "demo-service", secret: Some(gateway.secret("demo-service")), ..app };
    assert_eq!(
        ask_call(&service, &[("login_hint", "dana")]).to(gateway).await.error(),
        "unauthorized_client"
    );
    assert_eq!(poll(&service, "x").to(gateway).await.error(), "unauthorized_client");
}

#[tokio::test]
async fn fapi_ciba_id1_ensure_wrong_auth_req_id_in_token_endpoint_request() {
    let gateway = shared::demo();
    let [own, other] = ["desk-own", "desk-other"].map(|id| (id, register(gateway, id, &[])));
    let (own, other) = (desk(own.0, &own.1), desk(other.0, &other.1));
    let person = gateway.person("physician", &[]);
    let asked = ask(gateway, &own, &[("login_hint", &person.name)]).await;
    gateway.command(&["approval", "approve", &asked]);
    assert_eq!(refusal(&poll(&other, &asked).to(gateway).await), (400, "invalid_grant".into()));
    assert_eq!(poll(&own, &asked).to(gateway).await.status, 200, "another's try spends nothing");
}

#[tokio::test]
async fn of_fifty_parallel_redemptions_one_wins_and_of_two_answers_the_first() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-race", &[]);
    let app = desk("desk-race", &secret);
    let person = gateway.person("physician", &[]);
    let asked = ask(gateway, &app, &[("login_hint", &person.name)]).await;
    gateway.command(&["approval", "approve", &asked]);
    let answers = at_once(gateway, FIFTY, |_| poll(&app, &asked)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.error() == "invalid_grant").count(), FIFTY - 1);
}

#[tokio::test]
async fn o20_one_question_of_a_client_waits_for_a_person_and_no_more_than_three_of_all() {
    let gateway = shared::demo();
    let secrets: Vec<(String, String)> = (0..4)
        .map(|number| format!("desk-flood-{number}"))
        .map(|id| (register(gateway, &id, &[]), id))
        .collect();
    let apps: Vec<App<'_>> = secrets.iter().map(|(secret, id)| desk(id, secret)).collect();
    let person = gateway.person("physician", &[]);
    let answers =
        at_once(gateway, 20, |number| ask_call(&apps[number % 4], &[("login_hint", &person.name)])).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.error() == "access_denied").count(), 17);
}

#[tokio::test]
async fn a_patients_scopes_are_for_the_patient_and_an_id_token_names_its_person() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-patient", &["--redirect-uri", "https://desk.example/cb"]);
    let app = App { scope: "openid patient/*.rs", ..desk("desk-patient", &secret) };
    let asked = ask(gateway, &app, &[("login_hint", "pat")]).await;
    gateway.command(&["approval", "approve", &asked]);
    let answer = poll(&app, &asked).to(gateway).await.json();
    assert_eq!((&answer["scope"], answer["patient"].is_string()), (&json!("openid patient/*.rs"), true));
    let hint = answer["id_token"].as_str().unwrap();
    let again = ask(gateway, &app, &[("id_token_hint", hint)]).await;
    let list = gateway.command(&["--output", "json", "approval", "list"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert!(list.as_array().unwrap().iter().any(|one| one["auth_req_id"] == again && one["user"] == "pat"));
    // Somebody who is no patient has nobody's records to give this way.
    let asked = ask(gateway, &app, &[("login_hint", "nils")]).await;
    gateway.command(&["approval", "approve", &asked]);
    assert_eq!(poll(&app, &asked).to(gateway).await.json()["scope"], "openid");
    let other = register(gateway, "desk-hint", &[]);
    let foreign = ask_call(&desk("desk-hint", &other), &[("id_token_hint", hint)]);
    assert_eq!(foreign.to(gateway).await.error(), "invalid_request", "another client's ID token");
}

const OUT: &str = "[egress]\nallow = [\"127.0.0.0/8\", \"::1/128\"]\nca = \"ca.pem\"\n";

/// What a client that wants to be told hears of an answer.
async fn pinged(name: &str, approvals: &str, answer: StatusCode) -> (Gateway, Secured, String) {
    let scratch = Scratch::new(name);
    certificates(scratch.path());
    let client = Secured::start(scratch.path(), Certificates::NotWanted).await;
    client.seen.lock().unwrap().ping_answer = answer;
    let gateway = serve_in(scratch, "", &format!("{approvals}{OUT}"), "openid");
    let endpoint = format!("https://localhost:{}/ping", client.port);
    let secret = register(&gateway, "desk", &["--backchannel-client-notification-endpoint", &endpoint]);
    (gateway, client, secret)
}

#[tokio::test]
async fn o21_a_client_is_pinged_once_whatever_it_answers_and_no_redirect_is_followed() {
    for (name, answer) in [
        ("ping", StatusCode::NO_CONTENT),
        ("ping-body", StatusCode::OK),
        ("ping-401", StatusCode::UNAUTHORIZED),
        ("ping-403", StatusCode::FORBIDDEN),
        ("ping-redirect", StatusCode::MOVED_PERMANENTLY),
    ] {
        let (gateway, client, secret) = pinged(name, "[approvals]\ncommand_line = true\n", answer).await;
        let app = App { scope: "openid", route: "/", ..desk("desk", &secret) };
        let person = gateway.person("physician", &[]);
        let token = "notify-me.with-this_0123456789~";
        let without = ask_call(&app, &[("login_hint", &person.name)]).to(&gateway).await;
        assert_eq!(without.error(), "invalid_request", "it has to give a token");
        let fields = [("login_hint", person.name.as_str()), ("client_notification_token", token)];
        let asked = ask(&gateway, &app, &fields).await;
        gateway.command(&["approval", "approve", &asked]);
        for _ in 0..100 {
            if !client.seen.lock().unwrap().pings.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        {
            let seen = client.seen.lock().unwrap();
            let body = json!({ "auth_req_id": asked }).to_string();
            assert_eq!(seen.pings, vec![(format!("Bearer {token}"), body)], "{name}");
            assert_eq!(seen.called, Vec::<String>::new(), "{name}");
        }
        assert_eq!(poll(&app, &asked).to(&gateway).await.status, 200, "{name}");
        assert!(!gateway.output().contains(token), "a secret in the log");
    }
}

#[tokio::test]
async fn the_command_line_answers_for_nobody_unless_the_operator_says_so() {
    let (gateway, client, secret) = pinged("no-command-line", "", StatusCode::OK).await;
    let app = App { scope: "openid", route: "/", ..desk("desk", &secret) };
    let person = gateway.person("physician", &[]);
    let fields =
        [("login_hint", person.name.as_str()), ("client_notification_token", "0123456789012345678901")];
    let asked = ask(&gateway, &app, &fields).await;
    assert!(gateway.command(&["approval", "list"]).contains(&asked));
    for word in ["approve", "deny"] {
        let done = gateway.try_command(&["approval", word, &asked]);
        assert!(!done.success && done.err.contains("command_line"), "{done:?}");
    }
    assert_eq!(poll(&app, &asked).to(&gateway).await.error(), "authorization_pending");
    assert!(client.seen.lock().unwrap().pings.is_empty());
    // Nor does it judge emergency access in an officer's name, whether or not there is such a use.
    let officer = gateway.person("privacy-officer", &[]);
    let words = ["emergency", "review", "0123456789abcdef0123456789abcdef", "--reviewer", &officer.name];
    let judged =
        gateway.try_command(&[&words[..], &["--disposition", "appropriate", "--note", "x"]].concat());
    assert!(!judged.success && judged.err.contains("command_line"), "{judged:?}");
}

/// A client that signs what it asks.
struct Signer {
    id: String,
    secret: String,
    key: SigningKey,
}

impl Signer {
    fn register(gateway: &Gateway, id: &str, more: &[&str]) -> Self {
        Self::of(gateway, id, Algorithm::ES256, more)
    }

    fn of(gateway: &Gateway, id: &str, algorithm: Algorithm, more: &[&str]) -> Self {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwks = json!({ "keys": [key.public_jwk()] });
        let file = gateway.scratch().write(&format!("{id}.json"), jwks.to_string());
        let secret = register(gateway, id, &[&["--jwks-file", file.to_str().unwrap()], more].concat());
        Self { id: id.to_owned(), secret, key }
    }

    /// A good object with these changes; what is `null` is left out.
    fn object(&self, gateway: &Gateway, jti: &str, changes: &Value) -> String {
        let now = crate::possession::now();
        let mut claims = json!({
            "iss": self.id, "aud": gateway.issuer, "iat": now, "nbf": now, "exp": now.saturating_add(60), "jti": jti,
            "scope": SCOPE, "login_hint": "dana", "binding_message": "Desk 7", "requested_expiry": 60,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        jws::sign(&self.key, "JWT", &claims).unwrap()
    }

    fn ask(&self, fields: &[(&str, &str)]) -> Call {
        desk(&self.id, &self.secret).call("/backchannel-authentication", fields)
    }
}

#[tokio::test]
async fn fapi_ciba_id1_ensure_request_object_is_the_request_and_is_used_once() {
    let gateway = shared::demo();
    let alg = ["--backchannel-authentication-request-signing-alg", "ES256"];
    let signer = Signer::register(gateway, "desk-signer", &alg);
    let person = gateway.person("physician", &[]);
    let hint = json!({ "login_hint": person.name });
    let object = signer.object(gateway, "first", &hint);
    let answer = signer.ask(&[("request", &object)]).to(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["expires_in"], 60);
    let asked = answer.json()["auth_req_id"].as_str().unwrap().to_owned();
    gateway.command(&["approval", "approve", &asked]);
    let app = desk(&signer.id, &signer.secret);
    let tokens = Tokens::of(&poll(&app, &asked).to(gateway).await);
    assert_eq!(tokens.claims()["sub"], json!(person.name));
    let again = signer.ask(&[("request", &object)]).to(gateway).await;
    assert_eq!(refusal(&again), (400, "invalid_request".into()), "once");
    // Whoever registered to sign is not asked for without.
    let plain = ask_call(&app, &[("login_hint", "dana")]).to(gateway).await;
    assert_eq!(refusal(&plain), (400, "invalid_request".into()));
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    let algorithms = &metadata["backchannel_authentication_request_signing_alg_values_supported"];
    assert!(algorithms.as_array().unwrap().contains(&json!("ES256")));
}

#[tokio::test]
async fn o19_a_signed_question_that_is_not_exactly_right_asks_nobody() {
    let gateway = shared::demo();
    let signer = Signer::register(gateway, "desk-signer-bad", &[]);
    let other = Signer::register(gateway, "desk-signer-other", &[]);
    let now = crate::possession::now();
    for (number, changes) in [
        json!({ "iss": null }),
        json!({ "iss": "desk-signer-other" }),
        json!({ "aud": null }),
        json!({ "aud": "https://other.example" }),
        json!({ "exp": null }),
        json!({ "exp": now.saturating_sub(1) }),
        json!({ "exp": now.saturating_add(3700) }),
        json!({ "nbf": null }),
        json!({ "nbf": now.saturating_add(600), "exp": now.saturating_add(900) }),
        json!({ "nbf": now.saturating_sub(3600) }),
        json!({ "iat": null }),
        json!({ "jti": null }),
        json!({ "sub": "desk-signer-bad" }),
        json!({ "client_id": "desk-signer-other" }),
        json!({ "response_type": "code" }),
        json!({ "request": "x.y.z" }),
    ]
    .into_iter()
    .enumerate()
    {
        let object = signer.object(gateway, &format!("bad-{number}"), &changes);
        let answer = signer.ask(&[("request", &object)]).to(gateway).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{changes}");
    }
    let good = signer.object(gateway, "good", &json!({}));
    let theirs = other.object(gateway, "theirs", &json!({ "iss": "desk-signer-bad" }));
    let [head, claims, _] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    // {"alg":"none"}
    let none = format!("eyJhbGciOiJub25lIn0.{claims}.");
    for bad in [theirs, none, format!("{head}.{claims}."), format!("{head}.{claims}.AAAA"), "x".to_owned()] {
        let answer = signer.ask(&[("request", &bad)]).to(gateway).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{bad}");
    }
    // CIBA Core section 7.1.1: nothing is asked beside it.
    for beside in [("scope", "openid"), ("login_hint", "nils"), ("binding_message", "x")] {
        let answer = signer.ask(&[("request", &good), beside]).to(gateway).await;
        assert_eq!(refusal(&answer), (400, "invalid_request".into()), "{beside:?}");
    }
    let words =
        ["client", "add", "desk-keyless", "--kind", "confidential", "--grant", GRANT, "--scope", SCOPE];
    let alg = ["--backchannel-authentication-request-signing-alg", "ES256"];
    assert!(!gateway.try_command(&[&words[..], &alg].concat()).success, "without keys");
    // Good by its key, and not by the algorithm that was registered.
    let ps256 = ["--backchannel-authentication-request-signing-alg", "PS256"];
    let strict = Signer::of(gateway, "desk-signer-ps256", Algorithm::RS256, &ps256);
    let object = strict.object(gateway, "rs256", &json!({}));
    let answer = strict.ask(&[("request", &object)]).to(gateway).await;
    assert_eq!(refusal(&answer), (400, "invalid_request".into()));
}

#[tokio::test]
async fn of_fifty_parallel_uses_of_a_signed_question_one_wins() {
    let gateway = shared::demo();
    let signer = Signer::register(gateway, "desk-signer-fifty", &[]);
    for count in [FIFTY, 2, 3] {
        let person = gateway.person("physician", &[]);
        let changes = json!({ "login_hint": person.name });
        let object = signer.object(gateway, &format!("at-once-{}", person.name), &changes);
        let answers = at_once(gateway, count, |_| signer.ask(&[("request", &object)])).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let lost = answers.iter().filter(|answer| answer.error() == "invalid_request").count();
        assert_eq!(lost, count.saturating_sub(1));
    }
}

#[tokio::test]
async fn fapi_ciba_id1_ensure_other_scope_order_succeeds_and_refresh_token() {
    let gateway = shared::demo();
    let secret = register(gateway, "desk-order", &[]);
    let app = App { scope: "user/*.rs offline_access openid", ..desk("desk-order", &secret) };
    let person = gateway.person("physician", &[]);
    let asked = ask(gateway, &app, &[("login_hint", &person.name)]).await;
    gateway.command(&["approval", "approve", &asked]);
    let other = register(gateway, "desk-order-other", &[]);
    let theirs = poll(&desk("desk-order-other", &other), &asked).to(gateway).await;
    assert_eq!(refusal(&theirs), (400, "invalid_grant".into()), "it is another client's");
    let tokens = Tokens::of(&poll(&app, &asked).to(gateway).await);
    assert_eq!(tokens.answer["scope"], "offline_access openid user/*.rs");
    let refreshed = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    assert_eq!(refreshed.claims()["sub"], json!(person.name));
}
