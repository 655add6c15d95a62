//! Consents of patients, through the gateway: what one forbids is absent for whom it forbids it, and on record by its name.

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::care::{configure, found};
use crate::emergency::{granted, signed_in};
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

fn consent(id: &str, patient: &str, provision: Value) -> Value {
    let scope =
        json!({ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" });
    let mut consent = json!({ "resourceType": "Consent", "id": id, "status": "active",
        "scope": { "coding": [scope] }, "patient": { "reference": format!("Patient/{patient}") } });
    consent["provision"] = provision;
    consent
}

fn to(carer: &str) -> Value {
    json!([{ "reference": { "reference": carer } }])
}

/// Reason, policies and Consents of the last denied request of somebody's.
fn denied(gateway: &Gateway, who: &str) -> (Value, Value, Value) {
    let record = gateway.audit(&["--user", who, "--outcome", "deny"]).pop().unwrap();
    let decision = &record["decision"];
    (decision["reason"].clone(), decision["policies"].clone(), record["detail"]["consent"].clone())
}

async fn enforced(gateway: &Gateway, more: &str) {
    configure(gateway, |config| {
        config.replace("care_from", &format!("consent = \"enforce\"\n{more}\ncare_from"))
    })
    .await;
}

#[tokio::test]
async fn what_a_patient_has_forbidden_is_absent_for_whom_they_have_forbidden_it() {
    let gateway = &Gateway::demo("consents", &[]);
    let port = behind::port(gateway);
    // In the care of both.
    let [all, part, unclear, ended, of_others, later] =
        [4, 5, 6, 7, 0, 1].map(|at| gateway.panel("dana")[at]);
    let observations = json!([{ "type": "deny", "class": [{ "system": "http://hl7.org/fhir/resource-types", "code": "Observation" }] }]);
    let mut vague = consent("vague", unclear, json!({ "type": "deny" }));
    vague["scope"] = json!({ "text": "something about privacy" });
    let mut inactive = consent("inactive", ended, json!({ "type": "deny" }));
    inactive["status"] = json!("inactive");
    for record in [
        consent("all", all, json!({ "type": "deny", "actor": to("Practitioner/dana") })),
        consent("part", part, json!({ "type": "permit", "provision": observations })),
        vague,
        inactive,
        consent("others", of_others, json!({ "type": "deny", "actor": to("Practitioner/x") })),
    ] {
        behind::put(gateway, port, &record).await;
    }
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let nils = token_of(gateway, &gateway.demo_person("nils")).await;
    assert_eq!(get(gateway, &dana, &format!("Patient/{all}")).await.status, 200, "the route ignores it");
    enforced(gateway, "").await;

    // Absent, by the same bytes, on every path; and for nobody else.
    let absent = get(gateway, &dana, "Patient/no-such").await;
    for what in
        [format!("Patient/{all}"), format!("Patient/{all}/_history"), format!("Patient/{all}/$everything")]
    {
        let answer = get(gateway, &dana, &what).await;
        assert_eq!((answer.status, answer.text()), (404, absent.text()), "{what}");
    }
    let forbidden = (json!("consent-denied"), json!(["consent-denies"]), json!("Consent/all"));
    assert_eq!(denied(gateway, "dana"), forbidden);
    assert_eq!(get(gateway, &nils, &format!("Patient/{all}")).await.status, 200);
    assert!(!found(&get(gateway, &dana, "Patient?_count=100").await).contains(&all.to_owned()));
    assert!(found(&get(gateway, &nils, "Patient?_count=100").await).contains(&all.to_owned()));
    assert!(found(&get(gateway, &dana, &format!("Observation?patient={all}")).await).is_empty());
    let observation = |patient: &str| {
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{patient}") } })
    };
    let made = Call::fhir("POST", "/fhir/Observation", &observation(all)).bearer(&dana).to(gateway).await;
    assert_eq!(made.status, 403, "nobody stores what they may not see");
    let entries: Vec<Value> = [all, part]
        .iter()
        .map(|id| json!({ "request": { "method": "GET", "url": format!("Patient/{id}") } }))
        .collect();
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let answer = Call::fhir("POST", "/fhir", &batch).bearer(&dana).to(gateway).await.json();
    let status = |at: usize| answer["entry"][at]["response"]["status"].as_str().unwrap().to_owned();
    assert!(status(0).starts_with("404") && status(1).starts_with("200"), "{answer}");

    // A type of record, by an exception to what is permitted.
    assert_eq!(get(gateway, &dana, &format!("Patient/{part}")).await.status, 200);
    assert!(found(&get(gateway, &nils, &format!("Observation?patient={part}")).await).is_empty());
    assert!(!found(&get(gateway, &nils, &format!("Condition?patient={part}")).await).is_empty());
    let everything = get(gateway, &dana, &format!("Patient/{part}/$everything?_count=200")).await;
    assert!(
        everything.status == 200 && !everything.text().contains("resourceType\":\"Observation"),
        "{}",
        everything.text()
    );

    // What cannot be understood is refused for a reason of its own; what is over, or of others, refuses nothing.
    assert_eq!(get(gateway, &dana, &format!("Patient/{unclear}")).await.status, 404);
    let unclear_to = (json!("consent-unclear"), json!(["consent-unclear"]), json!("Consent/vague"));
    assert_eq!(denied(gateway, "dana"), unclear_to);
    for open in [ended, of_others] {
        assert_eq!(get(gateway, &dana, &format!("Patient/{open}")).await.status, 200, "{open}");
    }
    // Programs are refused as well.
    let bea = token_of(gateway, &gateway.demo_person("bea")).await;
    assert_eq!(get(gateway, &bea, &format!("Patient/{unclear}")).await.status, 404);

    // A Consent that is written through the gateway counts at once.
    assert_eq!(get(gateway, &dana, &format!("Patient/{later}")).await.status, 200);
    let new = consent("new", later, json!({ "type": "deny", "purpose": [{ "code": "PurposeOfUse" }] }));
    let made = Call::fhir("POST", "/fhir/Consent", &new).bearer(&dana).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(get(gateway, &dana, &format!("Patient/{later}")).await.status, 404);

    // A medical emergency goes past it, and the record names it.
    let person = gateway.demo_person("dana");
    let mut browser = signed_in(gateway, &person).await;
    let app = App::public("openid user/*.cruds");
    let urgent = granted(gateway, &mut browser, &app, &person, all).await.access;
    assert_eq!(get(gateway, &urgent, &format!("Patient/{all}")).await.status, 200);
    let records = gateway.audit(&["--user", "dana"]);
    let last = records.iter().rfind(|record| record["event"] == "access").unwrap();
    assert_eq!(
        (&last["outcome"], &last["detail"]["consent"]),
        (&json!("allow"), &json!("Consent/all")),
        "{last}"
    );
}

#[tokio::test]
async fn what_is_written_on_one_route_to_a_server_counts_on_the_others() {
    let gateway = &Gateway::demo("consent-routes", &[]);
    let port = behind::port(gateway);
    let [forbids, leaves] = [4, 5].map(|at| gateway.panel("dana")[at]);
    configure(gateway, |config| {
        let config = config.replace("care_from", "consent = \"enforce\"\ncare_from");
        let (_, route) = config.split_once("[[route]]").unwrap();
        let portal = route.replace("\"fhir\"\nkind", "\"portal\"\nkind").replace("\"/fhir\"", "\"/portal\"");
        let portal = portal.replace("name          = \"fhir\"", "name = \"portal\"");
        format!("{config}\n[[route]]{portal}")
    })
    .await;
    let physician = gateway.person("physician", &[forbids]);
    let me = format!("Practitioner/{}", physician.name);
    let team = json!({ "resourceType": "CareTeam", "id": "moves", "status": "active",
        "subject": { "reference": format!("Patient/{leaves}") },
        "participant": [{ "member": { "reference": me } }] });
    behind::put(gateway, port, &team).await;
    let read = token_of(gateway, &physician).await;
    for patient in [forbids, leaves] {
        assert_eq!(get(gateway, &read, &format!("Patient/{patient}")).await.status, 200, "{patient}");
    }
    let portal = App { route: "/portal", ..App::public("openid user/*.cruds") };
    let written = portal.tokens(gateway, &gateway.demo_person("dana")).await.access;
    let new = consent("by-portal", forbids, json!({ "type": "deny" }));
    let ended = json!({ "resourceType": "CareTeam", "id": "moves", "status": "inactive",
        "subject": team["subject"], "participant": team["participant"] });
    for (method, path, body) in [("POST", "/portal/Consent", new), ("PUT", "/portal/CareTeam/moves", ended)] {
        let answer = Call::fhir(method, path, &body).bearer(&written).to(gateway).await;
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    for patient in [forbids, leaves] {
        assert_eq!(get(gateway, &read, &format!("Patient/{patient}")).await.status, 404, "{patient}");
    }
}

#[tokio::test]
async fn a_server_that_looks_at_the_first_name_alone_is_asked_about_each() {
    let gateway = &Gateway::demo("consent-lists", &[]);
    let real = behind::port(gateway);
    let mut panel = gateway.panel("dana");
    panel.sort_unstable();
    let between = Between::start(real, gateway.stranger_to("dana")).await;
    for id in [panel[1], panel[3]] {
        behind::put(gateway, real, &consent(&format!("c-{id}"), id, json!({ "type": "deny" }))).await;
    }
    enforced(gateway, "consent_cache = \"1s\"").await;
    configure(gateway, |config| {
        config.replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let open: Vec<&str> = panel.iter().copied().filter(|id| ![panel[1], panel[3]].contains(id)).collect();
    let asked = format!("_id={}&_count=100", panel.join(","));
    let encounters = format!("Patient?{asked}");
    for manner in [Manner::First, Manner::Honest, Manner::First] {
        between.behave(manner);
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        if manner == Manner::First {
            // One that was seen to take lists and stops doing so has changed under us: asked anew where the route is.
            configure(gateway, |config| format!("{config}\n")).await;
        }
        assert_eq!(found(&get(gateway, &dana, &encounters).await), open, "{manner:?}");
    }
}

#[tokio::test]
async fn one_patients_many_consents_make_nobody_elses_records_absent() {
    let gateway = &Gateway::demo("consent-many", &[]);
    let real = behind::port(gateway);
    let mut panel = gateway.panel("dana");
    panel.sort_unstable();
    let (many, denies) = (panel[1], panel[3]);
    let between = Between::start(real, many).await;
    between.behave(Manner::Endless);
    behind::put(gateway, real, &consent("c-denies", denies, json!({ "type": "deny" }))).await;
    enforced(gateway, "consent_cache = \"1s\"").await;
    configure(gateway, |config| {
        config.replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let open: Vec<&str> = panel.iter().copied().filter(|id| ![many, denies].contains(id)).collect();
    let asked = format!("Patient?_id={}&_count=100", panel.join(","));
    assert_eq!(found(&get(gateway, &dana, &asked).await), open);
    assert_eq!(get(gateway, &dana, &format!("Patient/{many}")).await.status, 404);
    assert_eq!(denied(gateway, "dana").0, "consent-unclear");
}

#[tokio::test]
async fn a_consent_that_cannot_be_asked_for_is_one_that_might_forbid_it() {
    let gateway = &Gateway::demo("consent-manners", &[]);
    let real = behind::port(gateway);
    let [own, other] = [gateway.panel("dana")[0], gateway.stranger_to("dana")];
    let between = Between::start(real, other).await;
    behind::put(gateway, real, &consent("others", other, json!({ "type": "deny" }))).await;
    enforced(gateway, "consent_cache = \"1s\"").await;
    configure(gateway, |config| {
        config.replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let own = format!("Patient/{own}");
    // A server that gives everybody's gives nobody another's refusal.
    for (manner, status) in
        [(Manner::Honest, 200), (Manner::Heedless, 200), (Manner::Failing, 404), (Manner::Honest, 200)]
    {
        between.behave(manner);
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(get(gateway, &dana, &own).await.status, status, "{manner:?}");
        if manner == Manner::Failing {
            let failed =
                (json!("consent-unclear"), json!(["consent-unclear"]), json!("Consent: answered 500"));
            assert_eq!(denied(gateway, "dana"), failed);
        }
    }
    // One that lies, by records of other types, has said nothing that could be believed.
    between.behave(Manner::Lying);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_ne!(get(gateway, &dana, &own).await.status, 200);
    // What is another's takes no other calls than what is not there.
    between.behave(Manner::Honest);
    let mut counts = Vec::new();
    for what in [format!("Patient/{other}"), "Patient/no-such".to_owned()] {
        let token = token_of(gateway, &gateway.person("physician", &[])).await;
        between.calls();
        let status = get(gateway, &token, &what).await.status;
        counts.push((status, between.calls()));
    }
    assert_eq!(counts, [(404, 5); 2]);
}

#[tokio::test]
async fn a_server_that_remembers_searches_is_asked_for_what_is_there_now() {
    let gateway = &Gateway::demo("consent-memory", &[]);
    let real = behind::port(gateway);
    let own = gateway.panel("dana")[0];
    let between = Between::start(real, gateway.stranger_to("dana")).await;
    enforced(gateway, "").await;
    configure(gateway, |config| {
        config.replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
    })
    .await;
    between.behave(Manner::Remembering);
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    assert_eq!(get(gateway, &dana, &format!("Patient/{own}")).await.status, 200);
    let new = consent("new", own, json!({ "type": "deny" }));
    let made = Call::fhir("POST", "/fhir/Consent", &new).bearer(&dana).to(gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(get(gateway, &dana, &format!("Patient/{own}")).await.status, 404);
}
