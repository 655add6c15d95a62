//! `cargo xtask dist`: what ships. Built so that it counts what it does, used for a while (`bench/train.py`), and built again
//! by those counts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Builds `target/dist/chartgate`.
pub(crate) fn build(root: &Path) -> anyhow::Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = std::path::absolute(target)?;
    let (sysroot, host) = compiler()?;
    let counts = target.join("counts");
    if counts.exists() {
        std::fs::remove_dir_all(&counts)?;
    }
    std::fs::create_dir_all(&counts)?;
    let merger = merger(&sysroot, &host)?;

    let counting = cargo(root, &target.join("counting"), &host, "generate", &counts)?;
    run(Command::new("python3").arg(root.join("bench/train.py")).arg(counting))?;
    let merged = counts.join("merged.profdata");
    run(Command::new(merger).arg("merge").arg("--output").arg(&merged).arg(&counts))?;
    let trained = cargo(root, &target.join("trained"), &host, "use", &merged)?;

    let shipped = target.join("dist/chartgate");
    std::fs::create_dir_all(target.join("dist"))?;
    // What stands there may be one file with what cargo keeps.
    if shipped.exists() {
        std::fs::remove_file(&shipped)?;
    }
    std::fs::copy(trained, &shipped).with_context(|| format!("{}", shipped.display()))?;
    Ok(())
}

/// Builds the program with its counts kept in or read from `place`. With `--target` its flags are not those of build scripts.
fn cargo(root: &Path, into: &Path, host: &str, profile: &str, place: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(root).args(["build", "--profile", "dist", "--package", "chartgate-server"]);
    build.args(["--target", host, "--target-dir"]).arg(into);
    build.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags(profile, place));
    run(&mut build)?;
    Ok(into.join(host).join("dist/chartgate"))
}

/// The flags of whoever calls, and ours behind them.
fn flags(profile: &str, place: &Path) -> String {
    const BETWEEN: &str = "\u{1f}";
    let own = match (std::env::var("CARGO_ENCODED_RUSTFLAGS"), std::env::var("RUSTFLAGS")) {
        (Ok(encoded), _) => encoded,
        (Err(_), Ok(plain)) => plain.split_whitespace().collect::<Vec<_>>().join(BETWEEN),
        (Err(_), Err(_)) => String::new(),
    };
    let ours = format!("-Cprofile-{profile}={}", place.display());
    if own.is_empty() { ours } else { [own, ours].join(BETWEEN) }
}

/// Where the compiler's own files are, and for which machine it compiles.
fn compiler() -> anyhow::Result<(PathBuf, String)> {
    let ask = |words: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("rustc").args(words).output().context("rustc")?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let about = ask(&["-vV"])?;
    let host =
        about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    Ok((PathBuf::from(ask(&["--print", "sysroot"])?.trim()), host.to_owned()))
}

/// What merges counts: of the compiler's own version. Installed if it is missing.
fn merger(sysroot: &Path, host: &str) -> anyhow::Result<PathBuf> {
    let path = sysroot.join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !path.is_file() {
        run(Command::new("rustup").args(["component", "add", "llvm-tools"]))
            .context("llvm-tools is missing")?;
    }
    Ok(path)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{}", command.get_program().display()))?;
    anyhow::ensure!(status.success(), "{} failed", command.get_program().display());
    Ok(())
}
