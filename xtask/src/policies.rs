//! The policy pack as `init` hands it out, checked and tested by the program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Makes an installation and lets its policies be checked and tested by the program itself.
///
/// # Errors
/// What does not hold.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let program = build(root)?;
    let folder = Folder::new("policies")?;
    let made =
        Command::new(&program).args(["init", "--dir"]).arg(&folder.0).stdout(Stdio::null()).status()?;
    ensure!(made.success(), "`chartgate init` failed");
    let config = folder.0.join("chartgate.toml");
    for word in ["check", "test"] {
        let status = Command::new(&program).arg("--config").arg(&config).args(["policy", word]).status()?;
        ensure!(status.success(), "`chartgate policy {word}` failed");
    }
    Ok(())
}

/// Builds the program, beside us.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let words = ["build", "--quiet", "--package", "chartgate-server"];
    let status = Command::new("cargo").args(words).current_dir(root).status().context("cargo")?;
    ensure!(status.success(), "the program does not build");
    Ok(std::env::current_exe()?.with_file_name("chartgate"))
}

/// A folder for the check, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("chartgate-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("{}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
