//! The log in storage that others wrote: moto's S3, with object lock, out of reach for a while, and the gateway killed. Each
//! request is signed again by botocore there and compared (`tests/outward/s3_server.py`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::browser::App;
use crate::gateway::{Scratch, free_ports};
use crate::outward_http::{python, scripts};
use crate::outward_syslog::{ask, exports, first_times, until, until_all_have};
use crate::routes::{SCOPE, serve_in};
use crate::wire::Connection;

/// The storage. It ends with its value.
struct Storage {
    process: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Storage {
    fn start(python: &Path, port: u16) -> Self {
        let mut server = Command::new(python);
        server.arg("-B").arg(scripts().join("s3_server.py")).arg(port.to_string());
        let mut process = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let asks = process.stdin.take().unwrap();
        let mut storage = Self { asks, answers: BufReader::new(process.stdout.take().unwrap()), process };
        assert_eq!(storage.line(), "ready");
        storage
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// All objects, in the order of their names, after somebody tried to remove each.
    fn objects(&mut self) -> Vec<Value> {
        writeln!(self.asks, "all").unwrap();
        self.asks.flush().unwrap();
        let mut objects = Vec::new();
        loop {
            match self.line() {
                end if end == "end" => return objects,
                line => objects.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))),
            }
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The way to the storage, as long as its value is there.
struct Way(JoinHandle<()>);

impl Way {
    async fn open(port: u16, storage: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        Self(tokio::spawn(async move {
            let mut passing = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                passing.spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", storage)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }))
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn tables(port: u16) -> String {
    format!(
        "[[route]]\nname = \"orders\"\nkind = \"http\"\npath = \"/orders\"\nupstream = \"http://127.0.0.1:9/api\"\n\
         [[route.allow]]\nmethods = [\"GET\"]\npath = \"/orders/{{id}}\"\nscope = \"orders.read\"\nroles = [\"billing\"]\n\
         [[audit.export]]\nname = \"archive\"\nkind = \"s3\"\nurl = \"http://127.0.0.1:{port}/evidence\"\n\
         region = \"eu-central-1\"\naccess_key_id = \"AKIACHARTGATE\"\n\
         secret_access_key = {{ file = \"bucket-secret\" }}\nfrom = \"start\"\npatients = \"ids\"\n\
         segment_records = 64\nsegment_time = \"1s\"\n"
    )
}

#[tokio::test]
async fn storage_keeps_every_stretch_of_the_log_locked_whoever_was_away() {
    let scratch = Scratch::new("outward-s3");
    let Some(python) = python(scratch.path()) else { return };
    scratch.write("bucket-secret", "a key of the bucket's own\n");
    let [port, behind] = free_ports();
    let mut storage = Storage::start(&python, behind);
    let way = Way::open(port, behind).await;
    let mut gateway = serve_in(scratch, "", &tables(port), SCOPE);
    let app = App { client: "till", secret: None, scope: SCOPE, patient: None, route: "/orders" };
    let person = gateway.person("physician", &[]);
    let token = app.tokens(&gateway, &person).await.access;
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 150).await;
    drop(way);
    ask(&mut connection, &token, 200).await;
    until("it is away", || exports(&gateway)[0]["failure"] == "unreachable").await;
    let way = Way::open(port, behind).await;
    ask(&mut connection, &token, 100).await;
    gateway.kill_and_restart();
    let mut connection = Connection::open(&gateway).await;
    ask(&mut connection, &token, 100).await;
    let end = until_all_have(&gateway).await;
    drop(way);

    let objects = storage.objects();
    let mut indexes = Vec::new();
    for object in &objects {
        let key = object["key"].as_str().unwrap();
        assert_eq!((&object["mode"], &object["removed"]), (&"COMPLIANCE".into(), &false.into()), "{key}");
        let year: u32 = object["until"].as_str().unwrap().split('-').next().unwrap().parse().unwrap();
        assert!(year >= 2031, "six years: {key} {year}");
        let mut lines = object["body"].as_str().unwrap().lines();
        let head: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        let records: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let stretch: Vec<u64> = records.iter().map(|record| record["index"].as_u64().unwrap()).collect();
        let (first, next) = (head["first"].as_u64().unwrap(), head["next"].as_u64().unwrap());
        assert_eq!(stretch, (first..next).collect::<Vec<_>>(), "{key}");
        assert_eq!(key, format!("chartgate/{first:020}-{next:020}.ndjson"));
        assert!(stretch.len() <= 64);
        let checkpoint = head["checkpoint"].as_str().unwrap();
        assert!(
            checkpoint.starts_with(head["origin"].as_str().unwrap()) && checkpoint.contains("\n\n\u{2014} ")
        );
        indexes.extend(stretch);
    }
    let first = first_times(indexes.iter().copied());
    assert_eq!(first, (0..=*first.last().unwrap()).collect::<Vec<_>>(), "nothing is missing");
    assert!(first.last() >= Some(&end), "{end}");
    println!(
        "{} objects, {} records, {} twice",
        objects.len(),
        first.len(),
        indexes.len().saturating_sub(first.len())
    );
    assert!(objects.len() < 60, "{} objects", objects.len());
}
