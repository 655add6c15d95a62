use chartgate_values::{Phi, Timestamp};

use super::*;
use crate::record::{Actor, Decision, Event, Outcome, Response};
use crate::storage::Object;
use crate::testing::{Bench, record};
use crate::tile::{Width, push_entry, read_entries};

fn reader(bench: &Bench) -> Reader {
    let disk = Arc::new(bench.disk.clone());
    Reader::new(disk.clone(), disk, bench.key(), Some(Arc::new(bench.keys())))
}

fn indices(entries: impl Iterator<Item = Result<Entry, ReadError>>) -> Vec<u64> {
    entries.map(|entry| entry.unwrap().index).collect()
}

#[test]
fn records_come_from_tiles_and_then_from_the_journal_s_tail() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..400 {
        log.append(&record(n));
        if n == 299 {
            log.sequencer.sequence_once(bench.now()).unwrap();
        }
    }
    let reader = reader(&bench);
    for from in [0, 255, 256, 299, 300, 301, 399, 400, 500] {
        let mut entries = reader.entries(from);
        let read: Vec<_> = entries.by_ref().collect::<Result<_, _>>().unwrap();
        assert_eq!(read.iter().map(|entry| entry.index).collect::<Vec<_>>(), (from..400).collect::<Vec<_>>());
        assert!(read.iter().all(|entry| entry.record == record(entry.index) && entry.sealed.is_none()));
        assert_eq!(entries.position(), from.max(400));
    }
    assert_eq!(reader.entry(300).unwrap().unwrap().record, record(300));
    assert_eq!(reader.entry(400).unwrap(), None);
}

#[test]
fn the_root_of_an_earlier_size_needs_no_tiles_of_that_size() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let reader = reader(&bench);
    let mut roots = Vec::new();
    for n in 0..700 {
        log.append(&record(n));
        if [189, 199, 455, 699].contains(&n) {
            log.sequencer.sequence_once(bench.now()).unwrap();
            roots.push((n + 1, reader.checkpoint().unwrap().checkpoint().root));
        }
    }
    // As a log that was put back has them: the tiles of its last checkpoint alone.
    for gone in ["tile/0/000.p", "tile/0/001.p", "tile/1/000.p/1"] {
        bench.disk.remove(gone).unwrap();
    }
    for (size, root) in roots {
        assert_eq!(reader.root_at(size).unwrap(), root, "{size}");
    }
}

#[test]
fn a_follower_misses_nothing_while_the_log_grows_and_segments_vanish() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let reader = reader(&bench);
    let mut seen = Vec::new();
    let mut half_read = reader.entries(0);
    for n in 0..3000 {
        log.append(&record(n));
        match n % 1000 {
            250 => half_read = reader.entries(u64::try_from(seen.len()).unwrap()),
            300..400 => seen.extend(half_read.next().unwrap()),
            500 => drop(log.sequencer.sequence_once(bench.now()).unwrap()),
            600 => seen.extend(half_read.by_ref().map(Result::unwrap)),
            _ => {}
        }
    }
    seen.extend(reader.entries(u64::try_from(seen.len()).unwrap()).map(Result::unwrap));
    assert!(seen.iter().map(|entry| entry.index).eq(0..3000));
}

#[test]
fn a_filter_finds_what_it_says_and_nothing_else() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    let text = |text: &str| Some(text.to_owned());
    for n in 0..40 {
        log.append(&Record {
            actor: Actor { sub: text(["dana", "nils"][n % 2]), client_id: text("web"), ..Actor::default() },
            action: text(["read", "search", "update"][n % 3]),
            outcome: [Outcome::Allow, Outcome::Deny, Outcome::Error, Outcome::Allow][n % 4],
            event: if n == 0 { Event::LoginSucceeded } else { Event::Access },
            patients: vec![Phi::new(format!("p{}", n % 5)), Phi::new("all".to_owned())],
            ..record(n.try_into().unwrap())
        });
    }
    let reader = reader(&bench);
    let search = |filter: Filter| indices(reader.search(&filter));
    let every = |step: usize, from: u64| (from..40).step_by(step).collect::<Vec<_>>();
    assert_eq!(search(Filter::default()), every(1, 0));
    assert_eq!(search(Filter { user: text("nils"), ..Filter::default() }), every(2, 1));
    assert_eq!(search(Filter { client: text("web"), ..Filter::default() }), every(1, 0));
    assert_eq!(search(Filter { client: text("app"), ..Filter::default() }), [0; 0]);
    assert_eq!(search(Filter { action: text("update"), ..Filter::default() }), every(3, 2));
    assert_eq!(search(Filter { outcome: Some(Outcome::Deny), ..Filter::default() }), every(4, 1));
    assert_eq!(search(Filter { event: Some(Event::LoginSucceeded), ..Filter::default() }), [0]);
    assert_eq!(search(Filter { patient: Some(Phi::new("p3".into())), ..Filter::default() }), every(5, 3));
    assert_eq!(search(Filter { patient: Some(Phi::new("p".into())), ..Filter::default() }), [0; 0]);
    let time = |n| Some(record(n).time);
    assert_eq!(search(Filter { since: time(10), until: time(12), ..Filter::default() }), [10, 11]);
    let newest = Filter { user: text("dana"), limit: Some(2), ..Filter::default() };
    assert_eq!(search(newest), [36, 38]);
    assert_eq!(search(Filter { limit: Some(0), ..Filter::default() }), [0; 0]);
}

#[test]
fn a_shredded_month_is_shown_as_sealed() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    log.append(&Record { patients: vec![Phi::new("p1".into())], ..record(0) });
    bench.keys().shred(&Month::of(record(0).time)).unwrap();
    let reader = reader(&bench);
    let entry = reader.entry(0).unwrap().unwrap();
    assert_eq!(entry.sealed.as_ref().map(Month::as_str), Some("2026-11"));
    let json: serde_json::Value = serde_json::from_str(&entry.to_exposed_json()).unwrap();
    assert_eq!(json["sealed"], "2026-11");
    assert_eq!(json["resource"], serde_json::Value::Null);
    assert_eq!(json["request_id"], "0");
    let patient = Filter { patient: Some(Phi::new("p1".into())), ..Filter::default() };
    assert_eq!(indices(reader.search(&patient)), [0; 0]);
}

#[test]
fn what_is_told_late_is_sealed_under_the_key_of_then() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    let old = Record { patients: vec![Phi::new("p1".into())], ..record(0) };
    log.append(&old);
    let now = old.time.plus(std::time::Duration::from_secs(40 * 86_400));
    let _ = log.journal.append_late_blocking(&old, now).unwrap();
    bench.keys().shred(&Month::of(old.time)).unwrap();
    let reader = reader(&bench);
    assert_eq!(reader.entry(0).unwrap().unwrap().sealed, Some(Month::of(old.time)));
    let late = reader.entry(1).unwrap().unwrap();
    assert_eq!((late.sealed, late.record), (None, old));
}

#[test]
fn printed_json_has_the_members_that_scripts_rely_on() {
    let bare = Entry {
        index: 7,
        record: Record::new(Event::Started, Outcome::Allow, Timestamp::EPOCH),
        sealed: None,
    };
    assert_eq!(
        bare.to_exposed_json(),
        concat!(
            r#"{"index":7,"time":"1970-01-01T00:00:00.000000Z","event":"gateway.start","outcome":"allow","#,
            r#""actor":{"sub":null,"client_id":null,"kind":"anonymous"},"action":null,"resource":null,"#,
            r#""patients":[],"purpose_of_use":null,"decision":{"policies":[]},"session":null,"jti":null,"#,
            r#""source":{"ip":null},"request_id":null}"#,
        )
    );
    let record = Record {
        decision: Decision { policies: vec!["care".into()], ..Decision::default() },
        response: Response { status: Some(200), withheld: Some(3), ..Response::default() },
        source_ip: Some(Phi::new([192, 0, 2, 7].into())),
        detail: [("why".to_owned(), Phi::new("x".to_owned()))].into(),
        ..record(1)
    };
    let json = Entry { record, ..bare }.to_exposed_json();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["withheld"], 3);
    assert_eq!(json["response"], serde_json::json!({"status": 200}));
    assert_eq!(json["source"]["ip"], "192.0.2.7");
    assert_eq!(json["decision"]["policies"][0], "care");
    assert_eq!(json["resource"], "Observation/1");
    assert_eq!(json["detail"]["why"], "x");
}

#[test]
fn a_damaged_journal_is_an_error_and_not_an_early_end() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    for n in 0..3 {
        log.append(&record(n));
    }
    let segment = bench.disk.numbers().unwrap()[0];
    bench.disk.tamper(&format!("journal/{segment}"), |bytes| bytes[700] ^= 1);
    let reader = reader(&bench);
    let last = reader.entries(0).last().unwrap();
    assert!(matches!(last, Err(ReadError::Journal(JournalError::Damaged { .. }))));
}

#[test]
fn a_record_that_was_altered_in_its_bundle_is_noticed_by_whoever_reads_all() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    for n in 0..600 {
        log.append(&record(n));
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    let path = "tile/entries/000";
    let mut entries = read_entries(&bench.disk, 0, Width::Full).unwrap();
    // One record in the place of another: each opens, and the tree has other hashes.
    assert_ne!(entries[4], entries[5]);
    entries[4] = entries[5].clone();
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| push_entry(&mut bytes, entry).unwrap());
    bench.disk.put(&[Object { path: path.to_owned(), bytes }]).unwrap();
    let reader = reader(&bench);
    let read: Vec<_> = reader.entries(0).collect();
    assert_eq!(read.len(), 601);
    assert!(matches!(read.last(), Some(Err(ReadError::NotSignedFor(600)))), "{:?}", read.last());
    let found = reader.search(&Filter { limit: Some(1), ..Filter::default() }).last();
    assert!(matches!(found, Some(Err(ReadError::NotSignedFor(600)))));
}
