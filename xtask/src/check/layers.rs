//! The dependency rule of ARCHITECTURE.md section 2, read from what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

/// Of ours, what each crate may import.
const MAY_IMPORT: [(&str, &[&str]); 6] = [
    ("chartgate-values", &[]),
    ("chartgate-protocol", &["chartgate-values"]),
    ("chartgate-audit", &["chartgate-values"]),
    (DECIDES, &["chartgate-values", "chartgate-protocol", "chartgate-audit"]),
    (VERIFY, &["chartgate-values", "chartgate-protocol"]),
    (SERVER, &["chartgate-values", "chartgate-protocol", "chartgate-audit", "chartgate-access"]),
];
const SERVER: &str = "chartgate-server";
/// What other services are built with: it has sockets and a runtime, for it follows us.
const VERIFY: &str = "chartgate-verify";
const DECIDES: &str = "chartgate-access";

/// Of these, what it may be built with.
const VERIFY_DOES: [&str; 5] = ["tokio", "hyper", "axum", "rustls", "mio"];

/// Sockets, runtimes, databases and output: the server's alone.
const DOES_IO: [&str; 8] =
    ["tokio", "hyper", "axum", "rusqlite", "tokio-postgres", "tracing-subscriber", "rustls", "mio"];

/// Another crypto library, or something that brings one.
const NOT_BUILT: [&str; 7] =
    ["ring", "openssl-sys", "native-tls", "boring-sys", "async-std", "rsa", "aws-lc-fips-sys"];

/// What webauthn-rs brings, into the server alone (docs/adr/0040): it verifies by the one, and has no use for the other, which is
/// beside ours. `deny.toml` says under what.
const OF_WEBAUTHN: [&str; 2] = ["rsa v0.10.", "argon2 v0.5."];

/// Of these there must be one version: two would be two implementations, or two process-wide providers.
const ONE_VERSION: [&str; 8] =
    ["aws-lc-rs", "aws-lc-sys", "rustls", "rustls-webpki", "rustls-pki-types", "subtle", "zeroize", "argon2"];

/// What cargo says of our crates: what each lists, and what each is built with.
pub(super) struct Layers {
    /// Each of our crates with the names of all that it lists, for tests too.
    listed: BTreeMap<String, Vec<String>>,
    /// Each of our crates with the packages of its build, as `name v1.2.3`.
    built_with: BTreeMap<String, BTreeSet<String>>,
}

impl Layers {
    /// Reads `cargo metadata --no-deps`, and for each crate what `tree` gives: the output of `cargo tree` without
    /// prefixes. (The graph within the metadata knows features less well than the tree does.)
    pub(super) fn read(
        metadata: &str,
        tree: impl Fn(&str) -> anyhow::Result<String>,
    ) -> anyhow::Result<Self> {
        let all: Value = serde_json::from_str(metadata).context("cargo metadata")?;
        let text = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let (mut listed, mut built_with) = (BTreeMap::new(), BTreeMap::new());
        for package in list(&all, "packages") {
            let name = text(&package);
            let packages = tree(&name)?.lines().map(package_of).collect();
            built_with.insert(name.clone(), packages);
            listed.insert(name, list(&package, "dependencies").iter().map(text).collect());
        }
        Ok(Self { listed, built_with })
    }

    /// Our crates that import what they may not, in tests too.
    pub(super) fn imports(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, listed) in &self.listed {
            let may = MAY_IMPORT.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, may)| may);
            for import in listed.iter().filter(|import| self.listed.contains_key(*import)) {
                if !may.contains(&import.as_str()) {
                    wrong.push(format!("{name} imports {import}"));
                }
            }
        }
        wrong
    }

    /// Crates other than the server whose build has sockets, a runtime or a database in it.
    pub(super) fn io(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (of, packages) in self.built_with.iter().filter(|(name, _)| *name != SERVER) {
            let does = |package: &&String| {
                let name = name_of(package);
                DOES_IO.contains(&name) && !(*of == VERIFY && VERIFY_DOES.contains(&name))
            };
            for found in packages.iter().filter(does) {
                wrong.push(format!("{of} is built with {found}"));
            }
        }
        wrong
    }

    /// Crypto that must not be there, or is there twice.
    pub(super) fn crypto(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let packages: BTreeSet<&String> = self.built_with.values().flatten().collect();
        let comes_with_webauthn = |built: &str| OF_WEBAUTHN.iter().any(|own| built.starts_with(own));
        for (of, built) in self.built_with.iter().filter(|(of, _)| *of != SERVER) {
            for found in built.iter().filter(|built| comes_with_webauthn(built)) {
                wrong.push(format!("{of} is built with {found}"));
            }
        }
        let is_wrong = |built: &&&String| NOT_BUILT.contains(&name_of(built)) && !comes_with_webauthn(built);
        for found in packages.iter().filter(is_wrong) {
            wrong.push(format!("{found} is built: see `cargo tree -i {}`", name_of(found)));
        }
        for name in ONE_VERSION {
            let own = |package: &&&String| name_of(package) == name && !comes_with_webauthn(package);
            let versions = packages.iter().filter(own).count();
            if versions != 1 {
                wrong.push(format!("{versions} versions of {name}, not one"));
            }
        }
        if self.listed.get(DECIDES).is_some_and(|listed| listed.iter().any(|name| name == "aws-lc-rs")) {
            wrong.push(format!("{DECIDES} decides; it does not compute signatures"));
        }
        wrong
    }
}

/// `name v1.2.3` of a line of the tree, without what follows: a path, a mark of repetition.
fn package_of(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn name_of(package: &str) -> &str {
    package.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of these crates, each with what it lists and what is in its tree.
    fn workspace(crates: &[(&str, &[&str], &str)]) -> Layers {
        let packages: Vec<Value> = crates
            .iter()
            .map(|(name, lists, _)| {
                let lists: Vec<Value> =
                    lists.iter().map(|name| serde_json::json!({ "name": name })).collect();
                serde_json::json!({ "name": name, "dependencies": lists })
            })
            .collect();
        let tree = |of: &str| Ok(crates.iter().find(|(name, ..)| *name == of).unwrap().2.to_owned());
        Layers::read(&serde_json::json!({ "packages": packages }).to_string(), tree).unwrap()
    }

    #[test]
    fn a_lower_layer_may_not_import_a_higher_one() {
        let sound =
            workspace(&[("chartgate-values", &[], ""), ("chartgate-audit", &["chartgate-values"], "")]);
        assert!(sound.imports().is_empty());
        let upward =
            workspace(&[("chartgate-values", &["chartgate-audit"], ""), ("chartgate-audit", &[], "")]);
        assert_eq!(upward.imports(), ["chartgate-values imports chartgate-audit"]);
        let sideways =
            workspace(&[("chartgate-protocol", &["chartgate-audit"], ""), ("chartgate-audit", &[], "")]);
        assert_eq!(sideways.imports(), ["chartgate-protocol imports chartgate-audit"]);
        let verify =
            workspace(&[("chartgate-verify", &["chartgate-access"], ""), ("chartgate-access", &[], "")]);
        assert_eq!(verify.imports(), ["chartgate-verify imports chartgate-access"]);
        let server = workspace(&[("xtask", &["chartgate-server"], ""), ("chartgate-server", &[], "")]);
        assert_eq!(server.imports(), ["xtask imports chartgate-server"]);
    }

    #[test]
    fn a_runtime_is_found_however_deep_it_hides() {
        let hidden = workspace(&[("chartgate-access", &["cache"], "cache v1.0.0\ntokio v1.49.0 (*)\n")]);
        assert_eq!(hidden.io(), ["chartgate-access is built with tokio v1.49.0"]);
        let verify =
            workspace(&[("chartgate-verify", &[], "tokio v1.49.0\naxum v0.8.9\nrusqlite v0.43.0\n")]);
        assert_eq!(verify.io(), ["chartgate-verify is built with rusqlite v0.43.0"]);
        let server = workspace(&[("chartgate-server", &["tokio"], "tokio v1.49.0\n")]);
        assert!(server.io().is_empty());
    }

    #[test]
    fn a_second_crypto_library_is_found() {
        let tree = "tls v1.0.0\nring v0.17.0\nsubtle v2.6.0\nsubtle v2.5.0\n";
        let wrong = workspace(&[("chartgate-server", &["tls"], tree)]).crypto();
        assert!(wrong.contains(&"ring v0.17.0 is built: see `cargo tree -i ring`".to_owned()));
        assert!(wrong.contains(&"2 versions of subtle, not one".to_owned()));
        assert!(wrong.contains(&"0 versions of aws-lc-rs, not one".to_owned()));
    }

    #[test]
    fn what_comes_with_webauthn_comes_into_the_server_alone() {
        let wrong = |of: &str, tree: &str| {
            let crates: [(&str, &[&str], &str); 1] = [(of, &[], tree)];
            workspace(&crates).crypto().join(", ")
        };
        let tree = "rsa v0.10.0-rc.19\nargon2 v0.6.0\nargon2 v0.5.3\n";
        let server = wrong(SERVER, tree);
        assert!(!server.contains("rsa") && !server.contains("argon2"), "{server}");
        assert!(
            wrong("chartgate-protocol", tree).contains("chartgate-protocol is built with rsa v0.10.0-rc.19")
        );
        assert!(wrong(SERVER, "rsa v0.9.8\n").contains("rsa v0.9.8 is built"));
        assert!(wrong(SERVER, "argon2 v0.6.0\nargon2 v0.7.0\n").contains("2 versions of argon2"));
    }

    #[test]
    fn a_package_that_repeats_in_a_tree_counts_once() {
        let tree: String =
            ONE_VERSION.iter().map(|name| format!("{name} v1.0.0\n{name} v1.0.0 (*)\n")).collect();
        assert!(workspace(&[("chartgate-server", &[], &tree)]).crypto().is_empty());
    }
}
