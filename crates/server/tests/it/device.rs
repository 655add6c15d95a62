//! Device authorization (RFC 8628): rows O15, O17, O18, O29 and O31 of the corpus.

use serde_json::Value;

use crate::browser::{App, Browser, Tokens};
use crate::gateway::{Gateway, Person};
use crate::outbox::database;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const SCOPE: &str = "openid user/*.rs";

/// A public client for devices.
fn register(gateway: &Gateway, id: &str) {
    let scope = "openid offline_access launch/patient patient/*.rs user/*.rs";
    let words = ["client", "add", id, "--kind", "public", "--scope", scope];
    gateway.command(&[&words[..], &["--grant", GRANT, "--grant", "refresh_token"]].concat());
}

fn device<'a>(id: &'a str, scope: &'a str) -> App<'a> {
    App { client: id, secret: None, scope, patient: None, route: "/fhir" }
}

/// What a device got for its request.
pub(crate) struct Asked {
    device_code: String,
    pub(crate) user_code: String,
    verification_uri: String,
}

pub(crate) async fn ask(gateway: &Gateway, app: &App<'_>) -> Asked {
    let asked = told(&ask_call(app).to(gateway).await);
    assert_eq!(asked.verification_uri, format!("{}/device", gateway.issuer));
    asked
}

pub(crate) fn ask_call(app: &App<'_>) -> Call {
    app.call("/device-authorization", &[("scope", app.scope)])
}

pub(crate) fn told(answer: &Answer) -> Asked {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    assert_eq!((&told["expires_in"], &told["interval"]), (&600.into(), &5.into()));
    assert_eq!(told.get("verification_uri_complete"), None, "a link with the code in it is a trap");
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    Asked {
        device_code: text("device_code"),
        user_code: text("user_code"),
        verification_uri: text("verification_uri"),
    }
}

pub(crate) fn poll(app: &App<'_>, asked: &Asked) -> Call {
    app.token_call(&[("grant_type", GRANT), ("device_code", &asked.device_code)])
}

/// A person types a code and comes to what is asked of them.
async fn type_code(gateway: &Gateway, browser: &mut Browser, person: &Person, code: &str) -> Answer {
    let mut page = browser.follow(gateway, "/device").await;
    if page.text().contains("name=\"password\"") {
        let filled = [("username", person.name.as_str()), ("password", &person.password)];
        page = browser.submit(gateway, &page, &filled).await;
    }
    assert!(page.text().contains("Connect a device"), "{}", page.text());
    browser.submit(gateway, &page, &[("user_code", code)]).await
}

pub(crate) async fn approve(gateway: &Gateway, browser: &mut Browser, person: &Person, code: &str) {
    let page = type_code(gateway, browser, person, code).await;
    let page = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert!(page.text().contains("Your device goes on"), "{}", page.text());
}

#[tokio::test]
async fn a_person_connects_a_device_after_seeing_who_asks_for_what_and_from_where() {
    let gateway = shared::demo();
    register(gateway, "tv-story");
    let app = device("tv-story", SCOPE);
    let dana = gateway.demo_person("dana");
    let asked = ask(gateway, &app).await;
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "authorization_pending");
    let mut browser = Browser::default();
    let typed = asked.user_code.replace('-', " ").to_lowercase();
    let page = type_code(gateway, &mut browser, &dana, &typed).await;
    for shown in [
        "tv-story",
        "dana",
        "address <strong>127.",
        "See and search everything in the records that you may see",
    ] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "o31");
    let page = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert!(page.text().contains("Your device goes on"), "{}", page.text());
    let tokens = Tokens::of(&poll(&app, &asked).to(gateway).await);
    assert_eq!(
        (&tokens.claims()["sub"], &tokens.claims()["client_id"]),
        (&"dana".into(), &"tv-story".into())
    );
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    assert_eq!(Call::get(&own).bearer(&tokens.access).to(gateway).await.status, 200);
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.status, 200);
    let records = gateway.audit(&["--client", "tv-story"]);
    let events: Vec<&str> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    for event in ["device.request", "consent", "token.issue"] {
        assert_eq!(events.iter().filter(|found| **found == event).count(), 1, "{event}");
    }
    assert!(!events.contains(&"token.denied"), "a poll that is told to wait decides nothing");
}

#[tokio::test]
async fn o31_what_one_person_said_at_a_shared_browser_is_not_the_next_ones_word() {
    let gateway = shared::demo();
    register(gateway, "tv-shared");
    let app = device("tv-shared", "launch/patient patient/*.rs");
    let (dana, nils, mut browser) =
        (gateway.demo_person("dana"), gateway.demo_person("nils"), Browser::default());
    let asked = ask(gateway, &app).await;
    let page = type_code(gateway, &mut browser, &dana, &asked.user_code).await;
    let both = gateway.panel("dana").into_iter().find(|id| gateway.panel("nils").contains(id)).unwrap();
    let page = browser.submit(gateway, &page, &[("patient", both)]).await;
    // They say yes, do not go on, and sign out.
    let said = browser.submit_only(gateway, &page, &[("decision", "approve")]).await;
    let go_on = said.header("location").to_owned();
    assert!(go_on.starts_with("/authorize/continue?request="), "{go_on}");
    let account = browser.get(gateway, "/account").await;
    browser.submit(gateway, &account, &[]).await;
    assert_eq!(browser.sign_in(gateway, &nils).await.status, 200);
    let page = browser.follow(gateway, &go_on).await;
    assert!(page.text().contains("action=\"/login/patient\""), "{}", page.text());
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "authorization_pending");
    // What they say themselves counts.
    let page = browser.submit(gateway, &page, &[("patient", both)]).await;
    assert!(page.text().contains("tv-shared") && page.text().contains("nils"), "{}", page.text());
    let page = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert!(page.text().contains("Your device goes on"), "{}", page.text());
}

#[tokio::test]
async fn a_device_that_reads_one_record_gets_the_patient_that_its_person_picks() {
    let gateway = shared::demo();
    register(gateway, "tv-patient");
    let app = device("tv-patient", "launch/patient patient/*.rs");
    let (dana, mut browser) = (gateway.demo_person("dana"), Browser::default());
    let asked = ask(gateway, &app).await;
    let page = type_code(gateway, &mut browser, &dana, &asked.user_code).await;
    let patient = gateway.panel("dana")[1];
    let stranger = gateway.stranger_to("dana");
    let page = browser.submit(gateway, &page, &[("patient", stranger)]).await;
    let page = browser.submit(gateway, &page, &[("patient", patient)]).await;
    browser.submit(gateway, &page, &[("decision", "approve")]).await;
    let tokens = Tokens::of(&poll(&app, &asked).to(gateway).await);
    assert_eq!(tokens.answer["patient"], patient);
}

#[tokio::test]
async fn a_device_whose_person_says_no_gets_access_denied_for_good() {
    let gateway = shared::demo();
    register(gateway, "tv-denied");
    let app = device("tv-denied", SCOPE);
    let (dana, mut browser) = (gateway.demo_person("dana"), Browser::default());
    let asked = ask(gateway, &app).await;
    let page = type_code(gateway, &mut browser, &dana, &asked.user_code).await;
    let end = browser.submit(gateway, &page, &[("decision", "deny")]).await;
    assert!(end.text().contains("The device gets nothing"), "{}", end.text());
    for _ in 0..2 {
        assert_eq!(poll(&app, &asked).to(gateway).await.error(), "access_denied");
    }
    let again = browser.submit_only(gateway, &page, &[("decision", "approve")]).await;
    assert_eq!(again.status, 400);
}

#[tokio::test]
async fn of_what_came_too_late_for_its_device_nothing_is_remembered() {
    let gateway = shared::demo();
    register(gateway, "tv-overdue");
    let app = device("tv-overdue", SCOPE);
    let (dana, mut browser) = (gateway.demo_person("dana"), Browser::default());
    let asked = ask(gateway, &app).await;
    let page = type_code(gateway, &mut browser, &dana, &asked.user_code).await;
    let text = "UPDATE device_authorizations SET content = json_set(content, '$.asked_at', '2020-01-01T00:00:00Z') \
                WHERE content ->> '$.client_id' = 'tv-overdue'";
    assert_eq!(database(gateway).execute(text, []).unwrap(), 1);
    let end = browser.submit(gateway, &page, &[("decision", "approve")]).await;
    assert_eq!(end.status, 400, "{}", end.text());
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "expired_token");
    for table in ["consents", "used_clients"] {
        let text = format!("SELECT count(*) FROM {table} WHERE client_id = 'tv-overdue'");
        let count: i64 = database(gateway).query_row(&text, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[tokio::test]
async fn o18_a_device_that_polls_too_fast_is_slowed_down_and_another_client_gets_nothing() {
    let gateway = shared::demo();
    register(gateway, "tv-fast");
    register(gateway, "tv-thief");
    let (app, thief) = (device("tv-fast", SCOPE), device("tv-thief", SCOPE));
    let asked = ask(gateway, &app).await;
    assert_eq!(poll(&app, &asked).to(gateway).await.error(), "authorization_pending");
    for _ in 0..2 {
        assert_eq!(poll(&app, &asked).to(gateway).await.error(), "slow_down");
    }
    approve(gateway, &mut Browser::default(), &gateway.demo_person("dana"), &asked.user_code).await;
    for _ in 0..2 {
        assert_eq!(poll(&thief, &asked).to(gateway).await.error(), "invalid_grant");
    }
    assert_eq!(poll(&app, &asked).to(gateway).await.status, 200, "a thief spends nothing");
    let unknown =
        Asked { device_code: "x".repeat(43), user_code: String::new(), verification_uri: String::new() };
    assert_eq!(poll(&app, &unknown).to(gateway).await.error(), "invalid_grant");
    assert_eq!(app.token_call(&[("grant_type", GRANT)]).to(gateway).await.error(), "invalid_request");
}

#[tokio::test]
async fn o18_of_fifty_parallel_redemptions_of_a_device_code_one_gets_tokens() {
    let gateway = shared::demo();
    register(gateway, "tv-fifty");
    let app = device("tv-fifty", SCOPE);
    for _ in 0..3 {
        let asked = ask(gateway, &app).await;
        approve(gateway, &mut Browser::default(), &gateway.demo_person("dana"), &asked.user_code).await;
        let answers = at_once(gateway, FIFTY, |_| poll(&app, &asked)).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().filter(|answer| answer.status != 200).all(|a| a.error() == "invalid_grant"));
    }
}

#[tokio::test]
async fn o18_a_user_code_is_typed_once_by_somebody_signed_in_and_guesses_are_paused_and_recorded() {
    let gateway = shared::demo();
    register(gateway, "tv-guess");
    let app = device("tv-guess", SCOPE);
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    let asked = ask(gateway, &app).await;
    let page = type_code(gateway, &mut browser, &person, &asked.user_code).await;
    assert!(page.text().contains("Allow access?"), "{}", page.text());
    // The same code again, in this browser or in another's.
    let nils = gateway.demo_person("nils");
    for (who, mut browser) in [(&person, browser.clone()), (&nils, Browser::default())] {
        let page = type_code(gateway, &mut browser, who, &asked.user_code).await;
        assert!(page.text().contains("That code is not open"), "{}", page.text());
    }
    // The page that it opened belongs to the browser in which it was typed.
    let elsewhere = Browser::default().submit_only(gateway, &page, &[("decision", "approve")]).await;
    assert_eq!(elsewhere.status, 400, "o31");

    let fresh = ask(gateway, &app).await;
    let mut status = 200;
    for _ in 0..8 {
        let page = browser.follow(gateway, "/device").await;
        status = browser.submit_only(gateway, &page, &[("user_code", "BBBB-BBBB")]).await.status;
        if status == 429 {
            break;
        }
    }
    assert_eq!(status, 429);
    let page = browser.follow(gateway, "/device").await;
    let paused = browser.submit_only(gateway, &page, &[("user_code", &fresh.user_code)]).await;
    assert_eq!(paused.status, 429, "during the pause the right code is no better");
    let records = gateway.audit(&["--user", &person.name, "--outcome", "deny"]);
    let guesses = records.iter().filter(|record| record["decision"]["reason"] == "unknown-user-code");
    assert!(guesses.count() >= 5);
    approve(gateway, &mut Browser::default(), &nils, &fresh.user_code).await;
    let forged = Call::form("/device", &[("user_code", &fresh.user_code)]);
    assert_eq!(browser.send(gateway, forged).await.status, 400, "o31");
}

#[tokio::test]
async fn o15_whoever_was_shut_out_or_signed_out_before_the_poll_gets_nothing_for_their_device() {
    let gateway = shared::demo();
    register(gateway, "tv-late");
    for (scope, what) in [
        (SCOPE, "disable"),
        (SCOPE, "sign-out"),
        ("openid user/*.rs offline_access", "disable"),
        ("openid user/*.rs offline_access", "disable and enable"),
    ] {
        let app = device("tv-late", scope);
        let (person, mut browser) = (gateway.person("physician", &[]), Browser::default());
        let asked = ask(gateway, &app).await;
        approve(gateway, &mut browser, &person, &asked.user_code).await;
        if what == "sign-out" {
            let page = browser.get(gateway, "/account").await;
            browser.submit(gateway, &page, &[]).await;
        } else {
            gateway.command(&["user", "disable", &person.name]);
            if what.ends_with("enable") {
                gateway.command(&["user", "enable", &person.name]);
            }
        }
        let answer = poll(&app, &asked).to(gateway).await;
        assert_eq!((answer.status, answer.error()), (400, "invalid_grant".to_owned()), "{scope} {what}");
    }
    let asked = ask(gateway, &device("tv-late", SCOPE)).await;
    gateway.command(&["client", "remove", "tv-late"]);
    let answer = poll(&device("tv-late", SCOPE), &asked).to(gateway).await;
    assert_eq!(answer.error(), "invalid_client", "o16");
}

#[tokio::test]
async fn o17_a_client_without_the_grant_neither_asks_nor_polls() {
    let gateway = shared::demo();
    let app = App::public(SCOPE);
    let answer = app.call("/device-authorization", &[("scope", SCOPE)]).to(gateway).await;
    assert_eq!((answer.status, answer.error()), (400, "unauthorized_client".to_owned()));
    let polled = app.token_call(&[("grant_type", GRANT), ("device_code", "x")]).to(gateway).await;
    assert_eq!(polled.error(), "unauthorized_client");
    register(gateway, "tv-scopes");
    let tv = device("tv-scopes", "");
    for (fields, error) in [
        (&[("scope", "system/*.rs")][..], "invalid_scope"),
        (&[("scope", "a  b")], "invalid_scope"),
        (&[("resource", "https://elsewhere.example")], "invalid_target"),
        (&[("scope", "openid"), ("scope", "openid")], "invalid_request"),
    ] {
        assert_eq!(tv.call("/device-authorization", fields).to(gateway).await.error(), error, "{fields:?}");
    }
    let stranger = Call::form("/device-authorization", &[("client_id", "nobody")]).to(gateway).await;
    assert_eq!(stranger.error(), "invalid_client");
    let metadata = Call::get("/.well-known/oauth-authorization-server").to(gateway).await.json();
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&Value::from(GRANT)));
    let endpoint = format!("{}/device-authorization", gateway.issuer);
    assert_eq!(metadata["device_authorization_endpoint"], endpoint);
}
