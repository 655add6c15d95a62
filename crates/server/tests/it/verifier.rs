//! Another service, a process of its own, that verifies our tokens and follows their revocation: the example of
//! `chartgate-verify`, built and run.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{App, Tokens, part};
use crate::gateway::Gateway;
use crate::revocations::workload;

const SCOPE: &str = "lab.read openid";
const PATIENCE: Duration = Duration::from_secs(30);

/// The service.
struct Lab {
    process: Child,
    address: String,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Builds the example, as its page says.
fn example() -> std::path::PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let words = ["build", "--quiet", "--package", "chartgate-verify", "--example", "service"];
    let mut build = Command::new(cargo);
    build.args(words).args(["--message-format", "json-render-diagnostics", "--locked"]).current_dir(root);
    let output = build.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let messages = String::from_utf8(output.stdout).unwrap();
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = built.filter_map(|message| message["executable"].as_str().map(Into::into));
    executables.next_back().expect("cargo names the executable")
}

fn command(gateway: &Gateway, secret: &str, limit: &str) -> Command {
    let mut command = Command::new(example());
    command
        .env("ISSUER", &gateway.issuer)
        .env("AUDIENCE", format!("{}/lab", gateway.issuer))
        .env("CLIENT_ID", "lab")
        .env("CLIENT_SECRET", secret)
        .env("CA_FILE", gateway.ca_file())
        .env("FEED_LIMIT", limit)
        .stdin(Stdio::null());
    command
}

impl Lab {
    fn start(gateway: &Gateway, secret: &str, limit: &str) -> Self {
        let mut process = command(gateway, secret, limit).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { process, address }
    }

    /// The whole answer to a question with this `Authorization`.
    fn ask(&self, authorization: &str) -> String {
        let mut stream = std::net::TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = &self.address;
        let head =
            format!("GET /results HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{authorization}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn status(&self, token: &str) -> u16 {
        let answer = self.ask(&format!("authorization: Bearer {token}\r\n"));
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// How long it takes to this status.
    async fn until(&self, token: &str, status: u16) -> Duration {
        let begun = Instant::now();
        while self.status(token) != status {
            assert!(begun.elapsed() < PATIENCE, "it is still {}", self.status(token));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }
}

/// A gateway that issues tokens for the service, the service's secret, and an application.
async fn gateway(name: &str) -> (Gateway, String) {
    let mut gateway = Gateway::demo(name, &[]);
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let tokens = format!("[tokens]\naudiences = [\"{}/lab\"]\n[tls]", gateway.issuer);
    std::fs::write(gateway.config(), text.replace("[tls]", &tokens)).unwrap();
    gateway.terminate();
    gateway.start();
    let (secret, _) = workload(&gateway, "lab", "revocations:read", "revocations:read").await;
    register(&gateway, "portal");
    (gateway, secret)
}

fn register(gateway: &Gateway, id: &str) {
    let words = ["client", "add", id, "--kind", "public", "--redirect-uri", "http://127.0.0.1/callback"];
    gateway.command(&[&words[..], &["--scope", "openid lab.read lab.write"]].concat());
}

async fn tokens(gateway: &Gateway, client: &str, scope: &str) -> (Tokens, String) {
    let app = App { client, secret: None, scope, patient: None, route: "/lab" };
    let person = gateway.person("physician", &[]);
    (app.tokens(gateway, &person).await, person.name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_refuses_what_is_revoked_within_a_moment_and_asks_nobody_for_a_request() {
    let (mut gateway, secret) = gateway("lab").await;
    let lab = Lab::start(&gateway, &secret, "30");
    register(&gateway, "kiosk");
    let (bystander, name) = tokens(&gateway, "portal", SCOPE).await;
    let answer = lab.ask(&format!("authorization: Bearer {}\r\n", bystander.access));
    assert!(answer.ends_with(&format!("results for {name}\n")), "{answer}");

    let mut times = Vec::new();
    for what in ["token", "session", "user", "client"] {
        let client = if what == "client" { "kiosk" } else { "portal" };
        let (tokens, name) = tokens(&gateway, client, SCOPE).await;
        assert_eq!(lab.status(&tokens.access), 200, "{what}");
        match what {
            "token" => gateway.command(&["token", "revoke", &tokens.jti()]),
            "session" => gateway.command(&["session", "end", &tokens.session()]),
            "user" => gateway.command(&["user", "disable", &name]),
            _ => gateway.command(&["client", "remove", client]),
        };
        times.push((what, lab.until(&tokens.access, 401).await));
        assert_eq!(lab.status(&bystander.access), 200, "{what}");
    }
    println!("refused elsewhere after the command was answered: {times:?}");

    // The issuer is gone, and requests are still answered: none of them asks it.
    gateway.kill();
    for _ in 0..20 {
        assert_eq!(lab.status(&bystander.access), 200);
    }
    gateway.start();
    // Keys that changed are found, and one that is condemned takes its tokens with it here too.
    gateway.command(&["key", "rotate", "--now"]);
    gateway.command(&["key", "rotate", "--now"]);
    let (fresh, _) = tokens(&gateway, "portal", SCOPE).await;
    lab.until(&fresh.access, 200).await;
    assert_eq!(lab.status(&bystander.access), 200);
    let kid = part(&bystander.access, 0)["kid"].as_str().unwrap().to_owned();
    gateway.command(&["key", "rotate", "--emergency", &kid]);
    lab.until(&bystander.access, 401).await;
    assert_eq!(lab.status(&fresh.access), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_takes_nothing_but_good_tokens_for_itself_with_the_scope() {
    let (gateway, secret) = gateway("lab-tokens").await;
    let lab = Lab::start(&gateway, &secret, "30");
    let (good, _) = tokens(&gateway, "portal", SCOPE).await;
    assert_eq!(lab.status(&good.access), 200);
    let (scopeless, _) = tokens(&gateway, "portal", "openid lab.write").await;
    let answer = lab.ask(&format!("authorization: Bearer {}\r\n", scopeless.access));
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("scope=\"lab.read\""), "{answer}");
    let records = App::public("openid user/*.rs").tokens(&gateway, &gateway.demo_person("dana")).await;
    let id_token = good.answer["id_token"].as_str().unwrap();
    let mut forged: Vec<&str> = good.access.split('.').collect();
    let claims = id_token.split('.').nth(1).unwrap();
    forged[1] = claims;
    let unknown = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Im5vYm9keSJ9.e30.AA";
    for (what, token) in [
        ("another audience", records.access.as_str()),
        ("an ID token", id_token),
        ("another's claims", &forged.join(".")),
        ("a refresh token", records.answer["refresh_token"].as_str().unwrap_or("x")),
        ("no key of the issuer's", unknown),
        ("nothing signed", "e30.e30."),
    ] {
        assert_eq!(lab.status(token), 401, "{what}");
    }
    // j06: a flood of unknown keys asks the issuer once, if at all, and is refused at once.
    let begun = Instant::now();
    for number in 0..50 {
        let header = format!("{{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"unknown-{number}\"}}");
        let token = format!("{}.e30.AA", chartgate_protocol::base64url::encode(header.as_bytes()));
        assert_eq!(lab.status(&token), 401);
    }
    assert!(begun.elapsed() < PATIENCE, "each of them waits");
    for (authorization, status) in [
        (String::new(), "401"),
        ("authorization: Basic eDp5\r\n".to_owned(), "401"),
        (format!("authorization: Bearer {0}\r\nauthorization: Bearer {0}\r\n", good.access), "400"),
        (format!("authorization: DPoP {}\r\ndpop: a.b.c\r\n", good.access), "401"),
        (format!("authorization: DPoP {}\r\n", good.access), "401"),
    ] {
        let answer = lab.ask(&authorization);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{authorization}");
        assert!(answer.to_ascii_lowercase().contains("www-authenticate: "), "{answer}");
    }
    assert_eq!(lab.status(&good.access), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_denies_when_it_cannot_know_and_does_not_start_blind() {
    let (mut gateway, secret) = gateway("lab-blind").await;
    for (secret, limit) in [("wrong", "30"), ("", "30")] {
        let done = command(&gateway, secret, limit).stderr(Stdio::piped()).output().unwrap();
        assert!(!done.status.success(), "it starts with the secret `{secret}`");
    }
    let lab = Lab::start(&gateway, &secret, "4");
    let (good, name) = tokens(&gateway, "portal", SCOPE).await;
    assert_eq!(lab.status(&good.access), 200);
    gateway.kill();
    lab.until(&good.access, 503).await;
    let blind = command(&gateway, &secret, "4").stderr(Stdio::piped()).output().unwrap();
    assert!(!blind.status.success(), "it starts without its issuer");
    gateway.command(&["user", "disable", &name]);
    gateway.start();
    lab.until(&good.access, 401).await;
    // Its own way to the feed can be revoked too: then it knows nothing any more.
    let (other, _) = tokens(&gateway, "portal", SCOPE).await;
    assert_eq!(lab.status(&other.access), 200);
    gateway.command(&["client", "remove", "lab"]);
    lab.until(&other.access, 503).await;
}
