//! Reads HL7's definitions: files that are a resource, or a Bundle of several, of one version of FHIR.

use anyhow::Context as _;
use serde_json::Value;

/// The version named first on the command line, such as `5.0.0`, and all resources of the files named after it that are of
/// this type.
pub(crate) fn definitions(of: &str) -> anyhow::Result<(String, Vec<Value>)> {
    let mut arguments = std::env::args().skip(1);
    let version = arguments.next().context("name the version, such as 5.0.0, then HL7's files")?;
    let mut found = Vec::new();
    for path in arguments {
        let file: Value =
            serde_json::from_slice(&std::fs::read(&path).context(path.clone())?).context(path)?;
        let resources = match file.get("entry").and_then(Value::as_array) {
            Some(entries) => entries.iter().filter_map(|entry| entry.get("resource").cloned()).collect(),
            None => vec![file],
        };
        let is_wanted = |one: &Value| one.get("resourceType").and_then(Value::as_str) == Some(of);
        found.extend(resources.into_iter().filter(is_wanted));
    }
    Ok((version, found))
}
