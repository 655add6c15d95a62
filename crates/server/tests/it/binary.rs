//! Content (`Binary`) through the gateway: as much within reach as what protects it, as a resource or by itself.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::between::{Between, Manner};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Person, Scratch};
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, person: &Person) -> String {
    App::public(USER_SCOPE).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    asked_as(gateway, token, what, "application/fhir+json").await
}

async fn asked_as(gateway: &Gateway, token: &str, what: &str, accept: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).header("accept", accept).to(gateway).await
}

fn upstream_port(gateway: &Gateway) -> u16 {
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    config.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
}

/// What only another may read.
const OTHERS: &str = "bWFyaWdvbGQ=";

/// "hi" or "marigold", which some record protects.
fn binary(id: &str, kind: &str, context: Option<&str>) -> Value {
    let data = if id.starts_with("a-") || context == Some("Patient/a") { "aGk=" } else { OTHERS };
    let mut binary = json!({ "resourceType": "Binary", "id": id, "contentType": kind, "data": data });
    if let Some(context) = context {
        binary["securityContext"] = json!({ "reference": context });
    }
    binary
}

fn document(id: &str, patient: &str, url: &str) -> Value {
    json!({ "resourceType": "DocumentReference", "id": id, "status": "current",
        "subject": { "reference": format!("Patient/{patient}") }, "content": [{ "attachment": { "url": url } }] })
}

/// Patients `a` and `b`, and content that is theirs in one way or another.
fn data() -> (Scratch, PathBuf) {
    let scratch = Scratch::new("binaries");
    let mut secret = document("secret", "a", "Binary/secret");
    secret["meta"] = json!({ "security": [{ "code": "V",
        "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality" }] });
    let mut records = vec![secret];
    for patient in ["a", "b"] {
        let context = format!("Patient/{patient}");
        records.extend([
            json!({ "resourceType": "Patient", "id": patient }),
            json!({ "resourceType": "Observation", "id": format!("{patient}-obs"), "status": "final",
                "code": { "text": "x" }, "subject": { "reference": context } }),
            binary(&format!("{patient}-context"), "application/pdf", Some(&context)),
            binary(
                &format!("{patient}-record"),
                "text/plain; charset=UTF-8",
                Some(&format!("Observation/{patient}-obs")),
            ),
            binary(&format!("{patient}-document"), "image/png", None),
            document(&format!("{patient}-doc"), patient, &format!("Binary/{patient}-document")),
        ]);
    }
    records.extend([
        binary("secret", "application/pdf", None),
        binary("page", "text/html", Some("Patient/a")),
        binary("svg", "image/svg+xml", Some("Patient/a")),
        binary("nobodys", "application/pdf", None),
        binary("of-clinic", "application/pdf", Some("Organization/clinic")),
        json!({ "resourceType": "Organization", "id": "clinic" }),
        binary("of-nothing", "application/pdf", Some("Patient/no-such")),
        binary("elsewhere", "application/pdf", Some("https://elsewhere.example/Patient/a")),
        binary("of-binary", "application/pdf", Some("Binary/a-context")),
        // Two point to it, and one of them is another's.
        binary("both", "application/pdf", None),
        document("both-a", "a", "Binary/both"),
        document("both-b", "b", "Binary/both"),
        // What it says counts, whoever points to it.
        document("not-theirs", "a", "Binary/b-context"),
    ]);
    let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
    scratch.write("records.ndjson", lines.join("\n"));
    let path = scratch.path().to_owned();
    (scratch, path)
}

#[tokio::test]
async fn content_is_as_much_within_reach_as_what_protects_it() {
    let (_scratch, folder) = data();
    let gateway = &Gateway::demo("binary", &["--data", folder.to_str().unwrap()]);
    let token = token_of(gateway, &gateway.person("physician", &["a"])).await;
    let theirs = token_of(gateway, &gateway.person("physician", &["b"])).await;
    for id in ["a-context", "a-record", "a-document"] {
        let whole = get(gateway, &token, &format!("Binary/{id}")).await;
        assert_eq!(
            (whole.status, whole.json()["data"].as_str()),
            (200, Some("aGk=")),
            "{id}: {}",
            whole.text()
        );
        for accept in ["*/*", "application/pdf", "text/html,image/webp,*/*;q=0.8"] {
            for what in [format!("Binary/{id}"), format!("Binary/{id}/_history/1")] {
                let content = asked_as(gateway, &token, &what, accept).await;
                assert_eq!((content.status, content.text()), (200, "hi"), "{what} as {accept}");
                assert_eq!(content.header("content-disposition"), "attachment");
                assert_eq!(content.header("x-content-type-options"), "nosniff");
                assert_eq!(content.header("content-security-policy"), "default-src 'none'; sandbox");
                assert_eq!(content.header("cache-control"), "no-store");
            }
        }
    }
    for (id, kind) in [
        ("a-context", "application/pdf"),
        ("a-record", "text/plain; charset=utf-8"),
        ("a-document", "image/png"),
    ] {
        let content = asked_as(gateway, &token, &format!("Binary/{id}"), "*/*").await;
        assert_eq!(content.header("content-type"), kind);
    }
    // Binary/other: 404, like what is not there, whatever it is asked as.
    for accept in ["application/fhir+json", "*/*"] {
        let absent = asked_as(gateway, &token, "Binary/no-such", accept).await;
        assert_eq!(absent.status, 404);
        for id in [
            "b-context",
            "b-record",
            "b-document",
            "secret",
            "nobodys",
            "of-clinic",
            "of-nothing",
            "elsewhere",
            "of-binary",
            "both",
        ] {
            for what in [format!("Binary/{id}"), format!("Binary/{id}/_history/1")] {
                let answer = asked_as(gateway, &token, &what, accept).await;
                assert_eq!(answer.without_date(), absent.without_date(), "{what} as {accept}");
            }
        }
        let known = asked_as(gateway, &theirs, "Binary/b-document", accept).await;
        assert_eq!(known.status, 200);
    }
    // What browsers run leaves within its resource, to be dealt with by whoever asked for that.
    for id in ["page", "svg"] {
        assert_eq!(asked_as(gateway, &token, &format!("Binary/{id}"), "*/*").await.status, 406, "{id}");
        assert_eq!(get(gateway, &token, &format!("Binary/{id}")).await.status, 200, "{id}");
    }
    // It is found by no search, and has no history and no end of its own.
    for what in ["Binary", "Binary?_id=a-context", "Binary/_history", "Binary/a-context/_history"] {
        assert_eq!(get(gateway, &token, what).await.status, 403, "{what}");
    }
    assert_eq!(Call::new("DELETE", "/fhir/Binary/a-context").bearer(&token).to(gateway).await.status, 403);
    // In a batch it is a resource.
    let entry = json!([{ "request": { "method": "GET", "url": "Binary/a-document" } },
        { "request": { "method": "GET", "url": "Binary/b-document" } }]);
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entry });
    let answer = Call::fhir("POST", "/fhir", &batch).bearer(&token).to(gateway).await.json();
    assert_eq!(answer["entry"][0]["resource"]["data"], "aGk=", "{answer}");
    assert_eq!(answer["entry"][1]["response"]["status"], "404", "{answer}");
    // Its record says whose it was, and what left.
    let read = gateway.audit(&["--action", "read", "--patient", "a", "--outcome", "allow"]);
    let last = read.iter().rfind(|record| record["resource"] == "Binary/a-document").unwrap();
    assert_eq!((&last["patients"], &last["response"]["count"]), (&json!(["a"]), &json!(1)), "{last}");
}

#[tokio::test]
async fn nobody_makes_content_their_own_by_pointing_to_it() {
    let (_scratch, folder) = data();
    let gateway = &Gateway::demo("binary-writes", &["--data", folder.to_str().unwrap()]);
    let token = token_of(gateway, &gateway.person("physician", &["a"])).await;
    let theirs = token_of(gateway, &gateway.person("physician", &["b"])).await;
    let post = |record: Value| {
        let path = format!("/fhir/{}", record["resourceType"].as_str().unwrap());
        Call::fhir("POST", &path, &record).bearer(&token)
    };
    let upstream = format!("http://127.0.0.1:{}/fhir", upstream_port(gateway));
    let absent = post(document("x", "a", "Binary/no-such")).to(gateway).await;
    assert_eq!(absent.status, 403);
    for url in [
        "Binary/b-document".to_owned(),
        "Binary/b-document/_history/1".to_owned(),
        format!("{}/fhir/Binary/b-document", gateway.issuer),
        format!("{upstream}/Binary/b-document"),
        "Binary/nobodys".to_owned(),
    ] {
        let pointing = post(document("x", "a", &url)).to(gateway).await;
        assert_eq!(pointing.without_date(), absent.without_date(), "{url}");
        let mut changed = document("a-doc", "a", "Binary/a-document");
        let more = json!({ "attachment": { "url": url } });
        changed["content"].as_array_mut().unwrap().push(more.clone());
        let put =
            Call::fhir("PUT", "/fhir/DocumentReference/a-doc", &changed).bearer(&token).to(gateway).await;
        assert_eq!(put.status, 403, "{url}");
        let patch = json!([{ "op": "add", "path": "/content/-", "value": more }]).to_string();
        let patch = Call::new("PATCH", "/fhir/DocumentReference/a-doc")
            .bearer(&token)
            .header("if-match", "W/\"1\"")
            .body("application/json-patch+json", patch);
        assert_eq!(patch.to(gateway).await.status, 403, "{url}");
        let entry = json!([{ "request": { "method": "POST", "url": "DocumentReference" },
            "resource": document("x", "a", &url) }]);
        let transaction = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entry });
        assert_eq!(
            Call::fhir("POST", "/fhir", &transaction).bearer(&token).to(gateway).await.status,
            403,
            "{url}"
        );
    }
    assert_eq!(get(gateway, &token, "Binary/b-document").await.status, 404);
    assert_eq!(get(gateway, &theirs, "Binary/b-document").await.status, 200, "it stays whose it was");
    // What one may read may be pointed to, and what was pointed to before may stay.
    assert_eq!(post(document("x", "a", "Binary/a-context")).to(gateway).await.status, 201);
    let mut changed = document("a-doc", "a", "Binary/a-document");
    changed["description"] = json!("x");
    let put = Call::fhir("PUT", "/fhir/DocumentReference/a-doc", &changed).bearer(&token).to(gateway).await;
    assert_eq!(put.status, 200, "{}", put.text());

    // Content is stored with a record that protects it, and that whoever stores it may change.
    let refused = post(binary("x", "application/pdf", None)).to(gateway).await;
    assert_eq!(refused.status, 403);
    for context in
        ["Patient/b", "Patient/no-such", "Observation/b-obs", "Organization/clinic", "Binary/a-context"]
    {
        let answer = post(binary("x", "application/pdf", Some(context))).to(gateway).await;
        assert_eq!(answer.without_date(), refused.without_date(), "{context}");
    }
    let made = post(binary("x", "application/pdf", Some("Observation/a-obs"))).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = made.header("location").strip_prefix(&gateway.issuer).unwrap();
    let path = path.strip_suffix("/_history/1").unwrap().to_owned();
    let id = path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(Call::get(&path).bearer(&token).to(gateway).await.text(), "marigold");
    assert_eq!(Call::get(&path).bearer(&theirs).to(gateway).await.status, 404);
    let put = |id: &str, context: &str, token: &str| {
        let record = binary(id, "application/pdf", Some(context));
        Call::fhir("PUT", &format!("/fhir/Binary/{id}"), &record).bearer(token)
    };
    assert_eq!(put(&id, "Patient/a", &token).to(gateway).await.status, 200);
    let records_of = || {
        let records = gateway.audit(&["--action", "update"]);
        let of_id = records.into_iter().filter(|record| record["resource"] == format!("Binary/{id}"));
        of_id.map(|record| record["patients"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(put(&id, "Patient/b", &token).to(gateway).await.status, 403, "given away");
    assert_eq!(records_of().pop(), Some(json!(["a", "b"])), "whose it is, and whose it would have been");
    let both = token_of(gateway, &gateway.person("physician", &["a", "b"])).await;
    let before = records_of().len();
    assert_eq!(put(&id, "Patient/b", &both).to(gateway).await.status, 200);
    assert_eq!(records_of()[before..], [json!(["a", "b"]), json!(["a", "b"])], "whose it was, and is");
    assert_eq!(put(&id, "Patient/a", &both).to(gateway).await.status, 200);
    for (id, token) in
        [(id.as_str(), &theirs), ("b-context", &token), ("a-document", &token), ("no-such", &token)]
    {
        let context = if *token == theirs { "Patient/b" } else { "Patient/a" };
        assert_eq!(put(id, context, token).to(gateway).await.status, 404, "{id}");
    }
    let nurse = token_of(gateway, &gateway.person("nurse", &["a"])).await;
    let answer = put(&id, "Patient/a", &nurse).to(gateway).await;
    assert!([403, 404].contains(&answer.status), "{}", answer.status);
}

#[tokio::test]
async fn of_content_nothing_is_masked_so_who_sees_a_part_of_what_protects_it_sees_none() {
    let (_scratch, folder) = data();
    let gateway = &Gateway::demo("binary-masks", &["--data", folder.to_str().unwrap()]);
    let token = token_of(gateway, &gateway.person("physician", &["a"])).await;
    assert_eq!(get(gateway, &token, "Binary/a-context").await.status, 200);
    let absent = get(gateway, &token, "Binary/no-such").await;
    let text = r#"@id("physician-panel") @mask("dates-to-year; remove: Patient.name") permit (principal in Chartgate::Role::"physician",
        action in [Chartgate::Action::"view", Chartgate::Action::"change"], resource is Chartgate::Record)
        when { resource.relation == "panel" };"#;
    std::fs::write(gateway.folder().join("policies/physician.cedar"), text).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    for id in ["a-context", "a-record", "a-document"] {
        for accept in ["application/fhir+json", "*/*"] {
            let answer = asked_as(gateway, &token, &format!("Binary/{id}"), accept).await;
            assert_eq!(answer.without_date(), absent.without_date(), "{id}");
        }
    }
}

#[tokio::test]
async fn no_upstream_opens_anothers_content() {
    let (_scratch, folder) = data();
    let gateway = &Gateway::demo("binary-manners", &["--data", folder.to_str().unwrap()]);
    let real = upstream_port(gateway);
    let between = Between::start(real, "b").await;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let moved = config
        .replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{}", between.port))
        // What look-ups of care relations cost is counted in `care`.
        .replace(r#""table", "care-team", "encounter", "appointment""#, r#""table""#);
    std::fs::write(gateway.config(), moved).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;
    let token = token_of(gateway, &gateway.person("physician", &["a"])).await;
    for manner in [Manner::Honest, Manner::Heedless, Manner::Lying] {
        between.behave(manner);
        between.calls();
        let absent = get(gateway, &token, "Binary/no-such").await;
        let calls = between.calls();
        for id in
            ["b-context", "b-record", "b-document", "secret", "nobodys", "of-nothing", "elsewhere", "both"]
        {
            for accept in ["application/fhir+json", "*/*"] {
                let answer = asked_as(gateway, &token, &format!("Binary/{id}"), accept).await;
                // A liar may give what is one's own under another's name.
                let text = answer.text();
                assert!(!text.contains(OTHERS) && !text.contains("marigold"), "{manner:?} {id}: {text}");
                if manner == Manner::Honest {
                    assert_eq!(answer.without_date(), absent.without_date(), "{id}");
                    assert_eq!(between.calls(), calls, "{id}: asked as often as for what is not there");
                }
            }
        }
        between.calls();
    }
}
