//! The whole story on Synthea's patients: every record of a panel arrives, and nobody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::browser::{App, USER_SCOPE};
use crate::fhir::walk;
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::Call;

/// What belongs to nobody.
const SHARED: [&str; 2] = ["Organization", "Practitioner"];

/// The ids in the bundles, by patient and type; what belongs to nobody under "".
pub(crate) fn charts(folder: &Path) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut charts: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let bundle: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let resources: Vec<&Value> =
            bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
        let text = |resource: &Value, name: &str| resource[name].as_str().unwrap().to_owned();
        let patient = resources.iter().find(|resource| resource["resourceType"] == "Patient");
        let patient = patient.map(|patient| text(patient, "id")).unwrap_or_default();
        for resource in resources {
            let kind = text(resource, "resourceType");
            let owner = if SHARED.contains(&kind.as_str()) { "" } else { &patient };
            charts.entry(owner.to_owned()).or_default().entry(kind).or_default().insert(text(resource, "id"));
        }
    }
    charts
}

#[tokio::test]
async fn a_physician_reads_the_whole_charts_of_her_panel_and_nobody_elses() {
    let Some(folder) = shared::folder("synthea/fhir-r4") else { return };
    let charts = charts(&folder);
    let gateway = Gateway::demo("synthea", &["--data", folder.to_str().unwrap()]);
    let panel: BTreeSet<String> = gateway.panel("dana").into_iter().map(str::to_owned).collect();
    assert_eq!(gateway.patients().len(), 14);
    assert!(panel.len() >= 4 && panel.len() < 14);
    let types: BTreeSet<&String> = charts.values().flat_map(BTreeMap::keys).collect();
    assert!(types.len() >= 16, "{types:?}");

    let dana = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await.access;
    let mut counts = BTreeMap::new();
    for kind in types {
        let mine = |(owner, _): &(&String, _)| owner.is_empty() || panel.contains(owner.as_str());
        let of_type = |(_, chart): (_, &BTreeMap<String, BTreeSet<String>>)| chart.get(kind).cloned();
        let expected: BTreeSet<String> = charts.iter().filter(mine).filter_map(of_type).flatten().collect();
        let (found, _) = walk(&gateway, &dana, &format!("{kind}?_count=100")).await;
        let ids: BTreeSet<String> = found.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found.len(), ids.len(), "{kind}: one twice");
        assert_eq!(ids, expected, "{kind}");
        counts.insert(kind.clone(), found.len());
    }
    println!("synthea: {} of 14 patients in dana's care, {counts:?}", panel.len());
    assert!(counts.values().sum::<usize>() > 500, "{counts:?}");

    // One record of each type of somebody else's chart, by id.
    let stranger = charts.keys().find(|owner| !owner.is_empty() && !panel.contains(*owner)).unwrap();
    for (kind, ids) in &charts[stranger] {
        let path = format!("/fhir/{kind}/{}", ids.first().unwrap());
        let answer = Call::get(&path).bearer(&dana).to(&gateway).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }

    // The patient reads their own chart through an app, and is shut out like anybody.
    let pat =
        App::public("launch/patient patient/*.rs openid").tokens(&gateway, &gateway.demo_person("pat")).await;
    let own = gateway.panel("pat")[0].to_owned();
    assert_eq!(pat.answer["patient"], own.as_str());
    let (observations, _) = walk(&gateway, &pat.access, "Observation?_count=50").await;
    assert_eq!(observations.len(), charts[&own]["Observation"].len());
    gateway.command(&["user", "disable", "pat"]);
    let read = Call::get(&format!("/fhir/Patient/{own}"));
    assert_eq!(read.bearer(&pat.access).to(&gateway).await.status, 401);
    let by_patient = gateway.audit(&["--patient", stranger, "--user", "dana", "--outcome", "deny"]);
    assert!(!by_patient.is_empty(), "the log says whose record was refused");
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}
