//! E-mail to people: one-time links, and changes to how they sign in. The server is aiosmtpd, from PyPI.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::evidence::{count, lacks, pack};
use crate::faults::until_recorded;
use crate::gateway::{Gateway, Scratch, free_ports};
use crate::outside_clients::{has, succeed};

/// A mail server that runs until this goes, with what it says.
pub(crate) struct Running(Child, #[expect(dead_code, reason = "held open")] Lines<BufReader<ChildStdout>>);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway of the demo, a mail server that it knows, and the messages that this took.
pub(crate) struct Post {
    pub(crate) gateway: Gateway,
    python: PathBuf,
    port: u16,
    /// The file of messages.
    pub(crate) taken: PathBuf,
}

impl Post {
    /// With further tables in the configuration.
    pub(crate) fn open(name: &str, more: &str) -> Option<Self> {
        if !has("python3", &["-m", "ensurepip", "--version"]) {
            println!("skipped: needs python3 and its venv; `make test` installs them");
            return None;
        }
        let scratch = Scratch::new(name);
        let home = scratch.path().join("venv");
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let python = home.join("bin/python");
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
        let requirements = folder().join("requirements.txt");
        succeed(Command::new(&python).args(install).args(["--only-binary", ":all:", "-r"]).arg(requirements));
        let [port] = free_ports();
        let taken = scratch.path().join("taken.jsonl");
        // The first start makes the certificates, by which the mail server is known.
        let mut gateway = Gateway::demo_in(scratch, &[], &[]);
        gateway.terminate();
        let table = format!(
            "\n[mail]\nserver = \"localhost\"\nport = {port}\nca = \"tls/ca.pem\"\nusername = \"gate\"\n\
             password = \"the mail password\"\nfrom = \"Chartgate <no-reply@clinic.example>\"\n"
        );
        let text = std::fs::read_to_string(gateway.config()).unwrap();
        std::fs::write(gateway.config(), text + &table + more).unwrap();
        gateway.start();
        Some(Self { gateway, python, port, taken })
    }

    /// Starts the mail server, and waits until it listens.
    pub(crate) fn start(&self) -> Running {
        let tls = self.gateway.scratch().path().join("demo/tls");
        let mut child = Command::new(&self.python)
            .arg(folder().join("server.py"))
            .arg(self.port.to_string())
            .args([tls.join("cert.pem"), tls.join("key.pem"), self.taken.clone()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(told.next().unwrap().unwrap(), "ready");
        Running(child, told)
    }

    pub(crate) fn messages(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.taken).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The messages, once there are so many.
    pub(crate) async fn until(&self, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let messages = self.messages();
            if messages.len() >= count {
                return messages;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{messages:?}\n{}", self.gateway.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn json(&self, words: &[&str]) -> Value {
        let words = [&["--output", "json"], words].concat();
        serde_json::from_str(&self.gateway.command(&words)).unwrap()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail")
}

#[tokio::test(flavor = "multi_thread")]
async fn people_get_their_link_by_mail_and_are_told_what_is_changed_of_how_they_sign_in() {
    let Some(post) = Post::open("mail", "") else { return };
    // While the server is away, the link is shown, and what is to be told waits.
    let away = post.json(&["user", "add", "away", "--email", "away@clinic.example", "--send-link"]);
    assert_eq!(away["enrolment_link_not_sent"], "not-now");
    assert!(away["enrolment_link"].is_string(), "{away}");
    let file = post.gateway.scratch().write("password", "lantern gravel orbit mustard\n");
    post.gateway.command(&["user", "set-password", "away", "--password-file", file.to_str().unwrap()]);
    let told = until_recorded(&post.gateway, "user.tell", 2).await;
    assert!(told.iter().all(|record| record["outcome"] == "error"), "{told:?}");

    let _server = post.start();
    let added = post.json(&["user", "add", "erin", "--email", "erin@clinic.example", "--send-link"]);
    assert_eq!(added["enrolment_link_sent_to"], "erin@clinic.example");
    assert_eq!(added.get("enrolment_link"), None, "nobody else sees it");
    let messages = post.until(2).await;
    let to = |address: &str| messages.iter().find(|message| message["to"] == json!([address])).unwrap();
    assert!(
        to("away@clinic.example")["text"].as_str().unwrap().contains("a new password was set"),
        "in the end"
    );
    let invitation = to("erin@clinic.example");
    assert_eq!((&invitation["tls"], &invitation["automatic"]), (&json!(true), &json!("auto-generated")));
    assert_eq!(invitation["from"], "no-reply@clinic.example");
    let text = invitation["text"].as_str().unwrap();
    let link = text.split_whitespace().find(|word| word.contains("/login/enrol?token=")).unwrap();

    let mut browser = Browser::default();
    let path = link.strip_prefix(&post.gateway.issuer).unwrap();
    let page = browser.get(&post.gateway, path).await;
    let password = "orbit mustard lantern gravel";
    let set = browser.submit(&post.gateway, &page, &[("password", password), ("again", password)]).await;
    assert!(set.text().contains("Password set"), "{}", set.text());
    let messages = post.until(3).await;
    assert_eq!(messages[2]["to"], json!(["erin@clinic.example"]));
    let text = messages[2]["text"].as_str().unwrap();
    assert!(text.contains("a new password was set.") && text.contains("tell your administrator"), "{text}");
    assert!(!text.contains("token="), "no link that does anything");

    // Whom the server does not know is told in vain, once.
    let made = ["user", "add", "nobody", "--email", "nobody@clinic.example", "--send-link"];
    assert_eq!(post.json(&made)["enrolment_link_not_sent"], "refused");
    let records = post.gateway.audit(&["--event", "user.tell"]);
    let reasons: Vec<&str> =
        records.iter().filter_map(|record| record["decision"]["reason"].as_str()).collect();
    assert_eq!(reasons, ["not-now", "not-now", "refused"]);
    let pack = pack(&post.gateway, "pack");
    assert_eq!(count(&pack, "C12", "Times somebody was told of such a change"), 2, "links are none");
    assert!(lacks(&pack, "C12", "Attempts to tell somebody of such a change that failed: 1."));
    let said = post.gateway.output();
    for secret in ["the mail password", "token=", "erin@"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}
