//! Whatever way a backup comes to be run, it begins anew; and what would run something else, or at a wrong time, is not begun.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection as Database;
use serde_json::{Value, json};

use crate::backups::{back_up, copy, restore, text};
use crate::browser::{App, Browser, USER_SCOPE, part};
use crate::gateway::{Done, Gateway, KILLS, PROGRAM, Scratch, chartgate};
use crate::revocations::workload;
use crate::routes::{SCOPE, serve_in};
use crate::wire::Call;

fn number(database: &Path, question: &str) -> i64 {
    Database::open(database).unwrap().query_row(question, [], |row| row.get(0)).unwrap()
}

/// Puts a backup's store and log into a gateway's own folders, as somebody would who has no `restore` at hand.
fn copy_by_hand(backup: &Path, gateway: &Gateway) {
    let data = gateway.folder().join("data");
    for name in ["chartgate.db-wal", "chartgate.db-shm", "audit-index.db"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    std::fs::copy(backup.join("store/chartgate.db"), data.join("chartgate.db")).unwrap();
    let audit = PathBuf::from(gateway.ready["audit_dir"].as_str().unwrap());
    std::fs::remove_dir_all(&audit).unwrap();
    copy(&backup.join("log"), &audit);
}

#[tokio::test]
async fn a_backup_that_was_copied_by_hand_begins_anew_and_says_so() {
    let mut gateway = Gateway::demo("backups-by-hand", &[]);
    let dana = gateway.demo_person("dana");
    let patient = gateway.panel("dana")[0].to_owned();
    let app = App::public("openid fhirUser offline_access user/*.cruds");
    let mut browser = Browser::default();
    let tokens = app.tokens_in(&gateway, &mut browser, &dana).await;
    let link = gateway.command(&["user", "add", "newcomer", "--role", "nurse", "--output", "json"]);
    let link: Value = serde_json::from_str(&link).unwrap();
    let link = link["enrolment_link"].as_str().unwrap().to_owned();
    let read = |token: &str| Call::get(&format!("/fhir/Patient/{patient}")).bearer(token);
    assert_eq!(read(&tokens.access).to(&gateway).await.status, 200);
    let out = gateway.scratch().path().join("backup");
    let made = back_up(&gateway, &out);
    let begun = gateway.audit(&["--event", "backup.begin"])[0]["index"].clone();
    let store = out.join("store/chartgate.db");
    for table in ["consents", "status_list_tokens", "status_lists"] {
        // What is to be forgotten is there: some of it whatever people did.
        let filled = match table {
            "consents" => "INSERT OR IGNORE INTO consents VALUES ('dana', 'demo-app', 'openid', 1)",
            "status_lists" => "INSERT INTO status_lists VALUES ('of-before', 0, 1, 9000000000000000)",
            _ => continue,
        };
        let database = Database::open(&store).unwrap();
        database.execute_batch(&format!("PRAGMA foreign_keys = OFF; {filled}")).unwrap();
    }
    gateway.kill();
    copy_by_hand(&out, &gateway);
    gateway.start();

    let refused = read(&tokens.access).to(&gateway).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(app.refresh_call(tokens.refresh()).to(&gateway).await.error(), "invalid_grant");
    let start = browser.follow(&gateway, "/account/apps").await;
    assert!(start.text().contains("name=\"password\""), "the session is over: {}", start.text());
    let path = link.strip_prefix(&gateway.issuer).unwrap();
    assert!(!Call::get(path).to(&gateway).await.text().contains("name=\"password\""), "so is the link");
    let own = gateway.folder().join("data/chartgate.db");
    for table in ["consents", "status_list_tokens", "status_lists", "backup_mark"] {
        assert_eq!(number(&own, &format!("SELECT COUNT(*) FROM {table}")), 0, "{table}");
    }
    let good = "SELECT COUNT(*) FROM keys WHERE usage = 'enc' AND retired_at IS NULL AND published_at < \
                (SELECT restored_at FROM restores)";
    assert_eq!(number(&own, good), 0, "nobody is told to encrypt to a key of before");

    let records = gateway.audit(&["--event", "backup.restore"]);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["index"], made["records"], "it is the first record of the new history");
    assert_eq!(records[0]["decision"]["reason"], "files-copied", "{records:?}");
    assert_eq!(records[0]["detail"]["begun"], begun.to_string());
    // Who follows the cut-offs is told of tokens that this store never knew of.
    let (_, follower) = workload(&gateway, "lab", "revocations:read", "revocations:read").await;
    let feed = part(Call::get("/revocations").bearer(&follower).to(&gateway).await.text(), 1);
    let cut_offs = feed["cut_offs"].as_array().unwrap();
    let all = cut_offs.iter().find(|cut_off| cut_off["claim"] == "iss").unwrap();
    assert_eq!(all["value"], gateway.issuer.as_str());
    let issued = |token: &str| part(token, 1)["iat"].as_i64().unwrap();
    assert!(issued(&tokens.access) <= all["issued_until"].as_i64().unwrap(), "{all}");

    let fresh = App::public(USER_SCOPE).tokens(&gateway, &dana).await.access;
    assert!(issued(&fresh) > all["issued_until"].as_i64().unwrap(), "{all}");
    assert_eq!(read(&fresh).to(&gateway).await.status, 200);
    // Its name is not in this history: nobody can say that it was tried out.
    let drill = gateway.try_command(&["backup", "drill", "--from", text(&out)]);
    assert!(!drill.success, "{drill:?}");
    assert_eq!(gateway.audit(&["--event", "backup.drill", "--outcome", "allow"]).len(), 0);
    gateway.kill_and_restart();
    assert_eq!(gateway.audit(&["--event", "backup.restore"]).len(), 1, "it is said once");
    assert_eq!(read(&fresh).to(&gateway).await.status, 200, "and ends nothing that came after it");
}

/// What the restored configuration is told to mean, and what the command says of it.
fn restored_with(gateway: &Gateway, altered: &str, name: &str) -> (Value, String, String) {
    std::fs::write(gateway.config(), altered).unwrap();
    let out = gateway.folder().join(format!("backup-{name}"));
    let made = back_up(gateway, &out);
    let dir = gateway.folder().join(format!("restored-{name}"));
    let done = restore(&out, &dir, &[]);
    assert!(done.success, "{done:?}");
    let told = serde_json::from_str(&done.out).unwrap();
    let again = gateway.folder().join(format!("again-{name}"));
    let words = ["restore", "--from", text(&out), "--dir", text(&again), "--trust-the-key-inside"];
    (told, chartgate(&words).out, made["needs"].to_string())
}

#[test]
fn a_restored_configuration_that_means_another_place_is_given_no_line_to_start_it_with() {
    let mut gateway = serve_in(Scratch::new("backups-absolute"), "", "", SCOPE);
    gateway.terminate();
    let own = std::fs::read_to_string(gateway.config()).unwrap();
    let folder = text(gateway.folder()).to_owned();
    let (told, said, needs) = restored_with(&gateway, &own, "relative");
    assert_eq!(told["elsewhere"], json!([]));
    assert!(said.contains("Then: chartgate serve --config") && !said.contains("Do not start"), "{said}");
    assert!(!needs.contains("another place"), "{needs}");

    for (name, from, to, parts) in [
        (
            "data",
            "data_dir = \"data\"",
            format!("data_dir = \"{folder}/data\""),
            &["keys", "store", "log"][..],
        ),
        ("policies", "dir = \"policies\"", format!("dir = \"{folder}/policies\""), &["policies"]),
        ("log", "[policy]", format!("[audit]\ndir = \"{folder}/data/audit\"\n[policy]"), &["log"]),
        (
            "store",
            "[policy]",
            format!("[store]\nurl = \"sqlite:{folder}/data/chartgate.db\"\n[policy]"),
            &["store"],
        ),
    ] {
        let (told, said, needs) = restored_with(&gateway, &own.replace(from, &to), name);
        let found: Vec<_> = told["elsewhere"].as_array().unwrap().iter().collect();
        let named: Vec<_> = found.iter().map(|part| part["part"].as_str().unwrap()).collect();
        assert_eq!(named, parts, "{told}");
        for part in found {
            let configured = part["configured"].as_str().unwrap();
            let is = part["is"].as_str().unwrap();
            assert!(configured.starts_with(&folder) && !configured.contains("restored-"), "{part}");
            assert!(is.starts_with(&format!("{folder}/restored-{name}/")), "{part}");
            assert!(said.contains(configured), "{said}");
        }
        assert!(said.contains("Do not start it yet") && !said.contains("chartgate serve"), "{said}");
        assert!(needs.contains("another place in the configuration"), "{needs}");
    }
}

#[test]
fn without_a_key_that_is_known_elsewhere_nothing_is_restored_unless_that_is_said() {
    let mut gateway = serve_in(Scratch::new("backups-no-key"), "", "", SCOPE);
    gateway.terminate();
    let (out, dir) = (gateway.folder().join("backup"), gateway.folder().join("restored"));
    back_up(&gateway, &out);
    let refused = chartgate(&["restore", "--from", text(&out), "--dir", text(&dir)]);
    assert!(!refused.success && refused.err.contains("--key"), "{refused:?}");
    assert!(!dir.exists() && !gateway.folder().join(".restored.partial").exists());
    let key = gateway.folder().join("data/audit/log.vkey");
    let both = restore(&out, &dir, &["--key", text(&key), "--trust-the-key-inside"]);
    assert!(!both.success && !dir.exists(), "{both:?}");
    assert!(restore(&out, &dir, &["--key", text(&key)]).success);
}

/// A library that tells a program another time.
fn other_clock(scratch: &Scratch) -> PathBuf {
    let source = scratch.write(
        "clock.c",
        "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
         int clock_gettime(clockid_t id, struct timespec *t) {\n\
           int done = syscall(SYS_clock_gettime, id, t);\n\
           const char *by = getenv(\"CLOCK_IS_AHEAD_BY\");\n\
           if (done == 0 && id == CLOCK_REALTIME && by) t->tv_sec += atol(by);\n\
           return done;\n\
         }\n",
    );
    let library = scratch.path().join("clock.so");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(made.unwrap().success());
    library
}

/// Gives a command on a machine whose clock is wrong by so many seconds.
fn at_with(library: &Path, ahead: i64, words: &[&str], settings: &[(&str, &str)]) -> Done {
    let mut command = Command::new(PROGRAM);
    command.args(words).env_remove(KILLS).envs(settings.iter().copied()).stdin(Stdio::null());
    command.env("LD_PRELOAD", library).env("CLOCK_IS_AHEAD_BY", ahead.to_string());
    let output = command.output().unwrap();
    Done {
        success: output.status.success(),
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_ends_nothing_for_show_and_one_that_was_ahead_shuts_nobody_out() {
    const YEAR: i64 = 366 * 24 * 3600;
    let mut gateway = Gateway::demo("backups-clock", &[]);
    let dana = gateway.demo_person("dana");
    let patient = gateway.panel("dana")[0].to_owned();
    let app = App::public(USER_SCOPE);
    let before = app.tokens(&gateway, &dana).await.access;
    let read = |token: &str| Call::get(&format!("/fhir/Patient/{patient}")).bearer(token);
    let library = other_clock(gateway.scratch());
    let at = |ahead: i64, words: &[&str]| at_with(&library, ahead, words, &[]);
    let (out, dir) = (gateway.scratch().path().join("backup"), gateway.scratch().path().join("restored"));
    back_up(&gateway, &out);
    gateway.kill();
    let words = ["restore", "--from", text(&out), "--dir", text(&dir), "--trust-the-key-inside"];
    let behind = at(-YEAR, &words);
    assert!(!behind.success && behind.err.contains("the clock of this machine"), "{behind:?}");
    assert!(!dir.exists());

    // Restored by a clock that is ahead, it does not matter: what is issued ends at the first start.
    assert!(at(YEAR, &words).success);
    let data = gateway.folder().join("data");
    std::fs::remove_file(data.join("chartgate.db")).unwrap();
    copy_by_hand(&out, &gateway);
    std::fs::copy(dir.join("data/chartgate.db"), data.join("chartgate.db")).unwrap();
    let list = ["--config", gateway.config(), "user", "list"];
    let early = at(-YEAR, &list);
    assert!(!early.success && early.err.contains("the clock of this machine"), "{early:?}");
    // The first start, by a clock that is ahead: set right later, nobody is shut out for a year.
    let late = at(YEAR, &list);
    assert!(late.success, "{late:?}");
    gateway.start();
    assert_eq!(read(&before).to(&gateway).await.status, 401);
    let records = gateway.audit(&["--event", "backup.restore"]);
    assert_eq!(records.len(), 1, "{records:?}");
    let fresh = app.tokens(&gateway, &dana).await.access;
    assert_eq!(read(&fresh).to(&gateway).await.status, 200);

    // Holds that were placed since the backup are not here: nothing of the log is ended before somebody says that they stand.
    gateway.kill();
    let expire = ["--config", gateway.config(), "audit", "expire"];
    let brief = |ahead: i64, more: &[&str]| {
        let words = [&expire[..], more].concat();
        at_with(&library, ahead, &words, &[("CHARTGATE_AUDIT__RETENTION", "1h")])
    };
    let refused = brief(YEAR, &[]);
    assert!(!refused.success && refused.err.contains("--holds-stand"), "{refused:?}");
    assert!(brief(YEAR, &["--holds-stand"]).success);
    assert!(brief(YEAR, &[]).success, "it is said once");
    gateway.start();
    let ended = gateway.audit(&["--event", "audit.shred"]);
    let reasons: Vec<_> = ended.iter().map(|record| record["decision"]["reason"].clone()).collect();
    assert_eq!(reasons[0], "restored", "{ended:?}");
    assert!(ended.len() >= 2 && ended[1]["outcome"] == "allow", "{ended:?}");
}

/// A store that takes a while to copy.
fn fill(gateway: &Gateway) {
    let filling = "WITH RECURSIVE counted (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < 300000) \
                   INSERT INTO used_assertions SELECT 'till', i || '-' || hex(randomblob(60)), 9000000000000000 \
                   FROM counted";
    Database::open(gateway.folder().join("data/chartgate.db")).unwrap().execute_batch(filling).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_left_of_a_backup_is_removed_by_the_next_one() {
    let mut gateway = Gateway::demo("backups-killed", &[]);
    fill(&gateway);
    // Whether it is ended in between is for the machine to say: until it was.
    for turn in 0..20 {
        let out = gateway.scratch().path().join(format!("backup-{turn}"));
        let partial = gateway.scratch().path().join(format!(".backup-{turn}.partial"));
        let copied = partial.join("store/chartgate.db.unmarked");
        let pid = gateway.pid();
        let done = std::thread::scope(|scope| {
            let making = scope.spawn(|| gateway.try_command(&["backup", "--out", text(&out)]));
            while !copied.exists() && !making.is_finished() {
                std::thread::yield_now();
            }
            Command::new("kill").args(["-KILL", pid]).status().unwrap();
            making.join().unwrap()
        });
        gateway.kill();
        gateway.start();
        if done.success || !partial.exists() {
            continue;
        }
        assert!(!out.exists(), "{done:?}");
        back_up(&gateway, &out);
        assert!(out.exists() && !partial.exists());
        return;
    }
    panic!("the gateway was never ended while a backup was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_of_a_backup_knows_and_its_store_does_not_is_listed_to_be_done_again() {
    let gateway = Gateway::demo("backups-meanwhile", &[]);
    // So much to copy that somebody can be shut out meanwhile.
    fill(&gateway);
    // Whether it comes in between is for the machine to say: until it did.
    for turn in 0..20 {
        let person = gateway.person("nurse", &[]);
        let out = gateway.scratch().path().join(format!("backup-{turn}"));
        let copied =
            gateway.scratch().path().join(format!(".backup-{turn}.partial/store/chartgate.db.unmarked"));
        let made = std::thread::scope(|scope| {
            let making = scope.spawn(|| back_up(&gateway, &out));
            while !copied.exists() && !making.is_finished() {
                std::thread::yield_now();
            }
            gateway.command(&["user", "disable", &person.name]);
            making.join().unwrap()
        });
        let disabled =
            gateway.audit(&["--event", "user.disable", "--limit", "1"])[0]["index"].as_u64().unwrap();
        let known_to_log = disabled < made["records"].as_u64().unwrap();
        let enabled = format!("SELECT enabled FROM users WHERE name = '{}'", person.name);
        if !known_to_log || number(&out.join("store/chartgate.db"), &enabled) == 0 {
            continue;
        }
        let dir = gateway.scratch().path().join("restored");
        let key = PathBuf::from(gateway.ready["audit_dir"].as_str().unwrap()).join("log.vkey");
        let done = restore(&out, &dir, &["--key", text(&key)]);
        assert!(done.success, "{done:?}");
        let told: Value = serde_json::from_str(&done.out).unwrap();
        assert!(told["begun"].as_u64().unwrap() < disabled, "{told}");
        let since = told["since"].as_array().unwrap();
        assert_eq!(since.len(), 1, "{told}");
        assert_eq!((&since[0]["index"], &since[0]["event"]), (&json!(disabled), &json!("user.disable")));
        assert!(since[0]["by"].as_str().unwrap().starts_with("local:"), "{told}");
        let again = gateway.scratch().path().join("again");
        let said = chartgate(&["restore", "--from", text(&out), "--dir", text(&again), "--key", text(&key)]);
        assert!(said.success && said.out.contains(&format!("  {disabled} ")), "{said:?}");
        return;
    }
    panic!("nobody could be shut out while a backup was made");
}

#[test]
fn a_drill_fails_for_what_would_fail_at_need() {
    let gateway = serve_in(Scratch::new("backups-drilled"), "", "", SCOPE);
    let drill =
        |name: &str| gateway.try_command(&["backup", "drill", "--from", text(&gateway.folder().join(name))]);
    // A month's key that is not there, and was not destroyed by anybody that the log knows of.
    let keys = gateway.folder().join("data/audit/keys");
    let aside = gateway.folder().join("aside");
    let month = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&month, &aside).unwrap();
    back_up(&gateway, &gateway.folder().join("keyless"));
    std::fs::rename(&aside, &month).unwrap();
    let failed = drill("keyless");
    assert!(!failed.success && failed.err.contains("is not in the backup, and no record says"), "{failed:?}");

    // A configuration that cannot be read, whatever is in force.
    let own = std::fs::read_to_string(gateway.config()).unwrap();
    let good = gateway.scratch().write("good.toml", &own);
    std::fs::write(gateway.config(), format!("{own}\n[nothing]\nknown = 1\n")).unwrap();
    let out = gateway.folder().join("unreadable");
    let made = chartgate(&["--config", text(&good), "backup", "--out", text(&out)]);
    assert!(made.success, "{made:?}");
    std::fs::write(gateway.config(), &own).unwrap();
    let failed = drill("unreadable");
    assert!(
        !failed.success && failed.err.contains("the backup's configuration cannot be used"),
        "{failed:?}"
    );

    // A private key in the store that was altered.
    let altered = "UPDATE keys SET private_key = randomblob(length(private_key)) WHERE active_at IS NULL";
    let store = Database::open(gateway.folder().join("data/chartgate.db")).unwrap();
    assert!(store.execute(altered, []).unwrap() > 0);
    back_up(&gateway, &gateway.folder().join("altered"));
    let failed = drill("altered");
    assert!(!failed.success && failed.err.contains("does not open under this master key"), "{failed:?}");
    assert_eq!(gateway.audit(&["--event", "backup.drill", "--outcome", "error"]).len(), 3);
}
