//! Checking a whole log offline, from its folder and its public key alone.

use std::io;

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::journal::{Cursor, JournalError, Replay};
use crate::leaf::Leaf;
use crate::note::VerifierKey;
use crate::sequencer::CHECKPOINT;
use crate::storage::{Objects, Segments};
use crate::tile::{Content, TILE_SPAN, TileError, TilePath, Width, parse_bundle, read_entries, read_hashes};
use crate::tree::{Edge, FullTile, Hash};

/// A log that holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The checkpoint; as many records as its size stand under it.
    pub checkpoint: Checkpoint,
    /// Durable records that stand under no checkpoint yet.
    pub uncovered: u64,
    /// Bytes at the journal's end that are no record: a batch that was being written.
    pub torn_bytes: u64,
}

/// The first place at which a log does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no checkpoint to start from.
    #[error("cannot read the checkpoint: {0}")]
    NoCheckpoint(#[source] io::Error),
    /// C2SP tlog-checkpoint: it is not signed by the log's key, or no checkpoint.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The log ends before a checkpoint that was seen elsewhere.
    #[error("the log has {size} entries, fewer than the {known} of the checkpoint that is known")]
    OlderThanKnown {
        /// The log's size.
        size: u64,
        /// The known checkpoint's.
        known: u64,
    },
    /// The log is not the one that the known checkpoint was over.
    #[error("the first {0} entries are not those of the checkpoint that is known")]
    NotExtending(u64),
    /// A tile or entry bundle is missing or malformed.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// RFC 6962 section 2.1: an entry does not have the hash that the tree has for it.
    #[error("entry {index} is not the one that `{tile}` has the hash of")]
    EntryDiffers {
        /// The entry.
        index: u64,
        /// The tile of level 0.
        tile: TilePath,
    },
    /// A hash is not the one over the tile below it.
    #[error("hash {position} of `{tile}` is not that of the tile below it")]
    HashDiffers {
        /// The tile.
        tile: TilePath,
        /// The hash within it.
        position: usize,
    },
    /// A partial tile that is still there is not the beginning of the tile that it became.
    #[error("`{0}` is not the beginning of the tile that it became")]
    PartialDiffers(TilePath),
    /// The tiles lead to another root than the checkpoint's.
    #[error("the root over the {0} entries is not the checkpoint's")]
    RootDiffers(u64),
    /// The file with an entry's sealed part cannot be read.
    #[error("cannot read `{path}`, which entry {index} names: {source}")]
    BlobMissing {
        /// The entry.
        index: u64,
        /// The file.
        path: String,
        /// What the disk says.
        source: io::Error,
    },
    /// The file with an entry's sealed part has another content.
    #[error("`{path}` is not the file that entry {index} names")]
    BlobDiffers {
        /// The entry.
        index: u64,
        /// The file.
        path: String,
    },
    /// The journal, which holds what no checkpoint covers yet.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Recomputes every entry's hash, every tile and the root, checks the signature, then reads the journal's tail.
/// Where an auditor kept a checkpoint, the log must extend it. Works on a copy, and on a log in use.
///
/// # Errors
/// [`VerifyError`], which names the first place that does not hold.
pub fn verify(
    objects: &dyn Objects,
    segments: &dyn Segments,
    key: &VerifierKey,
    known: Option<&Checkpoint>,
) -> Result<Verified, VerifyError> {
    let mut walk = Walk { objects, known, edge: Edge::default() };
    let mut checkpoint = read_checkpoint(objects, key)?;
    loop {
        walk.advance_to(checkpoint.checkpoint())?;
        match read_tail(objects, segments, checkpoint.size()) {
            Ok((uncovered, torn_bytes)) => {
                let checkpoint = checkpoint.checkpoint().clone();
                return Ok(Verified { checkpoint, uncovered, torn_bytes });
            }
            Err(error) => {
                // A log in use removes segments once a newer checkpoint covers them.
                let newer = read_checkpoint(objects, key)?;
                if newer.size() <= checkpoint.size() {
                    return Err(error);
                }
                checkpoint = newer;
            }
        }
    }
}

fn read_checkpoint(objects: &dyn Objects, key: &VerifierKey) -> Result<SignedCheckpoint, VerifyError> {
    let note = objects.read(CHECKPOINT).map_err(VerifyError::NoCheckpoint)?;
    Ok(SignedCheckpoint::open(&note, key)?)
}

/// The walk over all entries. Keeps the tree's edge only.
struct Walk<'a> {
    objects: &'a dyn Objects,
    known: Option<&'a Checkpoint>,
    edge: Edge,
}

impl Walk<'_> {
    fn advance_to(&mut self, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
        let size = checkpoint.size;
        if let Some(known) = self.known.filter(|known| known.size > size) {
            return Err(VerifyError::OlderThanKnown { size, known: known.size });
        }
        self.check_known(&checkpoint.origin)?;
        while self.edge.size() < size {
            let bundle = self.edge.size() / TILE_SPAN;
            let first = bundle.saturating_mul(TILE_SPAN);
            let Some(width) = Width::within(size, bundle) else { break };
            let entries = read_entries(self.objects, bundle, width)?;
            let hashes = read_hashes(self.objects, 0, bundle, width)?;
            let tile = TilePath::new(Content::Hashes(0), bundle, width);
            for (index, (entry, hash)) in (first..).zip(entries.iter().zip(&hashes)) {
                if index < self.edge.size() {
                    continue;
                }
                if Hash::of_entry(entry) != *hash {
                    return Err(VerifyError::EntryDiffers { index, tile });
                }
                check_blob(self.objects, index, entry)?;
                for full in self.edge.push(*hash) {
                    self.check_full(&full)?;
                }
                self.check_known(&checkpoint.origin)?;
            }
            self.check_partial_entries(bundle, &entries)?;
            self.check_partial_hashes(0, bundle, &hashes)?;
        }
        self.check_edge(size)?;
        if self.edge.root() == checkpoint.root { Ok(()) } else { Err(VerifyError::RootDiffers(size)) }
    }

    fn check_known(&self, origin: &str) -> Result<(), VerifyError> {
        match self.known {
            Some(known) if known.size == self.edge.size() => {
                let same = known.root == self.edge.root() && known.origin == origin;
                if same { Ok(()) } else { Err(VerifyError::NotExtending(known.size)) }
            }
            _ => Ok(()),
        }
    }

    /// Level 0 was compared entry by entry; the levels above are computed from it.
    fn check_full(&self, full: &FullTile) -> Result<(), VerifyError> {
        let FullTile { level, index, hashes } = full;
        if *level == 0 {
            return Ok(());
        }
        let stored = read_hashes(self.objects, *level, *index, Width::Full)?;
        compare(TilePath::new(Content::Hashes(*level), *index, Width::Full), &stored, hashes)?;
        self.check_partial_hashes(*level, *index, hashes)
    }

    fn check_edge(&self, size: u64) -> Result<(), VerifyError> {
        let mut index = size / TILE_SPAN;
        for (level, hashes) in (0..).zip(self.edge.partial_tiles()) {
            if let Some(width) = Width::of(hashes.len()) {
                let stored = read_hashes(self.objects, level, index, width)?;
                compare(TilePath::new(Content::Hashes(level), index, width), &stored, hashes)?;
                self.check_partial_hashes(level, index, hashes)?;
            }
            index /= TILE_SPAN;
        }
        Ok(())
    }

    /// Partial tiles that are still there were signed for once, unless they reach beyond the checkpoint.
    fn check_partial_hashes(&self, level: u8, index: u64, hashes: &[Hash]) -> Result<(), VerifyError> {
        for (partial, bytes) in self.partials(Content::Hashes(level), index, hashes.len()) {
            let beginning = hashes.iter().take(partial.width().count());
            if !bytes.chunks(Hash::LENGTH).eq(beginning.map(|hash| hash.as_bytes().as_slice())) {
                return Err(VerifyError::PartialDiffers(partial));
            }
        }
        Ok(())
    }

    fn check_partial_entries(&self, index: u64, entries: &[Vec<u8>]) -> Result<(), VerifyError> {
        for (partial, bytes) in self.partials(Content::Entries, index, entries.len()) {
            let beginning = entries.iter().take(partial.width().count());
            let same = parse_bundle(&bytes).is_ok_and(|stored| stored.into_iter().eq(beginning));
            if !same {
                return Err(VerifyError::PartialDiffers(partial));
            }
        }
        Ok(())
    }

    /// The partial versions of a tile that are no wider than `known`. Those that vanish meanwhile are outgrown.
    fn partials(&self, content: Content, index: u64, known: usize) -> Vec<(TilePath, Vec<u8>)> {
        let full = TilePath::new(content, index, Width::Full);
        let names = self.objects.list(&full.partials_folder()).unwrap_or_default();
        let widths = names.iter().filter_map(|name| name.parse().ok().and_then(Width::of));
        let paths =
            widths.filter(|width| width.count() <= known).map(|width| TilePath::new(content, index, width));
        paths.filter_map(|path| Some((path, self.objects.read(&path.to_string()).ok()?))).collect()
    }
}

fn compare(tile: TilePath, stored: &[Hash], computed: &[Hash]) -> Result<(), VerifyError> {
    match stored.iter().zip(computed).position(|(stored, computed)| stored != computed) {
        Some(position) => Err(VerifyError::HashDiffers { tile, position }),
        None => Ok(()),
    }
}

fn check_blob(objects: &dyn Objects, index: u64, entry: &[u8]) -> Result<(), VerifyError> {
    // The tree does not care what an entry is, and neither do we where it is no leaf.
    let Some((path, hash)) = Leaf::parse(entry).ok().and_then(|leaf| leaf.blob()) else { return Ok(()) };
    match objects.read(&path) {
        Ok(bytes) if Hash::of(&[&bytes]) == hash => Ok(()),
        Ok(_) => Err(VerifyError::BlobDiffers { index, path }),
        Err(source) => Err(VerifyError::BlobMissing { index, path, source }),
    }
}

/// Reads the journal behind the checkpoint; whose it is the gateway alone can tell, which has the key. Gives back how many records stand there and the torn bytes behind them.
fn read_tail(objects: &dyn Objects, segments: &dyn Segments, size: u64) -> Result<(u64, u64), VerifyError> {
    let mut replay = Replay::resume(segments, Cursor::before(size), None)?;
    while let Some(batch) = replay.next(u64::MAX)? {
        for (index, entry) in (batch.first_index..).zip(batch.entries()) {
            if index >= size {
                check_blob(objects, index, entry)?;
            }
        }
    }
    let torn_bytes = replay.tail()?.torn_bytes;
    Ok((replay.cursor().point().next_index.saturating_sub(size), torn_bytes))
}

#[cfg(test)]
mod tests;
