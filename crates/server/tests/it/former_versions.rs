//! What a record was that is no more, through the gateway: as much within reach as what it was last, and where nobody tells what
//! that was, nothing of it leaves.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::care::configure;
use crate::companions::program;
use crate::fakes::behind;
use crate::fakes::bulk::BulkFhir;
use crate::gateway::Gateway;
use crate::wire::Call;

const LABEL: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

fn version(id: &str, version: &str, label: Option<&str>) -> Value {
    let mut record = json!({ "resourceType": "Observation", "id": id, "status": "final", "code": { "text": "marigold" },
        "subject": { "reference": "Patient/x" }, "meta": { "versionId": version } });
    if let Some(code) = label {
        record["meta"]["security"] = json!([{ "system": LABEL, "code": code }]);
    }
    record
}

fn stored(record: &Value) -> Value {
    let url = format!("Observation/{}", record["id"].as_str().unwrap());
    json!({ "resource": record, "request": { "method": "PUT", "url": url } })
}

fn deleted(id: &str) -> Value {
    json!({ "request": { "method": "DELETE", "url": format!("Observation/{id}") },
        "response": { "status": "204", "lastModified": "2026-01-01T00:00:00Z" } })
}

fn history(entries: &[Value]) -> String {
    json!({ "resourceType": "Bundle", "type": "history", "entry": entries }).to_string()
}

async fn before(gateway: &Gateway, upstream: &BulkFhir) -> String {
    let real = behind::port(gateway);
    configure(gateway, |config| {
        config.replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{}", upstream.port))
    })
    .await;
    program(gateway).await
}

#[tokio::test]
async fn a_deletion_opens_nothing_where_nobody_tells_what_a_record_was_last() {
    let gateway = &Gateway::demo("former-versions", &[]);
    let upstream = BulkFhir::start().await;
    let token = before(gateway, &upstream).await;
    let get = |what: &str| Call::get(&format!("/fhir/{what}")).bearer(&token).to(gateway);
    let tell =
        |path: &str, status: u16, body: &str| upstream.tell(&format!("/fhir/{path}"), status, &[], body);
    let plain = version("gone", "1", None);
    let labelled = version("gone", "2", Some("V"));
    let (former, of_it) = ("Observation/gone/_history/1", "Observation/gone/_history");
    tell("Observation/gone", 410, "");
    tell(former, 200, &plain.to_string());
    let here = version("here", "1", None);
    tell("Observation/here", 200, &here.to_string());
    tell(
        "Observation/_history",
        200,
        &history(&[stored(&here), deleted("gone"), stored(&labelled), stored(&plain)]),
    );

    // It was last what anybody may see who reads all: as much may be seen of what it was before.
    tell(of_it, 200, &history(&[deleted("gone"), stored(&plain)]));
    assert_eq!(get(former).await.json()["id"], "gone");
    let absent = get("Observation/never/_history/1").await;
    assert_eq!(absent.status, 404);
    let untold = [
        (200, history(&[deleted("gone"), stored(&labelled), stored(&plain)])),
        (200, history(&[deleted("gone")])),
        (200, history(&[])),
        // Nobody knows of an entry like this whether something was stored.
        (200, history(&[json!({ "resource": plain })])),
        (400, String::new()),
        (403, String::new()),
        (404, String::new()),
        (405, String::new()),
        (410, String::new()),
        (501, String::new()),
    ];
    for (status, body) in untold {
        tell(of_it, status, &body);
        let answer = get(former).await;
        assert_eq!(answer.without_date(), absent.without_date(), "{status} {body}");
        let all = get("Observation/_history").await;
        assert_eq!(all.status, 200, "{status} {body}");
        let entries = all.json()["entry"].as_array().unwrap().clone();
        let released: Vec<&Value> = entries.iter().filter(|entry| entry["resource"].is_object()).collect();
        assert!(
            released.len() == 1 && released[0]["resource"]["id"] == "here",
            "{status} {body}: {}",
            all.text()
        );
    }
    // What may pass is no answer, and nobody is told that there is nothing.
    for status in [408, 429, 500, 502, 503, 504, 302, 204] {
        tell(of_it, status, "");
        for what in [former, "Observation/_history"] {
            let answer = get(what).await;
            assert_eq!(answer.status, 502, "{what} {status}: {}", answer.text());
            assert!(!answer.text().contains("marigold"));
        }
    }
}

#[tokio::test]
async fn a_deletion_opens_no_former_version_of_content() {
    let gateway = &Gateway::demo("former-content", &[]);
    let upstream = BulkFhir::start().await;
    let token = before(gateway, &upstream).await;
    let former = || {
        Call::get("/fhir/Binary/scan/_history/1")
            .bearer(&token)
            .header("accept", "application/fhir+json")
            .to(gateway)
    };
    let binary = |version: &str, context: &str| {
        json!({ "resourceType": "Binary", "id": "scan", "meta": { "versionId": version }, "contentType": "text/plain",
            "data": "bWFyaWdvbGQ=", "securityContext": { "reference": context } })
        .to_string()
    };
    upstream.tell("/fhir/Patient/x", 200, &[], &json!({ "resourceType": "Patient", "id": "x" }).to_string());
    upstream.tell("/fhir/Binary/scan/_history/1", 200, &[], &binary("1", "Patient/x"));
    upstream.tell("/fhir/Binary/scan", 200, &[], &binary("2", "Patient/x"));
    assert_eq!(former().await.status, 200);
    upstream.tell("/fhir/Binary/scan", 200, &[], &binary("2", "Observation/labelled"));
    let labelled = version("labelled", "1", Some("V"));
    upstream.tell("/fhir/Observation/labelled", 200, &[], &labelled.to_string());
    let kept = former().await;
    assert_eq!(kept.status, 404);
    for status in [404, 410] {
        upstream.tell("/fhir/Binary/scan", status, &[], "");
        upstream.asked();
        let answer = former().await;
        assert_eq!(answer.without_date(), kept.without_date());
        let asked = upstream.asked();
        assert!(
            asked.contains(&"GET /fhir/Binary/scan/_history/1".to_owned()),
            "asked in any case: {asked:?}"
        );
    }
}

#[tokio::test]
async fn who_writes_a_deleted_record_again_is_held_to_what_it_was_last() {
    let gateway = &Gateway::demo("written-again", &[]);
    let upstream = BulkFhir::start().await;
    before(gateway, &upstream).await;
    configure(gateway, |config| config.replacen("[[route]]", "[[route]]\nupdate_create = true", 1)).await;
    let token = App::public(USER_SCOPE).tokens(gateway, &gateway.person("physician", &["x"])).await.access;
    let put = async |record: &Value| {
        let path = format!("/fhir/Observation/{}", record["id"].as_str().unwrap());
        upstream.asked();
        let answer = Call::fhir("PUT", &path, record).bearer(&token).to(gateway).await;
        let sent = upstream.asked().iter().filter(|asked| asked.starts_with("PUT")).count();
        (answer.status, sent)
    };
    upstream.tell("/fhir/Observation/gone", 410, &[], "");
    let last = |status: u16, label: Option<&str>| {
        let said = history(&[
            deleted("gone"),
            stored(&version("gone", "2", label)),
            stored(&version("gone", "1", None)),
        ]);
        upstream.tell("/fhir/Observation/gone/_history", status, &[], &said);
    };
    let draft = |label: Option<&str>| version("gone", "1", label);
    last(200, None);
    assert_eq!(put(&draft(None)).await.1, 1);
    last(200, Some("N"));
    assert_eq!(put(&draft(None)).await, (403, 0), "it takes a label away");
    assert_eq!(put(&draft(Some("N"))).await.1, 1);
    last(200, Some("V"));
    assert_eq!(put(&draft(None)).await, (404, 0), "it was out of reach, and would open what it was before");
    last(404, None);
    assert_eq!(put(&draft(None)).await, (404, 0), "nobody tells what it was");
    assert_eq!(put(&version("never", "1", None)).await.1, 1, "of what never was there is nothing to keep to");
}
