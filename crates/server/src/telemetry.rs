//! Log lines for operators, on stderr. They may be lost; audit records may not, so neither travels through the other.

use tracing_subscriber::EnvFilter;

/// Starts telemetry: JSON lines, at `info` unless `RUST_LOG` says otherwise.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second start (in tests) changes nothing.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
