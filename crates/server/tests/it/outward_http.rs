//! The log at receivers over HTTPS that judge it by what others publish for its format (`tests/outward/receiver.py`), killed and
//! brought back, and the gateway killed and brought back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::App;
use crate::fakes::secured::certificates;
use crate::gateway::Scratch;
use crate::outside_clients::{has, succeed};
use crate::outward_syslog::{ask, exports, first_times, until, until_all_have};
use crate::routes::{SCOPE, free_ports, serve_in};
use crate::wire::Connection;

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

/// Each kind, its own keys, and where its events have their index.
const KINDS: [(&str, &str, FindsIndex); 1] =
    [("ocsf", "signing_secret = \"a secret of the webhook's own\"\npatients = \"ids\"\n", |event| {
        event["metadata"]["sequence"].as_u64()
    })];

fn route(port: u16) -> String {
    let export = |(kind, keys, _): &(&str, &str, FindsIndex)| {
        format!(
            "[[audit.export]]\nname = \"{kind}\"\nkind = \"{kind}\"\nurl = \"https://localhost:{port}/{kind}\"\n\
             ca = \"ca.pem\"\nauth = {{ bearer = \"the-collectors-token\" }}\nfrom = \"start\"\n{keys}"
        )
    };
    let exports: String = KINDS.iter().map(export).collect();
    format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"http://127.0.0.1:9/api\"\n\
         [[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{{id}}\"\nscope = \"orders.read\"\nroles = [\"billing\"]\n\
         {exports}"
    )
}

#[tokio::test]
async fn receivers_over_https_get_every_record_once_it_is_valid_whoever_is_killed() {
    let scratch = Scratch::new("outward-http");
    let Some(python) = python(scratch.path()) else { return };
    certificates(scratch.path());
    let [port, _] = free_ports();
    let mut receiver = Receiver::start(&python, scratch.path(), port);
    let mut gateway = serve_in(scratch, "", &route(port), SCOPE);
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let person = gateway.person("physician", &[]);
    let token = app.tokens(&gateway, &person).await.access;
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 100).await;
    gateway.command(&["user", "disable", &gateway.person("nurse", &[]).name]);
    gateway.command(&["policy", "check"]);
    ask(&mut connection, &token, 150).await;
    receiver.kill();
    ask(&mut connection, &token, 150).await;
    until("it is away", || {
        exports(&gateway).as_array().unwrap().iter().all(|export| export["failure"] == "unreachable")
    })
    .await;
    receiver.bring_back();
    ask(&mut connection, &token, 100).await;
    gateway.kill_and_restart();
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 50).await;
    let end = until_all_have(&gateway).await;
    assert_eq!(receiver.refused(), "");
    for (kind, _, index) in KINDS {
        let events = receiver.received(kind);
        let indexes: Vec<u64> = events.iter().filter_map(index).collect();
        assert_eq!(indexes.len(), events.len(), "{kind}: each has its index");
        let first = first_times(indexes.iter().copied());
        let missing: Vec<u64> = (0..=end).filter(|index| !first.contains(index)).collect();
        assert!(missing.is_empty(), "{kind}: {missing:?} of {end}");
        assert!(first.is_sorted(), "{kind}: the order stays");
        let seams = indexes.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        println!("{kind}: {} events for {} records, {seams} seams", indexes.len(), first.len());
        assert!(seams <= 3, "{kind}: {seams} seams");
    }
}
