use proptest::prelude::*;

use chartgate_values::seal::MasterKey;

use super::*;
use crate::testing::journal_key;
use crate::tile::push_entry;

/// Adds the batch of `entries` that comes at `point` to `out`, marked with `key`.
pub(in crate::journal) fn push_batch_of<'a>(
    key: &MarkingKey,
    point: &Point,
    entries: impl IntoIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Option<Point> {
    let (count, body) = body(entries);
    let (header, behind) = batch_header(point, count, &body, key)?;
    out.extend(header);
    out.extend(body);
    Some(behind)
}

/// The same, marked as a [`crate::testing::Bench`] does.
pub(in crate::journal) fn push_batch<'a>(
    point: &Point,
    entries: impl IntoIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Option<Point> {
    push_batch_of(&journal_key(), point, entries, out)
}

/// The same, as versions wrote it that made no mark.
pub(in crate::journal) fn push_unmarked_batch<'a>(
    point: &Point,
    entries: impl IntoIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Option<Point> {
    let (count, body) = body(entries);
    let header = BatchHeader::of(point, count, &body, None)?;
    out.extend(header.encode());
    out.extend(body);
    Some(header.behind())
}

fn body<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> (usize, Vec<u8>) {
    let mut body = Vec::new();
    let pushed = entries.into_iter().map(|entry| push_entry(&mut body, entry).unwrap());
    (pushed.count(), body)
}

fn point() -> Point {
    Point { next_index: 41, next_batch: 7, chain: Hash::of(&[b"before"]) }
}

#[test]
fn a_batch_is_read_as_it_was_written_at_its_point_alone() {
    let key = journal_key();
    let mut bytes = Vec::new();
    let behind = push_batch(&point(), [b"one".as_slice(), b"two"], &mut bytes).unwrap();
    assert_eq!((behind.next_index, behind.next_batch), (43, 8));
    let header = BatchHeader::parse(&bytes).unwrap();
    let body = &bytes[header.own_length()..];
    assert_eq!(header.verify(&point(), body, Some(&key)), Some(behind));
    assert_eq!(header.verify(&point(), body, None), Some(behind), "who has not the key believes the mark");
    assert_eq!(Entries::of(body).collect::<Result<Vec<_>, _>>().unwrap(), [b"one".as_slice(), b"two"]);
    for other in [
        Point { next_index: 40, ..point() },
        Point { next_batch: 6, ..point() },
        Point { chain: Hash::of(&[b"other"]), ..point() },
    ] {
        assert_eq!(header.verify(&other, body, Some(&key)), None);
    }
}

#[test]
fn a_batch_that_another_key_marked_is_read_by_nobody_who_has_ours() {
    let key = MasterKey::from_bytes([8; 32]).marking("audit journal").unwrap();
    let mut bytes = Vec::new();
    let behind = push_batch_of(&key, &point(), [b"one".as_slice()], &mut bytes).unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    let body = &bytes[header.own_length()..];
    assert_eq!(header.verify(&point(), body, Some(&key)), Some(behind));
    assert_eq!(header.verify(&point(), body, Some(&journal_key())), None);
}

#[test]
fn the_mark_of_another_batch_is_none_of_this_one() {
    let [mut one, mut other] = [Vec::new(), Vec::new()];
    push_batch(&point(), [b"one".as_slice()], &mut one).unwrap();
    push_batch(&point(), [b"two".as_slice()], &mut other).unwrap();
    let [one, other] = [one, other].map(|bytes| BatchHeader::parse(&bytes).unwrap());
    let mixed = BatchHeader { mark: other.mark, ..one };
    assert_eq!(BatchHeader::parse(&mixed.encode()), Some(mixed), "its check is right");
    let (_, body) = body([b"one".as_slice()]);
    assert_eq!(mixed.verify(&point(), &body, Some(&journal_key())), None);
}

#[test]
fn what_earlier_versions_wrote_is_read_as_unmarked() {
    let mut bytes = Vec::new();
    let behind = push_unmarked_batch(&point(), [b"one".as_slice()], &mut bytes).unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert!(!header.is_marked());
    assert_eq!((header.own_length(), bytes.len()), (64, 64 + 2 + 3));
    assert_eq!(header.verify(&point(), &bytes[64..], Some(&journal_key())), Some(behind));
}

#[test]
fn a_batch_without_entries_has_no_header() {
    assert_eq!(batch_header(&point(), 0, &[], &journal_key()), None);
}

proptest! {
    #[test]
    fn every_changed_byte_of_a_batch_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = Vec::new();
        push_batch(&point(), [br#"{"v":1}"#.as_slice(), b"two"], &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let read = BatchHeader::parse(&bytes)
            .and_then(|header| header.verify(&point(), &bytes[header.own_length()..], Some(&journal_key())));
        prop_assert_eq!(read, None);
    }

    #[test]
    fn a_segment_header_is_read_as_it_was_written(number: u64, index: u64, batch: u64, at in 0..80_usize) {
        let start = Point { next_index: index, next_batch: batch, chain: Hash::of(&[b"x"]) };
        for durability in [Durability::Fsync, Durability::Os] {
            let header = SegmentHeader { number, durability, start };
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            prop_assert_eq!(bytes.len(), SegmentHeader::LENGTH);
            prop_assert_eq!(SegmentHeader::parse(&bytes), Some(header));
            bytes[at] ^= 1;
            prop_assert_eq!(SegmentHeader::parse(&bytes), None);
        }
    }
}
