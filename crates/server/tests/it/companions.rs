//! What comes along with a record, through the gateway: content and what is nobody's by any table leave by no way on which what
//! protects them is not looked at, whoever asks.

use serde_json::{Value, json};

use crate::care::configure;
use crate::fakes::behind;
use crate::fakes::bulk::BulkFhir;
use crate::gateway::Gateway;
use crate::wire::{Answer, Call};

/// What nobody here may read, and what stands in a record that cannot be told to be anybody's.
const KEPT: &str = "bWFyaWdvbGQ=";

pub(crate) async fn program(gateway: &Gateway) -> String {
    let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let secret = gateway.secret("demo-service");
    let answer = Call::form("/token", &fields).basic("demo-service", secret).to(gateway).await;
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned()
}

fn to(reference: &str) -> Value {
    json!({ "reference": reference })
}

fn labelled(mut record: Value, code: &str, system: &str) -> Value {
    let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
    record["meta"] = json!({ "security": [{ "system": system, "code": code }] });
    record
}

fn document(id: &str, url: &str) -> Value {
    json!({ "resourceType": "DocumentReference", "id": id, "status": "current", "subject": to("Patient/x"),
        "content": [{ "attachment": { "url": url } }] })
}

/// A Provenance that anybody may read who reads all, and what it refers to.
fn provenance_and_company() -> (Value, Vec<Value>) {
    let entity = |what: &str| json!({ "role": "source", "what": to(what) });
    let entities =
        ["Binary/secret", "Binary/guarded", "Binary/nobodys", "Device/pump", "DocumentReference/plain"]
            .map(entity);
    let provenance = json!({ "resourceType": "Provenance", "id": "p", "recorded": "2026-01-01T00:00:00Z",
        "target": [to("Patient/x")], "agent": [{ "who": to("Practitioner/nils") }],
        "entity": entities });
    let company = vec![
        json!({ "resourceType": "Binary", "id": "secret", "contentType": "text/plain", "data": KEPT }),
        json!({ "resourceType": "Binary", "id": "guarded", "contentType": "text/plain", "data": KEPT,
            "securityContext": to("DocumentReference/psychotherapy") }),
        json!({ "resourceType": "Binary", "id": "nobodys", "contentType": "text/plain", "data": KEPT }),
        json!({ "resourceType": "Device", "id": "pump", "patient": to("Patient/x"), "serialNumber": KEPT }),
        document("plain", "https://elsewhere.example/x.pdf"),
        json!({ "resourceType": "Practitioner", "id": "nils" }),
    ];
    (provenance, company)
}

fn searchset(found: &[&Value], along: &[Value]) -> String {
    let entry = |(record, mode): (&Value, &str)| json!({ "resource": record, "search": { "mode": mode } });
    let along = along.iter().map(|record| (record, "include"));
    let entries: Vec<Value> = found.iter().map(|record| (*record, "match")).chain(along).map(entry).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string()
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let name =
        |of: &Value| format!("{}/{}", of["resourceType"].as_str().unwrap(), of["id"].as_str().unwrap());
    let entries = answer.json()["entry"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> = entries.iter().map(|entry| name(&entry["resource"])).collect();
    names.sort();
    names
}

#[tokio::test]
async fn content_leaves_along_with_nothing_past_what_protects_it() {
    let gateway = &Gateway::demo("companions", &[]);
    let upstream = BulkFhir::start().await;
    let real = behind::port(gateway);
    let operation = r#"[[route]]
operations = [{ name = "give", level = "system", methods = ["GET"], scopes = ["Provenance.r"] }]"#;
    configure(gateway, |config| {
        let config = config.replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{}", upstream.port));
        config.replacen("[[route]]", operation, 1)
    })
    .await;
    let token = program(gateway).await;
    let get = |what: &str| Call::get(&format!("/fhir/{what}")).bearer(&token).to(gateway);

    let secret = labelled(document("secret", "Binary/secret"), "V", "v3-Confidentiality");
    let psychotherapy = labelled(document("psychotherapy", "Binary/other"), "PSYTHPN", "v3-ActCode");
    let (provenance, company) = provenance_and_company();
    let patient = json!({ "resourceType": "Patient", "id": "x" });
    let everything: Vec<&Value> = [&patient, &provenance].into_iter().chain(&company).collect();
    let tell = |path: &str, body: &str| upstream.tell(&format!("/fhir/{path}"), 200, &[], body);
    for record in everything.iter().copied().chain([&secret, &psychotherapy]) {
        let path = format!("{}/{}", record["resourceType"].as_str().unwrap(), record["id"].as_str().unwrap());
        tell(&path, &record.to_string());
    }
    tell("DocumentReference", &searchset(&[&secret], &[]));
    tell("Provenance", &searchset(&[&provenance], &company));
    tell("Patient/x/$everything", &searchset(&everything, &[]));

    // By themselves they are not there, and of such a type nothing is.
    for kept in ["secret", "guarded", "nobodys"] {
        assert_eq!(get(&format!("Binary/{kept}")).await.status, 404, "{kept}");
    }
    assert_eq!(get("Device/pump").await.status, 403);
    let released = ["DocumentReference/plain", "Practitioner/nils", "Provenance/p"];
    for what in [
        "Provenance?_include=Provenance:entity&_include=Provenance:agent",
        "Provenance?_include=*",
        "Patient/x/$everything",
        "$give",
    ] {
        if what == "$give" {
            tell("$give", &searchset(&everything, &[]));
        }
        let answer = get(what).await;
        assert!(!answer.text().contains(KEPT), "{what}: {}", answer.text());
        let mut expected = released.to_vec();
        if !what.starts_with("Provenance") {
            expected.insert(1, "Patient/x");
        }
        assert_eq!(names(&answer), expected, "{what}");
        let record = gateway.audit(&["--client", "demo-service", "--outcome", "allow"]).pop().unwrap();
        assert_eq!(record["withheld"], 4, "{what}: {record}");
    }
    // What is given without a bundle around it.
    for record in &company[..4] {
        tell("$give", &record.to_string());
        assert_eq!(get("$give").await.status, 404, "{record}");
        let parameter =
            json!([{ "name": "return", "resource": record }, { "name": "of", "resource": patient }]);
        let parameters = json!({ "resourceType": "Parameters", "parameter": parameter });
        tell("$give", &parameters.to_string());
        let answer = get("$give").await;
        assert_eq!(answer.json()["parameter"].as_array().map(Vec::len), Some(1), "{}", answer.text());
        assert!(!answer.text().contains(KEPT), "{}", answer.text());
    }
}

#[tokio::test]
async fn everything_of_a_patient_has_nothing_of_which_it_cannot_be_told_whose_it_is() {
    let gateway = &Gateway::demo("everything-unknown", &[]);
    let upstream = BulkFhir::start().await;
    let real = behind::port(gateway);
    configure(gateway, |config| {
        config.replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{}", upstream.port))
    })
    .await;
    let token = program(gateway).await;
    let observation = |id: &str, subject: Value| json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "x" }, "subject": subject });
    let mut observed = observation("theirs", to("Patient/x"));
    observed["performer"] = json!([to("Practitioner/nils")]);
    let records = [
        json!({ "resourceType": "Patient", "id": "x" }),
        observed,
        observation("anothers", to("Patient/y")),
        observation("unknown", to("https://elsewhere.example/fhir/Patient/y")),
        observation("said", json!({ "display": "somebody" })),
        json!({ "resourceType": "Practitioner", "id": "nils" }),
    ];
    upstream.tell("/fhir/Patient/x", 200, &[], &records[0].to_string());
    let all: Vec<&Value> = records.iter().collect();
    upstream.tell("/fhir/Patient/x/$everything", 200, &[], &searchset(&all, &[]));
    let answer = Call::get("/fhir/Patient/x/$everything").bearer(&token).to(gateway).await;
    assert_eq!(names(&answer), ["Observation/theirs", "Patient/x", "Practitioner/nils"]);
    // Which a program that reads all may read by its name.
    upstream.tell("/fhir/Observation/unknown", 200, &[], &records[3].to_string());
    assert_eq!(Call::get("/fhir/Observation/unknown").bearer(&token).to(gateway).await.status, 200);
}
