use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::journal::Durability;
use chartgate_audit::note::LogSigner;
use chartgate_audit::open::{Opened, Setup, open};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_audit::storage::{CheckpointKeeper, Objects};
use chartgate_values::{Phi, Secret, SeededEntropy, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::journal_fs::{ObjectFolder, SegmentFolder};

/// A folder that ends with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chartgate-index-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn place(folder: &Path, seed: u8) -> Place {
    let key =
        LogSigner::from_seed("gate.test/audit", &Secret::new([seed; 32])).unwrap().verifier_key().clone();
    Place::new(&folder.join("index.db"), &key, &MasterKey::from_bytes([7; 32])).unwrap()
}

fn entry(index: u64, user: u8, patient: u8) -> Entry {
    let outcome = if user == 0 { Outcome::Deny } else { Outcome::Allow };
    let time = Timestamp::from_unix(i64::try_from(index).unwrap());
    let mut record = Record::new(Event::Access, outcome, time);
    record.actor.sub = Some(format!("user-{user}"));
    record.patients = vec![Phi::new(format!("patient-{patient}"))];
    Entry { index, record, sealed: None }
}

fn covering(folder: &Path, entries: &[Entry]) -> AuditIndex {
    let mut index = AuditIndex::open(&place(folder, 1)).unwrap();
    for part in entries.chunks(300) {
        let next = part.last().unwrap().index.saturating_add(1);
        let mut additions = Additions::default();
        part.iter().for_each(|entry| index.note(entry, &mut additions));
        index.add(additions, next).unwrap();
    }
    index
}

#[test]
fn an_index_of_another_log_is_begun_anew() {
    let folder = Scratch::new();
    let entries: Vec<_> = (0..10).map(|at| entry(at, 1, 1)).collect();
    assert_eq!(covering(folder.path(), &entries).next(), Ok(10));
    assert_eq!(AuditIndex::open(&place(folder.path(), 1)).unwrap().next(), Ok(10), "it is kept");
    assert!(AuditIndex::open_to_search(&place(folder.path(), 2)).is_none());
    assert_eq!(AuditIndex::open(&place(folder.path(), 2)).unwrap().next(), Ok(0));
    assert!(AuditIndex::open_to_search(&place(folder.path(), 1)).is_none());
}

#[test]
fn it_holds_nothing_that_can_be_read() {
    let folder = Scratch::new();
    drop(covering(folder.path(), &[entry(0, 1, 1)]));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for text in ["user-1", "patient-1"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
        }
    }
}

#[test]
fn what_a_month_that_ended_held_is_made_anew_without_it() {
    let folder = Scratch::new();
    let months = |all: &[&str]| -> Vec<Month> { all.iter().map(|month| month.parse().unwrap()).collect() };
    let index = covering(folder.path(), &[entry(0, 1, 1)]);
    assert_eq!(index.is_of_what_is_there(&months(&["2026-10"])), Ok(true));
    assert_eq!(index.is_of_what_is_there(&months(&["2026-10", "2026-11"])), Ok(true), "a month came");
    assert_eq!(index.is_of_what_is_there(&months(&["2026-11"])), Ok(false), "one has ended");
    let empty = AuditIndex::open(&place(folder.path(), 2)).unwrap();
    assert_eq!(empty.is_of_what_is_there(&months(&["1970-01", "2026-11"])), Ok(true), "nothing to miss yet");
    let index = covering(folder.path(), &[entry(0, 1, 1)]);
    assert_eq!(index.is_of_what_is_there(&months(&["1970-01"])), Ok(false), "one is back");
}

/// A log in a folder, of one record about a patient, of the first month that there is.
fn log_of_one_patient(folder: &Path) {
    let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::open(folder).unwrap());
    let setup = Setup {
        keys: Arc::new(DataKeys::new(Arc::clone(&objects), &MasterKey::from_bytes([7; 32])).unwrap()),
        objects,
        segments: Arc::new(SegmentFolder::open(folder).unwrap()),
        keeper: Arc::new(NoKeeper),
        signer: LogSigner::from_seed("gate.test/audit", &Secret::new([1; 32])).unwrap(),
        entropy: Box::new(SeededEntropy::new(1)),
        durability: Durability::Fsync,
        segment_length: 1 << 20,
    };
    let Opened { journal, commit_loop, mut sequencer, .. } = open(setup, Timestamp::from_unix(0)).unwrap();
    let commits = std::thread::spawn(move || commit_loop.run(&mut |_| {}));
    let _ = journal.append_blocking(&entry(0, 1, 1).record, ()).unwrap();
    sequencer.sequence_once(Timestamp::from_unix(0)).unwrap();
    journal.close();
    commits.join().unwrap();
}

struct NoKeeper;

impl CheckpointKeeper for NoKeeper {
    fn last(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn advance(&self, _: Option<&SignedCheckpoint>, _: &SignedCheckpoint) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_month_held_is_found_again_once_its_key_is_back() {
    let folder = Scratch::new();
    let log = folder.path().join("log");
    log_of_one_patient(&log);
    let place = place(folder.path(), 1);
    let following = || {
        let (stop, stopped) = mpsc::channel::<()>();
        let (place, log) = (place.clone(), log.clone());
        let thread = std::thread::spawn(move || {
            let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::of_copy(&log));
            let keys = DataKeys::new(Arc::clone(&objects), &MasterKey::from_bytes([7; 32])).unwrap();
            let keys = Arc::new(keys);
            let key = LogSigner::from_seed("gate.test/audit", &Secret::new([1; 32])).unwrap();
            let segments = Arc::new(SegmentFolder::of_copy(&log));
            let reader = Reader::new(objects, segments, key.verifier_key().clone(), Some(Arc::clone(&keys)));
            follow(&place, (&reader, &keys), &Arc::default(), &stopped);
        });
        (stop, thread)
    };
    let until_found = |expected: &[u64]| {
        let ours = Filter { patient: Some(Phi::new("patient-1".to_owned())), ..Filter::default() };
        for _ in 0..600 {
            let index = AuditIndex::open_to_search(&place).filter(|index| index.next() == Ok(1));
            let found = index.and_then(|index| index.candidates(&ours).ok());
            if found.as_deref() == Some(expected) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{expected:?} is not what the index comes to say");
    };
    let (stop, thread) = following();
    until_found(&[0]);
    drop(stop);
    thread.join().unwrap();

    // What was read once is kept in memory: so the key is away before the next start.
    let (file, away) = (log.join("keys/1970-01.json"), folder.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    let (stop, thread) = following();
    until_found(&[]);
    std::fs::rename(&away, &file).unwrap();
    until_found(&[0]);
    drop(stop);
    thread.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// The index leaves out nothing that a filter admits, also where blocks and bundles meet.
    #[test]
    fn every_record_that_a_filter_admits_is_a_candidate(
        first in prop::sample::select(vec![0_u64, BLOCK - 300, 3 * BLOCK - 1]),
        told in prop::collection::vec((0_u8..3, 0_u8..4), 1..700),
        user in prop::option::of(0_u8..4), patient in prop::option::of(0_u8..5),
        denied in any::<bool>(), span in prop::option::of((0_u64..700, 0_u64..300)),
    ) {
        let folder = Scratch::new();
        let entries: Vec<_> =
            (first..).zip(&told).map(|(at, (user, patient))| entry(at, *user, *patient)).collect();
        let index = covering(folder.path(), &entries);
        let at = |offset: u64| Timestamp::from_unix(i64::try_from(first.saturating_add(offset)).unwrap());
        let filter = Filter {
            user: user.map(|user| format!("user-{user}")),
            patient: patient.map(|patient| Phi::new(format!("patient-{patient}"))),
            outcome: denied.then_some(Outcome::Deny),
            since: span.map(|(from, _)| at(from)),
            until: span.map(|(from, length)| at(from.saturating_add(length))),
            ..Filter::default()
        };
        let candidates = index.candidates(&filter).unwrap();
        prop_assert!(candidates.is_sorted());
        let candidates: BTreeSet<u64> = candidates.into_iter().collect();
        let admitted: BTreeSet<u64> =
            entries.iter().filter(|entry| filter.admits(entry)).map(|entry| entry.index).collect();
        prop_assert!(admitted.is_subset(&candidates), "{:?}", admitted.difference(&candidates));
        if user.is_some() && span.is_none() {
            prop_assert_eq!(admitted, candidates, "terms alone are exact");
        }
    }
}
