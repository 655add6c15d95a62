//! Whoever does not show who they are cannot fill the disk: a reserve is kept for everybody else.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Browser};
use crate::fakes::upstream::Upstream;
use crate::gateway::{Gateway, Person, Scratch};
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Call, Connection};

/// How long the gateway may take to notice.
const PATIENCE: Duration = Duration::from_secs(20);

fn route(upstream: &Upstream, reserve: &str) -> String {
    format!(
        "[audit]\nreserve = \"{reserve}\"\n[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\n\
         upstream = \"http://127.0.0.1:{}/api\"\n[[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{{id}}\"\n\
         scope = \"orders.read\"\n",
        upstream.port
    )
}

const APP: App<'static> = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };

/// Asks without a token until the answer has this status.
async fn stranger_until(connection: &mut Connection, status: u16) -> usize {
    let begun = Instant::now();
    for asked in 0.. {
        if connection.send(Call::get("/orders/1")).await.status == status {
            return asked;
        }
        assert!(begun.elapsed() < PATIENCE, "never {status}");
        // An address that fails too often would not be heard at all.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    0
}

fn throttled(gateway: &Gateway) -> Vec<Value> {
    let records = gateway.audit(&[]);
    records.into_iter().filter(|record| record["event"] == "access.throttled").collect()
}

#[tokio::test]
async fn while_the_reserve_is_touched_strangers_get_503_without_a_record_and_everybody_else_goes_on() {
    let upstream = Upstream::start().await;
    // No disk has so much.
    let gateway = serve_in(Scratch::new("reserve"), "", &route(&upstream, "100000000GiB"), SCOPE);
    let mut connection = Connection::open(&gateway).await;
    stranger_until(&mut connection, 503).await;
    // A revocation names its subject, though not what kind of actor that is.
    let strangers = |records: &[Value]| {
        records.iter().filter(|r| r["actor"]["kind"] == "anonymous" && r["actor"]["sub"].is_null()).count()
    };
    let before = strangers(
        &gateway.audit(&[]).into_iter().filter(|r| r["event"] != "access.throttled").collect::<Vec<_>>(),
    );
    let bea: Person = gateway.person("billing", &[]);

    // Sign-in, tokens, requests, their refusals and sign-out are recorded as ever.
    let tokens = APP.tokens(&gateway, &bea).await;
    let good = Call::get("/orders/17").bearer(&tokens.access);
    assert_eq!(connection.send(good.clone()).await.status, 200);
    assert_eq!(connection.send(Call::get("/orders/17/lines").bearer(&tokens.access)).await.status, 403);

    // Whoever shows nothing that is good is turned away everywhere where that would be a record.
    for (name, call) in [
        ("no token", Call::get("/orders/1")),
        ("bad token", Call::get("/orders/1").bearer("x")),
        ("ambiguous path", Call::get("/orders//1")),
        ("log", Call::get("/audit/checkpoint")),
        (
            "unknown client",
            Call::form("/token", &[("grant_type", "client_credentials")]).basic("nobody", "x"),
        ),
        ("no such code", APP.exchange_call("no-such-code")),
        ("no such token", APP.call("/revoke", &[("token", "no-such-token")])),
    ] {
        assert_eq!(connection.send(call).await.status, 503, "{name}");
    }
    let wrong = Person { name: bea.name.clone(), password: "a wrong password".to_owned() };
    assert_eq!(Browser::default().sign_in(&gateway, &wrong).await.status, 503);
    // What is revoked is revoked.
    let revoke = APP.call("/revoke", &[("token", &tokens.access)]);
    assert_eq!(connection.send(revoke).await.status, 200);
    assert_eq!(connection.send(good).await.status, 503, "and its bearer a stranger");

    let records = gateway.audit(&[]);
    let own: Vec<Value> = records.into_iter().filter(|r| r["event"] != "access.throttled").collect();
    assert_eq!(strangers(&own), before, "no record of its own for any stranger: {own:#?}");
    let of_bea: Vec<&str> = own
        .iter()
        .filter(|r| r["actor"]["sub"] == bea.name.as_str())
        .map(|r| r["event"].as_str().unwrap())
        .collect();
    for event in ["login", "token.issue", "access.intent", "access", "token.revoke"] {
        assert!(of_bea.contains(&event), "{event}: {of_bea:?}");
    }
    assert!(!of_bea.contains(&"login.failed"), "{of_bea:?}");
    let begun = Instant::now();
    while throttled(&gateway).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nobody tells of those who were turned away");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = throttled(&gateway);
    let [told] = &told[..] else { panic!("one record for all of them: {told:?}") };
    assert_eq!(told["decision"]["reason"], "disk-reserve");
    assert!(told["response"]["count"].as_u64().unwrap() >= 1);
    assert!(gateway.output().contains("the disk is almost full"));
}

/// A small disk, if we may make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(on: &Scratch) -> Option<Self> {
        let path = on.path().to_owned();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"]).arg(&path).status();
        mount.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        // It could not be removed while it was a disk.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_disk_that_fills_turns_strangers_away_until_there_is_room_again() {
    let scratch = Scratch::new("small-disk");
    let Some(_disk) = SmallDisk::mount(&scratch) else {
        println!("skipped: no disk can be mounted here");
        return;
    };
    let upstream = Upstream::start().await;
    let gateway = serve_in(scratch, "", &route(&upstream, "24MiB"), SCOPE);
    let bea = gateway.person("billing", &[]);
    let token = APP.tokens(&gateway, &bea).await.access;
    let good = Call::get("/orders/17").bearer(&token);
    let mut connection = Connection::open(&gateway).await;
    assert_eq!(connection.send(Call::get("/orders/1")).await.status, 401);
    assert_eq!(connection.send(good.clone()).await.status, 200);

    // Somebody else fills the disk, to less than the reserve and more than nothing.
    let ballast = gateway.scratch().path().join("ballast");
    let free = free_mib(&gateway);
    assert!(free > 30, "{free} MiB");
    let filled = Command::new("fallocate")
        .arg("-l")
        .arg(format!("{}MiB", free.saturating_sub(12)))
        .arg(&ballast)
        .status();
    assert!(filled.unwrap().success());
    stranger_until(&mut connection, 503).await;
    for _ in 0..20 {
        assert_eq!(connection.send(good.clone()).await.status, 200);
        assert_eq!(connection.send(Call::get("/orders/1")).await.status, 503);
    }
    std::fs::remove_file(&ballast).unwrap();
    stranger_until(&mut connection, 401).await;
    assert_eq!(connection.send(good).await.status, 200);
    assert!(gateway.command(&["audit", "verify"]).starts_with("verified: "));
}

/// What is free where a gateway has its folder.
fn free_mib(gateway: &Gateway) -> u64 {
    let folder = gateway.scratch().path();
    let said = Command::new("df").args(["--output=avail", "-BM"]).arg(folder).output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    text.lines().nth(1).unwrap().trim().trim_end_matches('M').parse().unwrap()
}
