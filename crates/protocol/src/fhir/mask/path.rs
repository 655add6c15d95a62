//! Which element a policy means: `Patient.address`, `Patient.contact.name`, or `*.note` of every type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::place::{Member, Place};
use crate::fhir::elements::{Part, is_named};
use crate::fhir::membership;
use crate::fhir::version::FhirVersion;

/// An element of a type, or of all.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct ElementPath {
    /// `None` for all types.
    of: Option<String>,
    /// One at least.
    steps: Vec<String>,
    /// The types that have it, by the version of FHIR.
    types: BTreeMap<FhirVersion, BTreeSet<&'static str>>,
}

/// The text names no element that can be removed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoElement {
    /// No element of any version of FHIR. A letter too few would leave everything in.
    #[error("`{0}` is no element of FHIR, such as `Patient.address` or `*.note`")]
    Unknown(String),
    /// A record is no record without it.
    #[error("`{0}` cannot be removed: it says which record it is, or whose")]
    Stays(String),
}

impl ElementPath {
    /// Whether it speaks of this type.
    pub(super) fn is_of(&self, resource_type: &str) -> bool {
        self.of.as_deref().is_none_or(|own| own == resource_type)
    }

    /// Whether it can be removed from records of a type in a version: it has it there, or has it nowhere. What another version's
    /// has is called otherwise here, and would stay.
    pub(super) fn is_understood(&self, version: FhirVersion, resource_type: &str) -> bool {
        let has = |types: &BTreeSet<&str>| types.contains(resource_type);
        self.types.get(&version).is_some_and(has) || !self.types.values().any(has)
    }

    /// The names that lead to it.
    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Whether it lies within the other one, or is it.
    pub(super) fn is_within(&self, wider: &Self) -> bool {
        let is_of = wider.of.is_none() || wider.of == self.of;
        let mut pairs = wider.steps.iter().zip(&self.steps);
        is_of && wider.steps.len() <= self.steps.len() && pairs.all(|(wide, own)| is_named(wide, own))
    }

    /// Whether one of it and what these names lead to in a record of a type lies within the other.
    pub(super) fn meets(&self, version: FhirVersion, resource_type: &str, names: &[&str]) -> bool {
        let part = Part::find(version, resource_type);
        is_met(version, &Place::record(part, vec![&self.steps]), names)
    }
}

fn is_met(version: FhirVersion, place: &Place<'_>, names: &[&str]) -> bool {
    let Some((name, rest)) = names.split_first() else { return !place.paths.is_empty() };
    let name = name.strip_prefix('_').unwrap_or(name);
    match place.member(name, |step| is_named(step, name) || is_named(name, step)) {
        Member::Removed => true,
        Member::Stays(left) => {
            let part = place.kind(name).and_then(|kind| Part::find(version, kind));
            is_met(version, &Place::within(part, left, place), rest)
        }
    }
}

impl FromStr for ElementPath {
    type Err = NoElement;

    fn from_str(text: &str) -> Result<Self, NoElement> {
        let unknown = || NoElement::Unknown(text.to_owned());
        let mut steps = text.split('.');
        let of = match steps.next() {
            Some("*") => None,
            Some(name) => Some(name.to_owned()),
            None => return Err(unknown()),
        };
        let steps: Vec<String> = steps.map(str::to_owned).collect();
        match steps.first().map(String::as_str) {
            None => return Err(unknown()),
            Some("id" | "meta" | "resourceType" | "implicitRules") => {
                return Err(NoElement::Stays(text.to_owned()));
            }
            Some(_) => {}
        }
        if FhirVersion::ALL.into_iter().any(|version| says_whose(version, of.as_deref(), &steps)) {
            return Err(NoElement::Stays(text.to_owned()));
        }
        let types = FhirVersion::ALL.map(|version| {
            let has = |part: &Part| leads_somewhere(version, *part, &steps);
            (version, types(version, of.as_deref()).filter(has).map(|part| part.name()).collect())
        });
        let types: BTreeMap<FhirVersion, BTreeSet<_>> = types.into();
        if types.values().all(BTreeSet::is_empty) { Err(unknown()) } else { Ok(Self { of, steps, types }) }
    }
}

/// The types that a path is of.
fn types(version: FhirVersion, of: Option<&str>) -> impl Iterator<Item = Part> {
    Part::resources(version).filter(move |part| of.is_none_or(|name| part.name() == name))
}

/// Whether a path is one of a type in a version.
fn leads_somewhere(version: FhirVersion, of: Part, steps: &[String]) -> bool {
    let end = steps.iter().try_fold(vec![of], |parts, step| {
        if matches!(step.as_str(), "extension" | "text") && !parts.is_empty() {
            return Some(Part::find(version, "Extension").into_iter().collect());
        }
        let kinds: Vec<&str> = parts.iter().flat_map(|part| part.inner(step)).collect();
        let is_element = !kinds.is_empty();
        is_element.then(|| kinds.into_iter().filter_map(|kind| Part::find(version, kind)).collect())
    });
    end.is_some()
}

/// Whether the element holds a reference that says whose record it is. Ways that lead from a patient to their records would tell
/// it all the same.
fn says_whose(version: FhirVersion, of: Option<&str>, steps: &[String]) -> bool {
    let says = |path: &[&str]| {
        let is_on_the_way = path.iter().zip(steps).all(|(name, step)| is_named(step, name));
        let within = steps.get(path.len()).map(String::as_str);
        is_on_the_way && matches!(within, None | Some("reference" | "type" | "identifier"))
    };
    types(version, of).any(|part| membership::elements(version, part.name()).any(says))
}

impl fmt::Display for ElementPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.of.as_deref().unwrap_or("*"), self.steps.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_fhir_does_not_have_is_none() {
        for path in [
            "Patient.address",
            "Patient.contact.name",
            "Observation.value",
            "*.note",
            "Patient.extension",
            "Patient.name.family",
            "Observation.text",
            "*.identifier",
            "Observation.valueQuantity.unit",
        ] {
            assert_eq!(path.parse::<ElementPath>().map(|path| path.to_string()).as_deref(), Ok(path));
        }
        for path in [
            "",
            "Patient",
            "Patient.",
            "*",
            "Patient.adress",
            "patient.address",
            "Nonsense.address",
            "Patient.contact.nme",
            "Patient.birthDate.year",
            "Patient.contact.name.x.y",
            "Patient..name",
            "HumanName.family",
            "Patient.contact.",
            "*.nonsense",
            "Patient address",
        ] {
            assert_eq!(path.parse::<ElementPath>(), Err(NoElement::Unknown(path.to_owned())), "{path}");
        }
        for path in [
            "Patient.id",
            "*.meta",
            "Patient.meta.tag",
            "Observation.resourceType",
            "Observation.subject",
            "*.subject",
            "Observation.subject.reference",
            "Appointment.participant",
            "*.patient",
        ] {
            assert_eq!(path.parse::<ElementPath>(), Err(NoElement::Stays(path.to_owned())), "{path}");
        }
    }

    #[test]
    fn what_another_versions_type_has_is_not_understood() {
        for (path, of, expected) in [
            ("Patient.address", "Patient", [true, true, true]),
            ("Encounter.classHistory", "Encounter", [true, true, false]),
            ("Encounter.actualPeriod", "Encounter", [false, false, true]),
            ("*.note", "Observation", [true, true, true]),
            ("*.period", "Encounter", [true, true, false]),
            ("*.period", "EpisodeOfCare", [true, true, true]),
            ("*.period", "Patient", [true, true, true]),
            ("*.reasonCode", "Encounter", [true, true, false]),
            ("*.reasonCode", "Patient", [true, true, true]),
        ] {
            let read = path.parse::<ElementPath>().unwrap();
            let understood = FhirVersion::ALL.map(|version| read.is_understood(version, of));
            assert_eq!(understood, expected, "{path} of {of}");
        }
    }

    #[test]
    fn an_element_lies_within_what_is_around_it() {
        let path = |text: &str| text.parse::<ElementPath>().unwrap();
        for (inner, outer, expected) in [
            ("Patient.contact.name", "Patient.contact", true),
            ("Patient.contact", "Patient.contact", true),
            ("Observation.valueQuantity", "Observation.value", true),
            ("Observation.note", "*.note", true),
            ("*.note", "Observation.note", false),
            ("Patient.contact", "Patient.contact.name", false),
            ("Patient.name", "Person.name", false),
        ] {
            assert_eq!(path(inner).is_within(&path(outer)), expected, "{inner} in {outer}");
        }
    }

    #[test]
    fn an_element_is_met_on_the_way_to_it_and_within_it() {
        let r4 = FhirVersion::R4;
        for (path, names, expected) in [
            ("Patient.contact.name", "contact", true),
            ("Patient.contact", "contact/name/family", true),
            ("Observation.value", "valueQuantity", true),
            ("Observation.valueQuantity", "value", true),
            ("Observation.valueQuantity", "_valueQuantity", true),
            ("Patient.contact.name", "contact/gender", false),
            ("QuestionnaireResponse.item.answer", "item/answer", true),
            ("QuestionnaireResponse.item.answer", "item/item", true),
            ("QuestionnaireResponse.item.answer", "item/item/item/answer/valueString", true),
            ("QuestionnaireResponse.item.answer", "item/item/linkId", false),
            ("QuestionnaireResponse.item.item.answer", "item/item/item/answer", true),
            ("QuestionnaireResponse.item.item.answer", "item/answer/valueString", false),
            ("QuestionnaireResponse.item.answer.value", "item/answer/item/answer/valueString", true),
            ("QuestionnaireResponse.item.answer.value", "item/answer/item/answer/id", false),
        ] {
            let (of, _) = path.split_once('.').unwrap();
            let names: Vec<&str> = names.split('/').collect();
            let met = path.parse::<ElementPath>().unwrap().meets(r4, of, &names);
            assert_eq!(met, expected, "{path} {names:?}");
        }
    }
}
