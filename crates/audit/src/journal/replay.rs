//! Reading the journal: batch after batch, across segments, to its end; and telling a torn end from damage.

use std::io;

use chartgate_values::mac::MarkingKey;

use super::frame::{BatchHeader, Durability, Point, SegmentHeader};
use crate::storage::Segments;
use crate::tile::Entries;

/// A journal that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("cannot read the journal: {0}")]
    Storage(#[from] io::Error),
    /// What stands here was durable once and is no longer what was written.
    #[error("the journal is damaged in segment {segment} at byte {offset}, where record {index} should be")]
    Damaged {
        /// The segment's number.
        segment: u64,
        /// The place within it.
        offset: u64,
        /// The first record that cannot be read.
        index: u64,
    },
    /// Records between the last checkpoint and the oldest segment are missing.
    #[error("records {from} to {to} are in no tile and in no segment")]
    Missing {
        /// The first that is missing.
        from: u64,
        /// The first that is there again.
        to: u64,
    },
    /// Records that no checkpoint covers were written by a version that did not mark what it writes, or by somebody else.
    #[error(
        "segment {segment} of the journal holds records from {index} on that no checkpoint covers, without the mark that shows \
         whose they are. If this version never ran here, an earlier one was killed before it signed for them: start that one and \
         stop it. If it did, somebody else wrote them: keep the segment as evidence, elsewhere"
    )]
    Unmarked {
        /// The segment's number.
        segment: u64,
        /// The first of them.
        index: u64,
    },
}

/// A walk through the journal's batches.
pub(crate) struct Replay<'a> {
    segments: &'a dyn Segments,
    /// What the batches are marked with, where it is at hand.
    key: Option<&'a MarkingKey>,
    cursor: Cursor,
    /// The segments after this one that are in use, as of the last look.
    successors: Vec<SegmentHeader>,
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The segment; zero, which no segment has, before the first.
    segment: u64,
    offset: u64,
    point: Point,
    durability: Durability,
    /// A checkpoint covers what lies before this record.
    covered: u64,
}

impl Cursor {
    /// Before the first segment that matters to who looks for record `index`, a checkpoint covering what lies before it.
    pub(crate) fn before(index: u64) -> Self {
        let (point, durability) = (Point::beginning_at(index), Durability::Fsync);
        Self { segment: 0, offset: 0, point, durability, covered: index }
    }

    /// Behind the batch that was written last.
    pub(super) fn behind(segment: u64, offset: u64, point: Point, durability: Durability) -> Self {
        Self { segment, offset, point, durability, covered: point.next_index }
    }

    /// What the next batch must say of itself.
    pub(crate) fn point(&self) -> Point {
        self.point
    }

    /// The segment in which the walk stands: those before it are no longer needed.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }
}

/// A batch that was read whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Batch {
    pub(crate) first_index: u64,
    /// Its entries, from `body` on.
    bytes: Vec<u8>,
    body: usize,
}

impl Batch {
    /// With the entries that stand in `bytes` from `body` on.
    pub(super) fn new(first_index: u64, bytes: Vec<u8>, body: usize) -> Self {
        Self { first_index, bytes, body }
    }

    /// Bytes of memory that it takes.
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// Its entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        // INVARIANT: the body was verified, so it does not end within an entry.
        Entries::of(self.bytes.get(self.body..).unwrap_or_default()).map_while(Result::ok)
    }
}

/// How the journal ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tail {
    /// Bytes of a last batch that was never acknowledged.
    pub(crate) torn_bytes: u64,
}

impl<'a> Replay<'a> {
    /// Goes on from where another walk stood. With the `key` nothing is read that somebody else wrote.
    ///
    /// Looks which segments are in use. A writer's acknowledgement seen before this look is honoured after it:
    /// whoever goes by acknowledgements must have seen them before.
    pub(crate) fn resume(
        segments: &'a dyn Segments,
        cursor: Cursor,
        key: Option<&'a MarkingKey>,
    ) -> Result<Self, JournalError> {
        let mut replay = Self { segments, key, cursor, successors: Vec::new() };
        replay.look_ahead()?;
        Ok(replay)
    }

    /// Where the walk stands.
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor
    }

    fn look_ahead(&mut self) -> Result<(), JournalError> {
        self.successors.clear();
        for number in self.segments.numbers()? {
            if number <= self.cursor.segment {
                continue;
            }
            let bytes = self.segments.read_at(number, 0, SegmentHeader::LENGTH)?;
            self.successors.extend(SegmentHeader::parse(&bytes).filter(|header| header.number == number));
        }
        Ok(())
    }

    /// The next batch, if it is whole and ends at or before record `limit`. The first may begin before the record
    /// that was looked for.
    pub(crate) fn next(&mut self, limit: u64) -> Result<Option<Batch>, JournalError> {
        if let Some(header) = self.successor()? {
            self.cursor = Cursor {
                segment: header.number,
                offset: SegmentHeader::LENGTH as u64,
                point: header.start,
                durability: header.durability,
                covered: self.cursor.covered,
            };
            self.successors.retain(|later| later.number > header.number);
        }
        let Some((batch, point, length)) = self.read_here()? else { return Ok(None) };
        if point.next_index > limit {
            return Ok(None);
        }
        self.cursor.point = point;
        self.cursor.offset = self.cursor.offset.saturating_add(length);
        Ok(Some(batch))
    }

    /// The segment to go on in, if it is another one.
    fn successor(&self) -> Result<Option<SegmentHeader>, JournalError> {
        let Cursor { segment, point, .. } = self.cursor;
        if segment > 0 {
            // A later segment that starts from this very point means that whatever follows here was given up by
            // the writer. The latest of them counts: those between were given up too.
            return Ok(self.successors.iter().rfind(|header| header.start == point).copied());
        }
        let last = self.successors.iter().rfind(|header| header.start.next_index <= point.next_index);
        match (last, self.successors.first()) {
            // Without syncs a power cut may have lost what came before a segment; with them it cannot.
            (None, Some(first)) if first.durability == Durability::Fsync => {
                Err(JournalError::Missing { from: point.next_index, to: first.start.next_index })
            }
            (last, _) => Ok(last.copied()),
        }
    }

    fn read_here(&self) -> Result<Option<(Batch, Point, u64)>, JournalError> {
        let Cursor { segment, offset, point, covered, .. } = self.cursor;
        if segment == 0 {
            return Ok(None);
        }
        let header = self.segments.read_at(segment, offset, BatchHeader::LENGTH)?;
        let header = BatchHeader::parse(&header).filter(|header| header.length <= LONGEST_BATCH);
        let Some(header) = header else { return Ok(None) };
        let body_from = offset.saturating_add(header.own_length() as u64);
        let body_length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let body = self.segments.read_at(segment, body_from, body_length)?;
        let Some(behind) = header.verify(&point, &body, self.key) else { return Ok(None) };
        if self.key.is_some() && !header.is_marked() && behind.next_index > covered {
            return Err(JournalError::Unmarked { segment, index: point.next_index.max(covered) });
        }
        let length = (header.own_length() as u64).saturating_add(u64::from(header.length));
        Ok(Some((Batch::new(point.next_index, body, 0), behind, length)))
    }

    /// Makes sure that the last batch was the last, quickly where nothing at all lies behind it.
    pub(crate) fn end(&mut self) -> Result<(), JournalError> {
        let Cursor { segment, offset, .. } = self.cursor;
        self.look_ahead()?;
        if self.successors.is_empty()
            && segment > 0
            && self.segments.read_at(segment, offset, QUICK_LOOK)?.iter().all(|byte| *byte == 0)
        {
            return Ok(());
        }
        self.tail().map(drop)
    }

    /// Judges what lies behind the last batch: nothing, a batch that was torn as it was written, or damage.
    pub(crate) fn tail(&mut self) -> Result<Tail, JournalError> {
        let judged = self.judge();
        if matches!(judged, Err(JournalError::Damaged { .. })) {
            // The writer may have come this way between our last read and this look.
            self.look_ahead()?;
            if self.successor()?.is_some() || self.read_here()?.is_some() {
                return Ok(Tail { torn_bytes: 0 });
            }
        }
        judged
    }

    fn judge(&mut self) -> Result<Tail, JournalError> {
        self.look_ahead()?;
        let Cursor { segment, offset, point, durability, .. } = self.cursor;
        let damaged = |segment, offset| JournalError::Damaged { segment, offset, index: point.next_index };
        if durability == Durability::Fsync && !self.successors.is_empty() {
            // With every batch durable before the next begins, nothing can start beyond what can be read.
            return Err(damaged(segment, offset));
        }
        let mut torn_bytes = 0_u64;
        let here = (segment > 0).then_some((segment, offset));
        let numbers = self.segments.numbers()?;
        let later = numbers.into_iter().filter(|number| *number > segment).map(|number| (number, 0));
        for (number, from) in here.into_iter().chain(later) {
            match (judge_rest(from, &self.read_rest(number, from)?), durability) {
                (Verdict::Empty, _) => {}
                (Verdict::Torn(bytes), _) | (Verdict::Damaged(bytes), Durability::Os) => {
                    torn_bytes = torn_bytes.saturating_add(bytes);
                }
                (Verdict::Damaged(_), Durability::Fsync) => return Err(damaged(number, from)),
            }
        }
        Ok(Tail { torn_bytes })
    }

    fn read_rest(&self, number: u64, from: u64) -> Result<Vec<u8>, JournalError> {
        // No writer makes so long a segment, and what is not believed is not read into memory.
        if !self.segments.read_at(number, LONGEST_SEGMENT, 1)?.is_empty() {
            let index = self.cursor.point.next_index;
            return Err(JournalError::Damaged { segment: number, offset: from, index });
        }
        let mut rest = Vec::new();
        loop {
            let offset = from.saturating_add(rest.len() as u64);
            let chunk = self.segments.read_at(number, offset, CHUNK)?;
            if chunk.is_empty() {
                return Ok(rest);
            }
            rest.extend(chunk);
        }
    }
}

/// Far beyond the length of any segment that is written.
const LONGEST_SEGMENT: u64 = 1 << 30;
/// And of any batch.
const LONGEST_BATCH: u32 = 64 << 20;
const CHUNK: usize = 1 << 20;
const QUICK_LOOK: usize = 4096;

/// What bytes are that do not form the batch that should come.
#[derive(Debug, Eq, PartialEq)]
enum Verdict {
    /// As the segment was made.
    Empty,
    /// Partly written: no sync of it can have succeeded.
    Torn(u64),
    /// Wholly written once, and changed since.
    Damaged(u64),
}

/// Judges the bytes from `offset` to the end of a segment.
///
/// A sector is written whole or not at all, segments start as zeros, and neither a header nor a leaf has a sector
/// of zeros. A batch with such a sector was therefore never written whole; one without was, and differs now.
/// Whatever its state, no later batch can have been begun before it was durable.
fn judge_rest(offset: u64, rest: &[u8]) -> Verdict {
    let Some(last) = rest.iter().rposition(|byte| *byte != 0) else { return Verdict::Empty };
    let bytes = last.saturating_add(1) as u64;
    let later_batch = || {
        let from = if offset == 0 { SegmentHeader::LENGTH.saturating_add(1) } else { 1 };
        (from..rest.len()).any(|at| rest.get(at..).and_then(BatchHeader::parse).is_some())
    };
    if is_partly_written(offset, rest) && !later_batch() {
        Verdict::Torn(bytes)
    } else {
        Verdict::Damaged(bytes)
    }
}

fn is_partly_written(offset: u64, rest: &[u8]) -> bool {
    // At the start of a segment its header comes first, in the same sector as the first batch's.
    let before = if offset == 0 { SegmentHeader::LENGTH } else { 0 };
    let header = rest.get(before..).and_then(BatchHeader::parse);
    let to_sector_end = usize::try_from(SECTOR.saturating_sub(offset % SECTOR)).unwrap_or(0);
    let own_length = header.map_or(BatchHeader::LENGTH, |header| header.own_length());
    let headers = before.saturating_add(own_length);
    let extent = match header {
        Some(header) => headers.saturating_add(usize::try_from(header.length).unwrap_or(usize::MAX)),
        // How long the batch is cannot be known; its header's sectors are enough.
        None if headers <= to_sector_end => to_sector_end,
        None => to_sector_end.saturating_add(SECTOR_BYTES),
    };
    let extent = rest.get(..extent).unwrap_or(rest);
    let (first, others) = extent.split_at_checked(to_sector_end).unwrap_or((extent, &[]));
    let unwritten = |piece: &[u8]| piece.iter().all(|byte| *byte == 0);
    let cut_off = header.is_some() && extent.last() == Some(&0);
    unwritten(first) || others.chunks(SECTOR_BYTES).any(unwritten) || cut_off
}

const SECTOR: u64 = 512;
const SECTOR_BYTES: usize = 512;

#[cfg(test)]
mod tests;
