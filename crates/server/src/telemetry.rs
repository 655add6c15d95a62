//! Log lines for operators, on stderr. They may be lost; audit records may not, so neither travels through the other.

use tracing_subscriber::EnvFilter;

/// Starts telemetry: JSON lines, at `info` unless `RUST_LOG` says otherwise.
pub(crate) fn start() {
    start_at("info");
}

/// Starts telemetry for commands at a terminal: errors alone.
pub(crate) fn quiet() {
    start_at("error");
}

fn start_at(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Where stderr cannot be written (a full disk, a terminal that is gone), a line is lost. To say so, on stderr again,
    // would panic the thread that logs: the journal's among them.
    let lines = tracing_subscriber::fmt().json().log_internal_errors(false);
    // A second start (in tests) changes nothing.
    let _ = lines.with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
