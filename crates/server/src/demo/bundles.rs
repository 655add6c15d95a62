//! Loading FHIR R4 bundles, such as Synthea's: references that name an entry by `urn:uuid` become `Type/id`.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// Every resource of every bundle (`*.json`) and list (`*.ndjson`) in a folder.
///
/// # Errors
/// What cannot be read, by file.
pub(super) fn load(folder: &Path) -> anyhow::Result<Vec<Value>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("{}", folder.display()))?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    let mut resources = Vec::new();
    let mut names = HashMap::new();
    for path in paths {
        let read = || std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()));
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => bundle(&read()?, &mut resources, &mut names),
            Some("ndjson") => list(&read()?, &mut resources),
            _ => Ok(()),
        }
        .with_context(|| format!("{}", path.display()))?;
    }
    if !resources.iter().any(|r| r.get("resourceType") == Some(&json!("Patient"))) {
        bail!("{}: no FHIR Patient in any bundle", folder.display());
    }
    // Shared resources such as organisations stand in several bundles; once is enough.
    let mut seen = HashSet::new();
    resources.retain(|resource| {
        let text = |name| resource.get(name).and_then(Value::as_str).map(str::to_owned);
        seen.insert((text("resourceType"), text("id")))
    });
    resources.iter_mut().for_each(|resource| rewrite(resource, &names));
    Ok(resources)
}

fn bundle(text: &str, out: &mut Vec<Value>, names: &mut HashMap<String, String>) -> anyhow::Result<()> {
    let mut bundle: Value = serde_json::from_str(text)?;
    let Some(entries) = bundle.get_mut("entry").and_then(Value::as_array_mut) else { return Ok(()) };
    for entry in entries {
        let Some(resource) = entry.get("resource") else { continue };
        let kind = resource.get("resourceType").and_then(Value::as_str).context("a resource without type")?;
        let url = entry.get("fullUrl").and_then(Value::as_str);
        let own = resource.get("id").and_then(Value::as_str);
        let id = own.or_else(|| url?.strip_prefix("urn:uuid:")).context("a resource without id")?.to_owned();
        if let Some(url) = url {
            names.insert(url.to_owned(), format!("{kind}/{id}"));
        }
        let mut resource = resource.clone();
        if let Value::Object(members) = &mut resource {
            members.insert("id".to_owned(), id.into());
        }
        out.push(resource);
    }
    Ok(())
}

fn list(text: &str, out: &mut Vec<Value>) -> anyhow::Result<()> {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let resource: Value = serde_json::from_str(line)?;
        let has = |name| resource.get(name).is_some_and(Value::is_string);
        if !has("resourceType") || !has("id") {
            bail!("a resource without type or id");
        }
        out.push(resource);
    }
    Ok(())
}

fn rewrite(value: &mut Value, names: &HashMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "reference" => {
                        if let Some(known) = names.get(text.as_str()) {
                            known.clone_into(text);
                        }
                    }
                    other => rewrite(other, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_record_is_an_error_and_not_left_out() {
        let mut out = Vec::new();
        list("{\"resourceType\":\"Patient\",\"id\":\"a\"}\n\n", &mut out).unwrap();
        assert_eq!(out.len(), 1);
        for line in [
            "{\"resourceType\":\"Patient\"}",
            "{\"id\":\"a\"}",
            "{\"id\":1,\"resourceType\":\"Patient\"}",
            "nonsense",
        ] {
            assert!(list(line, &mut out).is_err(), "{line}");
        }
    }
}
