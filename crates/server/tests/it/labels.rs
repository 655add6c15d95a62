//! Records with security labels, through the gateway: who may not see one finds nothing of it, and nobody takes a label away.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::{Gateway, Person};
use crate::wire::{Answer, Call};

const SENSITIVITY: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

async fn token_of(gateway: &Gateway, person: &Person) -> String {
    App::public(USER_SCOPE).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

fn observation(patient: &str, labels: &[(&str, &str)]) -> Value {
    let security: Vec<Value> =
        labels.iter().map(|(system, code)| json!({ "system": system, "code": code })).collect();
    json!({ "resourceType": "Observation", "status": "final", "meta": { "security": security },
        "code": { "coding": [{ "system": "http://example.org/tests", "code": "marigold" }] },
        "subject": { "reference": format!("Patient/{patient}") } })
}

async fn made(gateway: &Gateway, token: &str, record: &Value) -> (String, Value) {
    let kind = record["resourceType"].as_str().unwrap();
    let answer = Call::fhir("POST", &format!("/fhir/{kind}"), record).bearer(token).to(gateway).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    (format!("{kind}/{}", answer.json()["id"].as_str().unwrap()), answer.json())
}

fn ids(bundle: &Value) -> Vec<&str> {
    bundle["entry"].as_array().into_iter().flatten().map(|e| e["resource"]["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_labelled_record_is_absent_for_whoever_may_not_see_it() {
    let gateway = &Gateway::demo("labels", &[]);
    let patient = gateway.panel("dana")[0];
    let special = gateway.person("physician", &[patient]);
    let roles = [
        "--role",
        "physician",
        "--role",
        "part2-program",
        "--role",
        "special-care",
        "--role",
        "psychotherapist",
    ];
    gateway.command(&[&["user", "roles", special.name.as_str()], &roles[..]].concat());
    let theirs = token_of(gateway, &special).await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;

    let (plain, _) = made(gateway, &theirs, &observation(patient, &[])).await;
    for labels in [
        &[(CONFIDENTIALITY, "R"), (SENSITIVITY, "SUD")][..],
        &[(CONFIDENTIALITY, "V")],
        &[(SENSITIVITY, "PSYTHPN")],
        &[(SENSITIVITY, "42CFRPart2")],
    ] {
        let (what, record) = made(gateway, &theirs, &observation(patient, labels)).await;
        let id = what.split_once('/').unwrap().1;
        assert_eq!(get(gateway, &theirs, &what).await.status, 200, "{labels:?}");
        let absent = get(gateway, &dana, "Observation/no-such").await;
        for way in [what.clone(), format!("{what}/_history/1"), format!("{what}/_history")] {
            let answer = get(gateway, &dana, &way).await;
            assert_eq!((answer.status, answer.text()), (404, absent.text()), "{labels:?} {way}");
        }
        let found = get(gateway, &dana, &format!("Observation?_id={id}")).await.json();
        assert_eq!((ids(&found).len(), found.get("total")), (0, None), "{found}");
        let put = Call::fhir("PUT", &format!("/fhir/{what}"), &record).bearer(&dana);
        let patch = Call::new("PATCH", &format!("/fhir/{what}")).bearer(&dana).header("if-match", "W/\"1\"");
        let patch = patch.body("application/json-patch+json", r#"[{"op":"remove","path":"/meta/security"}]"#);
        let delete = Call::new("DELETE", &format!("/fhir/{what}")).bearer(&dana);
        // What the caller's own body says is no secret to them.
        assert_eq!(put.to(gateway).await.status, 404);
        for call in [patch, delete] {
            let answer = call.to(gateway).await;
            assert_eq!((answer.status, answer.text()), (404, absent.text()), "{labels:?}");
        }
        assert_eq!(get(gateway, &theirs, &what).await.json(), record, "nothing was done to it");
        let made = Call::fhir("POST", "/fhir/Observation", &observation(patient, labels))
            .bearer(&dana)
            .to(gateway)
            .await;
        assert_eq!(made.status, 403, "nobody stores what they may not see");
    }
    // One of five is seen, and neither a total nor a page says that there are others.
    let question = "Observation?code=http://example.org/tests|marigold";
    let found = get(gateway, &dana, question).await.json();
    assert_eq!((ids(&found), found.get("total")), (vec![plain.split_once('/').unwrap().1], None), "{found}");
    let first = get(gateway, &dana, &format!("{question}&_count=1")).await.json();
    let next = first["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
    assert_eq!((ids(&first).len(), next), (1, None), "{first}");
    let all = get(gateway, &theirs, question).await.json();
    assert_eq!(ids(&all).len(), 5, "{all}");
    let denied = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    let by = |policy: &str| denied.iter().any(|record| record["decision"]["policies"] == json!([policy]));
    for policy in ["part2-program-only", "very-restricted", "psychotherapy-notes"] {
        assert!(by(policy), "{policy}");
    }
}

#[tokio::test]
async fn how_full_a_page_is_tells_nothing_of_what_is_withheld() {
    let gateway = &Gateway::demo("full-pages", &[]);
    let patient = gateway.panel("dana")[0];
    let special = gateway.person("physician", &[patient]);
    gateway.command(&["user", "roles", &special.name, "--role", "physician", "--role", "special-care"]);
    let theirs = token_of(gateway, &special).await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let mut seen = Vec::new();
    // The server sorts them anew by their names, so that the hidden ones stand anywhere among the seen.
    for hidden in [2, 0, 0, 7, 1, 0, 3, 0, 9] {
        for _ in 0..hidden {
            made(gateway, &theirs, &observation(patient, &[(CONFIDENTIALITY, "V")])).await;
        }
        let (_, record) = made(gateway, &theirs, &observation(patient, &[])).await;
        seen.push(record["id"].as_str().unwrap().to_owned());
    }
    seen.sort();
    let all = get(gateway, &theirs, "Observation?code=http://example.org/tests|marigold&_count=100").await;
    assert_eq!(ids(&all.json()).len(), 9 + 22);
    for ways in ["", "&_include=Observation:patient"] {
        let question = format!("Observation?code=http://example.org/tests|marigold&_count=3{ways}");
        let (mut pages, mut found) = (Vec::new(), Vec::new());
        let mut next = Some(question);
        while let Some(question) = next {
            let page = get(gateway, &dana, &question).await.json();
            let matches =
                page["entry"].as_array().into_iter().flatten().filter(|e| e["search"]["mode"] == "match");
            let own: Vec<_> = matches.map(|e| e["resource"]["id"].as_str().unwrap().to_owned()).collect();
            let patients = ids(&page).into_iter().filter(|id| *id == patient).count();
            assert_eq!(patients, usize::from(!ways.is_empty()), "{page}");
            pages.push(own.len());
            found.extend(own);
            let link = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
            next = link.map(|link| link["url"].as_str().unwrap().split_once("/fhir/").unwrap().1.to_owned());
        }
        found.sort();
        assert_eq!((pages, &found), (vec![3, 3, 3], &seen), "{ways}");
    }
    // Counted is what may be seen, by whoever asks.
    for (token, expected) in [(&dana, 9), (&theirs, 31)] {
        for count in ["_summary=count", "_count=0"] {
            let question = format!("Observation?code=http://example.org/tests|marigold&{count}");
            let counted = get(gateway, token, &question).await.json();
            assert_eq!(
                (counted["total"].as_u64(), counted.get("entry")),
                (Some(expected), None),
                "{counted}"
            );
        }
    }
    let counted = gateway.audit(&["--user", "dana"]).pop().unwrap();
    assert_eq!((counted["response"]["count"].as_u64(), counted["withheld"].as_u64()), (Some(9), Some(22)));
    assert_eq!(counted["patients"], json!([patient]));
}

#[tokio::test]
async fn codes_that_tell_of_something_sensitive_keep_a_record_from_bills_and_research() {
    let gateway = &Gateway::demo("codes", &[]);
    let patient = gateway.panel("dana")[0];
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let coded = |system: &str, code: &str| {
        json!({ "resourceType": "Encounter", "status": "finished", "class": { "code": "AMB" }, "subject": { "reference": format!("Patient/{patient}") },
            "reasonCode": [{ "coding": [{ "system": system, "code": code }] }] })
    };
    let bea = token_of(gateway, &gateway.demo_person("bea")).await;
    for (system, code, status) in [
        ("http://hl7.org/fhir/sid/icd-10-cm", "F11.20", 404),
        ("http://snomed.info/sct", "86406008", 404),
        ("http://hl7.org/fhir/sid/icd-10-cm", "J45.909", 200),
    ] {
        let (what, _) = made(gateway, &dana, &coded(system, code)).await;
        assert_eq!(get(gateway, &dana, &what).await.status, 200, "those who treat see it");
        assert_eq!(get(gateway, &bea, &what).await.status, status, "{code}");
    }
}

#[tokio::test]
async fn no_change_takes_a_label_away() {
    let gateway = &Gateway::demo("label-removed", &[]);
    let patient = gateway.panel("dana")[0];
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let (what, record) =
        made(gateway, &dana, &observation(patient, &[(CONFIDENTIALITY, "R"), (SENSITIVITY, "HIV")])).await;
    let with = |security: Value| {
        let mut changed = record.clone();
        changed["meta"] = json!({ "security": security });
        Call::fhir("PUT", &format!("/fhir/{what}"), &changed).bearer(&dana)
    };
    let (r, hiv) = (record["meta"]["security"][0].clone(), record["meta"]["security"][1].clone());
    let mut none = record.clone();
    none.as_object_mut().unwrap().remove("meta");
    let patch = |operations: Value| {
        let call = Call::new("PATCH", &format!("/fhir/{what}")).bearer(&dana).header("if-match", "W/\"1\"");
        call.body("application/json-patch+json", operations.to_string())
    };
    for (name, call) in [
        ("without meta", Call::fhir("PUT", &format!("/fhir/{what}"), &none).bearer(&dana)),
        ("without labels", with(json!([]))),
        ("one less", with(json!([r]))),
        ("a weaker one", with(json!([{ "system": CONFIDENTIALITY, "code": "N" }, hiv]))),
        ("of another system", with(json!([{ "system": "urn:x", "code": "R" }, hiv]))),
        ("patched away", patch(json!([{ "op": "remove", "path": "/meta/security/0" }]))),
        ("all patched away", patch(json!([{ "op": "remove", "path": "/meta/security" }]))),
        (
            "replaced by a patch",
            patch(json!([{ "op": "replace", "path": "/meta/security/0/code", "value": "N" }])),
        ),
        ("moved by a patch", patch(json!([{ "op": "move", "from": "/meta/security", "path": "/meta/tag" }]))),
    ] {
        let answer = call.to(gateway).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.text());
    }
    assert_eq!(get(gateway, &dana, &what).await.json(), record);
    let denied = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    assert_eq!(denied.last().unwrap()["decision"]["reason"], "label-removed");
    let more = with(json!([hiv, r, { "system": SENSITIVITY, "code": "STD" }])).to(gateway).await;
    assert_eq!(more.status, 200, "a label more is no label less: {}", more.text());
}
