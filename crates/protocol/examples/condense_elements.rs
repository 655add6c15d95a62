//! Condenses HL7's `profiles-types.json` and `profiles-resources.json` of FHIR R4 into the table that `fhir::elements`
//! reads:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_elements -- profiles-types.json profiles-resources.json \
//!     > crates/protocol/src/fhir/elements.tsv
//! ```
//!
//! A line is a resource type, a data type or a part of one (`Observation.component`), and its elements, each with its
//! type; a choice stands as the names that JSON has for it. An element whose content is defined by another one has that
//! one's part for its type. Elements of type `Extension`, `Narrative` and `Resource` are left out: they are of all resources,
//! and the code names them. So are conformance and terminology resources, which are of nobody.

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
    #[serde(default)]
    fhir_version: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    derivation: String,
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
    r#type: Vec<Type>,
    content_reference: Option<String>,
}

#[derive(Deserialize)]
struct Type {
    code: String,
}

fn main() -> anyhow::Result<()> {
    let mut table: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let bundle: Bundle = serde_json::from_slice(&std::fs::read(&path).context(path)?)?;
        for resource in bundle.entry.into_iter().map(|entry| entry.resource) {
            if resource.get("resourceType").and_then(Value::as_str) != Some("StructureDefinition") {
                continue;
            }
            let definition: Definition = serde_json::from_value(resource)?;
            let is_plain = definition.derivation == "specialization" && definition.fhir_version == "4.0.1";
            let is_wanted = matches!(definition.kind.as_str(), "complex-type" | "resource")
                && !OF_NOBODY.contains(&definition.r#type.as_str());
            let Some(snapshot) = definition.snapshot.filter(|_| is_plain && is_wanted) else { continue };
            for element in snapshot.element {
                add(&mut table, &element);
            }
        }
    }
    let mut out = std::io::stdout().lock();
    for (part, elements) in &table {
        write!(out, "{part}\t")?;
        let columns: Vec<String> = elements.iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
        writeln!(out, "{}", columns.join(" "))?;
    }
    Ok(())
}

fn add(table: &mut BTreeMap<String, Vec<(String, String)>>, element: &Element) {
    let Some((part, name)) = element.path.rsplit_once('.') else { return };
    let types: Vec<&str> = element.r#type.iter().map(|own| own.code.as_str()).collect();
    if types.iter().any(|own| matches!(*own, "Extension" | "Narrative" | "Resource")) {
        return;
    }
    let own = table.entry(part.to_owned()).or_default();
    if let Some(other) = &element.content_reference {
        own.push((name.to_owned(), other.trim_start_matches('#').to_owned()));
        return;
    }
    match name.strip_suffix("[x]") {
        Some(stem) => {
            own.extend(types.iter().map(|kind| (format!("{stem}{}", capital(kind)), (*kind).to_owned())))
        }
        None => own.extend(types.first().map(|kind| (name.to_owned(), kind_of(kind, &element.path)))),
    }
}

/// The parts of an element stand under its own path.
fn kind_of(kind: &str, path: &str) -> String {
    match kind {
        "BackboneElement" | "Element" => path.to_owned(),
        _ => kind
            .rsplit_once("System.")
            .map_or(kind, |(_, system)| if system == "String" { "string" } else { kind })
            .to_owned(),
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// What is about FHIR itself, and what is abstract.
const OF_NOBODY: [&str; 35] = [
    "ActivityDefinition",
    "Bundle",
    "CapabilityStatement",
    "ChargeItemDefinition",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "DomainResource",
    "EffectEvidenceSynthesis",
    "ElementDefinition",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "Library",
    "Measure",
    "MessageDefinition",
    "NamingSystem",
    "OperationDefinition",
    "Parameters",
    "PlanDefinition",
    "Questionnaire",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "Resource",
    "RiskEvidenceSynthesis",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
];
