//! Passwords under attack and passwords replaced: rows A02 and A07 of the corpus.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Browser, USER_SCOPE, form_of};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Person};
use crate::parallel::at_once;
use crate::shared;
use crate::wire::Call;

#[tokio::test]
async fn a02_of_forty_parallel_tries_few_are_looked_at_and_the_name_is_not_spent() {
    const TRIES: usize = 40;
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    let page = browser.follow(gateway, "/login").await;
    let csrf = form_of(&page).1[0].1.clone();
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let begun = Instant::now();
    let answers = at_once(gateway, TRIES, |number| {
        let wrong = format!("wrong-guess-number-{number}");
        let fields = [("csrf", csrf.as_str()), ("username", &person.name), ("password", &wrong)];
        Call::form("/login", &fields).header("cookie", &cookie)
    })
    .await;
    // Five are free, and the pause after them is over once in this time, if ever.
    let most = if begun.elapsed() < Duration::from_secs(2) { 6 } else { 8 };
    let records = gateway.audit(&["--user", &person.name, "--outcome", "deny"]);
    let of = |reason: &str| records.iter().filter(|r| r["decision"]["reason"] == reason).count();
    let looked_at = of("wrong-password");
    assert!((1..=most).contains(&looked_at), "{looked_at}");
    assert_eq!(looked_at + of("throttled"), TRIES);
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(refused, TRIES - looked_at, "what was not looked at is answered so");
    let begun = Instant::now();
    loop {
        let answer = Browser::default().sign_in(gateway, &person).await;
        if answer.status == 200 {
            assert!(answer.text().contains(&format!("Signed in as {}", person.name)), "{}", answer.text());
            break;
        }
        assert_eq!(answer.status, 429);
        assert!(begun.elapsed() < Duration::from_secs(60), "the name is spent");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A link in place of the password: its path.
fn link(gateway: &Gateway, person: &Person) -> String {
    let made = gateway.command(&["user", "set-password", &person.name, "--output", "json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let link = made["enrolment_link"].as_str().unwrap();
    link.strip_prefix(&gateway.issuer).unwrap().to_owned()
}

#[tokio::test]
async fn a07_a_link_takes_the_place_of_the_password_at_once_and_its_use_ends_what_was_opened_since() {
    let gateway = shared::demo();
    let own = gateway.panel("dana")[0];
    let mut person = gateway.person("physician", &[own]);
    let app = App::public(USER_SCOPE);
    let read = |token: &str| Call::get(&format!("/fhir/Patient/{own}")).bearer(token).to(gateway);

    let mut before = Browser::default();
    let tokens = app.tokens_in(gateway, &mut before, &person).await;
    assert_eq!(read(&tokens.access).await.status, 200);
    let link = link(gateway, &person);
    assert_eq!(read(&tokens.access).await.status, 401);
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    assert_eq!(before.get(gateway, "/account").await.header("location"), "/login");
    let old = Browser::default().sign_in(gateway, &person).await;
    assert!(old.text().contains("That name and password do not fit together."), "{}", old.text());

    // Meanwhile an administrator sets another password, and somebody signs in with it.
    person.password = format!("patient-heron-waits-{}", person.name);
    let file = gateway.scratch().write(&format!("{}-interim", person.name), &person.password);
    gateway.command(&["user", "set-password", &person.name, "--password-file", file.to_str().unwrap()]);
    let mut between = Browser::default();
    let tokens = app.tokens_in(gateway, &mut between, &person).await;
    assert_eq!(read(&tokens.access).await.status, 200);

    // Then the earlier link is void.
    let mut enrolling = Browser::default();
    assert_eq!(enrolling.get(gateway, &link).await.status, 400);
    let link = self::link(gateway, &person);
    assert_eq!(read(&tokens.access).await.status, 401);
    let page = enrolling.get(gateway, &link).await;
    let chosen = format!("sudden-walrus-paints-{}", person.name);
    let set = enrolling.submit(gateway, &page, &[("password", &chosen), ("again", &chosen)]).await;
    assert!(set.text().contains("Password set"), "{}", set.text());
    assert_eq!(enrolling.get(gateway, &link).await.status, 400, "a link is good once");
    assert_eq!(app.refresh_call(tokens.refresh()).to(gateway).await.error(), "invalid_grant");
    assert_eq!(between.get(gateway, "/account").await.header("location"), "/login");
    let interim = Browser::default().sign_in(gateway, &person).await;
    assert!(interim.text().contains("do not fit together"), "{}", interim.text());
    person.password = chosen;
    let tokens = app.tokens(gateway, &person).await;
    assert_eq!(read(&tokens.access).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shut_out_while_they_sign_in_has_no_session() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let mut browser = Browser::default();
    let page = browser.get(gateway, "/login").await;
    let (action, hidden) = form_of(&page);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("username", person.name.as_str()), ("password", &person.password)]);
    let cookie = format!("__Host-browser={}", browser.cookies["__Host-browser"]);
    let name = person.name.clone();
    let shut_out = tokio::task::spawn_blocking(move || gateway.command(&["user", "disable", &name]));
    // Passwords take their time: some are being looked at when their person is shut out.
    while !shut_out.is_finished() {
        at_once(gateway, 5, |_| Call::form(&action, &fields).header("cookie", &cookie)).await;
    }
    shut_out.await.unwrap();
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let text = "SELECT count(*) FROM sessions WHERE subject = ?1 AND ended_at IS NULL";
    let open: i64 = database.query_row(text, [&person.name], |row| row.get(0)).unwrap();
    assert_eq!(open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a07_what_is_confirmed_in_a_session_begins_nothing_once_that_has_ended() {
    let gateway = shared::demo();
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    // Passwords take their time: some are being looked at when their person is shut out for a moment.
    for _ in 0..20 {
        let person = gateway.person("physician", &[]);
        let mut browser = Browser::default();
        assert_eq!(browser.sign_in(gateway, &person).await.status, 200);
        let page = browser.get(gateway, "/account/factors").await;
        let csrf = form_of(&page).1.into_iter().find(|(name, _)| name == "csrf").unwrap().1;
        let fields = [("csrf", csrf.as_str()), ("change", "add"), ("password", &person.password)];
        let cookies: Vec<String> =
            browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let name = person.name.clone();
        let shut_out = tokio::task::spawn_blocking(move || {
            gateway.command(&["user", "disable", &name]);
            gateway.command(&["user", "enable", &name])
        });
        let mut answers = Vec::new();
        while !shut_out.is_finished() {
            let add = |_| Call::form("/account/factors", &fields).header("cookie", &cookies);
            answers.extend(at_once(gateway, 3, add).await);
        }
        shut_out.await.unwrap();
        let text = "SELECT count(*) FROM half_sign_ins WHERE user_name = ?1";
        let begun: i64 = database.query_row(text, [&person.name], |row| row.get(0)).unwrap();
        assert_eq!(begun, 0, "the session ended, and what it began with it");
        if answers.iter().any(|answer| answer.status == 400) {
            return;
        }
    }
    panic!("nothing was under way when its session ended");
}

#[tokio::test]
async fn a07_a_link_of_somebody_who_is_shut_out_sets_no_password_then_or_later() {
    let gateway = shared::demo();
    let person = gateway.person("physician", &[]);
    let link = link(gateway, &person);
    let mut browser = Browser::default();
    let page = browser.get(gateway, &link).await;
    gateway.command(&["user", "disable", &person.name]);
    let new = "a quiet otter under the red bridge";
    let filled = [("password", new), ("again", new)];
    assert_eq!(browser.submit(gateway, &page, &filled).await.status, 400);
    gateway.command(&["user", "enable", &person.name]);
    assert_eq!(browser.submit(gateway, &page, &filled).await.status, 400, "the link ended with that");
    assert_eq!(browser.get(gateway, &link).await.status, 400);
}

/// Sends a password to the page of a link.
async fn set(gateway: &Gateway, link: &str, password: &str) -> String {
    let mut browser = Browser::default();
    let page = browser.get(gateway, link).await;
    browser.submit(gateway, &page, &[("password", password), ("again", password)]).await.text().to_owned()
}

#[tokio::test]
async fn listed_passwords_and_those_of_names_are_refused_with_the_reason() {
    let gateway = Gateway::demo("listed-passwords", &[]);
    let person = gateway.person("nurse", &[]);
    let link = link(&gateway, &person);
    let told = set(&gateway, &link, "!!Mittens029642820!!").await;
    assert!(told.contains("one of those that attackers try first"), "{told}");
    let told = set(&gateway, &link, &format!("{}-7391-#-46-chartgate", person.name)).await;
    assert!(told.contains("made of your name"), "{told}");
    // What this place does not want comes into force while it runs.
    let config = gateway.config();
    let list = std::path::Path::new(config).with_file_name("refused.txt");
    std::fs::write(&list, "Northhollow-2026-Lantern\n").unwrap();
    let text = std::fs::read_to_string(config).unwrap();
    let key = "[sign_in]\nrefused_passwords = \"refused.txt\"\n";
    std::fs::write(config, format!("{text}\n{key}")).unwrap();
    gateway.hang_up();
    until_recorded(&gateway, "config.reload", 1).await;
    let told = set(&gateway, &link, "northhollow-2026-lantern").await;
    assert!(told.contains("on the list of those that are not taken here"), "{told}");
    let told = set(&gateway, &link, "lantern gravel orbit mustard").await;
    assert!(told.contains("Password set"), "{told}");
    // And a list that cannot be read changes nothing.
    std::fs::remove_file(&list).unwrap();
    let check = gateway.try_command(&["config", "check"]);
    assert!(!check.success && check.err.contains("sign_in.refused_passwords"), "{}", check.err);
}
