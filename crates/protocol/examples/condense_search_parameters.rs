//! Condenses HL7's `search-parameters.json` of FHIR R4 into the table that `fhir::r4` reads:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_search_parameters -- search-parameters.json \
//!     > crates/protocol/src/fhir/r4.tsv
//! ```
//!
//! A line is a type, a parameter, its kind, and for references the types that it may point to (`*` for any). A
//! type without parameters of its own is a line by itself. Left out are composite and special parameters, which
//! are not offered, parameters of all resources, which the code names, and whatever is not of version 4.0.1.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Context as _;
use serde::Deserialize;

#[derive(Deserialize)]
struct Bundle {
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    resource: SearchParameter,
}

#[derive(Deserialize)]
struct SearchParameter {
    version: String,
    code: String,
    base: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    target: BTreeSet<String>,
}

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("name the file `search-parameters.json` of FHIR R4")?;
    let bundle: Bundle = serde_json::from_slice(&std::fs::read(path)?)?;
    let parameters: Vec<_> =
        bundle.entry.into_iter().map(|entry| entry.resource).filter(|p| p.version == "4.0.1").collect();

    let mut types: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for parameter in &parameters {
        for name in parameter.base.iter().chain(&parameter.target) {
            types.entry(name).or_default();
        }
    }
    types.retain(|name, _| !ABSTRACT.contains(name));
    let all = types.len();
    for parameter in parameters.iter().filter(|p| !matches!(p.kind.as_str(), "composite" | "special")) {
        let targets: Vec<_> = parameter.target.iter().map(String::as_str).collect();
        let targets = if targets.len() == all { "*".to_owned() } else { targets.join(" ") };
        let columns = format!("{}\t{targets}", parameter.kind).trim_end().to_owned();
        for base in &parameter.base {
            if let Some(own) = types.get_mut(base.as_str()) {
                own.insert(&parameter.code, columns.clone());
            }
        }
    }

    let mut out = std::io::stdout().lock();
    for (name, own) in &types {
        if own.is_empty() {
            writeln!(out, "{name}")?;
        }
        for (code, columns) in own {
            writeln!(out, "{name}\t{code}\t{columns}")?;
        }
    }
    Ok(())
}

/// What no resource is of by itself.
const ABSTRACT: [&str; 2] = ["DomainResource", "Resource"];
