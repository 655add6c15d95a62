//! Changes to how people sign in while the log cannot be written: each is in force, and on record later, once.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Browser, USER_SCOPE};
use crate::faults::limit_files;
use crate::gateway::{Gateway, Person, Scratch, UNSIGNALLED};
use crate::outward_syslog::ask_metrics;
use crate::wire::{Call, Connection};

const NEW: &str = "a patient heron under the red bridge";

pub(crate) fn database(gateway: &Gateway) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database
}

/// What waits in the outbox.
pub(crate) fn waiting(gateway: &Gateway) -> Vec<(String, i64, Vec<u8>)> {
    let database = database(gateway);
    let text = "SELECT id, log_size, records FROM outbox WHERE refused_at IS NULL";
    let mut statement = database.prepare(text).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// How many wait and how many were refused, as the metrics have it.
fn measured(gateway: &Gateway) -> [String; 2] {
    let address = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let metrics = ask_metrics(&address, "/metrics");
    ["waiting", "refused"].map(|name| {
        let name = format!("chartgate_audit_outbox_{name} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    })
}

pub(crate) fn until_nothing_waits(gateway: &Gateway) {
    let begun = Instant::now();
    while !waiting(gateway).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it stays in the outbox");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes in the log until nothing more can be written there, while there is room for the store. Whether that was possible.
pub(crate) async fn fill_log(gateway: &Gateway) -> bool {
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let missing = Call::get("/fhir/Patient/no-such").bearer(&token);
    // What the store writes begins again.
    database(gateway).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    if !limit_files(gateway, "262144") {
        println!("skipped: prlimit is not there or not allowed");
        return false;
    }
    let mut connection = Connection::open(gateway).await;
    // Segments that were made before have room; when none is left, it stays so.
    let mut refused: u32 = 0;
    for _ in 0..20_000 {
        match connection.send(missing.clone()).await.status {
            503 => refused = refused.saturating_add(1),
            404 => refused = 0,
            other => panic!("{other}"),
        }
        if refused == 5 {
            return true;
        }
    }
    panic!("the log takes all of it");
}

/// Signs somebody in who sets a password while the log cannot be written. Whether that was possible.
async fn set_unrecorded(gateway: &Gateway, person: &Person) -> bool {
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(gateway, person).await.status, 200);
    let page = browser.get(gateway, "/account/password").await;
    if !fill_log(gateway).await {
        return false;
    }
    let filled = [("password", person.password.as_str()), ("new-password", NEW), ("again", NEW)];
    let answer = browser.submit_only(gateway, &page, &filled).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let at = "SELECT count(*) FROM factor_changes WHERE user_name = ?1 AND change = 'password-set'";
    let changed: i64 = database(gateway).query_row(at, [&person.name], |row| row.get(0)).unwrap();
    assert_eq!((changed, waiting(gateway).len()), (1, 1), "it is in force, and what tells of it is kept");
    assert_eq!(measured(gateway), ["1", "0"]);
    true
}

/// The records of a person's new password: there is one, and it says that it came late.
fn told_late(gateway: &Gateway, person: &Person) -> Value {
    let told = gateway.audit(&["--user", &person.name, "--event", "user.set-password"]);
    let [told] = told.try_into().unwrap();
    let (time, recorded) = (told["time"].as_str().unwrap(), told["detail"]["recorded_at"].as_str().unwrap());
    assert!(time < recorded, "{told}");
    assert_eq!(told["outcome"], "allow");
    told
}

fn recoveries(gateway: &Gateway, outcome: &str) -> Vec<Value> {
    gateway.audit(&["--event", "gateway.recover", "--outcome", outcome])
}

#[tokio::test]
async fn a_password_that_a_crash_kept_off_the_record_is_on_it_at_the_next_start_once() {
    let mut gateway = Gateway::demo_in(Scratch::new("outbox-crash"), &[], &UNSIGNALLED);
    let mut person = gateway.person("physician", &[]);
    if !set_unrecorded(&gateway, &person).await {
        return;
    }
    gateway.kill();
    let [row] = waiting(&gateway).try_into().unwrap();
    gateway.start();
    assert!(waiting(&gateway).is_empty());
    let told = told_late(&gateway, &person);
    let last = recoveries(&gateway, "allow").pop().unwrap();
    assert_eq!(last["detail"]["told"], "1", "{last}");
    person.password = NEW.to_owned();
    let answer = Browser::default().sign_in(&gateway, &person).await;
    assert!(answer.text().contains("Signed in as "), "{}", answer.text());
    until_nothing_waits(&gateway);

    // As if it had died before the row was removed, or the store were put back from a copy of then.
    gateway.terminate();
    let insert = |id: &str, size: i64, records: &[u8]| {
        let text = "INSERT INTO outbox (id, log_size, records) VALUES (?1, ?2, ?3)";
        database(&gateway).execute(text, (id, size, records)).unwrap();
    };
    insert(&row.0, row.1, &row.2);
    // And rows that somebody made of it who has the store's file.
    insert("copied", row.1, &row.2);
    insert("moved", row.1 + 100, &row.2);
    gateway.start();
    assert!(waiting(&gateway).is_empty());
    assert_eq!(told_late(&gateway, &person), told);
    let refused = |gateway: &Gateway| {
        let mut refused: Vec<_> =
            recoveries(gateway, "deny").into_iter().map(|record| record["resource"].clone()).collect();
        refused.sort_by_key(Value::to_string);
        refused
    };
    assert_eq!(refused(&gateway), ["copied", "moved"]);
    assert_eq!(measured(&gateway), ["0", "2"]);
    assert!(gateway.output().contains("somebody else wrote into the store"), "{}", gateway.output());
    gateway.terminate();
    gateway.start();
    assert_eq!(refused(&gateway), ["copied", "moved"], "once");
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}

#[tokio::test]
async fn a_password_that_a_full_disk_kept_off_the_record_is_on_it_when_there_is_room_again() {
    let gateway = Gateway::demo_in(Scratch::new("outbox-full"), &[], &UNSIGNALLED);
    let person = gateway.person("physician", &[]);
    if !set_unrecorded(&gateway, &person).await {
        return;
    }
    let patient = gateway.panel("dana")[0];
    let refused = gateway.try_command(&["care", "remove", "dana", patient]);
    assert!(!refused.success && refused.err.contains("what was to be ended has ended"), "{refused:?}");
    assert!(limit_files(&gateway, "unlimited"));
    // Asking is on record as well, so that it fails until then.
    let begun = Instant::now();
    while !gateway.try_command(&["audit", "search", "--limit", "1"]).success {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until_nothing_waits(&gateway);
    told_late(&gateway, &person);
    let taken = gateway.audit(&["--event", "care.change", "--patient", patient]);
    let removed = taken.iter().filter(|record| record["detail"]["change"] == "remove").collect::<Vec<_>>();
    assert!(removed.len() == 1 && removed[0]["detail"]["recorded_at"].is_string(), "{taken:?}");
    assert!(!gateway.command(&["care", "list", "dana"]).contains(patient), "in force all the same");
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}
