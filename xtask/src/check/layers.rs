//! The dependency rule of ARCHITECTURE.md section 2, read from what cargo resolved.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

/// Of ours, what each crate may import.
const MAY_IMPORT: [(&str, &[&str]); 5] = [
    ("chartgate-values", &[]),
    ("chartgate-protocol", &["chartgate-values"]),
    ("chartgate-audit", &["chartgate-values"]),
    ("chartgate-access", &["chartgate-values", "chartgate-protocol", "chartgate-audit"]),
    (SERVER, &["chartgate-values", "chartgate-protocol", "chartgate-audit", "chartgate-access"]),
];
const SERVER: &str = "chartgate-server";

/// Sockets, runtimes, databases and output: the server's alone.
const DOES_IO: [&str; 8] =
    ["tokio", "hyper", "axum", "rusqlite", "tokio-postgres", "tracing-subscriber", "rustls", "mio"];

/// Another crypto library, or something that brings one.
const NOT_BUILT: [&str; 7] =
    ["ring", "openssl-sys", "native-tls", "boring-sys", "async-std", "rsa", "aws-lc-fips-sys"];

/// Of these there must be one version: two would be two implementations, or two process-wide providers.
const ONE_VERSION: [&str; 8] =
    ["aws-lc-rs", "aws-lc-sys", "rustls", "rustls-webpki", "rustls-pki-types", "subtle", "zeroize", "argon2"];

/// What cargo resolved.
pub(super) struct Metadata {
    /// Package id to name.
    names: BTreeMap<String, String>,
    /// Package id to the ids that it is built with.
    built_with: BTreeMap<String, Vec<String>>,
    /// Our crates, by name, with the names of all that they list.
    ours: BTreeMap<String, Vec<String>>,
}

impl Metadata {
    /// Reads the output of `cargo metadata`.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let all: Value = serde_json::from_str(text).context("cargo metadata")?;
        let texts = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let list = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let members: BTreeSet<String> =
            list(&all, "workspace_members").iter().filter_map(|id| Some(id.as_str()?.to_owned())).collect();
        let (mut names, mut ours) = (BTreeMap::new(), BTreeMap::new());
        for package in list(&all, "packages") {
            let (id, name) = (texts(&package, "id"), texts(&package, "name"));
            if members.contains(&id) {
                let listed = list(&package, "dependencies").iter().map(|d| texts(d, "name")).collect();
                ours.insert(name.clone(), listed);
            }
            names.insert(id, name);
        }
        let mut built_with = BTreeMap::new();
        for node in list(all.get("resolve").context("no resolve")?, "nodes") {
            let needed = list(&node, "deps").into_iter().filter(|dep| {
                list(dep, "dep_kinds")
                    .iter()
                    .any(|kind| kind.get("kind").is_none_or(|k| k.as_str() != Some("dev")))
            });
            built_with.insert(texts(&node, "id"), needed.map(|dep| texts(&dep, "pkg")).collect());
        }
        Ok(Self { names, built_with, ours })
    }

    /// Our crates that import what they may not, in tests too.
    pub(super) fn imports(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, listed) in &self.ours {
            let may = MAY_IMPORT.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, may)| may);
            for import in listed.iter().filter(|import| self.ours.contains_key(*import)) {
                if import == SERVER || !may.contains(&import.as_str()) && import != name {
                    wrong.push(format!("{name} imports {import}"));
                }
            }
        }
        wrong
    }

    /// Crates other than the server whose build has sockets, a runtime or a database in it.
    pub(super) fn io(&self) -> Vec<String> {
        let pure =
            self.ours.keys().filter(|name| *name != SERVER && MAY_IMPORT.iter().any(|(of, _)| of == name));
        let mut wrong = Vec::new();
        for name in pure {
            for found in self.build_of(name).iter().filter(|found| DOES_IO.contains(&found.as_str())) {
                wrong.push(format!("{name} is built with {found}"));
            }
        }
        wrong
    }

    /// Crypto that must not be there, or is there twice.
    pub(super) fn crypto(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for found in self.build_of(SERVER).iter().filter(|found| NOT_BUILT.contains(&found.as_str())) {
            wrong.push(format!("{found} is built: see `cargo tree -i {found}`"));
        }
        for name in ONE_VERSION {
            let versions = self.names.values().filter(|found| *found == name).count();
            if versions != 1 {
                wrong.push(format!("{versions} versions of {name}, not one"));
            }
        }
        if self
            .ours
            .get("chartgate-access")
            .is_some_and(|listed| listed.iter().any(|name| name == "aws-lc-rs"))
        {
            wrong.push("chartgate-access decides; it does not compute signatures".to_owned());
        }
        wrong
    }

    /// The names of everything that goes into a crate's build.
    fn build_of(&self, name: &str) -> BTreeSet<String> {
        let mut open: Vec<&String> =
            self.names.iter().filter(|(_, found)| *found == name).map(|(id, _)| id).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.built_with.get(id).into_iter().flatten());
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of the crates named, each with what it is built with.
    fn workspace(crates: &[(&str, &[&str])]) -> Metadata {
        let kinds = serde_json::json!([{ "kind": null }]);
        let mut packages = Vec::new();
        let mut nodes = Vec::new();
        for (name, needs) in crates {
            let listed: Vec<Value> = needs.iter().map(|n| serde_json::json!({ "name": n })).collect();
            packages.push(serde_json::json!({ "id": name, "name": name, "dependencies": listed }));
            let deps: Vec<Value> =
                needs.iter().map(|n| serde_json::json!({ "pkg": n, "dep_kinds": kinds })).collect();
            nodes.push(serde_json::json!({ "id": name, "deps": deps }));
        }
        let members: Vec<&str> =
            crates.iter().map(|(name, _)| *name).filter(|name| name.starts_with("chartgate")).collect();
        let all = serde_json::json!({
            "packages": packages, "workspace_members": members, "resolve": { "nodes": nodes },
        });
        Metadata::read(&all.to_string()).unwrap()
    }

    #[test]
    fn a_lower_layer_may_not_import_a_higher_one() {
        let sound = workspace(&[("chartgate-values", &[]), ("chartgate-audit", &["chartgate-values"])]);
        assert!(sound.imports().is_empty());
        let upward = workspace(&[("chartgate-values", &["chartgate-audit"]), ("chartgate-audit", &[])]);
        assert_eq!(upward.imports(), ["chartgate-values imports chartgate-audit"]);
        let sideways = workspace(&[("chartgate-protocol", &["chartgate-audit"]), ("chartgate-audit", &[])]);
        assert_eq!(sideways.imports(), ["chartgate-protocol imports chartgate-audit"]);
        let server = workspace(&[("chartgate-bench", &["chartgate-server"]), ("chartgate-server", &[])]);
        assert_eq!(server.imports(), ["chartgate-bench imports chartgate-server"]);
    }

    #[test]
    fn a_runtime_is_found_however_deep_it_hides() {
        let hidden = workspace(&[("chartgate-access", &["cache"]), ("cache", &["tokio"]), ("tokio", &[])]);
        assert_eq!(hidden.io(), ["chartgate-access is built with tokio"]);
        let server = workspace(&[("chartgate-server", &["tokio"]), ("tokio", &[])]);
        assert!(server.io().is_empty());
    }

    #[test]
    fn a_second_crypto_library_is_found() {
        let two = workspace(&[("chartgate-server", &["tls"]), ("tls", &["ring"]), ("ring", &[])]);
        assert!(two.crypto().contains(&"ring is built: see `cargo tree -i ring`".to_owned()));
        assert!(two.crypto().contains(&"0 versions of aws-lc-rs, not one".to_owned()));
    }
}
