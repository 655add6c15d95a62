//! Operations that a route lists, through the gateway: what goes in is within reach, and so is what comes out.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::bulk::BulkFhir;
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Person};
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, person: &Person, scope: &str) -> String {
    App::public(scope).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

/// Lists operations, and puts another server behind the route where one is named.
async fn listing(gateway: &Gateway, operations: &str, port: Option<u16>) {
    let mut config = std::fs::read_to_string(gateway.config()).unwrap();
    if let Some(port) = port {
        let real = config.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
        config = config.replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{port}"));
    }
    let config = config.replacen("[[route]]", &format!("[[route]]\noperations = [{operations}]"), 1);
    std::fs::write(gateway.config(), config).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;
}

const LASTN: &str = r#"{ name = "lastn", level = "type", types = ["Observation"], methods = ["GET"],
    scopes = ["Observation.rs"], parameters = ["patient", "subject", "max", "code"] }"#;

fn entries(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let resources = answer.json()["entry"].as_array().cloned().unwrap_or_default();
    resources.into_iter().map(|entry| entry["resource"].clone()).collect()
}

#[tokio::test]
async fn a_listed_operation_is_called_and_its_answer_decided_on() {
    let gateway = &Gateway::demo("operations", &[]);
    let (me, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let token = token_of(gateway, &gateway.demo_person("dana"), USER_SCOPE).await;
    let lastn = format!("Observation/$lastn?patient={me}");
    assert_eq!(get(gateway, &token, &lastn).await.status, 400, "it is not listed");
    listing(gateway, LASTN, None).await;
    let found = entries(&get(gateway, &token, &lastn).await);
    assert!(!found.is_empty());
    assert!(found.iter().all(|record| record["subject"]["reference"] == format!("Patient/{me}")));
    // Without a patient it finds everybody's, and one's own panel's leave.
    let answer = get(gateway, &token, "Observation/$lastn?max=500").await;
    assert!(answer.json().get("total").is_none() && !answer.text().contains(other), "{}", answer.text());
    let panel = gateway.panel("dana");
    for record in entries(&answer) {
        let subject =
            record["subject"]["reference"].as_str().unwrap().trim_start_matches("Patient/").to_owned();
        assert!(panel.contains(&subject.as_str()), "{record}");
    }
    let records = gateway.audit(&["--user", "dana", "--action", "$lastn", "--outcome", "allow"]);
    let last = records.last().unwrap();
    assert!(
        last["withheld"].as_u64().unwrap() > 0 && last["response"]["count"].as_u64().unwrap() > 0,
        "{last}"
    );
    assert_eq!(last["resource"], "Observation/$lastn");
    // What goes in has to be within reach, whether it is there or not.
    let absent = get(gateway, &token, "Observation/$lastn?patient=no-such").await;
    assert_eq!(absent.status, 403);
    for what in [
        other.to_owned(),
        format!("Patient/{other}"),
        format!("{me},{other}"),
        format!("{}/fhir/Patient/{other}", gateway.issuer),
    ] {
        let answer = get(gateway, &token, &format!("Observation/$lastn?patient={what}")).await;
        assert_eq!(answer.without_date(), absent.without_date(), "{what}");
    }
    let subject = get(gateway, &token, &format!("Observation/$lastn?subject=Patient/{other}")).await;
    assert_eq!(subject.without_date(), absent.without_date());
    for (status, what) in [
        (400, "Observation/$lastn?patient.name=x".to_owned()),
        (400, "Observation/$lastn?_has:Condition:subject:code=x".to_owned()),
        (400, "Observation/$other".to_owned()),
        (400, "Condition/$lastn".to_owned()),
        (400, "$lastn".to_owned()),
        (400, format!("Observation/{other}-obs00/$lastn")),
        (400, "$graphql?query=x".to_owned()),
    ] {
        assert_eq!(get(gateway, &token, &what).await.status, status, "{what}");
    }
    let posted = Call::fhir("POST", "/fhir/Observation/$lastn", &json!({ "resourceType": "Parameters" }));
    let posted = posted.bearer(&token).to(gateway).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET"));
    // All that the list asks for.
    let read_only = token_of(gateway, &gateway.demo_person("dana"), "user/Observation.r").await;
    assert_eq!(get(gateway, &read_only, &lastn).await.status, 403);
    // Where something is masked, what goes in could find by it.
    let text = r#"@id("physician-panel") @mask("dates-to-year") permit (principal in Chartgate::Role::"physician",
        action in [Chartgate::Action::"view", Chartgate::Action::"change"], resource is Chartgate::Record)
        when { resource.relation == "panel" };"#;
    std::fs::write(gateway.folder().join("policies/physician.cedar"), text).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    assert_eq!(get(gateway, &token, &lastn).await.status, 403);
}

#[tokio::test]
async fn what_is_put_in_or_comes_out_of_an_operation_is_within_reach_whatever_the_server_does() {
    let gateway = &Gateway::demo("operations-lies", &[]);
    let (me, other) = (gateway.panel("dana")[0], gateway.stranger_to("dana"));
    let upstream = BulkFhir::start().await;
    let operations = r#"{ name = "give", level = "system", methods = ["POST"], scopes = ["Observation.r"],
            parameters = ["patient", "thing"] },
        { name = "keep", level = "instance", types = ["Patient"], methods = ["POST"], writes = true,
            scopes = ["Patient.ru", "Observation.c"], parameters = ["thing"] }"#;
    listing(gateway, operations, Some(upstream.port)).await;
    let token = token_of(gateway, &gateway.demo_person("dana"), USER_SCOPE).await;
    let patient = |id: &str| json!({ "resourceType": "Patient", "id": id, "meta": { "versionId": "1" } });
    let observation = |id: &str, patient: &str| {
        json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{patient}") } })
    };
    for id in [me, other] {
        upstream.tell(&format!("/fhir/Patient/{id}"), 200, &[], &patient(id).to_string());
    }
    let call = |path: &str, parameters: Value| {
        let body = json!({ "resourceType": "Parameters", "parameter": parameters });
        Call::fhir("POST", &format!("/fhir/{path}"), &body).bearer(&token)
    };
    let (mine, theirs) = (observation("mine", me), observation("theirs", other));
    let say = |answer: &Value| upstream.tell("/fhir/$give", 200, &[], &answer.to_string());
    // Out of it: each resource, and nothing else.
    say(
        &json!({ "resourceType": "Parameters", "parameter": [{ "name": "said", "valueString": format!("of {other}") },
        { "name": "a", "resource": mine }, { "name": "b", "resource": theirs },
        { "name": "c", "part": [{ "name": "d", "resource": theirs }] }] }),
    );
    let answer = call("$give", json!([])).to(gateway).await;
    assert_eq!(
        answer.json(),
        json!({ "resourceType": "Parameters", "parameter": [{ "name": "a", "resource": mine }] })
    );
    say(&theirs);
    assert_eq!(call("$give", json!([])).to(gateway).await.status, 404);
    say(&json!({ "resourceType": "OperationOutcome", "issue": [{ "diagnostics": format!("of {other}") }] }));
    let answer = call("$give", json!([])).to(gateway).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    say(
        &json!({ "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": theirs }, { "resource": mine },
        { "resource": { "resourceType": "Bundle", "id": "x", "type": "collection", "entry": [{ "resource": theirs }] } }] }),
    );
    assert_eq!(entries(&call("$give", json!([])).to(gateway).await), std::slice::from_ref(&mine));
    upstream.tell("/fhir/$give", 302, &[("location", "http://169.254.169.254/".to_owned())], "");
    assert_eq!(call("$give", json!([])).to(gateway).await.status, 502);
    // Into it: what is within reach.
    say(&mine);
    upstream.asked();
    for thing in [
        json!([{ "name": "patient", "valueId": other }]),
        json!([{ "name": "thing", "valueReference": { "reference": format!("Patient/{other}") } }]),
        json!([{ "name": "thing", "part": [{ "name": "patient", "valueString": other }] }]),
        json!([{ "name": "thing", "valueReference": { "reference": "Observation/no-such" } }]),
        json!([{ "name": "thing", "resource": mine }]),
    ] {
        assert_eq!(call("$give", thing.clone()).to(gateway).await.status, 403, "{thing}");
    }
    assert_eq!(call("$give", json!([{ "name": "other", "valueString": "x" }])).to(gateway).await.status, 400);
    assert!(upstream.asked().iter().all(|asked| !asked.contains("$give")), "none was sent");
    assert_eq!(call("$give", json!([{ "name": "patient", "valueId": me }])).to(gateway).await.status, 200);
    // What writes: the record and what is stored, and the intent before.
    let keep = format!("Patient/{me}/$keep");
    upstream.tell(&format!("/fhir/{keep}"), 200, &[], &patient(me).to_string());
    assert_eq!(call(&format!("Patient/{other}/$keep"), json!([])).to(gateway).await.status, 404);
    assert_eq!(call("Patient/no-such/$keep", json!([])).to(gateway).await.status, 404);
    let stored = call(&keep, json!([{ "name": "thing", "resource": mine }])).to(gateway).await;
    assert_eq!((stored.status, &stored.json()["id"]), (200, &json!(me)), "{}", stored.text());
    let mut labelled = observation("labelled", me);
    labelled["meta"] = json!({ "security": [{ "code": "ETH" }] });
    upstream.tell("/fhir/Observation/labelled", 200, &[], &labelled.to_string());
    upstream.tell("/fhir/Observation/of-another", 200, &[], &observation("of-another", other).to_string());
    upstream.asked();
    for resource in [
        theirs,
        patient("new"),
        json!({ "resourceType": "Observation", "subject": { "reference": format!("Patient/{me}") },
            "performer": [{ "reference": "Practitioner?identifier=x" }] }),
        json!({ "resourceType": "Observation", "subject": { "reference": format!("Patient/{me}") },
            "extension": [{ "url": "urn:x", "valueAttachment": { "url": "Binary/not-mine" } }] }),
        json!({ "resourceType": "Observation", "id": "labelled", "subject": { "reference": format!("Patient/{me}") } }),
        observation("of-another", me),
        json!({ "resourceType": "Condition", "subject": { "reference": format!("Patient/{me}") } }),
    ] {
        let answer = call(&keep, json!([{ "name": "thing", "resource": resource }])).to(gateway).await;
        assert_eq!(answer.status, 403, "{resource}");
    }
    assert!(upstream.asked().iter().all(|asked| !asked.contains("$keep")), "none was sent");
    // Whose record would have been replaced is told of what is refused as well.
    let records = gateway.audit(&["--user", "dana", "--action", "$keep"]);
    let told = |at: usize| records[records.len() - at]["patients"].as_array().unwrap().clone();
    assert_eq!(told(2), [json!(me), json!(other)], "a record of another's that is there");
    assert_eq!(told(7), [json!(me), json!(other)], "a record that would be another's");
    // What is an edit of another version than the one that is there is none of it.
    let versioned = |version: &str| {
        let mut resource = observation("versioned", me);
        resource["meta"] = json!({ "versionId": version });
        resource
    };
    upstream.tell("/fhir/Observation/versioned", 200, &[], &versioned("4").to_string());
    for (resource, status) in
        [(versioned("3"), 412), (versioned("4"), 200), (observation("versioned", me), 200)]
    {
        let answer = call(&keep, json!([{ "name": "thing", "resource": resource }])).to(gateway).await;
        assert_eq!(answer.status, status, "{resource} {}", answer.text());
        let record = gateway.audit(&["--user", "dana", "--action", "$keep"]).pop().unwrap();
        let replaces = json!("Observation/versioned/_history/4");
        assert_eq!(record["detail"]["replaces"], if status == 200 { replaces } else { Value::Null });
    }
    let records = gateway.audit(&["--user", "dana", "--action", "$keep"]);
    let intent = records.iter().position(|record| record["event"] == "access.intent").unwrap();
    assert_eq!(records[intent]["request_id"], records[intent + 1]["request_id"], "the intent came first");
}

#[test]
fn what_cannot_be_listed_is_refused_with_its_key() {
    let gateway = crate::shared::demo();
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    for (operation, said) in [
        (r#"name = "graphql", level = "system", methods = ["POST"], scopes = ["Patient.r"]"#, "graphql"),
        (
            r#"name = "everything", level = "instance", types = ["Patient"], methods = ["GET"], scopes = ["Patient.r"]"#,
            "everything",
        ),
        (r#"name = "$x", level = "system", methods = ["GET"], scopes = ["Patient.r"]"#, "no name"),
        (r#"name = "x", level = "type", methods = ["GET"], scopes = ["Patient.r"]"#, "types"),
        (
            r#"name = "x", level = "system", methods = ["GET"], scopes = ["Patient.r"], writes = true"#,
            "POST alone",
        ),
        (r#"name = "x", level = "system", methods = ["GET"], scopes = []"#, "scopes"),
        (r#"name = "x", level = "system", methods = ["GET"], scopes = ["*.r"]"#, "*.r"),
        (r#"name = "x", level = "system", methods = ["GET"], scopes = ["Patient.sr"]"#, "Patient.sr"),
        (r#"name = "x", level = "planet", methods = ["GET"], scopes = ["Patient.r"]"#, "planet"),
    ] {
        let text = config.replacen("[[route]]", &format!("[[route]]\noperations = [{{ {operation} }}]"), 1);
        let file = gateway.folder().join("wrong.toml");
        std::fs::write(&file, text).unwrap();
        let done = crate::gateway::chartgate(&["config", "check", "--config", file.to_str().unwrap()]);
        assert!(!done.success && done.err.contains(said), "{operation}: {}", done.err);
    }
}
