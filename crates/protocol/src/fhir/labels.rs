//! How a record has to be handled: its security labels, and what its codes say where its source does not. HL7 FHIR 4.0.1,
//! security-labels.html; HL7 DS4P; 42 CFR Part 2.
//!
//! A label is a code of `meta.security`, such as `R` or `SUD`, whatever its system. What codes within the record say is
//! marked as such, `code:SUD`, for it is a guess of ours and no word of its source's. Which codes say what is data.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::json::Node;

/// The labels of a record, in their order; most have none.
pub type Labels = BTreeSet<String>;

/// The labels of a record, by its own word, by that of resources within it, and by their codes.
#[must_use]
pub fn labels_of(record: &Node<'_>) -> Labels {
    let mut labels = Labels::new();
    collect(record, &mut labels);
    labels
}

/// The labels that a record has by its own word and that of resources within it: nobody but its source takes one away.
#[must_use]
pub fn labels_said<'n>(record: &'n Node<'_>) -> BTreeSet<(Option<&'n str>, &'n str)> {
    let mut said = own_labels(record);
    let contained = record.get("contained").and_then(Node::as_array).unwrap_or_default();
    said.extend(contained.iter().flat_map(own_labels));
    said
}

fn own_labels<'n>(resource: &'n Node<'_>) -> BTreeSet<(Option<&'n str>, &'n str)> {
    let security = resource.get("meta").and_then(|meta| meta.get("security")?.as_array()).unwrap_or_default();
    security
        .iter()
        .filter_map(|coding| {
            Some((coding.get("system").and_then(Node::as_str), coding.get("code").and_then(Node::as_str)?))
        })
        .collect()
}

fn collect(value: &Node<'_>, labels: &mut Labels) {
    match value {
        Node::Object(members) => {
            if members.get("resourceType").is_some() {
                labels.extend(own_labels(value).into_iter().map(|(_, code)| code.to_owned()));
            }
            let text = |name| members.get(name).and_then(Node::as_str);
            if let (Some(system), Some(code)) = (text("system"), text("code")) {
                labels.extend(by_code(system, code).map(|label| format!("code:{label}")));
            }
            for (_, value) in members.iter() {
                collect(value, labels);
            }
        }
        Node::Array(items) => items.iter().for_each(|item| collect(item, labels)),
        Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => {}
    }
}

fn by_code(system: &str, code: &str) -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(move |row| row.matches(system, code)).map(|row| row.label)
}

/// A code, or all that begin alike.
struct Row {
    label: &'static str,
    system: &'static str,
    code: &'static str,
    begins: bool,
}

impl Row {
    fn matches(&self, system: &str, code: &str) -> bool {
        let is_code = if self.begins { code.starts_with(self.code) } else { code == self.code };
        // Outside of the United States the diagnoses are of ICD-10 itself.
        let is_icd_10 = self.system == ICD_10_CM && system == ICD_10;
        is_code && (self.system == system || is_icd_10)
    }
}

const ICD_10_CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10";

/// A line that were not understood would label nothing; a test holds that there is none.
static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut columns = line.split('\t');
        let (label, system, code) = (columns.next()?, columns.next()?, columns.next()?);
        let begins = code.ends_with('*');
        Some(Row { label, system, code: code.trim_end_matches('*'), begins })
    };
    TEXT.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
});

const TEXT: &str = include_str!("labels.tsv");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(record: &Value) -> Vec<String> {
        labels_of(&Node::from(record)).into_iter().collect()
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        let lines = TEXT.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.clone().all(|line| line.split('\t').count() == 5 && !line.contains(" \t")));
        assert_eq!(TABLE.len(), lines.count());
        let known = ["SUD", "HIV", "STD", "SEX", "SDV", "PSY"];
        assert!(TABLE.iter().all(|row| known.contains(&row.label) && row.code.len() > 1));
    }

    #[test]
    fn a_record_has_the_labels_that_it_says_and_those_of_its_codes_wherever_they_stand() {
        let security = json!({ "security": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R" }, { "code": "ETH" }] });
        assert_eq!(labels(&json!({ "resourceType": "Observation", "meta": security })), ["ETH", "R"]);
        assert_eq!(
            labels(
                &json!({ "resourceType": "Observation", "contained": [{ "resourceType": "Condition", "meta": security }] })
            ),
            ["ETH", "R"]
        );
        let coded = |system: &str, code: &str| {
            labels(
                &json!({ "resourceType": "Encounter", "reasonCode": [{ "coding": [{ "system": system, "code": code }] }] }),
            )
        };
        assert_eq!(coded("http://hl7.org/fhir/sid/icd-10-cm", "F11.20"), ["code:SUD"]);
        assert_eq!(coded("http://hl7.org/fhir/sid/icd-10", "F10.2"), ["code:SUD"]);
        assert_eq!(coded("http://snomed.info/sct", "86406008"), ["code:HIV"]);
        assert_eq!(coded("http://loinc.org", "28627-4"), ["code:PSY"]);
        for (system, code) in [
            ("http://hl7.org/fhir/sid/icd-10-cm", "F17.210"),
            ("http://hl7.org/fhir/sid/icd-10-cm", "f11.20"),
            ("http://snomed.info/sct", "864060081"),
            ("http://example.org", "F11.20"),
            ("http://loinc.org", "8867-4"),
        ] {
            assert!(coded(system, code).is_empty(), "{system} {code}");
        }
        assert!(
            labels(&json!({ "resourceType": "Patient", "x": { "meta": security } })).is_empty(),
            "of no resource"
        );
    }
}
