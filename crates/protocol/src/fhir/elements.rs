//! What R4's resources and data types are made of. HL7 FHIR 4.0.1, resourcelist.html and datatypes.html.
//!
//! The table is data, condensed from HL7's own files by `examples/condense_elements.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::name::ResourceType;

/// A resource type, a data type, or a part of one such as `Observation.component`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part(&'static str);

impl Part {
    /// The part of this name, if there is one.
    pub(super) fn find(name: &str) -> Option<Self> {
        TABLE.get_key_value(name).map(|(name, _)| Self(name))
    }

    /// Every resource type.
    pub(super) fn resources() -> impl Iterator<Item = Self> {
        let is_resource = |name: &&&'static str| name.parse::<ResourceType>().is_ok();
        TABLE.keys().filter(is_resource).map(|name| Self(name))
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        self.0
    }

    /// The type of an element, by the name that it has in JSON.
    pub(super) fn kind(self, element: &str) -> Option<&'static str> {
        TABLE.get(self.0)?.iter().find(|(name, _)| *name == element).map(|(_, kind)| *kind)
    }

    /// What elements of this name are made of; of a choice, all that it can be.
    pub(super) fn inner(self, element: &str) -> Vec<&'static str> {
        let own = TABLE.get(self.0).into_iter().flatten();
        own.filter(|(name, _)| is_named(element, name)).map(|(_, kind)| *kind).collect()
    }
}

/// Whether a member of this name is the element: itself, the extensions of its value, or one of a choice, as FHIRPath has it
/// (`value` is `valueQuantity` too). Rather one too many.
pub(super) fn is_named(element: &str, member: &str) -> bool {
    let member = member.strip_prefix('_').unwrap_or(member);
    let rest = member.strip_prefix(element);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// A line that were not understood would be a part that is not known; a test holds that there is none.
static TABLE: LazyLock<BTreeMap<&'static str, Vec<(&'static str, &'static str)>>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (part, elements) = line.split_once('\t')?;
        let elements = elements.split(' ').filter_map(|element| element.split_once(':')).collect();
        Some((part, elements))
    };
    TEXT.lines().filter_map(line).collect()
});

const TEXT: &str = include_str!("elements.tsv");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood_and_leads_to_parts_that_there_are() {
        assert_eq!(TABLE.len(), TEXT.lines().count());
        assert_eq!(TABLE.values().map(Vec::len).sum::<usize>(), TEXT.matches(':').count());
        for (part, elements) in TABLE.iter() {
            for (name, kind) in elements {
                let is_part = kind.contains('.');
                assert!(!is_part || TABLE.contains_key(kind), "{part}.{name} is {kind}");
            }
        }
        assert_eq!(Part::find("Observation").unwrap().kind("valueQuantity"), Some("Quantity"));
        assert_eq!(Part::find("Patient").unwrap().kind("contact"), Some("Patient.contact"));
        assert_eq!(
            Part::find("ExplanationOfBenefit.addItem").unwrap().kind("adjudication"),
            Some("ExplanationOfBenefit.item.adjudication")
        );
        assert_eq!(Part::find("Meta").unwrap().kind("lastUpdated"), Some("instant"));
        assert!(Part::find("StructureDefinition").is_none() && Part::find("Nonsense").is_none());
    }

    #[test]
    fn an_element_is_its_choices_and_its_extensions_too() {
        for (element, member) in [("value", "valueQuantity"), ("birthDate", "_birthDate"), ("code", "code")] {
            assert!(is_named(element, member), "{element} {member}");
        }
        for (element, member) in [("value", "values"), ("address", "addres"), ("code", "encode")] {
            assert!(!is_named(element, member), "{element} {member}");
        }
    }
}
