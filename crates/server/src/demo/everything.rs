//! The sample server's `$everything`: what refers to a patient, and what that refers to. HL7 FHIR 4.0.1,
//! patient-operation-everything.html.

use std::collections::BTreeSet;

use bytes::Bytes;
use chartgate_protocol::form::Form;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::fhir_server::{FhirServer, Paged, answer, outcome};
use super::include::{all_references, name};
use super::stored::text;

impl FhirServer {
    /// All that there is of a patient.
    pub(super) fn everything(&self, id: &str, query: &str) -> Response<Full<Bytes>> {
        let Ok(form) = Form::parse_repeating(query) else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the parameters are not a form");
        };
        let (mut count, mut offset, mut types) = (usize::MAX, 0, None);
        for (name, value) in form.iter() {
            match (name, value.parse()) {
                ("_count", Ok(number)) => count = number,
                ("_offset", Ok(number)) => offset = number,
                ("_type", _) => types = Some(value.split(',').map(str::to_owned).collect::<BTreeSet<_>>()),
                _ => {
                    return outcome(
                        StatusCode::BAD_REQUEST,
                        "not-supported",
                        "a parameter that is not known",
                    );
                }
            }
        }
        let Some(patient) = self.records.versions("Patient", id).pop().and_then(|version| version.resource)
        else {
            return outcome(StatusCode::NOT_FOUND, "not-found", "no such resource");
        };
        let own = format!("Patient/{id}");
        let references = |record: &Value| {
            let mut found = Vec::new();
            all_references(record, &mut found);
            found
        };
        let kinds = self.records.types();
        let all = kinds.iter().flat_map(|kind| self.records.all(kind)).filter_map(|version| version.resource);
        let mut found = vec![patient];
        found.extend(all.filter(|record| references(record).contains(&own)));
        let mut known: BTreeSet<String> = found.iter().filter_map(name).collect();
        let further: Vec<Value> = found
            .iter()
            .flat_map(&references)
            .filter(|reference| known.insert(reference.clone()))
            .filter_map(|reference| {
                let (kind, id) = reference.split_once('/')?;
                self.records.versions(kind, id).pop()?.resource
            })
            .collect();
        found.extend(further);
        let is_asked = |record: &Value| {
            types
                .as_ref()
                .is_none_or(|types| text(record, "resourceType").is_some_and(|kind| types.contains(&kind)))
        };
        found.retain(is_asked);
        let entry = |record: &Value| {
            let url = format!("{}/{}", self.base, name(record)?);
            Some(json!({ "fullUrl": url, "resource": record, "search": { "mode": "match" } }))
        };
        let entries: Vec<Value> = found.iter().skip(offset).take(count).filter_map(entry).collect();
        let path = format!("Patient/{id}/$everything");
        let paged = Paged { path: &path, form: &form, offset, count };
        answer(
            StatusCode::OK,
            &json!({ "resourceType": "Bundle", "type": "searchset", "total": found.len(),
                "link": self.links(&paged, found.len()), "entry": entries }),
        )
    }
}
