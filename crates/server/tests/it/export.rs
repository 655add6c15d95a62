//! Bulk export through the gateway: of what the program may have, record by record, and of an export nobody else hears.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::bulk::BulkFhir;
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Scratch};
use crate::wire::{Answer, Call};

/// The token of a program.
async fn program(gateway: &Gateway, client: &str, scope: &str) -> String {
    let fields = [("grant_type", "client_credentials"), ("scope", scope)];
    let secret = match client {
        "demo-service" => gateway.secret(client).to_owned(),
        other => {
            let answer = gateway.command(&["client", "rotate-secret", other, "--output", "json"]);
            let answer: Value = serde_json::from_str(&answer).unwrap();
            answer["client_secret"].as_str().unwrap().to_owned()
        }
    };
    let answer = Call::form("/token", &fields).basic(client, &secret).to(gateway).await;
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

fn add_program(gateway: &Gateway, id: &str, role: &str) {
    gateway.command(&[
        "client",
        "add",
        id,
        "--kind",
        "confidential",
        "--grant",
        "client_credentials",
        "--scope",
        "system/*.rs",
        "--role",
        role,
    ]);
}

fn kick_off(path: &str, token: &str) -> Call {
    Call::get(&format!("/fhir/{path}")).bearer(token).header("prefer", "respond-async")
}

/// Where an export tells of itself.
async fn begun(gateway: &Gateway, path: &str, token: &str) -> String {
    let answer = kick_off(path, token).to(gateway).await;
    assert_eq!((answer.status, answer.text()), (202, ""), "{path}");
    answer.header("content-location").strip_prefix(&gateway.issuer).unwrap().to_owned()
}

async fn get(gateway: &Gateway, path: &str, token: &str) -> Answer {
    Call::get(path).bearer(token).to(gateway).await
}

/// The manifest, once there is one.
async fn complete(gateway: &Gateway, status: &str, token: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = get(gateway, status, token).await;
        if answer.status != 202 {
            return answer;
        }
        assert!(answer.header("x-progress").starts_with("in progress"));
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn files(manifest: &Value, gateway: &Gateway) -> Vec<(String, String)> {
    let file = |one: &Value| {
        let url = one["url"].as_str().unwrap().strip_prefix(&gateway.issuer).unwrap();
        (one["type"].as_str().unwrap().to_owned(), url.to_owned())
    };
    manifest["output"].as_array().unwrap().iter().map(file).collect()
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/fhir+ndjson"),
        "{}",
        answer.text()
    );
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn observation(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
        "effectiveDateTime": "2026-03-04", "subject": { "reference": format!("Patient/{patient}") } })
}

/// Patients `a` and `b`, what is theirs, one record that is nobody's to see, and a group of `a` alone.
fn data() -> (Scratch, PathBuf) {
    let scratch = Scratch::new("exported");
    let mut secret = observation("secret", "a");
    secret["meta"] = json!({ "security": [{ "code": "V",
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality" }] });
    let records = [
        json!({ "resourceType": "Patient", "id": "a", "name": [{ "family": "Aster" }] }),
        json!({ "resourceType": "Patient", "id": "b", "name": [{ "family": "Bryony" }] }),
        observation("a1", "a"),
        observation("a2", "a"),
        observation("b1", "b"),
        secret,
        json!({ "resourceType": "Organization", "id": "clinic" }),
        json!({ "resourceType": "Group", "id": "g", "type": "person", "actual": true,
            "member": [{ "entity": { "reference": "Patient/a" } }] }),
        json!({ "resourceType": "Binary", "id": "x", "contentType": "text/plain", "data": "aGk=" }),
    ];
    let text: Vec<String> = records.iter().map(ToString::to_string).collect();
    scratch.write("records.ndjson", text.join("\n"));
    let path = scratch.path().to_owned();
    (scratch, path)
}

fn demo(name: &str) -> Gateway {
    let (_scratch, folder) = data();
    Gateway::demo(name, &["--data", folder.to_str().unwrap()])
}

fn ids(records: &[Value]) -> BTreeSet<&str> {
    records.iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_export_holds_what_its_program_may_have_and_each_file_has_one_record() {
    let mut gateway = demo("export");
    let token = program(&gateway, "demo-service", "system/*.rs").await;
    let status = begun(&gateway, "$export", &token).await;
    assert_eq!(get(&gateway, &status, &token).await.status, 202, "it takes a moment");
    let answer = complete(&gateway, &status, &token).await;
    assert!(answer.header("expires").ends_with(" GMT"));
    let manifest = answer.json();
    assert_eq!(manifest["requiresAccessToken"], true);
    assert!(manifest["request"].as_str().unwrap().starts_with(&format!("{}/fhir/$export", gateway.issuer)));
    assert!(manifest["output"][0].get("count").is_none(), "a count would tell what is withheld");
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    let files = files(&manifest, &gateway);
    let types: Vec<&str> = files.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, ["Group", "Observation", "Organization", "Patient"]);
    for (kind, url) in &files {
        let records = lines(&get(&gateway, url, &token).await);
        assert!(records.iter().all(|record| record["resourceType"] == **kind), "{records:?}");
        if kind == "Observation" {
            assert_eq!(ids(&records), BTreeSet::from(["a1", "a2", "b1"]), "what has a label stays");
        }
    }
    let records = gateway.audit(&["--action", "export", "--outcome", "allow"]);
    let file = records.iter().rfind(|record| record["withheld"] == 1).unwrap();
    assert_eq!((&file["response"]["count"], &file["patients"]), (&json!(3), &json!(["a", "b"])), "{file}");
    assert!(file["response"]["digests"][0].is_string() && file["detail"]["export"].is_string(), "{file}");
    assert_eq!(file["decision"]["policies"], json!(["service-view"]));
    let kicked = records.iter().find(|record| record["event"] == "access.intent").unwrap();
    assert_eq!(kicked["resource"], "/$export", "{kicked}");

    // It survives the gateway, and what was exported is what there was.
    gateway.kill_and_restart();
    let token = program(&gateway, "demo-service", "system/*.rs").await;
    assert_eq!(complete(&gateway, &status, &token).await.json(), manifest);
    let again = get(&gateway, &files[1].1, &token).await;
    assert_eq!(lines(&again).len(), 3);

    // Given up, it is gone.
    let cancel = Call::new("DELETE", &status).bearer(&token).to(&gateway).await;
    assert_eq!(cancel.status, 202);
    for path in [&status, &files[1].1] {
        assert_eq!(get(&gateway, path, &token).await.status, 404);
    }
    assert_eq!(Call::new("DELETE", &status).bearer(&token).to(&gateway).await.status, 404);
}

#[tokio::test]
async fn of_a_group_or_all_patients_or_some_types_or_since_a_time() {
    let gateway = &demo("export-parts");
    let token = program(gateway, "demo-service", "system/*.rs").await;
    let exported = async |path: &str| {
        let status = begun(gateway, path, &token).await;
        let manifest = complete(gateway, &status, &token).await.json();
        let mut all = Vec::new();
        for (_, url) in files(&manifest, gateway) {
            all.extend(lines(&get(gateway, &url, &token).await));
        }
        Call::new("DELETE", &status).bearer(&token).to(gateway).await;
        all
    };
    let all = exported("Patient/$export").await;
    assert_eq!(ids(&all), BTreeSet::from(["a", "b", "a1", "a2", "b1", "g"]), "{all:?}");
    let all = exported("Group/g/$export").await;
    assert_eq!(ids(&all), BTreeSet::from(["a", "a1", "a2", "g"]), "{all:?}");
    let all = exported("Patient/$export?_type=Observation&_outputFormat=ndjson").await;
    assert_eq!(ids(&all), BTreeSet::from(["a1", "a2", "b1"]));
    assert_eq!(exported("$export?_since=2100-01-01T00:00:00Z").await.len(), 0);
    // Posted.
    let body = json!({ "resourceType": "Parameters",
        "parameter": [{ "name": "_type", "valueString": "Patient" }] });
    let posted = Call::fhir("POST", "/fhir/$export", &body).bearer(&token).header("prefer", "respond-async");
    let posted = posted.to(gateway).await;
    assert_eq!(posted.status, 202, "{}", posted.text());
    let status = posted.header("content-location").strip_prefix(&gateway.issuer).unwrap();
    let files = files(&complete(gateway, status, &token).await.json(), gateway);
    assert_eq!(files.len(), 1);
    // What policies keep of records is kept of exported ones.
    add_program(gateway, "research", "researcher");
    let research = program(gateway, "research", "system/*.rs").await;
    assert_eq!(kick_off("Patient/$export", &research).to(gateway).await.status, 403, "no patients for them");
    let since =
        kick_off("$export?_type=Observation&_since=2020-01-01T00:00:00Z", &research).to(gateway).await;
    assert_eq!(since.status, 400, "by when it was changed would be told when that was");
    let status = begun(gateway, "$export?_type=Observation", &research).await;
    let manifest = complete(gateway, &status, &research).await.json();
    let url =
        manifest["output"][0]["url"].as_str().unwrap().strip_prefix(&gateway.issuer).unwrap().to_owned();
    let records = lines(&get(gateway, &url, &research).await);
    assert_eq!(records.len(), 3);
    for record in &records {
        assert_eq!(record["effectiveDateTime"], "2026", "{record}");
        assert!(!record.to_string().contains("Patient/a\"") && record["id"] != "a1", "{record}");
    }
}

#[tokio::test]
async fn an_export_is_for_programs_and_for_what_is_offered_of_it() {
    let gateway = &demo("export-refusals");
    let token = program(gateway, "demo-service", "system/*.rs").await;
    let narrow = program(gateway, "demo-service", "system/Observation.rs").await;
    let found_only = program(gateway, "demo-service", "system/Patient.s").await;
    let physician =
        App::public(USER_SCOPE).tokens(gateway, &gateway.person("physician", &["a"])).await.access;
    let app = App { patient: Some("a"), ..App::public("launch/patient patient/*.rs") };
    let app = app.tokens(gateway, &gateway.person("physician", &["a"])).await.access;
    for (status, path, token) in [
        // Group/x/$export by a patient's token: 403, as by any but a program's.
        (403, "Group/x/$export", &app),
        (403, "Group/g/$export", &app),
        (403, "Group/g/$export", &physician),
        (403, "Patient/$export", &physician),
        (403, "$export", &app),
        (404, "Group/x/$export", &token),
        (403, "Patient/$export", &narrow),
        (403, "Group/g/$export", &narrow),
        (403, "$export?_type=Patient", &narrow),
        (403, "$export?_type=Observation,Patient", &narrow),
        (403, "$export", &found_only),
        (403, "$export?_type=Binary", &token),
        (400, "$export?_typeFilter=Observation%3Fcode%3Dx", &token),
        (400, "$export?_elements=id", &token),
        (400, "Patient/$export?patient=a", &token),
        (400, "$export?_outputFormat=text/csv", &token),
        (400, "$export?_type=Nonsense", &token),
        (400, "Observation/$export", &token),
        (400, "Patient/a/$export", &token),
        (404, "$export/no-such", &token),
        (404, "$export/no-such/0", &token),
        (403, "$export/no-such", &physician),
    ] {
        let answer = kick_off(path, token).to(gateway).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{path}");
    }
    let synchronous = Call::get("/fhir/$export").bearer(&token).to(gateway).await;
    assert_eq!((synchronous.status, synchronous.text().contains("respond-async")), (400, true));
    let entry = json!([{ "request": { "method": "GET", "url": "Patient/$export" } }]);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entry });
    let answer = Call::fhir("POST", "/fhir", &batch).bearer(&token).to(gateway).await.json();
    assert_eq!(answer["entry"][0]["response"]["status"], "400", "{answer}");
    let metadata = Call::get("/fhir/metadata").to(gateway).await.json();
    assert_eq!(metadata["rest"][0]["operation"][0]["name"], "export");

    // A route can go without.
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), config.replacen("[[route]]", "[[route]]\nexports = 0", 1)).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;
    assert_eq!(kick_off("$export", &token).to(gateway).await.status, 400);
    let metadata = Call::get("/fhir/metadata").to(gateway).await.json();
    assert!(metadata["rest"][0].get("operation").is_none());
}

#[tokio::test]
async fn an_export_is_its_clients_and_is_decided_on_again_at_each_step() {
    let gateway = &demo("export-owners");
    let token = program(gateway, "demo-service", "system/*.rs").await;
    add_program(gateway, "other", "service");
    let other = program(gateway, "other", "system/*.rs").await;
    let status = begun(gateway, "Patient/$export?_type=Patient,Observation", &token).await;
    let files = files(&complete(gateway, &status, &token).await.json(), gateway);
    let (observations, patients) = (&files[0].1, &files[1].1);
    // Status id of another client: 404, as for one that never was.
    let absent = get(gateway, "/fhir/$export/no-such", &other).await;
    for path in [&status, observations, patients] {
        assert_eq!(get(gateway, path, &other).await.without_date(), absent.without_date(), "{path}");
    }
    let cancel = Call::new("DELETE", &status).bearer(&other).to(gateway).await;
    assert_eq!(cancel.without_date(), absent.without_date());
    // A token that was narrowed in between gets what it reaches now.
    let narrow = program(gateway, "demo-service", "system/Patient.rs").await;
    let manifest = get(gateway, &status, &narrow).await.json();
    assert_eq!(manifest["output"].as_array().unwrap().len(), 1, "{manifest}");
    assert_eq!(get(gateway, patients, &narrow).await.status, 200);
    let refused = get(gateway, observations, &narrow).await;
    assert_eq!((refused.status, refused.text().contains("scope")), (403, true));
    let without_patients = program(gateway, "demo-service", "system/Observation.rs").await;
    assert_eq!(get(gateway, observations, &without_patients).await.status, 403, "all patients takes Patient");
    // Policy that changed in between counts.
    let forbid = r#"@id("no-observations") forbid (principal, action, resource is Chartgate::Record)
        when { resource.resource_type == "Observation" };"#;
    std::fs::write(gateway.folder().join("policies/added.cedar"), forbid).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    assert_eq!(get(gateway, observations, &token).await.status, 403);
    assert_eq!(get(gateway, patients, &token).await.status, 200);
    // A token that was revoked is worth nothing.
    gateway.command(&["token", "revoke", &token]);
    assert_eq!(get(gateway, patients, &token).await.status, 401);
}

#[tokio::test]
async fn of_fifty_exports_at_once_as_many_begin_as_may() {
    let gateway = &demo("export-limit");
    let token = program(gateway, "demo-service", "system/*.rs").await;
    let calls = (0..50).map(|_| async { kick_off("$export", &token).to(gateway).await });
    let answers = futures_util::future::join_all(calls).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(202), count(429)), (2, 48));
    let begun = answers.iter().find(|answer| answer.status == 202).unwrap();
    let status = begun.header("content-location").strip_prefix(&gateway.issuer).unwrap();
    // One that is complete, or was given up, runs no more.
    complete(gateway, status, &token).await;
    assert_eq!(kick_off("$export", &token).to(gateway).await.status, 202);
    assert_eq!(kick_off("$export", &token).to(gateway).await.status, 429);
}

#[tokio::test]
async fn an_upstream_that_lies_about_exports_opens_nothing() {
    let gateway = &demo("export-lies");
    let upstream = BulkFhir::start().await;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let real = config.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let ours = format!("127.0.0.1:{}", upstream.port);
    let moved = config.replace(&format!("127.0.0.1:{real}"), &ours);
    std::fs::write(gateway.config(), moved).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;
    let token = program(gateway, "demo-service", "system/*.rs").await;
    let base = format!("http://{ours}/fhir");
    let at = |url: String| [("content-location", url)];
    let path = "$export?_type=Patient,Observation";
    // Where it says that it will tell of it.
    for url in [
        "http://169.254.169.254/fhir/job".to_owned(),
        format!("http://{ours}/admin"),
        format!("{base}/../x"),
        String::new(),
    ] {
        upstream.tell("/fhir/$export", 202, &at(url.clone()), "");
        assert_eq!(kick_off(path, &token).to(gateway).await.status, 502, "{url}");
    }
    upstream.tell("/fhir/$export", 302, &[("location", format!("{base}/elsewhere"))], "");
    assert_eq!(kick_off(path, &token).to(gateway).await.status, 502);
    upstream.tell("/fhir/$export", 501, &[], "");
    assert_eq!(kick_off(path, &token).to(gateway).await.status, 422, "it cannot do that");
    upstream.tell("/fhir/$export", 202, &at(format!("{base}/job/1")), "");
    upstream.asked();
    // What it refused holds no place.
    let status = begun(gateway, path, &token).await;
    assert_eq!(upstream.asked(), ["GET /fhir/$export"]);
    upstream.tell(
        "/fhir/job/1",
        202,
        &[("x-progress", "3 of Aster's records, 7%".to_owned()), ("retry-after", "999999".to_owned())],
        "",
    );
    let running = get(gateway, &status, &token).await;
    assert_eq!(
        (running.status, running.header("x-progress"), running.header("retry-after")),
        (202, "in progress: 7%", "3600")
    );
    // What it says came of it.
    let manifest = |output: Value, error: Value| {
        json!({ "transactionTime": "2026-01-01T00:00:00Z", "request": "x", "requiresAccessToken": false,
            "output": output, "error": error })
        .to_string()
    };
    for output in [
        json!([{ "type": "Patient", "url": "http://169.254.169.254/latest/meta-data" }]),
        json!([{ "type": "Patient", "url": format!("http://{ours}/admin/secrets") }]),
        json!([{ "type": "Patient", "url": format!("{base}/%2e%2e/admin") }]),
        json!([{ "type": "Condition", "url": format!("{base}/file/1") }]),
        json!("nonsense"),
    ] {
        upstream.tell("/fhir/job/1", 200, &[], &manifest(output.clone(), json!([])));
        assert_eq!(get(gateway, &status, &token).await.status, 502, "{output}");
    }
    upstream.tell("/fhir/job/1", 302, &[("location", format!("{base}/job/2"))], "");
    assert_eq!(get(gateway, &status, &token).await.status, 502);
    let output = json!([{ "type": "Observation", "url": format!("{base}/file/1") }]);
    let error = json!([{ "type": "OperationOutcome", "url": format!("{base}/file/errors") }]);
    upstream.tell("/fhir/job/1", 200, &[], &manifest(output, error));
    let told = get(gateway, &status, &token).await.json();
    let file = files(&told, gateway)[0].1.clone();
    // What went wrong is told in our words.
    let errors = told["error"][0]["url"].as_str().unwrap().strip_prefix(&gateway.issuer).unwrap();
    upstream.asked();
    let errors = lines(&get(gateway, errors, &token).await);
    assert_eq!((errors.len(), &errors[0]["resourceType"]), (1, &json!("OperationOutcome")));
    assert!(upstream.asked().is_empty());
    // What it puts into the file.
    let mut labelled = observation("secret", "a");
    labelled["meta"] = json!({ "security": [{ "code": "V",
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality" }] });
    let mut foreign = observation("foreign", "a");
    foreign["subject"]["reference"] = json!("https://elsewhere.example/Patient/a");
    let content = [
        observation("mine", "a"),
        json!({ "resourceType": "Patient", "id": "marigold" }),
        json!({ "resourceType": "Binary", "id": "marigold", "contentType": "text/plain", "data": "" }),
        json!({ "resourceType": "Bundle", "id": "marigold", "type": "collection",
            "entry": [{ "resource": { "resourceType": "Patient", "id": "marigold" } }] }),
        labelled,
    ];
    let text: Vec<String> = content.iter().map(ToString::to_string).collect();
    upstream.tell("/fhir/file/1", 200, &[], &format!("{}\r\n\n", text.join("\n")));
    let answer = get(gateway, &file, &token).await;
    assert_eq!(ids(&lines(&answer)), BTreeSet::from(["mine"]), "{}", answer.text());
    let records = gateway.audit(&["--action", "export"]);
    let last = records.iter().rfind(|record| record["event"] == "access").unwrap();
    assert_eq!((&last["response"]["count"], &last["withheld"]), (&json!(1), &json!(4)), "{last}");
    // A line that is no record makes the whole file none.
    for line in [
        "nonsense",
        "{}",
        r#"{"resourceType":"Observation","id":"x","id":"y"}"#,
        r#"{"resourceType":"Observation","id":"x"} {"resourceType":"Patient","id":"p"}"#,
    ] {
        upstream.tell("/fhir/file/1", 200, &[], &format!("{}\n{line}\n", text[0]));
        let answer = get(gateway, &file, &token).await;
        assert_eq!((answer.status, answer.text().contains("mine")), (502, false), "{line}");
    }
    upstream.tell("/fhir/file/1", 302, &[("location", format!("{base}/file/2"))], &text[0]);
    upstream.tell("/fhir/file/2", 200, &[], &text[0]);
    assert_eq!(get(gateway, &file, &token).await.status, 502, "it is not followed");
    upstream.tell("/fhir/file/1", 200, &[("content-encoding", "gzip".to_owned())], &text[0]);
    assert_eq!(get(gateway, &file, &token).await.status, 502);
    // A long file goes by way of the disk, whole.
    let many: String =
        (0..40_000).map(|number| format!("{}\n", observation(&format!("o{number}"), "a"))).collect();
    assert!(many.len() > 3 << 20);
    upstream.tell("/fhir/file/1", 200, &[], &many);
    let answer = get(gateway, &file, &token).await;
    assert_eq!(lines(&answer).len(), 40_000);
    // Of a group that names its patients nobody else's leaves.
    let group = json!({ "resourceType": "Group", "id": "g", "type": "person", "actual": true,
        "member": [{ "entity": { "reference": "Patient/a" } }] });
    upstream.tell("/fhir/Group/g", 200, &[], &group.to_string());
    upstream.tell("/fhir/Group/g/$export", 202, &at(format!("{base}/job/1")), "");
    let both = format!("{}\n{}", observation("mine", "a"), observation("theirs", "b"));
    upstream.tell("/fhir/file/1", 200, &[], &both);
    let status = begun(gateway, "Group/g/$export?_type=Observation", &token).await;
    let file = files(&complete(gateway, &status, &token).await.json(), gateway)[0].1.clone();
    assert_eq!(ids(&lines(&get(gateway, &file, &token).await)), BTreeSet::from(["mine"]));
    upstream.tell("/fhir/Group/g", 404, &[], "");
    assert_eq!(get(gateway, &file, &token).await.status, 404, "there is no such group any more");
}

#[tokio::test]
async fn of_a_group_whose_members_are_known_nothing_leaves_by_other_names() {
    let gateway = &demo("export-renamed");
    let token = program(gateway, "demo-service", "system/*.rs").await;
    let begun_before = begun(gateway, "Group/g/$export?_type=Observation", &token).await;
    let file = files(&complete(gateway, &begun_before, &token).await.json(), gateway)[0].1.clone();
    assert_eq!(ids(&lines(&get(gateway, &file, &token).await)), BTreeSet::from(["a1", "a2"]));
    // The service sees groups as they are, and observations by other names.
    let policies = gateway.folder().join("policies/service.cedar");
    let masked = r#"@id("service-findings") @mask("safe-harbor") permit (principal in Chartgate::Role::"service",
        action in Chartgate::Action::"view", resource is Chartgate::Record)
        when { resource.resource_type == "Observation" };"#;
    let others = r#"@id("service-others") permit (principal in Chartgate::Role::"service",
        action in Chartgate::Action::"view", resource is Chartgate::Record)
        when { ["Group", "Patient"].contains(resource.resource_type) };"#;
    std::fs::write(&policies, format!("{masked}\n{others}\n")).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    for path in ["Group/g/$export?_type=Observation", "Group/g/$export?_type=Patient,Observation"] {
        assert_eq!(kick_off(path, &token).to(gateway).await.status, 403, "{path}");
    }
    assert_eq!(get(gateway, &file, &token).await.status, 403, "nor by what was begun before");
    let refused = gateway.audit(&["--action", "export"]);
    assert_eq!(refused.last().unwrap()["decision"]["reason"], "renamed-in-a-group");
    let all = begun(gateway, "Patient/$export?_type=Observation", &token).await;
    let file = files(&complete(gateway, &all, &token).await.json(), gateway)[0].1.clone();
    assert_eq!(lines(&get(gateway, &file, &token).await).len(), 3, "among all others");
}
