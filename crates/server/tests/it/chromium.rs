//! The pages in a real Chromium, driven by `tests/chromium/pages.mjs`.

use std::path::Path;
use std::process::Command;

use crate::gateway::Gateway;

#[test]
fn the_pages_hold_in_chromium_without_scripts_and_without_a_mouse() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chromium");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !Path::new(&chromium).exists() || !has("node") || !has("npm") {
        println!("skipped: needs chromium, node and npm; `make test` installs them");
        return;
    }
    let installed = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(installed.status.success(), "npm ci: {}", String::from_utf8_lossy(&installed.stderr));
    // A demo of its own: it signs the demo's people in and fails to.
    let gateway = Gateway::demo("chromium", &[]);
    let run = Command::new("node")
        .arg("pages.mjs")
        .arg(gateway.folder().join("ready.json"))
        .arg(env!("CARGO_BIN_EXE_chartgate"))
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    assert!(told.contains("15 page tests passed"), "{told}");
}
