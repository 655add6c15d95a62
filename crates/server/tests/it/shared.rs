//! What tests share: one demo, and the folder of test vectors.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::gateway::Gateway;

/// The demo of all tests that leave it as it is, or add to it what only they know.
pub(crate) fn demo() -> &'static Gateway {
    static DEMO: OnceLock<Gateway> = OnceLock::new();
    DEMO.get_or_init(|| Gateway::demo("shared", &[]).forever())
}

/// A folder that stands beside the repository, where it does.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CHARTGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(name);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}
