//! What is done while the log cannot be written: nothing is given, and nothing is used up for it; what is taken away is, and on
//! record later, once.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Browser, Tokens, USER_SCOPE};
use crate::emergency::{granted, signed_in};
use crate::faults::limit_files;
use crate::gateway::{Done, Gateway, Scratch, UNSIGNALLED};
use crate::outbox::{database, fill_log, until_nothing_waits, waiting};
use crate::wire::{Call, Connection, encode};

/// Bytes that a file may have, where one may not have more.
const LIMIT: u64 = 262_144;

fn count(gateway: &Gateway, rows: &str) -> i64 {
    database(gateway).query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get(0)).unwrap()
}

/// There is room again, and the log is written.
pub(crate) async fn room_again(gateway: &Gateway) {
    assert!(limit_files(gateway, "unlimited"));
    let begun = Instant::now();
    // Asking is on record as well, so that it fails until then.
    while !gateway.try_command(&["audit", "search", "--limit", "1"]).success {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_nothing_waits(gateway);
}

/// How far the log's newest segment is written.
fn written(gateway: &Gateway) -> u64 {
    let folder = std::path::Path::new(gateway.ready["audit_dir"].as_str().unwrap()).join("journal");
    let mut segments: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let written = segments.iter().rev().find_map(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).map(|last| u64::try_from(last).unwrap())
    });
    written.unwrap_or(0)
}

/// Writes records until the log's newest segment has so many bytes.
async fn write_log_to(gateway: &Gateway, length: u64) {
    let mut connection = Connection::open(gateway).await;
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let missing = Call::get("/fhir/Patient/no-such").bearer(&token);
    loop {
        let left = length.saturating_sub(written(gateway));
        if left == 0 {
            return;
        }
        // None of these records is longer than that.
        for _ in 0..(left / 2048).max(1) {
            assert_eq!(connection.send(missing.clone()).await.status, 404);
        }
    }
}

/// The next record finds no room on the disk, what the store writes does, and nobody knows that yet. Whether that was possible.
async fn fill_disk(gateway: &Gateway, length: u64) -> bool {
    write_log_to(gateway, length).await;
    database(gateway).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let could = limit_files(gateway, &LIMIT.to_string());
    if !could {
        println!("skipped: prlimit is not there or not allowed");
    }
    could
}

fn unrecorded(done: &Done, why: &str) {
    assert!(!done.success && done.err.contains(why), "{done:?}");
}

const REFUSED: &str = "nothing was granted";
const IN_FORCE: &str = "is in force, but is not on record yet";

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
    let file = gateway.scratch().write("anew", "a patient heron under the red bridge");
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
    let set = ["user", "set-password", &person.name, "--password-file", file.to_str().unwrap()];
    let more = ["user", "roles", &person.name, "--role", "nurse", "--role", "physician"];
    for words in [&set[..], &more[..], &["user", "reset-mfa", &person.name]] {
        unrecorded(&gateway.try_command(words), REFUSED);
    }
    assert_eq!(tables.map(|rows| count(gateway, rows)), before, "{tables:?}");

    // What takes away is done.
    unrecorded(&gateway.try_command(&["user", "roles", &person.name, "--none"]), IN_FORCE);
    assert!(!gateway.command(&["user", "show", &person.name, "--output", "json"]).contains("\"nurse\""));
    assert_eq!(waiting(gateway).len(), 1);
    // What was read again meanwhile is in force, and on record as soon as it can be: the configuration, and the certificate.
    gateway.hang_up();
    let begun = Instant::now();
    while waiting(gateway).len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    room_again(gateway).await;
    assert_eq!(gateway.audit(&["--event", "config.reload"]).len(), 2);
    let issued = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    assert_eq!(issued.claims()["sub"], "dana");
    let answer = browser.submit(gateway, &page, &credentials).await;
    assert!(answer.text().contains("Signed in as "), "{}", answer.text());
    let back = asking.submit(gateway, &consent, &[("decision", "approve")]).await;
    assert!(back.header("location").contains("code="), "{} {}", back.status, back.text());
    let changed = gateway.audit(&["--event", "user.change"]);
    let [changed] = changed.try_into().unwrap();
    assert!(changed["resource"] == person.name.as_str() && changed["detail"]["recorded_at"].is_string());
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

#[tokio::test]
async fn what_a_command_changes_when_the_log_fails_is_in_force_and_told_once() {
    let mut gateway = Gateway::demo_in(Scratch::new("changed-untold"), &[], &UNSIGNALLED);
    let mut person = gateway.person("nurse", &[]);
    let file = gateway.scratch().write("anew", "a patient heron under the red bridge");
    let set = ["user", "set-password", &person.name, "--password-file", file.to_str().unwrap()];
    let more = ["user", "roles", &person.name, "--role", "physician"];
    let hold = ["audit", "hold", "--reason", "case 19"];
    for words in [&set[..], &more[..], &["user", "reset-mfa", &person.name], &hold] {
        if !fill_disk(&gateway, LIMIT).await {
            return;
        }
        unrecorded(&gateway.try_command(words), IN_FORCE);
        room_again(&gateway).await;
    }
    gateway.kill();
    gateway.start();
    for event in ["user.set-password", "user.change", "user.reset-mfa"] {
        let told = gateway.audit(&["--event", event]);
        let told: Vec<_> = told.iter().filter(|one| one["resource"] == person.name.as_str()).collect();
        assert_eq!(told.len(), 1, "{event}: {told:?}");
        assert!(told[0]["detail"]["recorded_at"].is_string(), "{event}: {told:?}");
    }
    let holds: Value =
        serde_json::from_str(&gateway.command(&["audit", "holds", "--output", "json"])).unwrap();
    let held = gateway.audit(&["--event", "audit.hold"]);
    assert_eq!((holds.as_array().unwrap().len(), held.len()), (1, 1), "{holds} {held:?}");
    assert_eq!(holds[0]["id"], held[0]["resource"]);
    assert!(gateway.command(&["user", "show", &person.name, "--output", "json"]).contains("\"physician\""));
    person.password = "a patient heron under the red bridge".to_owned();
    let answer = Browser::default().sign_in(&gateway, &person).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A code that is used up, and whose tokens nobody got, is over, and its client no thief.
#[tokio::test]
async fn a_code_whose_tokens_cannot_be_recorded_is_over_and_so_is_its_grant() {
    let gateway = &Gateway::demo_in(Scratch::new("not-begun"), &[], &UNSIGNALLED);
    let app = App::public(USER_SCOPE);
    let code = app.code(gateway, &gateway.demo_person("dana")).await;
    if !fill_disk(gateway, LIMIT).await {
        return;
    }
    let live = "grants WHERE revoked_at IS NULL";
    let before = count(gateway, live);
    let answer = app.exchange_call(&code).to(gateway).await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_grant"), "{}", answer.text());
    assert_eq!(count(gateway, live), before);
    room_again(gateway).await;
    let tokens = app.tokens(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(tokens.claims()["sub"], "dana");
}

#[tokio::test]
async fn emergency_access_that_was_not_right_ends_though_its_review_is_told_later() {
    let gateway = &Gateway::demo_in(Scratch::new("reviewed-untold"), &[], &UNSIGNALLED);
    let dana = gateway.demo_person("dana");
    let (app, stranger) = (App::public("openid user/*.rs"), gateway.stranger_to("dana"));
    let tokens = granted(gateway, &mut signed_in(gateway, &dana).await, &app, &dana, stranger).await;
    let claims = tokens.claims();
    let id = claims["authorization_details"][0]["identifier"].as_str().unwrap();
    if !fill_log(gateway).await {
        return;
    }
    let review = |disposition| {
        let words = ["emergency", "review", id, "--reviewer", "pia", "--disposition", disposition];
        gateway.try_command(&[&words[..], &["--note", "seen"]].concat())
    };
    unrecorded(&review("appropriate"), REFUSED);
    assert!(waiting(gateway).is_empty());
    unrecorded(&review("inappropriate"), IN_FORCE);
    assert_eq!(waiting(gateway).len(), 1);
    room_again(gateway).await;
    let own = Call::get(&format!("/fhir/Patient/{stranger}")).bearer(&tokens.access);
    assert_eq!(own.to(gateway).await.status, 401, "it has ended");
    let [told] = gateway.audit(&["--event", "emergency.review"]).try_into().unwrap();
    assert_eq!(told["detail"]["disposition"], "inappropriate");
    assert!(told["detail"]["recorded_at"].is_string(), "{told}");
}

#[tokio::test]
async fn an_import_whose_log_fails_midway_tells_each_removal_once() {
    let gateway = &Gateway::demo_in(Scratch::new("import-midway"), &[], &UNSIGNALLED);
    let rows: String = (0..200).map(|row| format!("nils,{row:060}\n")).collect();
    let full = gateway.scratch().write("full.csv", format!("dana,one-patient\n{rows}"));
    let none = gateway.scratch().write("none.csv", "");
    gateway.command(&["care", "import", "--source", "ward", full.to_str().unwrap()]);
    // There is room for what tells of one of them, and not for what tells of the other.
    if !fill_disk(gateway, LIMIT - 9000).await {
        return;
    }
    assert!(written(gateway) < LIMIT - 6000);
    let words = ["care", "import", "--source", "ward", "--allow-empty", none.to_str().unwrap()];
    let done = gateway.try_command(&words);
    assert!(!done.success, "{done:?}");
    room_again(gateway).await;
    for (name, patients) in [("dana", 1), ("nils", 200)] {
        assert!(!gateway.command(&["care", "list", name]).contains("ward"), "{name}");
        let told = gateway.audit(&["--event", "care.change"]);
        let told: Vec<_> = told
            .iter()
            .filter(|one| one["resource"] == name && one["detail"]["change"] == "remove")
            .map(|one| one["patients"].as_array().unwrap().len())
            .collect();
        assert_eq!(told, [patients], "{name}");
    }
}
