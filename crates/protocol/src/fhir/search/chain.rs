//! Criteria on records that are referred to, or that refer. HL7 FHIR 4.0.1, search.html#chaining and #has.
//!
//! What such a search finds tells of the records on the way. So each of their types is named here ([`Chain::types`]): for the
//! one who may find every record of each of them there is nothing to be told.

use super::{SearchError, ShownName, offered};
use crate::fhir::name::ResourceType;
use crate::fhir::parameters::{Kind, Targets};
use crate::fhir::version::FhirVersion;

/// A way over references to the records that a criterion is about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Chain {
    /// As it stands before the parameter's name: `performer:Practitioner.`, `_has:Observation:patient:`.
    pub(super) text: String,
    /// The types of the records on the way, the last one's last.
    pub(super) types: Vec<ResourceType>,
}

/// The most steps of a way.
const MAX_STEPS: usize = 3;

impl Chain {
    /// Reads the way at the beginning of a field, and gives the type that it leads to and what is left of the field.
    ///
    /// # Errors
    /// [`SearchError`] if it begins as one and is none.
    pub(super) fn read(
        version: FhirVersion,
        from: ResourceType,
        field: &str,
    ) -> Result<(Self, ResourceType, &str), SearchError> {
        let mut chain = Self::default();
        let (mut at, mut rest) = (from, field);
        loop {
            let step = if rest.starts_with("_has:") {
                reverse(version, at, rest)
            } else {
                forward(version, at, rest)
            };
            let Some(step) = step else { return Ok((chain, at, rest)) };
            let (text, target, left) = step.ok_or_else(|| SearchError::Parameter(ShownName::of(field)))?;
            if chain.types.len() == MAX_STEPS {
                return Err(SearchError::Parameter(ShownName::of(field)));
            }
            chain.text.push_str(&text);
            chain.types.push(target);
            (at, rest) = (target, left);
        }
    }
}

/// The step's text, the type that it leads to, and what is left of the field; `None` within where it leads nowhere.
type Step<'f> = Option<Option<(String, ResourceType, &'f str)>>;

/// `performer:Practitioner.name`: to the records that are referred to.
fn forward(version: FhirVersion, from: ResourceType, field: &str) -> Step<'_> {
    let (step, rest) = field.split_once('.')?;
    let (name, target) = step.split_once(':').map_or((step, None), |(name, target)| (name, Some(target)));
    Some(lead(version, from, name, target).map(|(name, target)| (format!("{name}:{target}."), target, rest)))
}

/// The parameter as FHIR has it, and the one type that its references lead to.
fn lead(
    version: FhirVersion,
    from: ResourceType,
    name: &str,
    target: Option<&str>,
) -> Option<(&'static str, ResourceType)> {
    let (name, Some(Kind::Reference(targets))) = offered(version, from, name)? else { return None };
    let target: ResourceType = match (target, targets) {
        (Some(target), _) => ResourceType::of(version, target).ok()?,
        // Without a type, there has to be but one that can be meant.
        (None, Targets::Of(types)) => match types.as_slice() {
            [only] => only.parse().ok()?,
            _ => return None,
        },
        (None, Targets::Any) => return None,
    };
    leads_to(targets, target).then_some((name, target))
}

fn leads_to(targets: &Targets, target: ResourceType) -> bool {
    match targets {
        Targets::Any => true,
        Targets::Of(types) => types.contains(&target.as_str()),
    }
}

/// `_has:Observation:patient:code`: to the records that refer.
fn reverse(version: FhirVersion, from: ResourceType, field: &str) -> Step<'_> {
    let field = field.strip_prefix("_has:")?;
    let step = || {
        let (source, rest) = field.split_once(':')?;
        let (name, rest) = rest.split_once(':')?;
        let source = ResourceType::of(version, source).ok()?;
        let (name, Some(Kind::Reference(targets))) = offered(version, source, name)? else { return None };
        leads_to(targets, from).then(|| (format!("_has:{source}:{name}:"), source, rest))
    };
    Some(step())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, field: &str) -> Result<(String, Vec<&'static str>, String), SearchError> {
        Chain::read(FhirVersion::R4, from.parse().unwrap(), field).map(|(chain, _, rest)| {
            (chain.text, chain.types.iter().map(|own| own.as_str()).collect(), rest.to_owned())
        })
    }

    #[test]
    fn a_way_names_every_type_on_it() {
        for (from, field, text, types, rest) in [
            ("Observation", "code", "", vec![], "code"),
            (
                "Observation",
                "performer:Practitioner.name",
                "performer:Practitioner.",
                vec!["Practitioner"],
                "name",
            ),
            ("Observation", "patient.name:exact", "patient:Patient.", vec!["Patient"], "name:exact"),
            (
                "Observation",
                "patient.organization.name",
                "patient:Patient.organization:Organization.",
                vec!["Patient", "Organization"],
                "name",
            ),
            (
                "Patient",
                "_has:Observation:patient:code",
                "_has:Observation:patient:",
                vec!["Observation"],
                "code",
            ),
            (
                "Practitioner",
                "_has:Observation:performer:patient.birthdate",
                "_has:Observation:performer:patient:Patient.",
                vec!["Observation", "Patient"],
                "birthdate",
            ),
        ] {
            assert_eq!(read(from, field), Ok((text.to_owned(), types, rest.to_owned())), "{field}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for (from, field) in [
            ("Observation", "performer.name"),
            ("Observation", "code.name"),
            ("Observation", "nonsense.name"),
            ("Observation", "patient:Group.name"),
            ("Observation", "patient:Nonsense.name"),
            ("Patient", "_has:Observation:patient"),
            ("Patient", "_has:Observation"),
            ("Patient", "_has:Nonsense:patient:code"),
            ("Patient", "_has:Observation:code:code"),
            ("Organization", "_has:Observation:patient:code"),
            ("Patient", "organization.partof.partof.partof.name"),
        ] {
            assert!(matches!(read(from, field), Err(SearchError::Parameter(_))), "{field}");
        }
    }
}
