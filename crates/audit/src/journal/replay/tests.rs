#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use chartgate_values::seal::MasterKey;

use super::*;
use crate::journal::frame::tests::{push_batch, push_batch_of, push_unmarked_batch};
use crate::storage::memory::MemoryDisk;
use crate::testing::journal_key;

const LENGTH: u64 = 16 * 1024;

fn leaf(n: usize) -> Vec<u8> {
    format!(r#"{{"v":1,"n":"{}"}}"#, "x".repeat(n)).into_bytes()
}

/// A segment that starts at `start` and holds one batch for each number of leaves.
fn write(disk: &MemoryDisk, number: u64, start: Point, batches: &[usize]) -> (Point, Vec<u64>) {
    let mut bytes = Vec::new();
    SegmentHeader { number, durability: Durability::Fsync, start }.encode(&mut bytes);
    let mut point = start;
    let mut ends = vec![bytes.len() as u64];
    for count in batches {
        let leaves: Vec<_> = (0..*count).map(|n| leaf(100 + n)).collect();
        point = push_batch(&point, leaves.iter().map(Vec::as_slice), &mut bytes).unwrap();
        ends.push(bytes.len() as u64);
    }
    let mut segment = disk.create(number, LENGTH).unwrap();
    segment.write_at(0, &bytes).unwrap();
    segment.sync().unwrap();
    (point, ends)
}

/// Writes what is not ours behind a segment's batches.
fn forge(disk: &MemoryDisk, end: u64, push: impl FnOnce(&mut Vec<u8>) -> Option<Point>) {
    let mut forged = Vec::new();
    push(&mut forged).unwrap();
    disk.tamper("journal/1", |bytes| {
        let at = usize::try_from(end).unwrap();
        bytes[at..at + forged.len()].copy_from_slice(&forged);
    });
}

fn read(disk: &MemoryDisk, index: u64) -> (u64, Result<Tail, JournalError>) {
    let mut replay = Replay::resume(disk, Cursor::before(index), None).unwrap();
    while replay.next(u64::MAX).unwrap().is_some() {}
    let tail = replay.tail();
    (replay.cursor().point().next_index, tail)
}

#[test]
fn the_walk_starts_at_the_last_segment_that_matters() {
    let disk = MemoryDisk::new();
    let (point, _) = write(&disk, 1, Point::beginning_at(0), &[2, 3]);
    let (point, _) = write(&disk, 2, point, &[4]);
    write(&disk, 3, point, &[1]);
    let first = |index| {
        Replay::resume(&disk, Cursor::before(index), None)
            .unwrap()
            .next(u64::MAX)
            .unwrap()
            .unwrap()
            .first_index
    };
    assert_eq!([0, 4, 5, 8, 9, 100].map(first), [0, 0, 5, 5, 9, 9]);
}

#[test]
fn what_a_later_segment_voids_is_not_read() {
    let disk = MemoryDisk::new();
    let (point, ends) = write(&disk, 1, Point::beginning_at(0), &[2]);
    // A batch of which nobody knows whether it is durable, then two segments that go on without it.
    forge(&disk, ends[1], |out| push_batch(&point, [leaf(9).as_slice()], out));
    assert_eq!(read(&disk, 0).0, 3);
    write(&disk, 2, point, &[7]);
    write(&disk, 3, point, &[5]);
    assert_eq!(read(&disk, 0).0, 7, "2 and 5");
    assert_eq!(read(&disk, 2).0, 7);
}

#[test]
fn a_limit_is_never_passed() {
    let disk = MemoryDisk::new();
    write(&disk, 1, Point::beginning_at(0), &[2, 3]);
    let mut replay = Replay::resume(&disk, Cursor::before(0), None).unwrap();
    assert!(replay.next(1).unwrap().is_none());
    assert_eq!(replay.next(4).unwrap().unwrap().entries().count(), 2);
    assert!(replay.next(4).unwrap().is_none());
    assert_eq!(replay.next(5).unwrap().unwrap().entries().count(), 3);
}

#[test]
fn records_before_the_oldest_segment_are_missed() {
    let disk = MemoryDisk::new();
    write(&disk, 1, Point::beginning_at(10), &[2]);
    let error = Replay::resume(&disk, Cursor::before(9), None).unwrap().next(u64::MAX).unwrap_err();
    assert!(matches!(error, JournalError::Missing { from: 9, to: 10 }));
}

#[test]
fn without_syncs_a_segment_may_stand_behind_a_gap() {
    let disk = MemoryDisk::new();
    let start = Point::beginning_at(10);
    let mut bytes = Vec::new();
    SegmentHeader { number: 1, durability: Durability::Os, start }.encode(&mut bytes);
    disk.create(1, LENGTH).unwrap().write_at(0, &bytes).unwrap();
    assert_eq!(read(&disk, 9).0, 9);
}

#[test]
fn a_segment_that_is_all_zero_is_not_in_use() {
    let disk = MemoryDisk::new();
    assert!(matches!(read(&disk, 5), (5, Ok(Tail { torn_bytes: 0 }))));
    disk.create(1, LENGTH).unwrap();
    assert!(matches!(read(&disk, 5), (5, Ok(Tail { torn_bytes: 0 }))));
    write(&disk, 2, Point::beginning_at(5), &[1]);
    disk.create(3, LENGTH).unwrap();
    assert!(matches!(read(&disk, 5), (6, Ok(Tail { torn_bytes: 0 }))));
}

/// A segment of so many zeros.
struct Long(u64);

impl Segments for Long {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        Ok(vec![1])
    }

    fn create(&self, _: u64, _: u64) -> io::Result<Box<dyn crate::storage::Segment>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_at(&self, _: u64, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let is_looked_at = offset == 0 || offset >= LONGEST_SEGMENT;
        assert!(is_looked_at || self.0 <= LONGEST_SEGMENT, "what is too long is not read");
        let left = usize::try_from(self.0.saturating_sub(offset)).unwrap();
        Ok(vec![0; left.min(length)])
    }

    fn discard(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn a_segment_that_is_too_long_to_be_one_is_damage_and_not_read_into_memory() {
    let judge = |length| {
        let segments = Long(length);
        Replay::resume(&segments, Cursor::before(3), None).unwrap().tail()
    };
    assert_eq!(judge(64 * 1024).unwrap(), Tail { torn_bytes: 0 });
    let refused = judge(LONGEST_SEGMENT + 1).unwrap_err();
    assert!(matches!(refused, JournalError::Damaged { segment: 1, offset: 0, index: 3 }), "{refused}");
}

#[test]
fn any_missing_sectors_of_the_last_batch_are_a_torn_end() {
    let disk = MemoryDisk::new();
    let (_, ends) = write(&disk, 1, Point::beginning_at(0), &[2, 12]);
    let (from, to) = (usize::try_from(ends[1]).unwrap(), usize::try_from(ends[2]).unwrap());
    let sectors: Vec<_> = (from / 512..=(to - 1) / 512).collect();
    assert!((3..8).contains(&sectors.len()), "{}", sectors.len());
    for lost in 1..1_u32 << sectors.len() {
        let copy = disk.copy();
        copy.tamper("journal/1", |bytes| {
            for (bit, sector) in sectors.iter().enumerate().filter(|(bit, _)| lost >> bit & 1 == 1) {
                let _ = bit;
                let (start, end) = ((sector * 512).max(from), (sector * 512 + 512).min(to));
                bytes[start..end].fill(0);
            }
        });
        let (next_index, tail) = read(&copy, 0);
        assert_eq!(next_index, 2, "{lost:b}");
        assert!(tail.is_ok(), "{lost:b}: {tail:?}");
    }
}

#[test]
fn any_missing_sector_of_an_earlier_batch_is_damage() {
    let disk = MemoryDisk::new();
    let (_, ends) = write(&disk, 1, Point::beginning_at(0), &[12, 1]);
    for sector in 0..=(ends[1] - 1) / 512 {
        let copy = disk.copy();
        copy.tamper("journal/1", |bytes| {
            let start = usize::try_from(sector * 512).unwrap();
            let end = usize::try_from((sector * 512 + 512).min(ends[1])).unwrap();
            bytes[start..end].fill(0);
        });
        let (_, tail) = read(&copy, 0);
        assert!(
            matches!(tail, Err(JournalError::Damaged { segment: 1, index: 0, .. })),
            "{sector}: {tail:?}"
        );
    }
}

#[test]
fn every_changed_bit_of_the_last_batch_is_damage() {
    let disk = MemoryDisk::new();
    let (_, ends) = write(&disk, 1, Point::beginning_at(0), &[1, 3]);
    for at in ends[1]..ends[2] {
        let copy = disk.copy();
        copy.tamper("journal/1", |bytes| bytes[usize::try_from(at).unwrap()] ^= 0x10);
        let (next_index, tail) = read(&copy, 0);
        assert_eq!(next_index, 1);
        assert!(matches!(tail, Err(JournalError::Damaged { segment: 1, index: 1, .. })), "{at}: {tail:?}");
    }
}

#[test]
fn a_gap_before_a_later_segment_is_damage() {
    let disk = MemoryDisk::new();
    let (point, ends) = write(&disk, 1, Point::beginning_at(0), &[1, 3]);
    write(&disk, 2, point, &[1]);
    disk.tamper("journal/1", |bytes| bytes[usize::try_from(ends[1]).unwrap()..].fill(0));
    let (next_index, tail) = read(&disk, 0);
    assert_eq!(next_index, 1);
    assert!(matches!(tail, Err(JournalError::Damaged { segment: 1, index: 1, .. })), "{tail:?}");
}

#[test]
fn who_has_the_key_reads_nothing_that_somebody_else_wrote() {
    let (disk, key) = (MemoryDisk::new(), journal_key());
    let (point, ends) = write(&disk, 1, Point::beginning_at(0), &[2]);
    let other = MasterKey::from_bytes([8; 32]).marking("audit journal").unwrap();
    forge(&disk, ends[1], |out| push_batch_of(&other, &point, [leaf(9).as_slice()], out));
    let mut replay = Replay::resume(&disk, Cursor::before(0), Some(&key)).unwrap();
    assert_eq!(replay.next(u64::MAX).unwrap().unwrap().entries().count(), 2);
    assert!(replay.next(u64::MAX).unwrap().is_none());
    let tail = replay.tail();
    assert!(matches!(tail, Err(JournalError::Damaged { segment: 1, index: 2, .. })), "{tail:?}");
}

#[test]
fn what_bears_no_mark_is_read_where_a_checkpoint_covers_it() {
    let (disk, key) = (MemoryDisk::new(), journal_key());
    let (point, ends) = write(&disk, 1, Point::beginning_at(0), &[2]);
    forge(&disk, ends[1], |out| push_unmarked_batch(&point, [leaf(9).as_slice()], out));
    let walk = |covered| {
        let mut replay = Replay::resume(&disk, Cursor::before(covered), Some(&key))?;
        while replay.next(u64::MAX)?.is_some() {}
        replay.tail()
    };
    assert_eq!(walk(3).unwrap(), Tail { torn_bytes: 0 });
    for covered in [0, 2] {
        let refused = walk(covered).unwrap_err();
        assert!(matches!(refused, JournalError::Unmarked { segment: 1, index: 2 }), "{refused}");
    }
}
