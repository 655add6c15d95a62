use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::membership::{Membership, Others, other_patients_named, patients_of};
use crate::fhir::version::FhirVersion;

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

const LINKS: Links<'static> = Links { own: "https://gate.test/fhir/Observation?code=x", next: None };

/// Releases what belongs to patient `a` and names nobody else.
fn for_a<'a>(resource: &Resource<'a>, found: Found) -> Disposition<'a, ()> {
    for_a_by(&bases(), resource, found)
}

fn for_a_by<'a>(bases: &BaseUrls, resource: &Resource<'a>, _: Found) -> Disposition<'a, ()> {
    let belongs = patients_of(resource.value(), bases);
    let own = Membership::Patients(BTreeSet::from(["a".parse().unwrap()]));
    match other_patients_named(resource.value(), &belongs, bases) {
        Others::None if belongs == own => Disposition::Release(View::whole(resource), ()),
        Others::None | Others::Named => Disposition::Withhold,
    }
}

fn observation(id: &str, patient: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "subject": {"reference": format!("Patient/{patient}")}})
}

fn filtered(bundle: &Value, links: Links<'_>) -> (Value, Released<()>) {
    let body = bundle.to_string();
    let searchset = Searchset::parse(
        body.as_bytes(),
        Sought::Type("Observation".parse().unwrap(), Companions::None),
        &bases(),
    )
    .unwrap();
    let released = searchset.release(links, &bases(), for_a);
    (serde_json::from_str(&released.body).unwrap(), released)
}

fn fault(bundle: &Value) -> BadAnswer {
    Searchset::parse(
        bundle.to_string().as_bytes(),
        Sought::Type("Observation".parse().unwrap(), Companions::None),
        &bases(),
    )
    .err()
    .unwrap()
}

#[test]
fn what_leaves_is_written_anew() {
    let (bundle, released) = filtered(
        &json!({
            "resourceType": "Bundle",
            "id": "search-1",
            "meta": {"lastUpdated": "2026-01-01T00:00:00Z"},
            "type": "searchset",
            "total": 2,
            "link": [{"relation": "self", "url": "http://hapi:8080/fhir/Observation?code=x"}],
            "entry": [
                {"fullUrl": "http://hapi:8080/fhir/Observation/1", "resource": observation("1", "a"),
                 "search": {"mode": "match", "score": 0.5}, "response": {"etag": "x"}},
                {"resource": observation("2", "a")},
            ],
            "signature": {"data": "x"},
        }),
        LINKS,
    );
    let entry = |id: &str| {
        json!({"fullUrl": format!("https://gate.test/fhir/Observation/{id}"), "resource": observation(id, "a"),
               "search": {"mode": "match"}})
    };
    assert_eq!(
        bundle,
        json!({
            "resourceType": "Bundle",
            "type": "searchset",
            "total": 2,
            "link": [{"relation": "self", "url": LINKS.own}],
            "entry": [entry("1"), entry("2")],
        })
    );
    assert_eq!((released.released, released.withheld, released.dropped), (2, 0, 0));
}

#[test]
fn nothing_tells_that_anything_was_withheld() {
    let with = json!({"resourceType": "Bundle", "type": "searchset", "total": 2,
        "entry": [{"resource": observation("1", "a")}, {"resource": observation("2", "b")}]});
    let (bundle, released) = filtered(&with, LINKS);
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 1);
    assert_eq!(bundle.get("total"), None);
    assert_eq!((released.released, released.withheld), (1, 1));
    let only_others = json!({"resourceType": "Bundle", "type": "searchset", "total": 1,
        "entry": [{"resource": observation("2", "b")}]});
    let without_total = json!({"resourceType": "Bundle", "type": "searchset"});
    assert_eq!(filtered(&only_others, LINKS).1.body, filtered(&without_total, LINKS).1.body);
}

#[test]
fn summary_count_has_no_count() {
    let counted = json!({"resourceType": "Bundle", "type": "searchset", "total": 17});
    assert_eq!(filtered(&counted, LINKS).0.get("total"), None);
}

#[test]
fn a_total_is_told_only_where_one_page_is_all_there_is() {
    let page = |total: u64, link: Value| {
        json!({"resourceType": "Bundle", "type": "searchset", "total": total, "link": link,
            "entry": [{"resource": observation("1", "a")}]})
    };
    let total = |bundle: &Value| filtered(bundle, LINKS).0.get("total").cloned();
    assert_eq!(total(&page(1, json!([]))), Some(json!(1)));
    assert_eq!(total(&page(3, json!([]))), None);
    let mut miscounted = page(1, json!([]));
    miscounted["entry"].as_array_mut().unwrap().push(json!({"resource": observation("2", "b")}));
    assert_eq!(total(&miscounted), None);
    let next = json!([{"relation": "next", "url": "http://hapi:8080/fhir?_getpages=1"}]);
    assert_eq!(total(&page(1, next)), None);
}

#[test]
fn the_upstreams_own_words_are_nothing_that_a_search_found_whether_it_says_so_or_not() {
    let words = json!({"resourceType": "OperationOutcome", "id": "a"});
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": [
        {"resource": observation("1", "a")}, {"resource": words}, {"resource": words, "search": {"mode": "outcome"}},
    ]});
    let sought = Sought::Type("Observation".parse().unwrap(), Companions::None);
    let text = bundle.to_string();
    assert_eq!(Searchset::parse(text.as_bytes(), sought, &bases()).unwrap().found(), 1);
}

#[test]
fn entries_that_the_search_did_not_find_are_dropped() {
    let patient = json!({"resourceType": "Patient", "id": "a"});
    let (bundle, released) = filtered(
        &json!({"resourceType": "Bundle", "type": "searchset", "total": 9, "entry": [
            {"resource": patient},
            {"resource": observation("1", "a"), "search": {"mode": "include"}},
            {"resource": {"resourceType": "OperationOutcome", "id": "a"}, "search": {"mode": "outcome"}},
            {"resource": observation("..", "a")},
            {"resource": {"resourceType": "Observation", "subject": {"reference": "Patient/a"}}},
            {"resource": {"resourceType": "Bundle", "id": "a", "type": "searchset", "entry": [{"resource": patient}]}},
            {"resource": null},
            {"resource": observation("2", "a"), "search": {"mode": 1}},
            {"fullUrl": "http://hapi:8080/fhir/Observation/3"},
        ]}),
        LINKS,
    );
    assert_eq!((released.released, released.withheld, released.dropped), (0, 0, 9));
    assert_eq!(bundle.get("entry"), None);
}

#[test]
fn the_text_of_a_record_leaves_as_it_came() {
    let record = r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/a"},"value":1.10, "x":"\u00e4"}"#;
    let body = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{record}}}]}}"#);
    let searchset = Searchset::parse(
        body.as_bytes(),
        Sought::Type("Observation".parse().unwrap(), Companions::None),
        &bases(),
    )
    .unwrap();
    assert!(searchset.release(LINKS, &bases(), for_a).body.contains(record));
}

#[test]
fn what_is_no_searchset_is_a_bad_answer() {
    for bundle in [
        json!([]),
        json!({}),
        json!({"resourceType": "Bundle"}),
        json!({"resourceType": "Bundle", "type": "batch-response"}),
        json!({"resourceType": "Patient", "id": "a", "type": "searchset"}),
        json!({"resourceType": "Bundle", "type": "searchset", "entry": {}}),
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [1]}),
        json!({"resourceType": "Bundle", "type": "searchset", "link": "x"}),
    ] {
        assert!(matches!(fault(&bundle), BadAnswer::OtherBundle | BadAnswer::Json(_)), "{bundle}");
    }
    let twice = br#"{"resourceType":"Bundle","type":"searchset","entry":[],"entry":[]}"#;
    assert!(
        Searchset::parse(twice, Sought::Type("Observation".parse().unwrap(), Companions::None), &bases())
            .is_err()
    );
}

#[test]
fn the_next_page_lies_under_the_upstream_and_is_told_sealed() {
    let with_next = |url: &str| {
        json!({"resourceType": "Bundle", "type": "searchset", "link": [
            {"relation": "self", "url": "x"}, {"relation": "previous", "url": "http://evil/"},
            {"relation": "next", "url": url}]})
    };
    for (url, page) in [
        ("http://hapi:8080/fhir?_getpages=1&_getpagesoffset=20", "?_getpages=1&_getpagesoffset=20"),
        ("http://hapi:8080/fhir/Observation?code=x%7Cy&page=2", "/Observation?code=x%7Cy&page=2"),
    ] {
        let body = with_next(url).to_string();
        let searchset = Searchset::parse(
            body.as_bytes(),
            Sought::Type("Observation".parse().unwrap(), Companions::None),
            &bases(),
        )
        .unwrap();
        assert_eq!(searchset.next().unwrap().as_str(), page);
    }
    for url in [
        "http://evil.test/fhir?_getpages=1",
        "http://hapi:8080/fhirx?_getpages=1",
        "http://hapi:8080/fhir/../admin?x=1",
        "http://hapi:8080/fhir//x?y=1",
        "http://hapi:8080/fhir/%2e%2e?x=1",
        "http://hapi:8080/fhir/Observation",
        "http://hapi:8080/fhir?x=1#y",
        "http://hapi:8080/fhir?x=1 HTTP/1.1\r\nx: y",
        "http://hapi:8080@evil.test/fhir?x=1",
        "/fhir?x=1",
        "",
    ] {
        assert_eq!(fault(&with_next(url)), BadAnswer::NextPage, "{url}");
    }
    let links = Links { next: Some("https://gate.test/fhir/_page/sealed"), ..LINKS };
    let (bundle, _) = filtered(&with_next("http://hapi:8080/fhir?_getpages=1"), links);
    assert_eq!(
        bundle["link"],
        json!([{"relation": "self", "url": LINKS.own}, {"relation": "next", "url": "https://gate.test/fhir/_page/sealed"}])
    );
}

/// A reference to patient `b` in some spelling, or to somebody else, anywhere in a record of B's.
fn records() -> impl Strategy<Value = Value> {
    let subject = prop_oneof![
        Just(json!({"reference": "Patient/a"})),
        Just(json!({"reference": "Patient/b"})),
        Just(json!({"reference": "http://hapi:8080/fhir/Patient/b"})),
        Just(json!({"reference": "https://other.test/fhir/Patient/a"})),
        Just(json!({"reference": "#p"})),
        Just(json!({"reference": "Group/g"})),
        Just(json!([{"reference": "Patient/a"}, {"reference": "Patient/b"}])),
        Just(json!(null)),
    ];
    let place =
        prop_oneof![Just("subject"), Just("performer"), Just("focus"), Just("extension"), Just("contained")];
    let resource_type =
        prop_oneof![4 => Just("Observation"), 1 => Just("Patient"), 1 => Just("Basic"), 1 => Just("Foo")];
    (resource_type, "[ab]", subject, prop::option::of(place), "[A-Za-z0-9]{1,4}|\\.\\.|").prop_map(
        |(resource_type, id, subject, place, suffix)| {
            let mut record = json!({"resourceType": resource_type, "id": format!("{id}{suffix}"), "subject": subject});
            if let Some(place) = place {
                record[place] = json!([{"resourceType": "Device", "url": "x", "valueReference": {"reference": "Patient/b"},
                    "reference": "Patient/b"}]);
            }
            // Whatever is not a's alone is b's, and says so.
            let alone = record["subject"] == json!({"reference": "Patient/a"}) && place.is_none();
            let own_chart = resource_type == "Patient" && record["id"] == "a";
            record["note"] = json!(if alone || own_chart { "marker-of-a" } else { "marker-of-b" });
            record
        },
    )
}

fn entries() -> impl Strategy<Value = Value> {
    let mode =
        prop_oneof![Just(json!({"mode": "match"})), Just(json!({"mode": "include"})), Just(json!(null))];
    (records(), mode, any::<bool>()).prop_map(|(record, search, bare)| match bare {
        true => json!({ "resource": record }),
        false => {
            json!({"fullUrl": "http://hapi:8080/fhir/marker-of-b", "resource": record, "search": search})
        }
    })
}

proptest! {
    #[test]
    fn no_marker_of_b_reaches_a_whatever_the_bundle(entries in prop::collection::vec(entries(), 0..8), total in 0..9_u64) {
        let bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": total, "entry": entries,
            "note": "marker-of-b", "link": [{"relation": "self", "url": "http://hapi:8080/fhir/marker-of-b"}]});
        let types = ["Observation", "Patient", "Basic"].map(|asked| asked.parse().unwrap());
        let of_type = |companions| types.map(|asked| Sought::Type(asked, companions));
        let all = [of_type(Companions::None), of_type(Companions::Asked)].concat();
        let all = all.into_iter().chain([Sought::Everything]);
        for (sought, version) in all.flat_map(|sought| FhirVersion::ALL.map(|version| (sought, version))) {
            let body = bundle.to_string();
            let bases = BaseUrls { version, ..bases() };
            let searchset = Searchset::parse(body.as_bytes(), sought, &bases).unwrap();
            let released = searchset.release(LINKS, &bases, |resource, found| for_a_by(&bases, resource, found));
            prop_assert!(!released.body.contains("marker-of-b"), "{sought:?}: {}", released.body);
            prop_assert_eq!(released.notes.len(), released.body.matches("marker-of-a").count());
            let all = [released.notes.len(), released.withheld, released.dropped];
            prop_assert_eq!(all.iter().sum::<usize>(), entries.len());
        }
    }
}

fn with_companions(entries: &[Value]) -> (Value, Released<()>) {
    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string();
    let asked = "Observation".parse().unwrap();
    let page = Searchset::parse(bundle.as_bytes(), Sought::Type(asked, Companions::Asked), &bases()).unwrap();
    let released = page.release(LINKS, &bases(), |resource, found| {
        match (patients_of(resource.value(), &bases()), found) {
            (Membership::Nobody, Found::Alongside) => Disposition::Release(View::whole(resource), ()),
            _ => for_a(resource, found),
        }
    });
    (serde_json::from_str(&released.body).unwrap(), released)
}

fn found(resource: &Value, mode: &str) -> Value {
    json!({ "resource": resource, "search": { "mode": mode } })
}

fn by(id: &str, patient: &str, performer: &str) -> Value {
    let mut observation = observation(id, patient);
    observation["performer"] = json!([{ "reference": format!("Practitioner/{performer}") }]);
    observation
}

fn practitioner(id: &str) -> Value {
    json!({ "resourceType": "Practitioner", "id": id })
}

fn names(bundle: &Value) -> Vec<(String, String)> {
    let name = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let full = text(&entry["fullUrl"]);
        (full.rsplit_once("/fhir/").unwrap().1.to_owned(), text(&entry["search"]["mode"]))
    };
    bundle["entry"].as_array().into_iter().flatten().map(name).collect()
}

#[test]
fn what_comes_along_leaves_only_with_what_it_is_tied_to() {
    let entries = [
        found(&by("1", "a", "p"), "match"),
        found(&by("2", "b", "q"), "match"),
        found(&practitioner("p"), "include"),
        // Tied to a record that stays: that it comes along would tell of that record.
        found(&practitioner("q"), "include"),
        found(&practitioner("r"), "include"),
        found(&json!({ "resourceType": "Patient", "id": "a" }), "include"),
        found(&json!({ "resourceType": "Patient", "id": "b" }), "include"),
    ];
    let (bundle, told) = with_companions(&entries);
    let name = |id: &str, mode: &str| (id.to_owned(), mode.to_owned());
    let expected =
        [name("Observation/1", "match"), name("Patient/a", "include"), name("Practitioner/p", "include")];
    assert_eq!(names(&bundle), expected);
    assert_eq!((told.released, told.withheld, told.notes.len()), (1, 4, 3));
    // And not at all where nobody asked.
    let body = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string();
    let page = Searchset::parse(
        body.as_bytes(),
        Sought::Type("Observation".parse().unwrap(), Companions::None),
        &bases(),
    )
    .unwrap();
    assert_eq!(page.release(LINKS, &bases(), for_a).dropped, 5);
}

#[test]
fn what_came_along_ties_others_and_refers_back() {
    let mut provenance = json!({ "resourceType": "Provenance", "id": "1",
        "target": [{ "reference": "Observation/1" }, { "reference": "Patient/a" }],
        "agent": [{ "who": { "reference": "Practitioner/s" } }] });
    let entries = |provenance: &Value| {
        [
            found(&observation("1", "a"), "match"),
            found(&practitioner("s"), "include"),
            found(provenance, "include"),
        ]
    };
    assert_eq!(names(&with_companions(&entries(&provenance)).0).len(), 3, "a chain of two ties");
    provenance["target"][1]["reference"] = json!("Patient/b");
    let (bundle, told) = with_companions(&entries(&provenance));
    assert_eq!((names(&bundle).len(), told.withheld), (1, 2), "what it tied stays with it");
}

proptest! {
    #[test]
    fn nothing_comes_along_that_no_record_that_leaves_is_tied_to(
        matches in prop::collection::vec(("[ab]", "[p-u]"), 0..6), along in prop::collection::btree_set("[p-w]", 0..8),
    ) {
        let mut entries: Vec<Value> = matches.iter().enumerate()
            .map(|(n, (patient, performer))| found(&by(&format!("o{n}"), patient, performer), "match")).collect();
        entries.extend(along.iter().map(|id| found(&practitioner(id), "include")));
        let (bundle, _) = with_companions(&entries);
        let seen: BTreeSet<String> = names(&bundle).into_iter()
            .filter_map(|(name, _)| name.strip_prefix("Practitioner/").map(str::to_owned)).collect();
        let own: BTreeSet<String> = matches.iter().filter(|(patient, _)| patient == "a").map(|(_, p)| p.clone()).collect();
        prop_assert_eq!(seen, along.intersection(&own).cloned().collect::<BTreeSet<_>>());
    }
}
