//! The log at a syslog receiver that nobody here wrote: rsyslog, over TLS with certificates on both sides, killed and brought
//! back, and the gateway killed and brought back. Nothing is lost, the order stays, and what came twice stands at the seam.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::browser::App;
use crate::evidence;
use crate::fakes::secured::certificates;
use crate::gateway::{Gateway, Scratch, free_ports};
use crate::outside_clients::{has, succeed};
use crate::routes::{SCOPE, serve_in};
use crate::wire::{Call, Connection};

/// rsyslog with one file for all that it gets. It ends with its value.
struct Rsyslog {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Rsyslog {
    fn start(folder: &Path, port: u16) -> Self {
        let at = folder.display();
        let configuration = format!(
            r#"global(workDirectory="{at}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
    defaultNetstreamDriverCAFile="{at}/ca.pem" defaultNetstreamDriverCertFile="{at}/server.pem"
    defaultNetstreamDriverKeyFile="{at}/server.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" port="{port}" address="127.0.0.1")
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="{at}/received" template="raw")
"#
        );
        std::fs::write(folder.join("rsyslog.conf"), configuration).unwrap();
        let mut rsyslog = Self { process: Self::spawn(folder), folder: folder.to_owned(), port };
        rsyslog.until_it_listens();
        rsyslog
    }

    fn spawn(folder: &Path) -> Child {
        let _ = std::fs::remove_file(folder.join("rsyslog.pid"));
        let mut rsyslog = Command::new("rsyslogd");
        rsyslog
            .arg("-n")
            .arg("-f")
            .arg(folder.join("rsyslog.conf"))
            .arg("-i")
            .arg(folder.join("rsyslog.pid"));
        rsyslog.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn until_it_listens(&mut self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "rsyslog ended");
            assert!(begun.elapsed() < Duration::from_secs(30), "rsyslog does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn bring_back(&mut self) {
        self.process = Self::spawn(&self.folder);
        self.until_it_listens();
    }

    /// All messages, as they came.
    fn received(&self) -> Vec<String> {
        let bytes = std::fs::read(self.folder.join("received")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The text between two others.
pub(crate) fn between<'t>(text: &'t str, before: &str, behind: &str) -> Option<&'t str> {
    Some(text.split_once(before)?.1.split_once(behind)?.0)
}

/// Finds the index that a message has.
type FindsIndex = fn(&str) -> Option<u64>;

/// Each format, and where its messages have their index.
const FORMATS: [(&str, FindsIndex); 3] = [
    ("rfc5424", |line| between(line, "[chartgate@32473 index=\"", "\"")?.parse().ok()),
    ("cef", |line| between(line.split_once("CEF:0|")?.1, " externalId=", " ")?.parse().ok()),
    ("dicom", |line| {
        let value = between(line, "type=\"chartgate-index\" value=\"", "\"")?;
        String::from_utf8(STANDARD.decode(value).ok()?).ok()?.parse().ok()
    }),
];

/// The first time each record came, in the order of coming.
pub(crate) fn first_times(indexes: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    indexes.filter(|index| seen.insert(*index)).collect()
}

/// Requests that each leave a record.
pub(crate) async fn ask(connection: &mut Connection, token: &str, count: usize) {
    for number in 0..count {
        let answer = connection.send(Call::get(&format!("/orders/{number}")).bearer(token)).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
}

pub(crate) fn exports(gateway: &Gateway) -> Value {
    serde_json::from_str(&gateway.command(&["audit", "exports", "--output", "json"])).unwrap()
}

pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: it took too long");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Until every export has had all that there was a moment ago.
pub(crate) async fn until_all_have(gateway: &Gateway) -> u64 {
    let end = gateway.audit(&[]).last().unwrap()["index"].as_u64().unwrap();
    let what = format!("every export beyond {end}");
    until(&what, || exports(gateway).as_array().unwrap().iter().all(|e| e["next"].as_u64() > Some(end)))
        .await;
    end
}

fn route(port: u16) -> String {
    let export = |format: &str| {
        format!(
            "[[audit.export]]\nname = \"{format}\"\nkind = \"syslog\"\naddress = \"localhost:{port}\"\n\
             ca = \"ca.pem\"\nclient_certificate = {{ certificate = \"caller.pem\", private_key = \"caller.key\" }}\n\
             format = \"{format}\"\nfrom = \"start\"\nlag_alert = \"2s\"\n"
        )
    };
    let exports: String = FORMATS.iter().map(|(format, _)| export(format)).collect();
    format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"http://127.0.0.1:9/api\"\n\
         [[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{{id}}\"\nscope = \"orders.read\"\nroles = [\"billing\"]\n\
         {exports}"
    )
}

fn is_missing() -> bool {
    let missing = !has("rsyslogd", &["-v"]) || !has("python3", &["--version"]);
    if missing {
        println!("skipped: needs rsyslog with rsyslog-gnutls, and python3; `make test` installs them");
    }
    missing
}

#[tokio::test]
async fn whoever_is_killed_the_receiver_gets_every_record_in_order() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("outward-syslog");
    certificates(scratch.path());
    let [port] = free_ports();
    let mut rsyslog = Rsyslog::start(scratch.path(), port);
    let mut gateway = serve_in(scratch, "", &route(port), SCOPE);
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let person = gateway.person("physician", &[]);
    let token = app.tokens(&gateway, &person).await.access;
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 300).await;
    until_all_have(&gateway).await;

    // The receiver dies while it is given something, and stays away.
    ask(&mut connection, &token, 200).await;
    rsyslog.kill();
    ask(&mut connection, &token, 300).await;
    let behind = |event: &str| gateway.audit(&["--event", event]).len();
    until("it is told that they are behind", || behind("export.behind") == 3).await;
    let told = exports(&gateway);
    for export in told.as_array().unwrap() {
        assert_eq!((&export["standing"], &export["failure"]), (&"behind".into(), &"connect-refused".into()));
        assert!(export["lag_records"].as_u64() >= Some(300), "{export}");
    }
    let address = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let metrics = ask_metrics(&address, "/metrics");
    let lag = between(&metrics, "chartgate_export_lag_records{name=\"cef\"} ", "\n").unwrap();
    assert!(lag.parse::<u64>().unwrap() >= 300, "{metrics}");
    assert!(metrics.contains("chartgate_export_behind{name=\"cef\"} 1\n"), "{metrics}");
    let [ready, answer] = ["/readyz", "/metrics"].map(|path| ask_metrics(&address, path));
    assert!(ready.starts_with("HTTP/1.1 200") && answer.starts_with("HTTP/1.1 200"), "{ready}");
    let away = "The log is to go on to cef (syslog), which has not had ";
    let told = evidence::pack(&gateway, "behind");
    assert!(
        evidence::lacks(&told, "C10", away) && evidence::lacks(&told, "C10", ": behind, connect-refused."),
        "{told}"
    );
    rsyslog.bring_back();
    until("it is told that they have caught up", || behind("export.caught-up") == 3).await;
    assert_eq!(behind("export.behind"), 3, "it is told once");
    assert!(!evidence::lacks(&evidence::pack(&gateway, "caught-up"), "C10", away));

    // The gateway dies while it gives. What was open before may have rested for too long.
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 200).await;
    gateway.kill_and_restart();
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 100).await;
    // The receiver dies again, and comes back at once.
    rsyslog.kill();
    rsyslog.bring_back();
    ask(&mut connection, &token, 100).await;
    let end = until_all_have(&gateway).await;

    until("all of it is written", || {
        let received = rsyslog.received();
        FORMATS.iter().all(|(_, index)| received.iter().filter_map(|line| index(line)).max() >= Some(end))
    })
    .await;
    let received = rsyslog.received();
    for (format, index) in FORMATS {
        let indexes: Vec<u64> = received.iter().filter_map(|line| index(line)).collect();
        let first = first_times(indexes.iter().copied());
        let missing: Vec<u64> = (0..=end).filter(|index| !first.contains(index)).collect();
        assert!(missing.is_empty(), "{format}: {missing:?} of {end}");
        assert!(first.is_sorted(), "{format}: the order stays");
        // Only where somebody died it goes back.
        let seams = indexes.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        println!("{format}: {} messages for {} records, {seams} seams", indexes.len(), first.len());
        assert!(seams <= 6, "{format}: {seams} seams");
    }
    let patients = ["left-out", "pseudonyms", "ids"];
    let begun = gateway.audit(&["--event", "export.begin"]);
    assert_eq!(begun.len(), 6, "three at each start");
    assert!(begun.iter().all(|record| patients.contains(&record["detail"]["patients"].as_str().unwrap())));

    // Who was killed while it wrote left a line torn, and was given its message again.
    let messages = received.iter().filter_map(|line| Some(line.rsplit_once("IHE+RFC-3881 - \u{feff}")?.1));
    let (messages, torn): (Vec<&str>, Vec<&str>) =
        messages.partition(|message| message.ends_with("</AuditMessage>"));
    assert!(torn.len() <= 2, "{torn:?}");
    let messages: String = messages.iter().map(|message| format!("{message}\n")).collect();
    let file = gateway.scratch().write("messages.xml", messages);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outward/audit_messages.py");
    println!("{}", succeed(Command::new("python3").arg("-B").arg(script).arg(file)));
}

pub(crate) fn ask_metrics(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn an_export_that_does_not_get_on_is_passed_over_by_command_alone_and_a_month_waits_for_it() {
    let scratch = Scratch::new("outward-skip");
    certificates(scratch.path());
    let [port] = free_ports();
    let mut gateway = serve_in(scratch, "", &route(port), SCOPE);
    until("it has begun", || gateway.audit(&["--event", "export.begin"]).len() == 3).await;
    let skip =
        |gateway: &Gateway, name: &str, to: &str| gateway.try_command(&["audit", "skip", name, "--to", to]);
    assert!(!skip(&gateway, "nobody", "1").success);
    assert!(!skip(&gateway, "cef", "1000000").success, "the log does not go so far");
    assert!(skip(&gateway, "cef", "2").success);
    assert!(!skip(&gateway, "cef", "1").success, "it never goes back");
    until("it goes on there", || exports(&gateway)[1]["next"] == 2).await;
    assert_eq!(exports(&gateway)[0]["next"], 0);
    let skipped = gateway.audit(&["--event", "export.skip"]);
    assert_eq!((skipped.len(), &skipped[0]["detail"]["next"]), (1, &"2".into()));

    // A month whose time is over is not ended unread: the clock cannot be put on, but a key of long ago can be there.
    let keys = gateway.folder().join("data/audit/keys");
    let now = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(&now, keys.join("2019-12.json")).unwrap();
    let expired = gateway.command(&["audit", "expire", "--output", "json"]);
    assert!(expired.contains("2019-12"), "all records that it misses are younger: {expired}");

    // A cursor of another log, or beyond this one, is refused and told; nothing is sent by it.
    gateway.kill();
    let store = rusqlite::Connection::open(gateway.folder().join("data/chartgate.db")).unwrap();
    store
        .execute("UPDATE audit_exports SET log = 'other.test/audit+00000000+AA' WHERE name = 'cef'", [])
        .unwrap();
    store.execute("UPDATE audit_exports SET next = 1000000 WHERE name = 'dicom'", []).unwrap();
    store.execute("UPDATE audit_exports SET size = 3 WHERE name = 'rfc5424'", []).unwrap();
    drop(store);
    gateway.start();
    until("all are refused", || {
        exports(&gateway).as_array().unwrap().iter().all(|export| export["standing"] == "refused")
    })
    .await;
    let told = exports(&gateway);
    let why: Vec<_> = (0..3).map(|at| told[at]["failure"].as_str().unwrap()).collect();
    assert_eq!(why, ["cursor-of-another-history", "cursor-of-another-log", "cursor-beyond-the-log"]);
    assert_eq!(gateway.audit(&["--event", "export.behind", "--reason", "cursor-beyond-the-log"]).len(), 1);
    // What such a one has had of this log nobody knows: nothing is ended over its head.
    std::fs::copy(keys.join(now.file_name().unwrap()), keys.join("2019-12.json")).unwrap();
    let refused = gateway.try_command(&["audit", "expire"]);
    assert!(!refused.success && refused.err.contains("--unread-by"), "{refused:?}");
    assert!(keys.join("2019-12.json").exists());
    assert!(skip(&gateway, "rfc5424", "0").success, "from the start, if that is what is wanted");
    assert!(skip(&gateway, "dicom", "4").success, "an operator can say where it goes on");
    assert!(!gateway.try_command(&["audit", "expire", "--unread-by", "dicom"]).success, "one is unread yet");
    let expired = gateway.command(&["audit", "expire", "--unread-by", "cef", "--output", "json"]);
    assert!(expired.contains("2019-12"), "{expired}");
    until("it goes on", || exports(&gateway)[2]["standing"] != "refused").await;

    // A record that cannot be read is one that an export has not had, and that is said by the export's name.
    for bundle in std::fs::read_dir(gateway.folder().join("data/audit/tile/entries/000.p")).unwrap() {
        std::fs::write(bundle.unwrap().path(), "no bundle").unwrap();
    }
    std::fs::copy(keys.join(now.file_name().unwrap()), keys.join("2019-12.json")).unwrap();
    let refused = gateway.try_command(&["audit", "expire", "--unread-by", "cef"]);
    assert!(!refused.success && refused.err.contains("--unread-by rfc5424"), "{refused:?}");
    let waived = ["cef", "rfc5424", "dicom"].map(|name| format!("--unread-by={name}"));
    let [cef, rfc5424, dicom] = &waived;
    let expired = gateway.command(&["audit", "expire", cef, rfc5424, dicom, "--output", "json"]);
    assert!(expired.contains("2019-12"), "{expired}");
}
