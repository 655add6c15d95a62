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
    // A second start (in tests) changes nothing.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
