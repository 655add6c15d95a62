//! The program, running on a folder of its own.

use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chartgate");

/// How often the gateway is killed under load; for the tests alone, and to the program an unknown key.
pub(crate) const KILLS: &str = "CHARTGATE_KILLS";

/// Runs its arguments until its own input ends, which it does at the latest when the tests do, and then ends them and
/// removes the folder. So nothing is left behind, however the tests end.
const GUARD: &str = r#"folder=$1; shift; "$@" >"$folder/output" 2>&1 & echo $!; cat >/dev/null
kill -9 $! 2>/dev/null; wait; [ -e "$folder/keep" ] || rm -rf "$folder""#;

/// Words before the program's own that make a write beyond a limit fail, as on a full disk, where a signal would end it.
pub(crate) const UNSIGNALLED: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

/// A folder that is removed with its guard.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chartgate-it-{}-{number}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that does not outlive the tests.
pub(crate) struct Process {
    guard: Child,
    pub(crate) pid: String,
    folder: PathBuf,
}

impl Process {
    fn start(folder: &Path, words: &[&str]) -> Self {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(folder)
            .args(words)
            .env_remove(KILLS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        Self { guard, pid: pid.trim().to_owned(), folder: folder.to_owned() }
    }

    fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.pid]).stderr(Stdio::null()).status().unwrap();
    }

    fn is_running(&self) -> bool {
        // A process that ended stays a zombie of its guard.
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.folder.join("output")).unwrap_or_default()
    }

    /// Waits for something that the process does.
    fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(self.is_running(), "{what}: it ended\n{}", self.output());
            assert!(begun.elapsed() < Duration::from_secs(90), "{what}: it took too long\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// How the gateway is started, and started again.
enum Start {
    Demo { words: Vec<String>, ready_file: PathBuf },
    Serve,
}

/// A running gateway.
pub(crate) struct Gateway {
    process: Option<Process>,
    start: Start,
    pub(crate) ready: Value,
    pub(crate) issuer: String,
    pub(crate) port: u16,
    config: PathBuf,
    ca_file: PathBuf,
    scratch: Scratch,
}

impl Gateway {
    /// `chartgate demo` on a fresh folder.
    pub(crate) fn demo(name: &str, more: &[&str]) -> Self {
        Self::demo_in(Scratch::new(name), more, &[])
    }

    /// The same, with words before the program's own: `env`, say, or a shell that sets a limit.
    pub(crate) fn demo_in(scratch: Scratch, more: &[&str], before: &[&str]) -> Self {
        let folder = scratch.path().join("demo");
        let ready_file = scratch.path().join("ready.json");
        let (folder, ready) = (folder.to_str().unwrap(), ready_file.to_str().unwrap());
        // Its sample server and its metrics take the two that follow.
        let [https, _, _] = free_ports();
        let listen = format!("127.0.0.1:{https}");
        let listen: &[&str] = if more.contains(&"--listen") { &[] } else { &["--listen", &listen] };
        let demo = [PROGRAM, "demo", "--dir", folder, "--ready-file", ready];
        let words = [before, &demo, listen, more].concat().into_iter().map(str::to_owned).collect();
        let config = scratch.path().join("demo/chartgate.toml");
        let ca_file = scratch.path().join("demo/tls/ca.pem");
        let start = Start::Demo { words, ready_file };
        let mut gateway = Self {
            process: None,
            start,
            ready: Value::Null,
            issuer: String::new(),
            port: 0,
            config,
            ca_file,
            scratch,
        };
        gateway.start();
        gateway
    }

    /// `chartgate serve` with the configuration `chartgate.toml` of this folder.
    pub(crate) fn serve(scratch: Scratch, issuer: &str) -> Self {
        let mut gateway = Self {
            process: None,
            start: Start::Serve,
            ready: Value::Null,
            issuer: issuer.to_owned(),
            port: issuer.rsplit(':').next().unwrap().parse().unwrap(),
            config: scratch.path().join("chartgate.toml"),
            ca_file: scratch.path().join("tls/ca.pem"),
            scratch,
        };
        gateway.start();
        gateway
    }

    /// Starts it, on what is there.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let folder = self.scratch.path();
        // The folder outlives this process: the guard leaves it, and `Scratch` removes it.
        std::fs::write(folder.join("keep"), "").unwrap();
        match &self.start {
            Start::Demo { words, ready_file } => {
                let _ = std::fs::remove_file(ready_file);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let process = Process::start(folder, &words);
                process.until("ready file", || ready_file.exists());
                self.ready = serde_json::from_slice(&std::fs::read(ready_file).unwrap()).unwrap();
                self.issuer = self.ready["issuer"].as_str().unwrap().to_owned();
                self.port = self.issuer.rsplit(':').next().unwrap().parse().unwrap();
                self.process = Some(process);
            }
            Start::Serve => {
                let words = [PROGRAM, "serve", "--config", self.config.to_str().unwrap()];
                let process = Process::start(folder, &[&UNSIGNALLED[..], &words].concat());
                let address = ("127.0.0.1", self.port);
                process.until("listening", || {
                    process.output().contains("serving") && std::net::TcpStream::connect(address).is_ok()
                });
                self.process = Some(process);
            }
        }
    }

    /// Leaves the removal of the folder to the guard: for a gateway that lives until the tests end.
    pub(crate) fn forever(self) -> Self {
        std::fs::remove_file(self.scratch.path().join("keep")).unwrap();
        self
    }

    /// `kill -9`, without warning.
    pub(crate) fn kill(&mut self) {
        let process = self.process.take().unwrap();
        process.signal("-KILL");
    }

    /// SIGHUP: it reads its configuration again.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().unwrap().signal("-HUP");
    }

    /// SIGTERM, and its end waited for: what it has said until then.
    pub(crate) fn terminate(&mut self) -> String {
        let process = self.process.take().unwrap();
        process.signal("-TERM");
        let begun = Instant::now();
        while process.is_running() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not end\n{}", process.output());
            std::thread::sleep(Duration::from_millis(20));
        }
        process.output()
    }

    pub(crate) fn kill_and_restart(&mut self) {
        self.kill();
        self.start();
    }

    pub(crate) fn pid(&self) -> &str {
        &self.process.as_ref().unwrap().pid
    }

    /// What it has written to its terminal.
    pub(crate) fn output(&self) -> String {
        self.process.as_ref().unwrap().output()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.config.parent().unwrap()
    }

    pub(crate) fn config(&self) -> &str {
        self.config.to_str().unwrap()
    }

    pub(crate) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    pub(crate) fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Gives a command; it has to succeed.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let done = self.try_command(words);
        assert!(done.success, "chartgate {words:?}: {}{}", done.out, done.err);
        done.out
    }

    /// Gives a command.
    pub(crate) fn try_command(&self, words: &[&str]) -> Done {
        chartgate(&[&["--config", self.config.to_str().unwrap()], words].concat())
    }

    /// The records of a question, newest last.
    pub(crate) fn audit(&self, question: &[&str]) -> Vec<Value> {
        let text = self.command(&[&["audit", "search", "--output", "json"], question].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A person made for one test, with a password.
    pub(crate) fn person(&self, role: &str, panel: &[&str]) -> Person {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("person-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let password = format!("quiet-otter-climbs-{name}");
        let file = self.scratch.write(&name, &password);
        let fhir_user = format!("Practitioner/{name}");
        let email = format!("{name}@clinic.example");
        let words = ["user", "add", &name, "--role", role, "--fhir-user", &fhir_user, "--email", &email];
        self.command(&[&words[..], &["--password-file", file.to_str().unwrap()]].concat());
        for patient in panel {
            self.command(&["care", "add", &name, patient]);
        }
        Person { name, password }
    }

    /// A person of the demo.
    pub(crate) fn demo_person(&self, name: &str) -> Person {
        let user = self.user(name);
        Person { name: name.to_owned(), password: user["password"].as_str().unwrap().to_owned() }
    }

    pub(crate) fn user(&self, name: &str) -> &Value {
        self.ready["users"].as_array().unwrap().iter().find(|user| user["username"] == name).unwrap()
    }

    pub(crate) fn client(&self, id: &str) -> &Value {
        self.ready["clients"].as_array().unwrap().iter().find(|client| client["client_id"] == id).unwrap()
    }

    pub(crate) fn secret(&self, client: &str) -> &str {
        self.client(client)["client_secret"].as_str().unwrap()
    }

    pub(crate) fn panel(&self, name: &str) -> Vec<&str> {
        self.user(name)["patients"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
    }

    pub(crate) fn patients(&self) -> Vec<&str> {
        self.ready["patients"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
    }

    /// A patient outside somebody's panel.
    pub(crate) fn stranger_to(&self, name: &str) -> &str {
        let panel = self.panel(name);
        self.patients().into_iter().find(|id| !panel.contains(id)).unwrap()
    }
}

/// A name and a password.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) success: bool,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Ports in a row, none of which another test of this process is given, or a demo that looks for one (16000 and more), or an
/// outgoing connection (32768 and more): each could take one before its gateway does, or while that is stopped.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static LEFT: LazyLock<Mutex<Range<u16>>> = LazyLock::new(|| {
        let ranges = [10_000..12_000, 12_000..14_000, 14_000..16_000];
        Mutex::new(ranges[usize::try_from(std::process::id() % 3).unwrap()].clone())
    });
    let mut left = LEFT.lock().unwrap();
    loop {
        let row = std::array::from_fn(|_| left.next().expect("all ports are used up"));
        if row.iter().all(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return row;
        }
    }
}

/// Runs the program to its end.
pub(crate) fn chartgate(words: &[&str]) -> Done {
    let output = Command::new(PROGRAM).args(words).env_remove(KILLS).stdin(Stdio::null()).output().unwrap();
    Done {
        success: output.status.success(),
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
