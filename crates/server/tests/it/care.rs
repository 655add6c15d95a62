//! Who is in whose care by what the FHIR server says, through the gateway: a CareTeam, an Encounter, an Appointment.

use serde_json::{Value, json};

use crate::browser::{App, Browser, USER_SCOPE};
use crate::fakes::behind;
use crate::fakes::between::{Between, Manner};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Person};
use crate::shared;
use crate::wire::{Answer, Call, encode};

async fn token_of(gateway: &Gateway, person: &Person) -> String {
    App::public(USER_SCOPE).tokens(gateway, person).await.access
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

fn to(reference: &str) -> Value {
    json!({ "reference": reference })
}

fn team(id: &str, carer: &str, patient: &str) -> Value {
    json!({ "resourceType": "CareTeam", "id": id, "status": "active", "subject": to(&format!("Patient/{patient}")),
        "participant": [{ "member": to(carer) }] })
}

fn stay(id: &str, carer: &str, patient: &str) -> Value {
    json!({ "resourceType": "Encounter", "id": id, "status": "in-progress", "class": { "code": "IMP" },
        "subject": to(&format!("Patient/{patient}")), "participant": [{ "individual": to(carer) }] })
}

fn meeting(id: &str, carer: &str, patient: &str) -> Value {
    let now = chartgate_values::Timestamp::from_unix(crate::possession::now());
    json!({ "resourceType": "Appointment", "id": id, "status": "booked",
        "start": now.to_string(), "end": now.plus(std::time::Duration::from_secs(1800)).to_string(), "participant": [
            { "actor": to(carer), "status": "accepted" },
            { "actor": to(&format!("Patient/{patient}")), "status": "accepted" }] })
}

pub(crate) fn found(bundle: &Answer) -> Vec<String> {
    let bundle = bundle.json();
    let entries = bundle["entry"].as_array().into_iter().flatten();
    // Beside records there can be a word on emergencies.
    let id = |entry: &Value| entry["resource"]["id"].as_str().map(str::to_owned);
    let mut ids: Vec<String> = entries.filter_map(id).collect();
    ids.sort_unstable();
    ids
}

/// The detail `care` of the last record of somebody's.
fn relied_on(gateway: &Gateway, person: &Person, name: &str) -> Option<String> {
    let records = gateway.audit(&["--user", &person.name]);
    let last = records.iter().rfind(|record| record["event"] == "access");
    last.unwrap()["detail"][name].as_str().map(str::to_owned)
}

/// Changes the demo's configuration, and waits until it is in force.
pub(crate) async fn configure(gateway: &Gateway, change: impl Fn(String) -> String) {
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let before = gateway.audit(&[]).iter().filter(|record| record["event"] == "config.reload").count();
    std::fs::write(gateway.config(), change(config)).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", before.saturating_add(1)).await;
}

#[tokio::test]
async fn who_is_in_care_by_what_the_server_says_is_in_care_on_every_path() {
    let gateway = &Gateway::demo("care", &[]);
    let port = behind::port(gateway);
    let person = gateway.person("physician", &[]);
    let me = format!("Practitioner/{}", person.name);
    let [a, b, c, other] = [10, 11, 12, 13].map(|at| gateway.patients()[at]);
    for record in
        [team("t1", &me, a), stay("e1", &me, b), meeting("m1", &me, c), stay("e2", "Practitioner/x", other)]
    {
        behind::put(gateway, port, &record).await;
    }
    let token = token_of(gateway, &person).await;

    for (patient, proof) in [(a, "CareTeam/t1"), (b, "Encounter/e1"), (c, "Appointment/m1")] {
        assert_eq!(get(gateway, &token, &format!("Patient/{patient}")).await.status, 200, "{proof}");
        assert_eq!(relied_on(gateway, &person, "care").as_deref(), Some(proof));
    }
    let absent = get(gateway, &token, "Patient/no-such").await;
    let others = get(gateway, &token, &format!("Patient/{other}")).await;
    assert_eq!((others.status, others.text()), (404, absent.text()));
    assert_eq!(relied_on(gateway, &person, "care"), None);

    // All that there is of them is found, and nothing of anybody else's.
    let mut mine = [a, b, c].map(str::to_owned).to_vec();
    mine.sort_unstable();
    assert_eq!(found(&get(gateway, &token, "Patient?_count=100").await), mine);
    assert_eq!(
        relied_on(gateway, &person, "care").as_deref(),
        Some("Appointment/m1, CareTeam/t1, Encounter/e1")
    );
    let encounters = found(&get(gateway, &token, "Encounter?_count=100").await);
    assert!(
        encounters.iter().all(|id| mine.iter().any(|own| id.starts_with(own)) || id == "e1"),
        "{encounters:?}"
    );
    assert_eq!(found(&get(gateway, &token, &format!("Patient?_id={a},{other}")).await), [a]);
    assert!(!found(&get(gateway, &token, &format!("Observation?patient={b}")).await).is_empty());
    assert!(found(&get(gateway, &token, &format!("Observation?patient={other}")).await).is_empty());
    assert_eq!(get(gateway, &token, &format!("Patient/{c}/$everything")).await.status, 200);
    assert_eq!(get(gateway, &token, &format!("Patient/{other}/$everything")).await.status, 404);
    assert_eq!(get(gateway, &token, &format!("Patient/{a}/_history")).await.status, 200);

    // To write as well: one by one, and in a batch of which each entry is decided on by itself.
    let observation = |patient: &str| {
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": to(&format!("Patient/{patient}")) })
    };
    for (patient, status) in [(a, 201), (other, 403)] {
        let made =
            Call::fhir("POST", "/fhir/Observation", &observation(patient)).bearer(&token).to(gateway).await;
        assert_eq!(made.status, status, "{}", made.text());
    }
    let entry = |method: &str, url: String, resource: Value| json!({ "request": { "method": method, "url": url }, "resource": resource });
    let mut entries: Vec<Value> = [b, other]
        .iter()
        .map(|id| json!({ "request": { "method": "GET", "url": format!("Patient/{id}") } }))
        .collect();
    entries.extend([c, other].map(|id| entry("POST", "Observation".to_owned(), observation(id))));
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let fresh = gateway.person("physician", &[]);
    behind::put(gateway, port, &team("t2", &format!("Practitioner/{}", fresh.name), b)).await;
    behind::put(gateway, port, &team("t3", &format!("Practitioner/{}", fresh.name), c)).await;
    let answer =
        Call::fhir("POST", "/fhir", &batch).bearer(&token_of(gateway, &fresh).await).to(gateway).await;
    let statuses: Vec<String> = answer.json()["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["response"]["status"].as_str().unwrap().chars().take(3).collect())
        .collect();
    assert_eq!(statuses, ["200", "404", "201", "403"], "{}", answer.text());

    // The picker, and what administrators ask.
    let app = App { patient: Some(b), ..App::public("launch/patient patient/*.rs") };
    let in_context = app.tokens(gateway, &person).await.access;
    assert_eq!(get(gateway, &in_context, &format!("Patient/{b}")).await.status, 200);
    let explain = |patient: &str| {
        let resource = format!("Patient/{patient}");
        let words = [
            "policy",
            "explain",
            "--user",
            &person.name,
            "--client",
            "demo-app",
            "--action",
            "read",
            "--resource",
            &resource,
        ];
        gateway.try_command(&words).out
    };
    let told = explain(a);
    assert!(told.starts_with("allow") && told.contains("on the route `fhir` by CareTeam/t1"), "{told}");
    assert!(explain(other).starts_with("deny"), "{}", explain(other));
    let who = gateway.command(&["policy", "explain", "--patient", b]);
    assert!(who.contains(&person.name) && who.contains("Encounter/e1 on the route fhir"), "{who}");
    let of_others = gateway.command(&["policy", "explain", "--patient", other]);
    assert!(!of_others.contains("in their care (Enc") && of_others.contains("emergency"), "{of_others}");

    // What is written through the gateway counts at once: the stay was somebody else's, after all.
    let ended = stay("e1", "Practitioner/x", b);
    let put = Call::fhir("PUT", "/fhir/Encounter/e1", &ended).bearer(&token).to(gateway).await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(get(gateway, &token, &format!("Patient/{b}")).await.status, 404);
    assert_eq!(get(gateway, &token, &format!("Patient/{a}")).await.status, 200);
}

#[tokio::test]
async fn a_person_of_the_demo_sees_whom_the_sample_server_names_them_for() {
    let gateway = crate::shared::demo();
    let cleo = token_of(gateway, &gateway.demo_person("cleo")).await;
    assert_eq!(found(&get(gateway, &cleo, "Patient?_count=100").await), ["pt-1019", "pt-1020", "pt-1021"]);
    assert_eq!(get(gateway, &cleo, "Patient/pt-1018").await.status, 404);
    // What is theirs who are no practitioners, and of programs, is for policy and table alone.
    let nils = token_of(gateway, &gateway.demo_person("nils")).await;
    assert_eq!(get(gateway, &nils, "Patient/pt-1021").await.status, 404);
}

#[tokio::test]
async fn who_takes_part_by_a_role_is_looked_for_where_the_route_says_so() {
    let gateway = &Gateway::demo("care-roles", &[]);
    let port = behind::port(gateway);
    let person = gateway.person("physician", &[]);
    let patient = gateway.patients()[14];
    let role = |id: &str, holder: &str, active: bool| json!({ "resourceType": "PractitionerRole", "id": id, "active": active, "practitioner": to(holder) });
    let me = format!("Practitioner/{}", person.name);
    for record in [
        role("mine", &me, true),
        role("former", &me, false),
        role("hers", "Practitioner/x", true),
        team("by-role", "PractitionerRole/mine", patient),
        team("by-former", "PractitionerRole/former", gateway.patients()[15]),
        team("by-hers", "PractitionerRole/hers", gateway.patients()[16]),
    ] {
        behind::put(gateway, port, &record).await;
    }
    let token = token_of(gateway, &person).await;
    assert_eq!(found(&get(gateway, &token, "Patient").await), [""; 0]);
    configure(gateway, |config| config.replace("care_from", "care_roles = true\ncare_from")).await;
    assert_eq!(found(&get(gateway, &token, "Patient").await), [patient]);
    assert!(gateway.command(&["policy", "explain", "--patient", patient]).contains(&person.name));
    // Without the table and without sources, nobody is.
    configure(gateway, |config| config.replace(r#""table", "care-team", "#, "")).await;
    assert_eq!(found(&get(gateway, &token, "Patient").await), [""; 0]);
    let dana = token_of(gateway, &gateway.demo_person("dana")).await;
    let of_the_table = gateway.panel("dana")[0];
    assert_eq!(
        get(gateway, &dana, &format!("Patient/{of_the_table}")).await.status,
        404,
        "the table counts no more"
    );
}

#[tokio::test]
async fn no_answer_makes_a_relation_that_no_resource_proves_and_a_failure_makes_none() {
    let gateway = &Gateway::demo("care-manners", &[]);
    let real = behind::port(gateway);
    let [mine, other] = [10, 20].map(|at| gateway.patients()[at]);
    let between = Between::start(real, other).await;
    configure(gateway, |config| {
        let moved = config
            .replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port));
        moved.replace("care_from", "care_cache = \"1s\"\ncare_from")
    })
    .await;
    let person = gateway.person("physician", &[]);
    let me = format!("Practitioner/{}", person.name);
    behind::put(gateway, real, &team("t1", &me, mine)).await;
    for at in 13..24 {
        let patient = gateway.patients()[at];
        behind::put(gateway, real, &team(&format!("x{at}"), "Practitioner/x", patient)).await;
        behind::put(gateway, real, &stay(&format!("y{at}"), "Practitioner/x", patient)).await;
    }
    let mut ended = team("ended", &me, other);
    ended["status"] = json!("inactive");
    behind::put(gateway, real, &ended).await;
    let token = token_of(gateway, &person).await;
    for manner in [Manner::Honest, Manner::Heedless, Manner::Lying] {
        between.behave(manner);
        for patient in &gateway.patients()[13..24] {
            let answer = get(gateway, &token, &format!("Patient/{patient}")).await;
            assert_ne!(answer.status, 200, "{manner:?} {patient}");
        }
        let found = found(&get(gateway, &token, "Patient?_count=100").await);
        assert!(found.iter().all(|id| id == mine), "{manner:?}: {found:?}");
        let observations = get(gateway, &token, "Observation?_count=100").await;
        for patient in &gateway.patients()[13..24] {
            assert!(!observations.text().contains(*patient), "{manner:?} {patient}");
        }
    }
    // Who cannot be asked has said nothing, and the record says so.
    between.behave(Manner::Failing);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(get(gateway, &token, &format!("Patient/{mine}")).await.status, 404);
    let failed = relied_on(gateway, &person, "care_failed").unwrap();
    assert_eq!(failed, "Appointment: answered 500, CareTeam: answered 500, Encounter: answered 500");
    // Whom the table names is in care whatever the server says, and nobody asks it.
    let dana = gateway.demo_person("dana");
    let token = token_of(gateway, &dana).await;
    let of_the_table = gateway.panel("dana")[0];
    between.calls();
    assert_eq!(get(gateway, &token, &format!("Patient/{of_the_table}")).await.status, 200);
    assert_eq!(get(gateway, &token, &format!("Observation?patient={of_the_table}")).await.status, 200);
    assert_eq!(between.calls(), 2);
    assert_eq!(relied_on(gateway, &dana, "care").as_deref(), Some("table"));
    // What is another's and what is not there cost the server behind the same.
    between.behave(Manner::Honest);
    let mut counts = Vec::new();
    for what in [format!("Patient/{other}"), "Patient/no-such".to_owned(), "Observation/no-such".to_owned()] {
        let token = token_of(gateway, &gateway.person("physician", &[])).await;
        between.calls();
        let status = get(gateway, &token, &what).await.status;
        counts.push((status, between.calls()));
    }
    assert_eq!(counts, [(404, 5); 3], "the record, a team, two of visits, an appointment");
}

#[test]
fn one_persons_id_is_not_looked_for_on_two_servers() {
    let gateway = crate::shared::demo();
    let own = std::fs::read_to_string(gateway.config()).unwrap();
    let check = |upstream: &str, care: &str| {
        let more = format!(
            "{own}\n[[route]]\nname = \"other\"\nkind = \"fhir\"\npath = \"/other\"\nupstream = \"{upstream}\"\n{care}\n"
        );
        let file = gateway.folder().join("two-servers.toml");
        std::fs::write(&file, more).unwrap();
        crate::gateway::chartgate(&["config", "check", "--config", file.to_str().unwrap()])
    };
    let (elsewhere, same) =
        ("https://ehr.example/r4", format!("http://127.0.0.1:{}/fhir/", behind::port(gateway)));
    let refused = check(elsewhere, "care_from = [\"encounter\"]");
    assert!(!refused.success && refused.err.contains("care_from"), "{}", refused.err);
    assert!(refused.err.contains("asks another server than route `other`"), "{}", refused.err);
    for (upstream, care) in [
        (elsewhere, ""),
        (elsewhere, "care_from = [\"table\"]"),
        (same.as_str(), "care_from = [\"encounter\"]"),
    ] {
        let done = check(upstream, care);
        assert!(done.success, "{upstream} {care}: {}", done.err);
    }
}

#[tokio::test]
async fn whoever_has_more_in_care_than_can_be_listed_types_whose_record_it_is() {
    let gateway = shared::demo();
    let patient = gateway.patients()[0];
    let person = gateway.person("physician", &[patient]);
    let many: String = (0..200).map(|number| format!("{},pt-{number}\n", person.name)).collect();
    let file = gateway.scratch().write("many.csv", many);
    gateway.command(&["care", "import", "--source", &person.name, file.to_str().unwrap()]);
    let app = App { patient: Some(patient), ..App::public("launch/patient patient/*.rs") };
    let request = app.request(gateway);
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut browser = Browser::default();
    browser.sign_in(gateway, &person).await;
    let page = browser.follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    assert!(page.text().contains("<input id=\"patient\""), "{}", page.text());
    let tokens = app.tokens_in(gateway, &mut browser, &person).await;
    assert_eq!(tokens.claims()["patient"], patient);
    let stranger = gateway.patients().into_iter().find(|id| *id != patient).unwrap();
    let page = browser.submit(gateway, &page, &[("patient", stranger)]).await;
    assert!(page.text().contains("role=\"alert\""), "nobody else's: {}", page.text());
}
