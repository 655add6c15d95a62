//! A copy of the log on another host: it follows, holds by itself, says nothing of patients, and notices a log that is another.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::{Done, Gateway, PROGRAM, Scratch, chartgate};
use crate::wire::Call;

/// Whoever keeps the copy: a folder of their own, and a client of the gateway's.
struct Officer {
    scratch: Scratch,
    words: Vec<String>,
}

impl Officer {
    fn of(gateway: &Gateway, name: &str, role: &str) -> Self {
        let scratch = Scratch::new(name);
        let issuer = gateway.ready["issuer"].as_str().unwrap();
        let added = gateway.command(&[
            "client",
            "add",
            name,
            "--kind",
            "confidential",
            "--grant",
            "client_credentials",
            "--scope",
            "audit",
            "--audience",
            issuer,
            "--role",
            role,
        ]);
        let client: Value = serde_json::from_str(&added).unwrap();
        let secret = scratch.write("secret", format!("{}\n", client["client_secret"].as_str().unwrap()));
        let log = log_of(gateway).join("log.vkey");
        let words = ["mirror", "--from", issuer, "--client-id", name];
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        for (name, path) in
            [("--log", log.as_path()), ("--client-secret-file", &secret), ("--ca", gateway.ca_file())]
        {
            words.extend([name.to_owned(), path.to_str().unwrap().to_owned()]);
        }
        words.extend(["--dir".to_owned(), scratch.path().join("copy").to_str().unwrap().to_owned()]);
        Self { scratch, words }
    }

    fn copy(&self) -> PathBuf {
        self.scratch.path().join("copy")
    }

    fn mirror(&self, more: &[&str]) -> Done {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        chartgate(&[&words[..], &["--once", "--output", "json"], more].concat())
    }

    /// How many records the copy has now, and how many of them came.
    fn bring_up(&self) -> (u64, u64) {
        let done = self.mirror(&[]);
        assert!(done.success, "{done:?}");
        let said: Value = serde_json::from_str(&done.out).unwrap();
        (said["records"].as_u64().unwrap(), said["new"].as_u64().unwrap())
    }

    fn verify(&self) -> Done {
        chartgate(&["audit", "verify", "--dir", self.copy().to_str().unwrap()])
    }
}

fn log_of(gateway: &Gateway) -> &Path {
    Path::new(gateway.ready["audit_dir"].as_str().unwrap())
}

fn size_in(folder: &Path) -> u64 {
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap_or_default();
    note.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// Waits until as many records are under a checkpoint.
fn until(folder: &Path, size: u64) {
    let begun = Instant::now();
    while size_in(folder) < size {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {size}", size_in(folder));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_copy_follows_the_log_holds_by_itself_and_says_nothing_of_patients() {
    let gateway = &Gateway::demo("mirrors", &[]);
    let officer = Officer::of(gateway, "mirrors-officer", "auditor");
    let patient = gateway.panel("dana")[0];
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    for _ in 0..300 {
        Call::get(&format!("/fhir/Patient/{patient}")).bearer(&token).to(gateway).await;
    }
    until(log_of(gateway), 300);
    let (records, new) = officer.bring_up();
    assert!(records >= 300 && new == records, "{records}, {new}");
    let verified = officer.verify();
    assert!(verified.success && verified.out.contains(&records.to_string()), "{verified:?}");

    // The parts of a record that are too long for its entry lie in files of their own, and come too.
    let service =
        App { client: "demo-service", secret: Some(gateway.secret("demo-service")), ..App::public("") };
    let asked = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let all = service.token_call(&asked).to(gateway).await;
    let all = all.json()["access_token"].as_str().unwrap().to_owned();
    let with = ["Observation", "Encounter", "Condition", "MedicationRequest"]
        .map(|name| format!("&_revinclude={name}:subject"))
        .concat();
    let found = Call::get(&format!("/fhir/Patient?_count=1000{with}")).bearer(&all).to(gateway).await;
    assert_eq!(found.status, 200);
    let blobs = log_of(gateway).join("blob");
    assert!(
        blobs.is_dir(),
        "{} Observations are told in an entry",
        found.json()["entry"].as_array().unwrap().len()
    );
    let begun = Instant::now();
    while !officer.copy().join("blob").is_dir() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the entry came without what it names");
        officer.bring_up();
    }
    assert!(officer.verify().success);
    assert_eq!(files(&officer.copy().join("blob")).len(), files(&blobs).len());

    // What opens entries has stayed where it was, and nothing of the copy can be read.
    assert!(!officer.copy().join("keys").exists());
    for path in files(&officer.copy()) {
        let bytes = std::fs::read(&path).unwrap();
        let tells =
            gateway.patients().into_iter().any(|id| bytes.windows(id.len()).any(|at| at == id.as_bytes()));
        assert!(!tells, "{}", path.display());
    }

    // That it was read is on record, with who read it.
    let read = gateway.audit(&["--event", "audit.read"]);
    assert!(read.iter().any(|entry| entry["actor"]["client_id"] == json!("mirrors-officer")), "{read:?}");
}

#[test]
fn only_auditors_have_copies_and_only_of_one_log() {
    let gateway = &Gateway::demo("mirrors-roles", &[]);
    let stranger = Officer::of(gateway, "mirrors-nurse", "nurse");
    let refused = stranger.mirror(&[]);
    assert!(!refused.success && refused.err.contains("answers 403"), "{refused:?}");
    assert_eq!(size_in(&stranger.copy()), 0);

    let officer = Officer::of(gateway, "mirrors-auditor", "auditor");
    officer.bring_up();
    let other = Gateway::demo("mirrors-other", &[]);
    let key = log_of(&other).join("log.vkey");
    let mut confused = Officer { scratch: Scratch::new("mirrors-confused"), words: officer.words.clone() };
    let at = confused.words.iter().position(|word| word == "--log").unwrap() + 1;
    confused.words[at] = key.to_str().unwrap().to_owned();
    let refused = confused.mirror(&[]);
    assert!(!refused.success && refused.err.contains("a copy of the log with the key"), "{refused:?}");
    let at = confused.words.iter().position(|word| word == "--dir").unwrap() + 1;
    confused.words[at] = confused.copy().to_str().unwrap().to_owned();
    let refused = confused.mirror(&[]);
    assert!(!refused.success && refused.err.contains("contradicts"), "{refused:?}");
}

#[tokio::test]
async fn a_mirror_that_runs_follows_and_stops_where_the_log_was_put_back() {
    let mut gateway = Gateway::demo("mirrors-run", &[]);
    let officer = Officer::of(&gateway, "mirrors-runner", "auditor");
    let log = log_of(&gateway).to_owned();
    until(&log, 1);
    gateway.kill();
    let data = log.parent().unwrap().to_owned();
    let before = data.with_file_name("before");
    copy_folder(&data, &before);
    gateway.start();

    let said = officer.scratch.path().join("said");
    let mut running = Command::new(PROGRAM)
        .args(&officer.words)
        .args(["--every", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    // What it has first is all that was there before; then its own reading is on record, so that it follows without anybody
    // doing anything.
    until(&officer.copy(), 1);
    until(&officer.copy(), size_in(&officer.copy()) + 3);
    gateway.kill();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&before, &data).unwrap();
    gateway.start();
    let begun = Instant::now();
    let ended = loop {
        if let Some(ended) = running.try_wait().unwrap() {
            break ended;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", std::fs::read_to_string(&said).unwrap());
        std::thread::sleep(Duration::from_millis(100));
    };
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(!ended.success() && said.contains("contradicts"), "{said}");
    assert!(officer.verify().success, "what is there stays as it was");
    let refused = officer.mirror(&[]);
    assert!(!refused.success && refused.err.contains("once somebody has looked"), "{refused:?}");
    let plain = officer.words.iter().map(|word| word.replacen("https://", "http://", 1)).collect();
    let refused = Officer { scratch: Scratch::new("mirrors-plain"), words: plain }.mirror(&[]);
    assert!(!refused.success && refused.err.contains("https alone"), "{refused:?}");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &target),
            false if path.is_file() => drop(std::fs::copy(&path, &target).unwrap()),
            // The socket of the administration.
            false => {}
        }
    }
}
