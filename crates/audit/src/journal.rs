//! The way into the log. Appending gives back a [`Recorded`] once the record is durable, and nothing else does.
//!
//! Records are encoded and sealed where they are made; one loop takes all that wait, writes them as one batch into
//! the prewritten segment, syncs once, and wakes them. A lone record waits for nobody.

use std::future::Future;
use std::sync::Arc;

use chartgate_values::Timestamp;

use crate::data_keys::DataKeyError;
use crate::leaf::{EncodeError, encode};
use crate::record::Record;

mod block_on;
mod commit;
mod frame;
mod fresh;
mod gathered;
mod intents;
mod replay;
mod shared;

pub(crate) use commit::MIN_SEGMENT;
pub use commit::SEGMENT_LENGTH;
pub use commit::{CommitEvent, CommitLoop};
pub use frame::Durability;
pub use fresh::Awaited;
pub use replay::JournalError;

pub(crate) use frame::{BatchHeader, Point, SegmentHeader};
pub(crate) use intents::{Mark, OPEN_INTENTS, OpenIntents, store_open_intents, stored_open_intents};
pub(crate) use replay::{Batch, Cursor, Replay};
pub(crate) use shared::Shared;

/// Appends records. Clones append to the same log.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

/// What was carried past a durable record: proof that the record is in the log, made nowhere but in its commit
/// loop.
#[derive(Debug)]
#[must_use = "what was recorded is carried inside"]
pub struct Recorded<T> {
    index: u64,
    carried: T,
}

impl<T> Recorded<T> {
    /// The record's place in the log.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What was carried.
    pub fn into_inner(self) -> T {
        self.carried
    }
}

/// A record that is not in the log, as far as anyone may rely on it.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The record cannot be stored as it is; others can.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The month's data key cannot be had.
    #[error(transparent)]
    Key(#[from] DataKeyError),
    /// The disk did not make it durable. The journal goes on by itself once the disk does.
    #[error("the log cannot be written")]
    Unwritable,
    /// The journal was closed.
    #[error("the log is closed")]
    Closed,
}

/// Whether the last attempt to write succeeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writability {
    /// It did.
    Writable,
    /// It did not; the journal is trying again.
    Unwritable,
}

impl Journal {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Appends a record. `carried` comes back with it once it is durable, or is dropped.
    ///
    /// The record is on its way when this returns: whoever drops the future gives up `carried`, not the record.
    pub fn append<T: Send>(
        &self,
        record: &Record,
        carried: T,
    ) -> impl Future<Output = Result<Recorded<T>, AppendError>> + Send + use<T> {
        self.append_sealed_at(record.time, record, carried)
    }

    fn append_sealed_at<T: Send>(
        &self,
        time: Timestamp,
        record: &Record,
        carried: T,
    ) -> impl Future<Output = Result<Recorded<T>, AppendError>> + Send + use<T> {
        let queued = self.queue(time, record);
        async move {
            // The loop ends without an answer only when it is gone.
            let index = queued?.await.map_err(|_| AppendError::Closed)??;
            Ok(Recorded { index, carried })
        }
    }

    /// The same, for threads that may wait.
    ///
    /// # Errors
    /// [`AppendError`] if the record is not durable.
    pub fn append_blocking<T: Send>(&self, record: &Record, carried: T) -> Result<Recorded<T>, AppendError> {
        block_on::block_on(self.append(record, carried))
    }

    /// Appends a record of something that was long ago. It is sealed under the key of `now`, for that of its own time may have
    /// been destroyed.
    ///
    /// # Errors
    /// [`AppendError`] if the record is not durable.
    pub fn append_late_blocking(&self, record: &Record, now: Timestamp) -> Result<Recorded<()>, AppendError> {
        block_on::block_on(self.append_sealed_at(now, record, ()))
    }

    /// The index that the next durable record will have: so many are durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.0.durable()
    }

    /// Whether the last attempt to write succeeded.
    #[must_use]
    pub fn writability(&self) -> Writability {
        self.0.writability()
    }

    /// Takes no more records. Those that wait are still written; then the commit loop ends.
    pub fn close(&self) {
        self.0.close();
    }

    fn queue(&self, time: Timestamp, record: &Record) -> Result<shared::Receiver, AppendError> {
        let mut entropy = self.0.entropy();
        let key = self.0.keys.for_sealing_at(time, &mut entropy)?;
        let leaf = encode(record, &key, &mut entropy)?;
        self.0.queue(leaf, Mark::of(record))
    }
}

#[cfg(test)]
mod tests;
