//! Where a path leads. HL7 FHIR 4.0.1, http.html.

use crate::fhir::history::HistoryOf;
use crate::fhir::name::{ResourceId, ResourceType, VersionId};
use crate::fhir::reference::Reference;
use crate::fhir::refusal::{Refusal, Unsupported};
use crate::fhir::version::FhirVersion;

/// What a path points to.
pub(super) enum Place {
    Root,
    Metadata,
    Type(ResourceType),
    Search(ResourceType),
    Instance(ResourceType, ResourceId),
    Version(ResourceType, ResourceId, VersionId),
    History(HistoryOf),
    Everything(ResourceId),
    Compartment(ResourceId, ResourceType),
    CompartmentSearch(ResourceId, ResourceType),
}

impl Place {
    pub(super) fn read(path: &str, version: FhirVersion) -> Result<Self, Refusal> {
        let of = |name: &str| ResourceType::of(version, name);
        let path = match path {
            "" | "/" => return Ok(Self::Root),
            _ => path.strip_prefix('/').ok_or(Refusal::Path)?,
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._$*".contains(&b);
        let segments: Vec<_> = path.split('/').collect();
        let ambiguous = |segment: &&str| matches!(*segment, "" | "." | "..") || !segment.bytes().all(plain);
        if segments.iter().any(ambiguous) {
            return Err(Refusal::Path);
        }
        if let ["Patient", id, "$everything"] = *segments.as_slice() {
            return Ok(Self::Everything(id.parse()?));
        }
        if segments.iter().any(|segment| segment.starts_with('$')) {
            return Err(Unsupported::Operation.into());
        }
        match *segments.as_slice() {
            ["metadata"] => Ok(Self::Metadata),
            ["_search"] => Err(Unsupported::SystemSearch.into()),
            ["_history"] => Err(Unsupported::SystemHistory.into()),
            [resource_type, "_history"] => Ok(Self::History(HistoryOf::Type(of(resource_type)?))),
            [resource_type, id, "_history"] => {
                let record = Reference { resource_type: of(resource_type)?, id: id.parse()? };
                Ok(Self::History(HistoryOf::Record(record)))
            }
            [resource_type] => Ok(Self::Type(of(resource_type)?)),
            [resource_type, "_search"] => Ok(Self::Search(of(resource_type)?)),
            [resource_type, id] => Ok(Self::Instance(of(resource_type)?, id.parse()?)),
            [resource_type, id, "_history", version] => {
                Ok(Self::Version(of(resource_type)?, id.parse()?, version.parse()?))
            }
            ["Patient", id, resource_type] if resource_type != "*" => {
                Ok(Self::Compartment(id.parse()?, of(resource_type)?))
            }
            ["Patient", id, resource_type, "_search"] => {
                Ok(Self::CompartmentSearch(id.parse()?, of(resource_type)?))
            }
            [_, _, _] | [_, _, _, "_search"] => Err(Unsupported::Compartment.into()),
            _ => Err(Refusal::Path),
        }
    }
}

/// Why there is no interaction of this method at this place.
pub(super) fn not_offered(method: &str, place: &Place) -> Refusal {
    let allow = match (method, place) {
        ("GET", Place::Root) => return Unsupported::SystemSearch.into(),
        (_, Place::Root) => "POST",
        (
            _,
            Place::Metadata
            | Place::Version(..)
            | Place::History(_)
            | Place::Everything(_)
            | Place::Compartment(..),
        ) => "GET",
        (_, Place::Type(_)) => "GET, POST, PUT, PATCH, DELETE",
        (_, Place::Search(_) | Place::CompartmentSearch(..)) => "POST",
        (_, Place::Instance(..)) => INSTANCE_METHODS,
    };
    Refusal::Method { allow }
}

const INSTANCE_METHODS: &str = "GET, PUT, PATCH, DELETE";
