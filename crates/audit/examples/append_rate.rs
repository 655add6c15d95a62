//! How many records a second the log takes with 64 waiting, beside what the disk does with writes of the same size.
//!
//! `cargo run --release -p chartgate-audit --example append_rate -- FOLDER`

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a measurement"
)]

#[path = "../../server/src"]
mod server {
    #[expect(dead_code, reason = "the server's module, of which this uses a part")]
    pub(crate) mod journal_fs;
}

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::journal::{Awaited, Durability, Journal};
use chartgate_audit::note::LogSigner;
use chartgate_audit::open::{Opened, Setup, open};
use chartgate_audit::record::{Actor, ActorKind, Decision, Event, Outcome, Record, Request, Response};
use chartgate_audit::storage::{CheckpointKeeper, Objects, Segments};
use chartgate_values::seal::MasterKey;
use chartgate_values::{Phi, Secret, SeededEntropy, Timestamp};
use server::journal_fs::{ObjectFolder, SegmentFolder};

const WAITING: usize = 64;
const DRIVERS: usize = 2;
const SHARE: usize = WAITING / DRIVERS;
const ROUND: Duration = Duration::from_secs(3);
const NOW: i64 = 1_793_836_800;

fn main() {
    // A fresh folder: many files removed just before make new ones slow on some file systems.
    let folder =
        std::env::args().nth(1).unwrap_or_else(|| format!("target/append_rate-{}", std::process::id()));
    let root = Path::new(&folder);
    std::fs::create_dir_all(root).unwrap();
    let mut ratios = Vec::new();
    for round in 0..3 {
        let before = processor_time();
        let (ours, mean_batch, leaf) = appends(&root.join(round.to_string()));
        let spent = (processor_time() - before).as_secs_f64() * 1e6 / (ours * ROUND.as_secs_f64());
        let disk = disk_rate(&root.join(format!("raw-{round}")), leaf);
        println!(
            "log {ours:.0}/s, {mean_batch:.1} a sync, {spent:.1} us CPU each; disk {disk:.0}/s; ratio {:.2}",
            ours / disk
        );
        ratios.push(ours / disk);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    let _ = std::fs::remove_dir_all(root);
}

/// What the process has had of the processors so far, to a hundredth of a second; none where `/proc` is not.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// Writes of 64 leaves each into a prewritten file, a sync after each.
fn disk_rate(root: &Path, leaf: usize) -> f64 {
    let _ = ObjectFolder::open(root).unwrap();
    let segments = SegmentFolder::open(root).unwrap();
    let bytes = vec![b'x'; leaf * WAITING];
    let (mut writes, started) = (0_u64, Instant::now());
    let (mut number, mut offset) = (1, 0);
    let mut segment = segments.create(number, SEGMENT).unwrap();
    let mut making = Duration::ZERO;
    while started.elapsed() < ROUND {
        if offset + bytes.len() as u64 > SEGMENT {
            let before = Instant::now();
            (number, offset) = (number + 1, 0);
            segment = segments.create(number, SEGMENT).unwrap();
            making += before.elapsed();
        }
        segment.write_at(offset, &bytes).unwrap();
        segment.sync().unwrap();
        offset += bytes.len() as u64;
        writes += 1;
    }
    (writes * WAITING as u64) as f64 / (started.elapsed() - making).as_secs_f64()
}

const SEGMENT: u64 = 16 << 20;

fn appends(root: &Path) -> (f64, f64, usize) {
    let objects = Arc::new(ObjectFolder::open(root).unwrap());
    let segments = Arc::new(Counting(SegmentFolder::open(root).unwrap(), Arc::default(), Arc::default()));
    let keys = DataKeys::new(objects.clone(), &MasterKey::from_bytes([7; 32])).unwrap();
    let setup = Setup {
        objects: objects as Arc<dyn Objects>,
        segments: segments.clone(),
        keeper: Arc::new(Keeper::default()),
        signer: LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).unwrap(),
        keys: Arc::new(keys),
        entropy: Box::new(SeededEntropy::new(1)),
        durability: Durability::Fsync,
        segment_length: SEGMENT,
    };
    let Opened { journal, commit_loop, mut sequencer, .. } = open(setup, Timestamp::from_unix(NOW)).unwrap();
    let started = Instant::now();
    let mut done = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| commit_loop.run(&mut |event| panic!("{event:?}")));
        let sequencing = scope.spawn({
            let journal = journal.clone();
            move || {
                // As the server does it.
                for second in 1..=ROUND.as_secs() {
                    let due = started + Duration::from_secs(second);
                    while sequencer.wait(due.saturating_duration_since(Instant::now())) == Awaited::Much {
                        sequencer.absorb().unwrap();
                    }
                    sequencer.sequence_once(Timestamp::from_unix(NOW)).unwrap();
                }
                drop(journal);
            }
        });
        let drivers: Vec<_> = (0..DRIVERS).map(|_| scope.spawn(|| drive(&journal, started))).collect();
        done = drivers.into_iter().map(|driver| driver.join().unwrap()).sum();
        sequencing.join().unwrap();
        journal.close();
    });
    let syncs = segments.1.load(Ordering::Relaxed).max(1);
    let leaf = segments.2.load(Ordering::Relaxed) / done;
    (done as f64 / ROUND.as_secs_f64(), done as f64 / syncs as f64, usize::try_from(leaf).unwrap())
}

/// Keeps its share of the appends waiting, as a server's worker would.
fn drive(journal: &Journal, started: Instant) -> u64 {
    type Waiting = Pin<Box<dyn Future<Output = bool> + Send>>;
    let append = |n: u64| -> Waiting {
        let appended = journal.append(&record(n), ());
        Box::pin(async move { appended.await.is_ok() })
    };
    let ready = Arc::new(Ready { tasks: Mutex::default(), driver: std::thread::current() });
    let wakers: Vec<Waker> =
        (0..SHARE).map(|task| Waker::from(Arc::new(Task(task, ready.clone())))).collect();
    let mut tasks: Vec<Waiting> = (0..SHARE as u64).map(append).collect();
    let mut queue: VecDeque<usize> = (0..SHARE).collect();
    let mut done = 0;
    while started.elapsed() < ROUND {
        let Some(task) = queue.pop_front() else {
            std::mem::swap(&mut queue, &mut ready.tasks.lock().unwrap());
            if queue.is_empty() {
                std::thread::park();
            }
            continue;
        };
        while let Poll::Ready(ok) = tasks[task].as_mut().poll(&mut Context::from_waker(&wakers[task])) {
            assert!(ok);
            done += 1;
            tasks[task] = append(done);
        }
    }
    done
}

/// The tasks of a driver that can go on. As with a server's worker, it is called once for all that become ready while it
/// is on its way.
struct Ready {
    tasks: Mutex<VecDeque<usize>>,
    driver: Thread,
}

struct Task(usize, Arc<Ready>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let Self(task, ready) = &*self;
        let mut tasks = ready.tasks.lock().unwrap();
        tasks.push_back(*task);
        let is_first = tasks.len() == 1;
        drop(tasks);
        if is_first {
            ready.driver.unpark();
        }
    }
}

fn record(number: u64) -> Record {
    let text = |text: &str| Some(text.to_owned());
    Record {
        actor: Actor {
            sub: text("dana"),
            client_id: text("demo-app"),
            kind: ActorKind::Human,
            fhir_user: Some(Phi::new("Practitioner/dana".into())),
            roles: vec!["physician".into()],
        },
        action: text("read"),
        resource: Some(Phi::new("Observation/0b9a7c1e-90e4-4f4e-8f5c-7d1a2b3c4d5e".into())),
        patients: vec![Phi::new("9f2d8c34-61c7-4a8e-b7f3-2a1b3c4d5e6f".into())],
        purpose_of_use: text("TREAT"),
        decision: Decision { policies: vec!["physician-reads-own-panel".into()], ..Decision::default() },
        session: text("01JB8Q2V7W5XK3Z9YHTD4M6N8P"),
        jti: text("01JB8Q2V7W5XK3Z9YHTD4M6N8Q"),
        source_ip: Some(Phi::new([192, 0, 2, 17].into())),
        request_id: Some(format!("01JB8Q2V7W5XK3Z9YH{number:08}")),
        route: text("ehr"),
        request: Request { method: text("GET"), ..Request::default() },
        response: Response { status: Some(200), count: Some(1), bytes: Some(1431), ..Response::default() },
        ..Record::new(Event::Access, Outcome::Allow, Timestamp::from_unix(NOW))
    }
}

/// Counts syncs and bytes written.
struct Counting(SegmentFolder, Arc<AtomicU64>, Arc<AtomicU64>);

impl Segments for Counting {
    fn numbers(&self) -> std::io::Result<Vec<u64>> {
        self.0.numbers()
    }

    fn create(
        &self,
        number: u64,
        length: u64,
    ) -> std::io::Result<Box<dyn chartgate_audit::storage::Segment>> {
        let inner = self.0.create(number, length)?;
        Ok(Box::new(CountingSegment(inner, Arc::clone(&self.1), Arc::clone(&self.2))))
    }

    fn read_at(&self, number: u64, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        self.0.read_at(number, offset, length)
    }

    fn discard(&self, number: u64) -> std::io::Result<()> {
        self.0.discard(number)
    }
}

struct CountingSegment(Box<dyn chartgate_audit::storage::Segment>, Arc<AtomicU64>, Arc<AtomicU64>);

impl chartgate_audit::storage::Segment for CountingSegment {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.2.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.0.write_at(offset, bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sync()
    }
}

#[derive(Default)]
struct Keeper(Mutex<Option<String>>);

impl CheckpointKeeper for Keeper {
    fn last(&self) -> std::io::Result<Option<String>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn advance(&self, _: Option<&SignedCheckpoint>, new: &SignedCheckpoint) -> std::io::Result<()> {
        *self.0.lock().unwrap() = Some(new.note().to_owned());
        Ok(())
    }
}
