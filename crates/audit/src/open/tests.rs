use super::*;
use crate::record::{Event, Outcome};
use crate::testing::{Bench, journal_key, record};
use crate::tile::{Width, read_entries};

#[test]
fn what_was_appended_is_durable_and_comes_under_a_checkpoint() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..300 {
        let recorded = log.journal.append_blocking(&record(n), "carried").unwrap();
        assert_eq!(recorded.index(), n);
        assert_eq!(recorded.into_inner(), "carried");
    }
    let sequenced = log.sequencer.sequence_once(bench.now()).unwrap();
    assert_eq!((sequenced.new, sequenced.checkpoint.size()), (300, 300));
    assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().new, 0);
    assert_eq!(bench.requests(300), (0..300).collect::<Vec<_>>());
}

#[test]
fn what_no_checkpoint_covered_comes_under_one_at_the_next_start() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    for n in 0..5 {
        log.append(&record(n));
    }
    log.stop();
    let log = bench.open().unwrap();
    assert_eq!((log.recovered.size, log.recovered.replayed, log.recovered.torn_bytes), (5, 5, 0));
    assert_eq!(log.append(&record(5)), 5);
    log.stop();
    assert_eq!(bench.open().unwrap().recovered.replayed, 1);
    assert_eq!(bench.requests(6), (0..6).collect::<Vec<_>>());
}

#[test]
fn segments_whose_records_are_under_a_checkpoint_are_removed() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..2000 {
        log.append(&record(n));
    }
    let numbers = bench.disk.numbers().unwrap();
    assert!(numbers.len() > 3);
    log.sequencer.sequence_once(bench.now()).unwrap();
    let current = numbers[numbers.len() - 1];
    assert!(bench.disk.numbers().unwrap().iter().all(|number| *number >= current), "only it and spares");
    assert_eq!(bench.disk.list("tile/0").unwrap().len(), 8, "no partial tiles of full ones");
}

#[test]
fn starting_again_and_again_leaves_one_segment() {
    let bench = Bench::new();
    let mut last = 0;
    for _ in 0..5 {
        let mut log = bench.open().unwrap();
        log.sequencer.sequence_once(bench.now()).unwrap();
        log.stop();
        bench.open().unwrap().stop();
        let numbers = bench.disk.numbers().unwrap();
        assert!(numbers.len() == 1 && numbers[0] > last, "{numbers:?} after {last}");
        last = numbers[0];
    }
}

#[test]
fn an_intent_without_outcome_is_found_at_the_next_start() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let intent = |n| Record { event: Event::AccessIntent, ..record(n) };
    for n in 0..600 {
        log.append(&intent(n));
        if n % 299 != 1 {
            log.append(&record(n));
        }
        if n == 250 {
            log.sequencer.sequence_once(bench.now()).unwrap();
        }
    }
    log.stop();
    let log = bench.open().unwrap();
    let open: Vec<_> = log.recovered.open_intents.iter().map(|open| open.record.clone()).collect();
    assert_eq!(open, [intent(1), intent(300), intent(599)]);
    for intent in open {
        let interrupted = Record { event: Event::Access, outcome: Outcome::Error, ..intent };
        log.append(&interrupted);
    }
    log.stop();
    assert!(bench.open().unwrap().recovered.open_intents.is_empty());
}

#[test]
fn the_search_for_open_intents_starts_near_the_end() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..1000 {
        log.append(&record(n));
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    assert_eq!(stored_open_intents(&bench.disk, &journal_key()).unwrap(), 1000);
}

#[test]
fn a_log_that_was_put_back_is_refused() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    log.append(&record(0));
    log.sequencer.sequence_once(bench.now()).unwrap();
    let older = bench.disk.copy();
    log.append(&record(1));
    log.sequencer.sequence_once(bench.now()).unwrap();
    log.stop();

    let put_back = Bench { keeper: bench.disk.clone(), disk: older, ..Bench::new() };
    let refused = put_back.open().unwrap_err();
    assert!(matches!(refused, OpenError::Settle(SettleError::OlderThanKept { kept: 2, .. })), "{refused}");
    let gone = Bench { keeper: bench.disk.clone(), ..Bench::new() };
    assert!(matches!(gone.open().unwrap_err(), OpenError::Settle(SettleError::Gone(2))));
}

#[test]
fn a_log_with_another_history_is_refused() {
    let logs: Vec<_> = [0, 7]
        .map(|first| {
            let bench = Bench::new();
            let mut log = bench.open().unwrap();
            log.append(&record(first));
            log.sequencer.sequence_once(bench.now()).unwrap();
            if first == 7 {
                log.append(&record(8));
                log.sequencer.sequence_once(bench.now()).unwrap();
            }
            log.stop();
            bench
        })
        .into();
    for (folder, keeper) in [(0, 1), (1, 0)] {
        let forked =
            Bench { disk: logs[folder].disk.copy(), keeper: logs[keeper].disk.copy(), ..Bench::new() };
        assert!(matches!(forked.open().unwrap_err(), OpenError::Settle(_)), "{folder} {keeper}");
    }
}

#[test]
fn a_log_with_tiles_and_no_checkpoint_anywhere_is_refused() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    log.append(&record(0));
    log.sequencer.sequence_once(bench.now()).unwrap();
    log.stop();
    bench.disk.remove("checkpoint").unwrap();
    let forgetful = Bench { disk: bench.disk.clone(), ..Bench::new() };
    assert!(matches!(forgetful.open().unwrap_err(), OpenError::Settle(SettleError::CheckpointLost)));
}

#[test]
fn the_folder_of_another_log_is_refused() {
    let bench = Bench::new();
    bench.open().unwrap().stop();
    let other = Bench { seed: 9, ..bench };
    assert!(matches!(other.open().unwrap_err(), OpenError::OtherLog(_)));
}

#[test]
fn a_keeper_that_lost_everything_adopts_the_log() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    log.append(&record(0));
    log.sequencer.sequence_once(bench.now()).unwrap();
    log.stop();
    let fresh = Bench { disk: bench.disk.clone(), ..Bench::new() };
    let mut log = fresh.open().unwrap();
    assert_eq!(log.append(&record(1)), 1);
    assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().checkpoint.size(), 2);
}

#[test]
fn partial_tiles_that_were_never_signed_do_not_stay_beside_those_that_are() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..250 {
        log.append(&record(n));
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    log.stop();
    let never_signed =
        ["tile/0/000.p/253", "tile/entries/000.p/253", "tile/0/001.p/3", "tile/entries/001.p/3"];
    for path in never_signed {
        bench.disk.put(&[Object { path: path.into(), bytes: vec![7; 96] }]).unwrap();
    }
    let mut log = bench.open().unwrap();
    for n in 250..262 {
        log.append(&record(n));
        if n != 252 && n != 258 {
            log.sequencer.sequence_once(bench.now()).unwrap();
        }
    }
    crate::verify::verify(&bench.disk, &bench.disk, &bench.key(), None).unwrap();
}

#[test]
fn the_key_of_an_unexpected_month_is_durable_before_what_it_sealed() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    let time = Timestamp::from_unix(1_900_000_000);
    let late = Record { time, ..record(0) };
    assert!(bench.disk.read("keys/2030-03.json").is_err());
    log.append(&late);
    assert!(bench.disk.read("keys/2030-03.json").is_ok());
    let entry = read_entries(&bench.disk, 0, Width::Partial(1));
    assert!(entry.is_err(), "no tile yet");
    log.stop();
    bench.open().unwrap().stop();
    let entry = read_entries(&bench.disk, 0, Width::Partial(1)).unwrap().remove(0);
    assert_eq!(Leaf::parse(&entry).unwrap().unseal(&bench.keys(), &bench.disk).unwrap(), late);
}

#[test]
fn no_second_key_is_drawn_for_a_month_whose_key_is_lost() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    // More than a bundle, with what is not sealed at the end.
    for n in 0..300 {
        log.append(&if n < 200 { record(n) } else { Record { resource: None, ..record(n) } });
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    log.append(&Record { resource: None, ..record(300) });
    log.stop();
    let key = bench.disk.read("keys/2026-11.json").unwrap();
    bench.disk.remove("keys/2026-11.json").unwrap();
    for _ in 0..2 {
        let refused = bench.open().unwrap_err();
        assert!(
            matches!(&refused, OpenError::DataKeyGone(month) if month.as_str() == "2026-11"),
            "{refused}"
        );
        assert!(refused.to_string().contains("`keys/2026-11.json`"), "{refused}");
        assert!(bench.disk.read("keys/2026-11.json").is_err());
    }
    bench.disk.put(&[Object { path: "keys/2026-11.json".to_owned(), bytes: key.clone() }]).unwrap();
    bench.open().unwrap().stop();
    assert_eq!(bench.disk.read("keys/2026-11.json").unwrap(), key);
    let entry = read_entries(&bench.disk, 0, Width::Full).unwrap().remove(0);
    assert_eq!(Leaf::parse(&entry).unwrap().unseal(&bench.keys(), &bench.disk).unwrap(), record(0));

    // Whoever has it nowhere gives it up by name.
    bench.disk.remove("keys/2026-11.json").unwrap();
    bench.disk.put(&[Object { path: "keys/2026-11.lost".to_owned(), bytes: Vec::new() }]).unwrap();
    let log = bench.open().unwrap();
    log.append(&record(301));
    log.stop();
    assert_ne!(bench.disk.read("keys/2026-11.json").unwrap(), key);
}

#[test]
fn a_month_under_which_nothing_newest_is_sealed_gets_a_key() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    let october = Record { time: "2026-10-31T12:00:00Z".parse().unwrap(), ..record(0) };
    log.append(&october);
    log.append(&Record { resource: None, ..record(1) });
    log.stop();
    for month in ["2026-10", "2026-11"] {
        bench.disk.remove(&format!("keys/{month}.json")).unwrap();
    }
    bench.open().unwrap().stop();
    assert!(bench.disk.read("keys/2026-11.json").is_ok());
    assert!(bench.disk.read("keys/2026-10.json").is_err(), "a key that was destroyed stays so");
}

#[test]
fn next_month_s_key_is_made_a_day_ahead() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let last_day: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
    log.sequencer.sequence_once(last_day).unwrap();
    assert!(bench.disk.read("keys/2026-12.json").is_ok());
    assert!(bench.disk.read("keys/2027-01.json").is_err());
}
