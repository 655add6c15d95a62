//! Checks that need the program whole: the policy pack as `init` hands it out, and the pages in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// How long a demo may take to its first answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The tests of the pages.
const PAGES: &str = "crates/server/tests/pages";

/// Makes an installation and lets its policies be checked and tested by the program itself.
///
/// # Errors
/// What does not hold.
pub(crate) fn policies(root: &Path) -> anyhow::Result<()> {
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

/// Starts a demo and walks through its pages in Chromium.
///
/// # Errors
/// What does not hold, or which tool is missing.
pub(crate) fn pages(root: &Path) -> anyhow::Result<()> {
    let program = build(root)?;
    let tests = root.join(PAGES);
    if !tests.join("node_modules").is_dir() {
        let words = ["ci", "--silent", "--no-audit", "--no-fund"];
        let status = Command::new("npm").args(words).current_dir(&tests).status().context("npm")?;
        ensure!(status.success(), "`npm ci` failed");
    }
    let folder = Folder::new("pages")?;
    let ready = folder.0.join("ready.json");
    let mut demo = Demo::start(&program, &folder.0.join("demo"), &ready)?;
    demo.wait_for(&ready)?;
    let mut node = Command::new("node");
    node.arg("pages.mjs").arg(&ready).arg(&program).args(std::env::args_os().nth(2)).current_dir(&tests);
    ensure!(node.status().context("node")?.success(), "the pages' tests failed");
    ensure!(demo.stop()?.success(), "the demo did not end well");
    Ok(())
}

/// Builds the program, beside us.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let words = ["build", "--quiet", "--package", "chartgate-server"];
    let status = Command::new("cargo").args(words).current_dir(root).status().context("cargo")?;
    ensure!(status.success(), "the program does not build");
    Ok(std::env::current_exe()?.with_file_name("chartgate"))
}

/// A running demo, killed if nobody stopped it.
struct Demo(Child);

impl Demo {
    fn start(program: &Path, dir: &Path, ready: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["demo", "--listen", "127.0.0.1:0", "--dir"]).arg(dir).arg("--ready-file").arg(ready);
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("{}", program.display()))?))
    }

    fn wait_for(&mut self, ready: &Path) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !ready.exists() {
            if let Some(status) = self.0.try_wait()? {
                bail!("the demo ended: {status}");
            }
            ensure!(begun.elapsed() < PATIENCE, "the demo does not answer");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Asks it to end, as Ctrl-C does.
    fn stop(mut self) -> anyhow::Result<ExitStatus> {
        let asked = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().context("kill")?;
        ensure!(asked.success(), "the demo is gone");
        Ok(self.0.wait()?)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder for one check, removed with it.
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
