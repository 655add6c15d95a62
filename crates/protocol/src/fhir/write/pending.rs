//! What the records of one transaction are called by one another. HL7 FHIR 4.0.1, http.html#trules.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::fhir::reference::Reference;
use crate::json::{Node, Object, read};

/// Records of one transaction, by the names that its entries have for them (`urn:uuid:…`): what a reference to one proves.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pending {
    written: BTreeMap<String, Reference>,
    there: BTreeMap<String, Reference>,
}

impl Pending {
    /// Adds a record that is written under a name. The upstream knows it by that name too.
    ///
    /// An id is given to a new record when it is stored, so here it stands for nobody's: a new record of any type but
    /// Patient, whose id is of no matter. A new Patient is somebody of whom nothing is known: a reference to one proves
    /// nothing, and such a record is never added.
    pub fn add(&mut self, name: &str, record: Reference) {
        self.written.insert(name.to_owned(), record);
    }

    /// Adds a record that was to be created and is there. The upstream never hears the name.
    pub fn add_there(&mut self, name: &str, record: Reference) {
        self.there.insert(name.to_owned(), record);
    }

    fn get(&self, name: &str) -> Option<&Reference> {
        self.written.get(name).or_else(|| self.there.get(name))
    }

    /// Puts in what the names stand for.
    pub(super) fn resolve(&self, value: &mut Node<'static>) {
        match value {
            Node::Object(members) => {
                for (name, value) in members.iter_mut() {
                    match value {
                        Node::Text(text) if name == "reference" => {
                            if let Some(record) = self.get(text.as_ref()) {
                                *text = record.to_string().into();
                            }
                        }
                        value => self.resolve(value),
                    }
                }
            }
            Node::Array(items) => items.iter_mut().for_each(|item| self.resolve(item)),
            Node::Null | Node::Bool(_) | Node::Number | Node::Text(_) => {}
        }
    }

    /// The text with the names of what is there put in, if anything can be.
    pub(super) fn rewritten(&self, text: &str) -> Option<String> {
        if self.there.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        self.write(&mut out, serde_json::from_str(text).ok()?)?;
        Some(out)
    }

    /// Writes a value. It was read before, so that its depth is bounded.
    fn write(&self, out: &mut String, value: &RawValue) -> Option<()> {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let object: Object<'_> = read(text).ok()?;
                for (at, (name, value)) in object.iter().enumerate() {
                    out.push(if at == 0 { '{' } else { ',' });
                    out.push_str(&serde_json::to_string(name).ok()?);
                    out.push(':');
                    match self.reference_there(name, value) {
                        Some(record) => out.push_str(&format!("\"{record}\"")),
                        None => self.write(out, value)?,
                    }
                }
                out.push_str(if object.is_empty() { "{}" } else { "}" });
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = read(text).ok()?;
                for (at, item) in items.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    self.write(out, item)?;
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            _ => out.push_str(text),
        }
        Some(())
    }

    fn reference_there(&self, member: &str, value: &RawValue) -> Option<&Reference> {
        let name: String = read(value.get()).ok().filter(|_| member == "reference")?;
        self.there.get(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::write::Draft;

    fn draft(body: &str) -> Draft {
        let mut pending = Pending::default();
        pending.add("urn:uuid:new", "Encounter/new".parse().unwrap());
        pending.add_there("urn:uuid:there", "Patient/a".parse().unwrap());
        Draft::of_create(body.as_bytes(), "Observation".parse().unwrap()).unwrap().among(&pending)
    }

    fn text_at<'a>(draft: &'a Draft, member: &str) -> &'a str {
        draft.value().get(member).and_then(|own| own.get("reference")).and_then(Node::as_str).unwrap()
    }

    #[test]
    fn what_is_there_is_called_by_its_own_name_and_what_is_written_by_its_entrys() {
        let draft = draft(concat!(
            r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:there"},"#,
            r#""encounter":{"reference":"urn:uuid:new"},"valueString":"urn:uuid:there","#,
            r#""focus":[],"extension":[{},{"valueReference":{"ref\u0065rence":"urn:uuid\u003athere"}}],"x":1.10}"#
        ));
        assert_eq!(
            draft.text(),
            concat!(
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"},"#,
                r#""encounter":{"reference":"urn:uuid:new"},"valueString":"urn:uuid:there","#,
                r#""focus":[],"extension":[{},{"valueReference":{"reference":"Patient/a"}}],"x":1.10}"#
            )
        );
        assert_eq!(
            (text_at(&draft, "subject"), text_at(&draft, "encounter")),
            ("Patient/a", "Encounter/new")
        );
    }
}
