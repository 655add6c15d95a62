//! Agreeing on where the log stands: what the keeper has, what is published, and what the tiles say.

use std::io;

use super::{Growth, Log};
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::storage::{Object, Objects};
use crate::tile::{StoredNodes, TileError};
use crate::tree::subtree_root;

/// A log that must not be gone on with, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The store that keeps the checkpoint.
    #[error("cannot read the kept checkpoint: {0}")]
    Keeper(#[source] io::Error),
    /// The disk.
    #[error("cannot read or write what is published: {0}")]
    Published(#[source] io::Error),
    /// What the store kept was not signed by this log's key.
    #[error("the kept checkpoint does not hold: {0}")]
    KeptInvalid(#[source] CheckpointError),
    /// What is published was not signed by this log's key.
    #[error("the published checkpoint does not hold: {0}")]
    PublishedInvalid(#[source] CheckpointError),
    /// The store remembers a log, and the folder has none.
    #[error("the log is gone: a checkpoint over {0} records was kept, and none is published")]
    Gone(u64),
    /// The folder has tiles, and nothing says over what.
    #[error("the log has tiles and no checkpoint")]
    CheckpointLost,
    /// The folder was put back to how it stood before.
    #[error("the log is older than the kept checkpoint over {kept} records: {source}")]
    OlderThanKept {
        /// The kept checkpoint's size.
        kept: u64,
        /// Which tile is not there.
        source: TileError,
    },
    /// Two checkpoints of this log contradict each other, or one contradicts the tiles.
    #[error("the tiles do not have the root of the checkpoint over {0} records")]
    Inconsistent(u64),
    /// A tile of the log's end cannot be used.
    #[error(transparent)]
    Tile(#[from] TileError),
}

pub(crate) const CHECKPOINT: &str = "checkpoint";

pub(super) fn publish_note(objects: &dyn Objects, checkpoint: &SignedCheckpoint) -> io::Result<()> {
    objects.put(&[Object { path: CHECKPOINT.to_owned(), bytes: checkpoint.note().as_bytes().to_vec() }])
}

/// Finds the last checkpoint that stands, checks that the tiles extend every one that was ever given out, and makes
/// keeper and folder agree on it.
pub(crate) fn settle(log: &Log) -> Result<(Growth, SignedCheckpoint), SettleError> {
    let (growth, checkpoint) = agree(log)?;
    growth.discard_unsigned(&*log.objects).map_err(SettleError::Published)?;
    Ok((growth, checkpoint))
}

fn agree(log: &Log) -> Result<(Growth, SignedCheckpoint), SettleError> {
    let objects = &*log.objects;
    let kept = log.keeper.last().map_err(SettleError::Keeper)?;
    let key = log.signer.verifier_key();
    let kept = kept.map(|note| SignedCheckpoint::open(note.as_bytes(), key)).transpose();
    let kept = kept.map_err(SettleError::KeptInvalid)?;
    let published = read_published(log)?;
    let advance = |old: Option<&SignedCheckpoint>, new: &SignedCheckpoint| {
        log.keeper.advance(old, new).map_err(SettleError::Keeper)
    };
    match (kept, published) {
        (None, None) => {
            if !objects.list("tile").map_err(SettleError::Published)?.is_empty() {
                return Err(SettleError::CheckpointLost);
            }
            let growth = load(objects, 0)?;
            let first = SignedCheckpoint::sign(&log.signer, 0, growth.root());
            advance(None, &first)?;
            publish_note(objects, &first).map_err(SettleError::Published)?;
            Ok((growth, first))
        }
        (None, Some(published)) => {
            let growth = load_under(objects, &published)?;
            advance(None, &published)?;
            Ok((growth, published))
        }
        (Some(kept), None) => {
            if kept.size() > 0 {
                return Err(SettleError::Gone(kept.size()));
            }
            let growth = load_under(objects, &kept)?;
            publish_note(objects, &kept).map_err(SettleError::Published)?;
            Ok((growth, kept))
        }
        (Some(kept), Some(published)) if published.size() > kept.size() => {
            let growth = load_under(objects, &published)?;
            check_extends(objects, &kept, published.size())?;
            advance(Some(&kept), &published)?;
            Ok((growth, published))
        }
        (Some(kept), Some(published)) => {
            let older = |source| match source {
                SettleError::Tile(source) if kept.size() > published.size() => {
                    SettleError::OlderThanKept { kept: kept.size(), source }
                }
                other => other,
            };
            let growth = load_under(objects, &kept).map_err(older)?;
            check_extends(objects, &published, kept.size())?;
            if kept != published {
                publish_note(objects, &kept).map_err(SettleError::Published)?;
            }
            Ok((growth, kept))
        }
    }
}

fn read_published(log: &Log) -> Result<Option<SignedCheckpoint>, SettleError> {
    match log.objects.read(CHECKPOINT) {
        Ok(note) => SignedCheckpoint::open(&note, log.signer.verifier_key())
            .map(Some)
            .map_err(SettleError::PublishedInvalid),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SettleError::Published(error)),
    }
}

fn load(objects: &dyn Objects, size: u64) -> Result<Growth, SettleError> {
    Growth::load(objects, size)?.ok_or(SettleError::Inconsistent(size))
}

fn load_under(objects: &dyn Objects, checkpoint: &SignedCheckpoint) -> Result<Growth, SettleError> {
    let growth = load(objects, checkpoint.size())?;
    if growth.root() != checkpoint.checkpoint().root {
        return Err(SettleError::Inconsistent(checkpoint.size()));
    }
    Ok(growth)
}

/// Whether the tiles of a tree of `size` entries extend an older checkpoint, whose own partial tiles need not be there: a copy
/// has those of its newest checkpoint alone.
fn check_extends(objects: &dyn Objects, older: &SignedCheckpoint, size: u64) -> Result<(), SettleError> {
    let mut nodes = StoredNodes::new(objects, size);
    let size = older.size();
    let root = subtree_root(&mut nodes, 0..size)?;
    if root == older.checkpoint().root { Ok(()) } else { Err(SettleError::Inconsistent(size)) }
}
