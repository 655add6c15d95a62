//! What the journal's handles, its commit loop and the sequencer share.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chartgate_values::Entropy;
use futures_channel::oneshot;

use super::frame::Point;
use super::fresh::{Awaited, Fresh, FreshBatch};
use super::gathered::{Gathered, Reply};
use super::{AppendError, Batch, Cursor, Mark, OpenIntents, Writability};
use crate::data_keys::DataKeys;
use crate::leaf::{EncodeError, EncodedLeaf, MAX_LEAF};
use crate::storage::{Segment, Segments};

pub(super) type Receiver = oneshot::Receiver<Result<u64, AppendError>>;

pub(crate) struct Shared {
    pub(crate) keys: Arc<DataKeys>,
    pub(crate) segments: Arc<dyn Segments>,
    segment_length: u64,
    entropy: Mutex<Box<dyn Entropy>>,
    queue: Mutex<Queue>,
    arrived: Condvar,
    progress: Mutex<Progress>,
    fresh: Mutex<Fresh>,
    news: Condvar,
    spares: Mutex<Spares>,
    next_number: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Batches to write, in order; none is empty.
    batches: VecDeque<Gathered>,
    /// How many leaves they have.
    waiting: usize,
    /// How long the batch was that was taken last: so long may the next one be.
    last_length: usize,
    gate: Gate,
}

#[derive(Default, Eq, PartialEq)]
enum Gate {
    #[default]
    Open,
    Closed,
}

struct Progress {
    durable: u64,
    intents: OpenIntents,
    writability: Writability,
}

/// Segments made ahead: as many as were used between two checkpoints, for they will be again.
#[derive(Default)]
struct Spares {
    ready: VecDeque<Prepared>,
    used: usize,
    wanted: usize,
}

/// A segment that was made and not yet written.
pub(super) struct Prepared {
    pub(super) number: u64,
    pub(super) segment: Box<dyn Segment>,
}

/// What there is for the commit loop to do.
pub(super) enum Work {
    /// Leaves to write, in order.
    Batch(Gathered),
    /// None came in time.
    Nothing,
    /// None will come.
    Closed,
}

impl Shared {
    pub(crate) fn new(
        keys: Arc<DataKeys>,
        segments: Arc<dyn Segments>,
        segment_length: u64,
        entropy: Box<dyn Entropy>,
        (durable, intents): (u64, OpenIntents),
        next_number: u64,
    ) -> Self {
        Self {
            keys,
            segments,
            segment_length,
            entropy: Mutex::new(entropy),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            progress: Mutex::new(Progress { durable, intents, writability: Writability::Writable }),
            fresh: Mutex::default(),
            news: Condvar::new(),
            spares: Mutex::default(),
            next_number: AtomicU64::new(next_number),
        }
    }

    /// The entropy that all share, locked for each draw and no longer.
    pub(crate) fn entropy(&self) -> SharedEntropy<'_> {
        SharedEntropy(&self.entropy)
    }

    pub(super) fn segment_length(&self) -> u64 {
        self.segment_length
    }

    /// Bytes of leaves that one batch may hold.
    fn longest_batch(&self) -> usize {
        usize::try_from(MAX_BATCH.min(self.segment_length / 2)).unwrap_or(MAX_LEAF)
    }

    pub(super) fn queue(&self, leaf: EncodedLeaf, mark: Mark) -> Result<Receiver, AppendError> {
        let (reply, receiver) = oneshot::channel();
        let mut queue = lock(&self.queue);
        if queue.gate == Gate::Closed {
            return Err(AppendError::Closed);
        }
        queue.push(leaf, mark, reply, self.longest_batch())?;
        let waiting = queue.waiting;
        drop(queue);
        // The loop waits only where the queue is empty; whoever finds company there need not call it.
        if waiting == 1 {
            self.arrived.notify_one();
        }
        // Where the loop waits for this very processor it has it now, and the disk is at work while others go on. If not,
        // this returns at once.
        if waiting == COMPANY {
            std::thread::yield_now();
        }
        Ok(receiver)
    }

    pub(super) fn close(&self) {
        lock(&self.queue).gate = Gate::Closed;
        self.arrived.notify_all();
    }

    /// Refuses whatever still waits: nobody will write it.
    pub(super) fn abandon(&self) {
        self.close();
        let mut queue = lock(&self.queue);
        queue.waiting = 0;
        let batches = std::mem::take(&mut queue.batches);
        drop(queue);
        drop(batches);
        lock(&self.fresh).end();
        self.news.notify_all();
    }

    /// Takes all that wait, up to a batch's length; waits for the first, at most for `patience` if there is one. Where
    /// a thread that may append is ready to run on this processor, it runs first.
    pub(super) fn take(&self, patience: Option<Duration>) -> Work {
        let idle = |queue: &mut Queue| queue.waiting == 0 && queue.gate == Gate::Open;
        let queue = lock(&self.queue);
        let queue = match patience {
            None => self.arrived.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.arrived.wait_timeout_while(queue, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if queue.waiting == 0 {
            return if queue.gate == Gate::Closed { Work::Closed } else { Work::Nothing };
        }
        // Whoever is about to append may do so first, if they wait for this very processor: then one batch, and one
        // change of threads, serves them all. Where nobody is, this returns at once.
        let is_company = queue.waiting >= COMPANY;
        drop(queue);
        if !is_company {
            std::thread::yield_now();
        }
        lock(&self.queue).pop().map_or(Work::Nothing, Work::Batch)
    }

    pub(crate) fn durable(&self) -> u64 {
        lock(&self.progress).durable
    }

    /// Says that the records before `durable` are, the last of them with these marks.
    pub(super) fn advance(&self, durable: u64, marks: impl IntoIterator<Item = (u64, Mark)>) {
        let mut progress = lock(&self.progress);
        for (index, mark) in marks {
            progress.intents.note(index, mark);
        }
        progress.durable = durable;
    }

    /// Keeps a batch that has become durable for the sequencer.
    pub(super) fn hand_over(&self, batch: FreshBatch) {
        let mut fresh = lock(&self.fresh);
        fresh.put(batch);
        if fresh.has_news() {
            self.news.notify_one();
        }
    }

    /// Waits until much lies here or nothing will come any more, at most for `patience`.
    pub(crate) fn await_fresh(&self, patience: Duration) -> Awaited {
        let nothing_new = |fresh: &mut Fresh| !fresh.has_news();
        let waited = self.news.wait_timeout_while(lock(&self.fresh), patience, nothing_new);
        let awaited = waited.unwrap_or_else(PoisonError::into_inner).0.take_news();
        // However much comes, whoever's time has come is told so.
        if patience.is_zero() && awaited == Awaited::Much { Awaited::Time } else { awaited }
    }

    /// The batch that comes at `point` and where a walk stands behind it, without a look at the disk. None if it is not at hand:
    /// then it has to be read from the segments.
    pub(crate) fn take_fresh(&self, point: &Point) -> Option<(Batch, Cursor)> {
        lock(&self.fresh).take(point)
    }

    /// The first record that is at hand.
    #[cfg(test)]
    pub(crate) fn fresh_from(&self) -> Option<u64> {
        lock(&self.fresh).begins_at()
    }

    /// No intent before this record lacks its outcome.
    pub(crate) fn first_open_intent(&self) -> u64 {
        let progress = lock(&self.progress);
        progress.intents.indices().next().unwrap_or(progress.durable)
    }

    pub(super) fn writability(&self) -> Writability {
        lock(&self.progress).writability
    }

    /// Remembers how the last attempt went; gives back how the one before had gone.
    pub(super) fn note(&self, writability: Writability) -> Writability {
        std::mem::replace(&mut lock(&self.progress).writability, writability)
    }

    /// Makes the segments that will be needed until the next checkpoint, so that the commit loop finds them ready.
    pub(crate) fn prepare_spares(&self) -> io::Result<()> {
        {
            let mut spares = lock(&self.spares);
            spares.wanted = std::mem::take(&mut spares.used).clamp(1, MAX_SPARES);
        }
        self.replace_spares()
    }

    /// Makes others for those that were used since.
    pub(crate) fn replace_spares(&self) -> io::Result<()> {
        let lacks = |spares: MutexGuard<'_, Spares>| spares.ready.len() < spares.wanted;
        while lacks(lock(&self.spares)) {
            let prepared = self.create_segment()?;
            lock(&self.spares).ready.push_back(prepared);
        }
        Ok(())
    }

    /// A fresh segment to go on in after segment `current`.
    pub(super) fn next_segment(&self, current: u64) -> io::Result<Prepared> {
        let spare = {
            let mut spares = lock(&self.spares);
            spares.used = spares.used.saturating_add(1);
            // One that was begun before the current one came into use would be read before it.
            spares.ready.retain(|spare| spare.number > current);
            spares.ready.pop_front()
        };
        spare.map_or_else(|| self.create_segment(), Ok)
    }

    fn create_segment(&self) -> io::Result<Prepared> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let segment = self.segments.create(number, self.segment_length)?;
        Ok(Prepared { number, segment })
    }
}

impl Queue {
    /// Adds a leaf to the last batch, or to one of its own where that may get no longer.
    fn push(
        &mut self,
        leaf: EncodedLeaf,
        mark: Mark,
        reply: Reply,
        longest: usize,
    ) -> Result<(), AppendError> {
        let length = leaf.bytes.len().saturating_add(2);
        let batch = match self.batches.back_mut() {
            Some(last) if last.length().saturating_add(length) <= longest => last,
            _ => self.batches.push_back_mut(Gathered::with_room(self.last_length.max(length))),
        };
        // INVARIANT: a leaf is never longer than `MAX_LEAF`, so there is a batch that holds it.
        batch.push(leaf, mark, reply).map_err(|_| EncodeError::TooLong)?;
        self.waiting = self.waiting.saturating_add(1);
        Ok(())
    }

    /// The first batch.
    fn pop(&mut self) -> Option<Gathered> {
        let batch = self.batches.pop_front()?;
        self.waiting = self.waiting.saturating_sub(batch.count());
        self.last_length = batch.length();
        Some(batch)
    }
}

pub(crate) struct SharedEntropy<'a>(&'a Mutex<Box<dyn Entropy>>);

impl Entropy for SharedEntropy<'_> {
    fn fill(&mut self, buffer: &mut [u8]) {
        lock(self.0).fill(buffer);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("durable", &self.durable()).finish_non_exhaustive()
    }
}

/// So many records are worth a sync of their own: beyond this, what a sync costs the processor is little beside what the
/// requests do, and whoever waits for it keeps the others waiting.
const COMPANY: usize = 24;

/// Bytes of leaves that one batch may hold, whatever its segment's length.
const MAX_BATCH: u64 = 1 << 20;

/// How many segments at most are made ahead.
const MAX_SPARES: usize = 8;

/// INVARIANT: no code panics while it holds one of these locks, so a poisoned one holds sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
