//! The sample server's histories. HL7 FHIR 4.0.1, http.html#history.

use bytes::Bytes;
use chartgate_protocol::form::Form;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::fhir_server::{FhirServer, Paged, answer, outcome};
use super::stored::Version;

impl FhirServer {
    /// The history of these versions, which come with their ids, the newest first.
    pub(super) fn history(
        &self,
        path: &str,
        versions: Vec<(String, Version)>,
        query: &str,
    ) -> Response<Full<Bytes>> {
        let Ok(form) = Form::parse_repeating(query) else {
            return outcome(StatusCode::BAD_REQUEST, "invalid", "the parameters are not a form");
        };
        let (mut count, mut offset, mut since) = (20, 0, "");
        for (name, value) in form.iter() {
            match (name, value.parse()) {
                ("_count", Ok(number)) => count = number,
                ("_offset", Ok(number)) => offset = number,
                ("_since", _) => since = value,
                _ => return outcome(StatusCode::BAD_REQUEST, "not-supported", "a parameter of no history"),
            }
        }
        let kind = path.split('/').next().unwrap_or(path);
        let versions: Vec<_> = versions
            .into_iter()
            .filter(|(_, version)| version.updated.to_string().as_str() >= since)
            .collect();
        let entry = |(id, version): &(String, Version)| {
            let (method, status) = match (&version.resource, version.number) {
                (None, _) => ("DELETE", "204"),
                (Some(_), 1) => ("POST", "201"),
                (Some(_), _) => ("PUT", "200"),
            };
            let url = if method == "POST" { kind.to_owned() } else { format!("{kind}/{id}") };
            let mut entry = json!({
                "fullUrl": format!("{}/{kind}/{id}", self.base),
                "request": { "method": method, "url": url },
                "response": { "status": status, "lastModified": version.updated, "etag": format!("W/\"{}\"", version.number) },
            });
            if let (Some(resource), Value::Object(members)) = (&version.resource, &mut entry) {
                members.insert("resource".to_owned(), resource.clone());
            }
            entry
        };
        let entries: Vec<Value> = versions.iter().skip(offset).take(count).map(entry).collect();
        let paged = Paged { path, form: &form, offset, count };
        answer(
            StatusCode::OK,
            &json!({
                "resourceType": "Bundle", "type": "history", "total": versions.len(),
                "link": self.links(&paged, versions.len()), "entry": entries,
            }),
        )
    }
}
