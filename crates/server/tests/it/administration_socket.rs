//! The data folder's lock and its administration socket, where more than one wants to work on it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::gateway::{Gateway, PROGRAM, Scratch, chartgate, free_ports};
use crate::routes::serve_routes;
use crate::shared;
use crate::wire::{fresh_address, tls};

/// A command that is being carried out.
struct Given(Child);

impl Given {
    fn to(config: &Path, words: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(config).args(words).stdin(Stdio::null());
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Its end, which has to come.
    fn ended(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(60) {
                let _ = self.0.kill();
                let _ = self.0.wait();
                panic!("it waits for ever");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let Output { status, stderr, .. } = self.0.wait_with_output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }
}

/// What `init` makes, where nothing runs.
fn installation(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    let [https] = free_ports();
    let issuer = format!("https://localhost:{https}");
    let made = chartgate(&["init", "--dir", scratch.path().to_str().unwrap(), "--issuer", &issuer]);
    assert!(made.success, "{made:?}");
    scratch
}

/// Takes the data folder, as a gateway or a command does.
fn hold(folder: &Path) -> File {
    let lock =
        File::options().write(true).create(true).truncate(false).open(folder.join("data/lock")).unwrap();
    lock.try_lock().unwrap();
    lock
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: it took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_command_that_nobody_hears_fails_and_does_not_wait_for_ever() {
    let scratch = installation("nobody-hears");
    let config = scratch.path().join("chartgate.toml");
    let lock = hold(scratch.path());
    let (code, said) = Given::to(&config, &["user", "list"]).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use, but its administration socket does not answer"), "{said}");
    // Somebody listens, and never says a word.
    let socket = UnixListener::bind(scratch.path().join("data/admin.sock")).unwrap();
    let (code, said) = Given::to(&config, &["user", "list"]).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not answer"), "{said}");
    // Or is another program: it is not told the command at all.
    let other = std::thread::spawn(move || {
        let _silent = socket.accept().unwrap();
        let (mut stream, _) = socket.accept().unwrap();
        stream.write_all(b"{\"version\":\"0.0.0-other\"}\n").unwrap();
        let mut heard = String::new();
        BufReader::new(stream).read_line(&mut heard).unwrap();
        heard
    });
    let (code, said) = Given::to(&config, &["user", "list"]).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("0.0.0-other") && said.contains("restart the gateway"), "{said}");
    assert_eq!(other.join().unwrap(), "");
    drop(lock);
    assert_eq!(Given::to(&config, &["user", "list"]).ended().0, Some(0));
}

#[test]
fn a_gateway_does_not_carry_out_what_a_program_says_that_waits_for_no_greeting() {
    let gateway = shared::demo();
    let mut stream = UnixStream::connect(gateway.folder().join("data/admin.sock")).unwrap();
    stream.write_all(b"{\"user_add\":{\"name\":\"bare-command\",\"roles\":[]}}\n").unwrap();
    let lines: Vec<Value> =
        BufReader::new(stream).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(lines[0]["version"].is_string(), "{lines:?}");
    assert!(lines[1]["failed"].as_str().unwrap().contains("does not understand"), "{lines:?}");
    assert!(!gateway.try_command(&["user", "show", "bare-command"]).success);
}

#[test]
fn a_command_and_a_gateway_wait_for_a_command_that_works_on_the_folder_alone() {
    let scratch = installation("short-command");
    let config = scratch.path().join("chartgate.toml");
    let lock = hold(scratch.path());
    let given = Given::to(&config, &["user", "list"]);
    std::thread::sleep(Duration::from_secs(1));
    drop(lock);
    let (code, said) = given.ended();
    assert_eq!(code, Some(0), "{said}");

    let lock = hold(scratch.path());
    let output = scratch.path().join("output");
    let other = std::thread::spawn(move || {
        let waits = || std::fs::read_to_string(&output).unwrap_or_default().contains("is in use");
        until("it waits", waits);
        drop(lock);
    });
    let text = std::fs::read_to_string(&config).unwrap();
    let issuer = text.lines().find_map(|line| line.strip_prefix("issuer   = \"")).unwrap();
    let issuer = issuer.split('"').next().unwrap().to_owned();
    let [metrics] = free_ports();
    std::fs::write(&config, text.replace("127.0.0.1:9464", &format!("127.0.0.1:{metrics}"))).unwrap();
    let gateway = Gateway::serve(scratch, &issuer);
    other.join().unwrap();
    // Another gateway is no command that ends soon.
    let second = gateway.try_command(&["serve"]);
    assert!(second.code == Some(1) && second.err.contains("in use by another process"), "{second:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_gateway_drains_people_can_be_shut_out_and_what_is_under_way_is_recorded_before_it_ends() {
    let mut gateway = serve_routes("drains", "", "", "openid");
    let [one, other] = [gateway.person("nurse", &[]), gateway.person("nurse", &[])];
    // A request that does not come to its end, and a command that waits for the store.
    let mut slow = tls(&gateway, fresh_address(), &[b"http/1.1"]).await.unwrap();
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: 100\r\n\r\ngrant",
        gateway.port
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.flush().await.unwrap();
    let file = gateway.scratch().write("ward.csv", format!("{},pt-1\n", one.name));
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let words = ["care", "import", "--source", "ward", file.to_str().unwrap()];
    let import = Given::to(Path::new(gateway.config()), &words);
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-TERM", gateway.pid()]).status().unwrap().success());
    until("it drains", || gateway.output().contains("draining"));
    database.execute_batch("ROLLBACK").unwrap();
    gateway.command(&["user", "disable", &other.name]);
    let (code, said) = import.ended();
    assert_eq!(code, Some(0), "{said}");
    drop(slow);
    gateway.terminate();
    assert!(gateway.command(&["care", "list", &one.name]).contains("pt-1"));
    let told: Vec<String> = gateway
        .audit(&[])
        .iter()
        .filter_map(|record| match record["event"].as_str().unwrap() {
            "care.change" => record["detail"]["change"].as_str().map(str::to_owned),
            event @ ("user.disable" | "gateway.stop") => Some(event.to_owned()),
            _ => None,
        })
        .collect();
    let place =
        |what: &str| told.iter().position(|told| told == what).unwrap_or_else(|| panic!("{what}: {told:?}"));
    assert!(place("imported") < place("gateway.stop"), "{told:?}");
    assert!(place("user.disable") < place("gateway.stop"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_came_by_the_time_a_gateway_ends_is_recorded_before_its_end() {
    let mut gateway = serve_routes("ends", "", "", "openid");
    let person = gateway.person("nurse", &[]);
    let file = gateway.scratch().write("ward.csv", format!("{},pt-1\n", person.name));
    let database = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let words = ["care", "import", "--source", "ward", file.to_str().unwrap()];
    let import = Given::to(Path::new(gateway.config()), &words);
    std::thread::sleep(Duration::from_secs(1));
    assert!(Command::new("kill").args(["-TERM", gateway.pid()]).status().unwrap().success());
    until("it drains", || gateway.output().contains("draining"));
    std::thread::sleep(Duration::from_millis(500));
    database.execute_batch("ROLLBACK").unwrap();
    drop(database);
    let (code, said) = import.ended();
    assert_eq!(code, Some(0), "{said}");
    gateway.terminate();
    let changes = gateway.audit(&["--event", "care.change"]);
    let changes: Vec<&str> = changes.iter().map(|r| r["detail"]["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["import", "add", "imported"]);
    assert!(gateway.command(&["care", "list", &person.name]).contains("pt-1"));
}

#[test]
fn a_command_that_is_too_long_for_the_socket_says_so() {
    let gateway = shared::demo();
    // Names of a trusted issuer's people are long, so that not so many rows are needed.
    let person = format!("https://{}.example#{}", "h".repeat(480), "p".repeat(250));
    let rows: String = (0..95_000).map(|row| format!("{person},pt-{row}\n")).collect();
    let file = gateway.scratch().write("large.csv", rows);
    let words = ["care", "import", "--source", "large", file.to_str().unwrap()];
    let (code, said) = Given::to(Path::new(gateway.config()), &words).ended();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("64 MiB at the most"), "{said}");
}
