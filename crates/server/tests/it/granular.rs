//! Scopes with search constraints (SMART App Launch 2.2, "Finer-grained resource constraints"): asked for, chosen by a person,
//! and held to for every record that leaves or is stored.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::browser::{App, Browser, Redirect, Tokens};
use crate::fhir::walk;
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, Call, encode};

const LABORATORY: &str =
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory";
const PROBLEMS: &str = "patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item";

/// A patient of dana's with the ids of their observations: those of the laboratory, and the others.
async fn observations(gateway: &Gateway) -> (String, BTreeSet<String>, BTreeSet<String>) {
    let patient = gateway.panel("dana")[0].to_owned();
    let all = App::public("user/Observation.rs").tokens(gateway, &gateway.demo_person("dana")).await.access;
    let (found, _) = walk(gateway, &all, &format!("Observation?patient={patient}&_count=100")).await;
    let of_laboratory = |record: &&Value| record["category"][0]["coding"][0]["code"] == "laboratory";
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let laboratory: BTreeSet<_> = found.iter().filter(of_laboratory).map(id).collect();
    let others: BTreeSet<_> = found.iter().map(id).filter(|id| !laboratory.contains(id)).collect();
    assert!(laboratory.len() > 1 && others.len() > 1);
    (patient, laboratory, others)
}

async fn get(gateway: &Gateway, token: &str, path: &str) -> Answer {
    Call::get(&format!("/fhir/{path}")).bearer(token).to(gateway).await
}

/// The tokens of an application that dana lets have a patient's record.
async fn tokens(gateway: &Gateway, scope: &str, patient: &str) -> Tokens {
    App { patient: Some(patient), ..App::public(scope) }.tokens(gateway, &gateway.demo_person("dana")).await
}

#[tokio::test]
async fn smart_370_a_scope_with_a_constraint_reaches_what_fulfils_it_and_nothing_else() {
    // Of its own, for nobody else shall store anything meanwhile.
    let own = Gateway::demo("granular", &[]);
    let gateway = &own;
    let (patient, laboratory, others) = observations(gateway).await;
    let app = tokens(gateway, &format!("launch/patient {LABORATORY}"), &patient).await;
    assert_eq!(app.answer["scope"], format!("launch/patient {LABORATORY}"));
    let read = async |path: &str| get(gateway, &app.access, path).await;
    let (own, other) = (laboratory.first().unwrap(), others.first().unwrap());
    assert_eq!(read(&format!("Observation/{own}")).await.status, 200);
    assert_eq!(read(&format!("Observation/{own}/_history/1")).await.status, 200);
    let missing = read("Observation/no-such-record").await;
    for path in [format!("Observation/{other}"), format!("Observation/{other}/_history/1")] {
        let refused = read(&path).await;
        assert_eq!(refused.without_date(), missing.without_date(), "{path}");
    }
    for search in ["Observation?_count=100", "Observation?_count=2", "Observation?category=laboratory"] {
        let (found, _) = walk(gateway, &app.access, search).await;
        let ids: BTreeSet<_> = found.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!((ids, found.len()), (laboratory.clone(), laboratory.len()), "{search}");
    }
    for search in [
        "Observation?category=vital-signs".to_owned(),
        format!("Observation?_id={other}"),
        "Observation?code=8867-4".to_owned(),
        "Observation?_count=1&category=vital-signs".to_owned(),
    ] {
        let bundle = read(&search).await.json();
        assert_eq!((bundle.get("entry"), bundle.get("total")), (None, None), "{search}: {bundle}");
        assert!(!bundle.to_string().contains("\"next\""), "{search}");
    }
    assert_eq!(read("Condition").await.status, 403);
    let denied = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    assert!(denied.iter().any(|record| record["decision"]["reason"] == "outside-scope"));
}

/// Where one scope reaches all records of a patient and another some kinds of everybody's, no one question to the upstream
/// finds what both let through, so that each record is held against them here.
#[tokio::test]
async fn smart_370_scopes_that_reach_different_records_are_each_held_to() {
    let own = Gateway::demo("granular-part", &[]);
    let gateway = &own;
    let open = gateway.panel("dana")[0].to_owned();
    let dana = gateway.demo_person("dana");
    let all = App::public("user/Observation.rs").tokens(gateway, &dana).await.access;
    let (records, _) = walk(gateway, &all, "Observation?_count=100").await;
    let of_laboratory = |record: &Value| record["category"][0]["coding"][0]["code"] == "laboratory";
    let of_open = |record: &Value| record["subject"]["reference"] == format!("Patient/{open}");
    let ids = |records: &[Value], fits: &dyn Fn(&Value) -> bool| -> BTreeSet<String> {
        let fitting = records.iter().filter(|record| fits(record));
        fitting.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    };
    let expected = ids(&records, &|record| of_open(record) || of_laboratory(record));
    assert!(expected.len() > ids(&records, &of_open).len() && expected.len() < records.len());
    let user = LABORATORY.replace("patient/", "user/");
    let app = tokens(gateway, &format!("launch/patient patient/Observation.rs {user}"), &open).await;
    for search in ["Observation?_count=100", "Observation?_count=3"] {
        let (found, _) = walk(gateway, &app.access, search).await;
        assert_eq!(ids(&found, &|_| true), expected, "{search}");
    }
    assert_eq!(get(gateway, &app.access, "Observation?_count=3").await.json().get("total"), None);
    let hidden = records.iter().find(|record| !of_open(record) && !of_laboratory(record)).unwrap();
    let id = hidden["id"].as_str().unwrap();
    let missing = get(gateway, &app.access, "Observation/no-such-record").await;
    for path in [format!("Observation/{id}"), format!("Observation/{id}/_history/1")] {
        assert_eq!(get(gateway, &app.access, &path).await.without_date(), missing.without_date(), "{path}");
    }
}

#[tokio::test]
async fn smart_370_what_is_stored_fulfils_the_constraint_before_and_after() {
    let gateway = shared::demo();
    let (patient, laboratory, others) = observations(gateway).await;
    let scope = LABORATORY.replace("patient/Observation.rs", "user/Observation.cruds");
    let app = tokens(gateway, &format!("user/Patient.r {scope}"), &patient).await;
    let of = |category: &str, id: Option<&str>| {
        let mut record = json!({
            "resourceType": "Observation", "status": "final", "subject": { "reference": format!("Patient/{patient}") },
            "code": { "text": "x" }, "category": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category }] }],
        });
        if let Some(id) = id {
            record["id"] = id.into();
        }
        record
    };
    let send = async |method: &str, path: &str, record: &Value| {
        Call::fhir(method, &format!("/fhir/{path}"), record).bearer(&app.access).to(gateway).await
    };
    let made = send("POST", "Observation", &of("laboratory", None)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(send("POST", "Observation", &of("vital-signs", None)).await.status, 403);
    let path = format!("Observation/{id}");
    assert_eq!(send("PUT", &path, &of("vital-signs", Some(&id))).await.status, 403);
    assert_eq!(send("PUT", &path, &of("laboratory", Some(&id))).await.status, 200);
    let other = others.first().unwrap();
    let update = send("PUT", &format!("Observation/{other}"), &of("laboratory", Some(other))).await;
    let missing = send("PUT", "Observation/no-such", &of("laboratory", Some("no-such"))).await;
    assert_eq!((update.status, update.without_date()), (404, missing.without_date()));
    let delete = async |id: &str| {
        let call = Call::new("DELETE", &format!("/fhir/Observation/{id}")).bearer(&app.access);
        call.to(gateway).await.status
    };
    assert_eq!((delete(other).await, delete(&id).await), (404, 204));
    assert!(!laboratory.is_empty());
}

#[tokio::test]
async fn o11_a_constraint_is_never_dropped_on_the_way_to_a_token() {
    let gateway = shared::demo();
    let patient = gateway.panel("dana")[0].to_owned();
    let app = App { patient: Some(&patient), ..App::public(LABORATORY) };
    let refused = async |scope: &str| {
        let app = App { scope, ..app.clone() };
        let request = app.request(gateway);
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Redirect::of(&Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await).get("error")
    };
    for odd in [
        "patient/Observation.rs?value-string=x",
        "patient/Observation.rs?category:not=laboratory",
        "patient/Observation.rs?patient.name=x",
        "patient/*.rs?category=laboratory",
        "patient/Observation.rs?",
    ] {
        assert_eq!(refused(odd).await.as_deref(), Some("invalid_scope"), "{odd}");
    }
    let tokens = tokens(gateway, &format!("offline_access {LABORATORY}"), &patient).await;
    for wider in
        ["patient/Observation.rs", "patient/*.rs", "patient/Observation.rs?category=laboratory,vital-signs"]
    {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh()), ("scope", wider)];
        assert_eq!(app.token_call(&fields).to(gateway).await.error(), "invalid_scope", "{wider}");
    }
    let refreshed = Tokens::of(&app.refresh_call(tokens.refresh()).to(gateway).await);
    assert_eq!(refreshed.answer["scope"], format!("offline_access {LABORATORY}"));
    // A registration for one kind covers that kind and no more.
    let words =
        ["client", "add", "laboratory-only", "--kind", "public", "--redirect-uri", crate::browser::CALLBACK];
    gateway.command(&[&words[..], &["--scope", LABORATORY]].concat());
    let narrow =
        App { client: "laboratory-only", patient: Some(&patient), ..App::public("patient/Observation.rs") };
    let request = narrow.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Call::get(&format!("/authorize?{}", encode(&fields))).to(gateway).await;
    assert_eq!(Redirect::of(&answer).get("error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn a_person_gives_some_kinds_of_records_and_keeps_others_back() {
    let gateway = shared::demo();
    let (patient, laboratory, others) = observations(gateway).await;
    let scope = "openid patient/Condition.rs patient/Observation.rs";
    let app = App { patient: Some(&patient), ..App::public(scope) };
    let mut request = app.request(gateway);
    request.push(("prompt", "consent".to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let start = format!("/authorize?{}", encode(&fields));
    let dana = gateway.demo_person("dana");
    let mut browser = Browser::default();
    browser.sign_in(gateway, &dana).await;
    let consent = async |browser: &mut Browser| {
        let page = browser.follow(gateway, &start).await;
        browser.submit(gateway, &page, &[("patient", &patient)]).await
    };
    let page = consent(&mut browser).await;
    for words in ["Measurements and results", "Laboratory results", "Problems on the problem list"] {
        assert!(page.text().contains(words), "{words}: {}", page.text());
    }
    // Laboratory results, and the problem list; nothing else of either type.
    let number = |page: &Answer, words: &str| {
        let (before, _) = page.text().split_once(words).unwrap();
        let name = before.rsplit_once("name=\"").unwrap().1;
        name.split('"').next().unwrap().to_owned()
    };
    let (results, problems) =
        (number(&page, "Laboratory results"), number(&page, "Problems on the problem list"));
    let filled = [
        ("decision", "approve"),
        ("kinds-Observation", "only"),
        ("kinds-Condition", "only"),
        (results.as_str(), "1"),
        (problems.as_str(), "1"),
    ];
    let redirect = Redirect::of(&browser.submit(gateway, &page, &filled).await);
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(tokens.answer["scope"], format!("openid {PROBLEMS} {LABORATORY}"));
    let read = async |id: &str| get(gateway, &tokens.access, &format!("Observation/{id}")).await.status;
    assert_eq!((read(laboratory.first().unwrap()).await, read(others.first().unwrap()).await), (200, 404));
    let (found, _) = walk(gateway, &tokens.access, "Condition").await;
    assert!(!found.is_empty(), "invented conditions stand on the problem list");
    // A type of which nothing is marked is not given; with nothing left at all, that is a no.
    let page = consent(&mut browser).await;
    let filled = [("decision", "approve"), ("kinds-Observation", "only")];
    let redirect = Redirect::of(&browser.submit(gateway, &page, &filled).await);
    let tokens = Tokens::of(&app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await);
    assert_eq!(tokens.answer["scope"], "openid patient/Condition.rs");
}
