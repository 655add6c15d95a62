//! FHIR's further ways of reading through the gateway: histories, what comes along with a search, a patient's compartment.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fhir::walk;
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call};

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

async fn token_of(gateway: &Gateway, role: &str, panel: &[&str]) -> String {
    App::public(USER_SCOPE).tokens(gateway, &gateway.person(role, panel)).await.access
}

fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"].as_array().map_or(&[], Vec::as_slice)
}

fn observation(patient: &str, text: &str) -> Value {
    json!({ "resourceType": "Observation", "status": "final", "code": { "text": text },
        "subject": { "reference": format!("Patient/{patient}") },
        "performer": [{ "reference": "Practitioner/nils" }] })
}

async fn send(gateway: &Gateway, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let answer = Call::fhir(method, &format!("/fhir/{path}"), body).bearer(token).to(gateway).await;
    assert!([200, 201].contains(&answer.status), "{method} {path}: {}", answer.text());
    answer
}

#[tokio::test]
async fn a_history_shows_the_versions_that_were_ones_patients_and_no_others() {
    let gateway = &Gateway::demo("history", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let both = token_of(gateway, "physician", &[mine, theirs]).await;
    let one = token_of(gateway, "physician", &[mine]).await;
    let made = send(gateway, &both, "POST", "Observation", &observation(mine, "first")).await.json();
    let record = format!("Observation/{}", made["id"].as_str().unwrap());
    let put = async |patient: &str, text: &str| {
        let mut body = observation(patient, text);
        body["id"] = made["id"].clone();
        send(gateway, &both, "PUT", &record, &body).await;
    };
    put(theirs, "second").await;
    put(mine, "third").await;
    let texts = |bundle: &Value| -> Vec<String> {
        let text = |entry: &Value| entry["resource"]["code"]["text"].as_str().unwrap_or("deleted").to_owned();
        entries(bundle).iter().map(text).collect()
    };
    let history = format!("{record}/_history");
    assert_eq!(texts(&get(gateway, &both, &history).await.json()), ["third", "second", "first"]);
    let seen = get(gateway, &one, &history).await;
    assert_eq!(seen.status, 200);
    let bundle = seen.json();
    assert_eq!(texts(&bundle), ["third", "first"]);
    assert_eq!((bundle["type"].as_str(), bundle.get("total")), (Some("history"), None));
    assert!(!seen.text().contains(theirs) && !seen.text().contains("127.0.0.1"), "{}", seen.text());
    assert_eq!(bundle["entry"][1]["request"], json!({ "method": "POST", "url": "Observation" }));
    // Page by page it is the same, and each page that is offered holds something.
    let (mut paged, mut path) = (Vec::new(), format!("/fhir/{history}?_count=1"));
    loop {
        let page = Call::get(&path).bearer(&one).to(gateway).await.json();
        assert_eq!(entries(&page).len(), 1, "{page}");
        paged.extend(texts(&page));
        let links = page["link"].as_array().unwrap().iter();
        let Some(next) = links.clone().find(|link| link["relation"] == "next") else { break };
        path = next["url"].as_str().unwrap().strip_prefix(&gateway.issuer).unwrap().to_owned();
    }
    assert_eq!(paged, ["third", "first"]);
    // While it is another's, the record is not there, nor is anything that it was.
    put(theirs, "fourth").await;
    let nobodys = get(gateway, &one, "Observation/no-such-record/_history").await;
    for what in [record.clone(), history.clone(), format!("{record}/_history/1")] {
        let answer = get(gateway, &one, &what).await;
        assert_eq!((answer.status, answer.without_date()), (404, nobodys.without_date()), "{what}");
    }
    put(mine, "fifth").await;
    let deleted = Call::new("DELETE", &format!("/fhir/{record}")).bearer(&both).to(gateway).await;
    assert_eq!(deleted.status, 204);
    let (of_both, of_one) =
        (get(gateway, &both, &history).await.json(), get(gateway, &one, &history).await.json());
    assert_eq!(texts(&of_both), ["deleted", "fifth", "fourth", "third", "second", "first"]);
    assert_eq!(texts(&of_one), ["deleted", "fifth", "third", "first"]);
    assert_eq!(get(gateway, &one, &format!("{record}/_history/1")).await.status, 200);

    // Of nothing that may be seen, there is no history.
    let strange = send(gateway, &both, "POST", "Observation", &observation(theirs, "x")).await.json();
    let strange =
        get(gateway, &one, &format!("Observation/{}/_history", strange["id"].as_str().unwrap())).await;
    assert_eq!((strange.status, strange.without_date()), (404, nobodys.without_date()));
    let records = gateway.audit(&["--action", "history"]);
    let hidden = records.iter().find(|r| r["outcome"] == "deny" && r["patients"] == json!([theirs])).unwrap();
    assert!(hidden["decision"]["reason"] != "not-found", "whose record it was is on record: {hidden}");
    let told = records.iter().find(|r| r["withheld"] == 1 && r["response"]["count"] == 2).unwrap();
    assert_eq!((told["resource"].as_str(), &told["patients"]), (Some(history.as_str()), &json!([mine])));
    assert_eq!(told["response"]["digests"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn the_history_of_a_type_is_filtered_and_not_for_tokens_of_one_patient() {
    let gateway = &Gateway::demo("type-history", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let one = token_of(gateway, "physician", &[mine]).await;
    let both = token_of(gateway, "physician", &[mine, theirs]).await;
    for patient in [theirs, mine, theirs] {
        send(
            gateway,
            &both,
            "POST",
            "CareTeam",
            &json!({ "resourceType": "CareTeam", "status": "active",
            "subject": { "reference": format!("Patient/{patient}") } }),
        )
        .await;
    }
    let (own, _) = walk(gateway, &one, "CareTeam/_history?_count=1").await;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["subject"]["reference"], format!("Patient/{mine}"));
    assert_eq!(walk(gateway, &both, "CareTeam/_history").await.0.len(), 3);
    // One that is another's by now is not told of, whatever it was.
    let mut moved = own[0].clone();
    moved["subject"]["reference"] = json!(format!("Patient/{theirs}"));
    send(gateway, &both, "PUT", &format!("CareTeam/{}", moved["id"].as_str().unwrap()), &moved).await;
    assert!(walk(gateway, &one, "CareTeam/_history").await.0.is_empty());
    assert_eq!(walk(gateway, &both, "CareTeam/_history").await.0.len(), 4);
    let person = gateway.person("physician", &[mine]);
    let app = App { patient: Some(mine), ..App::public("launch/patient patient/*.rs") };
    let app = app.tokens(gateway, &person).await.access;
    let refused = get(gateway, &app, "CareTeam/_history").await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    let patients: BTreeSet<_> = [mine].into();
    let (versions, _) = walk(gateway, &app, &format!("Patient/{mine}/_history")).await;
    assert!(!versions.is_empty() && versions.iter().all(|v| patients.contains(v["id"].as_str().unwrap())));
}

#[tokio::test]
async fn what_comes_along_with_a_search_is_decided_on_like_what_is_read() {
    // Of its own, for it reads the log's last record.
    let gateway = &Gateway::demo("along", &[]);
    let [mine, theirs] = [gateway.panel("dana")[0], gateway.stranger_to("dana")];
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let names = |bundle: &Value, mode: &str| -> BTreeSet<String> {
        let of_mode = entries(bundle).iter().filter(|entry| entry["search"]["mode"] == mode);
        let name = |entry: &Value| {
            let full = entry["fullUrl"].as_str().unwrap();
            full.strip_prefix(&format!("{}/fhir/", gateway.issuer)).unwrap().to_owned()
        };
        of_mode.map(name).collect()
    };
    let found = get(
        gateway,
        &dana,
        &format!(
            "Observation?patient={mine}&_count=5&_include=Observation:subject&_include=Observation:performer\
         &_include=Observation:encounter&_include:iterate=Encounter:service-provider"
        ),
    )
    .await;
    assert_eq!(found.status, 200, "{}", found.text());
    let bundle = found.json();
    assert_eq!(names(&bundle, "match").len(), 5);
    let along = names(&bundle, "include");
    for name in [format!("Patient/{mine}"), "Practitioner/nils".to_owned(), "Organization/clinic".to_owned()]
    {
        assert!(along.contains(&name), "{name}: {along:?}");
    }
    assert!(along.iter().any(|name| name.starts_with("Encounter/")), "{along:?}");
    // From a shared record back to everybody's: what is not in reach does not come along.
    let back = get(gateway, &dana, "Practitioner?_id=nils&_revinclude=Observation:performer").await;
    let bundle = back.json();
    assert_eq!(names(&bundle, "match").len(), 1);
    let panel = gateway.panel("dana");
    let observations: Vec<&Value> =
        entries(&bundle).iter().filter(|entry| entry["search"]["mode"] == "include").collect();
    assert!(!observations.is_empty());
    for entry in &observations {
        let subject = entry["resource"]["subject"]["reference"].as_str().unwrap();
        assert!(panel.iter().any(|id| subject == format!("Patient/{id}")), "{subject}");
    }
    assert!(!back.text().contains(theirs));
    let records = gateway.audit(&["--action", "search", "--user", "dana", "--limit", "1"]);
    let told = records.last().unwrap();
    assert!(told["withheld"].as_u64() > Some(0), "{told}");
    assert_eq!(told["response"]["count"].as_u64(), u64::try_from(observations.len() + 1).ok());
    let patients: BTreeSet<&str> =
        told["patients"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(!patients.is_empty() && patients.iter().all(|id| panel.contains(id)), "{patients:?}");
    // All that refers to a patient, by one who may read some types of it: `r` is what counts.
    let scope = "user/Patient.s user/Condition.r user/Coverage.s";
    let some = App::public(scope).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let bundle = get(gateway, &some, &format!("Patient?_id={mine}&_revinclude=*")).await.json();
    let along = names(&bundle, "include");
    assert!(!along.is_empty() && along.iter().all(|name| name.starts_with("Condition/")), "{along:?}");
}

#[tokio::test]
async fn a_patients_compartment_is_searched_like_what_is_theirs() {
    let gateway = shared::demo();
    let [mine, theirs] = [gateway.panel("dana")[0], gateway.stranger_to("dana")];
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let ids = |records: &[Value]| -> BTreeSet<String> {
        records.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    };
    let (by_parameter, _) = walk(gateway, &dana, &format!("Observation?patient={mine}&_count=50")).await;
    let (by_compartment, _) = walk(gateway, &dana, &format!("Patient/{mine}/Observation?_count=50")).await;
    assert!(!by_parameter.is_empty());
    assert_eq!(ids(&by_compartment), ids(&by_parameter));
    let others = get(gateway, &dana, &format!("Patient/{theirs}/Observation")).await;
    // No record: the word of emergency access alone.
    let found = others.json();
    assert!(others.status == 200 && entries(&found).iter().all(|entry| entry["search"]["mode"] == "outcome"));
    let records = gateway.audit(&["--patient", theirs, "--action", "search", "--limit", "1"]);
    assert_eq!(records.last().unwrap()["resource"], "Observation", "who asks for a patient is on record");
}

#[tokio::test]
async fn everything_of_a_patient_is_what_finding_and_reading_each_record_would_give() {
    let gateway = &Gateway::demo("everything", &[]);
    let [mine, theirs] = [gateway.patients()[0], gateway.patients()[20]];
    let one = token_of(gateway, "physician", &[mine]).await;
    let both = token_of(gateway, "physician", &[mine, theirs]).await;
    // A record that is both patients', and one that a third patient's record refers to: not for whoever sees one.
    let shared = json!({ "resourceType": "Group", "type": "person", "actual": true,
        "member": [{ "entity": { "reference": format!("Patient/{mine}") } }, { "entity": { "reference": format!("Patient/{theirs}") } }] });
    send(gateway, &both, "POST", "Group", &shared).await;
    let names = |records: &[Value]| -> BTreeSet<String> {
        let name =
            |r: &Value| format!("{}/{}", r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap());
        records.iter().map(name).collect()
    };
    let path = format!("Patient/{mine}/$everything");
    let (of_one, _) = walk(gateway, &one, &path).await;
    let (of_both, _) = walk(gateway, &both, &path).await;
    let (of_one, of_both) = (names(&of_one), names(&of_both));
    for kind in [
        "Patient/",
        "Observation/",
        "Encounter/",
        "Condition/",
        "Coverage/",
        "Practitioner/",
        "Organization/",
    ] {
        assert!(of_one.iter().any(|name| name.starts_with(kind)), "{kind}: {of_one:?}");
    }
    assert!(of_both.iter().any(|name| name.starts_with("Group/")));
    assert!(!of_one.iter().any(|name| name.starts_with("Group/") || name.contains(theirs)), "{of_one:?}");
    assert!(!of_both.contains(&format!("Patient/{theirs}")), "another patient is not part of it");
    let (paged, second) = walk(gateway, &one, &format!("{path}?_count=7")).await;
    let clinical = |names: &BTreeSet<String>| -> BTreeSet<String> {
        let shared = ["Practitioner/", "Organization/", "Location/"];
        names.iter().filter(|name| !shared.iter().any(|kind| name.starts_with(kind))).cloned().collect()
    };
    assert_eq!(clinical(&names(&paged)), clinical(&of_one), "page by page");
    assert!(second.is_some_and(|second| second.contains("$everything?_page=")));
    // Only what the scope finds and reads: not more for being asked for at once. The patient was named.
    let person = gateway.person("physician", &[mine]);
    let scope = "user/Patient.r user/Condition.s user/Observation.r user/Encounter.rs";
    let narrow = App::public(scope).tokens(gateway, &person).await.access;
    let (found, _) = walk(gateway, &narrow, &path).await;
    let within = |name: &&String| name.starts_with("Patient/") || name.starts_with("Encounter/");
    assert_eq!(names(&found), of_one.iter().filter(within).cloned().collect());
    let none = App::public("user/Observation.r").tokens(gateway, &person).await.access;
    assert_eq!(get(gateway, &none, &path).await.status, 403);
    // Whoever may not see the patient learns nothing, whatever else there is.
    let strange = get(gateway, &one, &format!("Patient/{theirs}/$everything")).await;
    let nobodys = get(gateway, &one, "Patient/no-such-patient/$everything").await;
    assert_eq!((strange.status, strange.without_date()), (404, nobodys.without_date()));
    let app = App { patient: Some(mine), ..App::public("launch/patient patient/*.rs") };
    let app = app.tokens(gateway, &person).await.access;
    let (found, _) = walk(gateway, &app, &path).await;
    assert!(names(&found).is_superset(&clinical(&of_one)));
    let records = gateway.audit(&["--action", "everything", "--outcome", "allow"]);
    let told = records.first().unwrap();
    assert_eq!((told["patients"].clone(), told["resource"].as_str()), (json!([mine]), Some(path.as_str())));
    assert!(told["response"]["count"].as_u64() > Some(20) && told["withheld"].as_u64() > Some(0), "{told}");
}

#[tokio::test]
async fn a_chain_is_for_whoever_may_find_all_that_is_on_its_way() {
    let gateway = shared::demo();
    let mine = gateway.panel("dana")[0];
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let nils = get(gateway, &dana, "Practitioner/nils").await.json();
    let family = nils["name"][0]["family"].as_str().unwrap();
    let search =
        |name: &str| format!("Observation?patient={mine}&performer:Practitioner.name={name}&_count=50");
    let (by_chain, _) = walk(gateway, &dana, &search(family)).await;
    let (all, _) = walk(gateway, &dana, &format!("Observation?patient={mine}&_count=50")).await;
    assert!(!by_chain.is_empty() && by_chain.len() <= all.len());
    assert!(walk(gateway, &dana, &search("nobody")).await.0.is_empty());
    let scope = "user/Observation.rs";
    let narrow = App::public(scope).tokens(gateway, &gateway.demo_person("dana")).await.access;
    for (token, what) in [
        (&narrow, search(family)),
        (&dana, format!("Observation?patient={mine}&patient.birthdate=ge1990")),
        (&dana, format!("Patient?_id={mine}&_has:Observation:patient:code=8867-4")),
        (&dana, "Practitioner?_has:Observation:performer:code=8867-4".to_owned()),
        (&dana, "Observation?encounter.service-provider.name=x".to_owned()),
        (&dana, "Observation?performer.name=x".to_owned()),
    ] {
        let refused = get(gateway, token, &what).await;
        assert_eq!(refused.status, 400, "{what}: {}", refused.text());
        assert_eq!(refused.json()["issue"][0]["code"], "not-supported", "{what}");
    }
}

#[tokio::test]
async fn elements_that_are_not_wanted_are_left_out_after_the_record_was_decided_on() {
    let gateway = shared::demo();
    let mine = gateway.panel("dana")[0];
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let search = format!("Observation?patient={mine}&_count=2");
    let whole = get(gateway, &dana, &search).await.json();
    let page =
        get(gateway, &dana, &format!("{search}&_elements=code&_include=Observation:performer")).await.json();
    let of_mode = |bundle: &Value, mode: &str| -> Vec<Value> {
        let of_mode = entries(bundle).iter().filter(|entry| entry["search"]["mode"] == mode);
        of_mode.map(|entry| entry["resource"].clone()).collect()
    };
    let (full, found) = (of_mode(&whole, "match"), of_mode(&page, "match"));
    assert_eq!(found.len(), full.len());
    for (part, whole) in found.iter().zip(&full) {
        assert_eq!(
            (&part["id"], &part["code"], &part["status"]),
            (&whole["id"], &whole["code"], &whole["status"])
        );
        assert!(part.get("subject").is_none() && whole.get("subject").is_some(), "{part}");
        assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
    }
    assert!(of_mode(&page, "include")[0].get("name").is_some(), "what comes along is whole");
    let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let path = next["url"].as_str().unwrap().strip_prefix(&gateway.issuer).unwrap().to_owned();
    let second = Call::get(&path).bearer(&dana).to(gateway).await.json();
    assert!(of_mode(&second, "match").iter().all(|part| part.get("subject").is_none()), "page by page");
    let summary = get(gateway, &dana, &format!("Patient?_id={mine}&_summary=true")).await.json();
    let patient = &of_mode(&summary, "match")[0];
    assert!(patient.get("name").is_some() && patient.get("text").is_none(), "{patient}");
}

#[tokio::test]
async fn a_label_that_was_put_on_later_counts_for_what_a_record_said_before() {
    let gateway = &Gateway::demo("label-later", &[]);
    let mine = gateway.patients()[0];
    let dana = token_of(gateway, "physician", &[mine]).await;
    let made = send(gateway, &dana, "POST", "Observation", &observation(mine, "plain")).await.json();
    let record = format!("Observation/{}", made["id"].as_str().unwrap());
    let former = format!("{record}/_history/1");
    assert_eq!(get(gateway, &dana, &former).await.status, 200);
    let mut labelled = made.clone();
    labelled["meta"]["security"] =
        json!([{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2" }]);
    let program = gateway.person("physician", &[mine]);
    gateway.command(&["user", "roles", &program.name, "--role", "physician", "--role", "part2-program"]);
    let program = App::public(USER_SCOPE).tokens(gateway, &program).await.access;
    send(gateway, &program, "PUT", &record, &labelled).await;
    assert_eq!(walk(gateway, &program, &format!("{record}/_history")).await.0.len(), 2);
    let nobodys = get(gateway, &dana, "Observation/no-such-record").await;
    for what in [record.clone(), former, format!("{record}/_history"), format!("{record}/_history/2")] {
        let answer = get(gateway, &dana, &what).await;
        assert_eq!((answer.status, answer.without_date()), (404, nobodys.without_date()), "{what}");
    }
    assert!(
        walk(gateway, &dana, "Observation/_history")
            .await
            .0
            .iter()
            .all(|version| version["id"] != made["id"])
    );
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_no_reason_to_write() {
    let gateway = shared::demo();
    let mine = gateway.patients()[20];
    let token = token_of(gateway, "physician", &[mine]).await;
    let body = observation(mine, "x");
    let put = || {
        Call::fhir("PUT", "/fhir/Observation/x1", &{
            let mut body = body.clone();
            body["id"] = json!("x1");
            body
        })
    };
    for call in [
        put().header("if-match", "W/\"1\"").header("if-match", "W/\"2\""),
        put().header("if-none-match", "*"),
        Call::fhir("POST", "/fhir/Observation", &body).header("if-none-match", "*"),
        Call::fhir("POST", "/fhir/Observation", &body)
            .header("if-none-exist", "identifier=a")
            .header("if-none-exist", "identifier=b"),
    ] {
        let answer = call.bearer(&token).to(gateway).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}
