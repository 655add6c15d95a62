//! Signing in with an account at an identity provider: row A10 of the corpus. The providers are oidc-provider, from npm, over
//! TLS; the people are `tests/providers/people.mjs`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::faults::until_recorded;
use crate::gateway::{Gateway, PROGRAM, free_ports};
use crate::outside_clients::{has, succeed};
use crate::wire::Call;

/// A provider that runs until this goes, with what it says: it ends where nobody hears it.
pub(crate) struct Running(Child, #[expect(dead_code, reason = "held open")] Lines<BufReader<ChildStdout>>);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/providers")
}

/// Installs what providers and people are made of, once: two at a time would be in each other's way. Whether it could be.
pub(crate) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let is_there = ["node", "npm"].iter().all(|program| has(program, &["--version"]));
        if is_there {
            let words = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
            succeed(Command::new("npm").args(words).current_dir(folder()));
        } else {
            println!("skipped: needs node and npm; `make test` installs them");
        }
        is_there
    })
}

/// Starts a provider, and waits until it listens.
pub(crate) fn provider(
    gateway: &Gateway,
    (name, port): (&str, u16),
    secret_method: &str,
    groups: &Path,
) -> Running {
    let tls = gateway.config().strip_suffix("chartgate.toml").unwrap().to_owned() + "tls/";
    let config = json!({
        "port": port,
        "tls": { "cert": format!("{tls}cert.pem"), "key": format!("{tls}key.pem") },
        "gateway_of_it": format!("{}/login/with/{name}", gateway.issuer),
        "groups": groups,
        "secret_method": secret_method,
        "never_says_when": name == "clinic",
        "names_sessions": name == "campus",
    });
    let config = gateway.scratch().write(&format!("{name}.json"), config.to_string());
    let mut child = Command::new("node")
        .arg(folder().join("provider.mjs"))
        .arg(config)
        .env("NODE_EXTRA_CA_CERTS", gateway.ca_file())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(told.next().unwrap().unwrap(), "ready");
    Running(child, told)
}

/// Puts both providers into the configuration, and waits until the sign-in page offers them.
pub(crate) async fn configure(gateway: &Gateway, [clinic, campus]: [u16; 2]) {
    let common = "client_id = \"chartgate\"\nclient_secret = \"a secret with : and / in it\"\nca = \"tls/ca.pem\"\n\
                  scopes = [\"openid\", \"profile\"]\n";
    let tables = format!(
        "\n[[identity_provider]]\nname = \"clinic\"\ntitle = \"Clinic account\"\nissuer = \"https://127.0.0.1:{clinic}\"\n\
         {common}\
         [[identity_provider]]\nname = \"campus\"\ntitle = \"Campus account\"\nissuer = \"https://127.0.0.1:{campus}\"\n\
         {common}two_factors = {{ acr = [\"https://login.example/two-factors\"] }}\n\
         groups = \"groups\"\nroles = {{ Clinicians = \"physician\" }}\nadd_newcomers = true\n"
    );
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), text + &tables).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while !Call::get("/login").to(gateway).await.text().contains("Continue with Campus account") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_people_of_a_provider_that_nobody_here_wrote_sign_in_as_who_they_are_and_nobody_else() {
    if !install() {
        return;
    }
    let gateway = Gateway::demo("identity-providers", &[]);
    let groups = gateway.scratch().write("groups.json", "{}");
    let ports: [u16; 2] = free_ports();
    let _clinic = provider(&gateway, ("clinic", ports[0]), "client_secret_basic", &groups);
    let _campus = provider(&gateway, ("campus", ports[1]), "client_secret_post", &groups);
    configure(&gateway, ports).await;
    let refresh_token = gateway.scratch().path().join("refresh-token");
    let config = json!({ "groups": groups, "refresh_token": refresh_token });
    let config = gateway.scratch().write("people.json", config.to_string());
    let people = Command::new("node")
        .arg(folder().join("people.mjs"))
        .arg(gateway.scratch().path().join("ready.json"))
        .arg(PROGRAM)
        .arg(config)
        .env("NODE_EXTRA_CA_CERTS", gateway.ca_file())
        .output()
        .unwrap();
    let (told, wrong) = (String::from_utf8(people.stdout).unwrap(), String::from_utf8_lossy(&people.stderr));
    assert!(people.status.success(), "{told}{wrong}\n{}", gateway.output());
    let script = include_str!("../providers/people.mjs");
    let promised: BTreeSet<&str> =
        script.lines().filter_map(|line| line.trim().strip_prefix("ok(\"")?.strip_suffix("\");")).collect();
    let kept: BTreeSet<&str> = told.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    assert_eq!((kept.len(), &kept), (12, &promised));
    what_is_on_record(&gateway);
    without_the_clinic(&gateway, &std::fs::read_to_string(refresh_token).unwrap()).await;
}

/// Who it was, by which account, and why not.
fn what_is_on_record(gateway: &Gateway) {
    let reasons = |record: &Value| record["decision"]["reason"].as_str().unwrap_or_default().to_owned();
    let failed: BTreeSet<String> = gateway.audit(&["--event", "login.failed"]).iter().map(reasons).collect();
    for reason in [
        "account-unlinked",
        "account-of-another",
        "user-disabled",
        "name-taken",
        "provider-mixed-up",
        "provider-refused",
        "provider-failed",
        "provider-no-auth-time",
    ] {
        assert!(failed.contains(reason), "{reason}: {failed:?}");
    }
    let unlinked = gateway.audit(&["--event", "login.failed"]);
    let unlinked = unlinked.iter().find(|record| reasons(record) == "account-unlinked").unwrap();
    assert_eq!(unlinked["detail"]["provider_subject"], "d-4711", "so that an administrator can link it");
    let logins = gateway.audit(&["--event", "login"]);
    let strong = logins.iter().find(|record| record["acr"] == "https://refeds.org/profile/mfa").unwrap();
    assert_eq!((&strong["amr"], &strong["detail"]["provider"]), (&json!(["mfa"]), &json!("campus")));
    assert!(logins.iter().all(|record| record["detail"]["provider"].is_string()), "nobody had a password");
    let made_up = logins.iter().find(|record| record["detail"]["factor"] == "authenticator-app").unwrap();
    assert_eq!(made_up["amr"], json!(["otp", "mfa"]), "and no record says that somebody had");
    let written = gateway.output();
    for secret in ["a secret with", "d-4711", "made-up"] {
        assert!(!written.contains(secret), "{secret}: {written}");
    }
}

/// A provider that is taken out of the configuration: what it vouched for ends, and nothing else does.
async fn without_the_clinic(gateway: &Gateway, refresh_token: &str) {
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    let open = |of: &str| -> i64 {
        let text = "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND issuer LIKE ?1";
        database.query_row(text, [of], |row| row.get(0)).unwrap()
    };
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let (before, after) = text.split_once("[[identity_provider]]\nname = \"clinic\"").unwrap();
    let (table, rest) = after.split_once("[[identity_provider]]").unwrap();
    let clinic = table.split("issuer = \"").nth(1).unwrap().split('"').next().unwrap();
    let others = open("https://%").saturating_sub(open(clinic));
    assert!(open(clinic) > 0 && others > 0);
    std::fs::write(gateway.config(), format!("{before}[[identity_provider]]{rest}")).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while open(clinic) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(open("https://%"), others);
    // What was kept while away ends as well.
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", "demo-app")];
    let refused = Call::form("/token", &fields).to(gateway).await;
    assert_eq!((refused.status, refused.error()), (400, "invalid_grant".to_owned()));
    for event in ["session.end", "token.revoke"] {
        until_recorded(gateway, event, 1).await;
        let ended = gateway.audit(&["--event", event, "--reason", "provider-removed"]);
        assert!(ended.iter().any(|record| record["detail"]["user"] == "dana"), "{event}: {ended:?}");
    }
}
