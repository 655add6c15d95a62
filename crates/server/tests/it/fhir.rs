//! FHIR through the gateway: the corpus of refusals, writes, panels that change, and paging.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::faults::limit_files;
use crate::gateway::{Gateway, Scratch, UNSIGNALLED};
use crate::shared;
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, name: &str) -> String {
    App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person(name)).await.access
}

async fn service_token(gateway: &Gateway) -> String {
    let call = Call::form("/token", &[("grant_type", "client_credentials")]);
    let answer = call.basic("demo-service", gateway.secret("demo-service")).to(gateway).await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

/// What was found: not the word of emergency access beside it.
fn entries(bundle: &Value) -> &[Value] {
    match bundle["entry"].as_array() {
        Some(entries) if entries.first().is_none_or(|first| first["search"]["mode"] != "outcome") => entries,
        Some(_) | None => &[],
    }
}

/// The id of an answer's resource, by its own word and by `Location`.
fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_not_understood_or_reaches_further_is_refused_with_an_outcome_and_never_passed_on() {
    let gateway = shared::demo();
    let token = token_of(gateway, "dana").await;
    let (me, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let expected = [
        (400, format!("Patient?_id={me}&_has:Observation:patient:code=59419-2")),
        (400, format!("Observation?subject={me}&_has:Condition:evidence-detail:code=x")),
        (400, format!("Observation?patient={me}&patient.birthdate=ge1990")),
        (400, format!("Observation?patient={me}&subject:Patient.name=x")),
        (400, format!("Observation?patient:not={me}")),
        (400, "Observation?patient:identifier=x|y".to_owned()),
        (400, "Observation?patient:missing=true".to_owned()),
        (400, format!("Observation?subject:Patient={other}")),
        (400, format!("Observation?_filter=patient%20eq%20{other}")),
        (400, "Observation?_query=x".to_owned()),
        (400, "Observation?_list=x".to_owned()),
        (400, "Patient?_text=x".to_owned()),
        (400, "Patient?_content=x".to_owned()),
        (400, "Observation?_contained=true".to_owned()),
        (400, "Observation?_sort=patient.name".to_owned()),
        (400, "Observation?_total=accurate".to_owned()),
        (400, "Observation?_summary=counts".to_owned()),
        (400, "Observation?_summary=count&_count=0".to_owned()),
        (400, "Observation?_elements=nonsense".to_owned()),
        (400, "Observation?_elements=id&_summary=true".to_owned()),
        (400, "Observation?nonsense=1".to_owned()),
        (400, format!("Observation?patient={me}&patient=%00")),
        (400, "?_type=Observation".to_owned()),
        (400, "_search?_type=Observation".to_owned()),
        (404, format!("Patient/{other}/$everything")),
        (404, "Patient/nobody/$everything".to_owned()),
        (400, format!("Patient/{me}/$everything?_typeFilter=x")),
        (400, format!("Encounter/{me}/$everything")),
        (400, format!("Patient/{me}/*")),
        (400, "_history".to_owned()),
        (400, "$export".to_owned()),
        (400, "Patient/$export".to_owned()),
        (400, "Group/x/$export".to_owned()),
        (400, "$graphql".to_owned()),
        (400, "Observation/$lastn".to_owned()),
        (400, "Patient/a_b".to_owned()),
        (400, format!("Patient/{}", "a".repeat(65))),
        (404, "Nonsense/1".to_owned()),
        (404, "patient/1".to_owned()),
        (404, format!("Patient/{other}")),
        (404, format!("Patient/{other}/_history/1")),
        (404, format!("Patient/{other}/_history")),
        (404, "Patient/nobody/_history".to_owned()),
        (404, format!("Observation/{other}-obs00/_history")),
        (400, format!("Observation?patient={me}&_include=Observation:nonsense")),
        (400, format!("Observation?patient={me}&_include:all=*")),
        (400, format!("Encounter/{me}/Observation")),
        (404, format!("Observation/{other}-obs00")),
        (404, format!("Observation/{other}-obs00/_history/1")),
        (404, "Binary/x".to_owned()),
        (403, "Subscription".to_owned()),
    ];
    for (status, what) in expected {
        let answer = get(gateway, &token, &what).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{what}");
        assert!(answer.header("content-type").starts_with("application/fhir+json"), "{what}");
        assert!(!answer.text().contains(other), "{what}: names a patient: {}", answer.text());
    }
    // Searches that may be asked, and find nothing of others.
    for what in
        [format!("patient={other}"), format!("patient=Patient/{other}"), format!("subject=Patient/{other}")]
    {
        let found = get(gateway, &token, &format!("Observation?{what}")).await;
        assert_eq!((found.status, entries(&found.json()).len()), (200, 0), "{what}");
        assert_eq!(found.json().get("total").filter(|total| **total != json!(0)), None, "{what}");
    }
    let both = get(gateway, &token, &format!("Observation?patient={me},{other}&_count=200")).await.json();
    assert!(!entries(&both).is_empty());
    for entry in entries(&both) {
        assert_eq!(entry["resource"]["subject"]["reference"], format!("Patient/{me}"));
        let url = entry["fullUrl"].as_str().unwrap();
        assert!(url.starts_with(&format!("{}/fhir/Observation/", gateway.issuer)), "{url}");
    }
}

#[tokio::test]
async fn methods_bodies_and_formats_that_are_not_offered_are_refused_in_their_own_way() {
    let gateway = shared::demo();
    let token = token_of(gateway, "dana").await;
    let (me, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let patient = format!("/fhir/Patient/{me}");
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("Patient/{me}") } });
    let form = "application/x-www-form-urlencoded";
    let post = |query: &str, body: String| {
        Call::new("POST", &format!("/fhir/Observation/_search{query}")).body(form, body)
    };
    for (name, status, call) in [
        ("fhirpath patch", 400, Call::fhir("PATCH", &patient, &json!({ "resourceType": "Parameters" })).header("if-match", "W/\"1\"")),
        ("xml patch", 415, Call::new("PATCH", &patient).body("application/xml-patch+xml", "<diff/>").header("if-match", "W/\"1\"")),
        ("json as patch", 415, Call::new("PATCH", &patient).body("application/json", "[]").header("if-match", "W/\"1\"")),
        ("patch of no version", 428, Call::new("PATCH", &patient).body("application/json-patch+json", "[]")),
        ("patch of any version", 400, Call::new("PATCH", &patient).body("application/json-patch+json", "[]").header("if-match", "*")),
        ("post to an instance", 405, Call::fhir("POST", &patient, &observation)),
        ("conditional patch of no version", 428, Call::new("PATCH", "/fhir/Observation?identifier=x").body("application/json-patch+json", "[]")),
        ("put to a type", 400, Call::fhir("PUT", "/fhir/Observation", &observation)),
        ("delete of a type", 400, Call::new("DELETE", "/fhir/Observation")),
        ("if-none-exist of no criteria", 400, Call::fhir("POST", "/fhir/Observation", &observation).header("if-none-exist", "_sort=_id")),
        ("xml", 415, Call::new("POST", "/fhir/Observation").body("application/fhir+xml", "<Observation/>")),
        ("want xml", 406, Call::get(&patient).header("accept", "application/fhir+xml")),
        ("want xml by query", 406, Call::get(&format!("{patient}?_format=xml"))),
        ("two answers", 400, post(&format!("?patient={me}"), format!("patient={other}"))),
        ("json search", 415, Call::new("POST", "/fhir/Observation/_search").body("application/json", "{}")),
        ("broken json", 400, Call::new("POST", "/fhir/Observation").body("application/fhir+json", "{")),
        ("member twice", 400, Call::new("POST", "/fhir/Observation").body("application/fhir+json",
            format!(r#"{{"resourceType":"Observation","subject":{{"reference":"Patient/{me}"}},"subject":{{"reference":"Patient/{other}"}}}}"#))),
        ("wrong type", 400, Call::fhir("POST", "/fhir/Condition", &observation)),
        ("wrong id", 400, Call::fhir("PUT", "/fhir/Observation/x", &observation)),
        ("two versions", 400, Call::fhir("PUT", &format!("/fhir/Observation/{me}-obs00"), &observation).header("if-match", "W/\"1\", W/\"2\"")),
    ] {
        let answer = call.bearer(&token).to(gateway).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{name}");
        assert!(status != 405 || !answer.header("allow").is_empty(), "{name}");
    }
    let posted = post("", format!("patient={me}&_count=3")).bearer(&token).to(gateway).await;
    assert_eq!((posted.status, entries(&posted.json()).len()), (200, 3));
}

#[tokio::test]
async fn a_token_reaches_the_types_interactions_and_audience_that_it_names() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    let me = gateway.panel("dana")[0];
    let observations = App::public("user/Observation.r").tokens(gateway, &dana).await.access;
    let id = format!("Observation/{me}-obs00");
    let known = get(gateway, &observations, &id).await.status;
    assert!([200, 404].contains(&known), "{known}");
    for (method, what) in [("GET", "Observation"), ("GET", "Patient/x"), ("DELETE", id.as_str())] {
        let answer = Call::new(method, &format!("/fhir/{what}")).bearer(&observations).to(gateway).await;
        assert_eq!(answer.status, 403, "{method} {what}");
        assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{method} {what}");
    }
    // Version 1 scopes mean what version 2 says of them.
    let v1 = App::public("user/Patient.read").tokens(gateway, &dana).await.access;
    assert_eq!(get(gateway, &v1, &format!("Patient/{me}")).await.status, 200);
    assert_eq!(get(gateway, &v1, "Patient").await.status, 200);
    assert_eq!(Call::new("DELETE", &format!("/fhir/Patient/{me}")).bearer(&v1).to(gateway).await.status, 403);
    // A scope with its letters out of order is none.
    let none = App::public("user/Observation.sr")
        .authorize(gateway, &mut crate::browser::Browser::default(), &dana)
        .await;
    assert_eq!(none.get("error").as_deref(), Some("invalid_scope"));
    // A token for the issuer is not one for the route.
    let elsewhere = App { route: "", ..App::public("openid") }.tokens(gateway, &dana).await.access;
    let answer = get(gateway, &elsewhere, &format!("Patient/{me}")).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate");
    assert!(challenge.contains("invalid_token") && challenge.contains("for another resource"), "{challenge}");
    // Of one that is not ours, nothing is said.
    let (signed, _) = elsewhere.rsplit_once('.').unwrap();
    let forged = format!("{signed}.A");
    let answer = get(gateway, &forged, &format!("Patient/{me}")).await;
    assert_eq!(answer.status, 401);
    assert!(!answer.header("www-authenticate").contains("error_description"), "{answer:?}");
}

#[tokio::test]
async fn each_role_sees_what_the_policies_give_it() {
    let gateway = shared::demo();
    let patient = gateway.panel("dana")[0];
    let observation = {
        let found =
            get(gateway, &service_token(gateway).await, &format!("Observation?patient={patient}&_count=1"))
                .await;
        format!("Observation/{}", entries(&found.json())[0]["resource"]["id"].as_str().unwrap())
    };
    let own = gateway.panel("pat")[0];
    for (name, what, status) in [
        ("dana", format!("Patient/{patient}"), 200),
        ("dana", observation.clone(), 200),
        ("bea", format!("Patient/{patient}"), 200),
        ("bea", format!("Coverage/{patient}-cov"), 200),
        ("bea", observation.clone(), 403),
        // Records have other names for a researcher: masks.rs.
        ("remy", observation.clone(), 404),
        ("remy", "Observation".to_owned(), 200),
        ("remy", format!("Patient/{patient}"), 403),
        ("remy", format!("Coverage/{patient}-cov"), 403),
        ("pia", format!("Patient/{patient}"), 403),
        ("pia", observation.clone(), 403),
        ("ada", format!("Patient/{patient}"), 403),
        ("ada", observation.clone(), 403),
        ("pat", format!("Patient/{own}"), 200),
        ("pat", format!("Patient/{}", gateway.stranger_to("pat")), 404),
        ("dana", "Practitioner/nils".to_owned(), 200),
        ("pat", "Organization/clinic".to_owned(), 200),
    ] {
        let answer = get(gateway, &token_of(gateway, name).await, &what).await;
        assert_eq!(answer.status, status, "{name} {what}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_record_is_created_changed_and_deleted_where_the_person_may_and_nowhere_else() {
    let gateway = Gateway::demo("writes", &[]);
    let gateway = &gateway;
    let token = token_of(gateway, "dana").await;
    let (me, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let draft = |subject: &str| {
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "weight" },
            "subject": { "reference": format!("Patient/{subject}") }, "valueString": "seen" })
    };
    let send = |method: &str, what: &str, body: &Value| {
        Call::fhir(method, &format!("/fhir/{what}"), body).bearer(&token)
    };

    let mut created = draft(me);
    created["id"] = json!("chosen-by-the-client");
    let created = send("POST", "Observation", &created).to(gateway).await;
    assert_eq!(created.status, 201, "{}", created.text());
    let id = id_of(&created);
    assert_ne!(id, "chosen-by-the-client");
    let location = created.header("location");
    assert!(
        location.starts_with(&format!("{}/fhir/Observation/{id}/_history/", gateway.issuer)),
        "{location}"
    );
    assert_eq!(created.header("etag"), "W/\"1\"");

    let what = format!("Observation/{id}");
    let mut change = draft(me);
    change["id"] = id.as_str().into();
    change["valueString"] = json!("changed");
    let changed = send("PUT", &what, &change).header("if-match", "W/\"1\"").to(gateway).await;
    assert_eq!((changed.status, changed.header("etag")), (200, "W/\"2\""), "{}", changed.text());
    let stale = send("PUT", &what, &change).header("if-match", "W/\"1\"").to(gateway).await;
    assert_eq!(stale.status, 412);
    assert_eq!(get(gateway, &token, &what).await.json()["valueString"], "changed");
    assert_eq!(get(gateway, &token, &format!("{what}/_history/1")).await.json()["valueString"], "seen");

    let mut moved = change.clone();
    moved["subject"] = json!({ "reference": format!("Patient/{other}") });
    assert_eq!(send("PUT", &what, &moved).to(gateway).await.status, 403, "to another patient");
    let mut hidden = draft(other);
    hidden["performer"] = json!([{ "reference": format!("Patient/{me}") }]);
    assert_eq!(
        send("POST", "Observation", &hidden).to(gateway).await.status,
        403,
        "performer is not subject"
    );
    for subject in [
        json!({ "reference": format!("https://elsewhere.example/fhir/Patient/{me}") }),
        json!({ "reference": format!("Patient?identifier={me}") }),
        json!({ "identifier": { "value": me } }),
        json!({ "reference": "#p" }),
        json!({ "reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0" }),
        json!({ "reference": format!("Patient/{me} ") }),
        json!({ "reference": format!("Patient/{other}/../{me}") }),
        json!([{ "reference": format!("Patient/{me}") }, { "reference": format!("Patient/{other}") }]),
        Value::Null,
    ] {
        let mut body = draft(me);
        body["contained"] = json!([{ "resourceType": "Patient", "id": "p" }]);
        body["subject"] = subject.clone();
        let answer = send("POST", "Observation", &body).to(gateway).await;
        assert!([400, 403].contains(&answer.status), "{subject}: {} {}", answer.status, answer.text());
    }
    let of_other = {
        let found =
            get(gateway, &service_token(gateway).await, &format!("Observation?patient={other}&_count=1"))
                .await;
        entries(&found.json())[0]["resource"].clone()
    };
    let others = format!("Observation/{}", of_other["id"].as_str().unwrap());
    let mut stolen = draft(me);
    stolen["id"] = of_other["id"].clone();
    let missing = send(
        "PUT",
        "Observation/no-such",
        &json!({ "resourceType": "Observation", "id": "no-such",
        "status": "final", "code": {}, "subject": { "reference": format!("Patient/{me}") } }),
    )
    .to(gateway)
    .await;
    assert_eq!(missing.status, 404, "update as create is off");
    for call in
        [send("PUT", &others, &stolen), Call::new("DELETE", &format!("/fhir/{others}")).bearer(&token)]
    {
        for call in [call.clone(), call.header("if-match", "W/\"9\"")] {
            let answer = call.to(gateway).await;
            assert_eq!(answer.without_date(), missing.without_date(), "another's record is not there");
        }
    }
    let unchanged = get(gateway, &service_token(gateway).await, &others).await.json();
    assert_eq!(unchanged, of_other);

    let nurse = token_of(gateway, "nils").await;
    let shared_patient =
        gateway.panel("nils").into_iter().find(|id| gateway.panel("dana").contains(id)).unwrap();
    let by_nurse =
        Call::fhir("POST", "/fhir/Observation", &draft(shared_patient)).bearer(&nurse).to(gateway).await;
    assert_eq!(by_nurse.status, 201, "a nurse writes findings down");
    let gone = Call::new("DELETE", &format!("/fhir/Observation/{}", id_of(&by_nurse)))
        .bearer(&nurse)
        .to(gateway)
        .await;
    assert_eq!(gone.status, 403, "and deletes none");
    let condition = json!({ "resourceType": "Condition", "subject": { "reference": format!("Patient/{shared_patient}") } });
    assert_eq!(
        Call::fhir("POST", "/fhir/Condition", &condition).bearer(&nurse).to(gateway).await.status,
        403
    );

    let stale = Call::new("DELETE", &format!("/fhir/{what}")).header("if-match", "W/\"1\"").bearer(&token);
    assert_eq!(stale.to(gateway).await.status, 412);
    let deleted = Call::new("DELETE", &format!("/fhir/{what}")).bearer(&token).to(gateway).await;
    assert_eq!((deleted.status, deleted.text()), (204, ""));
    assert_eq!(get(gateway, &token, &what).await.status, 404);
    every_write_has_its_intent(gateway);
}

/// Each write that went upstream has an intent before its outcome; none that was refused has one.
fn every_write_has_its_intent(gateway: &Gateway) {
    let records = gateway.audit(&[]);
    let mut intents: BTreeMap<&str, u64> = BTreeMap::new();
    for record in records.iter().filter(|r| r["event"] == "access.intent") {
        intents.insert(record["request_id"].as_str().unwrap(), record["index"].as_u64().unwrap());
    }
    let mut written = Vec::new();
    for record in records.iter().filter(|r| r["event"] == "access") {
        let is_write =
            ["create", "update", "delete"].contains(&record["action"].as_str().unwrap_or_default());
        let intent = intents.remove(record["request_id"].as_str().unwrap());
        match (is_write, record["outcome"].as_str().unwrap()) {
            (true, "allow") => {
                written.push(record);
                let told = record["response"]["digests"].as_array().map_or(0, Vec::len);
                assert_eq!(told, usize::from(record["action"] != "delete"), "{record}");
                assert!(intent.is_some_and(|index| index < record["index"].as_u64().unwrap()), "{record}");
            }
            _ => assert_eq!(intent, None, "{record}"),
        }
    }
    assert!(intents.is_empty(), "intents without outcome: {intents:?}");
    assert_eq!(written.len(), 4, "create twice, update, delete");
}

#[tokio::test]
async fn a_panel_that_changes_is_in_force_at_the_next_request() {
    let gateway = shared::demo();
    let [first, second] = [gateway.patients()[0], gateway.patients()[20]];
    let person = gateway.person("physician", &[first]);
    let token = App::public(USER_SCOPE).tokens(gateway, &person).await.access;
    let found = |bundle: &Value| {
        let ids = entries(bundle).iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(get(gateway, &token, &format!("Patient/{second}")).await.status, 404);
    gateway.command(&["care", "add", &person.name, second]);
    assert_eq!(get(gateway, &token, &format!("Patient/{second}")).await.status, 200);
    assert_eq!(found(&get(gateway, &token, "Patient?_sort=_id").await.json()), [first, second]);
    gateway.command(&["care", "remove", &person.name, first]);
    assert_eq!(get(gateway, &token, &format!("Patient/{first}")).await.status, 404);
    assert_eq!(found(&get(gateway, &token, "Patient").await.json()), [second]);
    gateway.command(&["care", "remove", &person.name, second]);
    assert_eq!(found(&get(gateway, &token, "Patient").await.json()), Vec::<String>::new());
    let pairs =
        gateway.scratch().write("pairs.csv", format!("{},{first}\n{}, {second}\n", person.name, person.name));
    gateway.command(&["care", "import", pairs.to_str().unwrap()]);
    assert_eq!(found(&get(gateway, &token, "Patient?_sort=_id").await.json()), [first, second]);
}

#[tokio::test]
async fn what_an_import_takes_back_is_on_record_with_it_and_not_where_it_was_not_done() {
    let gateway = &Gateway::demo("care-intent", &[]);
    let patient = gateway.patients()[0];
    let person = gateway.person("physician", &[]);
    let import = |patients: &[&str]| {
        let lines: String = patients.iter().map(|patient| format!("{},{patient}\n", person.name)).collect();
        let file = gateway.scratch().write("ward.csv", lines);
        gateway.try_command(&["care", "import", "--source", "ward", file.to_str().unwrap()])
    };
    assert!(import(&[patient, gateway.patients()[1]]).success);
    let taken = || {
        let records = gateway.audit(&["--event", "care.change"]);
        records.iter().filter(|record| record["detail"]["change"] == "remove").count()
    };
    // Somebody else holds the table, so that it cannot be changed.
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = import(&[patient]);
    assert!(!failed.success, "{}", failed.out);
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(taken(), 0, "it was not");
    let outcomes = || -> Vec<Value> {
        let records = gateway.audit(&["--event", "care.change"]);
        let ended = records.iter().filter(|record| record["detail"]["change"] == "imported");
        ended.map(|record| record["outcome"].clone()).collect()
    };
    assert_eq!(outcomes(), ["allow", "error"], "and that it was not done");
    assert!(gateway.command(&["care", "list", &person.name]).contains(gateway.patients()[1]));
    assert!(import(&[patient]).success);
    assert_eq!(taken(), 1);
    assert_eq!(outcomes(), ["allow", "error", "allow"]);
    assert!(!gateway.command(&["care", "list", &person.name]).contains(gateway.patients()[1]));
}

#[tokio::test]
async fn where_the_log_cannot_be_written_what_a_source_says_no_more_is_taken_back_and_nothing_is_added() {
    let gateway = &Gateway::demo_in(Scratch::new("care-unrecorded"), &[], &UNSIGNALLED);
    let person = gateway.person("physician", &[]);
    let import = |rows: &[String]| {
        let lines: String = rows.iter().map(|patient| format!("{},{patient}\n", person.name)).collect();
        let file = gateway.scratch().write("rows.csv", lines);
        gateway.try_command(&["care", "import", "--source", "ward", file.to_str().unwrap()])
    };
    let secret = gateway.secret("demo-service").to_owned();
    let issue = || {
        let grant = [("grant_type", "client_credentials")];
        Call::form("/token", &grant).basic("demo-service", &secret).to(gateway)
    };
    assert_eq!(issue().await.status, 200);
    let long = |number: u128| {
        format!("{number}-{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    };
    let said: Vec<String> = (1..6000).map(long).collect();
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    // The log is further than what one command writes to the store, whose own log begins again. After a write that failed the
    // log begins anew as well.
    let unwritable = || {
        assert!(import(&said).success && import(&said[..2]).success);
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        limit_files(gateway, "131072")
    };
    if !unwritable() {
        println!("skipped: prlimit is not there or not allowed");
        return;
    }
    let unrecorded = import(&[said[0].clone(), "pt-new".to_owned()]);
    assert_eq!(unrecorded.code, Some(1), "{unrecorded:?}");
    assert!(unrecorded.err.contains("has ended, but is not on record yet"), "{unrecorded:?}");
    assert!(limit_files(gateway, "unlimited"));
    let listed = gateway.command(&["care", "list", &person.name]);
    assert!(
        listed.contains(&said[0]) && !listed.contains(&said[1]) && !listed.contains("pt-new"),
        "{listed}"
    );
    assert!(unwritable());
    let rotated = gateway.try_command(&["client", "rotate-secret", "demo-service"]);
    assert_eq!(rotated.code, Some(1), "{rotated:?}");
    assert!(rotated.err.contains("has ended, but is not on record yet"), "{rotated:?}");
    assert!(rotated.out.is_empty(), "nobody has the new one: {rotated:?}");
    assert!(limit_files(gateway, "unlimited"));
    let begun = std::time::Instant::now();
    while !gateway.try_command(&["audit", "search", "--limit", "1"]).success {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it does not recover");
    }
    assert_eq!(issue().await.status, 401, "the old secret has ended");
}

#[tokio::test]
async fn a_source_says_all_that_it_says_at_once_and_takes_back_its_own_alone() {
    let gateway = &Gateway::demo("care-sources", &[]);
    let [a, b, c] = [0, 15, 20].map(|at| gateway.patients()[at]);
    let (one, other) = (gateway.person("physician", &[a]), gateway.person("nurse", &[]));
    let import = |source: &str, pairs: &[(&str, &str)]| {
        let lines: String = pairs.iter().map(|(name, patient)| format!("{name},{patient}\n")).collect();
        let file = gateway.scratch().write("rows.csv", lines);
        let words = ["--output", "json", "care", "import", "--source", source, file.to_str().unwrap()];
        gateway.try_command(&words)
    };
    let said = |source: &str, pairs: &[(&str, &str)]| {
        let done = import(source, pairs);
        assert!(done.success, "{}", done.err);
        let said: Value = serde_json::from_str(&done.out).unwrap();
        [&said["added"], &said["removed"]].map(|count| count.as_u64().unwrap())
    };
    let (me, them) = (one.name.as_str(), other.name.as_str());
    let token = App::public(USER_SCOPE).tokens(gateway, &one).await.access;
    let seen = async |expected: [u16; 3]| {
        for (patient, status) in [a, b, c].into_iter().zip(expected) {
            assert_eq!(get(gateway, &token, &format!("Patient/{patient}")).await.status, status, "{patient}");
        }
    };
    assert_eq!(said("ward", &[(me, a), (me, b), (them, b)]), [3, 0]);
    assert_eq!(said("ward", &[(me, a), (me, b), (them, b)]), [0, 0]);
    assert_eq!(said("rota", &[(me, b), (me, c)]), [2, 0]);
    seen([200, 200, 200]).await;
    // What another source says as well, or somebody by hand, stays.
    assert_eq!(said("ward", &[(them, c)]), [1, 3]);
    seen([200, 200, 200]).await;
    assert_eq!(said("rota", &[(me, c)]), [0, 1]);
    seen([200, 404, 200]).await;
    let listed = gateway.command(&["care", "list", me]);
    for said in ["command", "rota", a, c] {
        assert!(listed.contains(said), "{listed}");
    }
    assert!(!listed.contains("ward") && !listed.contains(b), "{listed}");
    // Nothing of a file with somebody whom nobody knows, and nothing under the name of what is said by hand.
    assert!(!import("rota", &[("nobody-at-all", a), (me, a)]).success);
    assert!(!import("command", &[(me, b)]).success);
    assert!(!import("Rota", &[(me, b)]).success);
    seen([200, 404, 200]).await;
    // A night's file that came out empty takes nothing back, unless somebody says that it shall.
    let empty = import("rota", &[]);
    assert!(!empty.success && empty.err.contains("--allow-empty"), "{}", empty.err);
    seen([200, 404, 200]).await;
    let file = gateway.scratch().write("none.csv", "\n");
    let file = file.to_str().unwrap();
    assert!(!gateway.try_command(&["care", "import", "--allow-empty", file]).success, "of which source?");
    let words = ["--output", "json", "care", "import", "--source", "rota", "--allow-empty", file];
    let done: Value = serde_json::from_str(&gateway.command(&words)).unwrap();
    assert_eq!([&done["added"], &done["removed"]], [0, 1]);
    seen([200, 404, 404]).await;

    let records = gateway.audit(&["--event", "care.change"]);
    let imports: Vec<_> = records.iter().filter(|record| record["detail"]["change"] == "import").collect();
    assert_eq!(imports.len(), 6);
    let detail =
        |record: &Value| ["source", "added", "removed", "rows"].map(|name| record["detail"][name].clone());
    assert_eq!(detail(imports[3]), ["ward", "1", "3", "1"].map(Value::from));
    let taken: Vec<_> = records
        .iter()
        .filter(|record| record["detail"]["change"] == "remove" && record["detail"]["source"] == "ward")
        .map(|record| record["patients"].as_array().unwrap().len())
        .collect();
    assert_eq!(taken.iter().sum::<usize>(), 3, "each row is on record");
}

/// Every resource of a search, page by page, and the link to the second page.
pub(crate) async fn walk(gateway: &Gateway, token: &str, search: &str) -> (Vec<Value>, Option<String>) {
    let (mut all, mut second) = (Vec::new(), None);
    let mut path = format!("/fhir/{search}");
    for _ in 0..500 {
        let answer = Call::get(&path).bearer(token).to(gateway).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let bundle = answer.json();
        all.extend(entries(&bundle).iter().map(|entry| entry["resource"].clone()));
        let links = bundle["link"].as_array().map_or(&[][..], Vec::as_slice);
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else { return (all, second) };
        let url = next["url"].as_str().unwrap();
        path = url.strip_prefix(&gateway.issuer).expect("a link of ours").to_owned();
        second.get_or_insert_with(|| path.clone());
    }
    panic!("the pages of {search} do not end");
}

fn ids(resources: &[Value]) -> BTreeSet<String> {
    resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn walking_all_pages_finds_every_record_once_and_none_of_anybody_else() {
    let gateway = shared::demo();
    let (dana, service) = (token_of(gateway, "dana").await, service_token(gateway).await);
    let panel = gateway.panel("dana");
    let mut expected = BTreeSet::new();
    for patient in &panel {
        let (of_patient, _) =
            walk(gateway, &service, &format!("Observation?patient={patient}&_count=100")).await;
        assert!(!of_patient.is_empty());
        expected.extend(ids(&of_patient));
    }
    for count in [1, 7, 50] {
        if count == 1 && expected.len() > 150 {
            continue;
        }
        let (found, _) = walk(gateway, &dana, &format!("Observation?_count={count}")).await;
        assert_eq!(found.len(), ids(&found).len(), "none twice, {count} a page");
        assert_eq!(ids(&found), expected, "{count} a page");
        for resource in &found {
            let subject = resource["subject"]["reference"].as_str().unwrap();
            assert!(panel.iter().any(|id| subject == format!("Patient/{id}")), "{subject}");
        }
    }
    let (newest, _) = walk(gateway, &dana, "Observation?_sort=-date&_count=20").await;
    assert_eq!(ids(&newest), expected);
    let dates: Vec<&str> = newest.iter().map(|r| r["effectiveDateTime"].as_str().unwrap()).collect();
    assert!(dates.windows(2).all(|pair| pair[0] >= pair[1]), "in the order asked for");
}

#[tokio::test]
async fn o34_a_link_to_a_page_is_good_for_its_own_person_client_and_scope() {
    let gateway = shared::demo();
    let dana = token_of(gateway, "dana").await;
    let (_, second) = walk(gateway, &dana, "Observation?_count=30").await;
    let second = second.unwrap();
    let other_client =
        App::web(gateway, USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let other_scope = App::public("user/*.rs").tokens(gateway, &gateway.demo_person("dana")).await.access;
    let nils = token_of(gateway, "nils").await;
    let mut refusals = Vec::new();
    for token in [&other_client, &other_scope, &nils] {
        refusals.push(Call::get(&second).bearer(token).to(gateway).await);
    }
    let (head, sealed) = second.split_once("_page=").unwrap();
    let altered = |position: usize| {
        let mut letters: Vec<char> = sealed.chars().collect();
        letters[position] = if letters[position] == 'A' { 'B' } else { 'A' };
        letters.into_iter().collect::<String>()
    };
    for sealed in [
        altered(0),
        altered(sealed.len() / 2),
        sealed.chars().take(20).collect(),
        String::new(),
        "x".repeat(5000),
    ] {
        refusals.push(Call::get(&format!("{head}_page={sealed}")).bearer(&dana).to(gateway).await);
    }
    for refused in &refusals {
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert_eq!(refused.without_date(), refusals[0].without_date(), "one answer for all");
    }
    assert_eq!(Call::get(&second).to(gateway).await.status, 401);
    assert!(!sealed.contains("offset") && !second.contains("127.0.0.1"), "the upstream's address is hidden");
    assert_eq!(Call::get(&second).bearer(&dana).to(gateway).await.status, 200);
}
