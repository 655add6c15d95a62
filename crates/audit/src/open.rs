//! Opening a log: everything durable comes under a checkpoint first, then the journal goes on in a fresh segment.
//!
//! Nothing of the journal that was there before is built upon: its records are read, stored again as tiles and
//! signed for. Whether the disk kept what it once failed to sync is therefore of no consequence.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chartgate_values::{Entropy, Timestamp};

use crate::data_keys::{DataKeyError, DataKeys, Month};
use crate::journal::{CommitLoop, Cursor, Durability, Journal, JournalError, MIN_SEGMENT};
use crate::journal::{Mark, OpenIntents, Point, Replay, Shared, store_open_intents, stored_open_intents};
use crate::leaf::Leaf;
use crate::note::LogSigner;
use crate::record::Record;
use crate::sequencer::{Growth, Log, SequenceError, Sequencer, SettleError, publish, settle};
use crate::storage::{CheckpointKeeper, Object, Objects, Segments};
use crate::tile::{TILE_SPAN, TileError, read_bundle};

/// What a log is made of.
pub struct Setup {
    /// Where tiles, blobs, keys and the checkpoint lie.
    pub objects: Arc<dyn Objects>,
    /// Where the journal lies.
    pub segments: Arc<dyn Segments>,
    /// What keeps the last checkpoint apart from the log.
    pub keeper: Arc<dyn CheckpointKeeper>,
    /// The log's key, whose name is its origin.
    pub signer: LogSigner,
    /// The keys that seal.
    pub keys: Arc<DataKeys>,
    /// Where nonces and new data keys come from.
    pub entropy: Box<dyn Entropy>,
    /// When a record counts as written.
    pub durability: Durability,
    /// Bytes in a segment of the journal: at least 128 KiB, better [`crate::journal::SEGMENT_LENGTH`].
    pub segment_length: u64,
}

/// An open log. The server lends a thread to each of the last two.
#[derive(Debug)]
pub struct Opened {
    /// Appends.
    pub journal: Journal,
    /// Writes what is appended.
    pub commit_loop: CommitLoop,
    /// Makes tiles and checkpoints of what was written.
    pub sequencer: Sequencer,
    /// What was found.
    pub recovered: Recovered,
}

/// What was found when the log was opened.
#[derive(Debug)]
pub struct Recovered {
    /// Records under the checkpoint that now stands.
    pub size: u64,
    /// Records of the journal that no checkpoint covered yet.
    pub replayed: u64,
    /// Bytes of a last batch that was never acknowledged, and is cut off.
    pub torn_bytes: u64,
    /// Intents that have no outcome: each needs an `access` record with outcome `error`, reason `interrupted`.
    pub open_intents: Vec<OpenIntent>,
}

/// An intent that has no outcome.
#[derive(Debug)]
pub struct OpenIntent {
    /// Its place in the log.
    pub index: u64,
    /// The intent; without its sealed part if that does not open any more.
    pub record: Record,
}

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not fit together, or not with the kept checkpoint.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The journal cannot be read to its end.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the journal held cannot be brought under a checkpoint.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// A tile cannot be read.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The month's data key cannot be had.
    #[error(transparent)]
    DataKey(#[from] DataKeyError),
    /// Another key in its place would not open what is sealed under it.
    #[error(
        "the data key of {0} is gone, and the log's newest records are sealed under it: put the file `keys/{0}.json` back into \
         the log's folder, from a backup; where none has it, an empty file `keys/{0}.lost` beside it gives it up: another key is \
         made then, and what was sealed before stays closed"
    )]
    DataKeyGone(Month),
    /// The folder is that of another log.
    #[error("the folder holds the log with the key `{0}`, not this one's")]
    OtherLog(String),
    /// A segment has to hold a batch.
    #[error("a segment must have at least {MIN_SEGMENT} bytes")]
    SegmentTooShort,
    /// The disk.
    #[error("cannot prepare the log: {0}")]
    Storage(#[from] io::Error),
}

/// The file that holds the log's public key.
pub const VERIFIER_KEY: &str = "log.vkey";

/// Opens a log, or begins one where there is none.
///
/// # Errors
/// [`OpenError`] if the log is damaged, older than the kept checkpoint, another one, or the disk refuses.
pub fn open(setup: Setup, now: Timestamp) -> Result<Opened, OpenError> {
    let Setup { objects, segments, keeper, signer, keys, mut entropy, durability, segment_length } = setup;
    if segment_length < MIN_SEGMENT {
        return Err(OpenError::SegmentTooShort);
    }
    claim(&*objects, &signer)?;
    let log = Log { objects: Arc::clone(&objects), keeper, signer: Arc::new(signer) };
    let (mut growth, settled) = settle(&log)?;
    let before = growth.size();

    let mut replay = Replay::resume(&*segments, Cursor::before(before), Some(keys.journal()))?;
    while let Some(batch) = replay.next(u64::MAX)? {
        growth.take(&batch, &*objects)?;
    }
    let (tail, end) = (replay.tail()?, replay.cursor());
    if growth.size() > before {
        publish(&log, &mut growth, &settled)?;
    }
    let point = Some(end.point()).filter(|point| point.next_index == growth.size());
    let point = point.unwrap_or_else(|| Point::beginning_at(growth.size()));

    let (intents, open_intents) = find_open_intents(&*objects, &keys, &growth)?;
    // So that a start that is cut off does not search again what it has searched.
    let from = intents.indices().next().unwrap_or(growth.size());
    store_open_intents(&*objects, from, keys.journal())?;
    let month = Month::of(now);
    check_key_of(&month, &keys, &*objects, growth.size())?;
    keys.for_sealing(&month, &mut *entropy)?;
    keys.save_new()?;
    let old = segments.numbers()?;
    let number = old.last().copied().unwrap_or(0).saturating_add(1);
    let size = growth.size();
    let shared = Shared::new(keys, Arc::clone(&segments), segment_length, entropy, (size, intents), number);
    let shared = Arc::new(shared);
    let commit_loop = CommitLoop::start(Arc::clone(&shared), objects, durability, point)?;
    discard(&*segments, old, end.segment())?;
    Ok(Opened {
        journal: Journal::new(Arc::clone(&shared)),
        commit_loop,
        sequencer: Sequencer::new(shared, log),
        recovered: Recovered {
            size,
            replayed: size.saturating_sub(before),
            torn_bytes: tail.torn_bytes,
            open_intents,
        },
    })
}

/// Discards segments of which all that was read is under a checkpoint, `last` being the last that was read of.
///
/// CRASH: whatever remains reads as it did. Those behind the last go first, from the end: nothing of them was read, and without
/// syncs they may stand behind a gap that would be damage if it came first. The others go from the first, for the later ones
/// say what the earlier ones hold in vain: a batch that was refused, and is whole nevertheless.
fn discard(segments: &dyn Segments, mut old: Vec<u64>, last: u64) -> io::Result<()> {
    let behind = old.split_off(old.partition_point(|number| *number <= last));
    behind.into_iter().rev().chain(old).try_for_each(|number| segments.discard(number))
}

/// Puts the log's public key beside it, or checks that it is the one that is there.
fn claim(objects: &dyn Objects, signer: &LogSigner) -> Result<(), OpenError> {
    let line = format!("{}\n", signer.verifier_key());
    match objects.read(VERIFIER_KEY) {
        Ok(bytes) if bytes == line.as_bytes() => Ok(()),
        Ok(bytes) => Err(OpenError::OtherLog(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(objects.put(&[Object { path: VERIFIER_KEY.to_owned(), bytes: line.into_bytes() }])?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads the log's end, from the first record that could be an open intent.
fn find_open_intents(
    objects: &dyn Objects,
    keys: &DataKeys,
    growth: &Growth,
) -> Result<(OpenIntents, Vec<OpenIntent>), OpenError> {
    // One of a later state, beside a log that was put back, says nothing of this one.
    let from = Some(stored_open_intents(objects, keys.journal())?).filter(|from| *from <= growth.size());
    let from = from.unwrap_or(0);
    let mut intents = OpenIntents::default();
    let mut leaves = BTreeMap::new();
    for bundle in (from / TILE_SPAN)..growth.size().div_ceil(TILE_SPAN) {
        let first = bundle.saturating_mul(TILE_SPAN);
        for (index, entry) in (first..).zip(read_bundle(objects, bundle, growth.size())?) {
            let Ok(leaf) = Leaf::parse(&entry) else { continue };
            let mark = Mark::of(leaf.clear_record());
            if matches!(mark, Mark::Opens(_)) {
                leaves.insert(index, leaf);
            }
            intents.note(index, mark);
        }
        let open: Vec<u64> = intents.indices().collect();
        leaves.retain(|index, _| open.binary_search(index).is_ok());
    }
    let open = leaves.into_iter().map(|(index, leaf)| {
        let record = leaf.unseal(keys, objects).unwrap_or_else(|unopened| *unopened.clear);
        OpenIntent { index, record }
    });
    Ok((intents, open.collect()))
}

/// Makes sure that a month that has no key needs none: a key is destroyed on purpose only when its month is over, so one that
/// the newest records need was lost.
fn check_key_of(month: &Month, keys: &DataKeys, objects: &dyn Objects, size: u64) -> Result<(), OpenError> {
    if keys.for_opening(month)?.is_some() {
        return Ok(());
    }
    for bundle in (0..size.div_ceil(TILE_SPAN)).rev() {
        let entries = read_bundle(objects, bundle, size)?;
        let mut leaves = entries.iter().rev().filter_map(|entry| Leaf::parse(entry).ok());
        // The newest alone: a key that was destroyed by a clock that was ahead has newer ones behind it.
        if let Some(newest) = leaves.find_map(|leaf| leaf.sealed_in().cloned()) {
            let is_needed = newest == *month && !is_given_up(month, objects);
            return if is_needed { Err(OpenError::DataKeyGone(newest)) } else { Ok(()) };
        }
    }
    Ok(())
}

/// Whether whoever runs the log says that the key of a month will not be found again.
fn is_given_up(month: &Month, objects: &dyn Objects) -> bool {
    objects.read(&format!("keys/{month}.lost")).is_ok()
}

#[cfg(test)]
mod tests;
