//! Pushed authorization requests (RFC 9126): rows O06, O14, O22 and O23 of the corpus.

use serde_json::Value;

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, USER_SCOPE};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call, encode};

/// Pushes a request with some parameters replaced (`Some`) or left out (`None`).
async fn push(gateway: &Gateway, app: &App<'_>, changes: &[(&str, Option<&str>)]) -> Answer {
    let request = app.request(gateway);
    let kept = request.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    let mut fields: Vec<(&str, &str)> = kept.map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    match app.secret {
        Some(secret) => Call::form("/par", &fields).basic(app.client, secret),
        None => Call::form("/par", &fields),
    }
    .to(gateway)
    .await
}

async fn pushed(gateway: &Gateway, app: &App<'_>) -> String {
    let answer = push(gateway, app, &[]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"), "{}", answer.text());
    assert_eq!(answer.json()["expires_in"], 60);
    answer.json()["request_uri"].as_str().unwrap().to_owned()
}

fn start(client: &str, uri: &str, more: &[(&str, &str)]) -> String {
    format!("/authorize?{}", encode(&[&[("client_id", client), ("request_uri", uri)], more].concat()))
}

#[tokio::test]
async fn a_pushed_request_goes_the_way_of_any_other_and_what_the_browser_adds_does_not_count() {
    let gateway = shared::demo();
    for app in [App::web(gateway, USER_SCOPE), App::public(USER_SCOPE)] {
        let uri = pushed(gateway, &app).await;
        // o23: the request that was pushed wins.
        let more = [("scope", "openid"), ("state", "forged"), ("redirect_uri", "https://evil.example/")];
        let (mut browser, dana) = (Browser::default(), gateway.demo_person("dana"));
        let redirect = browser.lead(gateway, &start(app.client, &uri, &more), &dana, None).await;
        assert_eq!(redirect.target, CALLBACK);
        assert_eq!(redirect.get("state").as_deref(), Some("state-of-the-app"));
        let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
        assert_eq!(tokens.answer["scope"], USER_SCOPE);
    }
    let records = gateway.audit(&["--client", "demo-web"]);
    assert!(records.iter().any(|r| r["event"] == "authorization.push" && r["outcome"] == "allow"));
}

#[tokio::test]
async fn o22_a_pushed_request_is_used_once_by_its_own_client() {
    let gateway = shared::demo();
    let web = App::web(gateway, USER_SCOPE);
    let uri = pushed(gateway, &web).await;
    let unknown = format!("{}x", uri);
    for (client, uri) in [("demo-app", &uri), ("nobody", &uri), ("demo-web", &unknown)] {
        let answer = Call::get(&start(client, uri, &[])).to(gateway).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{client}");
    }
    let nameless = Call::get(&format!("/authorize?{}", encode(&[("request_uri", &uri)]))).to(gateway).await;
    assert_eq!(nameless.status, 400);
    assert_eq!(Call::get(&start("demo-web", &uri, &[])).to(gateway).await.status, 303, "o06: still good");
    assert_eq!(Call::get(&start("demo-web", &uri, &[])).to(gateway).await.status, 400);
    let uri = pushed(gateway, &web).await;
    let answers = at_once(gateway, FIFTY, |_| Call::get(&start("demo-web", &uri, &[]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1);
}

#[tokio::test]
async fn o22_what_may_not_be_asked_may_not_be_pushed_and_no_request_is_fetched() {
    let gateway = shared::demo();
    let web = App::web(gateway, USER_SCOPE);
    let evil = "https://evil.example/cb";
    let nested = pushed(gateway, &web).await;
    for (change, error) in [
        (("redirect_uri", Some(evil)), "invalid_request"),
        (("redirect_uri", None), "invalid_request"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("response_type", Some("token")), "unsupported_response_type"),
        (("scope", Some("nothing/known")), "invalid_scope"),
        (("aud", Some("https://elsewhere.example")), "invalid_target"),
        (("request_uri", Some(nested.as_str())), "invalid_request"),
        (("request", Some("a.b.c")), "invalid_request_object"),
        (("client_id", Some("demo-app")), "invalid_request"),
    ] {
        let answer = push(gateway, &web, &[change]).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, error), "{change:?}");
    }
    let stranger = Call::form("/par", &[("client_id", "demo-web"), ("scope", "openid")]).to(gateway).await;
    assert_eq!((stranger.status, stranger.error().as_str()), (401, "invalid_client"));
    let service = App { client: "demo-service", secret: Some(gateway.secret("demo-service")), ..web.clone() };
    assert_eq!(push(gateway, &service, &[]).await.status, 400, "o17");
    // A URI of elsewhere is never looked at.
    let request = web.request(gateway);
    let mut fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("request_uri", evil));
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("request_uri_not_supported"));
}

#[tokio::test]
async fn a_client_that_has_to_push_gets_nothing_by_a_browser_alone() {
    let gateway = shared::demo();
    let words = ["client", "add", "pusher", "--kind", "confidential", "--scope", USER_SCOPE];
    let more = ["--redirect-uri", "http://127.0.0.1/callback", "--require-pushed-authorization-requests"];
    let shown: Value = serde_json::from_str(&gateway.command(&[&words[..], &more].concat())).unwrap();
    assert_eq!(shown["require_pushed_authorization_requests"], true);
    let secret = shown["client_secret"].as_str().unwrap();
    let app = App { client: "pusher", secret: Some(secret), ..App::public(USER_SCOPE) };
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for answer in [
        Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await,
        Call::form("/authorize", &fields).to(gateway).await,
    ] {
        assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("invalid_request"));
    }
    let uri = pushed(gateway, &app).await;
    assert_eq!(Call::get(&start("pusher", &uri, &[])).to(gateway).await.status, 303);
    let metadata = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(metadata["pushed_authorization_request_endpoint"], format!("{}/par", gateway.issuer));
    assert_eq!(metadata["require_pushed_authorization_requests"], false);
}
