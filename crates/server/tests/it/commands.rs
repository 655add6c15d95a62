//! The command line beside a running gateway and without one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Browser, USER_SCOPE, part};
use crate::gateway::{Gateway, PROGRAM, Scratch, chartgate};
use crate::shared;
use crate::wire::{Call, Connection};

/// A child that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `chartgate login`, as somebody at a terminal uses it.
#[tokio::test]
async fn login_waits_for_the_browser_and_gets_the_token() {
    let gateway = shared::demo();
    let mut login = Ended(
        Command::new(PROGRAM)
            .args(["--config", gateway.config(), "login", "--print-token"])
            // No desktop to open a browser on.
            .env("PATH", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let said = BufReader::new(login.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let url = said.map(|line| line.trim().to_owned()).find(|line| line.starts_with("https://")).unwrap();
    let start = url.strip_prefix(&gateway.issuer).unwrap();
    let redirect = Browser::default().lead(gateway, start, &gateway.demo_person("dana"), None).await;
    let (address, path) = redirect.location.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let back = |path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    // Whoever else calls at that port is not the answer, and whoever says nothing holds nobody up.
    let _silent = std::net::TcpStream::connect(address).unwrap();
    assert!(back("favicon.ico").contains("404"));
    back("callback?code=forged&state=forged");
    back("callback?%zz");
    back(&path.replace("code=", "code=forged").replace("iss=", "iss=forged"));
    assert!(back(path).contains("You can close this page"));
    let mut token = String::new();
    login.0.stdout.take().unwrap().read_to_string(&mut token).unwrap();
    assert!(login.0.wait().unwrap().success());
    let token = token.trim();
    assert_eq!(part(token, 1)["client_id"], "chartgate-cli");
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    assert_eq!(Call::get(&own).bearer(token).to(gateway).await.status, 200);
}

#[tokio::test]
async fn a_change_made_while_nothing_runs_is_in_force_at_the_next_start() {
    let mut gateway = Gateway::demo("offline", &["--listen", "127.0.0.1:0"]);
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let tokens = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await;
    let read = Call::get(&own).bearer(&tokens.access);
    let mut open = Connection::open(&gateway).await;
    assert_eq!(open.send(read.clone()).await.status, 200);

    // The folder has one master.
    let folder = gateway.folder().to_str().unwrap().to_owned();
    let second = chartgate(&["demo", "--dir", &folder, "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("in use") || second.err.contains("another demo"), "{second:?}");

    let said = gateway.terminate();
    assert!(said.contains("draining"), "{said}");
    gateway.command(&["user", "disable", "dana"]);
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
    gateway.start();
    assert_eq!(read.to(&gateway).await.status, 401);
    let events: Vec<String> = gateway
        .audit(&[])
        .iter()
        .map(|record| record["event"].as_str().unwrap().to_owned())
        .filter(|event| event.starts_with("gateway.") || event == "user.disable")
        .collect();
    let tail: Vec<&str> = events.iter().map(String::as_str).collect();
    assert_eq!(tail, ["gateway.start", "gateway.stop", "user.disable", "gateway.start"]);
    let by = gateway.audit(&[]).into_iter().find(|record| record["event"] == "user.disable").unwrap();
    assert!(by["actor"]["sub"].as_str().unwrap().starts_with("local:"), "{by}");
}

#[tokio::test]
async fn a_proof_is_for_one_record_and_a_changed_log_is_found() {
    let mut gateway = Gateway::demo("prove", &[]);
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let tokens = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await;
    Call::get(&own).bearer(&tokens.access).to(&gateway).await;
    let index = gateway.audit(&["--user", "dana", "--action", "read"])[0]["index"].to_string();
    let audit = gateway.ready["audit_dir"].as_str().unwrap().to_owned();
    gateway.terminate();
    let checkpoint = gateway.scratch().path().join("checkpoint-kept");
    std::fs::copy(format!("{audit}/checkpoint"), &checkpoint).unwrap();
    let proof = gateway.command(&["audit", "prove", &index]);
    assert!(proof.contains("c2sp.org/tlog-proof") && proof.contains(&format!("index {index}")), "{proof}");

    let copy = gateway.scratch().path().join("copy");
    let copy = copy.to_str().unwrap();
    assert!(Command::new("cp").args(["-r", &audit, copy]).status().unwrap().success());
    let verify = |more: &[&str]| chartgate(&[&["audit", "verify", "--dir", copy], more].concat());
    let kept = ["--checkpoint", checkpoint.to_str().unwrap()];
    assert!(verify(&kept).success, "{:?}", verify(&kept));
    // One bit anywhere in the entries is found.
    let mut bundles: Vec<_> = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(copy).join("tile/entries")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { bundles.push(path) }
        }
    }
    assert!(!bundles.is_empty());
    for bundle in &bundles {
        let good = std::fs::read(bundle).unwrap();
        for position in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[position] ^= 1;
            std::fs::write(bundle, &bad).unwrap();
            let found = verify(&[]);
            assert!(!found.success && found.err.contains("does not hold"), "{}: {found:?}", bundle.display());
        }
        std::fs::write(bundle, &good).unwrap();
    }
    assert!(verify(&[]).success);
    // Another installation's key does not verify it.
    let other = shared::demo().ready["audit_dir"].as_str().unwrap().to_owned() + "/log.vkey";
    assert!(!verify(&["--key", &other]).success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_use_verifies_and_one_that_was_put_back_does_not_though_its_gateway_is_stopped() {
    let mut gateway = Gateway::demo("put-back", &[]);
    let audit = PathBuf::from(gateway.ready["audit_dir"].as_str().unwrap());
    let own = format!("/fhir/Patient/{}", gateway.panel("dana")[0]);
    let tokens = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await;
    let read = Call::get(&own).bearer(&tokens.access);
    let (enough, mut connection) = (Arc::new(AtomicBool::new(false)), Connection::open(&gateway).await);
    let (asked, ended) = (read.clone(), Arc::clone(&enough));
    let asking = tokio::spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            assert_eq!(connection.send(asked.clone()).await.status, 200);
        }
    });
    for _ in 0..5 {
        let verified = gateway.try_command(&["audit", "verify"]);
        assert!(verified.success && verified.err.is_empty(), "{verified:?}");
    }
    enough.store(true, Ordering::Relaxed);
    asking.await.unwrap();

    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    gateway.terminate();
    let (older, newer) = (gateway.scratch().path().join("older"), gateway.scratch().path().join("newer"));
    copy(&audit, &older);
    gateway.start();
    assert_eq!(read.to(&gateway).await.status, 200);
    gateway.terminate();
    copy(&audit, &newer);
    let put_back = |folder: &Path| {
        std::fs::remove_dir_all(&audit).unwrap();
        copy(folder, &audit);
    };
    let refused = |why: &str| {
        let refused = gateway.try_command(&["audit", "verify"]);
        assert!(
            !refused.success && refused.err.contains(why) && refused.out.is_empty(),
            "{why}: {refused:?}"
        );
    };
    assert!(gateway.try_command(&["audit", "verify"]).success);
    put_back(&older);
    refused("the folder was put back");
    let key = std::fs::read_to_string(audit.join("log.vkey")).unwrap();
    let by_itself = chartgate(&["audit", "verify", "--dir", audit.to_str().unwrap()]);
    assert!(by_itself.success && by_itself.err.contains(key.trim()), "only by its own key: {by_itself:?}");

    // Kept and not published yet, as a gateway may end: the next start publishes it.
    put_back(&newer);
    std::fs::copy(older.join("checkpoint"), audit.join("checkpoint")).unwrap();
    let verified = gateway.try_command(&["audit", "verify"]);
    assert!(verified.success && verified.err.is_empty(), "{verified:?}");
    // Another log in the place of this one.
    let others = Path::new(shared::demo().ready["audit_dir"].as_str().unwrap());
    std::fs::copy(others.join("log.vkey"), audit.join("log.vkey")).unwrap();
    refused("another log's");
    // Nor is what it has signed shown to anybody as this gateway's.
    put_back(&newer);
    for name in ["log.vkey", "checkpoint"] {
        std::fs::copy(others.join(name), audit.join(name)).unwrap();
    }
    let proof = gateway.try_command(&["audit", "prove", "0"]);
    assert!(!proof.success && proof.out.is_empty() && proof.err.contains("checkpoint"), "{proof:?}");
    // Where nothing is kept nobody can tell, and no exit code says that it holds.
    put_back(&newer);
    let store = gateway.folder().join("data/chartgate.db");
    std::fs::rename(&store, gateway.scratch().path().join("store")).unwrap();
    refused("cannot be told");
    assert!(!store.exists());
}

#[test]
fn wrong_usage_is_2_a_refusal_1_and_both_say_what_to_do() {
    for words in
        [&["no-such-command"][..], &["user", "add"], &["audit", "prove", "x"], &["demo", "--listen", "x"]]
    {
        let done = chartgate(words);
        assert_eq!(done.code, Some(2), "{words:?}");
        assert!(!done.err.is_empty() && done.out.is_empty(), "{words:?}");
    }
    let gateway = shared::demo();
    for (words, says) in [
        (&["user", "show", "nobody"][..], "nobody"),
        (&["user", "disable", "nobody"], "nobody"),
        (&["client", "show", "nothing"], "nothing"),
        (&["session", "end", "0123456789abcdef0123456789abcdef"], "session"),
        (&["user", "add", "Not A Name"], "Not A Name"),
        (&["client", "add", "x", "--kind", "public", "--redirect-uri", "http://evil.example/"], "redirect"),
        (&["audit", "prove", "99999999"], "99999999"),
    ] {
        let done = gateway.try_command(words);
        assert!(matches!(done.code, Some(1 | 2)), "{words:?}: {done:?}");
        assert!(done.err.contains(says), "{words:?}: {done:?}");
    }
    let missing = chartgate(&["user", "list", "--config", "/nowhere/chartgate.toml"]);
    assert!(missing.code == Some(1) && missing.err.contains("/nowhere/chartgate.toml"), "{missing:?}");
}

#[test]
fn roles_and_what_is_known_are_taken_away_only_by_who_says_so() {
    let gateway = shared::demo();
    let person = gateway.person("nurse", &[]);
    let name = person.name.as_str();
    gateway.command(&["user", "know", name, "--family-name", "Marchetti"]);
    for word in ["roles", "know"] {
        let unsaid = gateway.try_command(&["user", word, name]);
        assert_eq!(unsaid.code, Some(2), "{unsaid:?}");
    }
    assert_eq!(gateway.try_command(&["user", "roles", name, "--none", "--role", "nurse"]).code, Some(2));
    let shown = || gateway.command(&["user", "show", name, "--output", "json"]);
    assert!(shown().contains("\"nurse\"") && shown().contains("Marchetti"), "{}", shown());
    gateway.command(&["user", "roles", name, "--none"]);
    gateway.command(&["user", "know", name, "--nothing"]);
    assert!(!shown().contains("\"nurse\"") && !shown().contains("Marchetti"), "{}", shown());
}

#[tokio::test]
async fn a_token_that_was_revoked_is_refused_by_whoever_inspects_it_too() {
    let gateway = shared::demo();
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.person("nurse", &[])).await.access;
    gateway.command(&["token", "inspect", &token]);
    let words = |more: &[&str]| gateway.try_command(&[&["token", "inspect"], more].concat());
    // Whom it is of is said with the keys of whom.
    assert_eq!(words(&[&token, "--issuer", "https://elsewhere.example"]).code, Some(2));
    assert_eq!(words(&[]).code, Some(2));
    gateway.command(&["token", "revoke", &token]);
    let refused = words(&[&token, "--output", "json"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(told, serde_json::json!({ "verdict": "reject", "reason": "revoked" }));
}

#[tokio::test]
async fn what_is_no_jti_is_not_revoked_as_one_and_what_nobody_knows_may_be_one() {
    let gateway = shared::demo();
    let tokens = App::public(USER_SCOPE).tokens(gateway, &gateway.person("nurse", &[])).await;
    let revoke = |what: &str| gateway.try_command(&["token", "revoke", what]);
    let (session, record) = (tokens.session(), gateway.audit(&["--event", "token.issue"]).pop().unwrap());
    let grant = record["grant"].as_str().unwrap();
    for (what, instead) in [(session.as_str(), "session end"), (grant, "user disconnect")] {
        let refused = revoke(what);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("nothing was revoked") && refused.err.contains(instead), "{refused:?}");
    }
    gateway.command(&["token", "inspect", &tokens.access]);
    for jti in [tokens.jti().as_str(), "0123456789abcdef0123456789abcdef"] {
        assert_eq!(revoke(jti).code, Some(0), "{jti}");
    }
    assert_eq!(gateway.try_command(&["token", "inspect", &tokens.access]).code, Some(1));
}

#[test]
fn databases_are_their_owners_alone_though_their_folder_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut gateway = Gateway::demo("modes", &[]);
    let data = gateway.folder().join("data");
    let files = ["chartgate.db", "chartgate.db-wal", "audit-index.db", "lock"].map(|name| data.join(name));
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    let set =
        |file: &Path, mode| std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    // As earlier versions left them.
    gateway.terminate();
    set(&data, 0o755);
    files.iter().filter(|file| file.exists()).for_each(|file| set(file, 0o644));
    gateway.start();
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_new_folder_may_be_named_by_one_word() {
    let scratch = Scratch::new("one-word");
    let mut made = Command::new(PROGRAM);
    made.args(["witness", "init", "--dir", "witness", "--name", "w.example"]).current_dir(scratch.path());
    let made = made.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// What is read of an answer is to be all of it, or the command says that it is not.
#[test]
fn what_cannot_be_printed_is_no_success_and_a_reader_that_has_gone_is_no_failure() {
    let gateway = shared::demo();
    for words in [&["user", "show", "dana"][..], &["audit", "search"], &["audit", "report", "activity"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(PROGRAM);
        let done = command.args(["--config", gateway.config()]).args(words).stdout(full).output().unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{words:?}: {err}");
        assert!(err.contains("what was to be printed is not all there"), "{words:?}: {err}");

        let mut command = Command::new(PROGRAM);
        let command = command.args(["--config", gateway.config()]).args(words).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{words:?}");
    }
}

#[test]
fn whoever_asks_for_what_comes_gets_nothing_of_what_was() {
    let gateway = shared::demo();
    let words = ["--config", gateway.config(), "--output", "json", "audit", "tail", "-n", "0"];
    let mut tail = Ended(Command::new(PROGRAM).args(words).stdout(Stdio::piped()).spawn().unwrap());
    let index = |record: &Value| record["index"].as_u64().unwrap();
    let own = std::iter::repeat_with(|| gateway.audit(&["--event", "audit.read"]))
        .find_map(|read| read.iter().find(|one| one["resource"] == "tail").map(index))
        .unwrap();
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    let first = std::thread::spawn(move || lines.next().unwrap().unwrap());
    let begun = Instant::now();
    // Each is a record that comes.
    while !first.is_finished() {
        gateway.command(&["audit", "search", "--limit", "1"]);
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing comes");
    }
    let first: Value = serde_json::from_str(&first.join().unwrap()).unwrap();
    assert!(index(&first) > own, "{first} {own}");
}
