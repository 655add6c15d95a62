//! Signing keys: planned, scheduled and emergency rotation, several algorithms, the master key.

use std::process::Command;
use std::time::Duration;

use rusqlite::Connection as Database;
use serde_json::Value;

use crate::browser::{App, Tokens, USER_SCOPE, part};
use crate::fakes::streaming::Streaming;
use crate::faults::until_recorded;
use crate::gateway::{Gateway, PROGRAM, chartgate};
use crate::routes::{SCOPE, serve_with};
use crate::streams::Open;
use crate::wire::Call;

/// Keys that sign.
fn list(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.command(&["key", "list", "--output", "json"]);
    let keys: Vec<Value> = serde_json::from_str(&text).unwrap();
    keys.into_iter().filter(|key| key["use"] == "sig").collect()
}

/// The keys of this phase, by name.
fn kids(gateway: &Gateway, phase: &str) -> Vec<String> {
    let keys = list(gateway);
    let of_phase = keys.iter().filter(|key| key["phase"] == phase);
    of_phase.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn published(gateway: &Gateway) -> Vec<String> {
    let answer = Call::get("/jwks").to(gateway).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    answer.json()["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["use"] == "sig")
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

fn own_patient(gateway: &Gateway, token: &str) -> Call {
    Call::get(&format!("/fhir/Patient/{}", gateway.panel("dana")[0])).bearer(token)
}

async fn danas(gateway: &Gateway) -> Tokens {
    App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await
}

fn database(gateway: &Gateway) -> Database {
    Database::open(gateway.folder().join("data/chartgate.db")).unwrap()
}

/// Has all keys of a gateway that does not run be so many days older.
fn age(gateway: &Gateway, days: i64) {
    let text = "UPDATE keys SET published_at = published_at - ?1 * 86400000000, \
                active_at = active_at - ?1 * 86400000000";
    assert!(database(gateway).execute(text, [days]).unwrap() > 0);
}

#[tokio::test]
async fn a_planned_rotation_waits_until_every_cache_has_the_next_key_and_old_tokens_stay_good() {
    let mut gateway = Gateway::demo("keys", &[]);
    let before = published(&gateway).await;
    let [former, next] = [kids(&gateway, "signing"), kids(&gateway, "next")];
    assert_eq!(before, [&former[..], &next[..]].concat());
    let old = danas(&gateway).await;
    assert_eq!(kid(&old.access), former[0]);

    let early = gateway.try_command(&["key", "rotate"]);
    assert!(!early.success && early.err.contains("--now"), "{early:?}");
    assert_eq!(published(&gateway).await, before, "nothing changed");

    gateway.terminate();
    age(&gateway, 1);
    gateway.start();
    gateway.command(&["key", "rotate"]);
    let new = danas(&gateway).await;
    assert_eq!(kid(&new.access), next[0], "every client could know it already");
    assert_eq!(kids(&gateway, "retired"), former);
    let after = published(&gateway).await;
    assert_eq!((&after[0], &after[2]), (&next[0], &former[0]), "the one that signs comes first");
    for tokens in [&old, &new] {
        assert_eq!(own_patient(&gateway, &tokens.access).to(&gateway).await.status, 200);
    }
    let halves = "SELECT private_key IS NULL FROM keys WHERE kid = ?1";
    let is_gone: bool = database(&gateway).query_row(halves, [&former[0]], |row| row.get(0)).unwrap();
    assert!(is_gone, "what signs no more has no private half any more");

    // At once again: the new next key is known to nobody, and whoever says so goes on.
    assert!(!gateway.try_command(&["key", "rotate"]).success);
    gateway.command(&["key", "rotate", "--now"]);
    assert_eq!(kids(&gateway, "signing"), after[1..2]);
    let records = until_recorded(&gateway, "key.rotate", 2).await;
    let rotated = records.iter().find(|record| record["resource"] == former[0].as_str()).unwrap();
    assert!(rotated.to_string().contains(&next[0]), "{rotated}");

    // When nothing of it can be good any more it is forgotten.
    gateway.terminate();
    let text = "UPDATE keys SET retired_at = retired_at - 3660000001 WHERE kid = ?1";
    assert_eq!(database(&gateway).execute(text, [&former[0]]).unwrap(), 1);
    gateway.start();
    let begun = std::time::Instant::now();
    while published(&gateway).await.contains(&former[0]) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_key_that_has_signed_for_long_enough_gives_way_by_itself() {
    let mut gateway = Gateway::demo("scheduled-keys", &[]);
    let next = kids(&gateway, "next");
    gateway.terminate();
    age(&gateway, 89);
    gateway.start();
    let tokens = danas(&gateway).await;
    assert_eq!(gateway.audit(&[]).iter().filter(|record| record["event"] == "key.rotate").count(), 0);
    gateway.terminate();
    age(&gateway, 2);
    gateway.start();
    let records = until_recorded(&gateway, "key.rotate", 1).await;
    assert_eq!(records[0]["actor"]["kind"], "local");
    let begun = std::time::Instant::now();
    while kids(&gateway, "signing") != next {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", list(&gateway));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(own_patient(&gateway, &tokens.access).to(&gateway).await.status, 200);
    // One that would be due but whose next nobody has seen waits.
    gateway.terminate();
    let text = "UPDATE keys SET active_at = active_at - 8640000000000 WHERE active_at IS NOT NULL";
    database(&gateway).execute(text, []).unwrap();
    gateway.start();
    danas(&gateway).await;
    assert_eq!(kids(&gateway, "signing"), next);
}

#[tokio::test]
async fn an_emergency_ends_every_token_of_the_key_at_once_also_where_it_was_proved_before() {
    let gateway = Gateway::demo("emergency", &[]);
    let (former, next) = (kids(&gateway, "signing"), kids(&gateway, "next"));
    let old = danas(&gateway).await;
    let mut open = crate::wire::Connection::open(&gateway).await;
    for _ in 0..2 {
        assert_eq!(open.send(own_patient(&gateway, &old.access)).await.status, 200);
    }
    gateway.command(&["key", "rotate", "--emergency"]);
    assert_eq!(open.send(own_patient(&gateway, &old.access)).await.status, 401);
    let userinfo = Call::get("/userinfo").bearer(&old.access);
    assert_eq!(userinfo.to(&gateway).await.status, 401);
    let jwks = published(&gateway).await;
    assert!(!jwks.contains(&former[0]) && jwks.len() == 2, "{jwks:?}");
    let new = danas(&gateway).await;
    assert_eq!(kid(&new.access), next[0], "the next key signs, which was published before");
    assert_eq!(own_patient(&gateway, &new.access).to(&gateway).await.status, 200);
    assert_eq!(kids(&gateway, "compromised"), former);
    let refreshed = App::public(USER_SCOPE).refresh_call(old.refresh()).to(&gateway).await;
    assert_eq!(refreshed.status, 200, "what is kept as a digest was signed by nobody");

    // A retired key can be found to be known to others as well, and a next one.
    gateway.command(&["key", "rotate", "--now"]);
    let (retired, waiting) = (kids(&gateway, "retired"), kids(&gateway, "next"));
    assert_eq!(own_patient(&gateway, &new.access).to(&gateway).await.status, 200);
    for kid in [&retired[0], &waiting[0]] {
        gateway.command(&["key", "rotate", "--emergency", kid]);
        assert!(!published(&gateway).await.contains(kid));
        let again = gateway.try_command(&["key", "rotate", "--emergency", kid]);
        assert!(!again.success && again.err.contains(kid.as_str()), "{again:?}");
    }
    assert_eq!(own_patient(&gateway, &new.access).to(&gateway).await.status, 401);
    assert_eq!((kids(&gateway, "signing").len(), kids(&gateway, "next").len()), (1, 1));
    let records = until_recorded(&gateway, "key.compromise", 3).await;
    let named: Vec<&str> = records.iter().map(|record| record["resource"].as_str().unwrap()).collect();
    assert_eq!(named, [&former[0], &retired[0], &waiting[0]]);
}

#[tokio::test]
async fn an_emergency_ends_open_streams() {
    let upstream = Streaming::start().await;
    let gateway = serve_with("emergency-streams", upstream.port, "", "");
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let tokens = app.tokens(&gateway, &gateway.person("billing", &[])).await;
    let mut reading = Open::new(&gateway, &tokens.access, "/orders/events").await;
    gateway.command(&["key", "rotate", "--emergency"]);
    reading.until_broken_off().await;
    let ends = until_recorded(&gateway, "access.end", 1).await;
    assert_eq!(ends[0]["decision"]["reason"], "revoked-key");
}

#[tokio::test]
async fn killed_while_keys_change_there_is_one_that_signs_and_one_that_follows() {
    let mut gateway = Gateway::demo("killed-keys", &[]);
    let mut condemned = Vec::new();
    for round in 0..8_u64 {
        let old = danas(&gateway).await;
        let how = if round % 2 == 0 { "--now" } else { "--emergency" };
        let mut command = Command::new(PROGRAM);
        command.args(["--config", gateway.config(), "key", "rotate", how]);
        let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
        let mut child = child.unwrap();
        // From before the command is heard until after it is answered.
        tokio::time::sleep(Duration::from_millis(round * 12)).await;
        gateway.kill();
        let answered = child.wait().unwrap().success();
        gateway.start();
        let keys = list(&gateway);
        let of = |phase: &str| keys.iter().filter(|key| key["phase"] == phase).count();
        assert_eq!((of("signing"), of("next")), (1, 1), "round {round}: {keys:?}");
        let is_condemned = kids(&gateway, "compromised").contains(&kid(&old.access));
        if answered && how == "--emergency" {
            assert!(is_condemned, "round {round}: answered, and not done");
        }
        let status = own_patient(&gateway, &old.access).to(&gateway).await.status;
        assert_eq!(status, if is_condemned { 401 } else { 200 }, "round {round}");
        condemned.extend(is_condemned.then(|| kid(&old.access)));
        let jwks = published(&gateway).await;
        assert!(condemned.iter().all(|kid| !jwks.contains(kid)), "round {round}: {jwks:?}");
        let new = danas(&gateway).await;
        assert_eq!(own_patient(&gateway, &new.access).to(&gateway).await.status, 200, "round {round}");
    }
}

#[tokio::test]
async fn each_client_gets_the_algorithm_that_it_asks_for_and_each_has_its_own_next_key() {
    let mut gateway = Gateway::demo("algorithms", &[]);
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    assert!(text.contains("[tls]") && !text.contains("[tokens]"));
    let tokens = "[tokens]\nadditional_algorithms = [\"EdDSA\"]\n[tls]";
    std::fs::write(gateway.config(), text.replace("[tls]", tokens)).unwrap();
    gateway.terminate();
    gateway.start();
    let words =
        ["client", "add", "modern", "--kind", "public", "--redirect-uri", "http://127.0.0.1/callback"];
    let options = ["--scope", USER_SCOPE, "--id-token-signed-response-alg"];
    let words = [&words[..], &options].concat();
    for refused in ["RS384", "HS256", "none"] {
        let refused = gateway.try_command(&[&words[..], &[refused]].concat());
        assert!(!refused.success, "{refused:?}");
    }
    gateway.command(&[&words[..], &["ES256"]].concat());
    let phases = |algorithm: &str| {
        let mut phases: Vec<String> = list(&gateway)
            .iter()
            .filter(|key| key["algorithm"] == algorithm)
            .map(|key| key["phase"].as_str().unwrap().to_owned())
            .collect();
        phases.sort_unstable();
        phases
    };
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        assert_eq!(phases(algorithm), ["next", "signing"], "{algorithm}");
    }
    let metadata = Call::get("/.well-known/openid-configuration").to(&gateway).await.json();
    assert_eq!(
        metadata["id_token_signing_alg_values_supported"],
        serde_json::json!(["RS256", "ES256", "EdDSA"])
    );
    let modern = App { client: "modern", ..App::public(USER_SCOPE) };
    let dana = gateway.demo_person("dana");
    let tokens = modern.tokens(&gateway, &dana).await;
    let id_token = tokens.answer["id_token"].as_str().unwrap().to_owned();
    assert_eq!(
        (&part(&id_token, 0)["alg"], &part(&tokens.access, 0)["alg"]),
        (&"ES256".into(), &"RS256".into())
    );
    let others = danas(&gateway).await;
    assert_eq!(part(others.answer["id_token"].as_str().unwrap(), 0)["alg"], "RS256");
    gateway.command(&["key", "rotate", "--now"]);
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        assert_eq!(phases(algorithm), ["next", "retired", "signing"], "{algorithm}");
    }
    // An emergency of one key is none of the others'.
    gateway.command(&["key", "rotate", "--emergency", &kid(&id_token)]);
    assert_eq!(phases("ES256"), ["compromised", "next", "signing"]);
    assert_eq!(phases("RS256"), ["next", "retired", "signing"]);
    assert_eq!(own_patient(&gateway, &tokens.access).to(&gateway).await.status, 200);
    // The algorithm lasts as long as somebody asks for it.
    gateway.command(&["client", "remove", "modern"]);
    gateway.terminate();
    gateway.start();
    let keys = list(&gateway);
    let signs = |algorithm| keys.iter().any(|key| key["algorithm"] == algorithm && key["phase"] == "signing");
    assert!(!signs("ES256") && signs("RS256") && signs("EdDSA"));
}

#[tokio::test]
async fn the_master_key_comes_from_a_file_the_environment_or_a_program_and_another_one_opens_nothing() {
    let mut gateway = Gateway::demo("master", &[]);
    let token = danas(&gateway).await.access;
    gateway.terminate();
    let own = gateway.folder().join("data/master.key");
    let elsewhere = gateway.folder().join("kept-apart");
    std::fs::rename(&own, &elsewhere).unwrap();
    let list = |master: &str, variable: Option<&str>| {
        let text = std::fs::read_to_string(gateway.config()).unwrap();
        let file = gateway.scratch().write("demo/other.toml", format!("{text}\n[keys]\nmaster = {master}\n"));
        let mut command = Command::new(PROGRAM);
        command.args(["key", "list", "--config", file.to_str().unwrap()]);
        if let Some(value) = variable {
            command.env("MASTER", value);
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let key = std::fs::read_to_string(&elsewhere).unwrap();
    let program = format!("{{ command = [\"cat\", \"{}\"] }}", elsewhere.display());
    assert!(list("{ file = \"kept-apart\" }", None).0);
    assert!(list("{ env = \"MASTER\" }", Some(&key)).0);
    assert!(list(&program, None).0);
    let other = "00".repeat(32);
    for (master, variable, says) in [
        ("{ env = \"MASTER\" }", None, "MASTER"),
        ("{ env = \"MASTER\" }", Some(other.as_str()), "does not open under this master key"),
        ("{ env = \"MASTER\" }", Some("abc"), "64 hexadecimal digits"),
        ("{ command = [\"false\"] }", None, "`false`"),
        ("{ command = [] }", None, "exactly one"),
        ("{ file = \"kept-apart\", env = \"MASTER\" }", Some(&key), "exactly one"),
        ("{ file = \"chartgate.toml\" }", None, "can be read by others"),
    ] {
        let (success, said) = list(master, variable);
        assert!(!success && said.contains(says), "{master}: {said}");
        assert!(!said.contains(key.trim()), "{said}");
    }
    let without = chartgate(&["key", "list", "--config", gateway.config()]);
    assert!(!without.success && without.err.contains("master.key"), "{without:?}");
    std::fs::rename(&elsewhere, &own).unwrap();
    gateway.start();
    assert_eq!(own_patient(&gateway, &token).to(&gateway).await.status, 200);
}
