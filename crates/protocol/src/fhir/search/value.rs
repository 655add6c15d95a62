//! Values of search parameters, by kind. HL7 FHIR 4.0.1, search.html#ptypes.

use std::fmt;

use crate::fhir::name::ResourceId;
use crate::fhir::parameters::{Kind, Targets};
use crate::fhir::reference::Reference;

/// The values of one parameter, separated by commas on the wire.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Values {
    /// Ids of the type that is searched.
    Ids(Vec<ResourceId>),
    /// Records of this service, each with its type.
    References(Vec<Reference>),
    /// Anything else, checked for the form that its kind has.
    Text(String),
}

impl Values {
    /// Reads the values of a parameter of this kind.
    pub(super) fn read(kind: &Kind, text: &str) -> Option<Self> {
        let every = |check: fn(&str) -> bool| alternatives(text).all(check);
        let sound = match kind {
            Kind::Reference(targets) => return read_references(targets, text),
            Kind::Date => every(is_date),
            Kind::Number => every(is_number),
            Kind::Quantity => every(is_quantity),
            Kind::String | Kind::Token | Kind::Uri => every(|value| !value.is_empty()),
        };
        sound.then(|| Self::Text(text.to_owned()))
    }

    /// Reads the values of `_id`.
    pub(super) fn read_ids(text: &str) -> Option<Self> {
        text.split(',').map(|id| id.parse().ok()).collect::<Option<_>>().map(Self::Ids)
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(ids) => list(f, ids),
            Self::References(references) => list(f, references),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, values: &[impl fmt::Display]) -> fmt::Result {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        write!(f, "{value}")?;
    }
    Ok(())
}

/// Records by type and id, or by id alone where there is but one type that can be meant. No URLs, no identifiers:
/// what they lead to is for the upstream to say, and it may say something else than we think.
fn read_references(targets: &Targets, text: &str) -> Option<Values> {
    let read = |value: &str| {
        let reference: Reference = match (value.contains('/'), targets) {
            (false, Targets::Of(types)) => {
                let [only] = types.as_slice() else { return None };
                Reference { resource_type: only.parse().ok()?, id: value.parse().ok()? }
            }
            _ => value.parse().ok()?,
        };
        let allowed = match targets {
            Targets::Any => true,
            Targets::Of(types) => types.contains(&reference.resource_type.as_str()),
        };
        allowed.then_some(reference)
    };
    text.split(',').map(read).collect::<Option<_>>().map(Values::References)
}

/// Splits at commas that no backslash precedes. search.html#escaping.
fn alternatives(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    })
}

/// search.html#prefix.
fn without_prefix(value: &str) -> &str {
    let prefixes = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];
    prefixes.iter().find_map(|prefix| value.strip_prefix(prefix)).unwrap_or(value)
}

/// search.html#date: `yyyy-mm-ddThh:mm:ss[Z|(+|-)hh:mm]`, to any precision but hours alone.
pub(in crate::fhir) fn is_date(value: &str) -> bool {
    let (date, time) = match without_prefix(value).split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (without_prefix(value), None),
    };
    match time {
        None => ["0000", "0000-00", "0000-00-00"].iter().any(|form| has_form(date, form)),
        Some(time) => {
            let clock = time.strip_suffix('Z').or_else(|| without_offset(time)).unwrap_or(time);
            let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
            has_form(date, "0000-00-00")
                && ["00:00", "00:00:00"].iter().any(|form| has_form(clock, form))
                && is_digits(fraction)
        }
    }
}

fn without_offset(time: &str) -> Option<&str> {
    let (clock, offset) = time.rsplit_once(['+', '-'])?;
    has_form(offset, "00:00").then_some(clock)
}

/// Whether the text has a digit where the form has one, and the same characters elsewhere.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text
            .bytes()
            .zip(form.bytes())
            .all(|(own, want)| if want == b'0' { own.is_ascii_digit() } else { own == want })
}

/// search.html#number.
fn is_number(value: &str) -> bool {
    let number = without_prefix(value);
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    [whole, fraction, exponent].into_iter().all(is_digits)
}

/// search.html#quantity: `[prefix][number]|[system]|[code]`, the latter two optional.
fn is_quantity(value: &str) -> bool {
    value.split('|').count() <= 3 && is_number(value.split('|').next().unwrap_or(value))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
