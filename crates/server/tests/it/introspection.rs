//! Introspection (RFC 7662): rows O27, O28 and O15 of the corpus.

use chartgate_protocol::jose::{Algorithm, SigningKey, jws};
use serde_json::{Value, json};

use crate::browser::{App, Browser, Tokens, USER_SCOPE};
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call};

const INACTIVE: &str = r#"{"active":false}"#;

async fn danas(gateway: &Gateway, app: &App<'_>) -> Tokens {
    app.tokens(gateway, &gateway.demo_person("dana")).await
}

async fn ask(gateway: &Gateway, app: &App<'_>, token: &str) -> Answer {
    app.call("/introspect", &[("token", token)]).to(gateway).await
}

fn is_inactive(answer: &Answer) -> bool {
    answer.status == 200 && answer.text() == INACTIVE
}

/// A client that may ask about any token, as a resource server does.
fn resource_server(gateway: &Gateway, id: &str) -> String {
    let words = ["client", "add", id, "--kind", "backend", "--permission", "introspect:any"];
    let shown: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    assert_eq!(shown["permissions"], json!(["introspect:any"]));
    shown["client_secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_learns_what_its_own_tokens_are_worth_and_the_log_that_it_asked() {
    let gateway = shared::demo();
    let web = App::web(gateway, USER_SCOPE);
    let tokens = danas(gateway, &web).await;
    let answer = ask(gateway, &web, &tokens.access).await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let mut told = answer.json();
    let members = told.as_object_mut().unwrap();
    assert_eq!(members.remove("active"), Some(json!(true)));
    assert_eq!(members.remove("token_type"), Some(json!("Bearer")));
    assert_eq!(members.remove("username"), Some(json!("dana")));
    assert_eq!(told, tokens.claims(), "and beside that what stands in the token");

    let told = ask(gateway, &web, tokens.refresh()).await.json();
    assert_eq!(told["active"], true);
    assert_eq!((&told["sub"], &told["client_id"]), (&json!("dana"), &json!("demo-web")));
    assert_eq!(told["sid"], tokens.session());
    let records = gateway.audit(&["--client", "demo-web"]);
    let asked = records.iter().find(|r| r["event"] == "token.introspect" && r["jti"] == tokens.jti());
    assert_eq!(asked.unwrap()["outcome"], "allow");
    // The person did nothing: asking about a token is no activity of its session, and looking uses nothing up.
    assert_eq!(web.refresh_call(tokens.refresh()).to(gateway).await.status, 200);
}

#[tokio::test]
async fn o27_another_clients_token_is_inactive_unless_the_registration_says_otherwise() {
    let gateway = shared::demo();
    let (app, web) = (App::public(USER_SCOPE), App::web(gateway, USER_SCOPE));
    let tokens = danas(gateway, &app).await;
    for token in [tokens.access.as_str(), tokens.refresh()] {
        assert!(is_inactive(&ask(gateway, &web, token).await));
    }
    let records = gateway.audit(&["--client", "demo-web", "--outcome", "deny"]);
    let foreign = records.iter().filter(|record| {
        record["event"] == "token.introspect" && record["decision"]["reason"] == "token-of-another-client"
    });
    assert!(foreign.count() >= 2);
    let secret = resource_server(gateway, "resource-server");
    let server = App { client: "resource-server", secret: Some(&secret), ..web };
    for token in [tokens.access.as_str(), tokens.refresh()] {
        assert_eq!(ask(gateway, &server, token).await.json()["client_id"], "demo-app");
    }
}

#[tokio::test]
async fn o27_every_cause_of_an_inactive_answer_gives_the_same_bytes() {
    let gateway = shared::demo();
    let web = App::web(gateway, USER_SCOPE);
    let tokens = danas(gateway, &web).await;
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let forged = jws::sign(&key, "at+jwt", &tokens.claims()).unwrap();
    let foreign = danas(gateway, &App::public(USER_SCOPE)).await;
    let id_token = tokens.answer["id_token"].as_str().unwrap();
    let mut truncated = tokens.access.clone();
    truncated.pop();
    let mut answers = Vec::new();
    for token in [&forged, &foreign.access, foreign.refresh(), id_token, &truncated, "x", "a.b.c"] {
        answers.push(ask(gateway, &web, token).await);
    }
    let next = Tokens::of(&web.refresh_call(tokens.refresh()).to(gateway).await);
    answers.push(ask(gateway, &web, tokens.refresh()).await);
    web.call("/revoke", &[("token", &tokens.access)]).to(gateway).await;
    answers.push(ask(gateway, &web, &tokens.access).await);
    web.call("/revoke", &[("token", next.refresh())]).to(gateway).await;
    for token in [next.refresh(), &next.access] {
        answers.push(ask(gateway, &web, token).await);
    }
    let first = answers[0].without_date();
    for answer in &answers {
        assert!(is_inactive(answer), "{}", answer.text());
        assert_eq!(answer.without_date(), first);
    }
}

#[tokio::test]
async fn o28_introspection_wants_a_client_that_proves_who_it_is() {
    let gateway = shared::demo();
    let (app, web) = (App::public(USER_SCOPE), App::web(gateway, USER_SCOPE));
    let tokens = danas(gateway, &app).await;
    let fields = [("token", tokens.access.as_str())];
    for call in [
        Call::form("/introspect", &fields),
        // Public: it says its name, and proves nothing.
        app.call("/introspect", &fields),
        Call::form("/introspect", &fields).basic("demo-web", "wrong"),
        Call::form("/introspect", &[fields[0], ("client_id", "demo-web")]),
    ] {
        let answer = call.to(gateway).await;
        assert_eq!((answer.status, answer.error()), (401, "invalid_client".to_owned()));
    }
    // A token is shown in place of that, but not one that is for a route.
    let answer = Call::form("/introspect", &fields).bearer(&tokens.access).to(gateway).await;
    assert_eq!((answer.status, answer.text()), (401, ""));
    assert!(answer.header("www-authenticate").contains("invalid_token"));
    assert_eq!(web.call("/introspect", &[]).to(gateway).await.error(), "invalid_request");
    assert_eq!(Call::get("/introspect?token=x").to(gateway).await.status, 405);
    let twice = Call::form("/introspect", &[("token", "a"), ("token", "b")]);
    let twice = twice.basic("demo-web", gateway.secret("demo-web")).to(gateway).await;
    assert_eq!(twice.error(), "invalid_request", "o29");
    let hinted = [("token", tokens.refresh()), ("token_type_hint", "access_token")];
    let secret = resource_server(gateway, "hinted-server");
    let told = Call::form("/introspect", &hinted).basic("hinted-server", &secret).to(gateway).await;
    assert_eq!(told.json()["active"], true);
    let public = ["client", "add", "curious", "--kind", "public", "--redirect-uri", "https://a.example/cb"];
    let refused = gateway.try_command(&[&public[..], &["--permission", "introspect:any"]].concat());
    assert!(!refused.success);
}

#[tokio::test]
async fn o15_tokens_of_whoever_was_shut_out_or_signed_out_are_inactive_at_once() {
    let gateway = shared::demo();
    let web = App::web(gateway, USER_SCOPE);
    for what in ["disable", "session", "sign-out"] {
        let person = gateway.person("physician", &[]);
        let mut browser = Browser::default();
        let tokens = web.tokens_in(gateway, &mut browser, &person).await;
        assert_eq!(ask(gateway, &web, &tokens.access).await.json()["active"], true);
        match what {
            "disable" => drop(gateway.command(&["user", "disable", &person.name])),
            "session" => drop(gateway.command(&["session", "end", &tokens.session()])),
            _ => {
                let page = browser.get(gateway, "/account").await;
                browser.submit(gateway, &page, &[]).await;
            }
        }
        for token in [tokens.access.as_str(), tokens.refresh()] {
            assert!(is_inactive(&ask(gateway, &web, token).await), "{what}");
        }
    }
}

#[tokio::test]
async fn smart_282_a_token_with_the_scope_for_it_lets_its_client_introspect_any() {
    let gateway = shared::demo();
    let backend = async |id: &str, more: &[&str]| {
        let words = ["client", "add", id, "--kind", "backend", "--scope", "introspect system/*.rs"];
        let shown: Value = serde_json::from_str(&gateway.command(&[&words[..], more].concat())).unwrap();
        let secret = shown["client_secret"].as_str().unwrap().to_owned();
        let token = async |scope: &str| {
            let fields = [("grant_type", "client_credentials"), ("scope", scope)];
            let answer = Call::form("/token", &fields).basic(id, &secret).to(gateway).await;
            answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
        };
        [token("introspect").await, token("system/*.rs").await]
    };
    let [may, for_records] = backend("smart-282", &["--permission", "introspect:any"]).await;
    let [may_not, _] = backend("smart-282-not", &[]).await;
    let person = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await;
    let ask = async |by: &str, about: &str| {
        Call::form("/introspect", &[("token", about)]).bearer(by).to(gateway).await
    };
    let told = ask(&may, &person.access).await;
    assert_eq!((told.status, told.header("cache-control")), (200, "no-store"));
    assert_eq!((&told.json()["active"], &told.json()["client_id"]), (&json!(true), &json!("demo-app")));
    assert_eq!(ask(&may, "x").await.json(), json!({ "active": false }));
    for (by, status) in [(&may_not, 403), (&for_records, 401), (&person.access, 401)] {
        assert_eq!(ask(by, &person.access).await.status, status, "{by}");
    }
    assert_eq!(ask("x", &person.access).await.status, 401);
    let records = gateway.audit(&["--client", "smart-282"]);
    assert!(
        records.iter().any(|record| record["event"] == "token.introspect" && record["outcome"] == "allow")
    );
    gateway.command(&["client", "remove", "smart-282"]);
    assert_eq!(ask(&may, &person.access).await.status, 401, "its tokens ended with it");
}
