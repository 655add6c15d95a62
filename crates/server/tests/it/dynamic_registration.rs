//! Clients that register themselves by a request (RFC 7591): row O25 of the corpus, and what OpenID's modules for dynamic
//! registration ask.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey};
use http::StatusCode;
use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, part};
use crate::fakes::upstream::{BODY, Upstream};
use crate::gateway::{Gateway, Scratch};
use crate::parallel::{FIFTY, at_once};
use crate::routes::serve_in;
use crate::wire::{Answer, Call, Connection, encode};

pub(crate) const SCOPE: &str = "offline_access openid orders.read";
const CREDENTIALS: &str = "client_credentials";

/// What anybody may have.
pub(crate) const OPEN: &str = "[registration]\ndynamic = \"open\"\nper_hour = 100\n\
    redirect_hosts = [\"loopback\", \"app.example.org\"]\nscope = \"openid offline_access orders.read\"\n";
pub(crate) const INVITED: &str =
    "[registration]\ndynamic = \"invited\"\nscope = \"openid offline_access orders.read\"\n";

/// A gateway before this port, where clients register by these tables.
pub(crate) fn serve(name: &str, registration: &str, upstream: u16) -> Gateway {
    serve_here(Scratch::new(name), registration, upstream)
}

/// The same in a folder of one's own.
pub(crate) fn serve_here(scratch: Scratch, registration: &str, upstream: u16) -> Gateway {
    let route = format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"http://127.0.0.1:{upstream}/api\"\n\
         [[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{{id}}\"\nscope = \"orders.read\"\nroles = [\"billing\"]\n"
    );
    serve_in(scratch, "", &format!("{registration}{route}"), "openid")
}

/// A registration for a public client, with some members changed or, by `null`, left out.
pub(crate) fn metadata(changes: &Value) -> Value {
    let mut body = json!({
        "client_name": "Nice application",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let members = body.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    body
}

pub(crate) fn register(changes: &Value) -> Call {
    Call::new("POST", "/register").body("application/json", metadata(changes).to_string())
}

/// What a registered client is told.
pub(crate) fn registered(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

pub(crate) fn text<'a>(told: &'a Value, member: &str) -> &'a str {
    told[member].as_str().unwrap_or_else(|| panic!("no {member}: {told}"))
}

/// Lets somebody register; the initial access token.
pub(crate) fn invite(gateway: &Gateway, words: &[&str]) -> Value {
    let told = gateway.command(&[&["client", "invite"], words].concat());
    serde_json::from_str(&told).unwrap()
}

pub(crate) fn app<'a>(told: &'a Value) -> App<'a> {
    App {
        client: text(told, "client_id"),
        secret: told["client_secret"].as_str(),
        scope: SCOPE,
        patient: None,
        route: "/orders",
    }
}

pub(crate) fn shown(gateway: &Gateway, id: &str) -> Value {
    serde_json::from_str(&gateway.command(&["client", "show", id, "--output", "json"])).unwrap()
}

pub(crate) fn clients(gateway: &Gateway) -> BTreeSet<String> {
    let all: Value = serde_json::from_str(&gateway.command(&["client", "list", "--output", "json"])).unwrap();
    all.as_array().unwrap().iter().map(|client| text(client, "client_id").to_owned()).collect()
}

pub(crate) fn records(gateway: &Gateway, event: &str) -> Vec<Value> {
    let mut records = gateway.audit(&[]);
    records.retain(|record| record["event"] == event);
    records
}

/// Puts another configuration in force.
pub(crate) async fn reconfigure(gateway: &Gateway, change: impl FnOnce(String) -> String) {
    let before = records(gateway, "config.reload").len();
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), change(text)).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while records(gateway, "config.reload").len() < before.saturating_add(2) {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in force: {}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_program_that_nobody_knows_finds_the_way_registers_and_reads() {
    let upstream = Upstream::start().await;
    let gateway = serve("dcr-open", OPEN, upstream.port);
    // As the Model Context Protocol has it: from the resource to its server, and from there to the registration.
    let refused = Call::get("/orders/1").to(&gateway).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("oauth-protected-resource"));
    let resource = Call::get("/.well-known/oauth-protected-resource/orders").to(&gateway).await.json();
    assert_eq!(resource["authorization_servers"], json!([gateway.issuer]));
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let server = Call::get(path).to(&gateway).await.json();
        assert_eq!(server["registration_endpoint"], format!("{}/register", gateway.issuer));
    }
    let asked = json!({
        "scope": "openid offline_access orders.read orders.write system/*.rs",
        "software_id": "4711", "contacts": ["me@example.org"], "roles": ["admin"], "unknown": { "a": [1, null] },
    });
    let answer = register(&asked).to(&gateway).await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let told = registered(&answer);
    let id = text(&told, "client_id");
    assert!(id.starts_with("dyn-") && id.len() == 36, "{id}");
    for (member, value) in [
        ("scope", json!(SCOPE)),
        ("redirect_uris", json!([CALLBACK])),
        ("grant_types", json!(["authorization_code", "refresh_token"])),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!("none")),
        ("client_name", json!("Nice application")),
        ("software_id", json!("4711")),
        ("registration_client_uri", json!(format!("{}/register/{id}", gateway.issuer))),
    ] {
        assert_eq!(told[member], value, "{member}");
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(told["client_id_issued_at"].as_u64().unwrap().abs_diff(now) < 60);
    assert_eq!(text(&told, "registration_access_token").len(), 43);
    for member in
        ["client_secret", "client_secret_expires_at", "roles", "contacts", "unknown", "kind", "consent"]
    {
        assert!(told.get(member).is_none(), "{member}");
    }

    let bea = gateway.person("billing", &[]);
    let (mut browser, app) = (Browser::default(), app(&told));
    let request = app.request(&gateway);
    let mut fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("resource", text(&resource, "resource")));
    fields.retain(|(name, _)| *name != "aud");
    let page = browser.follow(&gateway, &format!("/authorize?{}", encode(&fields))).await;
    let filled = [("username", bea.name.as_str()), ("password", bea.password.as_str())];
    let page = browser.submit(&gateway, &page, &filled).await;
    assert!(page.text().contains("Nobody here has looked at this application"), "{}", page.text());
    assert!(!page.text().contains("Nice application"), "what anybody can call themselves");
    let back = browser.submit_only(&gateway, &page, &[("decision", "approve")]).await;
    let back = browser.follow(&gateway, back.header("location")).await;
    let code = crate::browser::Redirect::of(&back).get("code").unwrap();
    let tokens = Tokens::of(&app.exchange_call(&code).to(&gateway).await);
    let read = Call::get("/orders/1").bearer(&tokens.access).to(&gateway).await;
    assert_eq!((read.status, read.text()), (200, BODY));
    let again = Tokens::of(&app.refresh_call(tokens.refresh()).to(&gateway).await);
    assert_eq!(again.answer["scope"], SCOPE);
    let page = browser.follow(&gateway, &format!("/authorize?{}", encode(&fields))).await;
    assert!(page.text().contains("Nobody here has looked"), "asked each time");

    let known = shown(&gateway, id);
    for (member, value) in [
        ("registered_by", json!("anybody")),
        ("client_name", json!("Nice application")),
        ("roles", json!([])),
        ("permissions", json!([])),
        ("may_act", json!([])),
        ("consent", json!("ask")),
    ] {
        assert_eq!(known[member], value, "{member}");
    }
    let added: Vec<_> = records(&gateway, "client.add").into_iter().filter(|r| r["resource"] == id).collect();
    assert_eq!((added.len(), &added[0]["detail"]["registered_by"]), (1, &json!("anybody")));
    let log = format!("{:?}", gateway.audit(&[]));
    assert!(!log.contains(text(&told, "registration_access_token")));
}

#[tokio::test]
async fn whoever_registers_as_anybody_learns_of_no_browser_who_sits_before_it() {
    let gateway = serve("dcr-who", OPEN, 9);
    let bea = gateway.person("billing", &[]);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let mut browser = Browser::default();
    browser.sign_in(&gateway, &bea).await;
    let mut errors = Vec::new();
    for name in [bea.name.as_str(), "somebody-else"] {
        let mut fields = app(&told).request(&gateway);
        fields.push(("prompt", "none".to_owned()));
        fields.push(("claims", json!({ "id_token": { "sub": { "value": name } } }).to_string()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = browser.follow(&gateway, &format!("/authorize?{}", encode(&fields))).await;
        errors.push((Redirect::of(&answer).get("error"), Redirect::of(&answer).get("error_description")));
    }
    assert_eq!(errors[0].0.as_deref(), Some("login_required"));
    assert_eq!(errors[0], errors[1]);
}

#[tokio::test]
async fn whoever_registers_as_anybody_learns_of_no_browser_what_role_sits_before_it() {
    let registration = OPEN.replace("orders.read", "launch/patient orders.read");
    let gateway = serve("dcr-what", &registration, 9);
    let bea = gateway.person("billing", &[]);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let mut browser = Browser::default();
    browser.sign_in(&gateway, &bea).await;
    let asked: [(&str, &[(&str, &str)]); 4] = [
        (SCOPE, &[]),
        (SCOPE, &[("purpose_of_use", "HPAYMT")]),
        // Not for her role; and for a patient whom she would have to pick.
        (SCOPE, &[("purpose_of_use", "HRESCH")]),
        ("openid launch/patient", &[]),
    ];
    for (scope, more) in asked {
        for (about, error) in [(None, "consent_required"), (Some(&bea.name), "login_required")] {
            let mut fields = App { scope, ..app(&told) }.request(&gateway);
            fields.push(("prompt", "none".to_owned()));
            fields.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
            fields.extend(
                about.map(|name| ("claims", json!({ "id_token": { "sub": { "value": name } } }).to_string())),
            );
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = browser.follow(&gateway, &format!("/authorize?{}", encode(&fields))).await;
            assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some(error), "{scope} {more:?}");
        }
    }
}

#[tokio::test]
async fn nobody_registers_unless_it_is_configured_or_without_an_invitation_where_one_is_asked_for() {
    let off = serve("dcr-off", "", 9);
    assert_eq!(register(&json!({})).to(&off).await.status, 404);
    let server = Call::get("/.well-known/oauth-authorization-server").to(&off).await.json();
    assert!(server.get("registration_endpoint").is_none());
    assert!(!off.try_command(&["client", "invite", "--scope", "openid"]).success);

    let gateway = serve("dcr-invited", INVITED, 9);
    let before = clients(&gateway);
    let invitation = invite(&gateway, &["--uses", "2"]);
    let token = text(&invitation, "initial_access_token");
    assert_eq!(invitation["registration_endpoint"], format!("{}/register", gateway.issuer));
    for (call, what) in [
        (register(&json!({})), "no token"),
        (register(&json!({})).bearer("x"), "another"),
        (register(&json!({})).bearer(text(&invitation, "id")), "its name"),
        (register(&json!({})).basic("a", token), "another scheme"),
    ] {
        let answer = call.to(&gateway).await;
        assert_eq!(answer.status, 401, "{what}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(clients(&gateway), before);
    let refused = records(&gateway, "client.add");
    let refused: Vec<_> = refused.iter().filter(|r| r["outcome"] == "deny").collect();
    assert!(
        refused.iter().all(|r| r["decision"]["reason"] == "bad-registration-token") && refused.len() == 4
    );

    // A secret, shown once; RFC 7591: the method where none is named.
    let told = registered(
        &register(&json!({ "token_endpoint_auth_method": null })).bearer(token).to(&gateway).await,
    );
    assert_eq!(told["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(told["client_secret_expires_at"], 0);
    let tokens = app(&told).tokens(&gateway, &gateway.person("billing", &[])).await;
    assert_eq!(tokens.answer["scope"], SCOPE);
    let known = shown(&gateway, text(&told, "client_id"));
    assert_eq!((&known["registered_by"], &known["invitation"]), (&json!("invitation"), &invitation["id"]));
    assert!(known.get("client_secret").is_none());
    // A request that is refused uses nothing up.
    let bad = register(&json!({ "redirect_uris": ["javascript:alert(1)"] })).bearer(token).to(&gateway).await;
    assert_eq!((bad.status, bad.error().as_str()), (400, "invalid_redirect_uri"));
    registered(&register(&json!({})).bearer(token).to(&gateway).await);
    assert_eq!(register(&json!({})).bearer(token).to(&gateway).await.status, 401, "used up");

    let withdrawn = invite(&gateway, &["--uses", "9"]);
    gateway.command(&["client", "uninvite", text(&withdrawn, "id")]);
    assert!(!gateway.try_command(&["client", "uninvite", text(&withdrawn, "id")]).success);
    let call = register(&json!({})).bearer(text(&withdrawn, "initial_access_token"));
    assert_eq!(call.to(&gateway).await.status, 401, "withdrawn");
    let late = invite(&gateway, &["--hours", "1"]);
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let text_of = "UPDATE invitations SET expires_at = expires_at - 3600000000 WHERE id = ?1";
    assert_eq!(database.execute(text_of, [text(&late, "id")]).unwrap(), 1);
    let call = register(&json!({})).bearer(text(&late, "initial_access_token"));
    assert_eq!(call.to(&gateway).await.status, 401, "too late");
    let listed: Value =
        serde_json::from_str(&gateway.command(&["client", "invites", "--output", "json"])).unwrap();
    let used: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["used"].as_i64().unwrap()).collect();
    assert_eq!(used, [2, 0, 0]);
    assert!(!listed.to_string().contains(token), "its token is shown once");
    let events = ["client.invite", "client.uninvite"].map(|event| records(&gateway, event).len());
    assert_eq!(events, [3, 1]);
    assert!(!format!("{:?}", gateway.audit(&[])).contains(token));
}

#[tokio::test]
async fn o25_of_fifty_at_once_one_uses_the_invitation_and_no_more_than_may_register_as_anybody() {
    let gateway = serve("dcr-fifty", INVITED, 9);
    let before = clients(&gateway).len();
    let invitation = invite(&gateway, &[]);
    let token = text(&invitation, "initial_access_token");
    let answers = at_once(&gateway, FIFTY, |_| register(&json!({})).bearer(token)).await;
    let statuses = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((statuses(201), statuses(401)), (1, FIFTY - 1));
    assert_eq!(clients(&gateway).len(), before + 1);
    let made = records(&gateway, "client.add")
        .into_iter()
        .filter(|r| r["outcome"] == "allow" && r["detail"]["registered_by"] == "invitation");
    assert_eq!(made.count(), 1);

    let open = serve("dcr-few", &OPEN.replace("per_hour = 100", "per_hour = 3\nmax_unused = 4"), 9);
    let before = clients(&open).len();
    let mut tasks = Vec::new();
    for _ in 0..FIFTY {
        let mut connection = Connection::open_from(&open, Ipv4Addr::new(127, 7, 7, 11)).await;
        tasks.push(tokio::spawn(async move { connection.send(register(&json!({}))).await }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let turned_away = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!((made, turned_away.header("retry-after")), (3, "1200"));
    assert_eq!(records(&open, "access.throttled").len(), 1, "one a minute");
    let mut elsewhere = Connection::open_from(&open, Ipv4Addr::new(127, 7, 7, 10)).await;
    assert_eq!(elsewhere.send(register(&json!({}))).await.status, 201);
    let full = elsewhere.send(register(&json!({}))).await;
    assert_eq!(
        (full.status, full.error().as_str()),
        (503, "temporarily_unavailable"),
        "too many that nobody uses"
    );
    assert_eq!(clients(&open).len(), before + 4);
    // Who is invited is not held up by those who are not.
    let invitation = invite(&open, &[]);
    registered(&register(&json!({})).bearer(text(&invitation, "initial_access_token")).to(&open).await);
}

#[tokio::test]
async fn o25_nobody_gets_more_from_outside_than_the_policy_says() {
    let gateway = serve("dcr-o25", OPEN, 9);
    let before = clients(&gateway);
    let jwks = json!({ "keys": [] });
    for (changes, code) in [
        (json!({ "scope": "system/*.rs launch:create" }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "client_secret_basic" }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "client_secret_post" }), "invalid_client_metadata"),
        (
            json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a" }),
            "invalid_client_metadata",
        ),
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks }), "invalid_client_metadata"),
        (json!({ "token_endpoint_auth_method": "client_secret_jwt" }), "invalid_client_metadata"),
        (json!({ "grant_types": [CREDENTIALS], "response_types": [] }), "invalid_client_metadata"),
        (json!({ "grant_types": ["authorization_code", CREDENTIALS] }), "invalid_client_metadata"),
        (
            json!({ "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"] }),
            "invalid_client_metadata",
        ),
        (
            json!({ "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"] }),
            "invalid_client_metadata",
        ),
        (json!({ "grant_types": ["password"] }), "invalid_client_metadata"),
        (json!({ "response_types": ["token"] }), "invalid_client_metadata"),
        (json!({ "authorization_details_types": ["fhir_records"] }), "invalid_client_metadata"),
        (json!({ "id_token_signed_response_alg": "ES384" }), "invalid_client_metadata"),
        (json!({ "id_token_signed_response_alg": "HS256" }), "invalid_client_metadata"),
        (json!({ "redirect_uris": ["https://evil.example/cb"] }), "invalid_redirect_uri"),
        (
            json!({ "redirect_uris": [CALLBACK, "https://app.example.org.evil.example/cb"] }),
            "invalid_redirect_uri",
        ),
        (json!({ "redirect_uris": ["https://app.example.org/cb#here"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["http://app.example.org/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["http://localhost.evil.example/"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["http://LOCALHOST:7777/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["http://u@localhost:7777/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": null }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": CALLBACK }), "invalid_client_metadata"),
        (json!({ "software_statement": "eyJhbGciOiJub25lIn0.e30.c2ln" }), "unapproved_software_statement"),
        (json!({ "software_statement": "trust me" }), "invalid_software_statement"),
        (json!({ "client_id": "mine" }), "invalid_client_metadata"),
        (json!({ "client_secret": "mine" }), "invalid_client_metadata"),
        (json!({ "registration_access_token": "mine" }), "invalid_client_metadata"),
    ] {
        let answer = register(&changes).to(&gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, code), "{changes}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for (content_type, body) in [
        ("application/x-www-form-urlencoded", "client_name=a".to_owned()),
        ("application/json", "[]".to_owned()),
        ("application/json", "{\"scope\":\"openid\",\"scope\":\"orders.read\"}".to_owned()),
        ("application/json", "{".to_owned()),
    ] {
        let answer = Call::new("POST", "/register").body(content_type, body.clone()).to(&gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_client_metadata"), "{body}");
    }
    let long = register(&json!({ "unknown": "x".repeat(64 << 10) })).to(&gateway).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE.as_u16());
    assert_eq!(Call::get("/register").to(&gateway).await.status, 405);
    assert_eq!(clients(&gateway), before);
    let refused = records(&gateway, "client.add").into_iter().filter(|r| r["outcome"] == "deny");
    assert_eq!(refused.count(), 35);

    // What is not known from outside says nothing, and beside each refusal there is what is taken.
    let known = json!({
        "roles": ["admin"], "permissions": ["introspect:any"], "consent": "never", "may_act": ["till"], "kind": "backend",
        "profile": "plain", "audience": "https://elsewhere.example", "registered_by": "operator",
        "redirect_uris": ["https://app.example.org/cb", "http://127.0.0.1/cb", "http://127.0.0.1/cb"],
        "dpop_bound_access_tokens": true, "scope": "orders.read orders.write",
    });
    let told = registered(&register(&known).to(&gateway).await);
    assert_eq!(told["redirect_uris"], json!(["https://app.example.org/cb", "http://127.0.0.1/cb"]));
    assert_eq!((&told["scope"], &told["dpop_bound_access_tokens"]), (&json!("orders.read"), &json!(true)));
    let kept = shown(&gateway, text(&told, "client_id"));
    for (member, value) in [
        ("roles", json!([])),
        ("permissions", json!([])),
        ("may_act", json!([])),
        ("consent", json!("ask")),
        ("kind", json!("public")),
        ("profile", json!("smart")),
        ("audience", Value::Null),
        ("registered_by", json!("anybody")),
    ] {
        assert_eq!(kept[member], value, "{member}");
    }
}

#[tokio::test]
async fn oidcc_registration_jwks_a_client_shows_by_a_key_of_its_own_who_it_is() {
    let gateway = serve("dcr-keys", OPEN, 9);
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let set = KeySet::from_iter([key.verifying_key().clone()]);
    let asked = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": set });
    let told = registered(&register(&asked).to(&gateway).await);
    assert!(told.get("client_secret").is_none());
    let pushed = app(&told).push_by_key(&gateway, &key, "a").to(&gateway).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(app(&told).push_by_key(&gateway, &other, "b").to(&gateway).await.error(), "invalid_client");
    let nameless = app(&told).call("/par", &[("response_type", "code")]).to(&gateway).await;
    assert_eq!(nameless.error(), "invalid_client", "without its key it is anybody");
}

#[tokio::test]
async fn an_invitation_says_what_its_bearer_may_be() {
    let gateway = serve("dcr-limits", INVITED, 9);
    let words = [
        "--uses",
        "9",
        "--scope",
        "system/*.rs",
        "--grant",
        CREDENTIALS,
        "--auth-method",
        "client_secret_post",
        "--redirect-host",
        "lab.example.org",
        "--profile",
        "plain",
    ];
    let invitation = invite(&gateway, &words);
    let token = text(&invitation, "initial_access_token");
    let service = json!({
        "grant_types": [CREDENTIALS], "response_types": null, "redirect_uris": null,
        "token_endpoint_auth_method": "client_secret_post", "scope": "system/Patient.rs user/*.rs",
    });
    let told = registered(&register(&service).bearer(token).to(&gateway).await);
    let kept = shown(&gateway, text(&told, "client_id"));
    assert_eq!((&kept["kind"], &kept["profile"]), (&json!("backend"), &json!("plain")));
    let fields = [
        ("grant_type", CREDENTIALS),
        ("client_id", text(&told, "client_id")),
        ("client_secret", text(&told, "client_secret")),
    ];
    let granted = Tokens::of(&Call::form("/token", &fields).to(&gateway).await);
    assert_eq!(granted.answer["scope"], "system/Patient.rs");
    for changes in [
        json!({ "scope": "openid" }),
        json!({ "grant_types": ["authorization_code"], "redirect_uris": ["https://lab.example.org/cb"] }),
        json!({ "token_endpoint_auth_method": "client_secret_basic" }),
        json!({ "redirect_uris": ["https://app.example.org/cb"] }),
    ] {
        let mut asked = service.clone();
        asked.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = register(&asked).bearer(token).to(&gateway).await;
        assert_eq!(answer.status, 400, "{changes}: {}", answer.text());
    }
    assert!(!gateway.try_command(&["client", "invite", "--uses", "0"]).success);
    assert!(!gateway.try_command(&["client", "invite", "--redirect-host", "https://a.example"]).success);
}

#[tokio::test]
async fn a_policy_that_narrows_on_sighup_narrows_what_clients_have() {
    let upstream = Upstream::start().await;
    let gateway = serve("dcr-hup", OPEN, upstream.port);
    let bea = gateway.person("billing", &[]);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let tokens = app(&told).tokens(&gateway, &bea).await;
    assert_eq!(tokens.answer["scope"], SCOPE);
    let read = || Call::get("/orders/1").bearer(&tokens.access);
    assert_eq!(read().to(&gateway).await.status, 200);
    reconfigure(&gateway, |text| text.replace("offline_access orders.read\"\n", "offline_access\"\n")).await;
    assert_eq!(read().to(&gateway).await.status, 401, "what was issued before");
    let less = Tokens::of(&app(&told).refresh_call(tokens.refresh()).to(&gateway).await);
    assert_eq!(less.answer["scope"], "offline_access openid", "what it has already shrinks too");
    let told_now = registered(&register(&json!({})).to(&gateway).await);
    assert_eq!(told_now["scope"], "offline_access openid");
    let refused = register(&json!({ "scope": "orders.read" })).to(&gateway).await;
    assert_eq!(refused.error(), "invalid_client_metadata");

    reconfigure(&gateway, |text| text.replace("\"loopback\", ", "")).await;
    let request = app(&told).request(&gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let start = Call::get(&format!("/authorize?{}", encode(&fields))).to(&gateway).await;
    assert_eq!(start.status, 400, "browsers are not sent there any more");
    reconfigure(&gateway, |text| text.replace("dynamic = \"open\"", "dynamic = \"off\"")).await;
    assert_eq!(register(&json!({})).to(&gateway).await.status, 404);
}

#[tokio::test]
async fn a_client_that_anybody_registered_and_nobody_used_is_removed_after_its_time() {
    let mut gateway = serve("dcr-unused", OPEN, 9);
    let [used, unused, young] = [(); 3].map(|()| register(&json!({})));
    let used = registered(&used.to(&gateway).await);
    let unused = registered(&unused.to(&gateway).await);
    let invitation = invite(&gateway, &[]);
    let invited = register(&json!({})).bearer(text(&invitation, "initial_access_token"));
    let invited = registered(&invited.to(&gateway).await);
    let bea = gateway.person("billing", &[]);
    let tokens = app(&used).tokens(&gateway, &bea).await;
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let day = 86_400_000_000_i64;
    database.execute("UPDATE registrations SET created_at = created_at - ?1", [day]).unwrap();
    let young = registered(&young.to(&gateway).await);
    gateway.kill_and_restart();
    let begun = Instant::now();
    let id = text(&unused, "client_id");
    while clients(&gateway).contains(id) {
        assert!(begun.elapsed() < Duration::from_secs(20), "still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for kept in [&used, &invited, &young] {
        assert!(clients(&gateway).contains(text(kept, "client_id")));
    }
    let removed: Vec<_> =
        records(&gateway, "client.remove").into_iter().filter(|r| r["resource"] == id).collect();
    assert_eq!((removed.len(), &removed[0]["decision"]["reason"]), (1, &json!("client-unused")));
    Tokens::of(&app(&used).refresh_call(tokens.refresh()).to(&gateway).await);
    let gone = Call::get(&format!("/register/{id}")).bearer(text(&unused, "registration_access_token"));
    assert_eq!(gone.to(&gateway).await.status, 401);
    let taken = ["client", "add", id, "--kind", "public", "--redirect-uri", CALLBACK, "--scope", "openid"];
    assert!(!gateway.try_command(&taken).success, "a name is given once");
}

#[tokio::test]
async fn what_is_given_to_be_revoked_is_revoked_as_what_it_is_or_refused_and_told_nowhere() {
    let gateway = serve("dcr-revoke", INVITED, 9);
    let invited = invite(&gateway, &["--uses", "5"]);
    let initial = text(&invited, "initial_access_token");
    let words = ["client", "add", "till-service", "--kind", "confidential", "--grant", CREDENTIALS];
    let made = gateway
        .command(&[&words[..], &["--scope", "orders.read", "--auth-method", "client_secret_basic"]].concat());
    let made: Value = serde_json::from_str(&made).unwrap();
    let secret = text(&made, "client_secret");
    let issue = || {
        let call = Call::form("/token", &[("grant_type", CREDENTIALS)]);
        call.basic("till-service", secret).to(&gateway)
    };
    assert_eq!(issue().await.status, 200);
    let mistyped = format!("{initial}x");
    for no_token in [secret, &mistyped, "rt-mistyped", initial.get(..32).unwrap()] {
        let refused = gateway.try_command(&["token", "revoke", no_token]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("nothing was revoked") && refused.out.is_empty(), "{refused:?}");
        assert!(!refused.err.contains(no_token), "{refused:?}");
    }
    assert_eq!(issue().await.status, 200);
    let withdrawn = gateway.command(&["token", "revoke", initial]);
    assert!(
        withdrawn.contains("initial access token") && withdrawn.contains(text(&invited, "id")),
        "{withdrawn}"
    );
    let refused = register(&json!({})).bearer(initial).to(&gateway).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(gateway.try_command(&["token", "revoke", initial]).code, Some(1), "it is nothing any more");
    let records = gateway.audit(&[]);
    assert_eq!(records.iter().filter(|record| record["event"] == "client.uninvite").count(), 1);
    let told: Vec<String> = records.iter().map(Value::to_string).collect();
    for said in [secret, initial, "rt-mistyped"] {
        assert!(!told.iter().any(|record| record.contains(said)), "{said} is in the log");
    }
    assert!(!records.iter().any(|record| record["event"] == "token.revoke"), "{records:?}");
}

/// Starts it on another configuration: what was issued before is not cut off, as it is where one is read again.
fn start_with(gateway: &mut Gateway, change: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text);
    std::fs::write(gateway.config(), changed).unwrap();
    gateway.kill_and_restart();
}

#[tokio::test]
async fn what_a_policy_takes_of_identity_and_of_access_while_away_is_given_no_more() {
    let wide = OPEN.replace("\"openid offline_access", "\"openid fhirUser offline_access");
    let mut gateway = serve("dcr-identity", &wide, 9);
    let bea = gateway.person("billing", &[]);
    let told = registered(&register(&json!({})).to(&gateway).await);
    let away = app(&told).tokens(&gateway, &bea).await;
    let (asks, by_name) = (app(&told), App { scope: "openid orders.read", ..app(&told) });
    let here = App { scope: "openid fhirUser orders.read", ..app(&told) }.tokens(&gateway, &bea).await;
    let mut fields = by_name.request(&gateway);
    fields.push(("claims", r#"{"userinfo":{"fhirUser":null},"id_token":{"fhirUser":null}}"#.to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let redirect = by_name.authorize_with(&gateway, &mut Browser::default(), &bea, &fields).await;
    let named = Tokens::of(&asks.exchange_call(&redirect.get("code").unwrap()).to(&gateway).await);
    let own = json!(format!("Practitioner/{}", bea.name));
    let in_id_token = |tokens: &Tokens| part(text(&tokens.answer, "id_token"), 1)["fhirUser"].clone();
    for tokens in [&here, &named] {
        let info = Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await.json();
        assert_eq!((&info["fhirUser"], &in_id_token(tokens)), (&own, &own));
    }

    start_with(&mut gateway, |text| text.replace("openid fhirUser offline_access", "openid"));
    let mut left = Vec::new();
    for tokens in [here, named] {
        let info = Call::get("/userinfo").bearer(&tokens.access).to(&gateway).await;
        assert_eq!((info.status, info.json().get("fhirUser")), (200, None));
        let less = Tokens::of(&asks.refresh_call(tokens.refresh()).to(&gateway).await);
        assert_eq!((&less.answer["scope"], in_id_token(&less)), (&json!("openid orders.read"), Value::Null));
        left.push(less);
    }
    let refused = asks.refresh_call(away.refresh()).to(&gateway).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()));
    let why = gateway.audit(&["--event", "token.denied"]).pop().unwrap();
    assert_eq!(why["decision"]["reason"], "offline-not-allowed");

    start_with(&mut gateway, |text| text.replace("openid orders.read\"\n", "offline_access\"\n"));
    let refused = asks.refresh_call(left[0].refresh()).to(&gateway).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_scope".to_owned()));
    let refused = asks.refresh_call(away.refresh()).to(&gateway).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()));
    let why = gateway.audit(&["--event", "token.denied"]).pop().unwrap();
    assert_eq!(why["decision"]["reason"], "grant-revoked", "it ended, whatever the client may have now");
}
