#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chartgate_values::seal::MasterKey;
use chartgate_values::{Entropy, Phi, SeededEntropy};
use proptest::prelude::*;

use super::frame::tests::{push_batch_of, push_unmarked_batch};
use super::*;
use crate::checkpoint::Checkpoint;
use crate::leaf::MAX_LEAF;
use crate::open::{OpenError, Opened};
use crate::reader::Reader;
use crate::storage::memory::{Fault, MemoryDisk};
use crate::storage::{Objects as _, Segments as _};
use crate::testing::{Bench, record};
use crate::tile::StoredNodes;
use crate::tree::{Hash, subtree_root};
use crate::verify::verify;

/// A log in the hands of one thread, and what was promised of it.
struct Model {
    bench: Bench,
    log: Option<Opened>,
    entropy: SeededEntropy,
    next_number: u64,
    /// Acknowledged: index and number.
    promised: Vec<(u64, u64)>,
    /// Every checkpoint that anyone could have seen.
    seen: BTreeMap<u64, Hash>,
}

impl Model {
    fn new(durability: Durability, seed: u64) -> Self {
        let bench = Bench { durability, ..Bench::new() };
        let entropy = SeededEntropy::new(seed);
        Self { bench, log: None, entropy, next_number: 0, promised: Vec::new(), seen: BTreeMap::new() }
    }

    fn disk(&self) -> &MemoryDisk {
        &self.bench.disk
    }

    fn open(&mut self) -> Result<(), OpenError> {
        self.log = Some(self.bench.open_parts()?);
        Ok(())
    }

    /// Appends `count` records as one batch. Each that is acknowledged is promised.
    fn append(&mut self, count: u64) {
        let Some(log) = &mut self.log else { return };
        let numbers = self.next_number..self.next_number + count;
        self.next_number = numbers.end;
        let waiting: Vec<_> = numbers.clone().map(|n| Box::pin(log.journal.append(&record(n), n))).collect();
        let _ = log.commit_loop.turn(Some(Duration::ZERO), &mut |_| {});
        for future in waiting {
            match future_now(future) {
                Some(Ok(recorded)) => self.promised.push((recorded.index(), recorded.into_inner())),
                Some(Err(AppendError::Unwritable)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn sequence(&mut self) {
        if let Some(log) = &mut self.log {
            let _ = log.sequencer.sequence_once(self.bench.now());
            self.note_checkpoint();
        }
    }

    fn note_checkpoint(&mut self) {
        if let Ok(note) = self.disk().read("checkpoint") {
            let signed = crate::checkpoint::SignedCheckpoint::open(&note, &self.bench.key()).unwrap();
            let Checkpoint { size, root, .. } = signed.checkpoint();
            assert_eq!(self.seen.entry(*size).or_insert(*root), root, "two checkpoints over {size} records");
        }
    }

    /// The program ends; the machine goes on.
    fn kill(&mut self) {
        self.note_checkpoint();
        self.log = None;
        self.disk().mend();
    }

    /// The machine ends.
    fn cut_power(&mut self) {
        self.kill();
        let disk = self.bench.disk.clone();
        disk.crash(&mut self.entropy);
    }

    /// Opens again and checks every promise.
    fn check(&mut self, context: &str) {
        self.open().unwrap_or_else(|error| panic!("{context}: {error}"));
        let disk = Arc::new(self.disk().clone());
        let reader =
            Reader::new(disk.clone(), disk.clone(), self.bench.key(), Some(Arc::new(self.bench.keys())));
        let entries: Vec<_> = reader.entries(0).collect::<Result<_, _>>().unwrap();
        let numbers: Vec<u64> =
            entries.iter().map(|entry| entry.record.request_id.as_ref().unwrap().parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{context}: {numbers:?}");
        if self.bench.durability == Durability::Fsync {
            for (index, number) in &self.promised {
                let found = numbers.get(usize::try_from(*index).unwrap());
                assert_eq!(found, Some(number), "{context}: record {index} of {numbers:?}");
            }
        }
        self.note_checkpoint();
        verify(&*disk, &*disk, &self.bench.key(), None).unwrap_or_else(|error| panic!("{context}: {error}"));
        for (size, root) in &self.seen {
            let now = subtree_root(&mut StoredNodes::new(&*disk, *size), 0..*size);
            assert_eq!(now.unwrap(), *root, "{context}: the first {size} records are others");
        }
    }
}

/// The output of a future that is ready.
fn future_now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A day in the life of a log.
fn live(model: &mut Model) {
    model.append(3);
    model.sequence();
    model.append(2);
    model.append(1);
    model.sequence();
    model.append(4);
    model.append(1);
}

fn operations_of_a_life() -> u64 {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    live(&mut model);
    model.disk().operations()
}

#[test]
fn whichever_operation_breaks_no_promise_does() {
    for step in 0..operations_of_a_life() {
        for fault in [Fault::Lost, Fault::DoneButReportedLost] {
            for seed in 0..4 {
                let mut model = Model::new(Durability::Fsync, seed);
                model.disk().break_once(step, fault);
                if model.open().is_err() {
                    model.kill();
                    model.check(&format!("step {step}, {fault:?}, refused to open"));
                }
                live(&mut model);
                live(&mut model);
                let before = model.promised.len();
                model.append(1);
                assert_eq!(model.promised.len(), before + 1, "step {step}, {fault:?}: goes on by itself");
                model.cut_power();
                model.check(&format!("step {step}, {fault:?}, seed {seed}"));
                live(&mut model);
                model.sequence();
                model.kill();
                model.check(&format!("step {step}, {fault:?}, seed {seed}, again"));
            }
        }
    }
}

#[test]
fn whenever_the_power_is_cut_no_promise_breaks() {
    for step in 0..operations_of_a_life() {
        for seed in 0..8 {
            let mut model = Model::new(Durability::Fsync, seed);
            model.disk().break_down(step);
            if model.open().is_ok() {
                live(&mut model);
            }
            model.cut_power();
            model.check(&format!("step {step}, seed {seed}"));
            live(&mut model);
            model.cut_power();
            model.check(&format!("step {step}, seed {seed}, again"));
        }
    }
}

#[test]
fn a_sync_that_failed_is_never_built_upon() {
    // The write arrives in the page cache, its sync fails and forgets it, and the next sync succeeds.
    for seed in 0..16 {
        let mut model = Model::new(Durability::Fsync, seed);
        model.open().unwrap();
        model.append(1);
        model.disk().break_once(1, Fault::Lost);
        model.append(3);
        assert_eq!(model.promised.len(), 1);
        model.append(2);
        assert_eq!(model.promised, [(0, 0), (1, 4), (2, 5)]);
        model.cut_power();
        model.check("after a failed sync");
    }
}

/// Whichever write of a start fails, the log that was there starts again as it would have: with `size` records if that is known.
fn starts_whatever_breaks(set: impl Fn() -> Model, size: Option<u64>) {
    let mut sound = set();
    let (before, segments) = (sound.disk().operations(), sound.disk().numbers().unwrap().len());
    assert!(segments > 1, "several segments are discarded");
    sound.open().unwrap();
    let size = size.unwrap_or(sound.log.as_ref().unwrap().recovered.size);
    for step in 0..sound.disk().operations() - before {
        let mut model = set();
        model.disk().break_down(step);
        assert!(model.open().is_err(), "step {step}: it went unnoticed");
        model.kill();
        model.check(&format!("step {step}"));
        assert_eq!(model.log.as_ref().unwrap().recovered.size, size, "step {step}");
    }
}

#[test]
fn a_start_that_ends_between_two_discards_brings_back_no_batch_that_was_refused() {
    let set = || {
        let mut model = Model::new(Durability::Fsync, 0);
        model.open().unwrap();
        model.append(1);
        // Written and synced, and reported lost.
        model.disk().break_once(1, Fault::DoneButReportedLost);
        model.append(3);
        model.append(1);
        assert_eq!(model.promised, [(0, 0), (1, 4)]);
        model.kill();
        model
    };
    starts_whatever_breaks(set, Some(2));
}

#[test]
fn a_start_that_ends_between_two_discards_finds_no_damage_where_a_power_cut_left_a_gap() {
    for seed in 0..4 {
        let set = || {
            let mut model = Model::new(Durability::Os, seed);
            model.open().unwrap();
            while model.disk().numbers().unwrap().len() < 4 {
                model.append(40);
            }
            model.cut_power();
            model
        };
        starts_whatever_breaks(set, None);
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Append(u64),
    Sequence,
    Kill,
    CutPower,
    BreakOnce(u64, Fault),
    BreakDown(u64),
    Mend,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..40_u64).prop_map(Act::Append),
        3 => Just(Act::Sequence),
        1 => Just(Act::Kill),
        1 => Just(Act::CutPower),
        1 => (0..12_u64, prop_oneof![Just(Fault::Lost), Just(Fault::DoneButReportedLost)])
            .prop_map(|(after, fault)| Act::BreakOnce(after, fault)),
        1 => (0..12_u64).prop_map(Act::BreakDown),
        1 => Just(Act::Mend),
    ]
}

fn perform(model: &mut Model, acts: Vec<Act>) {
    for act in acts {
        match act {
            Act::Append(count) => model.append(count),
            Act::Sequence => model.sequence(),
            Act::BreakOnce(after, fault) => model.disk().break_once(after, fault),
            Act::BreakDown(after) => model.disk().break_down(after),
            Act::Mend => model.disk().mend(),
            Act::Kill => {
                model.kill();
                model.check("killed");
            }
            Act::CutPower => {
                model.cut_power();
                model.check("power cut");
            }
        }
    }
    model.cut_power();
    model.check("at the end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_course_of_events_breaks_a_promise(
        acts in proptest::collection::vec(act(), 1..40),
        seed: u64,
    ) {
        let mut model = Model::new(Durability::Fsync, seed);
        model.open().unwrap();
        perform(&mut model, acts);
    }

    #[test]
    fn without_sync_every_checkpoint_is_still_extended(
        acts in proptest::collection::vec(act(), 1..40),
        seed: u64,
    ) {
        let mut model = Model::new(Durability::Os, seed);
        model.open().unwrap();
        perform(&mut model, acts);
    }
}

#[test]
fn without_sync_the_end_of_the_program_loses_nothing() {
    let mut model = Model::new(Durability::Os, 0);
    model.open().unwrap();
    live(&mut model);
    model.kill();
    model.check("killed");
    let reader = model.log.as_ref().unwrap().recovered.size;
    assert_eq!(reader, 11);
}

#[test]
fn a_broken_disk_refuses_all_and_works_again_by_itself() {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    model.append(1);
    model.disk().break_down(0);
    let mut events = Vec::new();
    let Opened { journal, commit_loop, .. } = model.log.as_mut().unwrap();
    let mut turn = |commit_loop: &mut CommitLoop| {
        let flow = commit_loop.turn(Some(Duration::ZERO), &mut |event| {
            events.push(matches!(event, CommitEvent::Writable));
        });
        assert_eq!(flow, ControlFlow::Continue(()));
    };
    for _ in 0..3 {
        let refused = journal.append(&record(1), ());
        turn(commit_loop);
        assert!(matches!(future_now(refused), Some(Err(AppendError::Unwritable))));
        assert_eq!(journal.writability(), Writability::Unwritable);
    }
    // Nobody asks, as a gateway that says that it is not ready will find.
    turn(commit_loop);
    assert_eq!(journal.writability(), Writability::Unwritable);
    model.bench.disk.mend();
    turn(commit_loop);
    assert_eq!(journal.writability(), Writability::Writable);
    assert_eq!(events, [false, true]);
    model.append(1);
    assert_eq!(model.promised.len(), 2);
}

#[test]
fn one_write_and_one_sync_carry_all_that_wait() {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    model.append(1);
    let before = model.disk().operations();
    model.append(64);
    assert_eq!(model.disk().operations() - before, 2);
    assert_eq!(model.promised.len(), 65);
}

#[test]
fn a_record_that_cannot_be_stored_fails_alone() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    let long = Record { action: Some("x".repeat(MAX_LEAF)), ..record(0) };
    let refused = log.journal.append_blocking(&long, ()).unwrap_err();
    assert!(matches!(refused, AppendError::Encode(EncodeError::TooLong)));
    assert_eq!(log.append(&record(0)), 0);
    log.stop();
}

#[test]
fn a_leaf_whose_file_cannot_be_stored_fails_without_its_neighbours() {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    let Opened { journal, commit_loop, .. } = model.log.as_mut().unwrap();
    let long = Record { resource: Some(Phi::new("x".repeat(MAX_LEAF))), ..record(1) };
    let futures = [&record(0), &long, &record(2)].map(|record| Box::pin(journal.append(record, ())));
    model.bench.disk.break_once(0, Fault::Lost);
    let _ = commit_loop.turn(None, &mut |_| {});
    let indices = futures.map(|future| future_now(future).unwrap().map(|recorded| recorded.index()).ok());
    assert_eq!(indices, [Some(0), None, Some(1)]);
}

#[test]
fn leaves_of_the_greatest_length_cross_segments() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let long = |n| Record { action: Some("x".repeat(MAX_LEAF - 300)), ..record(n) };
    for n in 0..40 {
        assert_eq!(log.append(&long(n)), n);
    }
    assert!(bench.disk.numbers().unwrap().len() >= 10);
    assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().new, 40);
    assert_eq!(bench.requests(40), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_closed_journal_writes_what_waits_and_takes_no_more() {
    let bench = Bench::new();
    let Opened { journal, commit_loop, .. } = bench.open_parts().unwrap();
    let waiting = journal.append(&record(0), ());
    journal.close();
    assert!(matches!(journal.append_blocking(&record(1), ()), Err(AppendError::Closed)));
    commit_loop.run(&mut |_| {});
    assert_eq!(future_now(waiting).unwrap().unwrap().index(), 0);
}

#[test]
fn nobody_waits_for_a_loop_that_is_gone() {
    let bench = Bench::new();
    let Opened { journal, commit_loop, .. } = bench.open_parts().unwrap();
    let waiting = journal.append(&record(0), ());
    drop(commit_loop);
    assert!(matches!(future_now(waiting), Some(Err(AppendError::Closed))));
    assert!(matches!(journal.append_blocking(&record(1), ()), Err(AppendError::Closed)));
}

#[test]
fn whoever_gives_up_waiting_leaves_the_record_in_the_log() {
    let bench = Bench::new();
    let Opened { journal, mut commit_loop, .. } = bench.open_parts().unwrap();
    drop(journal.append(&record(0), ()));
    let _ = commit_loop.turn(None, &mut |_| {});
    assert_eq!(journal.durable(), 1);
}

#[test]
fn many_threads_get_each_an_index_of_their_own() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (journal, sender) = (log.journal.clone(), sender.clone());
            scope.spawn(move || {
                for n in 0..100 {
                    let number = thread * 100 + n;
                    sender
                        .send((journal.append_blocking(&record(number), ()).unwrap().index(), number))
                        .unwrap();
                }
            });
        }
        for _ in 0..20 {
            log.sequencer.sequence_once(bench.now()).unwrap();
        }
    });
    log.sequencer.sequence_once(bench.now()).unwrap();
    let numbers = bench.requests(800);
    for (index, number) in receiver.try_iter() {
        assert_eq!(numbers[usize::try_from(index).unwrap()], number);
    }
}

#[test]
fn damage_in_an_acknowledged_batch_refuses_the_start_and_names_the_place() {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    for _ in 0..5 {
        model.append(1);
    }
    model.kill();
    let segment = model.disk().numbers().unwrap()[0];
    let length =
        model.disk().read_at(segment, 0, 1 << 20).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..length).step_by(7) {
        let damaged = Bench { disk: model.disk().copy(), keeper: model.disk().copy(), ..Bench::new() };
        damaged.disk.tamper(&format!("journal/{segment}"), |bytes| bytes[at] ^= 0x40);
        match damaged.open_parts().unwrap_err() {
            OpenError::Journal(JournalError::Damaged { segment: named, offset, index }) => {
                assert_eq!(named, segment);
                assert!(index < 5 && offset <= at.try_into().unwrap(), "{at}: {offset} {index}");
            }
            other => panic!("{at}: {other}"),
        }
    }
}

#[test]
fn records_that_somebody_else_wrote_behind_the_journal_are_not_signed_for() {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    model.append(3);
    model.kill();
    let mut replay = Replay::resume(model.disk(), Cursor::before(0), None).unwrap();
    let copied = replay.next(u64::MAX).unwrap().unwrap();
    let (point, segment) = (replay.cursor().point(), replay.cursor().segment());
    let other = MasterKey::from_bytes([8; 32]).marking("audit journal").unwrap();
    let (mut unmarked, mut marked) = (Vec::new(), Vec::new());
    push_unmarked_batch(&point, copied.entries(), &mut unmarked).unwrap();
    push_batch_of(&other, &point, copied.entries(), &mut marked).unwrap();
    for forged in [unmarked, marked] {
        let cut = Bench { disk: model.disk().copy(), keeper: model.disk().copy(), ..Bench::new() };
        cut.disk.tamper(&format!("journal/{segment}"), |bytes| {
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            bytes[end..end + forged.len()].copy_from_slice(&forged);
        });
        assert!(matches!(cut.open_parts().unwrap_err(), OpenError::Journal(_)));
    }
    assert_eq!(model.bench.open_parts().unwrap().recovered.size, 3);
}

#[test]
fn a_missing_segment_refuses_the_start() {
    let mut model = Model::new(Durability::Fsync, 0);
    model.open().unwrap();
    for _ in 0..60 {
        model.append(20);
    }
    model.kill();
    let numbers = model.disk().numbers().unwrap();
    assert!(numbers.len() >= 3);
    for missing in &numbers[..numbers.len() - 1] {
        let cut = Bench { disk: model.disk().copy(), keeper: model.disk().copy(), ..Bench::new() };
        cut.disk.discard(*missing).unwrap();
        assert!(matches!(cut.open_parts().unwrap_err(), OpenError::Journal(_)), "{missing}");
    }
}

#[test]
fn a_torn_last_batch_is_cut_off_and_reported() {
    let mut model = Model::new(Durability::Fsync, 3);
    model.open().unwrap();
    model.append(1);
    // The write arrives in part, the sync does not come.
    model.disk().break_down(1);
    model.append(10);
    let mut torn = 0;
    for seed in 0..20 {
        let cut = Bench { disk: model.disk().copy(), keeper: model.disk().copy(), ..Bench::new() };
        let mut entropy: Box<dyn Entropy> = Box::new(SeededEntropy::new(seed));
        cut.disk.crash(&mut *entropy);
        let recovered = cut.open_parts().unwrap().recovered;
        assert!(recovered.size == 1 || recovered.torn_bytes == 0, "seed {seed}: {recovered:?}");
        torn += recovered.torn_bytes;
    }
    assert!(torn > 0);
}
