//! Reading records back: from the tiles, then from the journal's tail. On a log in use, without locks.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::data_keys::{DataKeys, Month};
use crate::journal::{Cursor, JournalError, Replay};
use crate::leaf::{Leaf, LeafError, NotUnsealed, UnsealError};
use crate::note::VerifierKey;
use crate::record::Record;
use crate::sequencer::CHECKPOINT;
use crate::storage::{Objects, Segments};
use crate::tile::{StoredNodes, TILE_SPAN, TileError, read_bundle};
use crate::tree::{Edge, Hash, subtree_root};

mod filter;
mod print;

pub use filter::Filter;

/// Reads a log.
#[derive(Clone)]
pub struct Reader {
    objects: Arc<dyn Objects>,
    segments: Arc<dyn Segments>,
    key: VerifierKey,
    keys: Option<Arc<DataKeys>>,
}

/// A record as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its place in the log.
    pub index: u64,
    /// What it says.
    pub record: Record,
    /// The month in which the rest of it was sealed, if that does not open: its key was destroyed, or is not at
    /// hand.
    pub sealed: Option<Month>,
}

/// A record, or a stretch of the log, that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk, where the checkpoint lies.
    #[error("cannot read the checkpoint: {0}")]
    NoCheckpoint(#[source] io::Error),
    /// The checkpoint is not this log's.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A tile.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// RFC 6962 section 2.1: the entries were altered, for they are not those that the log has signed for.
    #[error("the first {0} entries are not those of the checkpoint")]
    NotSignedFor(u64),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An entry is no record of ours. Those behind it can be read.
    #[error("entry {index}: {source}")]
    Leaf {
        /// Its place.
        index: u64,
        /// What is wrong.
        source: LeafError,
    },
    /// An entry's sealed part cannot be had, though its key was not destroyed. Those behind it can be read.
    #[error("entry {index}: {source}")]
    Unseal {
        /// Its place.
        index: u64,
        /// What is wrong.
        source: UnsealError,
    },
}

impl Reader {
    /// Reads the log of `key`; sealed parts too where `keys` are given.
    #[must_use]
    pub fn new(
        objects: Arc<dyn Objects>,
        segments: Arc<dyn Segments>,
        key: VerifierKey,
        keys: Option<Arc<DataKeys>>,
    ) -> Self {
        Self { objects, segments, key, keys }
    }

    /// The records from `index` on, as far as the log goes now. Whoever follows the log asks again from where it
    /// ended. From the first on, what is read is held against what the log has signed for: the last item says so if it
    /// differs.
    #[must_use]
    pub fn entries(&self, index: u64) -> Entries<'_> {
        self.matching(index, Filter::default())
    }

    /// The records that `filter` admits, oldest first; with a limit, the newest of them.
    pub fn search(&self, filter: &Filter) -> Box<dyn Iterator<Item = Result<Entry, ReadError>> + '_> {
        let matching = self.matching(0, filter.clone());
        let Some(limit) = filter.limit else { return Box::new(matching) };
        let mut newest = VecDeque::new();
        for entry in matching {
            newest.push_back(entry);
            if newest.len() > limit {
                newest.pop_front();
            }
        }
        Box::new(newest.into_iter())
    }

    /// The one record at `index`; none if the log does not go so far.
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read.
    pub fn entry(&self, index: u64) -> Result<Option<Entry>, ReadError> {
        self.entries(index).next().transpose()
    }

    /// Those of the records at `indexes` that `filter` admits, in the order in which they are named. It is quick where
    /// neighbours are named one after the other.
    pub fn pick<'a>(
        &'a self,
        indexes: impl Iterator<Item = u64> + 'a,
        filter: &'a Filter,
    ) -> impl Iterator<Item = Result<Entry, ReadError>> + 'a {
        let mut bundle: Option<(u64, Vec<Vec<u8>>)> = None;
        let mut size = None;
        indexes.filter_map(move |index| self.pick_one(index, filter, &mut bundle, &mut size).transpose())
    }

    fn pick_one(
        &self,
        index: u64,
        filter: &Filter,
        kept: &mut Option<(u64, Vec<Vec<u8>>)>,
        size: &mut Option<u64>,
    ) -> Result<Option<Entry>, ReadError> {
        let size = match size {
            Some(size) => *size,
            None => *size.insert(self.checkpoint()?.size()),
        };
        if index >= size {
            // Under no checkpoint yet.
            return Ok(self.entry(index)?.filter(|entry| entry.index == index && filter.admits(entry)));
        }
        let (bundle, at) = (index / TILE_SPAN, usize::try_from(index % TILE_SPAN).unwrap_or(usize::MAX));
        let entries = match kept {
            Some((number, entries)) if *number == bundle => entries,
            _ => {
                let entries = read_bundle(&*self.objects, bundle, size)?;
                &mut kept.insert((bundle, entries)).1
            }
        };
        match entries.get(at) {
            Some(leaf) => self.decode(index, leaf, filter),
            None => Ok(None),
        }
    }

    /// The last checkpoint.
    ///
    /// # Errors
    /// [`ReadError`] if there is none that holds.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, ReadError> {
        let note = self.objects.read(CHECKPOINT).map_err(ReadError::NoCheckpoint)?;
        Ok(SignedCheckpoint::open(&note, &self.key)?)
    }

    /// The root over the first `size` records, of which the last checkpoint must have as many.
    ///
    /// # Errors
    /// [`ReadError`] if a tile cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, ReadError> {
        // From the tiles of the last checkpoint: a log that was put back has no partial ones of those before it.
        let mut nodes = StoredNodes::new(&*self.objects, self.checkpoint()?.size());
        Ok(subtree_root(&mut nodes, 0..size)?)
    }

    /// The key of the log.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Those of the records from `index` on that `filter` admits, whatever its limit.
    #[must_use]
    pub fn matching(&self, index: u64, filter: Filter) -> Entries<'_> {
        let edge = (index == 0).then(Edge::default);
        Entries { reader: self, filter, next: index, ready: VecDeque::new(), source: Source::Start, edge }
    }

    fn decode(&self, index: u64, leaf: &[u8], filter: &Filter) -> Result<Option<Entry>, ReadError> {
        let leaf = Leaf::parse(leaf).map_err(|source| ReadError::Leaf { index, source })?;
        if !filter.admits_clear(leaf.clear_record()) {
            return Ok(None);
        }
        let Some(month) = leaf.sealed_in().cloned() else {
            return Ok(filter.admit(Entry { index, record: leaf.into_clear_record(), sealed: None }));
        };
        let closed = |record| filter.admit(Entry { index, record, sealed: Some(month) });
        let Some(keys) = &self.keys else { return Ok(closed(leaf.into_clear_record())) };
        match leaf.unseal(keys, &*self.objects) {
            Ok(record) => Ok(filter.admit(Entry { index, record, sealed: None })),
            Err(NotUnsealed { clear, cause: UnsealError::Shredded(_) }) => Ok(closed(*clear)),
            Err(NotUnsealed { cause, .. }) => Err(ReadError::Unseal { index, source: cause }),
        }
    }
}

/// Records in order. Ends where the log ends, or at what cannot be read of the log itself.
pub struct Entries<'a> {
    reader: &'a Reader,
    filter: Filter,
    /// The index of the first leaf that is not ready.
    next: u64,
    ready: VecDeque<(u64, Vec<u8>)>,
    source: Source<'a>,
    /// The tree over all that was read; none where what lies before it was not.
    edge: Option<Edge>,
}

/// Where the next leaves come from.
enum Source<'a> {
    /// Not known yet.
    Start,
    /// Bundles, up to the checkpoint.
    Tiles(Checkpoint),
    /// The journal.
    Journal(Replay<'a>),
    /// Nowhere.
    End,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some((index, leaf)) = self.ready.pop_front() {
                if let Some(found) = self.reader.decode(index, &leaf, &self.filter).transpose() {
                    return Some(found);
                }
            }
            if matches!(self.source, Source::End) {
                return None;
            }
            if let Err(error) = self.fill() {
                self.source = Source::End;
                return Some(Err(error));
            }
        }
    }
}

impl<'a> Entries<'a> {
    /// The index from which to ask again.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.ready.front().map_or(self.next, |(index, _)| *index)
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        match &mut self.source {
            Source::Start => {
                self.source = Source::Tiles(self.reader.checkpoint()?.checkpoint().clone());
                Ok(())
            }
            Source::Tiles(checkpoint) if self.next < checkpoint.size => {
                let size = checkpoint.size;
                self.fill_from_bundle(size)
            }
            Source::Tiles(checkpoint) => {
                let read = self.edge.as_ref().filter(|edge| edge.size() == checkpoint.size);
                if read.is_some_and(|edge| edge.root() != checkpoint.root) {
                    return Err(ReadError::NotSignedFor(checkpoint.size));
                }
                self.turn_to_journal()
            }
            Source::Journal(replay) => match replay.next(u64::MAX) {
                Ok(Some(batch)) => {
                    self.add((batch.first_index..).zip(batch.entries().map(<[u8]>::to_vec)));
                    Ok(())
                }
                Ok(None) => match replay.end() {
                    Ok(()) => {
                        self.source = Source::End;
                        Ok(())
                    }
                    Err(error) => self.go_round(error),
                },
                Err(error) => self.go_round(error),
            },
            Source::End => Ok(()),
        }
    }

    fn fill_from_bundle(&mut self, size: u64) -> Result<(), ReadError> {
        let bundle = self.next / TILE_SPAN;
        let entries = read_bundle(&*self.reader.objects, bundle, size)?;
        self.add((bundle.saturating_mul(TILE_SPAN)..).zip(entries));
        Ok(())
    }

    fn turn_to_journal(&mut self) -> Result<(), ReadError> {
        let segments: &'a dyn Segments = &*self.reader.segments;
        let key = self.reader.keys.as_deref().map(DataKeys::journal);
        match Replay::resume(segments, Cursor::before(self.next), key) {
            Ok(replay) => {
                self.source = Source::Journal(replay);
                Ok(())
            }
            Err(error) => self.go_round(error),
        }
    }

    /// Segments vanish from a log in use once a newer checkpoint covers them. Then the tiles have what they had.
    fn go_round(&mut self, error: JournalError) -> Result<(), ReadError> {
        let checkpoint = self.reader.checkpoint()?;
        if checkpoint.size() <= self.next {
            return Err(error.into());
        }
        self.source = Source::Tiles(checkpoint.checkpoint().clone());
        Ok(())
    }

    fn add(&mut self, leaves: impl Iterator<Item = (u64, Vec<u8>)>) {
        let from = self.next;
        for (index, leaf) in leaves.skip_while(|(index, _)| *index < from) {
            self.next = index.saturating_add(1);
            if let Some(edge) = &mut self.edge {
                edge.push(Hash::of_entry(&leaf));
            }
            self.ready.push_back((index, leaf));
        }
    }
}

#[cfg(test)]
mod tests;
