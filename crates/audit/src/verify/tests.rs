mod files;

use chartgate_values::Phi;
use serde_json::Value;

use super::*;
use crate::record::Record;
use crate::storage::Object;
use crate::storage::memory::MemoryDisk;
use crate::testing::{Bench, Running, record};
use crate::tile::push_entry;
use crate::vectors;

fn verify_bench(bench: &Bench) -> Result<Verified, VerifyError> {
    verify(&bench.disk, &bench.disk, &bench.key(), None)
}

fn log_of(records: u64) -> (Bench, Running) {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..records {
        log.append(&record(n));
        if n % 100 == 0 {
            log.sequencer.sequence_once(bench.now()).unwrap();
        }
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    (bench, log)
}

#[test]
fn a_sound_log_holds_and_its_tail_is_counted() {
    let (bench, log) = log_of(300);
    let verified = verify_bench(&bench).unwrap();
    assert_eq!((verified.checkpoint.size, verified.uncovered, verified.torn_bytes), (300, 0, 0));
    log.append(&record(300));
    log.append(&record(301));
    assert_eq!(verify_bench(&bench).unwrap().uncovered, 2);
}

#[test]
fn a_fresh_log_holds() {
    let bench = Bench::new();
    bench.open().unwrap().stop();
    assert_eq!(verify_bench(&bench).unwrap().checkpoint.size, 0);
}

#[test]
fn every_changed_byte_of_a_tile_or_bundle_is_noticed() {
    let (bench, _log) = log_of(260);
    let files =
        ["tile/entries/000", "tile/entries/001.p/4", "tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1"];
    for file in files {
        let length = bench.disk.read(file).unwrap().len();
        for at in (0..length).step_by(97) {
            let copy = Bench { disk: bench.disk.copy(), ..Bench::new() };
            copy.disk.tamper(file, |bytes| bytes[at] ^= 0x20);
            assert!(verify_bench(&copy).is_err(), "{file} at {at}");
        }
    }
}

#[test]
fn an_outgrown_partial_tile_must_begin_the_tile_that_it_became() {
    let (bench, _log) = log_of(210);
    assert!(bench.disk.read("tile/0/000.p/101").is_ok());
    for file in ["tile/0/000.p/101", "tile/entries/000.p/101"] {
        let copy = Bench { disk: bench.disk.copy(), ..Bench::new() };
        copy.disk.tamper(file, |bytes| bytes[40] ^= 1);
        assert!(matches!(verify_bench(&copy), Err(VerifyError::PartialDiffers(_))), "{file}");
    }
}

#[test]
fn the_first_wrong_place_is_named() {
    let (bench, _log) = log_of(300);
    let mut bundle = Vec::new();
    for (index, entry) in read_entries(&bench.disk, 0, Width::Full).unwrap().iter().enumerate() {
        let forged = String::from_utf8(entry.clone()).unwrap().replace("allow", "error");
        push_entry(&mut bundle, if index == 77 { forged.as_bytes() } else { entry }).unwrap();
    }
    bench.disk.put(&[Object { path: "tile/entries/000".into(), bytes: bundle }]).unwrap();
    assert!(matches!(verify_bench(&bench), Err(VerifyError::EntryDiffers { index: 77, .. })));
}

#[test]
fn damage_in_the_journal_s_tail_is_named() {
    let (bench, log) = log_of(1);
    for n in 1..4 {
        log.append(&record(n));
    }
    let segment = bench.disk.numbers().unwrap()[0];
    bench.disk.tamper(&format!("journal/{segment}"), |bytes| bytes[700] ^= 1);
    let error = verify_bench(&bench).unwrap_err();
    assert!(matches!(error, VerifyError::Journal(JournalError::Damaged { .. })), "{error}");
}

#[test]
fn a_file_that_an_entry_names_must_be_there_and_the_same() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let patients = (0..5000).map(|n| Phi::new(format!("patient-{n}"))).collect();
    log.append(&Record { patients, ..record(0) });
    assert!(verify_bench(&bench).is_ok());
    log.sequencer.sequence_once(bench.now()).unwrap();
    assert!(verify_bench(&bench).is_ok());
    let blob = format!("blob/{}", bench.disk.list("blob").unwrap()[0]);
    bench.disk.tamper(&blob, |bytes| bytes[0] ^= 1);
    assert!(matches!(verify_bench(&bench), Err(VerifyError::BlobDiffers { index: 0, .. })));
    Objects::remove(&bench.disk, &blob).unwrap();
    assert!(matches!(verify_bench(&bench), Err(VerifyError::BlobMissing { index: 0, .. })));
}

#[test]
fn a_known_checkpoint_must_be_extended() {
    let (bench, mut log) = log_of(100);
    let known = verify_bench(&bench).unwrap().checkpoint;
    let older = bench.disk.copy();
    log.append(&record(100));
    log.sequencer.sequence_once(bench.now()).unwrap();
    let newer = verify(&bench.disk, &bench.disk, &bench.key(), Some(&known)).unwrap().checkpoint;
    let rolled_back = verify(&older, &older, &bench.key(), Some(&newer));
    assert!(matches!(rolled_back, Err(VerifyError::OlderThanKnown { size: 100, known: 101 })));
    for forged in [
        Checkpoint { root: Hash::of_entry(b"forged"), ..known.clone() },
        Checkpoint { size: 0, ..known.clone() },
        Checkpoint { origin: "other.test/audit".into(), ..known },
    ] {
        let verified = verify(&bench.disk, &bench.disk, &bench.key(), Some(&forged));
        assert!(matches!(verified, Err(VerifyError::NotExtending(_))), "{forged:?}");
    }
}

fn open_checkpoint(key: &VerifierKey, name: &str) -> SignedCheckpoint {
    let note = std::fs::read(vectors::tlog().unwrap().join("own-300").join(name)).unwrap();
    SignedCheckpoint::open(&note, key).unwrap()
}

fn apply(case: &Value, disk: &MemoryDisk) {
    let file = case["file"].as_str().unwrap_or("checkpoint");
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    if let Some(note) = case["checkpoint"].as_str() {
        disk.tamper(file, |bytes| *bytes = note.as_bytes().to_vec());
    } else if let Some(name) = case["checkpoint_from"].as_str() {
        let note = std::fs::read(vectors::tlog().unwrap().join("own-300").join(name));
        // The checkpoint over 257 entries is not among the files; the one over 255 is as old.
        let note = note.or_else(|_| std::fs::read(vectors::tlog().unwrap().join("own-300/checkpoint.255")));
        disk.tamper(file, |bytes| *bytes = note.unwrap());
    } else if case["delete"].as_bool() == Some(true) {
        Objects::remove(disk, file).unwrap();
    } else {
        disk.tamper(file, |bytes| {
            if case["xor"].is_object() {
                bytes[number(&case["xor"]["offset"])] ^= u8::try_from(number(&case["xor"]["value"])).unwrap();
            } else if case["truncate"].is_u64() {
                bytes.truncate(number(&case["truncate"]));
            } else if case["append_hex"] == "00" {
                bytes.push(0);
            } else {
                let (a, b) = (number(&case["swap_entries"][0]), number(&case["swap_entries"][1]));
                let mut entries: Vec<_> =
                    parse_bundle(bytes).unwrap().into_iter().map(<[u8]>::to_vec).collect();
                entries.swap(a, b);
                bytes.clear();
                for entry in entries {
                    push_entry(bytes, &entry).unwrap();
                }
            }
        });
    }
}

#[test]
fn the_log_of_300_holds_and_each_way_to_tamper_with_it_is_noticed() {
    let Some(disk) = vectors::load("own-300/log") else { return };
    let key: VerifierKey =
        vectors::json("own-300/keys.json").unwrap()["log"]["vkey"].as_str().unwrap().parse().unwrap();
    let full = open_checkpoint(&key, "log/checkpoint");
    let older = open_checkpoint(&key, "checkpoint.255");
    let sound = verify(&disk, &disk, &key, Some(older.checkpoint())).unwrap();
    assert_eq!((sound.checkpoint.size, sound.uncovered), (300, 0));
    let cases = vectors::json("own-300/tamper.json").unwrap();
    for case in cases.as_array().unwrap() {
        let tampered = disk.copy();
        apply(case, &tampered);
        let known = case["known_size"].is_u64().then(|| full.checkpoint());
        let verified = verify(&tampered, &tampered, &key, known);
        assert!(verified.is_err(), "{}", case["name"]);
        println!("{}: {}", case["name"], verified.unwrap_err());
    }
    println!("{} ways to tamper", cases.as_array().unwrap().len());
}

#[test]
fn tessera_s_log_holds_at_every_size() {
    let Some(disk) = vectors::load("tessera-small-log") else { return };
    let key: VerifierKey =
        std::fs::read_to_string(vectors::tlog().unwrap().join("tessera-small-log/vkey.txt"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
    let mut known = None;
    for size in 1..=15 {
        let note = disk.read(&format!("checkpoint.{size}")).unwrap();
        disk.put(&[Object { path: "checkpoint".into(), bytes: note }]).unwrap();
        let verified = verify(&disk, &disk, &key, known.as_ref()).unwrap();
        assert_eq!(verified.checkpoint.size, size);
        known = Some(verified.checkpoint);
    }
}
