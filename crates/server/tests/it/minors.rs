//! Who acts for a child, through the gateway: they see the child's records as long as it is one, and not those of a treatment
//! in confidence.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::care::{configure, found};
use crate::fakes::behind;
use crate::fakes::between::{Between, Manner};
use crate::gateway::{Gateway, Person};
use crate::wire::{Answer, Call};

async fn token_of(gateway: &Gateway, person: &Person) -> String {
    App::public(USER_SCOPE).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_sees_their_child_and_nothing_confidential_and_nobody_who_is_of_age() {
    let gateway = &Gateway::demo("minors", &[]);
    let real = behind::port(gateway);
    let patient = |id: &str, born: Value| json!({ "resourceType": "Patient", "id": id, "birthDate": born, "active": true });
    let mut claims = patient("grown", json!("1990-01-01"));
    claims["meta"] = json!({ "security": [{ "code": "minor" }] });
    let shot = |id: &str, of: &str| {
        json!({ "resourceType": "Immunization", "id": id, "status": "completed",
            "patient": { "reference": format!("Patient/{of}") }, "occurrenceDateTime": "2024" })
    };
    let condition = |id: &str, code: &str| {
        json!({ "resourceType": "Condition", "id": id, "subject": { "reference": "Patient/kid" },
            "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code }] } })
    };
    let mut labelled = condition("said", "J45.909");
    labelled["meta"] = json!({ "security": [{ "code": "SEX" }] });
    let records = [
        patient("kid", json!("2020")),
        claims,
        patient("unsaid", Value::Null),
        shot("kid-shot", "kid"),
        shot("grown-shot", "grown"),
        condition("asthma", "J45.909"),
        condition("std", "A54.9"),
        labelled,
    ];
    for record in records {
        behind::put(gateway, real, &record).await;
    }
    let all = ["kid", "grown", "unsaid"];
    let proxy_person = gateway.person("proxy", &all);
    let proxy = token_of(gateway, &proxy_person).await;
    let physician = token_of(gateway, &gateway.person("physician", &all)).await;
    assert_ne!(
        get(gateway, &proxy, "Patient/kid").await.status,
        200,
        "where nothing tells minors, nobody is one"
    );

    let proxy_name = proxy_person.name.clone();
    let explained = |patient: &str| {
        let resource = format!("Patient/{patient}");
        let words =
            ["--user", &proxy_name, "--client", "demo-app", "--action", "read", "--resource", &resource];
        gateway.try_command(&[&["policy", "explain"], &words[..]].concat())
    };
    assert!(!explained("kid").success, "{:?}", explained("kid"));

    let between = Between::start(real, "grown").await;
    configure(gateway, |config| {
        config
            .replace("care_from", "minors = \"label\"\ncare_from")
            .replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    // A server that gives everybody's makes nobody younger either.
    for manner in [Manner::Honest, Manner::Heedless] {
        between.behave(manner);
        let kid = explained("kid");
        assert!(kid.success && kid.out.contains("their age gives it the label minor\n"), "{kid:?}");
        for nobody in ["grown", "unsaid"] {
            assert!(!explained(nobody).success, "{:?}", explained(nobody));
        }
        let absent = get(gateway, &proxy, "Patient/no-such").await.text().to_owned();
        for what in ["Patient/kid", "Immunization/kid-shot", "Condition/asthma"] {
            let answer = get(gateway, &proxy, what).await;
            assert_eq!(answer.status, 200, "{manner:?} {what} {}", answer.text());
        }
        for what in
            ["Patient/grown", "Patient/unsaid", "Immunization/grown-shot", "Condition/std", "Condition/said"]
        {
            let answer = get(gateway, &proxy, what).await;
            assert_eq!((answer.status, answer.text()), (404, absent.as_str()), "{manner:?} {what}");
            assert_eq!(get(gateway, &physician, what).await.status, 200, "{manner:?} {what}");
        }
        assert_eq!(found(&get(gateway, &proxy, "Patient").await), ["kid"]);
        assert_eq!(found(&get(gateway, &proxy, "Condition?patient=kid").await), ["asthma"]);
        assert_eq!(found(&get(gateway, &proxy, "Immunization").await), ["kid-shot"]);
    }
    // What is written through the gateway counts at once.
    between.behave(Manner::Honest);
    let of_age = patient("kid", json!("2000"));
    let done = Call::fhir("PUT", "/fhir/Patient/kid", &of_age).bearer(&physician).to(gateway).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(get(gateway, &proxy, "Immunization/kid-shot").await.status, 404);
    let record = gateway.audit(&["--outcome", "deny"]).pop().unwrap();
    assert_eq!(record["decision"]["policies"], json!(["proxy-minors-only"]), "{record}");
}

#[tokio::test]
async fn that_its_patient_is_a_minor_makes_a_record_no_more_sensitive_to_consents() {
    let gateway = &Gateway::demo("minors-consents", &[]);
    let real = behind::port(gateway);
    let shot = |id: &str, security: Value| {
        json!({ "resourceType": "Immunization", "id": id, "status": "completed", "meta": { "security": security },
            "patient": { "reference": "Patient/kid" }, "occurrenceDateTime": "2024" })
    };
    let confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
    let records = [
        json!({ "resourceType": "Patient", "id": "kid", "birthDate": "2020" }),
        shot("plain", json!([])),
        shot("sensitive", json!([{ "code": "HIV" }])),
        json!({ "resourceType": "Consent", "id": "c", "status": "active", "patient": { "reference": "Patient/kid" },
            "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
            "provision": { "type": "deny", "securityLabel": [{ "system": confidentiality, "code": "R" }] } }),
    ];
    for record in records {
        behind::put(gateway, real, &record).await;
    }
    let physician = token_of(gateway, &gateway.person("physician", &["kid"])).await;
    configure(gateway, |config| {
        config.replace("care_from", "minors = \"label\"\nconsent = \"enforce\"\ncare_from")
    })
    .await;
    // One has no label of its own; of the other it is said that it is sensitive, and not how much.
    for (what, status) in [("Immunization/plain", 200), ("Immunization/sensitive", 404)] {
        let answer = get(gateway, &physician, what).await;
        assert_eq!(answer.status, status, "{what} {}", answer.text());
    }
}
