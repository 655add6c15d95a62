//! Resource types and their search parameters. HL7 FHIR 4.0.1, searchparameter-registry.html.
//!
//! The table is data, one for each version ([`FhirVersion`]): `definitions/README.md`.

use std::collections::BTreeMap;

use super::version::{FhirVersion, PerVersion};

/// A search parameter of one type.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a parameter's values are. HL7 FHIR 4.0.1, search.html#ptypes; composite and special are not offered.
#[derive(Debug)]
pub(super) enum Kind {
    Date,
    Number,
    Quantity,
    Reference(Targets),
    String,
    Token,
    Uri,
}

impl Kind {
    /// As FHIR calls it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Number => "number",
            Self::Quantity => "quantity",
            Self::Reference(_) => "reference",
            Self::String => "string",
            Self::Token => "token",
            Self::Uri => "uri",
        }
    }
}

/// The types that a reference may point to.
#[derive(Debug)]
pub(super) enum Targets {
    Any,
    Of(Vec<&'static str>),
}

/// The names of all types, in alphabetical order.
pub(super) fn types(version: FhirVersion) -> impl Iterator<Item = &'static str> {
    TABLES.get(version).keys().copied()
}

/// The name of a type, if there is one that is spelled so.
pub(super) fn type_name(version: FhirVersion, text: &str) -> Option<&'static str> {
    TABLES.get(version).get_key_value(text).map(|(name, _)| *name)
}

/// A parameter of a type.
pub(super) fn parameter(
    version: FhirVersion,
    type_name: &str,
    parameter: &str,
) -> Option<&'static Parameter> {
    let parameters = TABLES.get(version).get(type_name)?;
    let at = parameters.binary_search_by(|own| own.name.cmp(parameter)).ok()?;
    parameters.get(at)
}

/// A line that were not understood would be a parameter that is not offered; a test holds that there is none.
static TABLES: PerVersion<Table> =
    PerVersion::of(|| read_all(TEXTS[0]), || read_all(TEXTS[1]), || read_all(TEXTS[2]));

type Table = BTreeMap<&'static str, Vec<Parameter>>;

fn read_all(text: &'static str) -> Table {
    let mut table: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split('\t');
        let parameters = table.entry(columns.next().unwrap_or(line)).or_default();
        parameters.extend(read(columns));
    }
    table
}

/// In the order of [`FhirVersion::ALL`].
const TEXTS: [&str; 3] = [
    include_str!("definitions/r4/search_parameters.tsv"),
    include_str!("definitions/r4b/search_parameters.tsv"),
    include_str!("definitions/r5/search_parameters.tsv"),
];

fn read(mut columns: impl Iterator<Item = &'static str>) -> Option<Parameter> {
    let name = columns.next()?;
    let kind = match columns.next()? {
        "date" => Kind::Date,
        "number" => Kind::Number,
        "quantity" => Kind::Quantity,
        "reference" => Kind::Reference(match columns.next() {
            Some("*") => Targets::Any,
            targets => Targets::Of(targets.unwrap_or_default().split_ascii_whitespace().collect()),
        }),
        "string" => Kind::String,
        "token" => Kind::Token,
        "uri" => Kind::Uri,
        _ => return None,
    };
    Some(Parameter { name, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood_and_in_order() {
        for ((version, text), expected) in FhirVersion::ALL.iter().zip(TEXTS).zip([1626, 1669, 1885]) {
            let table = TABLES.get(*version);
            let with_parameter = text.lines().filter(|line| line.contains('\t')).count();
            assert_eq!(table.values().map(Vec::len).sum::<usize>(), with_parameter);
            assert_eq!(with_parameter, expected, "{version}");
            for (name, parameters) in table {
                assert!(parameters.is_sorted_by(|a, b| a.name < b.name), "{name}");
            }
        }
    }

    #[test]
    fn references_lead_to_types_that_there_are() {
        for version in FhirVersion::ALL {
            let table = TABLES.get(version);
            for own in table.values().flatten() {
                if let Kind::Reference(Targets::Of(targets)) = &own.kind {
                    assert!(targets.iter().all(|target| table.contains_key(target)), "{}", own.name);
                }
            }
            assert!(matches!(
                &parameter(version, "Observation", "patient").unwrap().kind,
                Kind::Reference(Targets::Of(targets)) if *targets == ["Patient"]
            ));
        }
        assert!(parameter(FhirVersion::R5, "Encounter", "subject-status").is_some());
        assert!(parameter(FhirVersion::R4, "Encounter", "subject-status").is_none());
    }
}
