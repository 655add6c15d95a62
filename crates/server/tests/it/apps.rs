//! A person sees which applications hold access in their name and takes it away, on the page, by an application of theirs,
//! and through whoever helps them. Rows O05, O10, O31 of the corpus.

use serde_json::{Value, json};

use crate::browser::{App, Browser};
use crate::gateway::{Gateway, Person};
use crate::parallel::at_once;
use crate::shared;
use crate::wire::{Answer, Call};

const SCOPE: &str = "openid offline_access user/*.rs";

fn register(gateway: &Gateway, id: &str, more: &[&str]) {
    let words = ["client", "add", id, "--kind", "public", "--redirect-uri", "http://127.0.0.1/callback"];
    let scope = ["--scope", "openid offline_access user/*.rs account.apps"];
    gateway.command(&[&words[..], &scope, more].concat());
}

fn app<'a>(id: &'a str, scope: &'a str) -> App<'a> {
    App { client: id, secret: None, scope, patient: None, route: "/fhir" }
}

async fn page(gateway: &Gateway, browser: &mut Browser) -> Answer {
    let page = browser.get(gateway, "/account/apps").await;
    assert_eq!(page.status, 200, "{}", page.text());
    page
}

fn held(gateway: &Gateway, person: &Person) -> Vec<Value> {
    let text = gateway.command(&["--output", "json", "user", "apps", &person.name]);
    serde_json::from_str(&text).unwrap()
}

async fn is_good(gateway: &Gateway, token: &str) -> bool {
    Call::get("/fhir/Patient?_count=1").bearer(token).to(gateway).await.status == 200
}

#[tokio::test]
async fn what_a_person_takes_away_on_the_page_ends_at_once_and_has_to_be_asked_for_again() {
    let gateway = shared::demo();
    for id in ["apps-taken", "apps-kept"] {
        register(gateway, id, &[]);
    }
    let (person, mut browser) = (gateway.person("physician", &[]), Browser::default());
    let taken = app("apps-taken", SCOPE).tokens_in(gateway, &mut browser, &person).await;
    let kept = app("apps-kept", "openid user/*.rs").tokens_in(gateway, &mut browser, &person).await;
    let shown = page(gateway, &mut browser).await;
    for text in [
        "apps-taken",
        "It keeps access while you are away.",
        "apps-kept",
        "It has access until you sign out.",
    ] {
        assert!(shown.text().contains(text), "{text}: {}", shown.text());
    }
    assert!(shown.header("content-security-policy").contains("frame-ancestors 'none'"), "o31");
    assert!(is_good(gateway, &taken.access).await && is_good(gateway, &kept.access).await);
    let answer = browser.submit(gateway, &shown, &[("client", "apps-taken")]).await;
    assert!(!answer.text().contains("apps-taken"), "{}", answer.text());
    assert!(!is_good(gateway, &taken.access).await);
    assert_eq!(
        app("apps-taken", SCOPE).refresh_call(taken.refresh()).to(gateway).await.error(),
        "invalid_grant"
    );
    assert!(is_good(gateway, &kept.access).await, "another application's");
    let names: Vec<String> =
        held(gateway, &person).iter().map(|app| app["client_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["apps-kept"]);
    let record = gateway.audit(&["--user", &person.name, "--action", "disconnect"]).pop().unwrap();
    assert_eq!((&record["event"], &record["resource"]), (&json!("app.disconnect"), &json!("apps-taken")));
    // Without the form's own secret nothing is taken away.
    let forged = Call::form("/account/apps", &[("client", "apps-kept")]);
    assert_eq!(forged.to(gateway).await.status, 400);
    assert!(is_good(gateway, &kept.access).await);
}

#[tokio::test]
async fn an_application_that_the_person_trusts_with_it_sees_and_takes_away_the_others() {
    let gateway = shared::demo();
    for id in ["apps-keeper", "apps-other"] {
        register(gateway, id, &[]);
    }
    let (person, mut browser) = (gateway.person("physician", &[]), Browser::default());
    let issuer = gateway.issuer.clone();
    let keeper = App { route: "", ..app("apps-keeper", "openid account.apps") };
    let own = keeper.tokens_in(gateway, &mut browser, &person).await;
    assert_eq!(own.claims()["aud"], issuer);
    let other = app("apps-other", SCOPE).tokens_in(gateway, &mut browser, &person).await;
    let list = || Call::get("/account/api/apps").bearer(&own.access);
    let shown = list().to(gateway).await.json();
    let entry =
        shown["apps"].as_array().unwrap().iter().find(|app| app["client_id"] == "apps-other").unwrap();
    assert_eq!((&entry["standing"], &entry["ends"]), (&json!("holds_access"), &json!("later")));
    let take = |token: &str| Call::new("DELETE", "/account/api/apps/apps-other").bearer(token);
    // A token without the scope, or for another place, opens nothing here.
    assert_eq!(take(&other.access).to(gateway).await.status, 401);
    assert_eq!(Call::get("/account/api/apps").to(gateway).await.status, 401);
    let without = App { route: "", ..app("apps-other", "openid") };
    let without = without.tokens_in(gateway, &mut browser, &person).await;
    let refused = take(&without.access).to(gateway).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("account.apps"));
    assert!(is_good(gateway, &other.access).await);
    assert_eq!(take(&own.access).to(gateway).await.status, 204);
    assert!(!is_good(gateway, &other.access).await);
    // It can give up its own access too, and somebody else's cannot be named at all.
    let itself = Call::new("DELETE", "/account/api/apps/apps-keeper").bearer(&own.access);
    assert_eq!(itself.to(gateway).await.status, 204);
    assert_eq!(list().to(gateway).await.status, 401);
}

#[tokio::test]
async fn o10_a_code_that_was_not_redeemed_and_refreshes_under_way_end_too() {
    let gateway = shared::demo();
    register(gateway, "apps-race", &[]);
    let (person, mut browser) = (gateway.person("physician", &[]), Browser::default());
    let app = app("apps-race", SCOPE);
    let tokens = app.tokens_in(gateway, &mut browser, &person).await;
    let redirect = app.authorize(gateway, &mut browser, &person).await;
    let code = app.exchange_call(&redirect.get("code").unwrap());
    gateway.command(&["user", "disconnect", &person.name, "apps-race"]);
    assert_eq!(code.to(gateway).await.error(), "invalid_grant");
    assert!(!is_good(gateway, &tokens.access).await);
    assert_eq!(held(gateway, &person), Vec::<Value>::new());
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let fresh = app.tokens_in(gateway, &mut browser, &person).await;
    assert!(is_good(gateway, &fresh.access).await, "who asks again may have it again");
    let refreshing = at_once(gateway, 10, |number| {
        if number == 5 {
            let shown = Call::form("/revoke", &[("client_id", "apps-race"), ("token", fresh.refresh())]);
            return shown;
        }
        app.refresh_call(fresh.refresh())
    });
    let answers = refreshing.await;
    gateway.command(&["user", "disconnect", &person.name, "apps-race"]);
    for answer in answers.iter().filter(|answer| answer.status == 200 && !answer.text().is_empty()) {
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        assert!(!is_good(gateway, &token).await, "no live token afterwards");
    }
}
