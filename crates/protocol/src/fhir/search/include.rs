//! Records that come along with what a search finds. HL7 FHIR 4.0.1, search.html#include.
//!
//! What is asked for here is no more than asked for: every record that comes along is decided on like one that is read,
//! and leaves only where one that leaves with it leads to it.

use std::fmt;

use super::{SearchError, ShownName, offered};
use crate::fhir::name::ResourceType;
use crate::fhir::parameters::{Kind, Targets};
use crate::fhir::version::FhirVersion;

/// One `_include` or `_revinclude`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Include {
    direction: Direction,
    repeats: Repeats,
    path: Path,
}

/// Which end of a reference was found by the search.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    /// The one that refers.
    Forward,
    /// The one that is referred to.
    Reverse,
}

/// Whether what came along brings others along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Repeats {
    No,
    Yes,
}

/// Along which references.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Path {
    /// All.
    Any,
    /// All of one type's.
    AnyOf(ResourceType),
    /// Those of one parameter, to records of one type if it says so.
    Parameter(ResourceType, &'static str, Option<ResourceType>),
}

impl Include {
    /// Reads a field, if it is one of these.
    ///
    /// # Errors
    /// [`SearchError`] if it is one that cannot be.
    pub(super) fn read(version: FhirVersion, field: &str, value: &str) -> Option<Result<Self, SearchError>> {
        let (name, modifier) = field.split_once(':').map_or((field, None), |(name, m)| (name, Some(m)));
        let direction = match name {
            "_include" => Direction::Forward,
            "_revinclude" => Direction::Reverse,
            _ => return None,
        };
        let repeats = match modifier {
            None => Repeats::No,
            // As DSTU2 and STU3 called it.
            Some("iterate" | "recurse") => Repeats::Yes,
            Some(_) => return Some(Err(SearchError::Modifier(ShownName::of(field)))),
        };
        let path = Path::read(version, value).ok_or_else(|| SearchError::Value(ShownName::of(field)));
        Some(path.map(|path| Self { direction, repeats, path }))
    }

    /// The name of the field.
    pub(super) fn field(&self) -> &'static str {
        match (self.direction, self.repeats) {
            (Direction::Forward, Repeats::No) => "_include",
            (Direction::Forward, Repeats::Yes) => "_include:iterate",
            (Direction::Reverse, Repeats::No) => "_revinclude",
            (Direction::Reverse, Repeats::Yes) => "_revinclude:iterate",
        }
    }
}

impl Path {
    fn read(version: FhirVersion, value: &str) -> Option<Self> {
        let mut parts = value.split(':');
        let (source, parameter, target) = (parts.next()?, parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        match (source, parameter) {
            ("*", None) => Some(Self::Any),
            (source, Some("*")) if target.is_none() => {
                Some(Self::AnyOf(ResourceType::of(version, source).ok()?))
            }
            (source, Some(parameter)) => {
                let source = ResourceType::of(version, source).ok()?;
                let (parameter, Some(Kind::Reference(targets))) = offered(version, source, parameter)? else {
                    return None;
                };
                let target: Option<ResourceType> =
                    target.map(|name| ResourceType::of(version, name)).transpose().ok()?;
                let leads_to = |target: ResourceType| match targets {
                    Targets::Any => true,
                    Targets::Of(types) => types.contains(&target.as_str()),
                };
                target.is_none_or(leads_to).then_some(Self::Parameter(source, parameter, target))
            }
            (_, None) => None,
        }
    }
}

/// The value of the field.
impl fmt::Display for Include {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Path::Any => f.write_str("*"),
            Path::AnyOf(source) => write!(f, "{source}:*"),
            Path::Parameter(source, parameter, None) => write!(f, "{source}:{parameter}"),
            Path::Parameter(source, parameter, Some(target)) => write!(f, "{source}:{parameter}:{target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_to_come_along_goes_upstream_as_it_was_read() {
        for (field, value) in [
            ("_include", "Observation:subject"),
            ("_include", "Observation:subject:Patient"),
            ("_include:iterate", "Observation:performer"),
            ("_revinclude", "Provenance:target"),
            ("_revinclude:iterate", "Observation:has-member"),
            ("_include", "*"),
            ("_revinclude", "Observation:*"),
        ] {
            let include = Include::read(FhirVersion::R4, field, value).unwrap().unwrap();
            assert_eq!((include.field(), include.to_string().as_str()), (field, value));
        }
        assert_eq!(
            Include::read(FhirVersion::R4, "_include:recurse", "*").unwrap().unwrap().field(),
            "_include:iterate"
        );
        assert_eq!(Include::read(FhirVersion::R4, "_id", "a"), None);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for (field, value) in [
            ("_include", ""),
            ("_include", "Observation"),
            ("_include", "Observation:status"),
            ("_include", "Observation:nonsense"),
            ("_include", "Nonsense:subject"),
            ("_include", "Observation:subject:Nonsense"),
            ("_include", "Observation:patient:Group"),
            ("_include", "Observation:*:Patient"),
            ("_include", "*:subject"),
            ("_include", "Observation:subject:Patient:x"),
            ("_include", "Observation:subject,Observation:performer"),
        ] {
            assert!(
                matches!(Include::read(FhirVersion::R4, field, value), Some(Err(SearchError::Value(_)))),
                "{value}"
            );
        }
        assert!(matches!(
            Include::read(FhirVersion::R4, "_include:all", "*"),
            Some(Err(SearchError::Modifier(_)))
        ));
    }
}
