//! Which element a policy means: `Patient.address`, `Patient.contact.name`, or `*.note` of every type.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

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
    /// The versions of FHIR that have it.
    versions: BTreeSet<FhirVersion>,
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

    /// Whether a version has it.
    pub(super) fn is_in(&self, version: FhirVersion) -> bool {
        self.versions.contains(&version)
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

    /// Whether one of it and what these names lead to lies within the other.
    pub(super) fn meets(&self, names: &[&str]) -> bool {
        self.steps.iter().zip(names).all(|(own, name)| is_named(own, name) || is_named(name, own))
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
        let is_element = |version: &FhirVersion| leads_somewhere(*version, of.as_deref(), &steps);
        let versions: BTreeSet<_> = FhirVersion::ALL.into_iter().filter(is_element).collect();
        if versions.is_empty() { Err(unknown()) } else { Ok(Self { of, steps, versions }) }
    }
}

/// The types that a path is of.
fn types(version: FhirVersion, of: Option<&str>) -> impl Iterator<Item = Part> {
    Part::resources(version).filter(move |part| of.is_none_or(|name| part.name() == name))
}

/// Whether a path is one in a version.
fn leads_somewhere(version: FhirVersion, of: Option<&str>, steps: &[String]) -> bool {
    let parts: Vec<Part> = types(version, of).collect();
    let end = steps.iter().try_fold(parts, |parts, step| {
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
    let says = |path: &Vec<&str>| {
        let is_on_the_way = path.iter().zip(steps).all(|(name, step)| is_named(step, name));
        let within = steps.get(path.len()).map(String::as_str);
        is_on_the_way && matches!(within, None | Some("reference" | "type" | "identifier"))
    };
    types(version, of).any(|part| membership::elements(version, part.name()).iter().any(says))
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
    fn an_element_is_one_of_the_versions_that_have_it() {
        for (path, expected) in [
            ("Patient.address", [true, true, true]),
            ("Encounter.classHistory", [true, true, false]),
            ("Encounter.actualPeriod", [false, false, true]),
            ("DeviceUsage.note", [false, false, true]),
            ("*.note", [true, true, true]),
        ] {
            let read = path.parse::<ElementPath>().unwrap();
            assert_eq!(FhirVersion::ALL.map(|version| read.is_in(version)), expected, "{path}");
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
        assert!(path("Patient.contact.name").meets(&["contact"]));
        assert!(path("Patient.contact").meets(&["contact", "name", "family"]));
        assert!(
            path("Observation.value").meets(&["valueQuantity"])
                && path("Observation.valueQuantity").meets(&["_valueQuantity"])
        );
        assert!(!path("Patient.contact.name").meets(&["contact", "gender"]));
    }
}
