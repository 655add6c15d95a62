//! What policies keep of records, through the gateway: removed, made coarser, renamed; and nobody erases what they do not see.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::wire::{Answer, Call};

const ADDED: &str = "policies/added.cedar";

async fn token_of(gateway: &Gateway, name: &str) -> String {
    App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person(name)).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

fn resources(bundle: &Value) -> Vec<&Value> {
    bundle["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"]).collect()
}

/// Physicians' view with a mask in place of the whole one.
fn under(gateway: &Gateway, mask: &str) {
    let text = format!(
        r#"@id("physician-panel") @mask("{mask}") permit (principal in Chartgate::Role::"physician",
            action in [Chartgate::Action::"view", Chartgate::Action::"change"], resource is Chartgate::Record)
            when {{ resource.relation == "panel" }};"#
    );
    std::fs::write(gateway.folder().join("policies/physician.cedar"), text).unwrap();
}

/// Puts a mask in force.
async fn masked(gateway: &Gateway, mask: &str, reloads: usize) {
    under(gateway, mask);
    until_recorded(gateway, "policy.reload", reloads).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

fn labels(resource: &Value) -> Vec<&str> {
    let codes = |name: &str| {
        resource["meta"][name].as_array().into_iter().flatten().filter_map(|c| c["code"].as_str())
    };
    codes("tag").chain(codes("security")).collect()
}

#[tokio::test]
async fn a_researcher_gets_findings_by_safe_harbor_and_no_way_back() {
    let gateway = &Gateway::demo("researcher", &[]);
    let patient = gateway.panel("dana")[0];
    let token = token_of(gateway, "remy").await;
    let found = get(gateway, &token, "Observation?_count=500").await;
    assert_eq!(found.status, 200, "{}", found.text());
    assert!(resources(&found.json()).len() > 50);
    let text = found.text();
    for gone in [
        patient,
        "pt-",
        "-obs",
        "Encounter/pt",
        "nils",
        "clinic",
        "display",
        "\"text\"",
        "lastUpdated",
        "T09:10",
        "-enc",
    ] {
        assert!(!text.contains(gone), "{gone}");
    }
    for observation in resources(&found.json()) {
        assert_eq!(labels(observation), ["SUBSETTED", "ANONYED"], "{observation}");
        assert_eq!(observation["effectiveDateTime"].as_str().unwrap().len(), 4);
        assert!(
            observation["valueQuantity"]["value"].is_number()
                && observation["code"]["coding"][0]["code"].is_string()
        );
    }
    // The same patient by the same name in each record, by another one for another client.
    let whole = token_of(gateway, "dana").await;
    let subject = |resource: &Value| resource["subject"]["reference"].as_str().unwrap().to_owned();
    let conditions = get(gateway, &token, "Condition?_count=500").await.json();
    let known: Vec<String> = resources(&found.json()).into_iter().map(subject).collect();
    assert!(resources(&conditions).into_iter().any(|condition| known.contains(&subject(condition))));
    let one = resources(&found.json())[0].clone();
    for url in
        found.json()["entry"].as_array().unwrap().iter().map(|entry| entry["fullUrl"].as_str().unwrap())
    {
        assert!(!url.contains("obs"), "{url}");
    }
    // By its own name a record is absent; nor is anything found by what is kept.
    let real = resources(&get(gateway, &whole, "Observation?_count=1").await.json())[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let absent = get(gateway, &token, "Observation/no-such").await;
    let asked = get(gateway, &token, &format!("Observation/{real}")).await;
    assert_eq!((asked.status, asked.text()), (404, absent.text()));
    assert_eq!(get(gateway, &token, &format!("Observation/{real}/_history")).await.status, 404);
    for question in [
        format!("_id={real}"),
        format!("patient={patient}"),
        format!("subject=Patient/{patient}"),
        "date=2024-01-01".to_owned(),
        "_lastUpdated=gt2020-01-01".to_owned(),
        "_sort=date".to_owned(),
        "_sort=-_lastUpdated".to_owned(),
        "performer=Practitioner/nils".to_owned(),
        "encounter=Encounter/x".to_owned(),
        "identifier=x".to_owned(),
        "_include=Observation:subject".to_owned(),
        "_revinclude=Provenance:target".to_owned(),
    ] {
        let answer = get(gateway, &token, &format!("Observation?{question}")).await;
        assert_eq!(answer.status, 400, "{question}: {}", answer.text());
        let outcome = answer.json();
        assert_eq!(outcome["issue"][0]["code"], "not-supported");
        let name = question.split('=').next().unwrap();
        assert!(outcome["issue"][0]["diagnostics"].as_str().unwrap().contains(name), "{outcome}");
    }
    assert_eq!(get(gateway, &token, "Observation/_history?_since=2020-01-01").await.status, 400);
    let code = one["code"]["coding"][0]["code"].as_str().unwrap();
    let by_code = get(gateway, &token, &format!("Observation?code={code}&_count=5")).await.json();
    assert!(!resources(&by_code).is_empty(), "{by_code}");
    // Nor does who is of nobody tell who it was.
    let shared = get(gateway, &token, "Practitioner").await;
    assert!(
        shared.status == 200 && !shared.text().contains("nils") && !shared.text().contains("family"),
        "{}",
        shared.text()
    );
}

#[tokio::test]
async fn who_finds_nobody_but_patients_they_know_finds_none_by_another_name() {
    let gateway = &Gateway::demo("known", &[]);
    let token = token_of(gateway, "dana").await;
    let whole = get(gateway, &token, "Observation?_count=5").await.json();
    let one = resources(&whole)[0]["id"].as_str().unwrap().to_owned();
    masked(gateway, "safe-harbor", 1).await;
    let found = get(gateway, &token, "Observation?_count=5").await;
    assert_eq!(found.status, 200, "{}", found.text());
    assert_eq!((resources(&found.json()).len(), found.json().get("total")), (0, None), "{}", found.text());
    // By its own name a record is absent for whoever would change it, too.
    let absent = Call::new("DELETE", "/fhir/Observation/no-such").bearer(&token).to(gateway).await;
    let there = Call::new("DELETE", &format!("/fhir/Observation/{one}")).bearer(&token).to(gateway).await;
    assert_eq!((there.status, there.text()), (404, absent.text()));
    let patch = |(id, version): (&str, &str)| {
        let call = Call::new("PATCH", &format!("/fhir/Observation/{id}")).bearer(&token);
        call.header("if-match", &format!("W/\"{version}\"")).body("application/json-patch+json", "[]")
    };
    let absent = patch(("no-such", "1")).to(gateway).await;
    for version in ["1", "999"] {
        let there = patch((&one, version)).to(gateway).await;
        assert_eq!((there.status, there.text()), (404, absent.text()), "{version}");
    }
}

#[tokio::test]
async fn what_a_policy_keeps_does_not_leave_by_any_way() {
    let gateway = &Gateway::demo("masked", &[]);
    let token = token_of(gateway, "dana").await;
    let me = gateway.panel("dana")[0];
    let what = format!("Patient/{me}");
    let whole = get(gateway, &token, &what).await;
    let before = whole.json();
    assert!(labels(&before).is_empty());

    masked(gateway, "remove: Patient.address, Patient.name.given", 1).await;
    let seen = get(gateway, &token, &what).await;
    assert_eq!(labels(&seen.json()), ["SUBSETTED", "REDACTED"]);
    let found = get(gateway, &token, &format!("Patient?_id={me}")).await.json();
    let versions = get(gateway, &token, &format!("{what}/_history")).await.json();
    let version = get(gateway, &token, &format!("{what}/_history/1")).await.json();
    let along =
        get(gateway, &token, &format!("Observation?patient={me}&_include=Observation:subject&_count=1"))
            .await
            .json();
    let along =
        resources(&along).into_iter().find(|resource| resource["resourceType"] == "Patient").unwrap().clone();
    for view in [&seen.json(), resources(&found)[0], resources(&versions)[0], &version, &along] {
        assert_eq!((view.get("address"), view["name"][0].get("given")), (None, None), "{view}");
        assert_eq!(
            (&view["name"][0]["family"], &view["birthDate"]),
            (&before["name"][0]["family"], &before["birthDate"])
        );
    }
    let everything = get(gateway, &token, &format!("{what}/$everything")).await;
    assert_eq!(everything.status, 200, "{}", everything.text());
    let all = everything.json();
    let patient = resources(&all).into_iter().find(|resource| resource["resourceType"] == "Patient").unwrap();
    assert_eq!((patient.get("address"), labels(patient)), (None, vec!["SUBSETTED", "REDACTED"]));
    for date in ["start=2020-01-01", "end=2020-01-01", "_since=2020-01-01"] {
        assert_eq!(get(gateway, &token, &format!("{what}/$everything?{date}")).await.status, 400, "{date}");
    }
    for question in ["address-city=Boston", "given=x", "name=x", "_sort=name", "birthdate=1970-01-01"] {
        assert_eq!(get(gateway, &token, &format!("Patient?{question}")).await.status, 400, "{question}");
    }
    let other = get(gateway, &token, &format!("Observation?patient={me}&date=gt2000-01-01")).await;
    assert!(
        other.status == 200 && labels(resources(&other.json())[0]).is_empty(),
        "what it does not concern is whole"
    );

    // Nobody erases what they do not see.
    let put = Call::fhir("PUT", &format!("/fhir/{what}"), &seen.json()).bearer(&token).to(gateway).await;
    assert_eq!(
        (put.status, put.json()["issue"][0]["code"].as_str()),
        (422, Some("business-rule")),
        "{}",
        put.text()
    );
    let of_version = |version: &str, operations: Value| {
        let call = Call::new("PATCH", &format!("/fhir/{what}")).bearer(&token).header("if-match", version);
        call.body("application/json-patch+json", operations.to_string())
    };
    let patch = |operations: Value| of_version("W/\"1\"", operations);
    for (op, path) in [
        ("remove", "/address"),
        ("remove", "/address/0/city"),
        ("remove", "/name"),
        ("remove", "/name/0"),
        ("remove", "/name/0/given"),
        ("test", "/address/0/city"),
        ("replace", "/name/0"),
        ("add", "/address"),
        ("add", "/address/-"),
        ("replace", "/meta"),
        ("replace", ""),
    ] {
        let answer = patch(json!([{ "op": op, "path": path, "value": before["address"] }])).to(gateway).await;
        assert_eq!(
            (answer.status, answer.json()["issue"][0]["code"].as_str()),
            (422, Some("business-rule")),
            "{op} {path}"
        );
    }
    for from in ["/address", "/name/0/given", "/name"] {
        for op in ["copy", "move"] {
            let answer = patch(json!([{ "op": op, "from": from, "path": "/language" }])).to(gateway).await;
            assert_eq!(answer.status, 422, "{op} {from}");
        }
    }
    let deleted = Call::new("DELETE", &format!("/fhir/{what}")).bearer(&token).to(gateway).await;
    assert_eq!(deleted.status, 422, "{}", deleted.text());
    let refused = gateway.audit(&["--user", "dana", "--outcome", "deny"]);
    assert_eq!(refused.last().unwrap()["decision"]["reason"], "masked");
    let patched =
        patch(json!([{ "op": "replace", "path": "/name/0/family", "value": "Other" }])).to(gateway).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert_eq!(
        (patched.json().get("address"), &patched.json()["name"][0]["family"]),
        (None, &json!("Other"))
    );
    let made = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" }, "subject": { "reference": what } });
    let made = Call::fhir("POST", "/fhir/Observation", &made).bearer(&token).to(gateway).await;
    let own = format!("/fhir/Observation/{}", made.json()["id"].as_str().unwrap());
    let put = Call::fhir("PUT", &own, &made.json()).bearer(&token).to(gateway).await;
    assert_eq!(put.status, 200, "{}", put.text());

    masked(gateway, "dates-to-year; pseudonyms", 2).await;
    let seen = get(gateway, &token, &what).await;
    let now = seen.json();
    assert_eq!(labels(&now), ["SUBSETTED", "PSEUDED", "REDACTED"]);
    assert_eq!(now["birthDate"].as_str().map(str::len), Some(4), "{now}");
    assert_eq!(now["meta"].get("lastUpdated"), None);
    assert_eq!(now["address"], before["address"], "what was hidden was not erased by the patch");
    let (was, is) =
        (before["identifier"][0]["value"].as_str().unwrap(), now["identifier"][0]["value"].as_str().unwrap());
    assert!(was != is && is.len() == 32, "{now}");
    assert_eq!(
        get(gateway, &token, &what).await.json()["identifier"],
        now["identifier"],
        "the same each time"
    );
    assert_eq!(get(gateway, &token, &format!("Patient?identifier={was}")).await.status, 400);
    assert_eq!(get(gateway, &token, &format!("{what}/_history?_since=2020-01-01")).await.status, 400);
    let patched = of_version("W/\"2\"", json!([{ "op": "add", "path": "/language", "value": "en" }]));
    assert_eq!(patched.to(gateway).await.status, 422, "dates stand everywhere");
}

/// A patch that keeps to what is seen could still make a record one of which more is seen.
#[tokio::test]
async fn no_patch_takes_a_record_to_where_less_of_it_is_kept() {
    let gateway = &Gateway::demo("mask-by-relation", &[]);
    let (mine, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("Patient/{mine}") }, "note": [{ "text": "marigold" }] });
    let made = Call::fhir("POST", "/fhir/Observation", &observation).bearer(&token).to(gateway).await;
    let what = format!("Observation/{}", made.json()["id"].as_str().unwrap());
    let all = r#"@id("all-others") permit (principal in Chartgate::Role::"physician",
        action in [Chartgate::Action::"view", Chartgate::Action::"change"], resource is Chartgate::Record)
        when { resource.relation == "other" };"#;
    std::fs::write(gateway.folder().join("policies/others.cedar"), all).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    masked(gateway, "remove: Observation.note", 2).await;
    let patch = |version: &str, operations: Value| {
        Call::new("PATCH", &format!("/fhir/{what}"))
            .bearer(&token)
            .header("if-match", version)
            .body("application/json-patch+json", operations.to_string())
            .to(gateway)
    };
    let to = |patient: &str| json!([{ "op": "replace", "path": "/subject/reference", "value": format!("Patient/{patient}") }]);
    let moved = patch("W/\"1\"", to(other)).await;
    assert_eq!((moved.status, moved.json()["issue"][0]["code"].as_str()), (422, Some("business-rule")));
    assert!(!moved.text().contains("marigold"), "{}", moved.text());
    let refused = gateway.audit(&["--user", "dana", "--outcome", "deny"]).pop().unwrap();
    assert_eq!(refused["decision"]["reason"], "masked", "{refused}");
    assert_eq!(
        get(gateway, &token, &what).await.json()["subject"],
        observation["subject"],
        "it stays whose it was"
    );
    // Where as much is kept of it as before, it is patched.
    let stays = patch("W/\"1\"", json!([{ "op": "add", "path": "/valueString", "value": "y" }])).await;
    assert_eq!((stays.status, stays.json().get("note")), (200, None), "{}", stays.text());
    // And where more is.
    let mut theirs = observation.clone();
    theirs["subject"] = json!({ "reference": format!("Patient/{other}") });
    let made = Call::fhir("POST", "/fhir/Observation", &theirs).bearer(&token).to(gateway).await;
    assert_eq!(made.json()["note"], observation["note"], "{}", made.text());
    let theirs = format!("/fhir/Observation/{}", made.json()["id"].as_str().unwrap());
    let moved = Call::new("PATCH", &theirs)
        .bearer(&token)
        .header("if-match", "W/\"1\"")
        .body("application/json-patch+json", to(mine).to_string());
    let moved = moved.to(gateway).await;
    assert_eq!((moved.status, moved.json().get("note")), (200, None), "{}", moved.text());
}

#[tokio::test]
async fn a_mask_that_is_none_is_refused_with_its_policy_and_the_old_ones_stay() {
    let gateway = &Gateway::demo("no-masks", &[]);
    let file = gateway.folder().join(ADDED);
    let policy = |annotation: &str, what: &str| {
        format!(r#"@id("added") {annotation} {what} (principal, action, resource is Chartgate::Record);"#)
    };
    for (annotation, what, says) in [
        (r#"@mask("remove: Patient.adress")"#, "permit", "Patient.adress"),
        (r#"@mask("safe-harbour")"#, "permit", "safe-harbour"),
        (r#"@mask("")"#, "permit", "@mask"),
        (r#"@masks("safe-harbor")"#, "permit", "@masks"),
        (r#"@mask("safe-harbor")"#, "forbid", "forbid"),
    ] {
        std::fs::write(&file, policy(annotation, what)).unwrap();
        let done = gateway.try_command(&["policy", "check"]);
        assert!(!done.success && done.err.contains("added.cedar") && done.err.contains(says), "{done:?}");
    }
    std::fs::write(&file, policy(r#"@mask("dates-to-year; remove: *.note")"#, "permit")).unwrap();
    let done = gateway.try_command(&["policy", "check"]);
    assert!(done.success, "{done:?}");
}

#[tokio::test]
async fn of_two_policies_the_one_that_keeps_less_is_enough() {
    let gateway = &Gateway::demo("two-masks", &[]);
    let token = token_of(gateway, "dana").await;
    let what = format!("Patient/{}", gateway.panel("dana")[0]);
    let added = r#"@id("less") @mask("dates-to-year") permit (principal in Chartgate::Role::"physician",
        action in Chartgate::Action::"view", resource is Chartgate::Record) when { resource.relation == "panel" };"#;
    std::fs::write(gateway.folder().join(ADDED), added).unwrap();
    masked(gateway, "dates-to-year; remove: Patient.name", 1).await;
    let begun = Instant::now();
    let seen = loop {
        let seen = get(gateway, &token, &what).await.json();
        if !labels(&seen).is_empty() && seen.get("name").is_some() {
            break seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{seen}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(seen["birthDate"].as_str().map(str::len), Some(4));
}
