use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{History, Links, Released};
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

fn decide<'a>(resource: &Resource<'a>) -> Disposition<'a, String> {
    let own = Membership::Patients(BTreeSet::from(["a".parse().unwrap()]));
    match patients_of(resource.value(), &bases()) == own {
        true => Disposition::Release(View::whole(resource), resource.reference().to_string()),
        false => Disposition::Withhold,
    }
}

type Left = (String, Vec<String>, [usize; 2], Progress, usize);

fn left(gathered: Gathered<String>, progress: Progress, found: usize) -> Left {
    let links = Links { own: "https://gate.test/fhir/Observation/_history", next: None };
    let Released { body, released, withheld, notes, .. } = gathered.into_bundle(links);
    (body, notes, [released, withheld], progress, found)
}

fn entry() -> impl Strategy<Value = Value> {
    ("[1-2]", "[ab]", 0_u8..5).prop_map(|(id, patient, kind)| match kind {
        0 | 1 => json!({ "request": { "method": "DELETE", "url": format!("Observation/{id}") },
            "response": { "status": "204", "lastModified": "2026-03-01T10:00:00Z" } }),
        2 => json!({ "request": { "method": "PUT", "url": "Patient/x" },
            "resource": { "resourceType": "Patient", "id": id } }),
        _ => json!({ "request": { "method": "PUT", "url": format!("Observation/{id}") },
            "resource": { "resourceType": "Observation", "id": id,
                "subject": { "reference": format!("Patient/{patient}") } } }),
    })
}

proptest! {
    /// However long a history is, the same leaves of it.
    #[test]
    fn what_leaves_version_by_version_is_what_leaves_at_once(
        entries in prop::collection::vec(entry(), 0..16), past in 0_usize..3, bytes in prop_oneof![0_usize..900, Just(usize::MAX)], room in prop_oneof![0_usize..5, Just(usize::MAX)],
        of in "Observation(/1)?", again in any::<bool>(),
    ) {
        let (of, wanted): (HistoryOf, _) = (of.parse().unwrap(), Wanted { past, room, bytes });
        let bundle = json!({ "resourceType": "Bundle", "type": "history", "entry": entries }).to_string();
        let history = History::parse(bundle.as_bytes(), &of, &bases()).unwrap();
        let (found, records) = (history.found(), history.records());
        let mut gathered = Gathered::history();
        let progress = history.gather(&mut gathered, wanted, &bases(), decide);
        let at_once = left(gathered, progress, found);

        let mut gathered = Gathered::history();
        let mut walk = Walk::begin(of.clone(), wanted, &mut gathered);
        let mut told = BTreeSet::new();
        for entry in &entries {
            let text = entry.to_string();
            told.extend(Walk::record(text.as_bytes(), &of, &bases()).unwrap());
            if again {
                let (mark, before) = (gathered.mark(), walk.clone());
                walk.entry(text.as_bytes(), &mut gathered, &bases(), decide).unwrap();
                gathered.back_to(mark);
                walk = before;
            }
            walk.entry(text.as_bytes(), &mut gathered, &bases(), decide).unwrap();
        }
        walk.end(&mut gathered);
        prop_assert_eq!(told, records);
        prop_assert_eq!(left(gathered, walk.progress(), walk.found()), at_once);
    }
}
