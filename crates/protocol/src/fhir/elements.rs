//! What resources and data types are made of. HL7 FHIR 4.0.1, resourcelist.html and datatypes.html.
//!
//! The table is data, one for each version: `definitions/README.md`.

use std::collections::BTreeMap;

use super::name::ResourceType;
use super::version::{FhirVersion, PerVersion};

/// A resource type, a data type, or a part of one such as `Observation.component`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    version: FhirVersion,
    name: &'static str,
}

impl Part {
    /// The part of this name, if there is one.
    pub(super) fn find(version: FhirVersion, name: &str) -> Option<Self> {
        TABLES.get(version).get_key_value(name).map(|(name, _)| Self { version, name })
    }

    /// Every resource type.
    pub(super) fn resources(version: FhirVersion) -> impl Iterator<Item = Self> {
        let is_resource = move |name: &&&'static str| ResourceType::of(version, name).is_ok();
        TABLES.get(version).keys().filter(is_resource).map(move |name| Self { version, name })
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Whether a type has an element, by the name that it has in JSON.
    pub(super) fn has(version: FhirVersion, part: &str, element: &str) -> bool {
        Self::find(version, part).is_some_and(|part| element == "id" || part.kind(element).is_some())
    }

    /// The type of an element, by the name that it has in JSON.
    pub(super) fn kind(self, element: &str) -> Option<&'static str> {
        TABLES
            .get(self.version)
            .get(self.name)?
            .iter()
            .find(|(name, _)| *name == element)
            .map(|(_, kind)| *kind)
    }

    /// What elements of this name are made of; of a choice, all that it can be.
    pub(super) fn inner(self, element: &str) -> Vec<&'static str> {
        let own = TABLES.get(self.version).get(self.name).into_iter().flatten();
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
static TABLES: PerVersion<Table> =
    PerVersion::of(|| read_all(TEXTS[0]), || read_all(TEXTS[1]), || read_all(TEXTS[2]));

type Table = BTreeMap<&'static str, Vec<(&'static str, &'static str)>>;

fn read_all(text: &'static str) -> Table {
    let line = |line: &'static str| {
        let (part, elements) = line.split_once('\t')?;
        let elements = elements.split(' ').filter_map(|element| element.split_once(':')).collect();
        Some((part, elements))
    };
    text.lines().filter_map(line).collect()
}

/// In the order of [`FhirVersion::ALL`].
const TEXTS: [&str; 3] = [
    include_str!("definitions/r4/elements.tsv"),
    include_str!("definitions/r4b/elements.tsv"),
    include_str!("definitions/r5/elements.tsv"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood_and_leads_to_parts_that_there_are() {
        for (version, text) in FhirVersion::ALL.into_iter().zip(TEXTS) {
            let table = TABLES.get(version);
            assert_eq!(table.len(), text.lines().count());
            assert_eq!(table.values().map(Vec::len).sum::<usize>(), text.matches(':').count());
            for (part, elements) in table {
                for (name, kind) in elements {
                    let is_part = kind.contains('.');
                    assert!(!is_part || table.contains_key(kind), "{part}.{name} is {kind}");
                }
            }
        }
        let kind = |version, part: &str, element| Part::find(version, part).unwrap().kind(element);
        assert_eq!(kind(FhirVersion::R5, "Encounter", "actualPeriod"), Some("Period"));
        assert_eq!(kind(FhirVersion::R4, "Encounter", "actualPeriod"), None);
        assert_eq!(
            Part::find(FhirVersion::R4, "Observation").unwrap().kind("valueQuantity"),
            Some("Quantity")
        );
        assert_eq!(Part::find(FhirVersion::R4, "Patient").unwrap().kind("contact"), Some("Patient.contact"));
        assert_eq!(
            Part::find(FhirVersion::R4, "ExplanationOfBenefit.addItem").unwrap().kind("adjudication"),
            Some("ExplanationOfBenefit.item.adjudication")
        );
        assert_eq!(Part::find(FhirVersion::R4, "Meta").unwrap().kind("lastUpdated"), Some("instant"));
        assert!(
            Part::find(FhirVersion::R4, "StructureDefinition").is_none()
                && Part::find(FhirVersion::R4, "Nonsense").is_none()
        );
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
