//! Condenses HL7's search parameters into the table that `fhir::parameters` reads, for one version of FHIR:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_search_parameters -- 5.0.0 package/SearchParameter-*.json \
//!     > crates/protocol/src/fhir/definitions/r5/search_parameters.tsv
//! ```
//!
//! A line is a type, a parameter, its kind, and for references the types that it may point to (`*` for any). A
//! type without parameters of its own is a line by itself. Left out are composite and special parameters, which
//! are not offered, parameters of all resources, which the code names, and whatever is not of this version.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use serde::Deserialize;

#[path = "condense/reading.rs"]
mod reading;

#[derive(Deserialize)]
struct SearchParameter {
    #[serde(default)]
    version: String,
    code: String,
    #[serde(default)]
    base: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    target: BTreeSet<String>,
}

fn main() -> anyhow::Result<()> {
    let (version, definitions) = reading::definitions("SearchParameter")?;
    let mut parameters: Vec<SearchParameter> =
        definitions.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    parameters.retain(|parameter| parameter.version == version);

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
const ABSTRACT: [&str; 4] = ["CanonicalResource", "DomainResource", "MetadataResource", "Resource"];
