//! `chartgate client change`: what it takes away is gone with it, and what it does not say stays.

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey, jws};
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Tokens};
use crate::dynamic_registration::{OPEN, register, registered, serve};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call, encode};

/// A confidential client of the demo, and its secret.
fn add(gateway: &Gateway, id: &str, more: &[&str]) -> Value {
    let words = ["client", "add", id, "--kind", "confidential", "--redirect-uri", CALLBACK];
    serde_json::from_str(&gateway.command(&[&words[..], more].concat())).unwrap()
}

fn change(gateway: &Gateway, id: &str, words: &[&str]) -> Value {
    let all = [&["client", "change", id, "--output", "json"], words].concat();
    serde_json::from_str(&gateway.command(&all)).unwrap()
}

fn refused(gateway: &Gateway, id: &str, words: &[&str], says: &str) {
    let done = gateway.try_command(&[&["client", "change", id], words].concat());
    assert!(done.code == Some(1) && done.err.contains(says) && done.out.is_empty(), "{words:?}: {done:?}");
}

fn app<'a>(told: &'a Value, scope: &'a str) -> App<'a> {
    let text = |member: &str| told[member].as_str().unwrap();
    App {
        client: text("client_id"),
        secret: Some(text("client_secret")),
        scope,
        patient: None,
        route: "/fhir",
    }
}

/// The records of its changes.
fn told(gateway: &Gateway, id: &str) -> Vec<Value> {
    let mut records = gateway.audit(&["--event", "client.change"]);
    records.retain(|record| record["resource"] == id);
    records
}

async fn status(gateway: &Gateway, token: &str, path: &str) -> u16 {
    Call::get(path).bearer(token).to(gateway).await.status
}

#[tokio::test]
async fn a_scope_that_is_taken_away_is_in_no_token_that_is_out_and_in_none_that_comes() {
    const SCOPE: &str = "fhirUser openid user/Patient.rs";
    let gateway = shared::demo();
    let client = add(gateway, "change-scope", &["--scope", SCOPE]);
    let app = app(&client, SCOPE);
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(status(gateway, &tokens.access, &own).await, 200);

    // More of it ends nothing.
    let more = change(gateway, "change-scope", &["--scope", "fhirUser openid user/*.rs"]);
    assert_eq!((&more["changed"], &more["access_tokens_ended"]), (&json!(["scope"]), &json!(false)));
    assert_eq!(status(gateway, &tokens.access, &own).await, 200);

    let less = change(gateway, "change-scope", &["--scope", "fhirUser openid"]);
    assert_eq!((&less["scope"], &less["access_tokens_ended"]), (&json!("fhirUser openid"), &json!(true)));
    assert_eq!(less["redirect_uris"], json!([CALLBACK]), "what is not said stays");
    assert!(less.get("client_secret").is_none());
    assert_eq!(status(gateway, &tokens.access, &own).await, 401);
    let fresh = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    assert_eq!(fresh.answer["scope"], "fhirUser openid");
    assert_eq!(status(gateway, &fresh.access, &own).await, 403);

    let [widened, narrowed] = told(gateway, "change-scope").try_into().unwrap();
    let detail = |record: &Value| record["detail"].clone();
    assert_eq!(detail(&widened), json!({ "scope_before": SCOPE, "scope": "fhirUser openid user/*.rs" }));
    assert_eq!(
        detail(&narrowed),
        json!({ "scope_before": "fhirUser openid user/*.rs", "scope": "fhirUser openid" })
    );
    assert!(narrowed["actor"]["sub"].as_str().unwrap().starts_with("local:"));
    // What is so already is no change, and on no record.
    let same = change(gateway, "change-scope", &["--scope", "openid fhirUser"]);
    assert_eq!((&same["changed"], &same["access_tokens_ended"]), (&json!([]), &json!(false)));
    assert_eq!(told(gateway, "change-scope").len(), 2);
}

#[tokio::test]
async fn a_grant_ends_that_rests_on_what_is_taken_away() {
    const SCOPE: &str = "offline_access openid user/*.rs";
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let client =
        add(gateway, "change-grants", &["--scope", SCOPE, "--authorization-details-type", "fhir_records"]);
    let app = app(&client, SCOPE);
    let refresh = async |tokens: &Tokens| app.refresh_call(tokens.refresh()).to(gateway).await;
    let last = || gateway.audit(&["--client", "change-grants"]).pop().unwrap();

    // Without its session it lives by `offline_access`.
    let offline = app.tokens(gateway, &dana).await;
    let offline = Tokens::of(&refresh(&offline).await);
    // Another client, which may not have that, ends nothing of it.
    let stranger = add(gateway, "change-stranger", &["--scope", "openid"]);
    let theirs = self::app(&stranger, "openid").refresh_call(offline.refresh()).to(gateway).await;
    assert_eq!((theirs.status, theirs.error().as_str()), (400, "invalid_grant"));
    let told = gateway.audit(&["--client", "change-stranger"]).pop().unwrap();
    assert_eq!(told["decision"]["reason"], "refresh-token-of-another-client");
    let offline = Tokens::of(&refresh(&offline).await);
    change(gateway, "change-grants", &["--scope", "openid user/*.rs"]);
    let refused = refresh(&offline).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_grant"));
    assert_eq!(last()["decision"]["reason"], "offline-not-allowed");

    let details = json!([{ "type": "fhir_records", "actions": ["read"], "datatypes": ["Observation"],
        "patients": [gateway.panel("dana")[0]] }]);
    let online = App { scope: "openid", ..app.clone() };
    let mut request = online.request(gateway);
    request.push(("authorization_details", details.to_string()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let redirect = online.authorize_with(gateway, &mut Browser::default(), &dana, &fields).await;
    let detailed = Tokens::of(&online.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(detailed.answer["authorization_details"], details);
    let without = change(gateway, "change-grants", &["--unset", "authorization-details-type"]);
    assert_eq!(
        (&without["authorization_details_types"], &without["access_tokens_ended"]),
        (&json!([]), &json!(true))
    );
    let refused = refresh(&detailed).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_grant"));
    assert_eq!(last()["decision"]["reason"], "details-not-allowed");

    // And the grant of refresh tokens itself.
    let tokens = online.tokens(gateway, &dana).await;
    change(gateway, "change-grants", &["--grant", "authorization_code"]);
    assert_eq!(refresh(&tokens).await.error(), "unauthorized_client");
}

#[tokio::test]
async fn a_redirect_uri_that_is_removed_gets_no_code_and_one_that_went_there_gives_no_token() {
    let gateway = shared::demo();
    let client = add(gateway, "change-uri", &["--scope", "openid"]);
    let app = app(&client, "openid");
    let code = app.code(gateway, &gateway.demo_person("dana")).await;
    let elsewhere = "https://app.example.org/cb";
    let both = change(gateway, "change-uri", &["--redirect-uri", CALLBACK, "--redirect-uri", elsewhere]);
    assert_eq!(both["access_tokens_ended"], false);
    change(gateway, "change-uri", &["--redirect-uri", elsewhere]);
    assert_eq!(app.exchange_call(&code).to(gateway).await.error(), "invalid_grant");
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!((answer.status, answer.header("location")), (400, ""));
}

#[tokio::test]
async fn a_key_that_is_replaced_opens_nothing_and_a_secret_comes_and_goes_with_its_method() {
    let gateway = shared::demo();
    let keys = [(); 2].map(|()| SigningKey::generate(Algorithm::ES384).unwrap());
    let files = [0, 1].map(|number: usize| {
        let set: KeySet = std::iter::once(keys[number].verifying_key().clone()).collect();
        let file =
            gateway.scratch().write(&format!("change-{number}.jwks"), serde_json::to_string(&set).unwrap());
        file.to_str().unwrap().to_owned()
    });
    let words =
        ["client", "add", "change-key", "--kind", "backend", "--role", "service", "--scope", "system/*.rs"];
    gateway.command(&[&words[..], &["--jwks-file", &files[0]]].concat());
    let by_key = async |key: &SigningKey, jti: &str| -> Answer {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let claims = json!({ "iss": "change-key", "sub": "change-key", "aud": gateway.issuer,
            "exp": now.saturating_add(200), "jti": format!("change-{jti}") });
        let assertion = jws::sign(key, "JWT", &claims).unwrap();
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion.as_str()),
        ];
        Call::form("/token", &fields).to(gateway).await
    };
    let any = format!("/fhir/Patient/{}", gateway.patients()[5]);
    let old = Tokens::of(&by_key(&keys[0], "a").await).access;
    assert_eq!(status(gateway, &old, &any).await, 200);
    let replaced = change(gateway, "change-key", &["--jwks-file", &files[1]]);
    assert_eq!(
        (&replaced["changed"], &replaced["access_tokens_ended"]),
        (&json!(["jwks_sha256"]), &json!(true))
    );
    assert_eq!(status(gateway, &old, &any).await, 401, "the old key's");
    assert_eq!(by_key(&keys[0], "b").await.error(), "invalid_client");
    let new = Tokens::of(&by_key(&keys[1], "c").await).access;

    // Nor does a role stay that it has in a token.
    change(gateway, "change-key", &["--unset", "role"]);
    assert_eq!(status(gateway, &new, &any).await, 401);
    let without = Tokens::of(&by_key(&keys[1], "d").await).access;
    assert_eq!(status(gateway, &without, &any).await, 403);

    let secret = change(gateway, "change-key", &["--auth-method", "client_secret_basic", "--unset", "keys"]);
    let text = secret["client_secret"].as_str().unwrap();
    assert_eq!(secret["jwks"], Value::Null);
    assert_eq!(by_key(&keys[1], "e").await.error(), "invalid_client");
    let by_secret =
        || Call::form("/token", &[("grant_type", "client_credentials")]).basic("change-key", text);
    assert_eq!(by_secret().to(gateway).await.status, 200);
    let again =
        change(gateway, "change-key", &["--auth-method", "private_key_jwt", "--jwks-file", &files[0]]);
    assert!(again.get("client_secret").is_none());
    assert_eq!(by_secret().to(gateway).await.error(), "invalid_client");
    assert_eq!(by_key(&keys[0], "f").await.status, 200);
    let log = format!("{:?}", told(gateway, "change-key"));
    assert!(!log.contains(text) && log.contains("jwks_sha256_before"), "{log}");
}

#[test]
fn a_change_is_judged_as_a_registration_is_and_one_that_is_refused_changes_nothing() {
    let gateway = shared::demo();
    add(gateway, "change-judged", &["--scope", "openid", "--audience", "https://gate.example.org/x"]);
    let shown = || gateway.command(&["client", "show", "change-judged", "--output", "json"]);
    let before = shown();
    for (words, says) in [
        (&["--unset", "redirect-uri"][..], "redirect URI"),
        (&["--auth-method", "none"], "only a public client"),
        (&["--auth-method", "private_key_jwt"], "needs keys"),
        (&["--require-signed-request-object"], "need keys"),
        (&["--redirect-uri", "http://localhost/cb"], "public clients"),
        (&["--profile", "fapi2"], "fapi2"),
    ] {
        refused(gateway, "change-judged", words, says);
    }
    refused(gateway, "no-such-client", &["--scope", "openid"], "no-such-client");
    for wrong in
        [&[][..], &["--unset", "kind"], &["--scope", "openid", "--unset", "scope"], &["--kind", "public"]]
    {
        let done = gateway.try_command(&[&["client", "change", "change-judged"], wrong].concat());
        assert!(done.code == Some(2) && !done.err.is_empty(), "{wrong:?}: {done:?}");
    }
    assert_eq!(shown(), before);
    assert!(told(gateway, "change-judged").is_empty());
    let without = gateway.command(&["client", "change", "change-judged", "--unset", "audience"]);
    assert!(without.lines().any(|line| line.starts_with("audience ") && line.ends_with('-')), "{without}");
    assert!(without.lines().any(|line| line.starts_with("access_tokens_ended ") && line.ends_with("true")));
}

#[tokio::test]
async fn who_says_itself_what_it_is_is_changed_by_nobody_else() {
    let gateway = serve("change-itself", OPEN, 9);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let id = told["client_id"].as_str().unwrap();
    refused(&gateway, id, &["--scope", "openid"], "registered itself");
    let kept = gateway.command(&["client", "show", id]);
    assert!(kept.contains("orders.read"), "{kept}");
}
