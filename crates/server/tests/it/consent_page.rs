//! The page where somebody lets an application have something: what they say there is about what they saw, and is remembered with
//! the record of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::{App, Browser, CALLBACK, Redirect, Tokens, USER_SCOPE};
use crate::gateway::Gateway;
use crate::outbox::database;
use crate::shared;
use crate::wire::{Answer, encode};

/// A client of which what was allowed before counts; its secret.
fn register(gateway: &Gateway, id: &str) -> String {
    let words = ["client", "add", id, "--kind", "confidential", "--scope", USER_SCOPE];
    let shown = gateway.command(&[&words[..], &["--redirect-uri", CALLBACK]].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["client_secret"].as_str().unwrap().to_owned()
}

fn app<'a>(id: &'a str, secret: &'a str) -> App<'a> {
    App { client: id, secret: Some(secret), ..App::public(USER_SCOPE) }
}

fn start(gateway: &Gateway, app: &App<'_>) -> String {
    asking(gateway, app, &[])
}

fn asking(gateway: &Gateway, app: &App<'_>, more: &[(&str, &str)]) -> String {
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    format!("/authorize?{}", encode(&[&fields[..], more].concat()))
}

fn asks(page: &Answer) -> bool {
    page.status == 200 && page.text().contains("action=\"/login/consent\"")
}

#[tokio::test]
async fn what_was_allowed_is_remembered_once_something_came_of_it_that_is_on_record() {
    let gateway = shared::demo();
    let secret = register(gateway, "remembered");
    let app = app("remembered", &secret);
    let person = gateway.person("physician", &[]);
    let remembered = || -> i64 {
        let text = "SELECT count(*) FROM consents WHERE subject = ?1";
        database(gateway).query_row(text, [&person.name], |row| row.get(0)).unwrap()
    };
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    let page = browser.follow(gateway, &start(gateway, &app)).await;
    assert!(asks(&page), "{}", page.text());
    // The browser is closed before it goes on.
    let answer = browser.submit_only(gateway, &page, &[("decision", "approve")]).await;
    assert!(answer.header("location").starts_with("/authorize/continue"), "{}", answer.text());
    assert_eq!(remembered(), 0);
    let told = || gateway.audit(&["--event", "consent", "--user", &person.name]).len();
    assert_eq!(told(), 0);

    let page = browser.follow(gateway, &start(gateway, &app)).await;
    assert!(asks(&page), "nobody has allowed it: {}", page.text());
    let answer = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert!(Redirect::of(&answer).get("code").is_some());
    assert_eq!((remembered(), told()), (1, 1));
    let answer = browser.follow(gateway, &start(gateway, &app)).await;
    assert!(Redirect::of(&answer).get("code").is_some(), "it is not asked again");
}

#[tokio::test]
async fn a_page_that_stood_open_while_another_patient_was_picked_allows_nothing() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let [first, second] = [0, 1].map(|at| gateway.panel("dana")[at]);
    let app = App::public("launch/patient openid patient/*.rs");
    let mut browser = Browser::default();
    browser.sign_in(gateway, &dana).await;
    let picker = browser.follow(gateway, &start(gateway, &app)).await;
    let of_first = browser.submit(gateway, &picker, &[("patient", first)]).await;
    assert!(asks(&of_first) && of_first.text().contains(first), "{}", of_first.text());
    let of_second = browser.submit(gateway, &picker, &[("patient", second)]).await;
    assert!(asks(&of_second) && of_second.text().contains(second), "{}", of_second.text());

    let again = browser.submit(gateway, &of_first, &[("decision", "approve")]).await;
    assert!(asks(&again) && again.text().contains(second), "{} {}", again.status, again.text());
    let answer = browser.submit(gateway, &again, &[("decision", "approve")]).await;
    let code = Redirect::of(&answer).get("code").unwrap();
    let tokens = Tokens::of(&app.exchange_call(&code).to(gateway).await);
    assert_eq!(tokens.answer["patient"], json!(second));
}

/// OpenID Connect Core section 3.1.2.1: `prompt` is a list.
#[tokio::test]
async fn a_prompt_for_sign_in_and_consent_shows_both_pages() {
    let gateway = shared::demo();
    let secret = register(gateway, "prompts");
    let app = app("prompts", &secret);
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    app.tokens_in(gateway, &mut browser, &person).await;
    let credentials = [("username", person.name.as_str()), ("password", person.password.as_str())];
    for (prompt, asks_again) in [("login", false), ("login consent", true), ("consent login", true)] {
        // Who signed in within this second has just done so.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let page = browser.follow(gateway, &asking(gateway, &app, &[("prompt", prompt)])).await;
        assert!(page.text().contains("name=\"password\""), "{prompt}: {}", page.text());
        let answer = browser.submit(gateway, &page, &credentials).await;
        assert_eq!(asks(&answer), asks_again, "{prompt}: {}", answer.text());
    }
    let odd = browser.follow(gateway, &asking(gateway, &app, &[("prompt", "none login")])).await;
    assert_eq!(Redirect::of(&odd).get("error").as_deref(), Some("invalid_request"));
}
