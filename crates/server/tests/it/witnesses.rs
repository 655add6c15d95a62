//! Witnesses of the log, as processes of their own: what they cosign, and what they notice.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::evidence::{lacks, pack};
use crate::fakes::secured::certificates;
use crate::gateway::{Gateway, PROGRAM, Scratch, chartgate, free_ports};
use crate::outside_clients::{has, succeed};
use crate::outward_syslog::{ask_metrics, between, until};
use crate::routes::{SCOPE, serve_in};

/// A witness. It ends with its value.
struct Witness {
    name: &'static str,
    key: String,
    folder: PathBuf,
    port: u16,
    tls: bool,
    process: Option<Child>,
}

impl Witness {
    /// Its folder and key. It does not run yet.
    fn init(scratch: &Scratch, name: &'static str, port: u16, tls: bool) -> Self {
        let folder = scratch.path().join(name);
        let words = ["witness", "init", "--dir", folder.to_str().unwrap(), "--name"];
        let made = chartgate(&[&words[..], &[&format!("{name}.witness.test")]].concat());
        assert!(made.success, "{made:?}");
        let again = chartgate(&[&words[..], &["other.test"]].concat());
        assert!(!again.success && again.err.contains("has a key already"), "{again:?}");
        Self { name, key: made.out.trim().to_owned(), folder, port, tls, process: None }
    }

    fn start(&mut self, log: &Path) {
        let certificates = self.folder.parent().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["witness", "serve", "--dir"]).arg(&self.folder).arg("--log").arg(log);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        if self.tls {
            command.arg("--tls-cert").arg(certificates.join("server.pem"));
            command.arg("--tls-key").arg(certificates.join("server.key"));
        }
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.output()).unwrap();
        command.stdin(Stdio::null()).stderr(said);
        self.process = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{}", std::fs::read_to_string(self.output()).unwrap());
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    fn output(&self) -> PathBuf {
        self.folder.with_extension("output")
    }

    fn table(&self) -> String {
        let (name, key, port) = (self.name, &self.key, self.port);
        let place = if self.tls {
            format!("url = \"https://localhost:{port}/\"\nca = \"ca.pem\"")
        } else {
            format!("url = \"http://127.0.0.1:{port}\"")
        };
        format!("[[audit.witness]]\nname = \"{name}\"\nkey = \"{key}\"\n{place}\n")
    }

    /// The last checkpoint, by its read API.
    fn last(&self, origin: &str) -> String {
        let id = chartgate_audit::witness::log_id(origin);
        let answer = ask_metrics(&format!("127.0.0.1:{}", self.port), &format!("/{id}/checkpoint"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// What it answers to a body: the head, and behind it the body.
    fn post(&self, body: &str) -> String {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        let head = "POST /add-checkpoint HTTP/1.1\r\nhost: x\r\nconnection: close";
        write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// A gateway, two witnesses, and a policy that both are needed.
struct Clinic {
    gateway: Gateway,
    officer: Witness,
    neighbour: Witness,
}

impl Clinic {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        certificates(scratch.path());
        let ports: [u16; 2] = free_ports();
        let mut officer = Witness::init(&scratch, "officer", ports[0], true);
        let mut neighbour = Witness::init(&scratch, "neighbour", ports[1], false);
        let tables = format!("[audit]\nwitness_quorum = 2\n{}{}", officer.table(), neighbour.table());
        let gateway = serve_in(scratch, "", &tables, SCOPE);
        let log = gateway.folder().join("data/audit/log.vkey");
        officer.start(&log);
        neighbour.start(&log);
        let key = std::fs::read_to_string(&log).unwrap();
        let policy = format!(
            "log {key}witness officer {}\nwitness neighbour {}\ngroup both all officer neighbour\nquorum both\n",
            officer.key, neighbour.key
        );
        gateway.scratch().write("policy", policy);
        Self { gateway, officer, neighbour }
    }

    fn audit(&self) -> PathBuf {
        self.gateway.folder().join("data/audit")
    }

    /// Size and lines of a checkpoint file; nothing, if there is none.
    fn checkpoint(&self, name: &str) -> (u64, String) {
        let note = std::fs::read_to_string(self.audit().join(name)).unwrap_or_default();
        (size(&note), note)
    }

    fn metric(&self, name: &str) -> u64 {
        let address =
            self.gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        let metrics = ask_metrics(&address, "/metrics");
        between(&metrics, &format!("\n{name} "), "\n").unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    }

    /// Makes records, each of which is one more.
    fn work(&self, times: usize) {
        for _ in 0..times {
            self.gateway.audit(&["--limit", "1"]);
        }
    }

    /// Until both have cosigned at least `size` records.
    async fn until_both(&self, size: u64) {
        until(&format!("both cosigned {size}"), || {
            let (cosigned, note) = self.checkpoint("checkpoint.cosigned");
            cosigned >= size
                && note.contains("officer.witness.test ")
                && note.contains("neighbour.witness.test ")
        })
        .await;
    }

    fn verify(&self, more: &[&str]) -> crate::gateway::Done {
        let policy = self.gateway.folder().join("policy");
        let words = ["audit", "verify", "--policy", policy.to_str().unwrap()];
        self.gateway.try_command(&[&words[..], more].concat())
    }

    fn contradictions(&self) -> Vec<(String, String)> {
        let records = self.gateway.audit(&["--event", "witness.contradict"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let all = records.iter().map(|r| (text(&r["resource"]), text(&r["decision"]["reason"])));
        all.collect()
    }
}

fn size(note: &str) -> u64 {
    note.lines().nth(1).map_or(0, |line| line.parse().unwrap())
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test]
async fn checkpoints_are_cosigned_and_a_witness_that_is_away_delays_nothing() {
    let mut clinic = Clinic::new("witnesses");
    clinic.until_both(1).await;
    let verified = clinic.verify(&[]);
    assert!(verified.success && verified.out.contains("witnessed: the quorum"), "{verified:?}");
    assert!(verified.out.contains("officer at 2") && verified.out.contains("neighbour at 2"), "{verified:?}");

    // One is away: the log goes on, the other cosigns, and what both have cosigned is kept.
    clinic.neighbour.kill();
    let (before, _) = clinic.checkpoint("checkpoint.cosigned");
    clinic.work(5);
    let log = clinic.audit().join("log.vkey");
    until("the other cosigned", || clinic.metric("chartgate_witness_lag_records{witness=\"officer\"}") == 0)
        .await;
    until("the lag shows", || clinic.metric("chartgate_witness_lag_records{witness=\"neighbour\"}") >= 5)
        .await;
    let (kept, note) = clinic.checkpoint("checkpoint.cosigned");
    assert!(kept <= before.saturating_add(2) && note.contains("neighbour.witness.test "), "{before} {note}");
    assert!(clinic.verify(&[]).success, "the last one that both cosigned is still there");
    assert!(clinic.verify(&["--cosigned-within", "3600"]).success, "none of the others is older");
    let long_ago = clinic.verify(&["--cosigned-within", "0"]);
    assert!(!long_ago.success && long_ago.err.contains("no quorum has seen"), "{long_ago:?}");
    until("it is said", || clinic.gateway.output().contains("a witness does not cosign")).await;
    let pack = pack(&clinic.gateway, "away");
    assert!(lacks(&pack, "C10", "neighbour does not cosign now (unreachable)"), "{pack}");
    assert!(!lacks(&pack, "C10", "officer"), "{pack}");

    // It comes back, and catches up from the size that it has.
    clinic.neighbour.start(&log);
    let (now, _) = clinic.checkpoint("checkpoint");
    clinic.until_both(now).await;
    let output = clinic.gateway.output();
    assert!(output.contains("a witness cosigns again"), "{output}");
    let pack = self::pack(&clinic.gateway, "again");
    assert!(!lacks(&pack, "C10", "neighbour"), "{pack}");
    assert!(pack["settings"]["log"]["witnesses"][1]["cosigned"].as_u64() >= Some(now), "{pack}");
    assert_eq!(clinic.contradictions(), []);
    assert!(clinic.metric("chartgate_witness_last_success_seconds{witness=\"neighbour\"}") > 1_700_000_000);
    assert_eq!(clinic.metric("chartgate_witness_contradicts{witness=\"neighbour\"}"), 0);

    // A proof carries the lines, and reads without us.
    let proof = clinic.gateway.command(&["audit", "prove", "0"]);
    let file = clinic.gateway.scratch().write("record.tlog-proof", &proof);
    let check = |policy: &std::path::Path| {
        let words =
            ["audit", "prove", "--check", file.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
        clinic.gateway.try_command(&words)
    };
    let seen = check(&clinic.gateway.folder().join("policy"));
    assert!(seen.success && seen.out.contains("witnessed: the quorum of "), "{seen:?}");
    let key = std::fs::read_to_string(&log).unwrap();
    let proof =
        chartgate_audit::proof::TlogProof::parse(proof.as_bytes(), &key.trim().parse().unwrap()).unwrap();
    for witness in [&clinic.officer, &clinic.neighbour] {
        proof.checkpoint().cosigned_at(&witness.key.parse().unwrap()).unwrap();
    }

    // A policy that is not met, of another witness or of another log, fails.
    let stranger = Witness::init(clinic.gateway.scratch(), "stranger", 1, false);
    let path = clinic.gateway.scratch().write("unmet", format!("witness s {}\nquorum s\n", stranger.key));
    for unmet in
        [clinic.gateway.try_command(&["audit", "verify", "--policy", path.to_str().unwrap()]), check(&path)]
    {
        assert!(
            !unmet.success && unmet.err.contains("has not cosigned") && unmet.err.contains("s not"),
            "{unmet:?}"
        );
    }
    let other = "log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\nquorum none\n";
    let path = clinic.gateway.scratch().write("other", other);
    let unmet = clinic.gateway.try_command(&["audit", "verify", "--policy", path.to_str().unwrap()]);
    assert!(!unmet.success && unmet.err.contains("is not about this log"), "{unmet:?}");

    // A copy is judged offline.
    let copied = clinic.gateway.folder().join("copy");
    copy(&clinic.audit(), &copied);
    let offline = clinic.verify(&["--dir", copied.to_str().unwrap()]);
    assert!(offline.success && offline.out.contains("witnessed"), "{offline:?}");
}

#[tokio::test]
async fn a_witness_refuses_all_else_and_holds_nothing_to_read() {
    let clinic = Clinic::new("witness-refusals");
    clinic.until_both(1).await;
    let origin = std::fs::read_to_string(clinic.audit().join("log.vkey")).unwrap();
    let origin = origin.split('+').next().unwrap().to_owned();
    let witness = &clinic.neighbour;
    let last = witness.last(&origin);
    assert!(last.contains("neighbour.witness.test ") && !last.contains("officer.witness.test "), "{last}");

    let status = |answer: String| answer.split(' ').nth(1).unwrap().to_owned();
    let line = |size: u64| format!("\n{size}\n");
    let altered = last.replacen(&line(size(&last)), &line(size(&last).saturating_add(1)), 1);
    let foreign = last.replace(&origin, "other.test/audit");
    for (expected, body) in [
        ("400", "hello".to_owned()),
        ("400", format!("old {}\n\n{last}", size(&last).saturating_add(1))),
        ("403", format!("old 0\n\n{altered}")),
        ("404", format!("old 0\n\n{foreign}")),
        ("409", format!("old 0\n\n{last}")),
        ("413", "x".repeat(70 << 10)),
    ] {
        assert_eq!(status(witness.post(&body)), expected, "{body:.80}");
    }
    let conflict = witness.post(&format!("old 0\n\n{last}"));
    assert!(conflict.contains("content-type: text/x.tlog.size\r\n"), "{conflict}");
    assert!(conflict.ends_with(&format!("\r\n\r\n{}\n", size(&witness.last(&origin)))), "{conflict}");
    let address = format!("127.0.0.1:{}", witness.port);
    for path in
        ["/", "/add-checkpoint", "/witness.key", "/logs/x", "/..%2fwitness.key/checkpoint", "/00/checkpoint"]
    {
        let answer = ask_metrics(&address, path);
        assert!(answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 405"), "{path}: {answer}");
    }
    let mut files: Vec<_> =
        std::fs::read_dir(&witness.folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["lock", "logs", "witness.key", "witness.vkey"]);
    let logs: Vec<_> = std::fs::read_dir(witness.folder.join("logs")).unwrap().collect();
    assert_eq!(logs.len(), 1, "one file a log, and that is the checkpoint");

    // A second process on its folder would be a second memory.
    let words = ["--listen", "127.0.0.1:0", "--log", &clinic.neighbour.key];
    let folder = witness.folder.to_str().unwrap();
    let second = chartgate(&[&["witness", "serve", "--dir", folder][..], &words].concat());
    assert!(!second.success && second.err.contains("is a witness's key"), "{second:?}");
    let log = clinic.audit().join("log.vkey");
    let words = ["--listen", "127.0.0.1:0", "--log", log.to_str().unwrap()];
    let second = chartgate(&[&["witness", "serve", "--dir", folder][..], &words].concat());
    assert!(!second.success && second.err.contains("in use"), "{second:?}");
    let words = ["--listen", "0.0.0.0:0", "--log", log.to_str().unwrap()];
    let open = chartgate(&[&["witness", "serve", "--dir", folder][..], &words].concat());
    assert!(!open.success && open.err.contains("--tls-cert"), "{open:?}");
}

/// The whole folder, store and log, put back to how it stood: nothing in it can tell. Witnesses can.
#[tokio::test]
async fn a_log_that_was_put_back_is_noticed_by_its_witnesses_and_so_is_one_that_then_grows_otherwise() {
    let mut clinic = Clinic::new("witness-rollback");
    clinic.until_both(1).await;
    clinic.gateway.terminate();
    let (data, older) = (clinic.gateway.folder().join("data"), clinic.gateway.folder().join("older"));
    copy(&data, &older);
    clinic.gateway.start();
    let (put_back_to, _) = clinic.checkpoint("checkpoint");
    clinic.work(40);
    // They have to know more than what a gateway that starts on the older log adds to it by itself.
    clinic.until_both(put_back_to.saturating_add(40)).await;
    clinic.gateway.terminate();
    let origin = std::fs::read_to_string(data.join("audit/log.vkey")).unwrap();
    let origin = origin.split('+').next().unwrap().to_owned();
    let remembered = clinic.neighbour.last(&origin);

    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&older, &data).unwrap();
    clinic.gateway.start();
    // To look into the log is a record too, by which it would grow past what they have: what it says on its terminal first.
    let said = |code: &str| clinic.gateway.output().matches(&format!("\"code\":\"{code}\"")).count();
    until("both say that it was put back", || said("log-rolled-back") >= 2).await;
    let mut recorded = clinic.contradictions();
    recorded.sort();
    let both =
        |code: &str| [("neighbour".to_owned(), code.to_owned()), ("officer".to_owned(), code.to_owned())];
    assert_eq!(recorded, both("log-rolled-back"));
    assert!(clinic.gateway.output().contains("it was put back or forked"));
    assert_eq!(clinic.metric("chartgate_witness_contradicts{witness=\"officer\"}"), 1);

    // An auditor who asks the witness for its checkpoint sees it offline.
    let known = clinic.gateway.scratch().write("remembered", &remembered);
    let words = ["audit", "verify", "--checkpoint", known.to_str().unwrap()];
    let verified = clinic.gateway.try_command(&words);
    assert!(!verified.success && verified.err.contains("does not hold"), "{verified:?}");

    // It grows past what they have: another history, which no proof covers.
    while clinic.checkpoint("checkpoint").0 <= size(&remembered).saturating_add(2) {
        clinic.work(10);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    until("both say that it was forked", || said("log-forked") >= 2).await;
    for forked in both("log-forked") {
        assert!(clinic.contradictions().contains(&forked), "{forked:?}");
    }
    let said = std::fs::read_to_string(clinic.neighbour.output()).unwrap();
    assert!(said.contains("a log was forked, or cannot prove that it was not"), "{said}");
    assert_eq!(clinic.neighbour.last(&origin), remembered, "what it remembers stays");
    assert!(clinic.checkpoint("checkpoint.cosigned").0 < size(&remembered), "and nothing new is cosigned");
    let verified = clinic.gateway.try_command(&words);
    assert!(
        !verified.success && verified.err.contains("not those of the checkpoint that is known"),
        "{verified:?}"
    );
}

/// A witness that we did not write (PyPI `aics-witness`) cosigns our log, and a verifier that we did not write (`aics-tlog`)
/// says that it did, and that a witness of ours did.
#[tokio::test]
async fn a_witness_and_a_verifier_that_others_wrote_agree_with_ours() {
    if !has("aics-witness", &["--version"]) || !has("aics-tlog", &["--version"]) {
        println!("skipped: needs aics-witness and aics-tlog of PyPI (Python 3.12) on the path");
        return;
    }
    let scratch = Scratch::new("witness-of-others");
    let [port, own_port] = free_ports();
    let config = scratch.path().join("witness.json");
    let aics = |words: &[&str]| {
        let mut command = Command::new("aics-witness");
        command.args(words).arg("--config").arg(&config);
        command
    };
    let listen = format!("127.0.0.1:{port}");
    let made = aics(&["init", "--name", "aics.witness.test", "--listen", &listen]).output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let key = made.split_whitespace().find(|word| word.starts_with("aics.witness.test+")).unwrap().to_owned();
    let mut own = Witness::init(&scratch, "own", own_port, false);
    let theirs = format!("[[audit.witness]]\nname = \"aics\"\nkey = \"{key}\"\nurl = \"http://{listen}\"\n");
    let gateway = serve_in(scratch, "", &(theirs + &own.table()), SCOPE);
    let audit = gateway.folder().join("data/audit");
    let log = std::fs::read_to_string(audit.join("log.vkey")).unwrap().trim().to_owned();
    let origin = log.split('+').next().unwrap();
    succeed(&mut aics(&["add-log", "--origin", origin, "--vkey", &log]));
    let served = aics(&["serve"]).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    own.start(&audit.join("log.vkey"));
    let stand_in = Witness {
        name: "aics",
        key: key.clone(),
        folder: gateway.folder().join("aics"),
        port,
        tls: false,
        process: Some(served),
    };
    let cosigned = audit.join("checkpoint.cosigned");
    for least in [1, 4] {
        until("both cosigned", || {
            let note = std::fs::read_to_string(&cosigned).unwrap_or_default();
            size(&note) >= least && note.contains("aics.witness.test ") && note.contains("own.witness.test ")
        })
        .await;
        let mut verify = Command::new("aics-tlog");
        verify.args(["verify-checkpoint", "--log-key", &log, "--quorum", "2", "--max-age", "60", "--note"]);
        succeed(verify.arg(&cosigned).args(["--witness-key", &key, "--witness-key", &own.key]));
        for _ in 0..5 {
            gateway.audit(&["--limit", "1"]);
        }
    }
    drop(stand_in);
}
