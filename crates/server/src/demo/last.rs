//! The sample server's `Observation/$lastn`: of each code of a patient the latest, as many as are asked for. HL7 FHIR 4.0.1,
//! observation-operation-lastn.html.

use std::collections::BTreeMap;

use bytes::Bytes;
use chartgate_protocol::form::Form;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::fhir_server::{FhirServer, answer, outcome};
use super::include::name;
use super::search::Search;

impl FhirServer {
    /// The latest observations.
    pub(super) fn last(&self, query: &str) -> Response<Full<Bytes>> {
        let form = Form::parse_repeating(query).unwrap_or_default();
        let most: usize = form.get("max").and_then(|text| text.parse().ok()).unwrap_or(1);
        let Ok(search) = Search::read(form.iter().filter(|(name, _)| *name != "max")) else {
            return outcome(StatusCode::BAD_REQUEST, "not-supported", "a parameter that is not known");
        };
        let mut by_code: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for found in
            search.run(&self.records, "Observation").into_iter().filter_map(|version| version.resource)
        {
            let code = found.get("code").map(ToString::to_string).unwrap_or_default();
            by_code.entry(code).or_default().push(found);
        }
        let when = |record: &Value| record.get("effectiveDateTime").map(ToString::to_string);
        let mut entries = Vec::new();
        for mut all in by_code.into_values() {
            all.sort_by_key(|record| std::cmp::Reverse(when(record)));
            entries.extend(all.into_iter().take(most).filter_map(|resource| {
                let url = format!("{}/{}", self.base, name(&resource)?);
                Some(json!({ "fullUrl": url, "resource": resource, "search": { "mode": "match" } }))
            }));
        }
        let total = entries.len();
        answer(
            StatusCode::OK,
            &json!({ "resourceType": "Bundle", "type": "searchset", "total": total, "entry": entries }),
        )
    }
}
