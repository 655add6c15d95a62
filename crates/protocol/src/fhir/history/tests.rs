use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::membership::{Membership, patients_of};
use crate::fhir::version::FhirVersion;
use crate::fhir::view::View;

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

const LINKS: Links<'static> = Links { own: "https://gate.test/fhir/Observation/1/_history", next: None };

/// Releases what belongs to patient `a`.
fn for_a<'a>(resource: &Resource<'a>) -> Disposition<'a, ()> {
    let own = Membership::Patients(BTreeSet::from(["a".parse().unwrap()]));
    if patients_of(resource.value(), &bases()) == own {
        Disposition::Release(View::whole(resource), ())
    } else {
        Disposition::Withhold
    }
}

fn version(number: u8, patient: &str) -> Value {
    json!({
        "fullUrl": "http://hapi:8080/fhir/Observation/1",
        "resource": { "resourceType": "Observation", "id": "1", "meta": { "versionId": number.to_string() },
            "subject": { "reference": format!("Patient/{patient}") } },
        "request": { "method": if number == 1 { "POST" } else { "PUT" }, "url": "http://hapi:8080/fhir/Observation/1" },
        "response": { "status": "200 OK", "etag": "W/\"9\"", "location": "http://hapi:8080/fhir/x" },
    })
}

fn deletion(record: &str) -> Value {
    json!({ "request": { "method": "DELETE", "url": record },
        "response": { "status": "204", "lastModified": "2026-03-01T10:00:00Z" } })
}

fn released(entries: &[Value], of: &str) -> (Value, Released<()>) {
    let bundle = json!({ "resourceType": "Bundle", "type": "history", "total": 99, "entry": entries,
        "link": [{ "relation": "self", "url": "http://hapi:8080/fhir/Observation/1/_history" }] });
    let body = bundle.to_string();
    let history = History::parse(body.as_bytes(), &of.parse().unwrap(), &bases()).unwrap();
    let released = history.release(LINKS, &bases(), for_a);
    (serde_json::from_str(&released.body).unwrap(), released)
}

#[test]
fn each_version_leaves_as_it_was_and_written_anew_around_it() {
    let (bundle, told) = released(&[version(2, "a"), version(1, "a")], "Observation/1");
    assert_eq!((told.released, told.withheld, told.dropped), (2, 0, 0));
    assert_eq!(
        bundle,
        json!({
            "resourceType": "Bundle", "type": "history",
            "link": [{ "relation": "self", "url": LINKS.own }],
            "entry": [
                { "fullUrl": "https://gate.test/fhir/Observation/1", "resource": version(2, "a")["resource"],
                  "request": { "method": "PUT", "url": "Observation/1" },
                  "response": { "status": "200", "etag": "W/\"2\"" } },
                { "fullUrl": "https://gate.test/fhir/Observation/1", "resource": version(1, "a")["resource"],
                  "request": { "method": "POST", "url": "Observation" },
                  "response": { "status": "201", "etag": "W/\"1\"" } },
            ],
        })
    );
}

#[test]
fn a_version_that_was_anothers_stays_though_the_record_is_ones_own_now() {
    let (bundle, told) = released(&[version(3, "a"), version(2, "b"), version(1, "a")], "Observation/1");
    assert_eq!((told.released, told.withheld), (2, 1));
    assert!(!bundle.to_string().contains("Patient/b"));
}

#[test]
fn a_deletion_is_told_with_the_version_that_it_ended() {
    let (bundle, told) =
        released(&[deletion("http://hapi:8080/fhir/Observation/1"), version(1, "a")], "Observation/1");
    assert_eq!((told.released, told.withheld), (2, 0));
    assert_eq!(bundle["entry"][0]["request"], json!({ "method": "DELETE", "url": "Observation/1" }));
    assert_eq!(bundle["entry"][0].get("resource"), None);
    assert_eq!(bundle["entry"][0]["response"]["lastModified"], "2026-03-01T10:00:00Z");
    // Of one that was another's, or of which nothing is known, nothing is told.
    for entries in [
        vec![deletion("Observation/1"), version(1, "b")],
        vec![deletion("Observation/1")],
        vec![deletion("Observation/1"), deletion("Observation/1")],
    ] {
        assert_eq!(released(&entries, "Observation/1").1.released, 0, "{entries:?}");
    }
}

#[test]
fn a_deletion_names_its_record_in_every_way_that_servers_do() {
    let mut by_full_url = deletion("Observation?identifier=x");
    by_full_url["fullUrl"] = json!("http://hapi:8080/fhir/Observation/1");
    let named = [
        "Observation/1",
        "Observation/1/_history/2",
        "http://hapi:8080/fhir/Observation/1",
        "http://hapi:8080/fhir/Observation/1/_history/2",
    ];
    for entry in named.map(deletion).into_iter().chain([by_full_url]) {
        let (bundle, told) = released(&[entry.clone(), version(1, "a")], "Observation/1");
        assert_eq!((told.released, told.dropped), (2, 0), "{entry}");
        assert_eq!(bundle["entry"][0]["request"], json!({ "method": "DELETE", "url": "Observation/1" }));
        assert_eq!(bundle["entry"][0]["fullUrl"], "https://gate.test/fhir/Observation/1");
    }
    // Of another server's, or of another record, it tells nothing here.
    let mut others = deletion("http://other/fhir/Observation/1");
    others["fullUrl"] = json!("http://other/fhir/Observation/1");
    for entry in [others, deletion("Observation/2/_history/2"), deletion("Observation/1/_history")] {
        let (_, told) = released(&[entry.clone(), version(1, "a")], "Observation/1");
        assert_eq!((told.released, told.dropped), (1, 1), "{entry}");
    }
}

#[test]
fn what_tells_of_another_record_is_dropped() {
    let mut other = version(1, "a");
    other["resource"]["id"] = json!("2");
    let mut without_request = version(1, "a");
    without_request.as_object_mut().unwrap().remove("request");
    let mut got = version(1, "a");
    got["request"]["method"] = json!("GET");
    for entry in [other.clone(), without_request, got, deletion("Observation/2"), json!({})] {
        let (_, told) = released(std::slice::from_ref(&entry), "Observation/1");
        assert_eq!((told.released, told.dropped), (0, 1), "{entry}");
    }
    assert_eq!(released(&[other], "Observation").1.released, 1, "the type's history has them all");
}

#[test]
fn what_is_no_history_is_a_bad_answer() {
    for kind in ["searchset", "batch-response"] {
        let body = json!({ "resourceType": "Bundle", "type": kind }).to_string();
        let parsed = History::parse(body.as_bytes(), &"Observation/1".parse().unwrap(), &bases());
        assert_eq!(parsed.err(), Some(BadAnswer::OtherBundle));
    }
}

#[test]
fn a_query_goes_upstream_as_it_was_read() {
    let read = |text: &str| {
        HistoryQuery::parse(&Form::parse_repeating(text).unwrap()).map(|query| query.to_form().encode())
    };
    assert_eq!(read("_since=2026-01-01&_count=5&_format=json").as_deref(), Ok("_count=5&_since=2026-01-01"));
    assert_eq!(read("_at=2026-01").as_deref(), Ok("_at=2026-01"));
    for text in ["_list=x", "_sort=_lastUpdated", "code=x", "_include=*"] {
        assert!(matches!(read(text), Err(SearchError::Parameter(_))), "{text}");
    }
    for text in ["_since=x", "_since=ge2026", "_count=0", "_count=x", "_at=2026-01-01%20"] {
        assert!(matches!(read(text), Err(SearchError::Value(_))), "{text}");
    }
    assert!(matches!(read("_since=2026&_since=2025"), Err(SearchError::Repeated(_))));
}

proptest! {
    #[test]
    fn no_version_of_another_patients_leaves(whose in prop::collection::vec(("[ab]", 0..4_u8), 0..12)) {
        let entries: Vec<Value> = whose.iter().enumerate().map(|(n, (patient, kind))| match kind {
            0 => deletion("Observation/1"),
            _ => {
                let mut entry = version(u8::try_from(n).unwrap().saturating_add(1), patient);
                entry["resource"]["note"] = json!([{ "text": format!("marker-of-{patient}") }]);
                entry
            }
        }).collect();
        for of in ["Observation/1", "Observation"] {
            let (bundle, told) = released(&entries, of);
            prop_assert!(!bundle.to_string().contains("marker-of-b"));
            let deletions = entries.iter().filter(|entry| entry.get("resource").is_none()).count();
            let own = entries.iter().filter(|entry| entry.to_string().contains("marker-of-a")).count();
            prop_assert!(told.released >= own && told.released <= own.saturating_add(deletions));
        }
    }
}
