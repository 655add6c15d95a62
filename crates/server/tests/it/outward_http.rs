//! The log at receivers over HTTPS that judge it by what others publish for its format (`tests/outward/receiver.py`), killed and
//! brought back, and the gateway killed and brought back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::browser::{App, USER_SCOPE};
use crate::fakes::secured::certificates;
use crate::gateway::{Gateway, Scratch, free_ports};
use crate::outside_clients::{has, succeed};
use crate::outward_syslog::{ask_metrics, exports, first_times, until, until_all_have};
use crate::wire::{Call, Connection};

/// A Python with what the receivers need, in a folder of its own.
pub(crate) fn python(folder: &Path) -> Option<PathBuf> {
    if !has("python3", &["-m", "venv", "--help"]) || !has("python3", &["-m", "ensurepip", "--version"]) {
        println!("skipped: needs python3 and its venv; `make test` installs them");
        return None;
    }
    let home = folder.join("venv");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&home));
    let python = home.join("bin/python");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
    let requirements = scripts().join("requirements.txt");
    succeed(Command::new(&python).args(install).args(["--only-binary", ":all:", "-r"]).arg(requirements));
    Some(python)
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outward")
}

/// The receiver. It ends with its value.
struct Receiver {
    process: Child,
    python: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Receiver {
    fn start(python: &Path, folder: &Path, port: u16) -> Self {
        let process = Self::spawn(python, folder, port);
        let mut receiver = Self { process, python: python.to_owned(), folder: folder.to_owned(), port };
        receiver.until_it_listens();
        receiver
    }

    fn spawn(python: &Path, folder: &Path, port: u16) -> Child {
        let mut receiver = Command::new(python);
        receiver.arg("-B").arg(scripts().join("receiver.py")).arg(folder).arg(port.to_string());
        receiver.stdin(Stdio::null()).spawn().unwrap()
    }

    fn until_it_listens(&mut self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "the receiver ended");
            assert!(begun.elapsed() < Duration::from_secs(30), "the receiver does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn bring_back(&mut self) {
        self.process = Self::spawn(&self.python, &self.folder, self.port);
        self.until_it_listens();
    }

    fn received(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join(format!("received-{kind}"))).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn refused(&self) -> String {
        std::fs::read_to_string(self.folder.join("refused")).unwrap_or_default()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Finds the index in what was kept of an entry.
type FindsIndex = fn(&Value) -> Option<u64>;

/// Each name, kind, its own keys, and where what was kept has the index.
const KINDS: [(&str, &str, &str, FindsIndex); 4] = [
    ("ocsf", "ocsf", "signing_secret = \"a secret of the webhook's own\"\npatients = \"ids\"\n", |event| {
        event["metadata"]["sequence"].as_u64()
    }),
    ("otlp", "otlp", "patients = \"pseudonyms\"\n", |record| record["index"].as_u64()),
    ("fhir", "fhir", "patients = \"ids\"\n", |event| event["index"].as_u64()),
    ("pseudonyms", "fhir", "patients = \"pseudonyms\"\n", |event| event["index"].as_u64()),
];

fn tables(port: u16) -> String {
    let export = |(name, kind, keys, _): &(&str, &str, &str, FindsIndex)| {
        format!(
            "[[audit.export]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"https://localhost:{port}/{name}\"\n\
             ca = \"ca.pem\"\nauth = {{ bearer = \"the-collectors-token\" }}\nfrom = \"start\"\n{keys}"
        )
    };
    KINDS.iter().map(export).collect()
}

/// Requests that each leave a record, or more.
async fn read(gateway: &Gateway, token: &str, count: usize) {
    let mut connection = Connection::open(gateway).await;
    let patient = gateway.panel("dana")[0].to_owned();
    for number in 0..count {
        let what = match number % 4 {
            0 => format!("Patient/{patient}"),
            1 => format!("Observation?patient={patient}"),
            2 => format!("Observation/{patient}-obs00"),
            _ => "Patient/nobody".to_owned(),
        };
        let answer = connection.send(Call::get(&format!("/fhir/{what}")).bearer(token)).await;
        assert!([200, 404].contains(&answer.status), "{}", answer.text());
    }
}

#[tokio::test]
async fn receivers_over_https_get_every_record_once_it_is_valid_whoever_is_killed() {
    let scratch = Scratch::new("outward-receiver");
    let Some(python) = python(scratch.path()) else { return };
    certificates(scratch.path());
    let [port] = free_ports();
    let mut receiver = Receiver::start(&python, scratch.path(), port);
    let mut gateway = Gateway::demo("outward-http", &[]);
    std::fs::copy(scratch.path().join("ca.pem"), gateway.folder().join("ca.pem")).unwrap();
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), format!("{config}\n{}", tables(port))).unwrap();
    gateway.command(&["config", "check"]);
    gateway.terminate();
    gateway.start();
    let token = App::public(USER_SCOPE).tokens(&gateway, &gateway.demo_person("dana")).await.access;
    let patient = gateway.panel("dana")[0].to_owned();
    read(&gateway, &token, 60).await;
    let observation = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "marigold" },
        "subject": { "reference": format!("Patient/{patient}") } });
    let made = Call::fhir("POST", "/fhir/Observation", &observation).bearer(&token).to(&gateway).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let own = format!("/fhir/Observation/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(Call::new("DELETE", &own).bearer(&token).to(&gateway).await.status, 204);
    gateway.command(&["user", "disable", &gateway.person("nurse", &[]).name]);
    receiver.kill();
    read(&gateway, &token, 100).await;
    until("it is away", || {
        exports(&gateway).as_array().unwrap().iter().all(|export| export["failure"] == "unreachable")
    })
    .await;
    receiver.bring_back();
    read(&gateway, &token, 60).await;
    gateway.kill_and_restart();
    read(&gateway, &token, 40).await;
    let end = until_all_have(&gateway).await;
    assert_eq!(receiver.refused(), "");
    // What is only intended is no act for those who account for acts.
    let intents = gateway.audit(&["--event", "access.intent"]);
    let intents: BTreeSet<u64> = intents.iter().filter_map(|intent| intent["index"].as_u64()).collect();
    assert_eq!(intents.len(), 2, "one made, one deleted");
    for (kind, of, _, index) in KINDS {
        let events = receiver.received(kind);
        let indexes: Vec<u64> = events.iter().filter_map(index).collect();
        assert_eq!(indexes.len(), events.len(), "{kind}: each has its index");
        let first = first_times(indexes.iter().copied());
        let missing: BTreeSet<u64> = (0..=end).filter(|index| !first.contains(index)).collect();
        let left_out = if of == "fhir" { intents.clone() } else { BTreeSet::new() };
        assert_eq!(missing, left_out, "{kind}: of {end}");
        assert!(first.is_sorted(), "{kind}: the order stays");
        let seams = indexes.windows(2).filter(|pair| pair[1] < pair[0]).count();
        println!("{kind}: {} events for {} records, {seams} seams", indexes.len(), first.len());
        assert!(seams <= 3, "{kind}: {seams} seams");
    }
    let profiles = |of: &str| -> BTreeSet<String> {
        let events = receiver.received(of);
        events.iter().map(|event| event["profile"].as_str().unwrap().to_owned()).collect()
    };
    let (told, pseudonyms) = (profiles("fhir"), profiles("pseudonyms"));
    for wanted in ["PatientRead", "PatientCreate", "PatientDelete"] {
        assert!(told.contains(wanted) && pseudonyms.contains(wanted), "{told:?} {pseudonyms:?}");
    }
    assert!(told.contains("PatientQuery") && !pseudonyms.contains("PatientQuery"), "its query is not told");
    let told = receiver.received("otlp").iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("\"p-") && !told.contains(&patient), "only a pseudonym is told");

    // A record that one of them does not take, in whatever way, holds that one up, alone and at that very record, until somebody
    // lets it go on.
    let mut skipped = BTreeSet::new();
    for (way, failure) in [("400", "status-400"), ("500", "status-500"), ("close", "broke-off")] {
        let disliked = scratch.write("disliked-audit.hold", way);
        read(&gateway, &token, 20).await;
        gateway.command(&["audit", "hold", "--reason", "case 17"]);
        read(&gateway, &token, 20).await;
        let holds = gateway.audit(&["--event", "audit.hold"]);
        let index = holds.iter().filter_map(|hold| hold["index"].as_u64()).max().unwrap();
        until("it is held up", || exports(&gateway)[0]["held_up"] == index).await;
        let end = gateway.audit(&[]).last().unwrap()["index"].as_u64().unwrap();
        until("the others go on", || {
            (1..4).all(|other| exports(&gateway)[other]["next"].as_u64() > Some(end))
        })
        .await;
        let held_up = exports(&gateway)[0].clone();
        assert_eq!((&held_up["next"], &held_up["failure"]), (&index.into(), &failure.into()), "{held_up}");
        let address = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        let metrics = ask_metrics(&address, "/metrics");
        assert!(metrics.contains("chartgate_export_held_up{name=\"ocsf\"} 1\n"), "{metrics}");
        assert!(metrics.contains(&format!("chartgate_export_next_record{{name=\"ocsf\"}} {index}\n")));
        gateway.command(&["audit", "skip", "ocsf", "--to", &index.saturating_add(1).to_string()]);
        std::fs::remove_file(disliked).unwrap();
        until_all_have(&gateway).await;
        skipped.insert(index);
    }
    // One AuditEvent that a server does not take goes alone, and what it took behind it comes once more at the most.
    let before = until_all_have(&gateway).await;
    let disliked = scratch.write("disliked-entry", "");
    read(&gateway, &token, 20).await;
    gateway.command(&["audit", "hold", "--reason", "case 18"]);
    read(&gateway, &token, 20).await;
    let holds = gateway.audit(&["--event", "audit.hold"]);
    let index = holds.iter().filter_map(|hold| hold["index"].as_u64()).max().unwrap();
    let held_up = || exports(&gateway)[2]["held_up"].clone();
    until("it is held up", || held_up() == index).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(held_up(), index, "it stays so");
    std::fs::remove_file(disliked).unwrap();
    until_all_have(&gateway).await;
    let mut copies: BTreeMap<u64, usize> = BTreeMap::new();
    for one in receiver.received("fhir").iter().filter_map(|event| event["index"].as_u64()) {
        *copies.entry(one).or_default() += 1;
    }
    assert!(copies.range(before.saturating_add(1)..=index).all(|(_, copies)| *copies == 1), "{copies:?}");
    assert!(copies.range(index..).all(|(_, copies)| *copies <= 2), "{copies:?}");

    let end = until_all_have(&gateway).await;
    let got: BTreeSet<u64> = receiver.received("ocsf").iter().filter_map(KINDS[0].3).collect();
    assert!((0..=end).all(|one| got.contains(&one) != skipped.contains(&one)), "{skipped:?}");
}
