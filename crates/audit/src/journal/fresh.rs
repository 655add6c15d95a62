//! Batches that became durable a moment ago, for the sequencer: what lies here it need not read from the disk again.

use std::collections::VecDeque;

use super::frame::Point;
use super::replay::{Batch, Cursor};

/// The batches in order, without those that found no room: those are read from the segments.
#[derive(Default)]
pub(super) struct Fresh {
    batches: VecDeque<FreshBatch>,
    bytes: usize,
    /// What the sequencer was not told yet.
    news: News,
}

/// Why the sequencer would be woken.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum News {
    #[default]
    None,
    Much,
    Ended,
}

/// How a wait for batches ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Awaited {
    /// With its time.
    Time,
    /// Much waits: what comes may soon find no room.
    Much,
    /// No batch will come any more.
    End,
}

/// A batch, and where a walk through the segments stands before and behind it.
pub(super) struct FreshBatch {
    pub(super) start: Point,
    pub(super) batch: Batch,
    pub(super) behind: Cursor,
}

impl Fresh {
    /// Keeps a batch, if there is room.
    pub(super) fn put(&mut self, batch: FreshBatch) {
        let bytes = self.bytes.saturating_add(batch.batch.room());
        if bytes <= MOST {
            self.bytes = bytes;
            self.batches.push_back(batch);
        }
        if bytes >= MUCH && self.news == News::None {
            self.news = News::Much;
        }
    }

    /// No batch will come any more.
    pub(super) fn end(&mut self) {
        self.news = News::Ended;
    }

    /// Whether there is something to tell the sequencer.
    pub(super) fn has_news(&self) -> bool {
        self.news != News::None
    }

    /// What there is to tell it. That much waits is told once for each batch that adds to it.
    pub(super) fn take_news(&mut self) -> Awaited {
        match self.news {
            News::None => Awaited::Time,
            News::Much => {
                self.news = News::None;
                Awaited::Much
            }
            News::Ended => Awaited::End,
        }
    }

    /// The batch that a walk reads next which stands at `point`, and where it stands then.
    pub(super) fn take(&mut self, point: &Point) -> Option<(Batch, Cursor)> {
        while self.batches.front().is_some_and(|first| first.start.next_index < point.next_index) {
            self.pop();
        }
        let is_next = self.batches.front().is_some_and(|first| first.start == *point);
        let FreshBatch { batch, behind, .. } = if is_next { self.pop()? } else { return None };
        Some((batch, behind))
    }

    /// Where the first batch that is here begins.
    #[cfg(test)]
    pub(super) fn begins_at(&self) -> Option<u64> {
        self.batches.front().map(|first| first.start.next_index)
    }

    fn pop(&mut self) -> Option<FreshBatch> {
        let first = self.batches.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.batch.room());
        Some(first)
    }
}

/// Bytes of memory that they take at most.
const MOST: usize = 8 << 20;

/// So many are much: the sequencer has the time of three times as many to come.
const MUCH: usize = MOST / 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Hash;

    fn point(next_index: u64, chain: u8) -> Point {
        Point { next_index, next_batch: next_index, chain: Hash::from_bytes([chain; Hash::LENGTH]) }
    }

    fn put(fresh: &mut Fresh, start: Point, length: usize) {
        let batch = Batch::new(start.next_index, vec![0; length], 0);
        fresh.put(FreshBatch { start, batch, behind: Cursor::before(start.next_index.saturating_add(1)) });
    }

    #[test]
    fn a_walk_gets_the_batch_at_which_it_stands_and_no_other() {
        let mut fresh = Fresh::default();
        for index in 0..4 {
            put(&mut fresh, point(index, 1), 10);
        }
        assert!(fresh.take(&point(0, 2)).is_none(), "the same place in another history");
        assert_eq!(fresh.begins_at(), Some(0));
        let (batch, behind) = fresh.take(&point(2, 1)).unwrap();
        assert_eq!((batch.first_index, behind.point().next_index), (2, 3));
        assert_eq!(fresh.begins_at(), Some(3), "what lay before is read already");
        assert!(fresh.take(&point(4, 1)).is_none());
        assert_eq!((fresh.begins_at(), fresh.bytes), (None, 0));
    }

    #[test]
    fn the_sequencer_is_told_that_much_waits_once_for_each_batch_and_that_no_more_will_come() {
        let mut fresh = Fresh::default();
        put(&mut fresh, point(0, 1), MUCH - 1);
        assert!(!fresh.has_news());
        for index in 1..3 {
            put(&mut fresh, point(index, 1), 1);
            assert!(fresh.has_news());
            assert_eq!([fresh.take_news(), fresh.take_news()], [Awaited::Much, Awaited::Time]);
        }
        put(&mut fresh, point(3, 1), MOST);
        assert_eq!(fresh.take_news(), Awaited::Much, "also where there is no room");
        fresh.end();
        put(&mut fresh, point(4, 1), 1);
        assert_eq!([fresh.take_news(), fresh.take_news()], [Awaited::End, Awaited::End]);
    }

    #[test]
    fn what_waits_has_a_bound() {
        let mut fresh = Fresh::default();
        for index in 0..5 {
            put(&mut fresh, point(index, 1), MOST / 4);
        }
        assert_eq!((fresh.batches.len(), fresh.bytes), (4, MOST));
        fresh.take(&point(0, 1)).unwrap();
        put(&mut fresh, point(5, 1), 1);
        assert!((1..4).all(|index| fresh.take(&point(index, 1)).is_some()));
        assert!(fresh.take(&point(4, 1)).is_none(), "that one is read from its segment");
        assert_eq!(fresh.begins_at(), Some(5));
    }
}
