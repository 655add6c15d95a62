//! What the log says of patients ends when its time is over, by command, on record, and never while somebody holds it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use serde_json::Value;

use crate::gateway::{Gateway, Scratch};
use crate::outward_syslog::until;
use crate::routes::{SCOPE, serve_in};

fn months(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder.join("keys")).unwrap();
    let mut months: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    months.sort();
    months
}

#[test]
fn a_month_is_ended_when_its_time_is_over_and_nobody_holds_it() {
    let gateway = &Gateway::demo("retention", &[]);
    let folder = Path::new(gateway.ready["audit_dir"].as_str().unwrap()).to_owned();
    let now = months(&folder);
    assert_eq!(now.len(), 1, "this month has a key: {now:?}");
    // Keys of months long ago: what they open is not there, that they are is enough.
    for month in ["2019-12", "2020-02"] {
        let name = folder.join(format!("keys/{month}.json"));
        std::fs::copy(folder.join("keys").join(&now[0]), name).unwrap();
    }
    let index = folder.with_file_name("audit-index.db");
    assert_eq!(months_of(&index, 3)[..2], ["2019-12", "2020-02"]);
    let before = born(&index);
    let expire =
        |more: &[&str]| gateway.try_command(&[&["audit", "expire", "--output", "json"], more].concat());
    let said = expire(&["--dry-run"]);
    assert!(said.err.contains("kept for 6 years (`audit.retention`)"), "{said:?}");
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 2, "six years are over: {told}");
    assert_eq!(months(&folder).len(), 3, "to say it destroys nothing");

    let held: Value =
        serde_json::from_str(&gateway.command(&["audit", "hold", "--reason", "case 17", "--output", "json"]))
            .unwrap();
    let id = held["id"].as_str().unwrap();
    let refused = expire(&[]);
    assert!(!refused.success && refused.err.contains("case 17"), "{refused:?}");
    assert_eq!(months(&folder).len(), 3, "a hold keeps them");
    assert!(!gateway.try_command(&["audit", "hold", "--reason", " "]).success);
    assert!(!gateway.try_command(&["audit", "release", "no-such-hold"]).success);
    gateway.command(&["audit", "release", id]);
    assert!(!gateway.try_command(&["audit", "release", id]).success, "it is released once");
    let told: Value = serde_json::from_str(&expire(&[]).out).unwrap();
    assert!(told.as_array().unwrap().iter().all(|month| month["destroyed"] == true), "{told}");
    assert_eq!(months(&folder), now, "this month's key stays");
    assert_eq!(serde_json::from_str::<Value>(&expire(&[]).out).unwrap(), Value::Array(Vec::new()));

    let of = |event: &str| gateway.audit(&["--event", event]);
    let ended = of("audit.shred");
    let outcomes: Vec<_> = ended.iter().map(|r| (r["outcome"].as_str(), r["resource"].as_str())).collect();
    assert_eq!(
        outcomes,
        [(Some("deny"), Some("2019-12")), (Some("allow"), Some("2019-12")), (Some("allow"), Some("2020-02"))]
    );
    assert_eq!(ended[0]["decision"]["reason"], "legal-hold");
    assert!(ended.iter().all(|record| record["detail"]["retention"] == "189345600s"), "{ended:?}");
    assert_eq!(
        (of("audit.hold")[0]["detail"]["reason"].as_str(), of("audit.release").len()),
        (Some("case 17"), 1)
    );
    let holds = gateway.command(&["audit", "holds", "--output", "json"]);
    assert!(holds.contains("case 17") && holds.contains("released_at"), "{holds}");
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
    // The index is another one: what it knew of those months is gone with them.
    assert_eq!(months_of(&index, 1), [now[0].trim_end_matches(".json")]);
    assert_ne!(born(&index), before);
}

#[test]
fn a_search_by_patient_says_of_which_months_nothing_can_be_found() {
    let gateway = &Gateway::demo("retention-search", &[]);
    let folder = Path::new(gateway.ready["audit_dir"].as_str().unwrap()).to_owned();
    let by_patient = ["audit", "search", "--patient", "pt-1023"];
    assert_eq!(gateway.try_command(&by_patient).err, "");
    let now = months(&folder);
    std::fs::rename(folder.join("keys").join(&now[0]), folder.join("aside.json")).unwrap();
    let month = now[0].trim_end_matches(".json");
    for asked in [&by_patient[..], &["audit", "export", "--resource", "Observation"]] {
        let told = gateway.try_command(asked);
        assert!(told.success && told.err.contains(&format!("without the key of {month}:")), "{told:?}");
    }
    assert_eq!(
        gateway.try_command(&["audit", "search", "--event", "gateway.start"]).err,
        "",
        "that is clear"
    );
}

#[tokio::test]
async fn a_longer_retention_is_in_force_from_a_reload_on() {
    let gateway = serve_in(Scratch::new("retention-longer"), "", "[audit]\nretention = \"6y\"", SCOPE);
    let folder = gateway.folder().join("data/audit");
    let own = months(&folder);
    std::fs::copy(folder.join("keys").join(&own[0]), folder.join("keys/2019-12.json")).unwrap();
    let file = gateway.folder().join("chartgate.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"6y\"", "\"10y\"")).unwrap();
    let told = gateway.try_command(&["audit", "expire", "--dry-run"]);
    assert!(told.out.contains("2019-12") && told.err.contains("kept for 6 years"), "not yet: {told:?}");
    gateway.hang_up();
    until("it is in force", || gateway.output().contains("the new configuration is in force")).await;
    assert!(!gateway.output().contains("needs a restart"), "{}", gateway.output());
    let told = gateway.try_command(&["audit", "expire"]);
    assert!(told.success && told.err.contains("kept for 10 years"), "{told:?}");
    assert!(folder.join("keys/2019-12.json").exists(), "nothing is over by then");
    assert_eq!(gateway.audit(&["--event", "audit.shred"]), [0; 0]);
}

/// A key that is a folder of files stands for one that the disk takes its time to remove.
#[test]
fn a_hold_is_acknowledged_before_or_after_a_month_is_ended_and_never_while_it_is() {
    const PARTS: usize = 60_000;
    let gateway = &Gateway::demo("retention-held", &[]);
    let key = Path::new(gateway.ready["audit_dir"].as_str().unwrap()).join("keys/2019-12.json");
    std::fs::create_dir(&key).unwrap();
    for part in 0..PARTS {
        std::fs::File::create(key.join(part.to_string())).unwrap();
    }
    let left = || std::fs::read_dir(&key).map(Iterator::count).unwrap_or_default();
    std::thread::scope(|scope| {
        let expiring = scope.spawn(|| gateway.try_command(&["audit", "expire"]));
        while left() == PARTS && !expiring.is_finished() {
            std::thread::yield_now();
        }
        gateway.command(&["audit", "hold", "--reason", "case 18"]);
        assert_eq!(left(), 0, "what the hold was to keep was being destroyed");
        let done = expiring.join().unwrap();
        assert!(done.success, "{done:?}");
    });
}

fn born(path: &Path) -> SystemTime {
    std::fs::metadata(path).unwrap().created().unwrap()
}

/// The months that an index was made of, once it has looked whether they are there still.
fn months_of(index: &Path, count: usize) -> Vec<String> {
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        let months = Connection::open(index)
            .and_then(|index| index.query_row("SELECT months FROM state", [], |row| row.get::<_, String>(0)));
        let months: Vec<String> = months.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if months.len() == count {
            return months;
        }
    }
    panic!("the index has not looked for ten seconds");
}
