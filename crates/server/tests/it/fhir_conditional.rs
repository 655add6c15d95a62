//! Conditional create, update and delete through the gateway: the condition is tried on what the caller may find.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::care::configure;
use crate::fakes::behind;
use crate::fakes::between::{Between, Manner};
use crate::gateway::Gateway;
use crate::parallel::{FIFTY, at_once};
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, scope: &str, panel: &[&str]) -> String {
    App::public(scope).tokens(gateway, &gateway.person("physician", panel)).await.access
}

fn observation(patient: &str, identifier: &str) -> Value {
    json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "identifier": [{ "system": "https://device.example/reading", "value": identifier }],
        "subject": { "reference": format!("Patient/{patient}") } })
}

fn create(patient: &str, identifier: &str) -> Call {
    let condition = format!("identifier=https://device.example/reading|{identifier}");
    Call::fhir("POST", "/fhir/Observation", &observation(patient, identifier))
        .header("if-none-exist", &condition)
}

fn by(method: &str, identifier: &str, body: &Value) -> Call {
    Call::fhir(method, &format!("/fhir/Observation?identifier={identifier}"), body)
}

async fn found(gateway: &Gateway, token: &str, identifier: &str) -> Vec<Value> {
    let search = format!("/fhir/Observation?identifier={identifier}");
    let bundle = Call::get(&search).bearer(token).to(gateway).await.json();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|entry| entry["resource"].clone()).collect()
}

fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_record_is_made_where_the_caller_finds_none_and_given_where_they_find_it() {
    let gateway = &Gateway::demo("if-none-exist", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let one = token_of(gateway, USER_SCOPE, &[mine]).await;
    let other = token_of(gateway, USER_SCOPE, &[theirs]).await;
    let made = create(mine, "a").bearer(&one).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let again = create(mine, "a").bearer(&one).to(gateway).await;
    assert_eq!((again.status, id_of(&again)), (200, id_of(&made)));
    assert_eq!(again.header("location"), format!("{}/fhir/Observation/{}", gateway.issuer, id_of(&made)));
    // What was given is on record as read, for nothing was made.
    let acts = |gateway: &Gateway| -> Vec<(String, String, Value)> {
        let own = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let records = gateway.audit(&["--patient", mine, "--event", "access"]);
        records
            .iter()
            .map(|one| (own(one, "action"), own(one, "resource"), one["response"]["count"].clone()))
            .collect()
    };
    let given = acts(gateway).pop().unwrap();
    assert_eq!(given, ("read".to_owned(), format!("Observation/{}", id_of(&made)), json!(1)));
    let minimal = create(mine, "a").bearer(&one).header("prefer", "return=minimal").to(gateway).await;
    assert_eq!((minimal.status, minimal.text()), (200, ""));
    let told = acts(gateway).pop().unwrap();
    assert_eq!(
        (told.0.as_str(), told.1.as_str(), &told.2),
        ("create", "Observation", &Value::Null),
        "{told:?}"
    );
    assert_eq!(found(gateway, &one, "a").await.len(), 1);
    // Another's record meets it too, and that is not told: the caller's own is made.
    let strange = create(theirs, "b").bearer(&other).to(gateway).await;
    let (met, unmet) =
        (create(mine, "b").bearer(&one).to(gateway).await, create(mine, "c").bearer(&one).to(gateway).await);
    assert_eq!((strange.status, met.status, unmet.status), (201, 201, 201));
    let shown = |answer: &Answer| answer.text().replace(&id_of(answer), "ID").replace("\"b\"", "\"c\"");
    let times = |text: String| text.split("lastUpdated").next().unwrap().to_owned();
    assert_eq!(times(shown(&met)), times(shown(&unmet)));
    // What finds several is no condition.
    let second =
        Call::fhir("POST", "/fhir/Observation", &observation(mine, "a")).bearer(&one).to(gateway).await;
    assert_eq!(second.status, 201);
    let several = create(mine, "a").bearer(&one).to(gateway).await;
    assert_eq!(
        (several.status, several.json()["issue"][0]["code"].as_str()),
        (412, Some("multiple-matches"))
    );
    // Whoever may not search has no condition, whoever may not read is not shown the record.
    let no_search = token_of(gateway, "user/Observation.cru", &[mine]).await;
    assert_eq!(create(mine, "c").bearer(&no_search).to(gateway).await.status, 403);
    let no_read = token_of(gateway, "user/Observation.cs", &[mine]).await;
    let there = create(mine, "c").bearer(&no_read).to(gateway).await;
    assert_eq!((there.status, there.text(), there.header("location")), (200, "", ""));
    let to_other = create(theirs, "d").bearer(&one).to(gateway).await;
    assert_eq!(to_other.status, 403);

    let records = gateway.audit(&["--action", "create"]);
    let intents = records.iter().filter(|record| record["event"] == "access.intent").count();
    assert_eq!(intents, 5, "what was there was not made");
}

#[tokio::test]
async fn a_record_that_is_found_is_replaced_or_removed_and_none_of_anothers() {
    let gateway = &Gateway::demo("conditional", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let one = token_of(gateway, USER_SCOPE, &[mine]).await;
    let other = token_of(gateway, USER_SCOPE, &[theirs]).await;
    let send = async |call: Call| call.bearer(&one).to(gateway).await;
    assert_eq!(create(theirs, "b").bearer(&other).to(gateway).await.status, 201);
    let mut body = observation(mine, "a");
    let made = send(by("PUT", "a", &body)).await;
    assert_eq!(made.status, 201, "nothing was found, so it is made: {}", made.text());
    body["status"] = json!("amended");
    let replaced = send(by("PUT", "a", &body)).await;
    assert_eq!((replaced.status, id_of(&replaced)), (200, id_of(&made)));
    assert_eq!(replaced.json()["status"], "amended");
    body["id"] = json!("another");
    assert_eq!(send(by("PUT", "a", &body)).await.status, 400, "it has another id");
    body["id"] = made.json()["id"].clone();
    let stale = send(by("PUT", "a", &body).header("if-match", "W/\"1\"")).await;
    assert_eq!(stale.status, 412);
    body["subject"]["reference"] = json!(format!("Patient/{theirs}"));
    assert_eq!(send(by("PUT", "a", &body)).await.status, 403, "it moves to nobody else");
    // Another's is not found: a new one, by the id of the upstream, or nothing to remove.
    let mut named = observation(mine, "b");
    named["id"] = json!(found(gateway, &other, "b").await[0]["id"]);
    assert_eq!(send(by("PUT", "b", &named)).await.status, 404, "an id is no way to it");
    // Nor to one's own, which did not meet the condition: http.html#cond-update.
    let mut unmet = observation(mine, "y");
    unmet["id"] = made.json()["id"].clone();
    let as_entry = |kind: &str| {
        let request = json!({ "method": "PUT", "url": "Observation?identifier=y" });
        let entry = [json!({ "resource": unmet, "request": request })];
        Call::fhir("POST", "/fhir", &json!({ "resourceType": "Bundle", "type": kind, "entry": entry }))
    };
    let answer = send(by("PUT", "y", &unmet)).await;
    assert_eq!((answer.status, &answer.json()["issue"][0]["code"]), (409, &json!("conflict")));
    assert_eq!(send(as_entry("transaction")).await.status, 409);
    assert_eq!(send(as_entry("batch")).await.json()["entry"][0]["response"]["status"], "409");
    let kept = found(gateway, &one, "a").await;
    assert_eq!(kept[0]["meta"]["versionId"], "2", "it is what it was");
    let removed = send(Call::new("DELETE", "/fhir/Observation?identifier=b")).await;
    let nothing = send(Call::new("DELETE", "/fhir/Observation?identifier=z")).await;
    assert_eq!((removed.status, removed.without_date()), (404, nothing.without_date()));
    assert_eq!(found(gateway, &other, "b").await.len(), 1);
    assert_eq!(send(Call::new("DELETE", "/fhir/Observation?identifier=a")).await.status, 204);
    assert!(found(gateway, &one, "a").await.is_empty());
    let patch = Call::new("PATCH", "/fhir/Observation?identifier=e").header("if-match", "W/\"1\"");
    let patch = patch
        .body("application/json-patch+json", r#"[{"op":"replace","path":"/status","value":"corrected"}]"#);
    assert_eq!(send(patch.clone()).await.status, 404);
    assert_eq!(send(create(mine, "e")).await.status, 201);
    assert_eq!(send(patch).await.json()["status"], "corrected");
    let entry = json!({ "resource": observation(mine, "e"),
        "request": { "method": "POST", "url": "Observation", "ifNoneExist": "identifier=e" } });
    let bundle = |kind: &str| json!({ "resourceType": "Bundle", "type": kind, "entry": [entry] });
    for kind in ["batch", "transaction"] {
        let answer = send(Call::fhir("POST", "/fhir", &bundle(kind))).await.json();
        assert_eq!(answer["entry"][0]["response"]["status"], "200", "{kind}");
    }
}

#[tokio::test]
async fn a_record_that_was_just_made_is_found_where_the_server_remembers_searches() {
    let gateway = &Gateway::demo("conditional-memory", &[]);
    let real = behind::port(gateway);
    let mine = gateway.patients()[0];
    let between = Between::start(real, mine).await;
    configure(gateway, |config| {
        config.replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    between.behave(Manner::Remembering);
    let token = token_of(gateway, USER_SCOPE, &[mine]).await;
    let send = async |call: Call| call.bearer(&token).to(gateway).await;
    let made = send(create(mine, "a")).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let again = send(create(mine, "a")).await;
    assert_eq!((again.status, id_of(&again)), (200, id_of(&made)), "it was made twice");
    assert_eq!(found(gateway, &token, "a").await.len(), 1);
}

#[tokio::test]
async fn of_fifty_who_want_the_same_record_to_be_there_one_makes_it() {
    let gateway = &Gateway::demo("fifty-conditions", &[]);
    let mine = gateway.patients()[0];
    let token = token_of(gateway, USER_SCOPE, &[mine]).await;
    let answers = at_once(gateway, FIFTY, |_| create(mine, "fifty").bearer(&token)).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((made, answers.iter().filter(|answer| answer.status == 200).count()), (1, FIFTY - 1));
    assert_eq!(found(gateway, &token, "fifty").await.len(), 1);
}
