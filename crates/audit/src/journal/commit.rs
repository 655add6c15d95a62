//! The commit loop: all that wait become one batch, one write and one sync.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::frame::{BatchHeader, Durability, Point, SegmentHeader};
use super::fresh::FreshBatch;
use super::gathered::{Gathered, refuse};
use super::shared::{Prepared, Shared, Work};
use super::{Cursor, Mark, Writability};
use crate::leaf::MAX_LEAF;
use crate::storage::{Objects, Segment};

/// Writes what is appended. Blocking; runs on a thread that the server lends.
pub struct CommitLoop {
    shared: Arc<Shared>,
    objects: Arc<dyn Objects>,
    durability: Durability,
    point: Point,
    current: Current,
}

/// A change in how the journal fares, for whoever watches over it.
#[derive(Debug)]
pub enum CommitEvent<'a> {
    /// The disk did not take a batch: all in it were refused.
    Unwritable(&'a io::Error),
    /// It does again.
    Writable,
}

/// The segment that is being written.
enum Current {
    /// All before `offset` is durable, and nothing was written behind it.
    Sound { number: u64, segment: Box<dyn Segment>, offset: u64 },
    /// A write or sync failed in it. What stands there is unknown and stays so; the journal goes on in another.
    GivenUp { number: u64 },
}

/// How long to wait before the disk is tried again while nobody asks.
const RETRY: Duration = Duration::from_secs(1);

/// The length of a segment where nothing else is asked for: some seconds of a busy gateway.
pub const SEGMENT_LENGTH: u64 = 8 << 20;

/// The shortest segment: it must hold a batch of one leaf of any length.
pub(crate) const MIN_SEGMENT: u64 = 4 * MAX_LEAF as u64;

impl CommitLoop {
    /// Goes on at `point`, in a segment of its own.
    pub(crate) fn start(
        shared: Arc<Shared>,
        objects: Arc<dyn Objects>,
        durability: Durability,
        point: Point,
    ) -> io::Result<Self> {
        let Prepared { number, segment } = shared.next_segment(0)?;
        let current = Current::Sound { number, segment, offset: 0 };
        Ok(Self { shared, objects, durability, point, current })
    }

    /// Writes batches until the journal is closed and nothing waits any more. Tells `watcher` of each change.
    pub fn run(mut self, watcher: &mut dyn FnMut(CommitEvent<'_>)) {
        loop {
            let patience = match self.shared.writability() {
                Writability::Writable => None,
                Writability::Unwritable => Some(RETRY),
            };
            if let ControlFlow::Break(()) = self.turn(patience, watcher) {
                return;
            }
        }
    }

    /// Writes one batch, or tries the disk if none came in time.
    pub(super) fn turn(
        &mut self,
        patience: Option<Duration>,
        watcher: &mut dyn FnMut(CommitEvent<'_>),
    ) -> ControlFlow<()> {
        let attempt = match self.shared.take(patience) {
            Work::Batch(batch) => self.commit(batch),
            Work::Nothing => self.probe(),
            Work::Closed => return ControlFlow::Break(()),
        };
        let now = if attempt.is_ok() { Writability::Writable } else { Writability::Unwritable };
        match (self.shared.note(now), attempt) {
            (Writability::Unwritable, Ok(())) => watcher(CommitEvent::Writable),
            (Writability::Writable, Err(error)) => watcher(CommitEvent::Unwritable(&error)),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Writes one batch and answers all in it.
    fn commit(&mut self, mut batch: Gathered) -> io::Result<()> {
        if let Err(error) = self.shared.keys.save_new() {
            batch.refuse();
            return Err(error);
        }
        let blobs = self.store_blobs(&mut batch);
        if batch.count() == 0 {
            return blobs;
        }
        match self.write(&mut batch) {
            Ok(point) => {
                self.acknowledge(batch, point);
                blobs
            }
            Err(error) => {
                batch.refuse();
                Err(error)
            }
        }
    }

    /// Makes durable what leaves of the batch name. If that fails, only those leaves are refused.
    fn store_blobs(&self, batch: &mut Gathered) -> io::Result<()> {
        let blobs = batch.blobs();
        if blobs.is_empty() {
            return Ok(());
        }
        let stored = self.objects.put(&blobs);
        if stored.is_err() {
            refuse(batch.take_out_naming());
        }
        stored
    }

    fn write(&mut self, batch: &mut Gathered) -> io::Result<Point> {
        let headers = SegmentHeader::LENGTH.saturating_add(BatchHeader::LENGTH);
        self.make_room(headers.saturating_add(batch.length()) as u64)?;
        let Current::Sound { number, segment, offset } = &mut self.current else {
            return Err(io::Error::other("no segment to write in"));
        };
        let (number, durability, start) = (*number, self.durability, self.point);
        let header = (*offset == 0).then_some(SegmentHeader { number, durability, start });
        // INVARIANT: the queue gives no empty batch and no leaf beyond `MAX_LEAF`.
        let framed = batch.frame(&start, header, self.shared.keys.journal());
        let (bytes, point) = framed.ok_or_else(|| io::Error::other("the batch has no encoding"))?;

        // CRASH: before the sync returns nobody was told. What is found then is a torn batch, or a whole one that
        // nobody relies on.
        let written = segment.write_at(*offset, bytes).and_then(|()| match (durability, *offset) {
            // A segment's header is always made durable: it says how the rest is to be judged.
            (Durability::Fsync, _) | (Durability::Os, 0) => segment.sync(),
            (Durability::Os, _) => Ok(()),
        });
        if let Err(error) = written {
            // A failed sync says nothing about what the disk holds, and the next success will not either. The next
            // segment's header says from which point it goes on, which voids whatever stands here.
            self.current = Current::GivenUp { number };
            return Err(error);
        }
        *offset = offset.saturating_add(bytes.len() as u64);
        Ok(point)
    }

    /// Sees to it that a sound segment has room for `length` more bytes.
    fn make_room(&mut self, length: u64) -> io::Result<()> {
        let current = match &self.current {
            Current::Sound { offset, .. }
                if offset.saturating_add(length) <= self.shared.segment_length() =>
            {
                return Ok(());
            }
            Current::Sound { number, .. } | Current::GivenUp { number } => *number,
        };
        let Prepared { number, segment } = self.shared.next_segment(current)?;
        self.current = Current::Sound { number, segment, offset: 0 };
        Ok(())
    }

    /// Finds out whether the disk can be written again, so that a gateway that turned everybody away notices.
    fn probe(&mut self) -> io::Result<()> {
        self.make_room(MIN_SEGMENT / 2)
    }

    /// Hands a batch that is durable on to the sequencer and answers all in it.
    fn acknowledge(&mut self, batch: Gathered, point: Point) {
        let start = std::mem::replace(&mut self.point, point);
        let first = start.next_index;
        let (batch, mut waiting) = batch.written(first);
        if let Current::Sound { number, offset, .. } = &self.current {
            let behind = Cursor::behind(*number, *offset, point, self.durability);
            self.shared.hand_over(FreshBatch { start, batch, behind });
        }
        let marks = waiting.iter_mut().map(|waiting| std::mem::replace(&mut waiting.mark, Mark::Neither));
        self.shared.advance(point.next_index, (first..).zip(marks));
        for (index, waiting) in (first..).zip(waiting) {
            // Whoever gave up waiting gave up what was carried too.
            let _ = waiting.reply.send(Ok(index));
        }
    }
}

impl fmt::Debug for CommitLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<commit loop at record {}>", self.point.next_index)
    }
}

/// However the loop ends, nobody waits for it in vain.
impl Drop for CommitLoop {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}
