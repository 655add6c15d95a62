//! Ages over 89. 45 CFR 164.514(b)(2)(i)(C): all elements indicative of such an age.
//!
//! An age is known by its type, by its unit, or by the code of what was observed. What an answer to a questionnaire is about
//! is not known, for its question goes: there a number without a unit may be an age.

use crate::fhir::elements::Part;
use crate::json::{Object, read, read_string};

/// What is known of the values (`value[x]`) that stand in a part, besides their types.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Values {
    /// A number is no age, unless its type or unit says so.
    Any,
    /// They are ages.
    Ages,
    /// They may be.
    Answers,
}

impl Values {
    pub(super) fn of(part: Part, object: &Object<'_>) -> Self {
        match part.name() {
            "Observation" | "Observation.component" if object.get("code").is_some_and(names_an_age) => {
                Self::Ages
            }
            "QuestionnaireResponse.item.answer" => Self::Answers,
            _ => Self::Any,
        }
    }

    /// Whether an element may stay, as far as that depends on this.
    pub(super) fn let_stay(self, name: &str, kind: &str, value: &str) -> bool {
        if kind == "Range" && AGE_RANGES.contains(&name) {
            return is_range_within_89(value);
        }
        if self == Self::Any || !name.starts_with("value") {
            return true;
        }
        match (self, kind) {
            (_, "integer" | "decimal") => is_at_most_89(value),
            (_, "Quantity") => {
                let Ok(quantity) = read::<Object<'_>>(value) else { return false };
                match is_no_age_over_89(&quantity) {
                    Some(is_none) => is_none,
                    None if self == Self::Ages => false,
                    None => has_unit(&quantity) || quantity.get("value").is_some_and(is_at_most_89),
                }
            }
            (Self::Ages, _) => false,
            (Self::Any | Self::Answers, _) => true,
        }
    }
}

/// Whether a quantity is known to be no age over 89; none if its units say nothing of time.
pub(super) fn is_no_age_over_89(quantity: &Object<'_>) -> Option<bool> {
    let value = quantity.get("value").unwrap_or_default();
    let unit = |name: &str| is_under_90_years(value, &quantity.string(name).ok().flatten()?);
    match (unit("code"), unit("unit")) {
        (None, None) => None,
        (one, other) => Some(one != Some(false) && other != Some(false)),
    }
}

/// Ranges of ages, which are told from others by their names alone.
const AGE_RANGES: [&str; 7] = [
    "onsetRange",
    "abatementRange",
    "ageRange",
    "deceasedRange",
    "performedRange",
    "occurrenceRange",
    "bornRange",
];

fn is_range_within_89(range: &str) -> bool {
    let Ok(range) = read::<Object<'_>>(range) else { return false };
    ["low", "high"]
        .iter()
        .filter_map(|end| range.get(end))
        .all(|end| read::<Object<'_>>(end).is_ok_and(|quantity| is_no_age_over_89(&quantity) == Some(true)))
}

fn has_unit(quantity: &Object<'_>) -> bool {
    ["code", "unit"]
        .iter()
        .any(|name| quantity.string(name).ok().flatten().is_some_and(|unit| !unit.is_empty()))
}

/// Whether an amount of time is known to be no age over 89. UCUM units, and words for them.
fn is_under_90_years(value: &str, unit: &str) -> Option<bool> {
    let unit = unit.to_ascii_lowercase();
    // `{years}`, `years old`, `a_j`, `mo_g`: UCUM section 31.
    let word = unit.trim_matches(|c: char| c == '{' || c == '}' || c.is_whitespace());
    let word = word.split([' ', '_', '(']).next().unwrap_or_default();
    let in_a_year = match word {
        "a" | "ann" | "y" | "yr" | "yrs" | "yo" | "year" | "years" => 1.0,
        "mo" | "mos" | "mon" | "mth" | "month" | "months" => 12.0,
        "wk" | "wks" | "week" | "weeks" => 52.0,
        "d" | "day" | "days" => 365.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 365.0 * 24.0,
        "min" | "mins" | "minute" | "minutes" => 365.0 * 24.0 * 60.0,
        "s" | "sec" | "second" | "seconds" => 365.0 * 24.0 * 3600.0,
        _ => return None,
    };
    // What is no number may be any age.
    let value: f64 = value.parse().unwrap_or(f64::INFINITY);
    Some(value < 90.0 * in_a_year && value <= 89.0 * in_a_year)
}

fn is_at_most_89(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|number| number <= 89.0)
}

/// Whether a concept is one of those that ask for an age.
fn names_an_age(concept: &str) -> bool {
    let Ok(concept) = read::<Object<'_>>(concept) else { return false };
    let Some(codings) = concept.get("coding") else { return false };
    let codings: Vec<Object<'_>> = read(codings).unwrap_or_default();
    codings.iter().any(|coding| {
        let code = coding.get("code").and_then(|code| read_string(code).ok());
        code.is_some_and(|code| AGES.contains(&code.as_ref()))
    })
}

/// LOINC: age; estimated, reported, calculated; at the specimen's collection, at death, now or at death, its group. SNOMED CT:
/// age, current age, age at onset, at diagnosis.
const AGES: [&str; 12] = [
    "30525-0",
    "21611-9",
    "21612-7",
    "29553-5",
    "35659-2",
    "39016-1",
    "63900-5",
    "46251-5",
    "397669002",
    "424144002",
    "445518008",
    "423493009",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_over_89_is_none_that_is_known_to_be_less() {
        for (value, unit, expected) in [
            ("89", "a", Some(true)),
            ("89.5", "a", Some(false)),
            ("90", "years", Some(false)),
            ("102", "yr", Some(false)),
            ("93", "Years", Some(false)),
            ("93", "{years}", Some(false)),
            ("93", "a_j", Some(false)),
            ("45", "years old", Some(true)),
            ("93", "years old", Some(false)),
            ("18", "mo", Some(true)),
            ("1100", "mo_g", Some(false)),
            ("2900000000", "s", Some(false)),
            ("5", "kg", None),
            ("5", "/a", None),
            ("93", "A.U.", None),
            ("93", "h.ng/mL", None),
            ("x", "a", Some(false)),
        ] {
            assert_eq!(is_under_90_years(value, unit), expected, "{value} {unit}");
        }
    }
}
