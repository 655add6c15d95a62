//! Membership over invented patients as Synthea makes them.

use std::collections::BTreeMap;

use chartgate_protocol::fhir::base::BaseUrls;
use chartgate_protocol::fhir::membership::{Membership, Others, other_patients_named, patients_of};
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::json::Node;
use serde_json::Value;

use crate::vectors;

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

/// Replaces each `urn:uuid:X` by `Type/X`, as a server does that takes in the transaction.
fn resolve(value: &mut Value, types: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(resource_type) = types.get(text.as_str()) {
                *text = text.replace("urn:uuid:", &format!("{resource_type}/"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, types)),
        Value::Object(members) => members.values_mut().for_each(|member| resolve(member, types)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn every_record_of_a_bundle_belongs_to_its_patient_alone() {
    let Some(folder) = vectors::shared("synthea/fhir-r4") else { return };
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let bundles: Vec<Value> =
        files.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect();
    let entries = |bundle: &Value| bundle["entry"].as_array().unwrap().clone();
    let kind = |resource: &Value| resource["resourceType"].as_str().unwrap().to_owned();
    let types: BTreeMap<String, String> = bundles
        .iter()
        .flat_map(entries)
        .map(|entry| (entry["fullUrl"].as_str().unwrap().to_owned(), kind(&entry["resource"])))
        .collect();
    let (mut owned, mut shared) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for bundle in &bundles {
        let entries = entries(bundle);
        let is_patient = |entry: &&Value| entry["resource"]["resourceType"] == "Patient";
        let patient = entries.iter().find(is_patient).map(|entry| entry["resource"]["id"].as_str().unwrap());
        for entry in &entries {
            let mut resource = entry["resource"].clone();
            resolve(&mut resource, &types);
            let belongs = patients_of(&Node::from(&resource), &bases());
            let counted = match &belongs {
                Membership::Nobody => &mut shared,
                Membership::Patients(patients) => {
                    let ids: Vec<_> = patients.iter().map(|id| id.as_str()).collect();
                    assert_eq!(
                        Some(ids.as_slice()),
                        patient.as_ref().map(std::slice::from_ref),
                        "{}",
                        resource["id"]
                    );
                    &mut owned
                }
                Membership::Unknown => panic!("nobody's: {} {}", kind(&resource), resource["id"]),
            };
            *counted.entry(kind(&resource)).or_default() += 1;
            assert_eq!(
                other_patients_named(&Node::from(&resource), &belongs, &bases()),
                Others::None,
                "{}",
                resource["id"]
            );
        }
    }
    println!("of a patient: {owned:?}; of nobody: {shared:?}");
    assert_eq!(owned.values().sum::<usize>(), 2027);
    assert_eq!(shared.keys().collect::<Vec<_>>(), ["Organization", "Practitioner"]);
}

#[test]
fn every_record_of_a_bulk_export_belongs_to_one_patient_or_nobody_or_has_no_row() {
    let Some(folder) = vectors::shared("synthea/bulk-ndjson") else { return };
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut counts = BTreeMap::<(&str, String), usize>::new();
    for line in files.iter().flat_map(|path| {
        std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    }) {
        let resource: Value = serde_json::from_str(&line).unwrap();
        let belongs = match patients_of(&Node::from(&resource), &bases()) {
            Membership::Nobody => "nobody",
            Membership::Patients(patients) if patients.len() == 1 => "one patient",
            Membership::Patients(_) => "several patients",
            Membership::Unknown => "unknown",
        };
        let resource_type = resource["resourceType"].as_str().unwrap().to_owned();
        *counts.entry((belongs, resource_type)).or_default() += 1;
    }
    println!("{counts:?}");
    let types = |belongs: &str| -> Vec<_> {
        counts.keys().filter(|(own, _)| *own == belongs).map(|(_, name)| name.as_str()).collect()
    };
    assert_eq!(
        types("one patient"),
        ["AllergyIntolerance", "Condition", "DocumentReference", "Immunization", "Patient"]
    );
    assert_eq!(types("nobody"), ["Location", "Organization", "Practitioner", "PractitionerRole"]);
    assert_eq!(types("unknown"), ["Device"], "R4's patient compartment has no row for it");
    assert!(types("several patients").is_empty());
}
