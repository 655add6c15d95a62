//! Known ways to another patient's record, each tried before a FHIR server that is honest, one that gives all whatever is
//! asked, and one that lies: nothing of anybody else's leaves, whatever comes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::between::{Between, Manner};
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::wire::{Answer, Call};

/// One attack, and how it ends before an honest server.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    status: u16,
    pub(crate) call: Call,
}

pub(crate) fn attacks(me: &str, own: &str, other: &str) -> Vec<Attack> {
    let get = |what: &str| Call::get(&format!("/fhir/{what}"));
    let observation = |subject: &str| {
        json!({ "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": format!("Patient/{subject}") } })
    };
    let others = format!("Observation/{other}-obs00");
    let mut moved = observation(other);
    moved["id"] = json!(own);
    let mut performed = observation(other);
    performed["performer"] = json!([{ "reference": format!("Patient/{me}") }]);
    let mut contained = observation(me);
    contained["contained"] = json!([{ "resourceType": "Patient", "id": "p" }]);
    contained["subject"] = json!({ "reference": "#p" });
    let bundle = |kind: &str, method: &str, url: &str| {
        let entry = json!({ "request": { "method": method, "url": url } });
        Call::fhir("POST", "/fhir", &json!({ "resourceType": "Bundle", "type": kind, "entry": [entry] }))
    };
    let form = |query: &str, body: String| {
        let path = format!("/fhir/Observation/_search{query}");
        Call::new("POST", &path).body("application/x-www-form-urlencoded", body)
    };
    let patch = |what: &str, patch: &str| {
        let call = Call::new("PATCH", &format!("/fhir/{what}")).header("if-match", "W/\"1\"");
        call.body("application/json-patch+json", patch.to_owned())
    };
    let rows: Vec<(&'static str, u16, Call)> = vec![
        ("reverse chain", 400, get(&format!("Patient?_id={me}&_has:Observation:patient:code=59419-2"))),
        (
            "reverse chain off the patient",
            400,
            get(&format!("Observation?subject={me}&_has:Condition:evidence-detail:code=x")),
        ),
        ("chain", 400, get(&format!("Observation?patient={me}&patient.birthdate=ge1990"))),
        (
            "include iterated",
            200,
            get(&format!("Observation?patient={me}&_count=5&_include:iterate=Observation:performer")),
        ),
        ("everything included back", 200, get(&format!("Patient?_id={me}&_revinclude=*"))),
        ("everything included back from nobody's", 200, get("Practitioner?_revinclude=*")),
        ("include of a group", 200, get("Observation?_count=5&_include=Observation:subject:Group")),
        ("two patients in URL and body", 400, form(&format!("?patient={me}"), format!("patient={other}"))),
        ("two patients", 200, get(&format!("Observation?patient={me},{other}"))),
        ("posted for another", 200, form("", format!("patient={other}"))),
        ("not this patient", 400, get(&format!("Observation?patient:not={me}"))),
        ("patient by identifier", 400, get("Observation?patient:identifier=x|y")),
        ("another by type", 400, get(&format!("Observation?subject:Patient={other}"))),
        ("filter", 400, get(&format!("Observation?_filter=patient%20eq%20{other}"))),
        ("sort by a chain", 400, get("Observation?_sort=patient.name")),
        ("count alone", 200, get("Observation?_summary=count")),
        ("all types", 400, get("?_type=Observation")),
        ("all of a type", 200, get("Observation?_count=1000")),
        ("all patients", 200, get("Patient?_count=1000")),
        ("all conditions", 200, get("Condition")),
        ("a type that no one parameter narrows", 200, get("CareTeam")),
        ("everything of another", 404, get(&format!("Patient/{other}/$everything"))),
        ("everything", 200, get(&format!("Patient/{me}/$everything"))),
        ("compartment star", 400, get(&format!("Patient/{me}/*"))),
        ("another's compartment", 200, get(&format!("Patient/{other}/Observation"))),
        ("another", 404, get(&format!("Patient/{other}"))),
        ("another's", 404, get(&others)),
        ("another's, conditionally", 404, get(&others).header("if-none-match", "W/\"1\"")),
        ("another's version", 404, get(&format!("{others}/_history/1"))),
        ("another's history", 404, get(&format!("{others}/_history"))),
        ("one's own", 200, get(&format!("Patient/{me}"))),
        ("one's own history", 200, get(&format!("Patient/{me}/_history"))),
        ("patch of another's", 404, patch(&others, r#"[{"op":"test","path":"/status","value":"final"}]"#)),
        (
            "patch of the subject",
            403,
            patch(
                &format!("Observation/{own}"),
                &format!(r#"[{{"op":"replace","path":"/subject/reference","value":"Patient/{other}"}}]"#),
            ),
        ),
        ("create for another", 403, Call::fhir("POST", "/fhir/Observation", &observation(other))),
        (
            "create for another, performed by oneself",
            403,
            Call::fhir("POST", "/fhir/Observation", &performed),
        ),
        ("create with a contained patient", 403, Call::fhir("POST", "/fhir/Observation", &contained)),
        ("move to another", 403, Call::fhir("PUT", &format!("/fhir/Observation/{own}"), &moved)),
        (
            "conditional create by another's",
            400,
            Call::fhir("POST", "/fhir/Patient", &json!({ "resourceType": "Patient" }))
                .header("if-none-exist", "_has:Observation:patient:code=x"),
        ),
        (
            "conditional delete of another's",
            404,
            Call::new("DELETE", &format!("/fhir/Observation?_id={other}-obs00")),
        ),
        ("batch", 200, bundle("batch", "GET", &format!("Patient/{other}"))),
        ("batch with steps", 200, bundle("batch", "GET", &format!("../Patient/{other}"))),
        ("batch of a search", 200, bundle("batch", "GET", "Observation?_count=1000")),
        ("transaction", 404, bundle("transaction", "GET", &format!("Patient/{other}"))),
        ("transaction that removes", 404, bundle("transaction", "DELETE", &others)),
        ("binary", 404, get("Binary/x")),
        ("export", 400, get("Group/x/$export")),
        ("graphql", 400, get("$graphql?query=x")),
    ];
    rows.into_iter().map(|(name, status, call)| Attack { name, status, call }).collect()
}

/// An answer without the links, in which a question is told back to whoever asked it.
pub(crate) fn told(answer: &Answer) -> String {
    fn without_links(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if members.get("resourceType") == Some(&json!("Bundle")) {
                    members.remove("link");
                }
                members.values_mut().for_each(without_links);
            }
            Value::Array(items) => items.iter_mut().for_each(without_links),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(answer.text()) {
        Ok(mut value) => {
            without_links(&mut value);
            value.to_string()
        }
        Err(_) => answer.text().to_owned(),
    }
}

#[tokio::test]
async fn nothing_of_anybody_elses_leaves_whatever_the_server_behind_does() {
    let gateway = &Gateway::demo("manners", &[]);
    let [me, other] = [gateway.patients()[0], gateway.patients()[20]];
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let real = config.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let between = Between::start(real.parse().unwrap(), other).await;
    let moved = config
        .replace(&format!("http://127.0.0.1:{real}"), &format!("http://127.0.0.1:{}", between.port))
        // What look-ups of care relations cost is counted in `care`.
        .replace(r#""table", "care-team", "encounter", "appointment""#, r#""table""#);
    std::fs::write(gateway.config(), moved).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;

    let person = gateway.person("physician", &[me]);
    let physician = App::public(USER_SCOPE).tokens(gateway, &person).await.access;
    let app = App { patient: Some(me), ..App::public("launch/patient patient/*.cruds") };
    let app = app.tokens(gateway, &person).await.access;
    let found =
        Call::get(&format!("/fhir/Observation?patient={me}&_count=1")).bearer(&physician).to(gateway).await;
    let own = found.json()["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
    let others: Vec<&str> = gateway.patients().into_iter().filter(|id| *id != me).collect();
    let mut counts: BTreeMap<String, BTreeMap<u16, usize>> = BTreeMap::new();
    for manner in [Manner::Honest, Manner::Heedless, Manner::Lying] {
        between.behave(manner);
        for (holder, token) in [("physician", &physician), ("app", &app)] {
            for Attack { name, status, call } in attacks(me, &own, other) {
                let answer = call.bearer(token).to(gateway).await;
                if manner == Manner::Honest && holder == "physician" {
                    assert_eq!(answer.status, status, "{name}: {}", answer.text());
                }
                let told = told(&answer);
                for id in &others {
                    assert!(!told.contains(id), "{manner:?}, {holder}, {name}: tells of {id}: {told}");
                }
                let of_manner = counts.entry(format!("{manner:?} {holder}")).or_default();
                *of_manner.entry(answer.status).or_default() += 1;
            }
        }
    }
    println!("attacks by upstream and caller, and the statuses in which they ended: {counts:#?}");

    // What is another's and what is not there cost the server behind the same: one call.
    between.behave(Manner::Honest);
    between.calls();
    for what in
        [format!("Patient/{other}"), "Patient/no-such".to_owned(), format!("Observation/{other}-obs00")]
    {
        let answer = Call::get(&format!("/fhir/{what}")).bearer(&physician).to(gateway).await;
        assert_eq!((answer.status, between.calls()), (404, 1), "{what}");
    }
}
