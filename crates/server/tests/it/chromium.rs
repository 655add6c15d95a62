//! The pages in a real Chromium, driven by `tests/chromium/pages.mjs` and `tests/chromium/approvals.mjs`.

use std::fmt;
use std::path::Path;
use std::process::Command;

use crate::browser::App;
use crate::mail::Post;
use crate::watching;
use crate::wire::Call;

/// What the script told that did not pass, as it told it: a failure's last words, with no trace of ours behind them.
struct Told(String);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_hold_in_chromium_without_scripts_and_without_a_mouse() -> Result<(), Told> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chromium");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !Path::new(&chromium).exists() || !has("node") || !has("npm") {
        println!("skipped: needs chromium, node and npm; `make test` installs them");
        return Ok(());
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    passes(install.current_dir(&folder), "")?;
    // A demo of its own: it signs the demo's people in and fails to. With e-mail, and links by it.
    let Some(post) = Post::open("chromium", "\n[sign_in]\nrecovery = \"mail\"\n") else { return Ok(()) };
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
    let script = |name: &str| {
        let mut node = Command::new("node");
        node.arg(name).arg(gateway.folder().join("ready.json")).arg(env!("CARGO_BIN_EXE_chartgate"));
        node.current_dir(&folder);
        node
    };
    passes(script("pages.mjs").env("MAIL", &post.taken), "33 page tests passed\n")?;
    // Two screens: what one asks is answered on the other.
    passes(script("approvals.mjs").arg(gateway.folder()), "5 approval tests passed\n")
}

/// Runs it to its end, which is good, and said with these words.
fn passes(command: &mut Command, last: &str) -> Result<(), Told> {
    let run = command.output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    if run.status.success() && told.ends_with(last) {
        return Ok(());
    }
    Err(Told(format!("{}, {command:?} told:\n{told}{}", run.status, String::from_utf8_lossy(&run.stderr))))
}
