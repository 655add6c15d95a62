//! Condenses HL7's definitions of resources into the table that `fhir::shape` reads, for one version of FHIR:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_summaries -- 5.0.0 package/StructureDefinition-*.json \
//!     > crates/protocol/src/fhir/definitions/r5/summaries.tsv
//! ```
//!
//! A line is a resource type and its elements, those of a choice by the choice's name. Behind the name stands `!` where the
//! element has to be there or changes what the others mean, and `+` where it is part of the summary.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Deserialize;

#[path = "condense/reading.rs"]
mod reading;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    #[serde(default)]
    fhir_version: String,
    r#type: String,
    kind: String,
    #[serde(default)]
    derivation: String,
    #[serde(default, rename = "abstract")]
    is_abstract: bool,
    snapshot: Option<Snapshot>,
}

#[derive(Deserialize)]
struct Snapshot {
    element: Vec<Element>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    path: String,
    #[serde(default)]
    min: u32,
    #[serde(default)]
    is_summary: bool,
    #[serde(default)]
    is_modifier: bool,
}

fn main() -> anyhow::Result<()> {
    let (version, definitions) = reading::definitions("StructureDefinition")?;
    let mut lines = BTreeMap::new();
    for definition in definitions {
        let definition: Definition = serde_json::from_value(definition)?;
        if (definition.fhir_version.as_str(), definition.kind.as_str()) != (version.as_str(), "resource")
            || definition.derivation != "specialization"
            || definition.is_abstract
        {
            continue;
        }
        let Some(snapshot) = definition.snapshot else { continue };
        let column = |element: &Element| {
            let (_, name) = element.path.split_once('.').filter(|(_, name)| !name.contains('.'))?;
            let name = name.trim_end_matches("[x]");
            let needed = if element.min > 0 || element.is_modifier { "!" } else { "" };
            let summary = if element.is_summary { "+" } else { "" };
            Some(format!("{name}{needed}{summary}"))
        };
        let columns: Vec<_> = snapshot.element.iter().filter_map(column).collect();
        lines.insert(definition.r#type, columns.join(" "));
    }
    let mut out = std::io::stdout().lock();
    for (name, columns) in lines {
        writeln!(out, "{name}\t{columns}")?;
    }
    Ok(())
}
