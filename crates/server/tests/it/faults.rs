//! What goes wrong: processes killed, logs that cannot be written, configurations and policies with errors.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::{Done, Gateway, KILLS, PROGRAM, Scratch, UNSIGNALLED, chartgate, free_ports};
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Call, Connection, fresh_address};

/// Answers that clients got: what to find in the log for each.
#[derive(Default)]
struct Answered {
    /// Searches by this `_id`.
    searches: Vec<String>,
    /// Reads of this patient, who does not exist.
    reads: Vec<String>,
    /// Observations that were created.
    created: Vec<String>,
}

/// Asks one thing after another over one connection until it breaks.
async fn ask_until_killed(
    mut connection: Connection,
    name: String,
    service: String,
    physician: String,
    patient: String,
) -> Answered {
    let mut answered = Answered::default();
    for number in 0.. {
        let marker = format!("{name}-{number}");
        let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": marker },
            "subject": { "reference": format!("Patient/{patient}") } });
        let (call, status) = match number % 3 {
            0 => (Call::get(&format!("/fhir/Observation?_id={marker}")).bearer(&service), 200),
            1 => (Call::get(&format!("/fhir/Patient/{marker}")).bearer(&service), 404),
            _ => (Call::fhir("POST", "/fhir/Observation", &observation).bearer(&physician), 201),
        };
        let Ok(answer) = connection.try_send(call).await else { break };
        assert_eq!(answer.status, status, "{}", answer.text());
        match number % 3 {
            0 => answered.searches.push(marker),
            1 => answered.reads.push(marker),
            _ => answered.created.push(answer.json()["id"].as_str().unwrap().to_owned()),
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_again_and_again_every_answer_has_its_record_and_the_log_verifies() {
    const ASKING: usize = 8;
    let kills: u32 = std::env::var(KILLS).map_or(10, |text| text.parse().unwrap());
    let mut gateway = Gateway::demo("kills", &[]);
    let audit_dir = gateway.ready["audit_dir"].as_str().unwrap().to_owned();
    let mut all = Answered::default();
    for round in 0..kills {
        let client = Call::form("/token", &[("grant_type", "client_credentials")]);
        let service = client.basic("demo-service", gateway.secret("demo-service")).to(&gateway).await.json();
        let service = service["access_token"].as_str().unwrap().to_owned();
        let physician = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await.access;
        let mut asking = Vec::new();
        for number in 0..ASKING {
            let connection = Connection::try_open(&gateway, fresh_address()).await.unwrap();
            let (name, patient) = (format!("k{round}-{number}"), gateway.panel("dana")[0].to_owned());
            asking.push(tokio::spawn(ask_until_killed(
                connection,
                name,
                service.clone(),
                physician.clone(),
                patient,
            )));
        }
        // Each round ends at another moment of the sequencer's second.
        tokio::time::sleep(Duration::from_millis(150 + u64::from(round * 97 % 600))).await;
        gateway.kill();
        for task in asking {
            let answered = task.await.unwrap();
            all.searches.extend(answered.searches);
            all.reads.extend(answered.reads);
            all.created.extend(answered.created);
        }
        // As it was left, before anything recovers it.
        let verified = chartgate(&["audit", "verify", "--dir", &audit_dir]);
        assert!(verified.success, "round {round}: {verified:?}");
        let verified = gateway.try_command(&["audit", "verify"]);
        assert!(verified.success && verified.err.is_empty(), "round {round}: {verified:?}");
        gateway.start();
    }

    let records = gateway.audit(&[]);
    let accesses: Vec<&Value> = records.iter().filter(|record| record["event"] == "access").collect();
    let queries: BTreeSet<&str> = accesses.iter().filter_map(|r| r["request"]["query"].as_str()).collect();
    let resources: BTreeSet<(&str, &str)> =
        accesses.iter().filter_map(|r| Some((r["action"].as_str()?, r["resource"].as_str()?))).collect();
    for marker in &all.searches {
        assert!(queries.contains(format!("_id={marker}").as_str()), "no record of the search for {marker}");
    }
    for marker in &all.reads {
        assert!(resources.contains(&("read", format!("Patient/{marker}").as_str())), "no record of {marker}");
    }
    for id in &all.created {
        assert!(resources.contains(&("create", format!("Observation/{id}").as_str())), "no record of {id}");
    }
    // What was interrupted says so: no intent stays open.
    let outcomes: BTreeSet<&str> = accesses.iter().map(|r| r["request_id"].as_str().unwrap()).collect();
    let intents: Vec<&Value> = records.iter().filter(|record| record["event"] == "access.intent").collect();
    for intent in &intents {
        assert!(outcomes.contains(intent["request_id"].as_str().unwrap()), "open: {intent}");
    }
    assert_eq!(outcomes.len(), accesses.len(), "one record for each request");
    let interrupted = accesses.iter().filter(|r| r["decision"]["reason"] == "interrupted").count();
    let recovered = records.iter().filter(|r| r["event"] == "gateway.recover").count();
    let verified = gateway.command(&["audit", "verify"]);
    let answered = all.searches.len() + all.reads.len() + all.created.len();
    println!(
        "{kills} kills: {answered} answers ({} creates) have their records, {interrupted} writes interrupted, \
         {recovered} recoveries, {} records; {verified}",
        all.created.len(),
        records.len()
    );
    let least = usize::try_from(kills).unwrap() * ASKING;
    assert!(
        answered >= least && all.created.len() >= least / 4,
        "too little load to mean anything: {answered}"
    );
}

/// Lets a process write no file beyond so many bytes, or any.
pub(crate) fn limit_files(gateway: &Gateway, bytes: &str) -> bool {
    let limit = format!("--fsize={bytes}:unlimited");
    Command::new("prlimit")
        .args(["--pid", gateway.pid(), &limit])
        .status()
        .is_ok_and(|status| status.success())
}

#[tokio::test]
async fn while_the_log_cannot_be_written_nothing_is_released_and_it_recovers_by_itself() {
    let gateway = Gateway::demo_in(Scratch::new("unwritable"), &[], &UNSIGNALLED);
    let token = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await.access;
    let patient = gateway.panel("dana")[0];
    let own = Call::get(&format!("/fhir/Patient/{patient}")).bearer(&token);
    let write = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "while unwritable" },
        "subject": { "reference": format!("Patient/{patient}") } });
    let mut connection = Connection::open(&gateway).await;
    assert_eq!(connection.send(own.clone()).await.status, 200);
    if !limit_files(&gateway, "0") {
        println!("skipped: prlimit is not there or not allowed");
        return;
    }
    for _ in 0..5 {
        let refused = connection.send(own.clone()).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(refused.json()["resourceType"], "OperationOutcome");
        assert!(!refused.text().contains(patient), "{}", refused.text());
    }
    let missing = Call::get("/fhir/Patient/no-such").bearer(&token);
    assert_eq!(connection.send(missing).await.status, 503, "a refusal is not recorded either");
    assert_eq!(connection.send(Call::get("/fhir/Patient/x")).await.status, 503);
    let created = Call::fhir("POST", "/fhir/Observation", &write).bearer(&token);
    assert_eq!(connection.send(created).await.status, 503);
    let grant = [("grant_type", "client_credentials")];
    let issue = Call::form("/token", &grant).basic("demo-service", gateway.secret("demo-service"));
    let refused = connection.send(issue.clone()).await;
    assert_eq!((refused.status, refused.error()), (503, "temporarily_unavailable".to_owned()));
    let metrics = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    assert!(plain_get(&metrics, "/readyz").contains("503"), "not ready");
    assert!(plain_get(&metrics, "/healthz").contains("200"), "but alive");
    let told = gateway.try_command(&["audit", "search", "--limit", "1"]);
    assert!(!told.success, "reading the log could not be recorded");

    assert!(limit_files(&gateway, "unlimited"));
    let begun = Instant::now();
    while connection.send(own.clone()).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(connection.send(issue).await.status, 200);
    assert!(plain_get(&metrics, "/readyz").contains("200"));
    let search = connection
        .send(Call::get(&format!("/fhir/Observation?patient={patient}&_count=200")).bearer(&token))
        .await;
    assert!(!search.text().contains("while unwritable"), "a write without its intent went upstream");
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
    let allowed = gateway.audit(&["--user", "dana", "--action", "read", "--outcome", "allow"]);
    assert!(allowed.len() >= 2, "{allowed:?}");
}

/// A request over plain HTTP, for the metrics port.
fn plain_get(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_configuration_with_many_errors_says_them_all_with_line_and_key() {
    let scratch = Scratch::new("config");
    let text = r#"issuer = "http://gate.example.org"
data_dir = "data"
colour = "blue"
[listen]
https = "nowhere"
[tokens]
access_token_ttl = "90m"
signing_algorithm = "HS256"
[sessions]
idle_timeout = "soon"
[[route]]
name = "ehr"
kind = "soap"
path = "fhir"
upstream = "http://hapi.internal/fhir"
"#;
    let file = scratch.write("chartgate.toml", text);
    let done = chartgate(&["config", "check", "--config", file.to_str().unwrap()]);
    assert!(!done.success);
    for (line, key) in [
        (1, "issuer"),
        (3, "colour"),
        (5, "listen.https"),
        (7, "tokens.access_token_ttl"),
        (8, "tokens.signing_algorithm"),
        (10, "sessions.idle_timeout"),
        (13, "route[0].kind"),
        (14, "route[0].path"),
        (15, "route[0].upstream"),
    ] {
        let said = |text: &str| {
            text.contains(&format!("line {line}: ")) && text.contains(key.rsplit('.').next().unwrap())
        };
        assert!(done.err.lines().any(said), "line {line} {key}:\n{}", done.err);
    }
    assert!(done.err.contains(file.to_str().unwrap()), "{}", done.err);
    let served = chartgate(&["serve", "--config", file.to_str().unwrap()]);
    assert!(!served.success && served.err.contains("line 15: "), "refuses to start: {served:?}");
    let broken = scratch.write("broken.toml", "issuer = \n[[[");
    let done = chartgate(&["config", "check", "--config", broken.to_str().unwrap()]);
    assert!(!done.success && done.err.contains("line 1"), "{done:?}");
}

/// Waits until so many records of an event are there.
pub(crate) async fn until_recorded(gateway: &Gateway, event: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let records = gateway.audit(&[]);
        let found: Vec<Value> = records.into_iter().filter(|record| record["event"] == event).collect();
        if found.len() >= count {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no {event}: {found:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn policies_that_do_not_hold_are_refused_and_recorded_and_the_old_ones_stay() {
    let gateway = Gateway::demo("policies", &[]);
    let token = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await.access;
    let own = Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0])).bearer(&token);
    let added = gateway.folder().join("policies/added.cedar");
    let wrong =
        ["permit (principal, action, resource", "permit (principal in Nothing::\"x\", action, resource);"];
    for (count, text) in wrong.iter().enumerate() {
        std::fs::write(&added, text).unwrap();
        let rejected = until_recorded(&gateway, "policy.rejected", count + 1).await;
        assert!(rejected[count].to_string().contains("added.cedar"), "{rejected:?}");
        assert_eq!(own.clone().to(&gateway).await.status, 200, "the old ones are in force");
    }
    // What cannot be read at all is refused as a whole too, and recorded once.
    std::fs::remove_file(&added).unwrap();
    std::fs::create_dir(&added).unwrap();
    until_recorded(&gateway, "policy.rejected", 3).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(until_recorded(&gateway, "policy.rejected", 3).await.len(), 3, "once, not at every look");
    assert_eq!(own.clone().to(&gateway).await.status, 200);
    std::fs::remove_dir(&added).unwrap();

    let forbid = r#"@id("nobody-today") forbid (principal, action, resource is Chartgate::Record);"#;
    std::fs::write(&added, forbid).unwrap();
    until_recorded(&gateway, "policy.reload", 1).await;
    let begun = Instant::now();
    while own.clone().to(&gateway).await.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the new policy is not in force");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let denied = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    assert_eq!(denied.last().unwrap()["decision"]["policies"], json!(["nobody-today"]));
    std::fs::remove_file(&added).unwrap();
    until_recorded(&gateway, "policy.reload", 2).await;
    assert_eq!(own.to(&gateway).await.status, 200);
    let tests = gateway.command(&["policy", "test"]);
    assert!(!tests.is_empty());
}

/// Runs `serve` on a folder behind words of a shell that change which disk it is on, in a namespace of its own: what it says
/// as it refuses. None where such a namespace is not allowed.
fn serve_on(before: &str, folder: &Path, disk: &Path) -> Option<Done> {
    std::fs::create_dir_all(disk).unwrap();
    let text = format!("{before} || exit 77; exec \"$3\" serve --config \"$2/chartgate.toml\"");
    let output = Command::new("timeout")
        .args(["60", "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &text, "sh"])
        .args([folder, disk, Path::new(PROGRAM)])
        .output()
        .ok()?;
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code();
    let is_allowed = code != Some(77) && code.is_some() && !output.stderr.starts_with(b"unshare: ");
    is_allowed.then(|| Done {
        success: code == Some(0),
        code,
        out: said(output.stdout),
        err: said(output.stderr),
    })
}

#[test]
fn a_disk_that_is_full_or_read_only_refuses_the_start_says_so_and_harms_nothing() {
    let mut gateway = serve_in(Scratch::new("no-disk"), "", "", SCOPE);
    for _ in 0..3 {
        gateway.audit(&["--limit", "1"]);
    }
    gateway.kill();
    let folder = gateway.folder().to_owned();
    let audit = folder.join("data/audit");
    let verify = || chartgate(&["audit", "verify", "--dir", audit.to_str().unwrap()]);
    let before = verify();
    assert!(before.success, "{before:?}");
    let read_only = "mount --bind \"$1\" \"$2\" && mount -o remount,bind,ro \"$2\"";
    let full = "mount -t tmpfs -o size=64m none \"$2\" && cp -a \"$1\"/. \"$2\" && (cat /dev/zero >\"$2/filler\" 2>/dev/null; true)";
    for (words, says) in [(read_only, "Read-only file system"), (full, "No space left on device")] {
        let Some(refused) = serve_on(words, &folder, &folder.with_extension("disk")) else {
            println!("skipped: namespaces of one's own are not allowed here");
            return;
        };
        let told = format!("{}{}", refused.out, refused.err);
        // SQLite has its own words for both.
        let of_the_store = told.contains("readonly database")
            || told.contains("disk is full")
            || told.contains("unable to open");
        assert!(refused.code == Some(1) && (told.contains(says) || of_the_store), "{says}: {refused:?}");
        assert_eq!(verify().out, before.out, "nothing is gone");
    }
    gateway.start();
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}

#[test]
fn a_log_has_one_writer_whatever_data_folder_names_it() {
    let gateway = serve_in(Scratch::new("two-on-one-log"), "", "", SCOPE);
    gateway.audit(&["--limit", "1"]);
    let folder = gateway.folder();
    let copied =
        Command::new("cp").arg("-a").args([folder.join("data"), folder.join("copy")]).status().unwrap();
    assert!(copied.success());
    let own = std::fs::read_to_string(folder.join("chartgate.toml")).unwrap();
    let [https, metrics] = free_ports();
    let own = own.replace("data_dir = \"data\"", "data_dir = \"copy\"");
    let other: String = own
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("https") => format!("https = \"127.0.0.1:{https}\"\n"),
            Some("metrics") => format!("metrics = \"127.0.0.1:{metrics}\"\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let other = other + "\n[audit]\ndir = \"data/audit\"\n";
    let file = folder.join("other.toml");
    std::fs::write(&file, other).unwrap();
    let never = folder.join("never");
    for words in [&["serve"][..], &["user", "list"], &["backup", "--out", never.to_str().unwrap()]] {
        let second = chartgate(&[&["--config", file.to_str().unwrap()][..], words].concat());
        assert!(
            second.code == Some(1) && second.err.contains("in use by another process"),
            "{words:?}: {second:?}"
        );
    }
    gateway.audit(&["--limit", "1"]);
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}
