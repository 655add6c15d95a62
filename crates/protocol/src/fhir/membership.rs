//! Whose record a resource is, and whom it names besides. HL7 FHIR 4.0.1, compartmentdefinition-patient.html.
//!
//! This is the one place that says so, for reads, searches and writes alike. Only what is proven counts: a
//! reference of ours, letter by letter, in an element of the table. Where that proves nothing, the answer is that
//! we do not know, which is a denial.

use std::collections::{BTreeSet, HashMap};

use super::base::BaseUrls;
use super::name::{ResourceId, ResourceType};
use super::reference::Target;
use super::version::FhirVersion;
use crate::json::{Members, Node};

mod mention;
mod table;

use mention::Mention;
use table::{Element, Row, Says};

/// Whose record a resource is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Membership {
    /// Nobody's: a type that many records share, such as Organization.
    Nobody,
    /// That of these patients, one at least.
    Patients(BTreeSet<ResourceId>),
    /// It cannot be told.
    Unknown,
}

/// Whether a resource names patients whose record it is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Others {
    /// It names none.
    None,
    /// It names some, or may do so.
    Named,
}

/// Whose record a resource is.
#[must_use]
pub fn patients_of(resource: &Node<'_>, bases: &BaseUrls) -> Membership {
    let Some(resource_type) = resource_type(resource) else { return Membership::Unknown };
    match Row::of(bases.version, resource_type) {
        Row::Unknown => Membership::Unknown,
        Row::Nobody => Membership::Nobody,
        Row::Itself => match resource.get("id").and_then(Node::as_str).map(str::parse) {
            Some(Ok(id)) => Membership::Patients(BTreeSet::from([id])),
            Some(Err(_)) | None => Membership::Unknown,
        },
        Row::Elements(elements) => {
            let (mut patients, mut besides) = (BTreeSet::new(), BTreeSet::new());
            let within = Within { contained: contained(resource), bases };
            for Element { path, says } in elements {
                let named = match says {
                    Says::Whose => &mut patients,
                    Says::Besides => &mut besides,
                };
                if collect(resource, path, named, &within) == Proof::Failed {
                    return Membership::Unknown;
                }
            }
            if patients.is_empty() {
                return Membership::Unknown;
            }
            patients.append(&mut besides);
            Membership::Patients(patients)
        }
    }
}

/// Whether a resource names a patient besides those whose record it is: in any element, extension or contained
/// resource.
///
/// The spelling is read generously here, for a name that is half right must not slip through. A contained Patient
/// counts: its id is good within the resource alone and proves nothing of who it is.
#[must_use]
pub fn other_patients_named(resource: &Node<'_>, belongs: &Membership, bases: &BaseUrls) -> Others {
    let known = match belongs {
        Membership::Patients(patients) => patients,
        Membership::Nobody | Membership::Unknown => &BTreeSet::new(),
    };
    mention::find(resource, &Mention { known, bases })
}

/// Whose the records of a type can be at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ownership {
    /// Nobody's: the type is shared.
    Nobodys,
    /// Some patient's.
    Patients,
    /// It can never be told: the type is not in the table.
    Unknown,
}

/// Whose the records of a type can be at all, whatever they say.
#[must_use]
pub fn ownership(version: FhirVersion, resource_type: ResourceType) -> Ownership {
    match Row::of(version, resource_type.as_str()) {
        Row::Nobody => Ownership::Nobodys,
        Row::Itself | Row::Elements(_) => Ownership::Patients,
        Row::Unknown => Ownership::Unknown,
    }
}

/// Whose the records of a type can be in some version: where one says more than another, what it says.
#[must_use]
pub fn ownership_in_any(resource_type: ResourceType) -> Ownership {
    let own = FhirVersion::ALL.map(|version| ownership(version, resource_type));
    own.into_iter().find(|own| *own != Ownership::Unknown).unwrap_or(Ownership::Unknown)
}

/// The paths to the elements that say whose record one of a type is.
pub(super) fn elements(
    version: FhirVersion,
    resource_type: &str,
) -> impl Iterator<Item = &'static [&'static str]> {
    let elements: &[Element] = match Row::of(version, resource_type) {
        Row::Elements(elements) => elements,
        Row::Itself | Row::Nobody | Row::Unknown => &[],
    };
    elements.iter().map(|element| element.path.as_slice())
}

/// The search parameter by which exactly the records of a type that belong to a patient are found, if there is one.
pub(super) fn search_parameter(version: FhirVersion, resource_type: ResourceType) -> Option<&'static str> {
    table::search_parameter(version, resource_type.as_str())
}

fn resource_type<'r>(resource: &'r Node<'_>) -> Option<&'r str> {
    resource.get("resourceType")?.as_str()
}

/// What references are read within.
struct Within<'a> {
    /// Contained resources by their ids. Where two have the same, the first counts.
    contained: HashMap<&'a str, &'a Node<'a>>,
    bases: &'a BaseUrls,
}

/// Whether an element could be read to the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Proof {
    Held,
    Failed,
}

/// Collects the patients that the references at a path name, through all lists on the way.
fn collect(at: &Node<'_>, path: &[&str], patients: &mut BTreeSet<ResourceId>, within: &Within<'_>) -> Proof {
    match (at, path) {
        (Node::Array(items), _) => {
            let mut all = items.iter().map(|item| collect(item, path, patients, within));
            if all.all(|proof| proof == Proof::Held) { Proof::Held } else { Proof::Failed }
        }
        (Node::Object(reference), []) => match named(reference, within) {
            Named::Patient(id) => {
                patients.insert(id);
                Proof::Held
            }
            Named::NoPatient => Proof::Held,
            Named::Unproven => Proof::Failed,
        },
        (Node::Object(members), [name, rest @ ..]) => match members.get(name) {
            Some(value) => collect(value, rest, patients, within),
            None => Proof::Held,
        },
        (Node::Null | Node::Bool(_) | Node::Number | Node::Text(_), _) => Proof::Failed,
    }
}

/// Whom a Reference names.
enum Named {
    Patient(ResourceId),
    NoPatient,
    Unproven,
}

fn named(reference: &Members<'_>, within: &Within<'_>) -> Named {
    match (reference.get("reference"), reference.get("identifier")) {
        (Some(Node::Text(text)), _) => match Target::of(text, within.bases) {
            Target::Record(record) if record.resource_type == ResourceType::PATIENT => {
                Named::Patient(record.id)
            }
            Target::Record(_) => Named::NoPatient,
            Target::Contained(id) => within.contained(id),
            Target::Unproven => Named::Unproven,
        },
        (Some(_), _) => Named::Unproven,
        // references.html#logical: by identifier alone. It may be anybody's, unless it says that it is no patient's.
        (None, Some(_)) => match reference.get("type").and_then(Node::as_str).map(str::parse) {
            Some(Ok(ResourceType::PATIENT)) | Some(Err(_)) | None => Named::Unproven,
            Some(Ok(_)) => Named::NoPatient,
        },
        // No more than a display text: it points to nothing.
        (None, None) => Named::NoPatient,
    }
}

fn contained<'r>(resource: &'r Node<'r>) -> HashMap<&'r str, &'r Node<'r>> {
    let mut by_id = HashMap::new();
    for own in resource.get("contained").and_then(Node::as_array).into_iter().flatten() {
        if let Some(id) = own.get("id").and_then(Node::as_str) {
            by_id.entry(id).or_insert(own);
        }
    }
    by_id
}

impl Within<'_> {
    /// references.html#contained. A contained Patient is somebody, and nothing proves who.
    fn contained(&self, id: &str) -> Named {
        let found = self.contained.get(id).and_then(|found| resource_type(found));
        match found.map(str::parse::<ResourceType>) {
            Some(Ok(ResourceType::PATIENT)) | Some(Err(_)) | None => Named::Unproven,
            Some(Ok(_)) => Named::NoPatient,
        }
    }
}

#[cfg(test)]
mod tests;
