//! What must not compile: each program in `compile_fail` is refused, where it forges something and for what it forges.

#![expect(clippy::unwrap_used, reason = "a test, of which some parts stand outside test functions")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const FOLDER: &str = "tests/compile_fail";

#[test]
fn a_recorded_value_comes_from_the_commit_loop_alone() {
    let library = library();
    let sound = compile(&library, "allowed/recorded_is_looked_at");
    assert!(sound.status.success(), "what is sound compiles: {}", String::from_utf8_lossy(&sound.stderr));
    let refused = [
        // Fields that are private.
        ("checkpoint_without_signature", &["4:24: error[E0451]"][..]),
        ("recorded_made_by_hand", &["4:30: error[E0451]"]),
        // No clone of what it holds, and no default.
        ("recorded_made_anew", &["4:5: error[E0308]", "8:43: error[E0599]"]),
    ];
    for (case, errors) in refused {
        let output = compile(&library, case);
        let told = String::from_utf8(output.stderr).unwrap();
        let at = format!("{FOLDER}/{case}.rs:");
        let found: Vec<_> = told
            .lines()
            .filter_map(|line| line.strip_prefix(&at)?.split_inclusive(']').next())
            .filter(|line| line.contains(" error["))
            .collect();
        assert!(!output.status.success() && found == errors, "{case}: {told}");
    }
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)).unwrap();
    let programs =
        folder.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "rs"));
    assert_eq!(programs.count(), refused.len(), "each program is tried");
}

/// Compiles a program against the library, as far as its types.
fn compile(library: &Path, program: &str) -> Output {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let deps = format!("dependency={}", library.parent().unwrap().display());
    Command::new(rustc)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "--edition=2024",
            "--crate-type=bin",
            "--crate-name=program",
            "--emit=metadata",
            "--cap-lints=allow",
            "--error-format=short",
        ])
        .args(["-L", &deps, "--extern", &format!("chartgate_audit={}", library.display())])
        .arg("--out-dir")
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .arg(format!("{FOLDER}/{program}.rs"))
        .output()
        .unwrap()
}

/// The library as it was built for this test: the newest that lies beside it.
fn library() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let beside = std::fs::read_dir(this.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libchartgate_audit-") && name.ends_with(".rlib")
    };
    beside.filter(is_library).max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap()
}
