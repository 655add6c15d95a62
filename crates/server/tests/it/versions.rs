//! A server of FHIR R5 behind a route that says so: its own types, elements and parameters count, and no others.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::care::{configure, found};
use crate::fakes::behind;
use crate::fakes::between::{Between, Manner};
use crate::gateway::Gateway;
use crate::routes::serve_routes;
use crate::wire::{Answer, Call};

fn to(reference: &str) -> Value {
    json!({ "reference": reference })
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

fn usage(id: &str, patient: &str) -> Value {
    json!({ "resourceType": "DeviceUsage", "id": id, "status": "active", "patient": to(&format!("Patient/{patient}")),
        "device": { "reference": to("Device/pump") } })
}

fn visit(id: &str, carer: &str, patient: &str) -> Value {
    json!({ "resourceType": "Encounter", "id": id, "status": "in-progress", "class": [{ "text": "inpatient" }],
        "subject": to(&format!("Patient/{patient}")), "actualPeriod": { "start": "2026-01-01" },
        "participant": [{ "actor": to(carer) }] })
}

fn consent(id: &str, patient: &str, carer: &str) -> Value {
    json!({ "resourceType": "Consent", "id": id, "status": "active", "decision": "permit",
        "subject": to(&format!("Patient/{patient}")),
        "provision": [{ "actor": [{ "reference": to(carer) }] }] })
}

fn transaction(entries: &[(&str, &str, Value)]) -> Value {
    let entry = |(method, url, resource): &(&str, &str, Value)| json!({ "request": { "method": method, "url": url }, "resource": resource });
    json!({ "resourceType": "Bundle", "type": "transaction", "entry": entries.iter().map(entry).collect::<Vec<_>>() })
}

/// What R5 says is `patient`'s, and names another one besides where R5's compartment does not look.
fn naming(id: &str, patient: &str, named: &str) -> [Value; 3] {
    let (patient, named) = (to(&format!("Patient/{patient}")), to(&format!("Patient/{named}")));
    [
        json!({ "resourceType": "Appointment", "id": id, "status": "proposed", "subject": named,
            "participant": [{ "actor": patient, "status": "needs-action" }] }),
        json!({ "resourceType": "Provenance", "id": id, "patient": patient, "target": [named],
            "agent": [{ "who": to("Practitioner/nils") }] }),
        json!({ "resourceType": "AuditEvent", "id": id, "patient": patient, "entity": [{ "what": named }],
            "recorded": "2026-01-01T00:00:00Z" }),
    ]
}

#[tokio::test]
async fn a_route_of_r5_reads_r5_and_nothing_else() {
    let gateway = &Gateway::demo("versions", &[]);
    let port = behind::port(gateway);
    let person = gateway.person("physician", &[]);
    let me = format!("Practitioner/{}", person.name);
    let [mine, forbids, other] = [10, 11, 12].map(|at| gateway.patients()[at]);
    let mut as_in_r4 = visit("e-r4", &me, other);
    as_in_r4["participant"] = json!([{ "individual": to(&me) }]);
    as_in_r4["period"] = json!({ "start": "2026-01-01" });
    for record in [
        visit("e-mine", &me, mine),
        visit("e-forbids", &me, forbids),
        as_in_r4,
        consent("c", forbids, &me),
        usage("u-mine", mine),
        usage("u-other", other),
        json!({ "resourceType": "Consent", "id": "c-r4", "status": "active", "patient": to(&format!("Patient/{mine}")),
            "scope": { "text": "of R4" }, "provision": { "type": "permit" } }),
        json!({ "resourceType": "Contract", "id": "k-mine", "subject": [to(&format!("Patient/{mine}"))] }),
        json!({ "resourceType": "Contract", "id": "k-both",
            "subject": [to(&format!("Patient/{mine}")), to(&format!("Patient/{other}"))] }),
    ]
    .into_iter()
    .chain(naming("n-mine", mine, mine))
    .chain(naming("n-both", mine, other))
    {
        behind::put(gateway, port, &record).await;
    }
    let token = App::public(USER_SCOPE).tokens(gateway, &person).await.access;
    // By R4, nothing puts anybody into their care, and there is no such type.
    assert_eq!(get(gateway, &token, &format!("Patient/{mine}")).await.status, 404);
    assert_eq!(get(gateway, &token, "DeviceUsage/u-mine").await.status, 404);
    let between = Between::start(port, other).await;
    between.behave(Manner::OfR5);
    configure(gateway, |config| {
        let config = config.replace("care_from", "fhir_version = \"5.0\"\ncare_from");
        config.replace(&format!("http://127.0.0.1:{port}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;

    // Read: who is in care by R5's elements, and whose a record of R5 is.
    let absent = get(gateway, &token, "Patient/no-such").await;
    for (what, status) in [
        (format!("Patient/{mine}"), 200),
        (format!("Patient/{forbids}"), 200),
        (format!("Patient/{other}"), 404),
        ("DeviceUsage/u-mine".to_owned(), 200),
        ("DeviceUsage/u-other".to_owned(), 404),
        ("Contract/k-mine".to_owned(), 200),
        ("Contract/k-both".to_owned(), 404),
        ("Appointment/n-mine".to_owned(), 200),
        ("Appointment/n-both".to_owned(), 404),
        ("Provenance/n-mine".to_owned(), 200),
        ("Provenance/n-both".to_owned(), 404),
        ("AuditEvent/n-mine".to_owned(), 200),
        ("AuditEvent/n-both".to_owned(), 404),
        (format!("Patient/{mine}/$everything"), 200),
        (format!("Patient/{other}/$everything"), 404),
    ] {
        let answer = get(gateway, &token, &what).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if status == 404 {
            assert_eq!(answer.text(), absent.text(), "{what}");
        }
    }
    // Search, in a patient's compartment too, and what there is not in R5.
    assert_eq!(found(&get(gateway, &token, "DeviceUsage").await), ["u-mine"]);
    assert_eq!(found(&get(gateway, &token, &format!("Patient/{mine}/DeviceUsage")).await), ["u-mine"]);
    assert_eq!(found(&get(gateway, &token, &format!("DeviceUsage?patient={other}")).await), [""; 0]);
    for refused in ["DeviceUseStatement?patient=x", "DeviceUseStatement/1", "Media/1"] {
        assert_eq!(get(gateway, &token, refused).await.status, 404, "{refused}");
    }
    for refused in
        ["Encounter?diagnosis=Condition/1", "Observation?_elements=valueX", "DeviceUsage?subject=x"]
    {
        assert_eq!(get(gateway, &token, refused).await.status, 400, "{refused}");
    }
    let accepting = |version: &str| {
        let accept = format!("application/fhir+json; fhirVersion={version}");
        Call::get(&format!("/fhir/Patient/{mine}")).bearer(&token).header("accept", &accept)
    };
    assert_eq!(accepting("5.0").to(gateway).await.status, 200);
    assert_eq!(accepting("4.0").to(gateway).await.status, 406);

    // Write: one by one, and as a transaction that does nothing where one entry may not be.
    let write = |of: Value| Call::fhir("POST", "/fhir/DeviceUsage", &of).bearer(&token).to(gateway);
    assert_eq!(write(usage("x", mine)).await.status, 201);
    assert_eq!(write(usage("x", other)).await.status, 403);
    let before = found(&get(gateway, &token, "DeviceUsage").await).len();
    for (patients, status) in [([mine, mine], 200), ([mine, other], 403)] {
        let entries = patients.map(|patient| ("POST", "DeviceUsage", usage("x", patient)));
        let answer = Call::fhir("POST", "/fhir", &transaction(&entries)).bearer(&token).to(gateway).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(found(&get(gateway, &token, "DeviceUsage").await).len(), before + 2);

    // What patients have forbidden, by R5's Consent; R4's cannot be read here, so it keeps whom it may be about.
    configure(gateway, |config| config.replace("care_from", "consent = \"enforce\"\ncare_from")).await;
    let forbidden = get(gateway, &token, &format!("Patient/{forbids}")).await;
    assert_eq!((forbidden.status, forbidden.text()), (404, absent.text()));
    let last = gateway.audit(&["--user", &person.name, "--outcome", "deny"]).pop().unwrap();
    assert_eq!(last["detail"]["consent"], "Consent/c");
    assert_eq!(get(gateway, &token, &format!("Patient/{mine}")).await.status, 404);

    let said = Call::get("/fhir/metadata").to(gateway).await;
    assert_eq!((said.status, &said.json()["fhirVersion"]), (200, &json!("5.0.0")));
}

#[tokio::test]
async fn a_route_of_r4b_reads_r4b() {
    let gateway = &Gateway::demo("r4b", &[]);
    let [patient, ..] = gateway.panel("dana")[..] else { panic!("dana has patients") };
    let port = behind::port(gateway);
    let between = Between::start(port, patient).await;
    between.behave(Manner::OfR4b);
    configure(gateway, |config| {
        let config = config.replace("care_from", "fhir_version = \"4.3\"\ncare_from");
        config.replace(&format!("http://127.0.0.1:{port}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    assert_eq!(get(gateway, &dana, &format!("Patient/{patient}")).await.status, 200);
    assert!(!found(&get(gateway, &dana, &format!("Observation?patient={patient}")).await).is_empty());
    // R4 has this type, R4B has not.
    assert_eq!(get(gateway, &dana, "EffectEvidenceSynthesis/1").await.status, 404);
    assert_eq!(get(gateway, &dana, "SubscriptionTopic?status=active").await.status, 403, "a type of R4B");
}

#[tokio::test]
async fn a_server_that_becomes_one_of_another_version_is_asked_for_nothing_until_it_says_otherwise() {
    let gateway = &Gateway::demo("upgraded", &[]);
    let [patient, ..] = gateway.panel("dana")[..] else { panic!("dana has patients") };
    let port = behind::port(gateway);
    let between = Between::start(port, patient).await;
    let own = format!("http://127.0.0.1:{}", between.port);
    configure(gateway, |config| config.replace(&format!("http://127.0.0.1:{port}"), &own)).await;
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let asked =
        [format!("Patient/{patient}"), format!("Observation?patient={patient}"), "metadata".to_owned()];
    for (manner, status) in [
        (Manner::Honest, 200),
        (Manner::OfR5, 502),
        // What it said last holds over a new configuration.
        (Manner::Mute, 502),
        (Manner::Honest, 200),
        (Manner::Mute, 200),
    ] {
        between.behave(manner);
        // It is asked anew before the configuration is in force, as it is every minute.
        configure(gateway, |config| config).await;
        between.calls();
        for what in &asked {
            let answer = get(gateway, &dana, what).await;
            assert_eq!(answer.status, status, "{manner:?} {what} {}", answer.text());
            if status == 502 {
                assert!(answer.text().contains("another version of FHIR"), "{}", answer.text());
            }
        }
        let draft = json!({ "resourceType": "Patient", "id": patient });
        if status == 502 {
            let path = format!("/fhir/Patient/{patient}");
            let refused = Call::fhir("PUT", &path, &draft).bearer(&dana).to(gateway).await;
            assert_eq!(refused.status, 502, "{}", refused.text());
            assert_eq!(between.calls(), 0, "it is asked for nothing");
            let record = gateway.audit(&["--user", "dana", "--outcome", "error"]).pop().unwrap();
            assert_eq!(record["decision"]["reason"], "upstream-other-version");
        }
    }
}

#[tokio::test]
async fn a_server_is_read_only_once_it_has_said_its_version() {
    let clinic = &Gateway::demo("unsaid", &[]);
    let [patient, ..] = clinic.panel("dana")[..] else { panic!("dana has patients") };
    let between = Between::start(behind::port(clinic), patient).await;
    let secret = clinic.folder().join("secrets/fhir-upstream");
    let route = format!(
        "[[route]]\nname = \"ehr\"\nkind = \"fhir\"\npath = \"/fhir\"\nupstream = \"http://127.0.0.1:{}/fhir\"\n\
         upstream_auth = {{ bearer = {{ file = \"{}\" }} }}\n",
        between.port,
        secret.display()
    );
    let scope = "openid fhirUser user/*.rs";
    let path = format!("/fhir/Patient/{patient}");
    let begin = async |name: &str, manner: Manner| {
        between.behave(manner);
        let gateway = serve_routes(name, "", &route, scope);
        let physician = gateway.person("physician", &[patient]);
        let app = App { client: "till", secret: None, scope, patient: None, route: "/fhir" };
        let token = app.tokens(&gateway, &physician).await.access;
        (gateway, token)
    };
    let (gateway, token) = begin("unsaid-first", Manner::Mute).await;
    between.calls();
    let refused = Call::get(&path).bearer(&token).to(&gateway).await;
    assert!(refused.status == 502 && refused.text().contains("has not said"), "{}", refused.text());
    assert_eq!(between.calls(), 0, "it is asked for no record");
    let record = gateway.audit(&["--action", "read"]).pop().unwrap();
    assert_eq!(record["decision"]["reason"], "upstream-no-version");
    // Once it says it, the next request finds out. What it said holds when it falls silent.
    for manner in [Manner::Honest, Manner::Mute] {
        between.behave(manner);
        let found = Call::get(&path).bearer(&token).to(&gateway).await;
        assert_eq!(found.status, 200, "{manner:?} {}", found.text());
    }

    let (gateway, token) = begin("unsaid-other", Manner::OfR5).await;
    between.calls();
    let refused = Call::get(&path).bearer(&token).to(&gateway).await;
    assert!(refused.status == 502 && refused.text().contains("another version"), "{}", refused.text());
    assert_eq!(between.calls(), 0, "the first request waits for its first word");
}
