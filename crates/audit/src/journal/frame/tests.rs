use proptest::prelude::*;

use super::*;
use crate::tile::push_entry;

/// Adds the batch of `entries` that comes at `point` to `out`.
pub(in crate::journal) fn push_batch<'a>(
    point: &Point,
    entries: impl IntoIterator<Item = &'a [u8]>,
    out: &mut Vec<u8>,
) -> Option<Point> {
    let entries: Vec<_> = entries.into_iter().collect();
    let mut body = Vec::new();
    entries.iter().for_each(|entry| push_entry(&mut body, entry).unwrap());
    let (header, behind) = batch_header(point, entries.len(), &body)?;
    out.extend(header);
    out.extend(body);
    Some(behind)
}

fn point() -> Point {
    Point { next_index: 41, next_batch: 7, chain: Hash::of(&[b"before"]) }
}

#[test]
fn a_batch_is_read_as_it_was_written_at_its_point_alone() {
    let mut bytes = Vec::new();
    let behind = push_batch(&point(), [b"one".as_slice(), b"two"], &mut bytes).unwrap();
    assert_eq!((behind.next_index, behind.next_batch), (43, 8));
    let header = BatchHeader::parse(&bytes).unwrap();
    let body = &bytes[BatchHeader::LENGTH..];
    assert_eq!(header.verify(&point(), body), Some(behind));
    assert_eq!(Entries::of(body).collect::<Result<Vec<_>, _>>().unwrap(), [b"one".as_slice(), b"two"]);
    for other in [
        Point { next_index: 40, ..point() },
        Point { next_batch: 6, ..point() },
        Point { chain: Hash::of(&[b"other"]), ..point() },
    ] {
        assert_eq!(header.verify(&other, body), None);
    }
}

#[test]
fn a_batch_without_entries_has_no_header() {
    assert_eq!(batch_header(&point(), 0, &[]), None);
}

proptest! {
    #[test]
    fn every_changed_byte_of_a_batch_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = Vec::new();
        push_batch(&point(), [br#"{"v":1}"#.as_slice(), b"two"], &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let read = BatchHeader::parse(&bytes)
            .and_then(|header| header.verify(&point(), &bytes[BatchHeader::LENGTH..]));
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
