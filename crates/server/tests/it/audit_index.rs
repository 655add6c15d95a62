//! Finding records by the index: what it finds is what reading the whole log finds, whatever became of the index.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::browser::{App, USER_SCOPE};
use crate::gateway::Gateway;
use crate::wire::Call;

/// The records of a question, but for those of asking.
fn found(gateway: &Gateway, question: &[&str]) -> Vec<Value> {
    gateway.audit(question).into_iter().filter(|record| record["event"] != "audit.read").collect()
}

fn index(gateway: &Gateway) -> PathBuf {
    let mut files = vec![gateway.scratch().path().to_owned()];
    while let Some(path) = files.pop() {
        if path.file_name().is_some_and(|name| name == "audit-index.db") {
            return path;
        }
        files.extend(std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
    panic!("there is no index")
}

/// Asks the same by the index and by reading all, and returns how many records each question found.
fn ask_all(gateway: &Gateway, questions: &[Vec<&str>]) -> Vec<usize> {
    let both = |question: &Vec<&str>| {
        let by_index = found(gateway, question);
        assert_eq!(by_index, found(gateway, &[&question[..], &["--scan"]].concat()), "{question:?}");
        by_index.len()
    };
    questions.iter().map(both).collect()
}

#[tokio::test]
async fn the_index_finds_what_reading_the_whole_log_finds() {
    let gateway = &mut Gateway::demo("audit-index", &[]);
    let (mine, theirs) = (gateway.panel("dana")[0].to_owned(), gateway.patients()[20].to_owned());
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    for what in [
        format!("Patient/{mine}"),
        format!("Patient/{theirs}"),
        format!("Observation/{mine}-obs00"),
        format!("Observation/{mine}-obs00/_history"),
        format!("Observation?patient={mine}"),
        format!("Condition?patient={theirs}"),
    ] {
        Call::get(&format!("/fhir/{what}")).bearer(&dana).to(gateway).await;
    }
    let observation = format!("Observation/{mine}-obs00");
    let questions = [
        vec![],
        vec!["--user", "dana"],
        vec!["--patient", mine.as_str()],
        vec!["--patient", theirs.as_str(), "--outcome", "deny"],
        vec!["--resource", "Observation"],
        vec!["--resource", observation.as_str()],
        vec!["--policy", "physician-panel", "--action", "search"],
        vec!["--event", "token.issue"],
        vec!["--reason", "no-such-reason"],
        vec!["--user", "dana", "--limit", "2"],
        vec!["--since", "2026-01-01T00:00:00Z", "--user", "dana"],
        vec!["--until", "2026-01-01T00:00:00Z", "--user", "dana"],
    ];
    let counts = ask_all(gateway, &questions);
    assert!(counts[0] > 20 && counts[1] > 6, "{counts:?}");
    assert_eq!((counts[4], counts[5], counts[8], counts[11]), (3, 2, 0, 0), "{counts:?}");

    // All of a question at once, for outside use: read from the log itself, as lines of JSON or a table.
    let lines = gateway.command(&["audit", "export", "--user", "dana"]);
    let exported: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported, found(gateway, &["--user", "dana", "--scan"]));
    let table = gateway.command(&["audit", "export", "--user", "dana", "--csv"]);
    assert_eq!(table.lines().count(), exported.len().saturating_add(1), "a line each, and the heads");
    assert!(table.starts_with("\"index\",\"time\",\"event\"") && table.contains(&mine), "{table}");
    let reads = gateway.audit(&["--event", "audit.read"]);
    assert!(reads.iter().any(|read| read["resource"] == "export"), "to export is to read");

    // Gone, and made anew; damaged, and made anew; an older one, and brought up to date.
    let path = index(gateway);
    let older = std::fs::read(&path).unwrap();
    let damaged = vec![7; older.len()];
    for content in [None, Some(damaged), Some(older)] {
        gateway.kill();
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        match &content {
            None => std::fs::remove_file(&path).unwrap(),
            Some(content) => std::fs::write(&path, content).unwrap(),
        }
        gateway.start();
        assert_eq!(ask_all(gateway, &questions[1..8]), counts[1..8], "at once, from the log");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(ask_all(gateway, &questions[1..8]), counts[1..8], "from the index");
        assert_ne!(std::fs::read(&path).unwrap().first(), Some(&7), "a damaged index is not kept");
    }
    // Without the gateway's key nothing in it can be read.
    let text = std::fs::read(&path).unwrap();
    for name in ["dana", mine.as_str(), "physician-panel"] {
        assert!(!text.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
}
