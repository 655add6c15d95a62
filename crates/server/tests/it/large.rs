//! FHIR answers that are too long to wait in memory: they wait sealed, in files without a name.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::browser::App;
use crate::fakes::large::{BROKEN, FOUND, LargeFhir, MARKER};
use crate::gateway::Gateway;
use crate::routes::serve_routes;
use crate::wire::{Call, Connection};

const SCOPE: &str = "openid fhirUser user/*.rs";
const MINE: &str = "pt-mine";

/// A gateway before this server, and a physician's token.
async fn serve(name: &str, upstream: &LargeFhir, audit: &str) -> (Gateway, String) {
    serve_up_to("24MiB", name, upstream, audit).await
}

async fn serve_up_to(max_answer: &str, name: &str, upstream: &LargeFhir, audit: &str) -> (Gateway, String) {
    let route = format!(
        "[audit]\n{audit}\n[[route]]\nname = \"ehr\"\nkind = \"fhir\"\npath = \"/fhir\"\n\
         max_answer = \"{max_answer}\"\nupstream = \"http://127.0.0.1:{}/fhir\"\n",
        upstream.port
    );
    let gateway = serve_routes(name, "", &route, SCOPE);
    let physician = gateway.person("physician", &[MINE]);
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/fhir" };
    let token = app.tokens(&gateway, &physician).await.access;
    (gateway, token)
}

/// The answer to a request, of which the first bytes were read and no more.
async fn begin(gateway: &Gateway, token: &str, path: &str) -> (Connection, Vec<u8>, Incoming) {
    let mut connection = Connection::open(gateway).await;
    let answer = connection.begin(Call::get(path).bearer(token)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    (connection, first.to_vec(), body)
}

/// The nameless spools that a process holds.
fn spools(gateway: &Gateway) -> Vec<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
    let links = open.map(|entry| entry.unwrap().path());
    let is_spool = |link: &PathBuf| {
        std::fs::read_link(link).is_ok_and(|target| {
            let target = target.to_string_lossy().into_owned();
            target.contains("/data/spool/") && target.ends_with(" (deleted)")
        })
    };
    links.filter(is_spool).collect()
}

fn holds_marker(file: &Path) -> bool {
    let content = std::fs::read(file).unwrap_or_default();
    content.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn a_long_answer_waits_sealed_for_a_slow_reader_and_leaves_nothing_readable_on_the_disk() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (gateway, token) = serve("large", &upstream, "").await;
    let search = "/fhir/Observation?patient=pt-mine";
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(begin(&gateway, &token, search).await);
    }
    held.push(begin(&gateway, &token, "/fhir/Observation/huge").await);

    // Each has its record before its first byte, and waits in a file of its own, whole and unreadable.
    let accesses = gateway.audit(&["--action", "search"]);
    assert_eq!(accesses.len(), 4);
    let released = FOUND - FOUND / 4;
    for access in &accesses {
        assert_eq!((&access["outcome"], &access["response"]["count"]), (&"allow".into(), &released.into()));
        assert_eq!(access["withheld"], FOUND / 4);
        assert!(access["response"]["bytes"].as_u64().unwrap() > 15 << 20, "{}", access["response"]);
    }
    let spools = spools(&gateway);
    assert_eq!(spools.len(), 5, "{spools:?}");
    for spool in &spools {
        assert!(std::fs::metadata(spool).unwrap().len() > 15 << 20);
        assert!(!holds_marker(spool), "a spool can be read");
    }
    let data = gateway.folder().join("data");
    assert!(files(&data.join("spool")).is_empty(), "spools have no names");
    for file in files(&data) {
        assert!(!holds_marker(&file), "{}", file.display());
    }

    // A slow reader takes nobody's room: short and long answers are served meanwhile.
    let small = Call::get("/fhir/Observation/small").bearer(&token).to(&gateway).await;
    assert_eq!(small.status, 200);
    let another = Call::get(search).bearer(&token).to(&gateway).await;
    assert_eq!(another.status, 200);
    for (_connection, mut text, body) in held {
        text.extend(body.collect().await.unwrap().to_bytes());
        let answer: Value = serde_json::from_slice(&text).unwrap();
        match answer["entry"].as_array() {
            Some(entries) => {
                assert_eq!(entries.len(), released);
                assert_eq!(answer, another.json());
            }
            None => assert_eq!(answer["id"], "huge"),
        }
        assert!(!String::from_utf8(text).unwrap().contains("pt-other"));
    }
    let begun = Instant::now();
    while !self::spools(&gateway).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "spools are held for nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_cut_off_ends_a_long_answer_that_is_still_going_out() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (gateway, token) = serve("large-cut", &upstream, "").await;
    let (_connection, text, body) = begin(&gateway, &token, "/fhir/Observation/huge").await;
    let access = gateway.audit(&["--action", "read"]).pop().unwrap();
    gateway.command(&["user", "disable", access["actor"]["sub"].as_str().unwrap()]);
    assert!(body.collect().await.is_err(), "it went out whole, {} bytes of it before", text.len());
}

#[tokio::test]
async fn an_answer_beyond_the_routes_limit_is_a_502_and_nothing_of_it_leaves() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (gateway, token) = serve("beyond", &upstream, "").await;
    let answer = Call::get("/fhir/Observation/beyond").bearer(&token).to(&gateway).await;
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains(MARKER));
    let records = gateway.audit(&["--action", "read"]);
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!(
        (&record["outcome"], &record["decision"]["reason"]),
        (&"error".into(), &"upstream-too-long".into())
    );
}

#[tokio::test]
async fn a_history_of_more_records_than_are_looked_at_is_a_502() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (gateway, token) = serve("many-records", &upstream, "").await;
    let answer = Call::get("/fhir/Basic/_history").bearer(&token).to(&gateway).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let records = gateway.audit(&["--action", "history"]);
    assert_eq!(records.last().unwrap()["decision"]["reason"], "upstream-too-long");
}

#[tokio::test]
async fn a_crash_while_a_long_answer_waits_leaves_no_spool_behind() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (mut gateway, token) = serve("large-crash", &upstream, "").await;
    let held = begin(&gateway, &token, "/fhir/Observation/huge").await;
    gateway.kill();
    drop(held);
    let data = gateway.folder().join("data");
    assert!(files(&data.join("spool")).is_empty());
    assert!(files(&data).iter().all(|file| !holds_marker(file)));
    gateway.start();
    let small = Call::get("/fhir/Observation/small").bearer(&token).to(&gateway).await;
    assert_eq!(small.status, 200);
}

#[tokio::test]
async fn while_the_disk_is_almost_full_long_answers_are_refused_and_short_ones_served() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    // No disk has so much.
    let (gateway, token) = serve("large-full", &upstream, "reserve = \"100000000GiB\"").await;
    let begun = Instant::now();
    let huge = loop {
        let huge = Call::get("/fhir/Observation/huge").bearer(&token).to(&gateway).await;
        if huge.status != 200 {
            break huge;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not noticed");
    };
    assert_eq!(huge.status, 503, "{}", huge.text());
    let small = Call::get("/fhir/Observation/small").bearer(&token).to(&gateway).await;
    assert_eq!(small.status, 200);
    let records = gateway.audit(&["--action", "read", "--outcome", "error"]);
    assert_eq!(records.last().unwrap()["decision"]["reason"], "no-room");
}

#[tokio::test]
async fn a_long_answer_that_is_broken_anywhere_is_a_502_and_nothing_of_it_leaves() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (gateway, token) = serve("large-broken", &upstream, "").await;
    for resource_type in BROKEN {
        let path = format!("/fhir/{resource_type}?patient={MINE}");
        let answer = Call::get(&path).bearer(&token).to(&gateway).await;
        assert_eq!(answer.status, 502, "{path}");
        assert!(!answer.text().contains(MARKER), "{path}");
    }
    let records = gateway.audit(&["--action", "search"]);
    assert_eq!(records.len(), BROKEN.len());
    for record in &records {
        assert_eq!((&record["outcome"], &record["response"]["count"]), (&"error".into(), &Value::Null));
    }
    assert!(spools(&gateway).is_empty());
}

/// What a process says of its memory, in KiB.
fn memory(gateway: &Gateway, of: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// How much memory a request takes at most beyond what the process had before, in KiB, and its answer.
async fn taken(gateway: &Gateway, token: &str, path: &str) -> (u64, Value) {
    std::fs::write(format!("/proc/{}/clear_refs", gateway.pid()), "5").unwrap();
    let before = memory(gateway, "VmRSS");
    let answer = Call::get(path).bearer(token).to(gateway).await;
    assert_eq!(answer.status, 200, "{path}");
    assert!(!answer.text().contains("pt-other"), "{path}");
    let taken = memory(gateway, "VmHWM").saturating_sub(before);
    println!("{path}: {} bytes took {taken} KiB beyond {before} KiB", answer.text().len());
    (taken, answer.json())
}

#[tokio::test]
async fn memory_stays_flat_however_long_an_answer_is() {
    let upstream = LargeFhir::start(MINE, "pt-other").await;
    let (gateway, token) = serve_up_to("64MiB", "large-flat", &upstream, "").await;
    for path in ["/fhir/Condition", "/fhir/Procedure", "/fhir/Patient/pt-mine/$everything"] {
        let path = if path.contains('$') { path.to_owned() } else { format!("{path}?patient={MINE}") };
        let (taken, answer) = taken(&gateway, &token, &path).await;
        let entries = answer["entry"].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry["resource"]["subject"]["reference"] == "Patient/pt-mine"
            || entry["resource"]["resourceType"] == "Organization"));
        assert!(taken < FLAT, "{path}: {taken} KiB");
        if !path.contains('$') {
            let (_, counted) = self::taken(&gateway, &token, &format!("{path}&_summary=count")).await;
            assert_eq!(counted["total"], entries.len(), "{path}");
            let record = gateway.audit(&["--action", "search"]).pop().unwrap();
            let (told, patients) = (&record["response"], &record["patients"]);
            assert_eq!((&told["count"], &told["digests"]), (&counted["total"], &Value::Null), "{path}");
            assert_eq!(patients, &json!([MINE]), "{path}");
        }
    }
}

/// So much memory a long answer may take, in KiB: a few pieces of spools, and what the record says of each entry.
const FLAT: u64 = 24 << 10;
