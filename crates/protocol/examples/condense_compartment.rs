//! Condenses HL7's definition of the patient's compartment, its search parameters resolved to elements by their expressions,
//! into the table that `fhir::membership` reads, for one version of FHIR:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_compartment -- 5.0.0 package/CompartmentDefinition-patient.json \
//!     package/SearchParameter-*.json > crates/protocol/src/fhir/definitions/r5/compartment.tsv
//! ```
//!
//! A line is a type, the search parameter that finds exactly what belongs to a patient (`-` where one element of several
//! would find too little), the elements that say whose record it is, and the elements that would do so by the definition
//! and do not here, for who wrote of a patient, or did something, has no claim to what they wrote. An element after a `+`
//! names patients whose record it is besides, where another says whose.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Context as _;
use serde_json::Value;

#[path = "condense/reading.rs"]
mod reading;

type Elements = BTreeSet<String>;

fn main() -> anyhow::Result<()> {
    let (version, parameters) = reading::definitions("SearchParameter")?;
    let (_, compartments) = reading::definitions("CompartmentDefinition")?;
    let by_type = elements_by_parameter(&version, &parameters);
    let listed = compartments.first().and_then(|own| own.get("resource")?.as_array());
    let listed = listed.context("name the definition of the patient's compartment")?;
    let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in listed {
        let name = resource.get("code").and_then(Value::as_str).context("a type without a name")?;
        let names = resource.get("param").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<&str> =
            names.filter_map(Value::as_str).filter(|name| !name.starts_with('{')).collect();
        if !names.is_empty() && name != "Patient" {
            rows.insert(name, names);
        }
    }
    // 4.3.0 lost this row; the versions before and after it have it, and the elements are the same.
    if version == "4.3.0" {
        rows.entry("Task").or_insert_with(|| vec!["patient", "focus"]);
    }
    // The element is new in 5.0.0, and its compartment has not taken it up.
    if version == "5.0.0" {
        rows.entry("Appointment").or_default().push("subject");
    }
    let mut out = std::io::stdout().lock();
    for (name, parameters) in rows {
        let own = by_type.get(name).with_context(|| format!("{name} has no parameters"))?;
        let (mut counted, mut others) = (Elements::new(), Elements::new());
        for parameter in parameters {
            let elements = own.get(parameter).with_context(|| format!("{name} has no `{parameter}`"))?;
            let wrote = WHO_WROTE.contains(&parameter) || WHO_WROTE_OF.contains(&(name, parameter));
            let side = if wrote { &mut others } else { &mut counted };
            side.extend(elements.iter().cloned());
        }
        let others: Elements = others.difference(&counted).cloned().collect();
        let exact = |parameter: &&str| own.get(*parameter) == Some(&counted);
        // Each names its patient in this element always; the others add people and take none away.
        let always = ["Claim", "Coverage", "ExplanationOfBenefit"].contains(&name).then_some("patient");
        let found_by = ["patient", "subject", "actor", "member", "individual", "candidate"]
            .into_iter()
            .find(exact)
            .or(always)
            .unwrap_or("-");
        let list = |elements: &Elements| elements.iter().cloned().collect::<Vec<_>>().join(" ");
        let besides = BESIDES.iter().filter(|(of, own, _)| *of == version && *own == name);
        let besides: String = besides.map(|(.., element)| format!(" +{element}")).collect();
        let counted = list(&counted) + &besides;
        writeln!(out, "{}", format!("{name}\t{found_by}\t{counted}\t{}", list(&others)).trim_end())?;
    }
    Ok(())
}

/// Parameters that find who wrote, said or did something.
const WHO_WROTE: [&str; 9] = [
    "asserter",
    "author",
    "informant",
    "information-provider",
    "operator",
    "participant-actor",
    "performer",
    "recorder",
    "sender",
];

/// The same, of these types alone.
const WHO_WROTE_OF: [(&str, &str); 2] =
    [("AllergyIntolerance", "participant"), ("NutritionIntake", "source")];

/// What may name another patient than the element by which a version says whose a record of this type is.
const BESIDES: [(&str, &str, &str); 2] =
    [("5.0.0", "AuditEvent", "entity.what"), ("5.0.0", "Provenance", "target")];

/// For each type, the elements that each of its parameters looks at.
fn elements_by_parameter<'p>(
    version: &str,
    parameters: &'p [Value],
) -> BTreeMap<&'p str, BTreeMap<&'p str, Elements>> {
    let mut table: BTreeMap<&str, BTreeMap<&str, Elements>> = BTreeMap::new();
    let text = |value: &'p Value, name: &str| value.get(name).and_then(Value::as_str);
    for parameter in parameters.iter().filter(|own| text(own, "version") == Some(version)) {
        let (Some(code), Some(expression)) = (text(parameter, "code"), text(parameter, "expression")) else {
            continue;
        };
        for base in parameter.get("base").and_then(Value::as_array).into_iter().flatten() {
            let Some(base) = base.as_str() else { continue };
            let own = expression.split('|').filter_map(|way| element(base, way.trim()));
            table.entry(base).or_default().entry(code).or_default().extend(own);
        }
    }
    table
}

/// `Account.subject.where(resolve() is Patient)` and `(Observation.value as Reference)` less what stands around the element.
fn element(base: &str, whole: &str) -> Option<String> {
    let way = whole.trim_start_matches('(').split([' ', ')']).next()?;
    let path = way.strip_prefix(base)?.strip_prefix('.')?;
    let path = path.split(".where(").next()?;
    let plain = path.split(".as(").next()?.split(".ofType(").next()?;
    // Of a choice the one that refers: its name says so.
    let is_choice =
        [".as(Reference", ".ofType(Reference", " as Reference"].iter().any(|one| whole.contains(one));
    Some(if is_choice { format!("{plain}Reference") } else { plain.to_owned() })
}
