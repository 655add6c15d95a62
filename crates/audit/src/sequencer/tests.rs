//! The table of crashes: every write of the sequencer, and every write of the start after it, is lost once, and once is
//! done but reported lost. Whoever died in between starts again, and nothing that was acknowledged is missing.

use chartgate_values::SeededEntropy;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::storage::memory::{Fault, MemoryDisk};
use crate::testing::{Bench, Running, record};
use crate::verify::verify;

/// Where a log stands when the sequencer is called.
#[derive(Clone, Copy, Debug)]
struct Scene {
    /// Records under a checkpoint.
    covered: u64,
    /// Records that are durable and under none.
    new: u64,
    /// Days that went by.
    days: u64,
}

const SCENES: [Scene; 6] = [
    Scene { covered: 0, new: 1, days: 0 },
    Scene { covered: 3, new: 2, days: 0 },
    // A tile becomes full, and its partial versions go.
    Scene { covered: 250, new: 12, days: 0 },
    // Full tiles, and several segments that go.
    Scene { covered: 250, new: 900, days: 0 },
    // Nothing is new but the next month's key.
    Scene { covered: 5, new: 0, days: 25 },
    // The mark of open intents moves.
    Scene { covered: 200, new: 60, days: 25 },
];

const FAULTS: [Fault; 2] = [Fault::Lost, Fault::DoneButReportedLost];

impl Scene {
    fn set(self) -> (Bench, Running, Checkpoint) {
        let bench = Bench::new();
        let mut log = bench.open().unwrap();
        for n in 0..self.covered {
            log.append(&record(n));
            if n % 50 == 0 {
                log.sequencer.sequence_once(bench.now()).unwrap();
            }
        }
        let known = log.sequencer.sequence_once(bench.now()).unwrap().checkpoint.checkpoint().clone();
        for n in self.covered..self.all() {
            log.append(&record(n));
        }
        (bench, log, known)
    }

    fn all(self) -> u64 {
        self.covered.saturating_add(self.new)
    }

    fn now(self, bench: &Bench) -> Timestamp {
        bench.now().plus(Duration::from_hours(self.days.saturating_mul(24)))
    }

    /// Whatever a reader sees is a log that holds, extends what was known, and has everything that was acknowledged.
    fn holds(self, disk: &MemoryDisk, bench: &Bench, known: &Checkpoint, row: &str) {
        let verified = verify(disk, disk, &bench.key(), Some(known)).unwrap_or_else(|e| panic!("{row}: {e}"));
        assert_eq!(verified.checkpoint.size.saturating_add(verified.uncovered), self.all(), "{row}");
    }
}

fn on(disk: MemoryDisk) -> Bench {
    Bench { keeper: disk.clone(), disk, ..Bench::new() }
}

#[test]
fn whichever_write_of_the_sequencer_or_of_the_start_after_it_fails_nothing_acknowledged_is_lost() {
    // Side by side, for there are many rows.
    let tables: Vec<_> = SCENES.map(|scene| std::thread::spawn(move || table(scene))).into();
    let sums = tables.into_iter().map(|table| table.join().unwrap());
    let [failed, died, died_twice] =
        sums.fold([0; 3], |sum, rows| [0, 1, 2].map(|column: usize| sum[column] + rows[column]));
    println!(
        "{failed} writes failed and it went on, {died} died of it, {died_twice} starts failed after that"
    );
    assert!(failed >= 100 && died_twice >= 800, "the table is as long as it was: {failed}, {died_twice}");
}

/// How many rows of each kind a scene has, all of which hold.
fn table(scene: Scene) -> [u64; 3] {
    let [mut failed, mut died, mut died_twice] = [0_u64; 3];
    let (bench, mut log, _) = scene.set();
    let before = bench.disk.operations();
    log.sequencer.sequence_once(scene.now(&bench)).unwrap();
    let writes = bench.disk.operations().saturating_sub(before);
    log.stop();
    assert!(writes > 0, "{scene:?}");
    for (step, fault) in (0..writes).flat_map(|step| FAULTS.map(|fault| (step, fault))) {
        let row = format!("{scene:?}, write {step} {fault:?}");
        let (bench, mut log, known) = scene.set();
        bench.disk.break_once(step, fault);
        assert!(log.sequencer.sequence_once(scene.now(&bench)).is_err(), "{row}: it went unnoticed");
        scene.holds(&bench.disk, &bench, &known, &row);
        let dead = bench.disk.copy();

        // It goes on.
        bench.disk.mend();
        let sequenced = log.sequencer.sequence_once(scene.now(&bench)).unwrap();
        assert_eq!(sequenced.checkpoint.size(), scene.all(), "{row}");
        assert_eq!(log.append(&record(scene.all())), scene.all(), "{row}");
        log.sequencer.sequence_once(scene.now(&bench)).unwrap();
        assert_eq!(
            bench.requests(as_count(scene.all().saturating_add(1))),
            (0..=scene.all()).collect::<Vec<_>>(),
            "{row}"
        );
        verify(&bench.disk, &bench.disk, &bench.key(), Some(&known)).unwrap();
        log.stop();
        failed = u64::saturating_add(failed, 1);

        // Or it dies there, the power with it, and starts again.
        dead.crash(&mut SeededEntropy::new(step));
        starts(scene, &dead, &known, &row);
        died = u64::saturating_add(died, 1);
        // Or the start finds a disk that fails as well. Where there is much, that is the same in more time.
        let sound = on(dead.copy());
        sound.open().unwrap().stop();
        if scene.all() > 300 {
            continue;
        }
        for (second, other) in
            (0..sound.disk.operations()).flat_map(|second| FAULTS.map(|other| (second, other)))
        {
            let row = format!("{row}, then write {second} of the start {other:?}");
            let again = on(dead.copy());
            again.disk.break_once(second, other);
            if let Ok(log) = again.open() {
                log.stop();
            }
            again.disk.mend();
            scene.holds(&again.disk, &again, &known, &row);
            starts(scene, &again.disk, &known, &row);
            died_twice = u64::saturating_add(died_twice, 1);
        }
    }
    [failed, died, died_twice]
}

/// Whether a log starts on a disk, and goes on with what it had.
fn starts(scene: Scene, disk: &MemoryDisk, known: &Checkpoint, row: &str) {
    let bench = on(disk.copy());
    let mut log = bench.open().unwrap_or_else(|e| panic!("{row}: {e}"));
    assert_eq!(log.recovered.size, scene.all(), "{row}");
    log.append(&record(scene.all()));
    log.sequencer.sequence_once(scene.now(&bench)).unwrap();
    assert_eq!(
        bench.requests(as_count(scene.all().saturating_add(1))),
        (0..=scene.all()).collect::<Vec<_>>(),
        "{row}"
    );
    verify(&bench.disk, &bench.disk, &bench.key(), Some(known)).unwrap_or_else(|e| panic!("{row}: {e}"));
    log.stop();
}

fn as_count(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// A disk that takes nothing any more, be it full or mounted read-only: there is no start, and no harm.
#[test]
fn a_disk_that_takes_nothing_refuses_the_start_and_harms_nothing() {
    for scene in SCENES {
        let (bench, log, known) = scene.set();
        log.stop();
        // From the first write on, or from any later one.
        let sound = on(bench.disk.copy());
        sound.open().unwrap().stop();
        for step in 0..sound.disk.operations() {
            let row = format!("{scene:?}, nothing after write {step}");
            let full = on(bench.disk.copy());
            full.disk.break_down(step);
            for _ in 0..3 {
                assert!(full.open().is_err(), "{row}: it starts");
            }
            full.disk.mend();
            scene.holds(&full.disk, &full, &known, &row);
            starts(scene, &full.disk, &known, &row);
        }
    }
}

/// Records keep the order in which they came, and a clock that is wrong destroys nothing.
#[test]
fn a_clock_that_is_set_back_or_ahead_changes_no_order_and_loses_no_key() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let days = [0_i64, -400, 3, 900, -2, 0];
    let at = |days: i64| Timestamp::from_unix(1_793_836_800 + days * 86_400);
    for (n, days) in (0..).zip(days) {
        log.append(&crate::record::Record { time: at(days), ..record(n) });
        log.sequencer.sequence_once(at(days)).unwrap();
        if n % 2 == 1 {
            log.stop();
            log = bench.open().unwrap();
            assert_eq!(log.recovered.size, n + 1);
        }
    }
    log.stop();
    let verified = verify(&bench.disk, &bench.disk, &bench.key(), None).unwrap();
    assert_eq!(verified.checkpoint.size, 6);
    assert_eq!(bench.requests(6), [0, 1, 2, 3, 4, 5]);
    let keys = bench.keys();
    let width = crate::tile::Width::of(6).unwrap();
    for (n, entry) in (0..).zip(crate::tile::read_entries(&bench.disk, 0, width).unwrap()) {
        let opened = crate::leaf::Leaf::parse(&entry).unwrap().unseal(&keys, &bench.disk).unwrap();
        assert_eq!((opened.time, opened.resource), (at(days[n]), record(n as u64).resource));
    }
}

/// What waits in memory for the sequencer has a bound; what is beyond it comes from the segments, and then the rest from memory.
#[test]
fn records_that_found_no_room_in_memory_are_read_from_the_disk() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let long =
        |n| crate::record::Record { action: Some("x".repeat(crate::leaf::MAX_LEAF - 300)), ..record(n) };
    for n in 0..300 {
        log.append(&long(n));
    }
    assert!(log.sequencer.shared.fresh_from() == Some(0), "the first are at hand");
    assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().new, 300);
    for n in 300..310 {
        log.append(&record(n));
    }
    assert_eq!(log.sequencer.shared.fresh_from(), Some(300), "there is room again");
    assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().new, 10);
    assert_eq!(bench.requests(310), (0..310).collect::<Vec<_>>());
    verify(&bench.disk, &bench.disk, &bench.key(), None).unwrap();
    log.stop();
}

/// The same as at a checkpoint, in a log whose records are so long that full bundles are stored as they are absorbed.
#[test]
fn whichever_write_fails_while_records_are_absorbed_nothing_acknowledged_is_lost() {
    let scene = Scene { covered: 3, new: 300, days: 0 };
    let long = |n| {
        let action = "x".repeat(crate::leaf::MAX_LEAF - 300);
        crate::record::Record { action: Some(action), ..record(n) }
    };
    let set = || {
        let (bench, mut log, known) = Scene { new: 0, ..scene }.set();
        log.sequencer.absorb().unwrap();
        for n in scene.covered..scene.all() {
            log.append(&long(n));
        }
        (bench, log, known)
    };
    let (bench, mut log, known) = set();
    let before = bench.disk.operations();
    assert_eq!(log.sequencer.wait(Duration::MAX), Awaited::Much);
    log.sequencer.absorb().unwrap();
    let writes = bench.disk.operations().saturating_sub(before);
    assert!(writes >= 3, "a bundle, its tile, a segment: {writes}");
    assert_eq!(verify(&bench.disk, &bench.disk, &bench.key(), Some(&known)).unwrap().checkpoint, known);
    assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().new, scene.new, "all of it is new");
    scene.holds(&bench.disk, &bench, &known, "absorbed");
    log.stop();
    for (step, fault) in (0..writes).flat_map(|step| FAULTS.map(|fault| (step, fault))) {
        let row = format!("write {step} {fault:?}");
        let (bench, mut log, known) = set();
        bench.disk.break_once(step, fault);
        assert!(log.sequencer.absorb().is_err(), "{row}: it went unnoticed");
        let dead = bench.disk.copy();
        let done = bench.disk.operations();
        log.sequencer.absorb().unwrap();
        assert_eq!(bench.disk.operations(), done, "{row}: not before a checkpoint was tried");
        assert_eq!(log.sequencer.sequence_once(bench.now()).unwrap().checkpoint.size(), scene.all(), "{row}");
        scene.holds(&bench.disk, &bench, &known, &row);
        log.stop();

        dead.crash(&mut SeededEntropy::new(step));
        let bench = on(dead);
        let log = bench.open().unwrap();
        assert_eq!(log.recovered.size, scene.all(), "{row}");
        scene.holds(&bench.disk, &bench, &known, &row);
        log.stop();
    }
}

#[test]
fn who_waits_is_told_when_a_checkpoint_is_due_and_when_nothing_more_will_come() {
    let bench = Bench::new();
    let log = bench.open().unwrap();
    log.append(&record(0));
    assert_eq!(log.sequencer.wait(Duration::ZERO), Awaited::Time);
    log.journal.close();
    assert_eq!(log.sequencer.wait(Duration::MAX), Awaited::End);
    log.stop();
}
