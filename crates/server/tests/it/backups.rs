//! Backups: made of a gateway at work, restored elsewhere, tried out, and refused where anything in them is not what was signed.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::browser::{App, Browser, USER_SCOPE};
use crate::evidence::{count, lacks, pack};
use crate::gateway::{Done, Gateway, Scratch, chartgate};
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Call, Connection};

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn back_up(gateway: &Gateway, out: &Path) -> Value {
    let made = gateway.command(&["backup", "--out", text(out), "--output", "json"]);
    serde_json::from_str(&made).unwrap()
}

/// With the key that lies in it, where none is given.
pub(crate) fn restore(from: &Path, dir: &Path, more: &[&str]) -> Done {
    let words = ["restore", "--from", text(from), "--dir", text(dir), "--output", "json"];
    let trust: &[&str] = if more.contains(&"--key") { &[] } else { &["--trust-the-key-inside"] };
    chartgate(&[&words[..], trust, more].concat())
}

/// All files below a folder, by their names in it.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(text(path.strip_prefix(root).unwrap()).to_owned());
            }
        }
    }
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Reads a patient over and over, until it is killed: how often it was answered.
async fn read_until_killed(mut connection: Connection, token: String, patient: String) -> usize {
    let mut answered = 0_usize;
    loop {
        let call = Call::get(&format!("/fhir/Patient/{patient}")).bearer(&token);
        match connection.try_send(call).await {
            Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
            Err(_) => return answered,
        }
        answered = usize::saturating_add(answered, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_gateway_at_work_is_restored_and_nothing_from_before_is_believed() {
    let mut gateway = Gateway::demo("backup", &[]);
    let patient = gateway.panel("dana")[0].to_owned();
    let dana = gateway.demo_person("dana");
    let app = App::public("openid fhirUser offline_access user/*.cruds");
    let (mut browser, before) = (Browser::default(), Browser::default());
    let mut used = before;
    let tokens = app.tokens_in(&gateway, &mut browser, &dana).await;
    // One that is refreshed after the backup: the token that was used up must not come back to life.
    let other = app.tokens_in(&gateway, &mut used, &dana).await;
    let link = gateway.command(&["user", "add", "newcomer", "--role", "nurse", "--output", "json"]);
    let link: Value = serde_json::from_str(&link).unwrap();
    let link = link["enrolment_link"].as_str().unwrap().to_owned();
    let read = || Call::get(&format!("/fhir/Patient/{patient}"));
    assert_eq!(read().bearer(&tokens.access).to(&gateway).await.status, 200);

    let mut reading = Vec::new();
    for _ in 0..4 {
        let connection = Connection::open(&gateway).await;
        reading.push(tokio::spawn(read_until_killed(connection, tokens.access.clone(), patient.clone())));
    }
    let out = gateway.scratch().path().join("backup");
    let made = back_up(&gateway, &out);
    let size = made["records"].as_u64().unwrap();
    let begun = gateway.audit(&["--event", "backup.begin"]);
    assert!(begun[0]["index"].as_u64().unwrap() < size, "that it was begun is in it");
    assert!(!gateway.try_command(&["backup", "--out", text(&out)]).success, "nothing is written over");
    assert_eq!(app.refresh_call(other.refresh()).to(&gateway).await.status, 200);
    gateway.command(&["user", "disable", "nils"]);
    let audit = PathBuf::from(gateway.ready["audit_dir"].as_str().unwrap());
    let newest = gateway.scratch().path().join("newest");
    crate::outward_syslog::until("a checkpoint covers what came after", || {
        std::fs::copy(audit.join("checkpoint"), &newest).unwrap();
        let note = std::fs::read_to_string(&newest).unwrap();
        note.lines().nth(1).unwrap().parse::<u64>().unwrap() > size + 10
    })
    .await;
    gateway.kill();
    for reader in reading {
        assert!(reader.await.unwrap() > 0);
    }

    // What leaves is for its owner alone, and no key that opens it is among it.
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o700);
    let names = files(&out);
    for name in &names {
        let mode = std::fs::metadata(out.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let master = std::fs::read_to_string(gateway.folder().join("data/master.key")).unwrap();
    let holds =
        |name: &String| String::from_utf8_lossy(&std::fs::read(out.join(name)).unwrap()).contains(&master);
    assert_eq!(names.iter().find(|name| holds(name)), None);
    let needs: Vec<_> = made["needs"].as_array().unwrap().iter().map(|need| need.as_str().unwrap()).collect();
    for needed in ["data/master.key", "tls/cert.pem", "tls/key.pem", "secrets/fhir-upstream"] {
        assert!(needs.iter().any(|need| need.ends_with(needed)), "{needed}: {needs:?}");
    }

    // Restored, with what has to be kept elsewhere, in the place of what was lost.
    let dir = gateway.scratch().path().join("restored");
    let key = std::fs::read_to_string(audit.join("log.vkey")).unwrap();
    let done = restore(&out, &dir, &["--key", key.trim(), "--checkpoint", text(&newest)]);
    assert!(done.success, "{done:?}");
    let told: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(told["records"], size);
    assert_eq!(told["begun"], begun[0]["index"]);
    assert_eq!(told["elsewhere"], serde_json::json!([]), "it would run what was restored");
    let again = restore(&out, &dir, &[]);
    assert!(!again.success && again.err.contains("is there already"), "{again:?}");
    let restored_log = dir.join("data/audit");
    let verified = chartgate(&["audit", "verify", "--dir", text(&restored_log)]);
    assert!(verified.out.starts_with(&format!("verified: {size} records")), "{verified:?}");
    for name in files(&dir) {
        assert_eq!(std::fs::metadata(dir.join(&name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let lost = gateway.scratch().path().join("lost");
    std::fs::rename(gateway.folder(), &lost).unwrap();
    std::fs::rename(&dir, gateway.folder()).unwrap();
    for needed in ["data/master.key", "tls", "secrets"] {
        copy(&lost.join(needed), &gateway.folder().join(needed));
    }
    gateway.start();

    // Nothing of before is believed: not what was good, nor what had been used up since.
    let refused = read().bearer(&tokens.access).to(&gateway).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    for refresh in [tokens.refresh(), other.refresh()] {
        assert_eq!(app.refresh_call(refresh).to(&gateway).await.error(), "invalid_grant");
    }
    let start = browser.follow(&gateway, "/account/apps").await;
    assert!(start.text().contains("name=\"password\""), "the session is over: {}", start.text());
    let path = link.strip_prefix(&gateway.issuer).unwrap();
    assert!(!Call::get(path).to(&gateway).await.text().contains("name=\"password\""), "so is the link");

    // What came back is work: people sign in, records are read, and the log goes on from where it was.
    let fresh = App::public(USER_SCOPE).tokens(&gateway, &dana).await.access;
    assert_eq!(read().bearer(&fresh).to(&gateway).await.status, 200);
    let restored = gateway.audit(&["--event", "backup.restore"]);
    assert_eq!(restored.len(), 1, "{restored:?}");
    assert_eq!(restored[0]["index"], size, "the first record of the new history says what it is");
    assert_eq!(restored[0]["resource"], made["backup"]);
    let detail = |name: &str| restored[0]["detail"][name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(detail("sessions") >= 2 && detail("keys") >= 2 && detail("links") >= 1, "{restored:?}");
    assert_eq!(begun[0]["index"], detail("begun"));
    assert!(restored[0]["actor"]["sub"].as_str().unwrap().starts_with("local:"), "{restored:?}");
    let lost: u64 = restored[0]["detail"]["lost"].as_str().unwrap().parse().unwrap();
    assert!(lost > 10, "{lost}");
    let user: Value =
        serde_json::from_str(&gateway.command(&["user", "show", "nils", "--output", "json"])).unwrap();
    assert_eq!(
        user["state"], "enabled",
        "as the restore said: who was shut out since has to be shut out again"
    );
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
    let said = gateway.output();
    assert!(!said.contains("begins anew"), "watching goes on where the store says that it was: {said}");
    gateway.kill_and_restart();
    assert_eq!(gateway.audit(&["--event", "backup.restore"]).len(), 1, "it is said once");
    assert_eq!(read().bearer(&fresh).to(&gateway).await.status, 200, "and ends nothing that came after it");
}

/// A backup to be tampered with, of a gateway that does not run.
struct Kept {
    gateway: Gateway,
    backup: PathBuf,
}

impl Kept {
    fn new(name: &str) -> Self {
        let mut gateway = serve_in(Scratch::new(name), "", "", SCOPE);
        // A record so long that its sealed part lies in a file of its own.
        let reason = "x".repeat(400);
        gateway.command(&["audit", "hold", "--reason", &reason]);
        for _ in 0..3 {
            gateway.audit(&["--limit", "1"]);
        }
        gateway.terminate();
        let backup = gateway.folder().join("backup");
        back_up(&gateway, &backup);
        Self { gateway, backup }
    }

    /// Whether an altered copy of it is refused, with what is said, and leaves nothing behind.
    fn refuses(&self, alter: impl FnOnce(&Path), more: &[&str]) -> String {
        let (copied, dir) = (self.gateway.folder().join("altered"), self.gateway.folder().join("restored"));
        copy(&self.backup, &copied);
        alter(&copied);
        let done = restore(&copied, &dir, more);
        assert!(!done.success, "{done:?}");
        assert!(!dir.exists() && !self.gateway.folder().join(".restored.partial").exists(), "{done:?}");
        std::fs::remove_dir_all(&copied).unwrap();
        done.err
    }
}

#[test]
fn whatever_was_altered_in_a_backup_is_refused_by_its_name() {
    let kept = Kept::new("backup-tampered");
    let names = files(&kept.backup);
    for kind in [
        "backup.note",
        "manifest",
        "config/chartgate.toml",
        "keys/log.key",
        "store/chartgate.db",
        "log/checkpoint",
        "log/log.vkey",
        "log/keys/",
        "log/tile/entries/",
        "log/tile/0/",
        "policies/nurse.cedar",
        "policies/schema.cedarschema",
        "policies/tests/pack.json",
    ] {
        assert!(names.iter().any(|name| name.starts_with(kind)), "{kind}: {names:?}");
    }
    // One policy stands for all.
    let is_alike = |name: &String| name.ends_with(".cedar") && !name.ends_with("nurse.cedar");
    for name in names.iter().filter(|name| !is_alike(name)) {
        let path = |root: &Path| root.join(name);
        let flipped = kept.refuses(
            |root| {
                let mut bytes = std::fs::read(path(root)).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(path(root), bytes).unwrap();
            },
            &[],
        );
        // Another key is not by which the note was signed.
        let told = if name == "log/log.vkey" { "log.vkey" } else { name };
        assert!(
            flipped.contains(told) || name == "log/log.vkey" && flipped.contains("backup.note"),
            "{name}: {flipped}"
        );
        let longer = kept.refuses(
            |root| {
                let mut bytes = std::fs::read(path(root)).unwrap();
                bytes.push(b'\n');
                std::fs::write(path(root), bytes).unwrap();
            },
            &[],
        );
        assert!(longer.contains(name.as_str()), "{name}: {longer}");
        let missing = kept.refuses(|root| std::fs::remove_file(path(root)).unwrap(), &[]);
        assert!(missing.contains(name.as_str()), "{name}: {missing}");
        let linked = kept.refuses(
            |root| {
                let aside = root.with_extension("aside");
                std::fs::rename(path(root), &aside).unwrap();
                symlink(&aside, path(root)).unwrap();
            },
            &[],
        );
        assert!(linked.contains(name.as_str()), "{name}: {linked}");
    }
}

#[test]
fn what_does_not_belong_to_a_backup_is_refused_and_so_is_what_another_key_has_signed() {
    let kept = Kept::new("backup-others");
    for added in ["extra", "log/tile/0/extra", "policies/new.cedar", "config/.hidden"] {
        let told = kept.refuses(
            |root| std::fs::write(root.join(added), "permit(principal, action, resource);").unwrap(),
            &[],
        );
        assert!(told.contains(added) && told.contains("not in the manifest"), "{told}");
    }
    let told = kept.refuses(
        |root| {
            let (one, other) = (root.join("policies/nurse.cedar"), root.join("policies/billing.cedar"));
            std::fs::rename(&one, root.join("aside")).unwrap();
            std::fs::rename(&other, &one).unwrap();
            std::fs::rename(root.join("aside"), &other).unwrap();
        },
        &[],
    );
    assert!(told.contains("policies/") && told.contains("is not what was signed"), "{told}");
    // A manifest that names a place outside is none, even if whoever wrote it could have it signed.
    let told = kept.refuses(
        |root| {
            let manifest = std::fs::read_to_string(root.join("manifest")).unwrap();
            let elsewhere = manifest.replace(" policies/nurse.cedar", " policies/../../nurse.cedar");
            std::fs::write(root.join("manifest"), elsewhere).unwrap();
        },
        &[],
    );
    assert!(told.contains("manifest"), "{told}");

    // Two backups of one log: nothing of the one passes for the other's.
    let older = kept.backup.clone();
    let newer = kept.gateway.folder().join("newer");
    back_up(&kept.gateway, &newer);
    for name in ["backup.note", "manifest", "store/chartgate.db", "log/checkpoint"] {
        let told = kept.refuses(
            |root| {
                std::fs::copy(newer.join(name), root.join(name)).unwrap();
            },
            &[],
        );
        assert!(told.contains("is not what was signed") || told.contains("manifest"), "{name}: {told}");
    }
    // The older one as a whole is a backup; a checkpoint of later says that it is old, and by how much.
    let note = text(&newer.join("log/checkpoint")).to_owned();
    let dir = kept.gateway.folder().join("older");
    let done = restore(&older, &dir, &["--checkpoint", &note]);
    let told: Value = serde_json::from_str(&done.out).unwrap();
    assert!(told["records_known"].as_u64() > told["records"].as_u64(), "{told}");

    let stranger = serve_in(Scratch::new("backup-stranger"), "", "", SCOPE);
    let key = stranger.folder().join("data/audit/log.vkey");
    let told = kept.refuses(|_| {}, &["--key", text(&key)]);
    assert!(told.contains("backup.note"), "{told}");
    let foreign = stranger.folder().join("data/audit/checkpoint");
    let told = kept.refuses(|_| {}, &["--checkpoint", text(&foreign)]);
    assert!(told.contains("checkpoint"), "{told}");
    let nothing = restore(&kept.gateway.folder().join("no-such"), &kept.gateway.folder().join("none"), &[]);
    assert!(!nothing.success && nothing.err.contains("backup.note"), "{nothing:?}");
}

#[tokio::test]
async fn a_drill_says_how_long_it_took_and_what_would_be_lost_and_evidence_shows_it() {
    let mut gateway = Gateway::demo("backup-drill", &[]);
    let before = pack(&gateway, "before");
    assert!(lacks(&before, "C19", "No backup was made") && lacks(&before, "C19", "No backup was tried out"));
    let out = gateway.scratch().path().join("backup");
    let made = back_up(&gateway, &out);
    let drill = |gateway: &Gateway| {
        gateway.try_command(&["backup", "drill", "--from", text(&out), "--output", "json"])
    };
    for _ in 0..20 {
        gateway.audit(&["--limit", "1"]);
    }
    let done = drill(&gateway);
    assert!(done.success, "{done:?}");
    let told: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&told["backup"], &told["records"]), (&made["backup"], &made["records"]));
    let after = told["records_after"].as_u64().unwrap();
    assert!((18..40).contains(&after), "{told}");
    assert!(told["milliseconds"].as_u64().unwrap() > 0, "{told}");
    let left: Vec<_> =
        std::fs::read_dir(gateway.scratch().path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| text(Path::new(name)).contains("drill")), "nothing is left: {left:?}");
    let drills = gateway.audit(&["--event", "backup.drill"]);
    assert_eq!(drills[0]["detail"]["after"], after.to_string());
    assert_eq!((&drills[0]["outcome"], &drills[0]["resource"]), (&"allow".into(), &made["backup"]));

    let shown = pack(&gateway, "shown");
    assert!(!lacks(&shown, "C19", "No backup was") && !lacks(&shown, "C19", "more than"));
    assert_eq!((count(&shown, "C19", "Backups made"), count(&shown, "C19", "Backups tried out")), (1, 1));
    assert_eq!(count(&shown, "C19", "Backups and drills that failed"), 0);

    // One that would not do fails the drill, whatever it is, and that is on record.
    let store = out.join("store/chartgate.db");
    let own = std::fs::read(&store).unwrap();
    std::fs::write(&store, &own[..own.len() / 2]).unwrap();
    let failed = drill(&gateway);
    assert!(
        !failed.success && failed.err.contains("store/chartgate.db is not what was signed"),
        "{failed:?}"
    );
    std::fs::write(&store, own).unwrap();
    assert!(drill(&gateway).success);
    let drills = gateway.audit(&["--event", "backup.drill"]);
    assert_eq!((drills.len(), drills[1]["outcome"].as_str()), (3, Some("error")));
    let failing = pack(&gateway, "failing");
    assert_eq!(count(&failing, "C19", "Backups and drills that failed"), 1);

    // A backup whose master key is lost is none. (Without a gateway, for one that runs has it in memory.)
    gateway.terminate();
    let master = gateway.folder().join("data/master.key");
    let own = std::fs::read_to_string(&master).unwrap();
    let digit = |digit: char| if digit == '0' { '1' } else { '0' };
    let mut wrong: Vec<char> = own.chars().collect();
    wrong[0] = digit(wrong[0]);
    std::fs::write(&master, wrong.iter().collect::<String>()).unwrap();
    let lost = drill(&gateway);
    assert!(!lost.success && lost.err.contains("does not open under this master key"), "{lost:?}");
    std::fs::write(&master, own).unwrap();
    assert!(drill(&gateway).success, "and it can be tried out without one");

    // Of another log's backup it is seen that it is another's.
    let other = serve_in(Scratch::new("backup-another"), "", "", SCOPE);
    let foreign = other.folder().join("backup");
    back_up(&other, &foreign);
    let refused = gateway.try_command(&["backup", "drill", "--from", text(&foreign)]);
    assert!(!refused.success && refused.err.contains("backup.note"), "{refused:?}");
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_and_is_on_record_as_failed() {
    let gateway = &Gateway::demo("backup-fails", &[]);
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let path = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let mut connection = Connection::open(gateway).await;
    for _ in 0..260 {
        assert_eq!(connection.send(Call::get(&path).bearer(&dana)).await.status, 200);
    }
    let audit = PathBuf::from(gateway.ready["audit_dir"].as_str().unwrap());
    let bundle = audit.join("tile/entries/000");
    crate::outward_syslog::until("a bundle is full", || bundle.exists()).await;
    let out = gateway.scratch().path().join("backup");
    let fails = |why: &str, out: &Path| {
        let done = gateway.try_command(&["backup", "--out", text(out)]);
        assert!(
            !done.success && done.err.contains("there is no backup") && done.err.contains(why),
            "{done:?}"
        );
        assert!(!out.exists() && !out.with_file_name(".backup.partial").exists());
    };
    fails("No such file", &gateway.scratch().path().join("no/such/folder"));
    let seed = gateway.folder().join("data/log.key");
    let aside = gateway.folder().join("data/aside");
    std::fs::rename(&seed, &aside).unwrap();
    fails("log.key", &out);
    std::fs::rename(&aside, &seed).unwrap();

    // A log that does not hold is not backed up as if it did.
    let own = std::fs::read(&bundle).unwrap();
    let mut altered = own.clone();
    let place = altered.windows(7).position(|bytes| bytes == b"\"allow\"").unwrap();
    altered[place + 1] = b'A';
    std::fs::write(&bundle, altered).unwrap();
    fails("what was copied of the log does not hold: entry ", &out);
    std::fs::remove_file(&bundle).unwrap();
    fails("tile/entries/000", &out);
    std::fs::write(&bundle, own).unwrap();

    back_up(gateway, &out);
    let records = gateway.audit(&["--event", "backup.make"]);
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["error", "error", "error", "error", "allow"]);
    assert_eq!(gateway.audit(&["--event", "backup.begin"]).len(), 5, "each is on record before it begins");
    let left = gateway.try_command(&["backup", "--out", "/"]);
    assert!(!left.success && left.err.contains("is no name for a folder"), "{left:?}");
}
