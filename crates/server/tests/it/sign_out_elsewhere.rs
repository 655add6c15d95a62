//! Signing out at the identity provider that somebody came by, and being signed out from there: rows A10, O33 and J19 of the corpus.
//! The providers are oidc-provider, from npm, over TLS; the people are `tests/providers/leavers.mjs`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::faults::until_recorded;
use crate::gateway::{Gateway, PROGRAM, free_ports};
use crate::identity_providers::{configure, folder, install, provider};

/// One part of what people do, with what it waits for.
fn part(gateway: &Gateway, config: &Path, part: &str) -> Child {
    Command::new("node")
        .arg(folder().join("leavers.mjs"))
        .arg(gateway.scratch().path().join("ready.json"))
        .arg(PROGRAM)
        .args([config.as_os_str(), part.as_ref()])
        .env("NODE_EXTRA_CA_CERTS", gateway.ca_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What went as it should.
fn went_well(gateway: &Gateway, people: Child) -> BTreeSet<String> {
    let people = people.wait_with_output().unwrap();
    let (told, wrong) = (String::from_utf8(people.stdout).unwrap(), String::from_utf8_lossy(&people.stderr));
    assert!(people.status.success(), "{told}{wrong}\n{}", gateway.output());
    told.lines().filter_map(|line| line.strip_prefix("ok ")).map(str::to_owned).collect()
}

/// Puts another configuration in force.
async fn change(gateway: &Gateway, from: &str, to: &str) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(gateway.config(), text.replace(from, to)).unwrap();
    hang_up(gateway).await;
}

async fn hang_up(gateway: &Gateway) {
    let before = gateway.audit(&["--event", "config.reload"]).len();
    gateway.hang_up();
    until_recorded(gateway, "config.reload", before.saturating_add(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_whoever_signs_out_here_or_where_they_came_from_is_signed_out_there_and_here() {
    if !install() {
        return;
    }
    let gateway = Gateway::demo("sign-out-elsewhere", &[]);
    let groups = gateway.scratch().write("groups.json", "{}");
    let ports: [u16; 2] = free_ports();
    let clinic = provider(&gateway, ("clinic", ports[0]), "client_secret_basic", &groups);
    let _campus = provider(&gateway, ("campus", ports[1]), "client_secret_post", &groups);
    configure(&gateway, ports).await;
    let [at_clinic, at_campus] = ports.map(|port| format!("https://127.0.0.1:{port}"));
    let config = json!({ "groups": groups, "clinic": at_clinic, "campus": at_campus });
    let config = gateway.scratch().write("leavers.json", config.to_string());
    let mut kept = BTreeSet::new();
    for one in ["always", "told", "forged"] {
        kept.extend(went_well(&gateway, part(&gateway, &config, one)));
    }
    change(&gateway, "name = \"clinic\"\n", "name = \"clinic\"\nsign_out = \"offered\"\n").await;
    kept.extend(went_well(&gateway, part(&gateway, &config, "offered")));
    change(&gateway, "sign_out = \"offered\"", "sign_out = \"never\"").await;
    kept.extend(went_well(&gateway, part(&gateway, &config, "never")));
    change(&gateway, "sign_out = \"never\"", "sign_out = \"always\"").await;
    let mut people = part(&gateway, &config, "down");
    let mut told = BufReader::new(people.stdout.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert_eq!(line, "waits\n", "{}", gateway.output());
    drop(clinic);
    hang_up(&gateway).await;
    people.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    kept.extend(went_well(&gateway, people));
    kept.extend(rest.lines().filter_map(|line| line.strip_prefix("ok ")).map(str::to_owned));
    let script = include_str!("../providers/leavers.mjs");
    let promised: BTreeSet<String> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ok(\"")?.strip_suffix("\");"))
        .map(str::to_owned)
        .collect();
    assert_eq!((kept.len(), &kept), (10, &promised));
    what_is_on_record(&gateway);
}

/// Who ended what, and what was not heard.
fn what_is_on_record(gateway: &Gateway) {
    let reasons = |records: &[Value]| -> BTreeSet<String> {
        let reason = |record: &Value| record["decision"]["reason"].as_str().unwrap_or_default().to_owned();
        records.iter().map(reason).collect()
    };
    let ended = gateway.audit(&["--event", "session.end", "--reason", "signed-out-there"]);
    assert!(ended.iter().all(|record| record["detail"]["user"] == "dana" && record["outcome"] == "allow"));
    let by = |provider: &str| ended.iter().filter(|record| record["detail"]["provider"] == provider).count();
    // The clinic: both sessions at once, and those of the three tokens that counted; of the campus the one.
    assert!(by("clinic") >= 4 && by("campus") >= 1, "{ended:?}");
    let outs = gateway.audit(&["--event", "logout"]);
    let (refused, heard): (Vec<Value>, Vec<Value>) =
        outs.into_iter().partition(|record| record["outcome"] == "deny");
    let refused = reasons(&refused);
    for reason in [
        "no-logout-token",
        "logout-token-replayed",
        "unknown-kid",
        "bad-signature",
        "alg-not-allowed",
        "iss",
        "aud",
        "typ",
        "nonce",
        "missing-claim",
        "expired",
        "not-yet",
    ] {
        assert!(refused.contains(reason), "{reason}: {refused:?}");
    }
    assert!(reasons(&heard).contains("no-session"));
    let written = gateway.output();
    for secret in ["a secret with", "d-4711", "id_token_hint", "eyJ"] {
        assert!(!written.contains(secret), "{secret}: {written}");
    }
}
