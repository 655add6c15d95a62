use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Links, Released, Searchset};
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

const LINKS: Links<'static> = Links { own: "https://gate.test/fhir/Observation?code=x", next: None };

/// Releases what is patient `a`'s, and of what is nobody's all but one; of some what they are part of is kept.
fn decide<'a>(resource: &Resource<'a>, _: Found) -> Disposition<'a, String> {
    let name = resource.reference().to_string();
    let may = match patients_of(resource.value(), &bases()) {
        Membership::Patients(whose) => whose.iter().all(|id| id.as_str() == "a"),
        Membership::Nobody => !name.ends_with("/t"),
        Membership::Unknown => false,
    };
    let is_masked = name.ends_with("/q") || name.ends_with("/r") || name == "Observation/1";
    match (may, is_masked) {
        (false, _) => Disposition::Withhold,
        (true, false) => Disposition::Release(View::whole(resource), name),
        (true, true) => {
            let mut shown: Value = serde_json::from_str(resource.text()).unwrap();
            for kept in ["partOf", "practitioner"] {
                shown.as_object_mut().unwrap().remove(kept);
            }
            Disposition::Release(View::masked(serde_json::value::to_raw_value(&shown).unwrap(), None), name)
        }
    }
}

/// What leaves: the records that were found in their order, those that come along in any, and what is told of it.
type Left = (Vec<Value>, BTreeSet<String>, BTreeSet<String>, [usize; 2], Progress, usize, Value);

fn left(gathered: Gathered<String>, progress: Progress, found: usize) -> Left {
    let Released { body, released, withheld, dropped: _, notes } = gathered.into_bundle(LINKS);
    let mut bundle: Value = serde_json::from_str(&body).unwrap();
    let entries = bundle.as_object_mut().unwrap().remove("entry").unwrap_or_else(|| json!([]));
    let (found_ones, along): (Vec<Value>, Vec<Value>) =
        entries.as_array().unwrap().iter().cloned().partition(|entry| entry["search"]["mode"] == "match");
    let along: BTreeSet<String> = along.iter().map(Value::to_string).collect();
    (found_ones, along, notes.into_iter().collect(), [released, withheld], progress, found, bundle)
}

fn at_once(text: &str, sought: Sought, wanted: Wanted) -> Left {
    let mut gathered = Gathered::searchset();
    let searchset = Searchset::parse(text.as_bytes(), sought, &bases()).unwrap();
    let found = searchset.found();
    let progress = searchset.gather(&mut gathered, wanted, &bases(), decide);
    left(gathered, progress, found)
}

/// The same entry by entry, each decided on as often as this says.
fn one_by_one(
    entries: &[Value],
    total: Option<u64>,
    sought: Sought,
    wanted: Wanted,
    again: &[usize],
) -> Left {
    let mut gathered = Gathered::searchset();
    let outline = Outline { total, next: None, longest: 0 };
    let mut walk = Walk::begin(sought, wanted, &outline, &mut gathered);
    let texts: Vec<String> = entries.iter().map(Value::to_string).collect();
    let mut again = again.iter().cycle();
    loop {
        for some in texts.chunks(2) {
            for round in 0..=*again.next().unwrap() {
                let (mark, step) = (gathered.mark(), walk.mark());
                if round > 0 {
                    continue;
                }
                some.iter()
                    .for_each(|one| walk.entry(one.as_bytes(), &mut gathered, &bases(), decide).unwrap());
                gathered.back_to(mark);
                walk.back_to(step);
            }
            some.iter().for_each(|one| walk.entry(one.as_bytes(), &mut gathered, &bases(), decide).unwrap());
        }
        if !walk.goes_on(&mut gathered) {
            return left(gathered, walk.progress(), walk.found());
        }
    }
}

fn entry() -> impl Strategy<Value = Value> {
    let reference = |of: &str, id: String| json!({ "reference": format!("{of}/{id}") });
    let observation = ("[0-5]", "[ab]", "[p-t]", "[x-z]").prop_map(move |(id, patient, by, part)| {
        json!({ "resourceType": "Observation", "id": id, "subject": reference("Patient", patient),
            "performer": [reference("Practitioner", by)], "partOf": [reference("Procedure", part)] })
    });
    let role = ("[p-t]", "[p-t]").prop_map(move |(id, by)| {
        json!({ "resourceType": "PractitionerRole", "id": id, "practitioner": reference("Practitioner", by),
            "organization": reference("Organization", id.clone()) })
    });
    let nobodys = ("Practitioner|Organization|Location", "[p-t]", "[p-t]").prop_map(move |(of, id, part)| {
        json!({ "resourceType": of, "id": id, "partOf": reference("Organization", part) })
    });
    let provenance = ("[0-5]", "[0-5]").prop_map(move |(id, of)| {
        json!({ "resourceType": "Provenance", "id": id, "target": [reference("Observation", of)] })
    });
    let unreadable = Just(json!({ "resourceType": "Observation" }));
    let resource = prop_oneof![4 => observation, 2 => role, 3 => nobodys, 1 => provenance, 1 => unreadable];
    (resource, "match|include|outcome|", any::<bool>()).prop_map(|(resource, mode, has)| {
        match (has, mode.as_str()) {
            (true, "") => json!({ "resource": resource }),
            (false, "") => json!({ "fullUrl": "urn:uuid:x" }),
            (_, mode) => json!({ "resource": resource, "search": { "mode": mode } }),
        }
    })
}

/// A record that is there twice says the same twice: else it may leave as either.
fn of_one_mind(mut entries: Vec<Value>) -> Vec<Value> {
    let mut known = std::collections::BTreeMap::new();
    for entry in &mut entries {
        let resource = &entry["resource"];
        if let (Some(of), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str()) {
            entry["resource"] = known.entry(format!("{of}/{id}")).or_insert_with(|| resource.clone()).clone();
        }
    }
    entries
}

proptest! {
    /// However long an answer is, the same leaves of it.
    #[test]
    fn what_leaves_entry_by_entry_is_what_leaves_at_once(
        entries in prop::collection::vec(entry(), 0..24).prop_map(of_one_mind), past in 0_usize..3, bytes in prop_oneof![0_usize..900, Just(usize::MAX)], room in prop_oneof![0_usize..5, Just(usize::MAX)],
        total in prop::option::of(0_u64..6), again in prop::collection::vec(0_usize..2, 1..5), sought in 0_usize..3,
    ) {
        let observation = "Observation".parse().unwrap();
        let all = [Sought::Type(observation, Companions::None), Sought::Type(observation, Companions::Asked), Sought::Everything];
        let sought = all[sought];
        let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries });
        if let Some(total) = total {
            bundle["total"] = json!(total);
        }
        let wanted = Wanted { past, room, bytes };
        prop_assert_eq!(
            one_by_one(&entries, total, sought, wanted, &again),
            at_once(&bundle.to_string(), sought, wanted)
        );
    }
}

#[test]
fn what_is_tied_by_too_long_a_way_against_the_order_stays() {
    let of = |id: usize| json!({ "reference": format!("Organization/{id}") });
    let chain = |length: usize| {
        let mut entries: Vec<Value> = (0..length)
            .rev()
            .map(|id| {
                json!({ "search": { "mode": "include" },
                    "resource": { "resourceType": "Organization", "id": id.to_string(), "partOf": of(id + 1) } })
            })
            .collect();
        entries.push(json!({ "resource": { "resourceType": "Observation", "id": "1",
            "subject": { "reference": "Patient/a" }, "performer": [of(0)] } }));
        let sought = Sought::Type("Observation".parse().unwrap(), Companions::Asked);
        one_by_one(&entries, None, sought, Wanted::ALL, &[0]).1.len()
    };
    assert_eq!((chain(3), chain(MOST_ROUNDS)), (3, MOST_ROUNDS));
    assert!(chain(MOST_ROUNDS * 3) < MOST_ROUNDS * 3);
}

/// Two that are found, and one of which something is kept, that refers to the first and to which the second refers.
fn masked_between() -> [Value; 3] {
    let observation = |id: &str, by: Value| {
        json!({ "resource": { "resourceType": "Observation", "id": id, "subject": { "reference": "Patient/a" },
            "performer": by } })
    };
    [
        observation("0", json!([])),
        observation("2", json!([{ "reference": "PractitionerRole/q" }])),
        json!({ "search": { "mode": "include" }, "resource": { "resourceType": "PractitionerRole", "id": "q",
            "practitioner": { "reference": "Observation/0" } } }),
    ]
}

#[test]
fn what_is_masked_comes_along_where_one_that_leaves_names_it_and_not_by_what_it_refers_to() {
    let sought = Sought::Type("Observation".parse().unwrap(), Companions::Asked);
    let [first, second, masked] = masked_between();
    for (entries, comes) in [
        (vec![first.clone(), second.clone(), masked.clone()], 1),
        (vec![masked.clone(), second, first.clone()], 1),
        (vec![first, masked], 0),
    ] {
        let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries });
        let whole = at_once(&bundle.to_string(), sought, Wanted::ALL);
        assert_eq!((whole.1.len(), whole.3[1]), (comes, 1 - comes), "{bundle}");
        assert_eq!(one_by_one(&entries, None, sought, Wanted::ALL, &[0]), whole);
    }
}

#[test]
fn more_references_than_are_remembered_are_a_bad_answer() {
    let texts = masked_between().map(|entry| entry.to_string());
    let through = |companions, most| {
        let mut gathered = Gathered::<String>::searchset();
        let sought = Sought::Type("Observation".parse().unwrap(), companions);
        let outline = Outline { total: None, next: None, longest: 0 };
        let mut walk = Walk::begin(sought, Wanted::ALL, &outline, &mut gathered);
        walk.most = most;
        texts.iter().try_for_each(|text| walk.entry(text.as_bytes(), &mut gathered, &bases(), decide))
    };
    // Both that are found, their patient and who performed the second.
    assert_eq!(through(Companions::Asked, 4), Ok(()));
    assert_eq!(through(Companions::Asked, 3), Err(BadAnswer::TooManyReferences));
    assert_eq!(through(Companions::None, 0), Ok(()), "nothing comes along, so nothing is remembered");
}

#[test]
fn what_is_counted_is_not_written() {
    let entries = masked_between().map(|entry| entry.to_string());
    let mut gathered = Gathered::<String>::count();
    let empty = gathered.waiting();
    let sought = Sought::Type("Observation".parse().unwrap(), Companions::Asked);
    let outline = Outline { total: None, next: None, longest: 0 };
    let mut walk = Walk::begin(sought, Wanted::ALL, &outline, &mut gathered);
    for text in &entries {
        walk.entry(text.as_bytes(), &mut gathered, &bases(), decide).unwrap();
    }
    assert_eq!((gathered.released, gathered.waiting()), (2, empty));
    assert_eq!(gathered.take().1, ["Observation/0", "Observation/2"]);
}

#[test]
fn an_entry_that_is_none_is_a_bad_answer() {
    let mut gathered = Gathered::<String>::searchset();
    let sought = Sought::Type("Observation".parse().unwrap(), Companions::None);
    let outline = Outline { total: None, next: None, longest: 0 };
    let mut walk = Walk::begin(sought, Wanted { room: 0, ..Wanted::ALL }, &outline, &mut gathered);
    for text in ["1", "{", r#"{"a":1,"a":1}"#] {
        assert!(walk.entry(text.as_bytes(), &mut gathered, &bases(), decide).is_err(), "{text}");
    }
}
