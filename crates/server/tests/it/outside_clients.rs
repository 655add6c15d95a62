//! Clients that others wrote, against the real binary: the scripts of `tests/clients`, and `docs/clients.md`, which says
//! what they show.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::gateway::{Gateway, PROGRAM, Scratch, free_ports};
use crate::mtls::self_signed;

/// Who is invited may register.
const INVITED: (&str, &str) = ("CHARTGATE_REGISTRATION__DYNAMIC", "invited");
const TABLE: &str = include_str!("../../../../docs/clients.md");

#[test]
fn clients_of_node_do_what_their_table_says() {
    if !["node", "npm"].iter().all(|program| has(program, &["--version"])) {
        println!("skipped: needs node and npm; `make test` installs them");
        return;
    }
    let folder = scripts("node");
    succeed(
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder),
    );
    let stage = Stage::set("clients-node");
    // `jose` comes last: it rotates the keys.
    let clients = ["openid-client", "oauth4webapi", "fhirclient", "jose"];
    let told = clients
        .map(|client| stage.run(Command::new("node").arg(format!("{client}.mjs")).current_dir(&folder)));
    assert_eq!(told.concat().lines().collect::<BTreeSet<_>>(), promised(&clients));
}

#[test]
fn clients_of_python_do_what_their_table_says() {
    if !has("python3", &["-m", "venv", "--help"]) || !has("python3", &["-m", "ensurepip", "--version"]) {
        println!("skipped: needs python3 and its venv; `make test` installs them");
        return;
    }
    let folder = scripts("python");
    let stage = Stage::set("clients-python");
    let home = stage.gateway.scratch().path().join("venv");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&home));
    let python = home.join("bin/python");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
    let requirements = folder.join("requirements.txt");
    succeed(Command::new(&python).args(install).args(["--only-binary", ":all:", "-r"]).arg(requirements));
    let clients = ["authlib", "joserfc"];
    let told = clients.map(|client| {
        stage.run(Command::new(&python).arg("-B").arg(folder.join(format!("{client}_flows.py"))))
    });
    assert_eq!(told.concat().lines().collect::<BTreeSet<_>>(), promised(&clients));
}

#[test]
fn what_the_page_shows_of_clients_is_what_runs() {
    for shown in ["node/portal.mjs", "node/smart-app.mjs", "python/clinic.py"] {
        let text = std::fs::read_to_string(scripts(shown)).unwrap();
        assert!(TABLE.contains(text.trim()), "docs/clients.md does not have {shown} as it is");
    }
}

/// A gateway of their own, with a listener for certificates and one certificate that nobody vouches for.
struct Stage {
    gateway: Gateway,
}

impl Stage {
    fn set(name: &str) -> Self {
        let [port] = free_ports();
        let mtls = format!("CHARTGATE_LISTEN__MTLS=127.0.0.1:{port}");
        let invited = format!("{}={}", INVITED.0, INVITED.1);
        // A client that is pinged shows the certificate that the demo made.
        let scratch = Scratch::new(name);
        let ca = scratch.path().join("demo/tls/ca.pem");
        let ca = format!("CHARTGATE_EGRESS__CA={}", ca.to_str().unwrap());
        let allow = "CHARTGATE_EGRESS__ALLOW=[\"127.0.0.0/8\", \"::1/128\"]";
        let gateway = Gateway::demo_in(scratch, &[], &["env", &mtls, &invited, &ca, allow]);
        let (identity, jwks) = self_signed();
        let scratch = gateway.scratch();
        scratch.write("client-cert.pem", pem("CERTIFICATE", &identity.chain[0]));
        scratch.write("client-key.pem", pem("PRIVATE KEY", &identity.key));
        scratch.write("client-jwks.json", jwks.to_string());
        Self { gateway }
    }

    /// Runs a script to its end: a line for each flow.
    fn run(&self, script: &mut Command) -> String {
        let scratch = self.gateway.scratch().path();
        let (ca, here) = (self.gateway.ca_file(), "localhost,127.0.0.1");
        let script = script
            .arg(scratch.join("ready.json"))
            .arg(PROGRAM)
            .arg(scratch)
            .env("NODE_EXTRA_CA_CERTS", ca)
            .env("REQUESTS_CA_BUNDLE", ca)
            .env(INVITED.0, INVITED.1)
            .envs([("NO_PROXY", here), ("no_proxy", here)]);
        succeed(script)
    }
}

/// The lines that the table of the page promises of these clients.
fn promised(clients: &[&str]) -> BTreeSet<&'static str> {
    static LINES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
        let mut rows = TABLE.lines().filter(|line| line.starts_with('|')).map(cells);
        let clients = rows.next().unwrap();
        let rows: Vec<_> = rows.skip(1).collect();
        let promise = |row: &[&str]| {
            let flow = row[0].to_owned();
            let kept: Vec<_> = clients.iter().zip(row).filter(|(_, cell)| **cell == "yes").collect();
            kept.into_iter().map(|(client, _)| format!("ok {client}: {flow}")).collect::<Vec<_>>()
        };
        rows.iter().flat_map(|row| promise(row)).collect()
    });
    let of_these = |line: &&str| clients.iter().any(|client| line.starts_with(&format!("ok {client}: ")));
    LINES.iter().map(String::as_str).filter(of_these).collect()
}

fn cells(row: &'static str) -> Vec<&'static str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

fn scripts(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

pub(crate) fn has(program: &str, words: &[&str]) -> bool {
    Command::new(program).args(words).output().is_ok_and(|output| output.status.success())
}

pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}\n{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
