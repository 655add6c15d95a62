//! `chartgate audit prove`: proofs that are written, and looked at by whoever has the log's public key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::gateway::{Done, Gateway, chartgate};
use crate::shared;

fn says(done: &Done, success: bool, words: &str) {
    assert!(
        done.success == success && (done.out.contains(words) || done.err.contains(words)),
        "{words}: {done:?}"
    );
}

#[test]
fn a_proof_is_checked_with_the_public_key_alone_and_is_of_one_record_of_one_log() {
    let mut gateway = Gateway::demo("proofs", &[]);
    gateway.command(&["user", "disable", "nils"]);
    let audit = gateway.ready["audit_dir"].as_str().unwrap().to_owned();
    gateway.terminate();
    // Any record of the log, with its entry, as a report has it.
    let report = gateway.command(&["audit", "report", "activity", "--format", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let sections = report["sections"].as_array().unwrap().iter();
    let rows: Vec<&Value> = sections
        .flat_map(|section| section["rows"].as_array().unwrap())
        .filter(|row| row["entry"].is_string())
        .collect();
    let row = rows.first().unwrap_or_else(|| panic!("{report}"));
    let index = row["record"].to_string();

    let scratch = gateway.scratch();
    let proof = scratch.write("record.tlog-proof", "anybody's");
    std::fs::set_permissions(&proof, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = proof.to_str().unwrap();
    gateway.command(&["audit", "prove", &index, "--out", file]);
    let mode = std::fs::metadata(&proof).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "as reports are written");
    let text = std::fs::read_to_string(&proof).unwrap();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\n"), "{text}");

    let entry = row["entry"].as_str().unwrap();
    let encoded = scratch.write("entry.base64", format!("{entry}\n"));
    let plain = scratch.write("entry.json", STANDARD.decode(entry).unwrap());
    let key = format!("{audit}/log.vkey");
    let nowhere = ["--config", "/nowhere/chartgate.toml"];
    let check = |file: &Path, more: &[&str]| {
        chartgate(&[&["audit", "prove", "--check", file.to_str().unwrap()], &nowhere[..], more].concat())
    };
    let proven = format!("proven: record {index} stands in the log of ");
    for entry in [&encoded, &plain] {
        says(&check(&proof, &["--key", &key, "--entry", entry.to_str().unwrap()]), true, &proven);
    }
    let by_folder = check(&proof, &["--dir", &audit]);
    says(&by_folder, true, &proven);
    says(&by_folder, true, "the folder's own key is believed");
    says(&gateway.try_command(&["audit", "prove", "--check", file]), true, &proven);

    // Another record, another log, and a proof that somebody wrote into.
    let other = scratch.write("other", "{}");
    says(
        &check(&proof, &["--key", &key, "--entry", other.to_str().unwrap()]),
        false,
        &format!("is not record {index}"),
    );
    let strange = shared::demo().ready["audit_dir"].as_str().unwrap().to_owned() + "/log.vkey";
    says(
        &check(&proof, &["--key", &strange, "--entry", plain.to_str().unwrap()]),
        false,
        "record.tlog-proof",
    );
    let lines: Vec<&str> = text.lines().collect();
    let written = |lines: Vec<&str>| scratch.write("altered", lines.join("\n") + "\n");
    let moved = format!("index {}", index.parse::<u64>().unwrap() + 1);
    let altered = written([&["c2sp.org/tlog-proof@v1", &moved], &lines[2..]].concat());
    says(&check(&altered, &["--key", &key, "--entry", plain.to_str().unwrap()]), false, "is not record");
    let shorter = written([&lines[..2], &lines[3..]].concat());
    says(&check(&shorter, &["--key", &key, "--entry", plain.to_str().unwrap()]), false, "is not record");
    let moved = scratch.write("moved", text.replace("localhost", "elsewhere"));
    says(&check(&moved, &["--key", &key, "--entry", plain.to_str().unwrap()]), false, "moved");
    says(&check(&proof, &[]), false, "give --key and --entry, or --dir");
    for wrong in [
        &["audit", "prove"][..],
        &["audit", "prove", "3", "--check", file],
        &["audit", "prove", "3", "--key", &key],
    ] {
        assert_eq!(chartgate(wrong).code, Some(2), "{wrong:?}");
    }
}
