//! Every file of a log, damaged in every way: flipped, cut, longer, gone, swapped with another, put back to an older version.
//! Each is noticed, and the file or the record is named.

use chartgate_values::Phi;

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::data_keys::Month;
use crate::open::OpenError;
use crate::sequencer::CHECKPOINT;
use crate::testing::record;

/// A log with blobs, three levels of files, and a journal whose tail fills several segments; and the same as it was before.
struct Ruin {
    bench: Bench,
    older: MemoryDisk,
    known: Checkpoint,
}

const COVERED: u64 = 600;
const ALL: u64 = 1600;

impl Ruin {
    fn new() -> Self {
        let bench = Bench::new();
        let mut log = bench.open().unwrap();
        let mut older = None;
        for n in 0..COVERED {
            // Some are so long that their sealed part lies in a file of its own.
            let count = if n % 199 == 20 { 5000 } else { 1 };
            let patients = (0..count).map(|patient| Phi::new(format!("patient-{patient}"))).collect();
            log.append(&Record { patients, ..record(n) });
            if n % 37 == 0 {
                log.sequencer.sequence_once(bench.now()).unwrap();
            }
            if n == 370 {
                older = Some(bench.disk.copy());
            }
        }
        log.sequencer.sequence_once(bench.now()).unwrap();
        for n in COVERED..ALL {
            log.append(&record(n));
        }
        log.stop();
        let note = bench.disk.read(CHECKPOINT).unwrap();
        let known = SignedCheckpoint::open(&note, &bench.key()).unwrap().checkpoint().clone();
        let ruin = Self { bench, older: older.unwrap(), known };
        let verified = ruin.verify(&ruin.bench.disk).unwrap();
        assert_eq!((verified.checkpoint.size, verified.uncovered), (COVERED, ALL.saturating_sub(COVERED)));
        ruin
    }

    fn verify(&self, disk: &MemoryDisk) -> Result<Verified, VerifyError> {
        verify(disk, disk, &self.bench.key(), Some(&self.known))
    }

    fn read(&self, file: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.bench.disk.copy().tamper(file, |content| bytes.clone_from(content));
        bytes
    }

    /// Whether a copy with this file as `content`, or without it, is refused by its name.
    fn refuses(&self, file: &str, content: Option<Vec<u8>>, how: &str) {
        let disk = self.bench.disk.copy();
        match content {
            Some(content) => disk.tamper(file, |bytes| *bytes = content),
            None => remove(&disk, file),
        }
        let error = self.verify(&disk).err().unwrap_or_else(|| panic!("{file} {how}: nobody notices"));
        assert!(names(&error.to_string(), file), "{file} {how}: {error}");
    }
}

fn remove(disk: &MemoryDisk, file: &str) {
    match file.strip_prefix("journal/") {
        Some(number) => Segments::discard(disk, number.parse().unwrap()).unwrap(),
        None => Objects::remove(disk, file).unwrap(),
    }
}

/// Whether an error says where the damage is: by the file, or by a record that is in it.
fn names(error: &str, file: &str) -> bool {
    let bundle = file.strip_prefix("tile/entries/").map(|rest| rest.split('.').next().unwrap());
    let of_bundle = bundle.is_some_and(|index| {
        let entry = error.strip_prefix("entry ").and_then(|rest| rest.split(' ').next());
        entry.and_then(|entry| entry.parse::<u64>().ok()).map(|entry| entry / TILE_SPAN) == index.parse().ok()
    });
    // What is wrong with a segment shows where the first record is that cannot be read: in it, or behind it.
    let of_journal =
        file.starts_with("journal/") && (error.contains("in segment") || error.contains("records "));
    error.contains(file) || of_bundle || of_journal
}

/// Ways to damage what is in a file.
fn damages(own: &[u8], used: usize) -> Vec<(&'static str, Vec<u8>)> {
    let last = used.saturating_sub(1);
    let flipped = |at: usize| {
        let mut bytes = own.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    vec![
        ("with its first byte flipped", flipped(0)),
        ("with a byte in the middle flipped", flipped(used / 2)),
        ("with its last byte flipped", flipped(last)),
        ("without its last byte", own[..last].to_vec()),
        ("cut in half", own[..used / 2].to_vec()),
        ("empty", Vec::new()),
    ]
}

#[test]
fn every_file_that_a_checkpoint_covers_is_missed_or_known_for_altered_by_its_name() {
    let ruin = Ruin::new();
    let files = ruin.bench.disk.paths();
    let covered: Vec<&String> = files
        .iter()
        .filter(|file| file.starts_with("tile/") || file.starts_with("blob/") || *file == CHECKPOINT)
        .collect();
    let others: Vec<&String> =
        files.iter().filter(|file| !covered.contains(file) && !file.starts_with("journal/")).collect();
    assert_eq!(others, ["keys/2026-11.json", "log.vkey", "open-intents"], "none that nobody looks at");
    let mut rows = 0;
    for file in &covered {
        let own = ruin.read(file);
        let mut ways: Vec<(&str, Option<Vec<u8>>)> =
            damages(&own, own.len()).into_iter().map(|(how, bytes)| (how, Some(bytes))).collect();
        ways.push(("longer by a byte", Some([&own[..], b"\n"].concat())));
        // A partial tile that became wider is needed no more, and may go. C2SP tlog-tiles.
        let is_outgrown = file.contains(".p/") && {
            let last = file.rsplit('/').next().unwrap().parse::<u64>().unwrap();
            let level = if file.starts_with("tile/1/") { COVERED / TILE_SPAN } else { COVERED % TILE_SPAN };
            last != level
        };
        if !is_outgrown {
            ways.push(("gone", None));
        }
        let kind = |name: &str| name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        for other in covered.iter().filter(|other| kind(other) == kind(file) && other != &file) {
            ways.push(("in the place of another", Some(ruin.read(other))));
        }
        if let Ok(older) = ruin.older.read(file)
            && older != own
        {
            ways.push(("as it was before", Some(older)));
        }
        for (how, content) in ways {
            ruin.refuses(file, content, how);
            rows += 1;
        }
    }
    println!("{rows} ways to damage {} files", covered.len());
    assert!(covered.len() >= 18 && rows >= 170, "{} files, {rows} rows", covered.len());
}

#[test]
fn a_segment_that_is_damaged_before_the_journal_s_end_is_noticed_and_the_record_named() {
    let ruin = Ruin::new();
    let files = ruin.bench.disk.paths();
    let used = |file: &str| {
        let bytes = ruin.read(file);
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        (bytes, length)
    };
    let segments: Vec<&String> =
        files.iter().filter(|file| file.starts_with("journal/") && used(file).1 > 0).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    let mut rows = 0;
    for (place, file) in segments.iter().enumerate() {
        let (own, length) = used(file);
        let is_last = place + 1 == segments.len();
        for (how, bytes) in damages(&own, length) {
            // Of the last segment, what is cut off at its end looks as if it had never been written.
            if !(is_last && (how.starts_with("without") || how.starts_with("cut") || how == "empty")) {
                ruin.refuses(file, Some(bytes), how);
                rows += 1;
            }
        }
        if !is_last {
            ruin.refuses(file, None, "gone");
            let next = segments[place + 1];
            let (other, _) = used(next);
            ruin.refuses(file, Some(other), "as the next one");
            rows += 2;
        }
    }
    println!("{rows} ways to damage {} segments", segments.len());
    assert!(rows >= 25, "{rows}");
}

/// What no checkpoint covers, and what the verifier needs no look at, is known for altered by who uses it.
#[test]
fn keys_and_the_log_s_own_name_are_known_for_altered_by_whoever_uses_them() {
    let ruin = Ruin::new();
    let file = "keys/2026-11.json";
    let own = ruin.read(file);
    let month: Month = "2026-11".parse().unwrap();
    for (how, bytes) in damages(&own, own.len()) {
        let disk = ruin.bench.disk.copy();
        disk.tamper(file, |content| *content = bytes);
        let bench = Bench { keeper: disk.clone(), disk, ..Bench::new() };
        assert!(bench.keys().for_opening(&month).is_err(), "{how}");
        // Never is another made in its place, with which what it sealed would be lost.
        assert!(matches!(bench.open(), Err(OpenError::DataKey(_))), "{how}");
    }
    // Another month's key is not this one's.
    let disk = ruin.bench.disk.copy();
    disk.put(&[Object { path: "keys/2026-10.json".into(), bytes: own }]).unwrap();
    let bench = Bench { disk, ..Bench::new() };
    assert!(bench.keys().for_opening(&"2026-10".parse().unwrap()).is_err());

    let own = ruin.read("log.vkey");
    for (how, bytes) in damages(&own, own.len()) {
        let disk = ruin.bench.disk.copy();
        disk.tamper("log.vkey", |content| *content = bytes);
        let bench = Bench { keeper: disk.clone(), disk, ..Bench::new() };
        assert!(matches!(bench.open(), Err(OpenError::OtherLog(_))), "{how}");
    }
}
