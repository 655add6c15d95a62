//! The server's file storage against the contracts of `audit::storage`, and a log on a real disk.

#![expect(clippy::unwrap_used, reason = "a test, of which some parts stand outside test functions")]

#[path = "../../server/src"]
mod server {
    pub(crate) mod journal_fs;
}

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::journal::{Durability, Journal};
use chartgate_audit::note::{LogSigner, VerifierKey};
use chartgate_audit::open::{Opened, Setup, VERIFIER_KEY, open};
use chartgate_audit::proof::TlogProof;
use chartgate_audit::reader::Reader;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_audit::storage::{CheckpointKeeper, Object, Objects as _, Segments as _};
use chartgate_audit::verify::verify;
use chartgate_values::seal::MasterKey;
use chartgate_values::{Phi, Secret, SeededEntropy, Timestamp};
use server::journal_fs::{ObjectFolder, SegmentFolder};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn object(path: &str, bytes: &[u8]) -> Object {
    Object { path: path.into(), bytes: bytes.into() }
}

#[test]
fn objects_are_stored_replaced_listed_and_removed() {
    let folder = Folder::new("objects");
    let objects = ObjectFolder::open(&folder.0.join("audit")).unwrap();
    objects.put(&[object("tile/0/x001/234", b"tile"), object("checkpoint", b"one")]).unwrap();
    objects.put(&[object("checkpoint", b"two"), object("tile/0/x001/235.p/7", b"part")]).unwrap();
    assert_eq!(objects.read("checkpoint").unwrap(), b"two");
    assert_eq!(objects.read("tile/0/x001/234").unwrap(), b"tile");
    let listed = |path: &str| objects.list(path).unwrap().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(listed("tile/0/x001"), ["234".to_owned(), "235.p".to_owned()].into());
    assert_eq!(listed("nowhere"), BTreeSet::new());
    assert_eq!(objects.read("nowhere").unwrap_err().kind(), io::ErrorKind::NotFound);
    objects.remove("tile/0/x001/235.p").unwrap();
    objects.remove("tile/0/x001/235.p").unwrap();
    objects.remove("no/such/folder").unwrap();
    assert_eq!(listed("tile/0/x001"), ["234".to_owned()].into());
}

#[test]
fn what_a_crash_left_half_written_is_neither_listed_nor_in_the_way() {
    let folder = Folder::new("half");
    let objects = ObjectFolder::open(&folder.0).unwrap();
    fs::write(folder.0.join(".checkpoint"), b"half of a longer one").unwrap();
    assert!(objects.list("").unwrap().is_empty());
    objects.put(&[object("checkpoint", b"whole")]).unwrap();
    assert_eq!(objects.read("checkpoint").unwrap(), b"whole");
    fs::create_dir(folder.0.join("journal")).unwrap();
    let half = folder.0.join("journal/.00000000000000000009");
    fs::write(&half, vec![1; 9999]).unwrap();
    let segments = SegmentFolder::open(&folder.0).unwrap();
    assert!(!half.exists(), "its space is free again");
    fs::write(folder.0.join("journal/.00000000000000000001"), vec![1; 9999]).unwrap();
    assert!(segments.numbers().unwrap().is_empty());
    segments.create(1, 4096).unwrap();
    assert_eq!(segments.read_at(1, 0, 9999).unwrap(), vec![0; 4096]);
}

#[test]
fn files_are_their_owner_s_alone() {
    let folder = Folder::new("modes");
    let root = folder.0.join("audit");
    let objects = ObjectFolder::open(&root).unwrap();
    objects.put(&[object("keys/2026-11.json", b"{}")]).unwrap();
    SegmentFolder::open(&root).unwrap().create(1, 1000).unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("keys"), mode("journal")], [0o700; 3]);
    assert_eq!([mode("keys/2026-11.json"), mode("journal/00000000000000000001")], [0o600; 2]);
}

#[test]
fn segments_are_made_of_zeros_written_in_place_and_never_twice() {
    let folder = Folder::new("segments");
    let segments = SegmentFolder::open(&folder.0).unwrap();
    let mut segment = segments.create(7, 600_001).unwrap();
    segments.create(12, 1).unwrap();
    assert_eq!(segments.create(7, 1).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(segments.numbers().unwrap(), [7, 12]);
    segment.write_at(599_998, b"end").unwrap();
    segment.write_at(3, b"abc").unwrap();
    segment.sync().unwrap();
    assert_eq!(segments.read_at(7, 0, 8).unwrap(), b"\0\0\0abc\0\0");
    assert_eq!(segments.read_at(7, 599_997, 100).unwrap(), b"\0end");
    assert!(segments.read_at(7, 700_000, 100).unwrap().is_empty());
    assert_eq!(segments.read_at(8, 0, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    segments.discard(12).unwrap();
    segments.discard(12).unwrap();
    assert_eq!(segments.numbers().unwrap(), [7]);
    assert!(SegmentFolder::of_copy(&folder.0.join("nowhere")).numbers().unwrap().is_empty());
}

#[derive(Default)]
struct Keeper(Mutex<Option<String>>);

impl CheckpointKeeper for Keeper {
    fn last(&self) -> io::Result<Option<String>> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn advance(&self, old: Option<&SignedCheckpoint>, new: &SignedCheckpoint) -> io::Result<()> {
        let mut kept = self.0.lock().unwrap();
        if kept.as_deref() != old.map(SignedCheckpoint::note) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        *kept = Some(new.note().to_owned());
        Ok(())
    }
}

const NOW: i64 = 1_793_836_800;

fn keys(root: &Path) -> Arc<DataKeys> {
    let objects = Arc::new(ObjectFolder::open(root).unwrap());
    Arc::new(DataKeys::new(objects, &MasterKey::from_bytes([7; 32])).unwrap())
}

fn open_log(root: &Path, keeper: &Arc<Keeper>, durability: Durability) -> Opened {
    let setup = Setup {
        objects: Arc::new(ObjectFolder::open(root).unwrap()),
        segments: Arc::new(SegmentFolder::open(root).unwrap()),
        keeper: Arc::clone(keeper) as Arc<dyn CheckpointKeeper>,
        signer: LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).unwrap(),
        keys: keys(root),
        entropy: Box::new(SeededEntropy::new(fs::read_dir(root.join("journal")).unwrap().count() as u64)),
        durability,
        segment_length: 1 << 20,
    };
    open(setup, Timestamp::from_unix(NOW)).unwrap()
}

fn record(number: u64) -> Record {
    Record {
        request_id: Some(number.to_string()),
        patients: vec![Phi::new(format!("patient-{number}"))],
        ..Record::new(Event::Access, Outcome::Allow, Timestamp::from_unix(NOW))
    }
}

fn append(journal: &Journal, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(journal.append_blocking(&record(number), ()).unwrap().index(), number);
    }
}

#[test]
fn a_log_on_a_disk_is_written_read_verified_proved_and_opened_again() {
    let folder = Folder::new("log");
    let root = folder.0.join("audit");
    ObjectFolder::open(&root).unwrap();
    SegmentFolder::open(&root).unwrap();
    let keeper = Arc::new(Keeper::default());
    for start in [0, 700] {
        let Opened { journal, commit_loop, mut sequencer, recovered } =
            open_log(&root, &keeper, Durability::Fsync);
        assert_eq!((recovered.size, recovered.torn_bytes), (start, 0));
        std::thread::scope(|scope| {
            scope.spawn(|| commit_loop.run(&mut |event| panic!("{event:?}")));
            append(&journal, start..start + 600);
            let sequenced = sequencer.sequence_once(Timestamp::from_unix(NOW)).unwrap();
            assert_eq!(sequenced.checkpoint.size(), start + 600);
            append(&journal, start + 600..start + 700);
            journal.close();
        });
    }

    let objects = Arc::new(ObjectFolder::of_copy(&root));
    let segments = Arc::new(SegmentFolder::of_copy(&root));
    let vkey = String::from_utf8(objects.read(VERIFIER_KEY).unwrap()).unwrap();
    let key: VerifierKey = vkey.trim().parse().unwrap();
    let verified = verify(&*objects, &*segments, &key, None).unwrap();
    assert_eq!((verified.checkpoint.size, verified.uncovered), (1300, 100));
    let reader = Reader::new(objects.clone(), segments, key.clone(), Some(keys(&root)));
    let numbers = reader.entries(0).map(|entry| entry.unwrap().record);
    assert!(numbers.eq((0..1400).map(record)));
    let proof = TlogProof::prove(&*objects, 777, reader.checkpoint().unwrap()).unwrap();
    assert_eq!(TlogProof::parse(proof.to_string().as_bytes(), &key).unwrap(), proof);
}

#[test]
fn a_log_is_read_and_verified_while_it_is_written() {
    let folder = Folder::new("live");
    let root = folder.0.join("audit");
    ObjectFolder::open(&root).unwrap();
    SegmentFolder::open(&root).unwrap();
    let keeper = Arc::new(Keeper::default());
    let Opened { journal, commit_loop, mut sequencer, .. } = open_log(&root, &keeper, Durability::Os);
    let key = LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).unwrap().verifier_key().clone();
    std::thread::scope(|scope| {
        scope.spawn(|| commit_loop.run(&mut |event| panic!("{event:?}")));
        let writer = scope.spawn(|| append(&journal, 0..20_000));
        let sequencing = scope.spawn(|| {
            while journal.durable() < 20_000 {
                sequencer.sequence_once(Timestamp::from_unix(NOW)).unwrap();
            }
        });
        let objects = Arc::new(ObjectFolder::open(&root).unwrap());
        let segments = Arc::new(SegmentFolder::of_copy(&root));
        let reader = Reader::new(objects.clone(), segments.clone(), key.clone(), Some(keys(&root)));
        let (mut seen, mut verified) = (0, None);
        while seen < 20_000 {
            for entry in reader.entries(seen) {
                let entry = entry.expect("a live log is readable");
                assert_eq!((entry.index, entry.record), (seen, record(seen)));
                seen += 1;
            }
            let found = verify(&*objects, &*segments, &key, verified.as_ref()).expect("a live log holds");
            assert!(found.checkpoint.size + found.uncovered >= seen);
            verified = Some(found.checkpoint);
        }
        writer.join().unwrap();
        sequencing.join().unwrap();
        journal.close();
    });
}

/// Records are kept for years and versions come and go: what was written is verified, opened and told as it was then.
#[test]
fn what_an_earlier_version_wrote_is_verified_opened_and_told_as_then() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old");
    let folders = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut versions = 0_usize;
    for folder in folders {
        versions += 1;
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let objects = Arc::new(ObjectFolder::of_copy(&folder.join("audit")));
        let segments = Arc::new(SegmentFolder::of_copy(&folder.join("audit")));
        let key: VerifierKey = read("audit/log.vkey").trim().parse().unwrap();
        let verified = verify(&*objects, &*segments, &key, None).unwrap();
        assert_eq!(verified.uncovered, 0, "all of it is under its checkpoint");

        let hex = read("master.key");
        let byte = |at: usize| u8::from_str_radix(hex.get(2 * at..2 * at + 2).unwrap(), 16).unwrap();
        let master = MasterKey::from_bytes(std::array::from_fn(byte));
        let keys = Arc::new(DataKeys::new(objects.clone(), &master).unwrap());
        let reader = Reader::new(objects, segments, key, Some(keys));
        let now: Vec<_> = reader.entries(0).collect::<Result<_, _>>().unwrap();
        let then: Vec<serde_json::Value> =
            read("records.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(then.len() > 40 && then.len() <= now.len(), "{} of {}", then.len(), now.len());
        for (then, now) in then.iter().zip(&now) {
            assert_eq!(now.sealed, None, "its sealed part opens");
            let told: serde_json::Value = serde_json::from_str(&now.to_exposed_json()).unwrap();
            is_told_still(then, &told);
        }
    }
    assert!(versions > 0);
}

/// Later versions may tell more of a record, and nothing else.
fn is_told_still(then: &serde_json::Value, now: &serde_json::Value) {
    match then {
        serde_json::Value::Object(members) => {
            members.iter().for_each(|(name, value)| is_told_still(value, &now[name]));
        }
        then => assert_eq!(then, now),
    }
}
