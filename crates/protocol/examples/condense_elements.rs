//! Condenses HL7's definitions of types into the table that `fhir::elements` reads, for one version of FHIR:
//!
//! ```text
//! cargo run -p chartgate-protocol --example condense_elements -- 5.0.0 package/StructureDefinition-*.json \
//!     > crates/protocol/src/fhir/definitions/r5/elements.tsv
//! ```
//!
//! A line is a resource type, a data type or a part of one (`Observation.component`), and its elements, each with its
//! type; a choice stands as the names that JSON has for it. An element whose content is defined by another one has that
//! one's part for its type. Elements of type `Extension`, `Narrative` and `Resource` are left out: they are of all resources,
//! and the code names them. So are conformance and terminology resources, which are of nobody.

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
    let (version, definitions) = reading::definitions("StructureDefinition")?;
    for definition in definitions {
        let definition: Definition = serde_json::from_value(definition)?;
        let is_plain = definition.derivation == "specialization" && definition.fhir_version == version;
        let is_wanted = matches!(definition.kind.as_str(), "complex-type" | "resource")
            && !OF_NOBODY.contains(&definition.r#type.as_str());
        let Some(snapshot) = definition.snapshot.filter(|_| is_plain && is_wanted) else { continue };
        for element in snapshot.element {
            add(&mut table, &element);
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
        own.push((name.to_owned(), other.rsplit('#').next().unwrap_or_default().to_owned()));
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
const OF_NOBODY: [&str; 44] = [
    "ActivityDefinition",
    "ActorDefinition",
    "ArtifactAssessment",
    "Bundle",
    "CanonicalResource",
    "CapabilityStatement",
    "ChargeItemDefinition",
    "CodeSystem",
    "CompartmentDefinition",
    "ConceptMap",
    "ConditionDefinition",
    "DomainResource",
    "EffectEvidenceSynthesis",
    "ElementDefinition",
    "EventDefinition",
    "Evidence",
    "EvidenceReport",
    "EvidenceVariable",
    "ExampleScenario",
    "GraphDefinition",
    "ImplementationGuide",
    "Library",
    "Measure",
    "MessageDefinition",
    "MetadataResource",
    "NamingSystem",
    "OperationDefinition",
    "Parameters",
    "PlanDefinition",
    "Questionnaire",
    "Requirements",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "Resource",
    "RiskEvidenceSynthesis",
    "SearchParameter",
    "StructureDefinition",
    "StructureMap",
    "SubscriptionTopic",
    "TerminologyCapabilities",
    "TestPlan",
    "TestReport",
    "TestScript",
    "ValueSet",
];
