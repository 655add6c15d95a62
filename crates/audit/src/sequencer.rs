//! From the journal into the tree: entry bundles, tiles, and a signed checkpoint over them.
//!
//! The order of writes is what makes every crash harmless: bundles and tiles first, then the keeper, then the
//! checkpoint that readers see. After a crash or an error everything is read anew from what is stored, by the same
//! code, so that recovery is nothing special.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chartgate_values::Timestamp;

use crate::checkpoint::SignedCheckpoint;
use crate::data_keys::{DataKeyError, Month};
use crate::journal::{Awaited, Cursor, JournalError, Replay, Shared, store_open_intents};
use crate::note::LogSigner;
use crate::storage::{CheckpointKeeper, Objects};

mod growth;
mod settle;

pub(crate) use growth::Growth;
pub(crate) use settle::CHECKPOINT;
pub use settle::SettleError;
pub(crate) use settle::settle;

/// Turns durable records into tiles under a signed checkpoint. The server decides how often, and on which thread.
pub struct Sequencer {
    shared: Arc<Shared>,
    log: Log,
    progress: Progress,
}

/// How far the sequencer has come.
enum Progress {
    /// As far as is stored, which was not read yet.
    Unread,
    /// So far.
    At(Box<State>),
    /// Something failed: what is stored is unknown, and read anew for the next checkpoint.
    Unknown,
}

/// What the sequencer and recovery write to.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) keeper: Arc<dyn CheckpointKeeper>,
    pub(crate) signer: Arc<LogSigner>,
}

struct State {
    growth: Growth,
    checkpoint: SignedCheckpoint,
    cursor: Cursor,
    intents_from: u64,
}

/// The log could not be brought forward. Records stay safe in the journal; the next call tries again.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// What is stored does not fit together. Trying again will not help.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// Durable records can no longer be read. Trying again will not help.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk, while tiles were written.
    #[error("cannot write tiles: {0}")]
    Tiles(#[source] io::Error),
    /// The store that keeps the checkpoint.
    #[error("cannot keep the checkpoint: {0}")]
    Keeper(#[source] io::Error),
    /// The disk, while the checkpoint was published.
    #[error("cannot publish the checkpoint: {0}")]
    Publish(#[source] io::Error),
    /// The disk, while what is no longer needed was removed or what will be needed was prepared.
    #[error("cannot tidy up: {0}")]
    Upkeep(#[source] io::Error),
    /// A data key that will be needed cannot be had.
    #[error(transparent)]
    DataKey(#[from] DataKeyError),
}

/// What a call did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sequenced {
    /// The checkpoint that now stands.
    pub checkpoint: SignedCheckpoint,
    /// How many records came under it.
    pub new: u64,
}

impl Sequencer {
    pub(crate) fn new(shared: Arc<Shared>, log: Log) -> Self {
        Self { shared, log, progress: Progress::Unread }
    }

    /// Waits until a checkpoint is due, which is after `patience`. Whoever is told before that much waits lets the
    /// sequencer [`absorb`](Self::absorb) it.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Awaited {
        self.shared.await_fresh(patience)
    }

    /// Takes all durable records into the tree while they are in memory, and makes segments for those that they filled.
    /// No checkpoint comes of it: what it stores of the tree promises nothing until then.
    ///
    /// # Errors
    /// [`SequenceError`]. No record is lost; nothing more is taken in until a checkpoint has been tried again.
    pub fn absorb(&mut self) -> Result<(), SequenceError> {
        let mut state = match std::mem::replace(&mut self.progress, Progress::Unknown) {
            Progress::At(state) => state,
            Progress::Unread => self.load()?,
            Progress::Unknown => return Ok(()),
        };
        self.catch_up(&mut state)?;
        self.shared.replace_spares().map_err(SequenceError::Upkeep)?;
        self.progress = Progress::At(state);
        Ok(())
    }

    /// Brings all durable records under a checkpoint, if there are new ones; then tidies up and prepares what the
    /// journal will need soon.
    ///
    /// # Errors
    /// [`SequenceError`]. No record is lost, and no checkpoint is signed over what is not durable.
    pub fn sequence_once(&mut self, now: Timestamp) -> Result<Sequenced, SequenceError> {
        let mut state = match std::mem::replace(&mut self.progress, Progress::Unknown) {
            Progress::At(state) => state,
            Progress::Unread | Progress::Unknown => self.load()?,
        };
        let before = state.checkpoint.size();
        self.catch_up(&mut state)?;
        if state.growth.size() > before {
            state.checkpoint = publish(&self.log, &mut state.growth, &state.checkpoint)?;
        }
        let new = state.checkpoint.size().saturating_sub(before);
        let sequenced = Sequenced { checkpoint: state.checkpoint.clone(), new };
        self.keep_up(&mut state, now)?;
        self.progress = Progress::At(state);
        Ok(sequenced)
    }

    fn load(&self) -> Result<Box<State>, SequenceError> {
        let (growth, checkpoint) = settle(&self.log)?;
        let cursor = Cursor::before(growth.size());
        Ok(Box::new(State { growth, checkpoint, cursor, intents_from: 0 }))
    }

    fn catch_up(&self, state: &mut State) -> Result<(), SequenceError> {
        // The order matters: what is durable first, then a look at the segments.
        let durable = self.shared.durable();
        while state.growth.size() < durable {
            match self.shared.take_fresh(&state.cursor.point()) {
                Some((batch, behind)) => {
                    state.growth.take(&batch, &*self.log.objects).map_err(SequenceError::Tiles)?;
                    state.cursor = behind;
                }
                None => self.read_on(state, durable)?,
            }
            // Whoever waits for this processor waits for an answer, which this does not.
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Reads from the segments what is not at hand.
    fn read_on(&self, state: &mut State, durable: u64) -> Result<(), SequenceError> {
        let key = self.shared.keys.journal();
        let mut replay = Replay::resume(&*self.shared.segments, state.cursor, Some(key))?;
        while state.growth.size() < durable {
            let Some(batch) = replay.next(durable)? else {
                // Acknowledged and not readable: the disk lost it.
                replay.tail()?;
                let (from, to) = (state.growth.size(), durable);
                return Err(JournalError::Missing { from, to }.into());
            };
            state.growth.take(&batch, &*self.log.objects).map_err(SequenceError::Tiles)?;
        }
        state.cursor = replay.cursor();
        Ok(())
    }

    fn keep_up(&self, state: &mut State, now: Timestamp) -> Result<(), SequenceError> {
        let upkeep = SequenceError::Upkeep;
        let objects = &*self.log.objects;
        for folder in state.growth.take_outgrown() {
            objects.remove(&folder).map_err(upkeep)?;
        }

        // A mark that lags costs a longer search at the next start, so it need not be exact.
        let intents_from = self.shared.first_open_intent();
        if intents_from >= state.intents_from.saturating_add(INTENTS_STRIDE) {
            store_open_intents(objects, intents_from, self.shared.keys.journal()).map_err(upkeep)?;
            state.intents_from = intents_from;
        }

        let segments = &self.shared.segments;
        for number in segments.numbers().map_err(upkeep)? {
            if number < state.cursor.segment() {
                segments.discard(number).map_err(upkeep)?;
            }
        }
        self.shared.prepare_spares().map_err(upkeep)?;
        for month in [Month::of(now), Month::of(now.plus(KEY_AHEAD))] {
            self.shared.keys.for_sealing(&month, &mut self.shared.entropy())?;
        }
        self.shared.keys.save_new().map_err(upkeep)
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<sequencer of {}>", self.log.signer.verifier_key().name())
    }
}

/// Stores what is not yet stored of the tree, then signs, keeps and publishes its checkpoint.
pub(crate) fn publish(
    log: &Log,
    growth: &mut Growth,
    last: &SignedCheckpoint,
) -> Result<SignedCheckpoint, SequenceError> {
    // CRASH: tiles beyond the checkpoint promise nothing; they will be written again.
    growth.store(&*log.objects).map_err(SequenceError::Tiles)?;
    let checkpoint = SignedCheckpoint::sign(&log.signer, growth.size(), growth.root());
    // CRASH: kept and not yet published, it is published at the next start. Were it published first, a log put back
    // to how it stood before would go unnoticed.
    log.keeper.advance(Some(last), &checkpoint).map_err(SequenceError::Keeper)?;
    settle::publish_note(&*log.objects, &checkpoint).map_err(SequenceError::Publish)?;
    Ok(checkpoint)
}

/// How many records the mark of the first open intent may lag behind.
const INTENTS_STRIDE: u64 = 256;

/// How long before a month its key is made.
const KEY_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
