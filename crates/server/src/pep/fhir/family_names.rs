//! Family names of patients, for whoever watches the log: asked of the upstream with the gateway's own credential, beside any
//! request.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::ids::PatientId;
use chartgate_protocol::fhir::base::BaseUrls;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::searchset::{Companions, Searchset, Sought};
use chartgate_protocol::json::Node;
use chartgate_values::Phi;
use http::StatusCode;

use super::upstream::FhirUpstream;
use crate::directory::FamilyNames;

impl FhirUpstream {
    /// The family names of these patients, former ones too, as their own Patients have them.
    ///
    /// # Errors
    /// Why it cannot be told, in words that name nobody.
    pub(in crate::pep) async fn family_names(
        &self,
        patients: &BTreeSet<PatientId>,
    ) -> Result<FamilyNames, String> {
        match self.patients(patients).await {
            Ok(answer) if answer.status == StatusCode::OK => names(&answer.body, patients, &self.bases)
                .ok_or_else(|| "the answer is no searchset".to_owned()),
            Ok(answer) => Err(format!("upstream-answered-{}", answer.status.as_u16())),
            Err(fault) => Err(format!("upstream {fault}")),
        }
    }
}

/// The names of those who were asked for; nobody else's.
fn names(body: &[u8], asked: &BTreeSet<PatientId>, bases: &BaseUrls) -> Option<FamilyNames> {
    let sought = Sought::Type(ResourceType::PATIENT, Companions::None);
    let searchset = Searchset::parse(body, sought, bases).ok()?;
    let mut found = BTreeMap::<PatientId, Vec<Phi<String>>>::new();
    searchset.each(|resource| {
        let id = resource.reference().id.as_str().parse::<PatientId>().ok();
        let Some(id) = id.filter(|id| asked.contains(id)) else { return };
        let names = resource.value().get("name").and_then(Node::as_array).into_iter().flatten();
        let families = names.filter_map(|name| name.get("family").and_then(Node::as_str));
        found.entry(id).or_default().extend(families.map(|family| Phi::new(family.to_owned())));
    });
    Some(found)
}

#[cfg(test)]
mod tests {
    use chartgate_protocol::fhir::version::FhirVersion;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_of_those_who_were_asked_for_and_stand_in_their_own_records() {
        let patient = |id: &str, names: serde_json::Value| json!({ "resourceType": "Patient", "id": id, "name": names });
        let records = [
            patient(
                "a",
                json!([{ "family": "Costa" }, { "use": "maiden", "family": "Demir" }, { "text": "x" }]),
            ),
            patient("b", json!([{ "given": ["Ito"] }])),
            patient("other", json!([{ "family": "Ito" }])),
            json!({ "resourceType": "Person", "id": "b", "name": [{ "family": "Ito" }] }),
        ];
        let entries: Vec<_> = records
            .iter()
            .map(|record| json!({ "resource": record, "search": { "mode": "match" } }))
            .collect();
        let body = json!({ "resourceType": "Bundle", "type": "searchset", "entry": entries }).to_string();
        let base = |text: &str| text.parse().unwrap();
        let bases = BaseUrls {
            public: base("https://gate/fhir"),
            upstream: base("http://ehr/fhir"),
            version: FhirVersion::R4,
        };
        let asked = ["a", "b", "c"].map(|id| id.parse().unwrap()).into();
        let found = names(body.as_bytes(), &asked, &bases).unwrap();
        let of = |id: &str| found.get(&id.parse().unwrap()).cloned();
        assert_eq!(of("a"), Some(vec![Phi::new("Costa".to_owned()), Phi::new("Demir".to_owned())]));
        assert_eq!((of("b"), of("other")), (Some(Vec::new()), None));
        assert!(names(b"{}", &asked, &bases).is_none());
    }
}
