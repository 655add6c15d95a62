//! Logic behind the make targets: `cargo xtask check`.

mod check;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => match check::run(root()) {
            Ok(report) => finish(&report),
            Err(error) => {
                eprintln!("xtask: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: cargo xtask check");
            ExitCode::from(2)
        }
    }
}

fn finish(report: &check::Report) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{report}");
    if report.wrong() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The repository's root: the folder above ours.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
