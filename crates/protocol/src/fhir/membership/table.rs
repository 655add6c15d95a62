//! The table: for each type, the elements that say whose record it is.
//!
//! It is the patient's compartment of each version, its search parameters resolved to elements, less those by which somebody
//! wrote, said or did something: who wrote of a patient has no claim to what they wrote. What R5's overlooks is added
//! (`definitions/README.md`). A Patient is its own record;
//! `Patient.link` makes nobody another's. Condensed by `examples/condense_compartment.rs`.

use std::collections::BTreeMap;

use crate::fhir::version::{FhirVersion, PerVersion};

/// What the table says of a type.
pub(super) enum Row {
    /// The resource is the patient.
    Itself,
    /// The type belongs to nobody.
    Nobody,
    /// References that name the patients.
    Elements(&'static [Element]),
    /// The type is not in the table.
    Unknown,
}

impl Row {
    pub(super) fn of(version: FhirVersion, resource_type: &str) -> Self {
        match resource_type {
            "Patient" => Self::Itself,
            "HealthcareService" | "Location" | "Medication" | "Organization" | "Practitioner"
            | "PractitionerRole" => Self::Nobody,
            _ => match TABLES.get(version).get(resource_type) {
                Some(line) => Self::Elements(&line.elements),
                None => Self::Unknown,
            },
        }
    }
}

/// The parameter that finds exactly what a row names. None where one element of several would find too little.
pub(super) fn search_parameter(version: FhirVersion, resource_type: &str) -> Option<&'static str> {
    match Row::of(version, resource_type) {
        Row::Itself => Some("_id"),
        Row::Nobody | Row::Unknown => None,
        Row::Elements(_) => TABLES.get(version).get(resource_type)?.found_by,
    }
}

/// A reference that names patients whose record it is.
pub(super) struct Element {
    pub(super) path: Vec<&'static str>,
    pub(super) says: Says,
}

/// What an element says of whose a record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Says {
    /// Whose it is.
    Whose,
    /// Whose it is besides, where another element says whose.
    Besides,
}

impl Element {
    fn read(text: &'static str) -> Self {
        let (path, says) = match text.strip_prefix('+') {
            Some(path) => (path, Says::Besides),
            None => (text, Says::Whose),
        };
        Self { path: path.split('.').collect(), says }
    }
}

struct Line {
    found_by: Option<&'static str>,
    elements: Vec<Element>,
}

type Table = BTreeMap<&'static str, Line>;

static TABLES: PerVersion<Table> =
    PerVersion::of(|| read_all(TEXTS[0]), || read_all(TEXTS[1]), || read_all(TEXTS[2]));

/// In the order of [`FhirVersion::ALL`].
pub(super) const TEXTS: [&str; 3] = [
    include_str!("../definitions/r4/compartment.tsv"),
    include_str!("../definitions/r4b/compartment.tsv"),
    include_str!("../definitions/r5/compartment.tsv"),
];

/// A line that were not understood would be a type of which nobody knows whose it is; a test holds that there is none.
fn read_all(text: &'static str) -> Table {
    let line = |line: &'static str| {
        let mut columns = line.split('\t');
        let (name, found_by, elements) = (columns.next()?, columns.next()?, columns.next()?);
        let elements = elements.split(' ').map(Element::read).collect();
        Some((name, Line { found_by: Some(found_by).filter(|name| *name != "-"), elements }))
    };
    text.lines().filter_map(line).collect()
}
