//! JSON Patch through the gateway: applied there, whole or not at all, to the version that the client has seen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::dying::DyingFhir;
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::parallel::at_once;
use crate::routes::serve_routes;
use crate::shared;
use crate::wire::{Answer, Call};

const LABORATORY: &str =
    "user/Observation.cru?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory";

async fn token_of(gateway: &Gateway, name: &str, scope: &str) -> String {
    App::public(scope).tokens(gateway, &gateway.demo_person(name)).await.access
}

fn patch(what: &str, version: &str, token: &str, operations: &Value) -> Call {
    let call = Call::new("PATCH", &format!("/fhir/{what}")).bearer(token);
    call.header("if-match", version).body("application/json-patch+json", operations.to_string())
}

/// A new observation of a patient.
async fn made(gateway: &Gateway, token: &str, patient: &str) -> String {
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "weight" },
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory" }] }],
        "subject": { "reference": format!("Patient/{patient}") }, "valueString": "seen", "note": [] });
    let answer = Call::fhir("POST", "/fhir/Observation", &observation).bearer(token).to(gateway).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    format!("Observation/{}", answer.json()["id"].as_str().unwrap())
}

async fn read(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

#[tokio::test]
async fn a_patch_changes_what_it_names_where_the_person_may_and_is_recorded_without_its_content() {
    let gateway = &Gateway::demo("patches", &[]);
    let token = token_of(gateway, "dana", USER_SCOPE).await;
    let (me, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let what = made(gateway, &token, me).await;
    let before = read(gateway, &token, &what).await.json();
    let operations = json!([
        { "op": "test", "path": "/valueString", "value": "seen" },
        { "op": "replace", "path": "/valueString", "value": "marigolds" },
        { "op": "add", "path": "/note/-", "value": { "text": "twice" } },
    ]);
    let patched = patch(&what, "W/\"1\"", &token, &operations).to(gateway).await;
    assert_eq!((patched.status, patched.header("etag")), (200, "W/\"2\""), "{}", patched.text());
    let after = read(gateway, &token, &what).await.json();
    assert_eq!(patched.json(), after, "what was stored is told");
    let mut expected = before.clone();
    expected["valueString"] = json!("marigolds");
    expected["note"] = json!([{ "text": "twice" }]);
    expected["meta"] = after["meta"].clone();
    assert_eq!(after, expected);

    let said = Call::get("/fhir/metadata").to(gateway).await.json();
    assert_eq!(said["patchFormat"], json!(["application/json-patch+json"]));
    let types = said["rest"][0]["resource"].as_array().unwrap();
    let offers = |kind: &Value| kind["interaction"].as_array().unwrap().contains(&json!({ "code": "patch" }));
    assert!(!types.is_empty() && types.iter().all(offers), "{said}");

    let moved =
        json!([{ "op": "replace", "path": "/subject/reference", "value": format!("Patient/{other}") }]);
    let whole = json!([{ "op": "replace", "path": "/subject", "value": { "reference": format!("Patient/{other}") } }]);
    let by_copy = json!([{ "op": "add", "path": "/performer", "value": [{ "reference": format!("Patient/{other}") }] },
        { "op": "move", "from": "/performer/0", "path": "/subject" }]);
    let orphaned = json!([{ "op": "remove", "path": "/subject" }]);
    let one = |op: &str, path: &str, value: Value| json!([{ "op": op, "path": path, "value": value }]);
    for (name, status, version, operations) in [
        ("to another patient", 403, "W/\"2\"", moved),
        ("to another patient as a whole", 403, "W/\"2\"", whole),
        ("to another patient by a move", 403, "W/\"2\"", by_copy),
        ("to nobody", 403, "W/\"2\"", orphaned),
        ("another id", 422, "W/\"2\"", one("replace", "/id", json!("x"))),
        ("another type", 422, "W/\"2\"", one("replace", "/resourceType", json!("Condition"))),
        ("another version", 422, "W/\"2\"", one("replace", "/meta/versionId", json!("9"))),
        ("a failed test", 422, "W/\"2\"", one("test", "/valueString", json!("seen"))),
        (
            "half of it",
            422,
            "W/\"2\"",
            json!([{ "op": "replace", "path": "/valueString", "value": "half" },
            { "op": "remove", "path": "/nowhere" }]),
        ),
        (
            "a search for a reference",
            422,
            "W/\"2\"",
            one("replace", "/subject/reference", json!("Patient?name=x")),
        ),
        ("an object", 400, "W/\"2\"", json!({ "op": "add" })),
        ("no such operation", 400, "W/\"2\"", one("spam", "/a", json!(1))),
        ("a stale version", 412, "W/\"1\"", operations.clone()),
        ("a version to come", 412, "W/\"3\"", operations.clone()),
        (
            "too many",
            400,
            "W/\"2\"",
            Value::from(vec![json!({ "op": "test", "path": "/status", "value": "final" }); 257]),
        ),
    ] {
        let answer = patch(&what, version, &token, &operations).to(gateway).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{name}");
        assert!(!answer.text().contains("marigolds") && !answer.text().contains(other), "{name}");
    }
    let missing = patch("Observation/no-such", "W/\"1\"", &token, &operations).to(gateway).await;
    assert_eq!(missing.status, 404);
    for operations in [&operations, &json!([]), &one("test", "/status", json!("final"))] {
        for version in ["W/\"1\"", "W/\"9\""] {
            let others = format!("Observation/{other}-obs00");
            let answer = patch(&others, version, &token, operations).to(gateway).await;
            assert_eq!(answer.without_date(), missing.without_date(), "another's record is not there");
        }
    }
    assert_eq!(read(gateway, &token, &what).await.json(), after, "what was refused changed nothing");
    let unseen = Call::new("PATCH", &format!("/fhir/{what}"))
        .body("application/json-patch+json", "[]")
        .to(gateway)
        .await;
    assert_eq!(unseen.status, 401);

    let records = gateway.audit(&["--action", "patch"]);
    let of = |event: &str| -> Vec<&Value> { records.iter().filter(|r| r["event"] == event).collect() };
    let (intents, ends) = (of("access.intent"), of("access"));
    assert_eq!(intents.len(), 1, "one alone was to go upstream: {intents:?}");
    let allowed: Vec<&&Value> = ends.iter().filter(|r| r["outcome"] == "allow").collect();
    assert_eq!(allowed.len(), 1);
    let (intent, end) = (intents[0], allowed[0]);
    assert_eq!(intent["request_id"], end["request_id"]);
    assert!(intent["index"].as_u64() < end["index"].as_u64());
    for record in [intent, end] {
        assert_eq!(record["resource"], what.as_str());
        assert_eq!(record["patients"], json!([me]));
        assert_eq!(record["request"]["method"], "PATCH");
        assert!(!record["decision"]["policies"].as_array().unwrap().is_empty(), "{record}");
    }
    let reasons: BTreeSet<&str> = ends.iter().filter_map(|r| r["decision"]["reason"].as_str()).collect();
    for reason in ["content-out-of-reach", "bad-content", "patch-conflict", "bad-patch", "version-conflict"] {
        assert!(reasons.contains(reason), "{reason}: {reasons:?}");
    }
    let told = serde_json::to_string(&records).unwrap();
    for content in ["marigolds", "twice", "seen", "weight"] {
        assert!(!told.contains(content), "{content} stands in the log");
    }
}

#[tokio::test]
async fn a_patch_takes_reading_and_updating_for_each_tells_something() {
    let gateway = shared::demo();
    let all = token_of(gateway, "dana", USER_SCOPE).await;
    let what = made(gateway, &all, gateway.panel("dana")[0]).await;
    let known = json!([{ "op": "test", "path": "/valueString", "value": "seen" }]);
    for (scope, status) in [
        ("user/Observation.r", 403),
        ("user/Observation.rs", 403),
        ("user/Observation.u", 403),
        ("user/Observation.cuds", 403),
        ("user/Condition.ru user/Observation.r", 403),
        ("user/Observation.ru", 200),
    ] {
        let token = token_of(gateway, "dana", scope).await;
        let version = read(gateway, &all, &what).await.header("etag").to_owned();
        let answer = patch(&what, &version, &token, &known).to(gateway).await;
        assert_eq!(answer.status, status, "{scope}: {}", answer.text());
        assert!(status == 200 || answer.header("www-authenticate").contains("insufficient_scope"), "{scope}");
    }
    let billing = token_of(gateway, "bea", USER_SCOPE).await;
    assert_eq!(patch(&what, "W/\"2\"", &billing, &known).to(gateway).await.status, 403, "by policy");
}

#[tokio::test]
async fn smart_370_nothing_is_patched_into_or_out_of_what_a_constraint_shows() {
    let gateway = shared::demo();
    let all = token_of(gateway, "dana", USER_SCOPE).await;
    let narrow = token_of(gateway, "dana", LABORATORY).await;
    let what = made(gateway, &all, gateway.panel("dana")[0]).await;
    let category =
        |code: &str| json!([{ "op": "replace", "path": "/category/0/coding/0/code", "value": code }]);
    let inside = json!([{ "op": "add", "path": "/valueString", "value": "once more" }]);
    assert_eq!(patch(&what, "W/\"1\"", &narrow, &inside).to(gateway).await.status, 200);
    for out in [category("vital-signs"), json!([{ "op": "remove", "path": "/category" }])] {
        assert_eq!(patch(&what, "W/\"2\"", &narrow, &out).to(gateway).await.status, 403, "{out}");
    }
    assert_eq!(patch(&what, "W/\"2\"", &all, &category("vital-signs")).to(gateway).await.status, 200);
    let missing = patch("Observation/no-such", "W/\"3\"", &narrow, &inside).to(gateway).await;
    for into in [category("laboratory"), inside] {
        let answer = patch(&what, "W/\"3\"", &narrow, &into).to(gateway).await;
        assert_eq!((answer.status, answer.without_date()), (404, missing.without_date()), "{into}");
    }
}

/// Adds a note, again and again until nobody was faster.
async fn note_down(gateway: &Gateway, token: &str, what: &str, text: &str) {
    let operations = json!([{ "op": "add", "path": "/note/-", "value": { "text": text } }]);
    let begun = Instant::now();
    loop {
        let version = read(gateway, token, what).await.header("etag").to_owned();
        match patch(what, &version, token, &operations).to(gateway).await.status {
            200 => return,
            status => assert_eq!(status, 412),
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it never gets its turn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_patches_at_once_lose_nothing() {
    let gateway = shared::demo();
    let token = token_of(gateway, "dana", USER_SCOPE).await;
    let what = made(gateway, &token, gateway.panel("dana")[0]).await;
    let first = json!([{ "op": "add", "path": "/note/-", "value": { "text": "first" } }]);
    let answers = at_once(gateway, 100, |_| patch(&what, "W/\"1\"", &token, &first)).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(won == 1 && answers.iter().all(|answer| [200, 412].contains(&answer.status)), "{won} won");

    let texts: BTreeSet<String> = (0..100).map(|number| format!("note {number}")).collect();
    let mut writing = tokio::task::JoinSet::new();
    for text in texts.clone() {
        let (token, what) = (token.clone(), what.clone());
        writing.spawn(async move { note_down(gateway, &token, &what, &text).await });
        if writing.len() == 8 {
            writing.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = writing.join_next().await {
        done.unwrap();
    }
    let after = read(gateway, &token, &what).await.json();
    let notes: Vec<&str> =
        after["note"].as_array().unwrap().iter().map(|n| n["text"].as_str().unwrap()).collect();
    assert_eq!((notes.len(), notes[0]), (101, "first"));
    let found: BTreeSet<String> = notes[1..].iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(found, texts);
}

#[tokio::test]
async fn what_becomes_of_a_patch_is_recorded_where_the_upstream_or_the_gateway_dies_over_it() {
    let upstream = DyingFhir::start("pt-mine").await;
    let route = format!(
        "[[route]]\nname = \"ehr\"\nkind = \"fhir\"\npath = \"/fhir\"\nupstream = \"http://127.0.0.1:{}/fhir\"\n",
        upstream.port
    );
    let scope = "openid fhirUser user/Observation.ru";
    let mut gateway = serve_routes("patch-dies", "", &route, scope);
    let physician = gateway.person("physician", &["pt-mine"]);
    let app = App { client: "till", secret: None, scope, patient: None, route: "/fhir" };
    let token = app.tokens(&gateway, &physician).await.access;
    let operations = json!([{ "op": "replace", "path": "/status", "value": "amended" }]);
    let broken = patch("Observation/breaks", "W/\"1\"", &token, &operations).to(&gateway).await;
    assert_eq!(broken.status, 502, "{}", broken.text());

    let hanging = patch("Observation/hangs", "W/\"1\"", &token, &operations);
    let mut connection = crate::wire::Connection::open(&gateway).await;
    let waiting = tokio::spawn(async move { connection.try_send(hanging).await.is_ok() });
    until_recorded(&gateway, "access.intent", 2).await;
    gateway.kill_and_restart();
    assert!(!waiting.await.unwrap(), "nobody was told anything");

    let records = gateway.audit(&["--action", "patch"]);
    for (what, reason) in
        [("Observation/breaks", "upstream-unreachable"), ("Observation/hangs", "interrupted")]
    {
        let of: Vec<&Value> = records.iter().filter(|record| record["resource"] == what).collect();
        let [intent, end] = of[..] else { panic!("{what}: {of:?}") };
        assert_eq!((&intent["event"], &end["event"]), (&json!("access.intent"), &json!("access")));
        assert_eq!(intent["request_id"], end["request_id"], "{what}");
        assert_eq!((&end["outcome"], &end["decision"]["reason"]), (&json!("error"), &json!(reason)), "{end}");
        assert_eq!(intent["patients"], json!(["pt-mine"]));
    }
}
