//! Batches and transactions through the gateway: each entry is decided on, answered and recorded like a request by itself.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::shared;
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, role: &str, panel: &[&str]) -> String {
    App::public(USER_SCOPE).tokens(gateway, &gateway.person(role, panel)).await.access
}

async fn post(gateway: &Gateway, token: &str, kind: &str, entries: &[Value]) -> Answer {
    let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
    Call::fhir("POST", "/fhir", &bundle).bearer(token).to(gateway).await
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

fn entry(method: &str, url: &str) -> Value {
    json!({ "request": { "method": method, "url": url } })
}

fn with(method: &str, url: &str, resource: &Value) -> Value {
    json!({ "request": { "method": method, "url": url }, "resource": resource })
}

fn observation(patient: &str) -> Value {
    json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("Patient/{patient}") } })
}

/// How each entry went.
fn statuses(answer: &Answer) -> Vec<u16> {
    let bundle = answer.json();
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap().parse().unwrap();
    bundle["entry"].as_array().unwrap().iter().map(status).collect()
}

async fn count(gateway: &Gateway, token: &str, patient: &str) -> usize {
    let found = get(gateway, token, &format!("Observation?patient={patient}&code:text=x&_count=1000")).await;
    assert_eq!(found.status, 400, "a modifier that is not offered");
    let found = get(gateway, token, &format!("Observation?patient={patient}&_count=1000")).await.json();
    let entries = found["entry"].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().filter(|entry| entry["resource"]["code"]["text"] == "x").count()
}

#[tokio::test]
async fn each_entry_of_a_batch_goes_as_it_would_by_itself() {
    let gateway = &Gateway::demo("batch", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let token = token_of(gateway, "physician", &[mine]).await;
    let entries = [
        entry("GET", &format!("Patient/{mine}")),
        entry("GET", &format!("Patient/{theirs}")),
        entry("GET", "Patient/no-such-patient"),
        entry("GET", &format!("../Patient/{theirs}")),
        entry("GET", &format!("{}/fhir/Patient/{theirs}", gateway.issuer)),
        entry("GET", &format!("%2e%2e/Patient/{theirs}")),
        entry("GET", &format!("Observation?patient={mine}&_count=3")),
        entry("GET", &format!("Observation?patient={theirs}")),
        entry("GET", &format!("Patient/{mine}/_history")),
        with("POST", "Observation", &observation(mine)),
        with("POST", "Observation", &observation(theirs)),
        with("POST", "", &json!({ "resourceType": "Bundle", "type": "batch" })),
        entry("GET", "metadata"),
        with("POST", "Observation", &json!({ "resourceType": "Patient" })),
        entry("DELETE", &format!("Patient/{theirs}")),
    ];
    let answer = post(gateway, &token, "batch", &entries).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = [200, 404, 404, 400, 400, 400, 200, 200, 200, 201, 403, 400, 400, 400, 404];
    assert_eq!(statuses(&answer), expected, "{}", answer.text());
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().unwrap();
    assert_eq!(bundle["type"], "batch-response");
    assert_eq!(entries[0]["resource"]["id"], mine);
    assert_eq!(entries[1], entries[2], "another's record is not there");
    assert_eq!(entries[1]["response"]["outcome"]["resourceType"], "OperationOutcome");
    assert_eq!(entries[6]["resource"]["entry"].as_array().map(Vec::len), Some(3));
    // No record, but where it could be asked for in an emergency.
    let others = entries[7]["resource"]["entry"].as_array().unwrap();
    assert!(others.len() == 1 && others[0]["search"]["mode"] == "outcome");
    let location = entries[9]["response"]["location"].as_str().unwrap();
    let made = location.strip_prefix(&format!("{}/fhir/", gateway.issuer)).unwrap();
    assert!(made.starts_with("Observation/"), "{made}");
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());

    let records = gateway.audit(&[]);
    let batch = records.iter().rfind(|record| record["event"] == "batch").unwrap();
    assert_eq!((batch["action"].as_str(), batch["response"]["count"].as_u64()), (Some("batch"), Some(15)));
    let of_batch = |event: &str| -> Vec<&Value> {
        let own = records.iter().filter(|record| record["request_id"] == batch["request_id"]);
        own.filter(|record| record["event"] == event).collect()
    };
    let mut told: Vec<_> = of_batch("access");
    told.sort_by_key(|record| record["entry"].as_u64());
    let numbers: Vec<_> = told.iter().filter_map(|record| record["entry"].as_u64()).collect();
    assert_eq!(numbers, (0..15).collect::<Vec<_>>(), "a record for each");
    let outcomes: Vec<_> = told.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    for (outcome, status) in outcomes.iter().zip(expected) {
        assert_eq!(*outcome == "allow", status < 300, "{outcomes:?}");
    }
    assert_eq!((told[0]["action"].as_str(), &told[0]["patients"]), (Some("read"), &json!([mine])));
    assert_eq!(told[1]["patients"], json!([theirs]), "who was asked for");
    let intents = of_batch("access.intent");
    assert_eq!(intents.iter().map(|record| record["entry"].as_u64()).collect::<Vec<_>>(), [Some(9)]);
    assert!(batch["index"].as_u64() > told.iter().filter_map(|record| record["index"].as_u64()).max());
}

#[tokio::test]
async fn what_is_no_batch_is_refused_and_is_one_request() {
    let gateway = shared::demo();
    let token = token_of(gateway, "physician", &[gateway.patients()[0]]).await;
    let bundle = |kind: &str| json!({ "resourceType": "Bundle", "type": kind }).to_string();
    for (status, body) in [
        (400, bundle("searchset")),
        (400, "{}".to_owned()),
        (400, "{".to_owned()),
        (400, r#"{"resourceType":"Bundle","type":"batch","type":"transaction"}"#.to_owned()),
        (400, json!({ "resourceType": "Bundle", "type": "batch", "entry": [{}] }).to_string()),
        (
            400,
            json!({ "resourceType": "Bundle", "type": "batch",
            "entry": vec![entry("GET", "Patient/a"); 1001] })
            .to_string(),
        ),
        (200, bundle("batch")),
        (200, bundle("transaction")),
    ] {
        let answer = Call::new("POST", "/fhir/").body("application/fhir+json", body.clone()).bearer(&token);
        let answer = answer.to(gateway).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
    }
    let xml = Call::new("POST", "/fhir").body("application/fhir+xml", "<Bundle/>").bearer(&token);
    assert_eq!(xml.to(gateway).await.status, 415);
    assert_eq!(post(gateway, "nobody", "batch", &[]).await.status, 401);
}

#[tokio::test]
async fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    let gateway = &Gateway::demo("transaction", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let token = token_of(gateway, "physician", &[mine]).await;
    let all = token_of(gateway, "physician", &[mine, theirs]).await;
    let named = |name: &str, mut entry: Value| {
        entry["fullUrl"] = json!(name);
        entry
    };
    let mut panel = observation(mine);
    panel["hasMember"] = json!([{ "reference": "urn:uuid:11111111-1111-4111-8111-111111111111" }]);
    let member = named(
        "urn:uuid:11111111-1111-4111-8111-111111111111",
        with("POST", "Observation", &observation(mine)),
    );
    let entries = [with("POST", "Observation", &panel), member, entry("GET", &format!("Patient/{mine}"))];
    let answer = post(gateway, &token, "transaction", &entries).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(statuses(&answer), [201, 201, 200]);
    let bundle = answer.json();
    assert_eq!(bundle["type"], "transaction-response");
    let [panel, member] = [0, 1].map(|n| bundle["entry"][n]["resource"].clone());
    let own = format!("Observation/{}", member["id"].as_str().unwrap());
    assert_eq!(panel["hasMember"][0]["reference"], own, "the name became a reference");
    assert_eq!(count(gateway, &token, mine).await, 2);

    let mut update = member.clone();
    update["status"] = json!("amended");
    let stale = |mut entry: Value| {
        entry["request"]["ifMatch"] = json!("W/\"7\"");
        entry
    };
    let to_other = with("POST", "Observation", &observation(theirs));
    let create = with("POST", "Observation", &observation(mine));
    let others = format!("Observation/{theirs}-obs00");
    let mut stolen = observation(mine);
    stolen["id"] = json!(format!("{theirs}-obs00"));
    let patient = json!({ "resourceType": "Patient", "name": [{ "family": "New" }] });
    let missing =
        post(gateway, &token, "transaction", &[create.clone(), entry("GET", "Patient/no-such")]).await;
    for (name, status, bad) in [
        ("another's content", 403, to_other),
        ("reading another's", 404, entry("GET", &format!("Patient/{theirs}"))),
        ("deleting another's", 404, entry("DELETE", &others)),
        ("overwriting another's", 404, with("PUT", &others, &stolen)),
        ("a version that is not", 412, stale(with("PUT", &own, &update))),
        ("a new patient", 403, named("urn:uuid:2", with("POST", "Patient", &patient))),
        ("of a patient who is not there", 403, {
            let mut observation = observation(mine);
            observation["subject"]["reference"] = json!("urn:uuid:2");
            with("POST", "Observation", &observation)
        }),
        ("what the service can do", 400, entry("GET", "metadata")),
        ("a search by what is not offered", 400, entry("GET", "Observation?_filter=x")),
        ("a path with steps", 400, entry("GET", &format!("../Patient/{mine}"))),
        ("a conditional reference", 400, {
            let mut observation = observation(mine);
            observation["performer"] = json!([{ "reference": "Practitioner?identifier=x" }]);
            with("POST", "Observation", &observation)
        }),
    ] {
        for entries in [[create.clone(), bad.clone()], [bad.clone(), create.clone()]] {
            let answer = post(gateway, &token, "transaction", &entries).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{name}");
            assert!(!answer.text().contains(theirs), "{name}: {}", answer.text());
            if name == "reading another's" {
                assert_eq!(answer.without_date(), missing.without_date());
            }
        }
        assert_eq!(count(gateway, &token, mine).await, 2, "{name}: nothing was done");
        assert_eq!(count(gateway, &all, theirs).await, 0, "{name}: nothing was done");
    }
    let twice = [with("PUT", &own, &update), entry("DELETE", &own)];
    assert_eq!(post(gateway, &token, "transaction", &twice).await.status, 400);
    let patch = with(
        "PATCH",
        &own,
        &json!({ "resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zdGF0dXMiLCJ2YWx1ZSI6ImNvcnJlY3RlZCJ9XQ==" }),
    );
    let patch = {
        let mut patch = patch;
        patch["request"]["ifMatch"] = json!("W/\"1\"");
        patch
    };
    let search = entry("GET", &format!("Observation?patient={mine}&status=corrected"));
    let done = post(gateway, &token, "transaction", &[search, patch, entry("GET", &own)]).await;
    assert_eq!(statuses(&done), [200, 200, 200], "{}", done.text());
    assert_eq!(done.json()["entry"][2]["resource"]["status"], "corrected", "reads come after writes");
    assert_eq!(done.json()["entry"][0]["resource"]["entry"][0]["resource"]["id"], member["id"]);

    let records = gateway.audit(&[]);
    for batch in records.iter().filter(|record| record["event"] == "batch") {
        let own = records.iter().filter(|record| record["request_id"] == batch["request_id"]);
        let of = |event: &str| own.clone().filter(|record| record["event"] == event).count();
        let entries = usize::try_from(batch["response"]["count"].as_u64().unwrap()).unwrap();
        assert_eq!(of("access"), entries, "{batch}");
        match batch["outcome"].as_str() {
            Some("allow") => assert!(of("access.intent") > 0),
            _ => assert_eq!(of("access.intent"), 0, "what was refused was not begun: {batch}"),
        }
    }
    let refused =
        records.iter().filter(|record| record["decision"]["reason"] == "transaction-refused").count();
    assert!(refused > 20, "{refused}");
}

fn identified(patient: &str, identifier: &str) -> Value {
    let mut observation = observation(patient);
    observation["identifier"] = json!([{ "system": "urn:x", "value": identifier }]);
    observation
}

#[tokio::test]
async fn the_entries_of_a_transaction_go_by_conditions_too() {
    let gateway = &Gateway::demo("conditional-transaction", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let token = token_of(gateway, "physician", &[mine]).await;
    let other = token_of(gateway, "physician", &[theirs]).await;
    let unless_there = |identifier: &str| {
        let mut entry = with("POST", "Observation", &identified(mine, identifier));
        entry["fullUrl"] = json!("urn:uuid:panel");
        entry["request"]["ifNoneExist"] = json!(format!("identifier=urn:x|{identifier}"));
        entry
    };
    let mut member = observation(mine);
    member["hasMember"] = json!([{ "reference": "urn:uuid:panel" }]);
    let member = with("POST", "Observation", &member);
    // Another's record meets the condition, and nothing tells.
    let hidden = Call::fhir("POST", "/fhir/Observation", &identified(theirs, "a")).bearer(&other);
    assert_eq!(hidden.to(gateway).await.status, 201);

    let first = post(gateway, &token, "transaction", &[unless_there("a"), member.clone()]).await;
    assert_eq!(statuses(&first), [201, 201], "{}", first.text());
    let panel = format!("Observation/{}", first.json()["entry"][0]["resource"]["id"].as_str().unwrap());
    assert_eq!(first.json()["entry"][1]["resource"]["hasMember"][0]["reference"], panel);
    let again = post(gateway, &token, "transaction", &[unless_there("a"), member.clone()]).await;
    assert_eq!(statuses(&again), [200, 201], "{}", again.text());
    let [there, refers] = [0, 1].map(|n| again.json()["entry"][n].clone());
    assert!(there["response"]["location"].as_str().unwrap().ends_with(&panel), "{there}");
    assert_eq!(refers["resource"]["hasMember"][0]["reference"], panel, "the name became what is there");

    let by = |method: &str, identifier: &str| {
        let mut changed = identified(mine, identifier);
        changed["status"] = json!("amended");
        match method {
            "DELETE" => entry(method, &format!("Observation?identifier=urn:x|{identifier}")),
            _ => with(method, &format!("Observation?identifier=urn:x|{identifier}"), &changed),
        }
    };
    let done = post(gateway, &token, "transaction", &[by("PUT", "a"), unless_there("b")]).await;
    assert_eq!(statuses(&done), [200, 201], "{}", done.text());
    assert_eq!(get(gateway, &token, &panel).await.json()["status"], "amended");
    for (name, status, entries) in [
        (
            "one condition twice",
            400,
            [unless_there("c"), {
                let mut same = unless_there("c");
                same["fullUrl"] = json!("urn:uuid:other");
                same
            }],
        ),
        ("one record twice", 400, [by("PUT", "a"), entry("DELETE", &panel)]),
        ("what is not there", 404, [by("DELETE", "no-such"), unless_there("c")]),
        ("another's content", 403, [with("POST", "Observation", &observation(theirs)), unless_there("c")]),
    ] {
        let refused = post(gateway, &token, "transaction", &entries).await;
        assert_eq!(refused.status, status, "{name}: {}", refused.text());
        let found = get(gateway, &token, "Observation?identifier=urn:x|c").await.json();
        assert_eq!(found.get("entry"), None, "{name}: nothing was done");
    }
    let gone = post(gateway, &token, "transaction", &[by("DELETE", "a"), by("DELETE", "b")]).await;
    assert_eq!(statuses(&gone), [204, 204], "{}", gone.text());
    assert_eq!(get(gateway, &token, &panel).await.status, 404);
    let kept = get(gateway, &other, "Observation?identifier=urn:x|a").await.json();
    assert_eq!(kept["entry"].as_array().unwrap().len(), 1, "another's record that meets it too stays");
}

#[tokio::test]
async fn of_fifty_transactions_that_want_the_same_record_to_be_there_one_makes_it() {
    let gateway = &Gateway::demo("fifty-conditions", &[]);
    let mine = gateway.patients()[0];
    let token = token_of(gateway, "physician", &[mine]).await;
    let unless_there = |identifier: &str| {
        let mut entry = with("POST", "Observation", &identified(mine, identifier));
        entry["request"]["ifNoneExist"] = json!(format!("identifier=urn:x|{identifier}"));
        entry
    };
    let call = |n: usize| {
        // Two conditions, in either order: none waits for the other for ever.
        let mut entries = vec![unless_there("a"), unless_there("b")];
        entries.rotate_left(n.checked_rem(2).unwrap());
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
        Call::fhir("POST", "/fhir", &bundle).bearer(&token)
    };
    let answers = at_once(gateway, FIFTY, call).await;
    let made = answers.iter().filter(|answer| statuses(answer) == [201, 201]).count();
    let there = answers.iter().filter(|answer| statuses(answer) == [200, 200]).count();
    assert_eq!((made, there), (1, FIFTY.saturating_sub(1)));
    assert_eq!(count(gateway, &token, mine).await, 2);
}

#[tokio::test]
async fn of_what_was_stored_nothing_comes_back_where_nothing_is_wanted() {
    let gateway = &Gateway::demo("minimal", &[]);
    let mine = gateway.patients()[0];
    let token = token_of(gateway, "physician", &[mine]).await;
    let wants = |call: Call| call.bearer(&token).header("prefer", "return=minimal");
    let made = wants(Call::fhir("POST", "/fhir/Observation", &observation(mine))).to(gateway).await;
    assert_eq!((made.status, made.text()), (201, ""));
    let location = made.header("location").to_owned();
    let own = location.split_once("/fhir/").unwrap().1.split("/_history").next().unwrap();
    assert_eq!(made.header("etag"), "W/\"1\"");
    let mut update = get(gateway, &token, own).await.json();
    update["status"] = json!("amended");
    let put = wants(Call::fhir("PUT", &format!("/fhir/{own}"), &update)).to(gateway).await;
    assert_eq!((put.status, put.text()), (200, ""));
    let bundle = json!({ "resourceType": "Bundle", "type": "batch",
        "entry": [with("POST", "Observation", &observation(mine)), entry("GET", own)] });
    let done = wants(Call::fhir("POST", "/fhir", &bundle)).to(gateway).await.json();
    assert_eq!(done["entry"][0].get("resource"), None, "{done}");
    assert!(done["entry"][0]["response"]["location"].is_string(), "{done}");
    assert_eq!(done["entry"][1]["resource"]["status"], "amended", "a read is no write: {done}");
}

#[tokio::test]
async fn of_fifty_transactions_on_one_version_one_is_done() {
    let gateway = &Gateway::demo("fifty-transactions", &[]);
    let mine = gateway.patients()[0];
    let token = token_of(gateway, "physician", &[mine]).await;
    let made =
        Call::fhir("POST", "/fhir/Observation", &observation(mine)).bearer(&token).to(gateway).await.json();
    let own = format!("Observation/{}", made["id"].as_str().unwrap());
    let call = |n: usize| {
        let mut update = made.clone();
        update["note"] = json!([{ "text": format!("{n}") }]);
        let mut put = with("PUT", &own, &update);
        put["request"]["ifMatch"] = json!("W/\"1\"");
        let entries = [put, with("POST", "Observation", &observation(mine))];
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries });
        Call::fhir("POST", "/fhir", &bundle).bearer(&token)
    };
    let answers = at_once(gateway, FIFTY, call).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
}
