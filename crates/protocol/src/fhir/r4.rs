//! R4's resource types and their search parameters. HL7 FHIR 4.0.1, searchparameter-registry.html.
//!
//! The table is data, condensed from HL7's own file by `examples/condense_search_parameters.rs`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

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
pub(super) fn types() -> impl Iterator<Item = &'static str> {
    TABLE.keys().copied()
}

/// The name of a type, if there is one that is spelled so.
pub(super) fn type_name(text: &str) -> Option<&'static str> {
    TABLE.get_key_value(text).map(|(name, _)| *name)
}

/// A parameter of a type.
pub(super) fn parameter(type_name: &str, parameter: &str) -> Option<&'static Parameter> {
    let parameters = TABLE.get(type_name)?;
    let at = parameters.binary_search_by(|own| own.name.cmp(parameter)).ok()?;
    parameters.get(at)
}

/// A line that were not understood would be a parameter that is not offered; a test holds that there is none.
static TABLE: LazyLock<BTreeMap<&'static str, Vec<Parameter>>> = LazyLock::new(|| {
    let mut table: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in TEXT.lines() {
        let mut columns = line.split('\t');
        let parameters = table.entry(columns.next().unwrap_or(line)).or_default();
        parameters.extend(read(columns));
    }
    table
});

const TEXT: &str = include_str!("r4.tsv");

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
        let with_parameter = TEXT.lines().filter(|line| line.contains('\t')).count();
        assert_eq!(TABLE.values().map(Vec::len).sum::<usize>(), with_parameter);
        assert_eq!(with_parameter, 1626);
        for (name, parameters) in TABLE.iter() {
            assert!(parameters.is_sorted_by(|a, b| a.name < b.name), "{name}");
        }
    }

    #[test]
    fn references_lead_to_types_that_there_are() {
        for own in TABLE.values().flatten() {
            if let Kind::Reference(Targets::Of(targets)) = &own.kind {
                assert!(targets.iter().all(|target| TABLE.contains_key(target)), "{}", own.name);
            }
        }
        assert!(matches!(
            &parameter("Observation", "patient").unwrap().kind,
            Kind::Reference(Targets::Of(targets)) if *targets == ["Patient"]
        ));
    }
}
