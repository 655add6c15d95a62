use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::record::Record;
use crate::storage::memory::{Fault, MemoryDisk};
use crate::testing::{Bench, Running, record};
use crate::verify::verify;

fn log_of(records: u64) -> (Bench, Running) {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    write(&bench, &mut log, 0..records);
    (bench, log)
}

fn write(bench: &Bench, log: &mut Running, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log.append(&record(number));
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
}

fn mirror(of: &Bench, into: &MemoryDisk) -> Result<Mirrored, MirrorError> {
    bring_up(into, &of.key(), &|path| of.disk.read(path))
}

/// How many records the copy holds, once all of it was verified by itself.
fn verified(copy: &MemoryDisk, of: &Bench) -> u64 {
    verify(copy, &MemoryDisk::new(), &of.key(), None).unwrap().checkpoint.size
}

#[test]
fn a_copy_follows_its_log_and_holds_by_itself() {
    let (bench, mut log) = log_of(0);
    let copy = MemoryDisk::new();
    claim(&copy, &bench.key()).unwrap();
    let mut size = 0;
    for new in [0, 1, 0, 200, 54, 1, 1, 300, 700, 256] {
        write(&bench, &mut log, size..size + new);
        size += new;
        let mirrored = mirror(&bench, &copy).unwrap();
        assert_eq!((mirrored.new, mirrored.checkpoint.size()), (new, size));
        assert_eq!(verified(&copy, &bench), size);
    }
    // Nothing that opens an entry has come along, and nothing of the gateway's own.
    assert!(!bench.disk.list("keys").unwrap().is_empty());
    assert!(copy.list("keys").unwrap().is_empty());
}

#[test]
fn what_an_entry_names_comes_before_it() {
    let (bench, mut log) = log_of(3);
    let mut long = record(3);
    long.request.query = Some(chartgate_values::Phi::new("q".repeat(40_000)));
    log.append(&long);
    write(&bench, &mut log, 4..6);
    let copy = MemoryDisk::new();
    mirror(&bench, &copy).unwrap();
    assert_eq!(verified(&copy, &bench), 6);
    let [name] = <[String; 1]>::try_from(copy.list("blob").unwrap()).unwrap();

    // Another file in its place is not taken for it, and without it nothing is.
    for change in [|bytes: &mut Vec<u8>| bytes[7] ^= 1, |bytes: &mut Vec<u8>| bytes.clear()] {
        let (lying, copy) = (Bench { disk: bench.disk.copy(), ..Bench::new() }, MemoryDisk::new());
        lying.disk.tamper(&format!("blob/{name}"), change);
        let refused = mirror(&lying, &copy).unwrap_err();
        assert!(matches!(refused, MirrorError::Blob(_)) && refused.is_contradiction(), "{refused}");
        assert!(copy.read(CHECKPOINT).is_err());
    }
    let (without, copy) = (Bench { disk: bench.disk.copy(), ..Bench::new() }, MemoryDisk::new());
    without.disk.remove(&format!("blob/{name}")).unwrap();
    let refused = mirror(&without, &copy).unwrap_err();
    assert!(matches!(refused, MirrorError::Log { .. }) && !refused.is_contradiction(), "{refused}");
}

#[test]
fn a_page_in_the_checkpoint_s_place_may_pass_and_another_signature_does_not() {
    let (bench, _log) = log_of(6);
    let lying = |change: &dyn Fn(&mut Vec<u8>)| {
        let lying = Bench { disk: bench.disk.copy(), ..Bench::new() };
        lying.disk.tamper(CHECKPOINT, change);
        let refused = mirror(&lying, &MemoryDisk::new()).unwrap_err();
        (refused.may_pass(), refused.is_contradiction())
    };
    assert_eq!(lying(&|bytes| *bytes = b"<html>Sign in to the network</html>".to_vec()), (true, false));
    let signed_by_another = |bytes: &mut Vec<u8>| {
        let other = Bench { seed: 8, ..Bench::new() };
        *bytes = SignedCheckpoint::sign(&other.signer(), 6, Hash::of(&[b"x"])).note().as_bytes().to_vec();
    };
    assert_eq!(lying(&signed_by_another), (false, true));
}

/// A log of 3,000 records with long fields, so that full bundles are stored before all of it is here.
fn long_log() -> (Bench, Running) {
    let (bench, mut log) = log_of(0);
    for number in 0..3_000 {
        log.append(&Record { action: Some("x".repeat(4_000)), ..record(number) });
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    (bench, log)
}

#[test]
fn a_first_copy_that_broke_off_goes_on_where_it_was_and_believes_nothing_that_the_log_did_not_sign() {
    let (bench, log) = long_log();
    let broken = MemoryDisk::new();
    let breaks_off = |path: &str| match path {
        "tile/entries/010" => Err(io::ErrorKind::BrokenPipe.into()),
        path => bench.disk.read(path),
    };
    bring_up(&broken, &bench.key(), &breaks_off).unwrap_err();
    let left = broken.list("tile/entries").unwrap().len();
    assert!(left > 3 && broken.read(CHECKPOINT).is_err(), "{left} bundles were left");

    let bring_up_again = |copy: &MemoryDisk| {
        let mut asked = 0;
        let counted = std::cell::RefCell::new(&mut asked);
        let mirrored = bring_up(copy, &bench.key(), &|path| {
            **counted.borrow_mut() += usize::from(path.starts_with("tile/entries"));
            bench.disk.read(path)
        });
        assert_eq!(mirrored.unwrap().new, 3_000);
        assert_eq!(verified(copy, &bench), 3_000);
        asked
    };
    assert_eq!(bring_up_again(&broken.copy()), 12 - left, "what is here is not asked for again");

    // Somebody has been at what was left: another's entries, or one that is none.
    for change in [|bytes: &mut Vec<u8>| bytes[9] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(9)] {
        let copy = broken.copy();
        copy.tamper("tile/entries/001", change);
        assert!(bring_up_again(&copy) >= 12 - 1);
    }
    log.stop();
}

#[test]
fn what_nobody_has_signed_for_names_no_files() {
    let (bench, mut log) = log_of(3);
    let mut long = record(3);
    long.request.query = Some(chartgate_values::Phi::new("q".repeat(40_000)));
    log.append(&long);
    write(&bench, &mut log, 4..300);
    let copy = MemoryDisk::new();
    let breaks_off = |path: &str| match path {
        "tile/entries/001.p/44" => Err(io::ErrorKind::BrokenPipe.into()),
        path => bench.disk.read(path),
    };
    let refused = bring_up(&copy, &bench.key(), &breaks_off).unwrap_err();
    assert!(matches!(refused, MirrorError::Log { .. }), "{refused}");
    assert!(copy.list("blob").unwrap().is_empty() && copy.read(CHECKPOINT).is_err());
    assert_eq!(mirror(&bench, &copy).unwrap().new, 300);
}

#[test]
fn a_fork_is_noticed_by_what_is_here_already_and_a_log_is_no_copy_of_itself() {
    let (bench, _log) = log_of(300);
    let copy = MemoryDisk::new();
    mirror(&bench, &copy).unwrap();
    let (forked, mut other) = log_of(0);
    write(&forked, &mut other, 5_000..7_000);
    let asked = std::cell::RefCell::new(Vec::new());
    let watched = |path: &str| {
        asked.borrow_mut().push(path.to_owned());
        forked.disk.read(path)
    };
    let refused = bring_up(&copy, &bench.key(), &watched).unwrap_err();
    assert!(matches!(refused, MirrorError::Forked(2_000)), "{refused}");
    assert_eq!(asked.into_inner(), [CHECKPOINT, "tile/entries/001"]);
    assert!(matches!(claim(&bench.disk, &bench.key()), Err(MirrorError::Itself)));
}

#[test]
fn a_log_that_was_put_back_or_forked_is_not_followed() {
    let (bench, mut log) = log_of(300);
    let older = Bench { disk: bench.disk.copy(), ..Bench::new() };
    write(&bench, &mut log, 300..600);
    let copy = MemoryDisk::new();
    mirror(&bench, &copy).unwrap();
    let refused = mirror(&older, &copy).unwrap_err();
    assert!(matches!(refused, MirrorError::RolledBack { log: 300, here: 600 }), "{refused}");

    // The same key, the same size or more, other records.
    for records in [600, 900] {
        let (forked, mut other) = log_of(0);
        write(&forked, &mut other, 5_000..5_000 + records);
        let refused = mirror(&forked, &copy).unwrap_err();
        assert!(matches!(refused, MirrorError::Forked(_)) && refused.is_contradiction(), "{refused}");
    }
    let stranger = Bench { seed: 9, ..Bench::new() };
    let mut other = stranger.open().unwrap();
    write(&stranger, &mut other, 0..900);
    let refused = bring_up(&copy, &bench.key(), &|path| stranger.disk.read(path)).unwrap_err();
    assert!(matches!(refused, MirrorError::Checkpoint(_)), "{refused}");
    assert!(matches!(claim(&copy, &stranger.key()), Ok(())), "it was not claimed before");
    assert!(matches!(claim(&copy, &bench.key()), Err(MirrorError::OtherLog(_))));
    assert_eq!(verified(&copy, &bench), 600);
    mirror(&bench, &copy).unwrap();
}

#[test]
fn a_bundle_that_has_become_full_meanwhile_serves_for_a_part_of_it() {
    let (bench, mut log) = log_of(100);
    let checkpoint = bench.disk.read(CHECKPOINT).unwrap();
    write(&bench, &mut log, 100..300);
    assert!(bench.disk.read("tile/entries/000.p/100").is_err());
    let copy = MemoryDisk::new();
    let meanwhile = |path: &str| match path {
        CHECKPOINT => Ok(checkpoint.clone()),
        path => bench.disk.read(path),
    };
    assert_eq!(bring_up(&copy, &bench.key(), &meanwhile).unwrap().new, 100);
    assert_eq!(verified(&copy, &bench), 100);
    assert_eq!(mirror(&bench, &copy).unwrap().new, 200);
    assert_eq!(verified(&copy, &bench), 300);
}

/// Every write fails, once lost and once done and reported lost; the copy holds by itself at any time, and the next attempt
/// brings it up.
#[test]
fn whatever_write_fails_the_copy_holds_and_goes_on() {
    let (bench, mut log) = log_of(300);
    let before = MemoryDisk::new();
    mirror(&bench, &before).unwrap();
    let mut long = record(300);
    long.request.query = Some(chartgate_values::Phi::new("q".repeat(40_000)));
    log.append(&long);
    write(&bench, &mut log, 301..800);
    let mut tried = 0;
    for fault in [Fault::Lost, Fault::DoneButReportedLost] {
        for after in 0.. {
            let copy = before.copy();
            copy.break_once(after, fault);
            if mirror(&bench, &copy).is_ok() {
                break;
            }
            tried += 1;
            let stands = verified(&copy, &bench);
            // What comes after the checkpoint tidies up.
            assert!(stands == 300 || stands == 800, "{stands}");
            mirror(&bench, &copy).unwrap();
            assert_eq!(verified(&copy, &bench), 800);
        }
    }
    assert!(tried >= 10, "{tried}");
}

/// A log that serves other bytes than it has signed for moves nothing.
#[test]
fn one_changed_byte_of_what_is_served_moves_nothing() {
    let (bench, mut log) = log_of(200);
    let before = MemoryDisk::new();
    mirror(&bench, &before).unwrap();
    write(&bench, &mut log, 200..520);
    let places = (0_usize..1_000_000, 0_u32..8, 0_usize..3);
    let mut runner = TestRunner::new(Config::with_cases(64));
    let tried = runner.run(&places, |(at, bit, which)| {
        let copy = before.copy();
        let path = ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/8"][which];
        let lie = |asked: &str| {
            let mut bytes = bench.disk.read(asked)?;
            if asked == path {
                let at = at % bytes.len();
                bytes[at] ^= 1 << bit;
            }
            Ok(bytes)
        };
        // Of the first bundle 200 entries are here already, and are not taken again.
        match bring_up(&copy, &bench.key(), &lie) {
            Ok(_) => prop_assert_eq!(which, 0),
            Err(_) => prop_assert_eq!(verified(&copy, &bench), 200),
        }
        mirror(&bench, &copy).unwrap();
        prop_assert_eq!(verified(&copy, &bench), 520);
        Ok(())
    });
    tried.unwrap();
}
