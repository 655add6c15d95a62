//! What the log says of patients ends when its time is over, by command, on record, and never while somebody holds it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use serde_json::Value;

use crate::gateway::Gateway;

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
    let told: Value = serde_json::from_str(&expire(&["--dry-run"]).out).unwrap();
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
