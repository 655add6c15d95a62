//! What no compiler checks: who may import whom, how long files are, and whether the pages tell the truth.
//!
//! Each rule is a function from what it reads to what it found wrong, so that each has a test with a bad example.

mod files;
mod layers;
mod lengths;
mod pages;
mod rooms;
mod rust;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// What the rules found.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Report {
    rules: Vec<(&'static str, Vec<String>)>,
    remarks: Vec<String>,
}

impl Report {
    fn rule(&mut self, claim: &'static str, wrong: Vec<String>) {
        self.rules.push((claim, wrong));
    }

    /// How many things are wrong.
    pub(crate) fn wrong(&self) -> usize {
        self.rules.iter().map(|(_, wrong)| wrong.len()).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for remark in &self.remarks {
            writeln!(f, "note    {remark}")?;
        }
        for (claim, wrong) in &self.rules {
            writeln!(f, "{}  {claim}", if wrong.is_empty() { "holds " } else { "BROKEN" })?;
            for line in wrong {
                writeln!(f, "            {line}")?;
            }
        }
        write!(f, "{} rules, {} things wrong", self.rules.len(), self.wrong())
    }
}

/// Runs every rule over the repository.
///
/// # Errors
/// If cargo or git cannot be asked, or a file cannot be read.
pub(crate) fn run(root: &Path) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let metadata = said(root, "cargo", &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let tree = |name: &str| {
        let words = [
            "tree",
            "--edges",
            "normal,build",
            "--target",
            "all",
            "--prefix",
            "none",
            "--locked",
            "--package",
        ];
        said(root, "cargo", &[words.as_slice(), &[name]].concat())
    };
    let layers = layers::Layers::read(&metadata, tree)?;
    report.rule("crates import only what their layer may", layers.imports());
    report.rule("nothing but the server does I/O", layers.io());
    report.rule("one crypto library, one version of each crypto crate", layers.crypto());

    let tracked = said(root, "git", &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let sources = files::Sources::read(root, tracked.lines())?;
    report.rule("the server's rooms do not import one another", rooms::check(&sources));
    report.rule("aws-lc-rs is reached only where it may", files::crypto_reach(&sources));
    report.rule("foo.rs and foo/, never mod.rs", files::module_names(&sources));
    report.rule("no file speaks of a machine, none is half merged", files::words(&sources));
    let (long, too_long) = lengths::check(&sources);
    report.remarks.extend(long);
    report.rule("no file has more than 600 production lines", too_long);
    report.rule("the pages name files and tests that exist", pages::check(&sources));
    report.rule("docs/config.md has every key and no other", pages::config_keys(&sources));
    Ok(report)
}

/// What a program says on standard output.
fn said(root: &Path, program: &str, words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(words)
        .current_dir(root)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
