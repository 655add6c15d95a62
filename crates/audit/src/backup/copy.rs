//! The files of a log as far as a checkpoint. The journal is none of them: what no checkpoint covers is not in a backup.

use std::io;

use crate::checkpoint::SignedCheckpoint;
use crate::journal::OPEN_INTENTS;
use crate::leaf::Leaf;
use crate::open::VERIFIER_KEY;
use crate::sequencer::CHECKPOINT;
use crate::storage::{Object, Objects};
use crate::tile::{BundleError, Content, TILE_SPAN, TileError, TilePath, Width};
use crate::tile::{push_entry, read_entries, read_hashes};
use crate::tree::Hash;
use crate::witness::COSIGNED;

/// A log that cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A tile or bundle of it.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// An entry cannot be written as it was read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Another of its files, or what they are copied to.
    #[error("`{path}`: {source}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        source: io::Error,
    },
}

/// Reads what tells how far something was: to be called before the checkpoint is read that the log is copied up to, so that
/// none of it is ahead of that.
///
/// # Errors
/// [`CopyError::File`].
pub fn read_marks(objects: &dyn Objects) -> Result<Vec<Object>, CopyError> {
    let marks = [VERIFIER_KEY, OPEN_INTENTS, COSIGNED].into_iter().map(|path| match objects.read(path) {
        Ok(bytes) => Ok(Some(Object { path: path.to_owned(), bytes })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CopyError::File { path: path.to_owned(), source }),
    });
    marks.filter_map(Result::transpose).collect()
}

/// Gives `take` each file of the log as far as `checkpoint`, whose sealed parts open with the keys that are among them.
/// Works on a log in use: partial tiles that became full meanwhile are given as they were.
///
/// # Errors
/// [`CopyError`] if a file is not there or malformed, or `take` fails. Whether they fit together is for
/// [`verify`](crate::verify::verify) to say, of the copy.
pub fn copy_log(
    objects: &dyn Objects,
    checkpoint: &SignedCheckpoint,
    take: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
) -> Result<(), CopyError> {
    let mut give = |path: &str, bytes: &[u8]| {
        take(path, bytes).map_err(|source| CopyError::File { path: path.to_owned(), source })
    };
    let size = checkpoint.size();
    for name in names(objects, KEYS)? {
        let path = format!("{KEYS}/{name}");
        // A month may be ended while the log is copied.
        match objects.read(&path) {
            Ok(bytes) => give(&path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(CopyError::File { path, source }),
        }
    }
    for (index, width) in tiles(size) {
        let mut bundle = Vec::new();
        for entry in read_entries(objects, index, width)? {
            push_entry(&mut bundle, &entry)?;
            if let Some((path, _)) = Leaf::parse(&entry).ok().and_then(|leaf| leaf.blob()) {
                let read = objects.read(&path);
                give(&path, &read.map_err(|source| CopyError::File { path: path.clone(), source })?)?;
            }
        }
        give(&TilePath::new(Content::Entries, index, width).to_string(), &bundle)?;
    }
    let mut hashes_at_level = size;
    for level in 0_u8.. {
        if hashes_at_level == 0 {
            break;
        }
        for (index, width) in tiles(hashes_at_level) {
            let hashes = read_hashes(objects, level, index, width)?;
            let bytes: Vec<u8> = hashes.iter().flat_map(Hash::as_bytes).copied().collect();
            give(&TilePath::new(Content::Hashes(level), index, width).to_string(), &bytes)?;
        }
        hashes_at_level /= TILE_SPAN;
    }
    give(CHECKPOINT, checkpoint.note().as_bytes())
}

const KEYS: &str = "keys";

fn names(objects: &dyn Objects, folder: &str) -> Result<Vec<String>, CopyError> {
    objects.list(folder).map_err(|source| CopyError::File { path: folder.to_owned(), source })
}

/// The tiles over so many entries or hashes.
fn tiles(count: u64) -> impl Iterator<Item = (u64, Width)> {
    (0..count.div_ceil(TILE_SPAN)).filter_map(move |index| Some((index, Width::within(count, index)?)))
}
