//! The pages in a real Chromium, driven by `tests/chromium/pages.mjs` and `tests/chromium/approvals.mjs`.

use std::path::Path;
use std::process::Command;

use crate::browser::App;
use crate::mail::Post;
use crate::watching;
use crate::wire::Call;

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_hold_in_chromium_without_scripts_and_without_a_mouse() {
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
    // A demo of its own: it signs the demo's people in and fails to. With e-mail, and links by it.
    let Some(post) = Post::open("chromium", "\n[sign_in]\nrecovery = \"mail\"\n") else { return };
    let (_server, gateway) = (post.start(), &post.gateway);
    // Two findings, for the wide screen and the narrow one.
    let canary = gateway.patients().last().copied().unwrap().to_owned();
    for _ in 0..2 {
        let curious = gateway.person("physician", &[]);
        let token = App::public("openid user/*.rs").tokens(gateway, &curious).await.access;
        let asked = Call::get(&format!("/fhir/Patient/{canary}")).bearer(&token).to(gateway).await;
        assert_eq!(asked.status, 404);
    }
    watching::until_found(gateway, "canary", 2).await;
    let run = Command::new("node")
        .arg("pages.mjs")
        .arg(gateway.folder().join("ready.json"))
        .arg(env!("CARGO_BIN_EXE_chartgate"))
        .env("MAIL", &post.taken)
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    assert!(told.contains("33 page tests passed"), "{told}");
    // Two screens: what one asks is answered on the other.
    let run = Command::new("node")
        .arg("approvals.mjs")
        .arg(gateway.folder().join("ready.json"))
        .arg(env!("CARGO_BIN_EXE_chartgate"))
        .arg(gateway.folder())
        .current_dir(&folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}{}", String::from_utf8_lossy(&run.stderr));
    assert!(told.contains("5 approval tests passed"), "{told}");
}
