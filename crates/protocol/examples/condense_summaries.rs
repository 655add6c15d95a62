//! Condenses HL7's `profiles-resources.json` of FHIR R4 into the table that `fhir::shape` reads:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_summaries -- profiles-resources.json \
//!     > crates/protocol/src/fhir/summaries.tsv
//! ```
//!
//! A line is a resource type and its elements, those of a choice by the choice's name. Behind the name stands `!` where the
//! element has to be there or changes what the others mean, and `+` where it is part of the summary.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Bundle {
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    resource: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    fhir_version: String,
    r#type: String,
    kind: String,
    #[serde(default)]
    derivation: String,
    snapshot: Snapshot,
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
    let path = std::env::args().nth(1).context("name the file `profiles-resources.json` of FHIR R4")?;
    let bundle: Bundle = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut lines = BTreeMap::new();
    for Entry { resource } in bundle.entry {
        if resource.get("resourceType").and_then(Value::as_str) != Some("StructureDefinition") {
            continue;
        }
        let definition: Definition = serde_json::from_value(resource)?;
        if (definition.fhir_version.as_str(), definition.kind.as_str()) != ("4.0.1", "resource")
            || definition.derivation != "specialization"
        {
            continue;
        }
        let column = |element: &Element| {
            let (_, name) = element.path.split_once('.').filter(|(_, name)| !name.contains('.'))?;
            let name = name.trim_end_matches("[x]");
            let needed = if element.min > 0 || element.is_modifier { "!" } else { "" };
            let summary = if element.is_summary { "+" } else { "" };
            Some(format!("{name}{needed}{summary}"))
        };
        let columns: Vec<_> = definition.snapshot.element.iter().filter_map(column).collect();
        lines.insert(definition.r#type, columns.join(" "));
    }
    let mut out = std::io::stdout().lock();
    for (name, columns) in lines {
        writeln!(out, "{name}\t{columns}")?;
    }
    Ok(())
}
