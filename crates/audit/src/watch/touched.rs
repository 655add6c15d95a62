//! Which of some patients a record tells of: whose records came back or were refused, or who were asked for.

use std::collections::BTreeSet;

use chartgate_values::Phi;

use crate::record::Record;

/// Those of `listed` that a record tells of.
pub(super) fn of(record: &Record, listed: &BTreeSet<Phi<String>>) -> Vec<Phi<String>> {
    if listed.is_empty() {
        return Vec::new();
    }
    let mut touched: BTreeSet<Phi<String>> =
        record.patients.iter().filter(|patient| listed.contains(*patient)).cloned().collect();
    // What was refused before any record came back names whom it was about, if anything does.
    let asked = [record.resource.as_ref(), record.request.query.as_ref()];
    for text in asked.into_iter().flatten() {
        for word in words(text.expose()) {
            touched.extend(listed.get(&Phi::new(word)).cloned());
        }
    }
    touched.into_iter().collect()
}

/// What stands between the signs of a URL, decoded.
fn words(text: &str) -> Vec<String> {
    let decoded = decode(text);
    let is_of_an_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    decoded.split(|c| !is_of_an_id(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A text with its `%41` undone, as often as it may have been done.
fn decode(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MOST_LAYERS {
        if !text.contains('%') {
            break;
        }
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            let code = part.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
            match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
                }
                None => {
                    bytes.push(b'%');
                    bytes.extend_from_slice(part.as_bytes());
                }
            }
        }
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    text
}

const MOST_LAYERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;

    #[test]
    fn whoever_is_asked_for_is_touched_however_they_are_asked_for() {
        let listed = BTreeSet::from([Phi::new("canary-1".to_owned())]);
        let is_touched = |resource: &str, query: &str| {
            let mut record = record(1);
            record.resource = Some(Phi::new(resource.to_owned()));
            record.request.query = Some(Phi::new(query.to_owned()));
            !of(&record, &listed).is_empty()
        };
        for (resource, query) in [
            ("Patient/canary-1", ""),
            ("Patient/canary-1/_history/2", ""),
            ("Observation", "patient=canary-1"),
            ("Observation", "subject=Patient%2Fcanary-1&code=x"),
            ("Patient", "_id=a,canary-1"),
            ("Patient", "_id=a%2Ccanary%2D1"),
            ("Patient", "_id=%2563anary-1"),
            ("Condition", "subject:Patient=http://ehr/fhir/Patient/canary-1|2"),
        ] {
            assert!(is_touched(resource, query), "{resource}?{query}");
        }
        for (resource, query) in [
            ("Patient/canary-12", ""),
            ("Patient", "_id=xcanary-1"),
            ("Patient", "name=canary"),
            ("Patient", "%"),
        ] {
            assert!(!is_touched(resource, query), "{resource}?{query}");
        }
    }
}
