//! What is done while the log cannot be written: nothing is given, and nothing is used up for it; what is taken away is, and on
//! record later, once.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Browser, Tokens, USER_SCOPE};
use crate::faults::limit_files;
use crate::gateway::{Gateway, Scratch, UNSIGNALLED};
use crate::outbox::{database, fill_log, until_nothing_waits, waiting};
use crate::wire::{Call, encode};

fn count(gateway: &Gateway, rows: &str) -> i64 {
    database(gateway).query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get(0)).unwrap()
}

/// There is room again, and the log is written.
async fn room_again(gateway: &Gateway) {
    assert!(limit_files(gateway, "unlimited"));
    let begun = Instant::now();
    // Asking is on record as well, so that it fails until then.
    while !gateway.try_command(&["audit", "search", "--limit", "1"]).success {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_nothing_waits(gateway);
}

#[tokio::test]
async fn what_is_asked_for_while_the_log_cannot_be_written_is_to_be_had_afterwards() {
    let gateway = &Gateway::demo_in(Scratch::new("not-given"), &[], &UNSIGNALLED);
    let (dana, nils, person) =
        (gateway.demo_person("dana"), gateway.demo_person("nils"), gateway.person("nurse", &[]));
    let app = App::public(USER_SCOPE);
    let tokens = app.tokens(gateway, &dana).await;
    let code = app.code(gateway, &dana).await;
    let mut browser = Browser::default();
    let page = browser.follow(gateway, "/login").await;
    let credentials = [("username", person.name.as_str()), ("password", person.password.as_str())];
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut asking = Browser::default();
    asking.sign_in(gateway, &nils).await;
    let consent = asking.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    if !fill_log(gateway).await {
        return;
    }
    let tables = [
        "sessions",
        "grants",
        "refresh_tokens",
        "codes WHERE consumed_at IS NULL",
        "pushed_requests",
        "outbox",
    ];
    let before = tables.map(|rows| count(gateway, rows));
    for call in [app.exchange_call(&code), app.refresh_call(tokens.refresh()), Call::form("/par", &fields)] {
        let answer = call.to(gateway).await;
        assert_eq!((answer.status, answer.error().as_str()), (503, "temporarily_unavailable"));
    }
    assert_eq!(browser.submit_only(gateway, &page, &credentials).await.status, 503);
    assert_eq!(asking.submit_only(gateway, &consent, &[("decision", "approve")]).await.status, 503);
    assert_eq!(tables.map(|rows| count(gateway, rows)), before, "{tables:?}");

    room_again(gateway).await;
    let issued = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    assert_eq!(issued.claims()["sub"], "dana");
    let answer = browser.submit(gateway, &page, &credentials).await;
    assert!(answer.text().contains("Signed in as "), "{}", answer.text());
    let back = asking.submit(gateway, &consent, &[("decision", "approve")]).await;
    assert!(back.header("location").contains("code="), "{} {}", back.status, back.text());
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}

#[tokio::test]
async fn what_ends_by_itself_or_by_its_person_while_the_log_cannot_be_written_is_told_once() {
    let mut gateway = Gateway::demo_in(Scratch::new("ended-untold"), &[], &UNSIGNALLED);
    let dana = gateway.demo_person("dana");
    let app = App::public(USER_SCOPE);
    let first = app.tokens(&gateway, &dana).await;
    let second = Tokens::of(&app.refresh_call(first.refresh()).to(&gateway).await);
    let third = Tokens::of(&app.refresh_call(second.refresh()).to(&gateway).await);
    let code = app.code(&gateway, &dana).await;
    let by_code = Tokens::of(&app.exchange_call(&code).to(&gateway).await);
    let request = app.request(&gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut browser = Browser::default();
    browser.sign_in(&gateway, &gateway.demo_person("nils")).await;
    let page = browser.follow(&gateway, &format!("/authorize?{}", encode(&fields))).await;
    if !fill_log(&gateway).await {
        return;
    }
    for call in [app.refresh_call(first.refresh()), app.exchange_call(&code)] {
        assert_eq!(call.to(&gateway).await.status, 503);
    }
    assert_eq!(browser.submit_only(&gateway, &page, &[("decision", "deny")]).await.status, 503);
    assert_eq!(waiting(&gateway).len(), 3);
    gateway.kill();
    gateway.start();
    for ended in [&third, &by_code] {
        let own = Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0])).bearer(&ended.access);
        assert_eq!(own.to(&gateway).await.status, 401);
    }
    let told = |event: &str, name: &str| -> Vec<Value> {
        let told = gateway.audit(&["--event", event, "--user", name]);
        assert!(told.iter().all(|one| one["detail"]["recorded_at"].is_string()), "{told:?}");
        told.into_iter().map(|one| one["decision"]["reason"].clone()).collect()
    };
    let mut reused = told("token.reuse", "dana");
    reused.sort_by_key(Value::to_string);
    assert_eq!(reused, ["code-replayed", "refresh-token-reused"]);
    assert_eq!(told("consent.denied", "nils"), ["person-declined"]);
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}
