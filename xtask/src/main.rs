//! Logic behind the make targets.

mod check;
mod dist;
mod policies;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("check") => rules(),
        Some("dist") => dist::build(root()),
        Some("policies") => policies::check(root()),
        Some(_) | None => {
            eprintln!("usage: cargo xtask check | dist | policies");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn rules() -> anyhow::Result<()> {
    let report = check::run(root())?;
    writeln!(std::io::stdout(), "{report}")?;
    anyhow::ensure!(report.wrong() == 0, "rules are broken");
    Ok(())
}

/// The repository's root: the folder above ours.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
