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
use super::{AppendError, Batch, Cursor, Mark, OpenIntents, Writability};
use crate::data_keys::DataKeys;
use crate::leaf::EncodedLeaf;
use crate::storage::{Segment, Segments};

pub(super) type Receiver = oneshot::Receiver<Result<u64, AppendError>>;

/// A leaf that waits to be written, and who waits for it.
pub(super) struct Waiting {
    pub(super) leaf: EncodedLeaf,
    pub(super) mark: Mark,
    pub(super) reply: oneshot::Sender<Result<u64, AppendError>>,
}

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
    waiting: VecDeque<Waiting>,
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
    Batch(Vec<Waiting>),
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

    pub(super) fn queue(&self, leaf: EncodedLeaf, mark: Mark) -> Result<Receiver, AppendError> {
        let (reply, receiver) = oneshot::channel();
        let mut queue = lock(&self.queue);
        if queue.gate == Gate::Closed {
            return Err(AppendError::Closed);
        }
        queue.waiting.push_back(Waiting { leaf, mark, reply });
        let waiting = queue.waiting.len();
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
        lock(&self.queue).waiting.clear();
        lock(&self.fresh).end();
        self.news.notify_all();
    }

    /// Takes all that wait, up to `limit` bytes; waits for the first, at most for `patience` if there is one. Where
    /// a thread that may append is ready to run on this processor, it runs first.
    pub(super) fn take(&self, limit: usize, patience: Option<Duration>) -> Work {
        let idle = |queue: &mut Queue| queue.waiting.is_empty() && queue.gate == Gate::Open;
        let queue = lock(&self.queue);
        let queue = match patience {
            None => self.arrived.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.arrived.wait_timeout_while(queue, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if queue.waiting.is_empty() {
            return if queue.gate == Gate::Closed { Work::Closed } else { Work::Nothing };
        }
        // Whoever is about to append may do so first, if they wait for this very processor: then one batch, and one
        // change of threads, serves them all. Where nobody is, this returns at once.
        let is_company = queue.waiting.len() >= COMPANY;
        drop(queue);
        if !is_company {
            std::thread::yield_now();
        }
        let mut queue = lock(&self.queue);
        let mut bytes = 0_usize;
        let fits = |waiting: &&Waiting| {
            bytes = bytes.saturating_add(waiting.leaf.bytes.len()).saturating_add(2);
            bytes <= limit
        };
        let count = queue.waiting.iter().take_while(fits).count().max(1).min(queue.waiting.len());
        Work::Batch(queue.waiting.drain(..count).collect())
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

/// How many segments at most are made ahead.
const MAX_SPARES: usize = 8;

/// INVARIANT: no code panics while it holds one of these locks, so a poisoned one holds sound data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
