//! A FHIR server that others wrote behind the gateway (Medplum's router over its repository in memory, `tests/fhir_server`),
//! with Synthea's patients: what may be seen arrives, and nothing of anybody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::faults::until_recorded;
use crate::fhir::walk;
use crate::gateway::Gateway;
use crate::outside_clients::{has, succeed};
use crate::shared;
use crate::synthea::charts;
use crate::upstream_manners::{Attack, attacks, told};
use crate::wire::{Answer, Call};

/// The server. It ends with its value.
struct Medplum {
    process: Child,
    port: u16,
}

impl Medplum {
    fn start(records: &Path) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fhir_server");
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        succeed(Command::new("npm").args(install).current_dir(&folder));
        let mut server = Command::new("node");
        server.arg("server.mjs").arg(records).current_dir(&folder).stdout(Stdio::piped());
        let mut process = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().expect("it says its port") }
    }
}

impl Drop for Medplum {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn get(gateway: &Gateway, token: &str, what: &str) -> Answer {
    Call::get(&format!("/fhir/{what}")).bearer(token).to(gateway).await
}

#[tokio::test]
async fn what_may_be_seen_arrives_from_a_server_that_others_wrote_and_nothing_else() {
    let Some(folder) = shared::folder("synthea/fhir-r4") else { return };
    if !["node", "npm"].iter().all(|program| has(program, &["--version"])) {
        println!("skipped: needs node and npm; `make test` installs them");
        return;
    }
    let medplum = Medplum::start(&folder);
    let gateway = &Gateway::demo("outside-fhir", &["--data", folder.to_str().unwrap()]);
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let sample = config.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap();
    let moved = config.replace(&format!("127.0.0.1:{sample}/"), &format!("127.0.0.1:{}/", medplum.port));
    std::fs::write(gateway.config(), moved).unwrap();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", 1).await;

    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let panel: BTreeSet<&str> = gateway.panel("dana").into_iter().collect();
    let charts = charts(&folder);
    let mut counts = BTreeMap::new();
    for kind in charts.values().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>() {
        let expected: BTreeSet<&String> = charts
            .iter()
            .filter(|(owner, _)| owner.is_empty() || panel.contains(owner.as_str()))
            .filter_map(|(_, chart)| chart.get(kind))
            .flatten()
            .collect();
        let (found, _) = walk(gateway, &dana, &format!("{kind}?_count=50")).await;
        let ids: BTreeSet<String> = found.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>(), expected, "{kind}");
        counts.insert(kind, found.len());
    }
    println!("medplum: {counts:?}");
    assert!(counts.values().sum::<usize>() > 700, "{counts:?}");

    let me = gateway.panel("dana")[0];
    changes(gateway, &dana, me).await;
    let other = *gateway.patients().iter().find(|id| !panel.contains(**id)).unwrap();
    let own = charts[me]["Observation"].first().unwrap();
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for Attack { name, call, .. } in attacks(me, own, other) {
        let answer = call.bearer(&dana).to(gateway).await;
        let told = told(&answer);
        for id in gateway.patients().iter().filter(|id| !panel.contains(**id)) {
            assert!(!told.contains(*id), "{name}: tells of {id}: {told}");
        }
        *statuses.entry(answer.status).or_default() += 1;
    }
    println!("medplum: attacks ended in {statuses:?}");
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}

/// A record's life.
async fn changes(gateway: &Gateway, token: &str, me: &str) {
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "marigold" },
        "identifier": [{ "system": "urn:x", "value": "marigold" }],
        "subject": { "reference": format!("Patient/{me}") } });
    let made = Call::fhir("POST", "/fhir/Observation", &observation)
        .header("if-none-exist", "identifier=urn:x|marigold")
        .bearer(token);
    let first = made.clone().to(gateway).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let record = first.json();
    let own = format!("Observation/{}", record["id"].as_str().unwrap());
    let again = made.to(gateway).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &record["id"]), "{}", again.text());
    let version = first.header("etag").to_owned();
    let patch = |version: &str| {
        Call::new("PATCH", &format!("/fhir/{own}"))
            .bearer(token)
            .header("if-match", version)
            .body("application/json-patch+json", r#"[{"op":"replace","path":"/status","value":"amended"}]"#)
    };
    let patched = patch(&version).to(gateway).await;
    assert_eq!((patched.status, &patched.json()["status"]), (200, &json!("amended")), "{}", patched.text());
    assert_eq!(patch(&version).to(gateway).await.status, 412, "that version is no more");
    let entry = |identifier: &str| {
        let mut member = observation.clone();
        member["identifier"][0]["value"] = json!(identifier);
        member["hasMember"] = json!([{ "reference": own }]);
        json!({ "resource": member, "request": { "method": "POST", "url": "Observation" } })
    };
    let bundle =
        json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry("a"), entry("b")] });
    let done = Call::fhir("POST", "/fhir", &bundle).bearer(token).to(gateway).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let entries: Vec<Value> = done.json()["entry"].as_array().unwrap().clone();
    assert!(entries.len() == 2 && entries.iter().all(|e| e["response"]["status"] == "201"), "{entries:?}");
    let counted =
        get(gateway, token, &format!("Observation?patient={me}&identifier=urn:x|&_summary=count")).await;
    assert_eq!(counted.json()["total"], 3, "{}", counted.text());
    let removed = Call::new("DELETE", &format!("/fhir/{own}")).bearer(token).to(gateway).await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert_eq!(get(gateway, token, &own).await.status, 404);
}
