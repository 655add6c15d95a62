//! The commit loop: all that wait become one batch, one write and one sync.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::frame::{BatchHeader, Durability, Point, SegmentHeader, push_batch};
use super::fresh::FreshBatch;
use super::shared::{Prepared, Shared, Waiting, Work};
use super::{AppendError, Batch, Cursor, Mark, Writability};
use crate::leaf::MAX_LEAF;
use crate::storage::{Object, Objects, Segment};

/// Writes what is appended. Blocking; runs on a thread that the server lends.
pub struct CommitLoop {
    shared: Arc<Shared>,
    objects: Arc<dyn Objects>,
    durability: Durability,
    point: Point,
    current: Current,
    buffer: Vec<u8>,
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

/// Bytes of leaves that one batch may hold.
const MAX_BATCH: u64 = 1 << 20;

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
        Ok(Self { shared, objects, durability, point, current, buffer: Vec::new() })
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
        let limit = usize::try_from(MAX_BATCH.min(self.shared.segment_length() / 2)).unwrap_or(MAX_LEAF);
        let attempt = match self.shared.take(limit, patience) {
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
    fn commit(&mut self, batch: Vec<Waiting>) -> io::Result<()> {
        if let Err(error) = self.shared.keys.save_new() {
            refuse(batch);
            return Err(error);
        }
        let (batch, blobs) = self.store_blobs(batch);
        if batch.is_empty() {
            return blobs;
        }
        match self.write(&batch) {
            Ok(point) => {
                self.acknowledge(batch, point);
                blobs
            }
            Err(error) => {
                refuse(batch);
                Err(error)
            }
        }
    }

    /// Makes durable what leaves of the batch name. If that fails, only those leaves are refused.
    fn store_blobs(&self, batch: Vec<Waiting>) -> (Vec<Waiting>, io::Result<()>) {
        let blobs: Vec<Object> = batch.iter().filter_map(|waiting| waiting.leaf.blob.clone()).collect();
        if blobs.is_empty() {
            return (batch, Ok(()));
        }
        match self.objects.put(&blobs) {
            Ok(()) => (batch, Ok(())),
            Err(error) => {
                let (named, others) = batch.into_iter().partition(|waiting| waiting.leaf.blob.is_some());
                refuse(named);
                (others, Err(error))
            }
        }
    }

    fn write(&mut self, batch: &[Waiting]) -> io::Result<Point> {
        let leaves = || batch.iter().map(|waiting| waiting.leaf.bytes.as_slice());
        let body = leaves().map(|leaf| leaf.len().saturating_add(2)).fold(0, usize::saturating_add);
        let length = (SegmentHeader::LENGTH.saturating_add(BatchHeader::LENGTH)).saturating_add(body) as u64;
        self.make_room(length)?;
        let Current::Sound { number, segment, offset } = &mut self.current else {
            return Err(io::Error::other("no segment to write in"));
        };
        self.buffer.clear();
        if *offset == 0 {
            let (number, durability, start) = (*number, self.durability, self.point);
            SegmentHeader { number, durability, start }.encode(&mut self.buffer);
        }
        // INVARIANT: the queue gives no empty batch and no leaf beyond `MAX_LEAF`.
        let point = push_batch(&self.point, leaves(), &mut self.buffer)
            .ok_or_else(|| io::Error::other("the batch has no encoding"))?;

        // CRASH: before the sync returns nobody was told. What is found then is a torn batch, or a whole one that
        // nobody relies on.
        let written =
            segment.write_at(*offset, &self.buffer).and_then(|()| match (self.durability, *offset) {
                // A segment's header is always made durable: it says how the rest is to be judged.
                (Durability::Fsync, _) | (Durability::Os, 0) => segment.sync(),
                (Durability::Os, _) => Ok(()),
            });
        if let Err(error) = written {
            // A failed sync says nothing about what the disk holds, and the next success will not either. The next
            // segment's header says from which point it goes on, which voids whatever stands here.
            self.current = Current::GivenUp { number: *number };
            return Err(error);
        }
        *offset = offset.saturating_add(self.buffer.len() as u64);
        let body = self.buffer.len().saturating_sub(body);
        let body = self.buffer.get(body..).unwrap_or_default().to_vec();
        self.shared.hand_over(FreshBatch {
            start: self.point,
            batch: Batch::new(self.point.next_index, body),
            behind: Cursor::behind(*number, *offset, point, self.durability),
        });
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

    fn acknowledge(&mut self, mut batch: Vec<Waiting>, point: Point) {
        let first = self.point.next_index;
        self.point = point;
        let marks = batch.iter_mut().map(|waiting| std::mem::replace(&mut waiting.mark, Mark::Neither));
        self.shared.advance(point.next_index, (first..).zip(marks));
        for (index, waiting) in (first..).zip(batch) {
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

fn refuse(batch: Vec<Waiting>) {
    for waiting in batch {
        let _ = waiting.reply.send(Err(AppendError::Unwritable));
    }
}
