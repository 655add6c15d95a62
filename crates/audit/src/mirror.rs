//! A copy of a log on another host, brought up by what the log serves (C2SP tlog-tiles). It has entries as they stand in
//! the log, their protected parts sealed, and no key that opens them.
//!
//! Of what the log serves only entries, blobs and checkpoints are taken: tiles are made from the entries here, and the
//! root over them has to be the one that the log has signed for. As they are made on top of those that are here, the new
//! log extends the copy, or nothing of it is signed for here.

use std::io;
use std::ops::Range;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::leaf::Leaf;
use crate::note::{NoteError, VerifierKey};
use crate::open::VERIFIER_KEY;
use crate::sequencer::{CHECKPOINT, Growth};
use crate::storage::{Object, Objects};
use crate::tile::{BundleError, Content, TILE_SPAN, TileError, TilePath, Width, parse_bundle, read_bundle};
use crate::tree::Hash;

/// Reads what a log serves, by its path below the log's address. Blocking.
pub type Source<'a> = &'a dyn Fn(&str) -> io::Result<Vec<u8>>;

/// Where a copy stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mirrored {
    /// The checkpoint that it is under now.
    pub checkpoint: SignedCheckpoint,
    /// How many entries came with it.
    pub new: u64,
}

/// A copy that was not brought up.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The log cannot be read. It may be later.
    #[error("cannot read `{path}` of the log: {source}")]
    Log {
        /// What was asked for.
        path: String,
        /// Why it did not come.
        source: io::Error,
    },
    /// What the log serves is no entry bundle of the length that its name says.
    #[error("`{path}` of the log is no entry bundle: {source}")]
    Bundle {
        /// Its path.
        path: TilePath,
        /// What is wrong.
        source: BundleError,
    },
    /// C2SP tlog-tiles: a bundle has as many entries as its path says.
    #[error("`{0}` of the log does not hold as many entries as its name says")]
    WrongLength(TilePath),
    /// A blob is not the one that an entry names.
    #[error("`{0}` of the log is not the file that an entry names")]
    Blob(String),
    /// The log's checkpoint is not signed by its key, or is none.
    #[error("the log's checkpoint does not hold: {0}")]
    Checkpoint(#[source] CheckpointError),
    /// The log is older than the copy.
    #[error("the log has {log} records, and {here} of it are here: it was put back")]
    RolledBack {
        /// What the log says.
        log: u64,
        /// What is here.
        here: u64,
    },
    /// The log is not the one that was copied, or what it serves is not what it signs for.
    #[error("the first {0} records of the log are not those that it has signed for on top of what is here")]
    Forked(u64),
    /// The folder is a copy of another log.
    #[error("the folder holds a copy of the log with the key `{0}`")]
    OtherLog(String),
    /// The folder has the log itself, with its keys, or a copy that was made of all of it.
    #[error("the folder holds a log with its keys, not a copy that says nothing")]
    Itself,
    /// What is here does not fit together.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// The disk.
    #[error("cannot keep the copy: {0}")]
    Disk(#[from] io::Error),
}

impl MirrorError {
    /// Whether the log contradicts what is here: nothing that waiting mends, and somebody has to look at it.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        match self {
            // What is no note may be anybody's page on the way.
            Self::Checkpoint(error) => !is_no_note(error),
            Self::RolledBack { .. } | Self::Forked(_) | Self::Blob(_) => true,
            Self::Log { .. }
            | Self::Bundle { .. }
            | Self::WrongLength(_)
            | Self::OtherLog(_)
            | Self::Itself
            | Self::Damaged(_)
            | Self::Disk(_) => false,
        }
    }

    /// Whether the next look may go better by itself.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Log { .. } | Self::Bundle { .. } | Self::WrongLength(_) | Self::Disk(_) => true,
            Self::Checkpoint(error) => is_no_note(error),
            Self::RolledBack { .. }
            | Self::Forked(_)
            | Self::Blob(_)
            | Self::Damaged(_)
            | Self::Itself
            | Self::OtherLog(_) => false,
        }
    }
}

fn is_no_note(error: &CheckpointError) -> bool {
    matches!(error, CheckpointError::Note(NoteError::Malformed))
}

/// Takes a folder for copies of the log with this key: one without a log, or one that is its copy.
///
/// # Errors
/// [`MirrorError::OtherLog`] or [`MirrorError::Itself`], or what the disk says.
pub fn claim(objects: &dyn Objects, key: &VerifierKey) -> Result<(), MirrorError> {
    let own = format!("{key}\n");
    if !objects.list(KEYS)?.is_empty() {
        return Err(MirrorError::Itself);
    }
    match objects.read(VERIFIER_KEY) {
        Ok(there) if there == own.as_bytes() => Ok(()),
        Ok(there) => Err(MirrorError::OtherLog(String::from_utf8_lossy(&there).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(objects.put(&[Object { path: VERIFIER_KEY.to_owned(), bytes: own.into_bytes() }])?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Brings a copy up to the log's newest checkpoint. What fails leaves it under the checkpoint that it was under.
///
/// # Errors
/// [`MirrorError`].
pub fn bring_up(objects: &dyn Objects, key: &VerifierKey, log: Source<'_>) -> Result<Mirrored, MirrorError> {
    let here = stored(objects, key)?;
    let from = here.as_ref().map_or(0, SignedCheckpoint::size);
    let note = read(log, CHECKPOINT.to_owned())?;
    let checkpoint = SignedCheckpoint::open(&note, key).map_err(MirrorError::Checkpoint)?;
    let (size, root) = (checkpoint.size(), checkpoint.checkpoint().root);
    if size < from {
        return Err(MirrorError::RolledBack { log: size, here: from });
    }
    let mut growth = load(objects, from, here.as_ref())?;
    let mut found = Found::default();
    let grown = grow(&mut growth, size, objects, |bundle| match found.read(objects, bundle, size) {
        Some(entries) => Ok(entries),
        None => entries(log, bundle, size),
    });
    if found.any && (matches!(grown, Err(MirrorError::Forked(_))) || grown.is_ok() && growth.root() != root) {
        // What an earlier look left may be of another log, or damaged: the log is judged by what it serves itself.
        discard(objects, from / TILE_SPAN..size / TILE_SPAN)?;
        growth = load(objects, from, here.as_ref())?;
        grow(&mut growth, size, objects, |bundle| entries(log, bundle, size))?;
    } else {
        grown?;
    }
    if growth.root() != root {
        return Err(MirrorError::Forked(size));
    }
    // CRASH: tiles beyond the checkpoint promise nothing, and are written again from where it stands.
    growth.store(objects)?;
    keep_blobs(objects, log, from..size)?;
    if here.as_ref() != Some(&checkpoint) {
        objects
            .put(&[Object { path: CHECKPOINT.to_owned(), bytes: checkpoint.note().as_bytes().to_vec() }])?;
    }
    for folder in growth.take_outgrown() {
        objects.remove(&folder)?;
    }
    Ok(Mirrored { checkpoint, new: size.saturating_sub(from) })
}

/// Adds entries, bundle by bundle, up to `size`.
fn grow(
    growth: &mut Growth,
    size: u64,
    objects: &dyn Objects,
    mut bundles: impl FnMut(u64) -> Result<Vec<Vec<u8>>, MirrorError>,
) -> Result<(), MirrorError> {
    while growth.size() < size {
        let entries = bundles(growth.size() / TILE_SPAN)?;
        // The root would tell too, but only once all was read that the log says it has.
        let new = growth.behind(&entries).filter(|new| !new.is_empty());
        let new = new.ok_or(MirrorError::Forked(size))?;
        growth.add(new.iter().map(Vec::as_slice), objects)?;
    }
    Ok(())
}

/// Full bundles beyond the checkpoint that an earlier look left, which broke off: a long copy does not start over each time. The
/// root over all of it says whether they are the log's.
#[derive(Default)]
struct Found {
    any: bool,
    /// Behind the first that is not here none is looked for.
    is_over: bool,
}

impl Found {
    fn read(&mut self, objects: &dyn Objects, bundle: u64, size: u64) -> Option<Vec<Vec<u8>>> {
        let is_full = bundle < size / TILE_SPAN;
        let stored = (is_full && !self.is_over).then(|| read_bundle(objects, bundle, size));
        let entries = stored.and_then(Result::ok);
        self.is_over = entries.is_none();
        self.any |= entries.is_some();
        entries
    }
}

/// Removes full bundles, so that the next look does not begin with them again.
fn discard(objects: &dyn Objects, bundles: Range<u64>) -> Result<(), MirrorError> {
    for bundle in bundles {
        let path = TilePath::new(Content::Entries, bundle, Width::Full).to_string();
        match objects.read(&path) {
            Ok(_) => objects.remove(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The checkpoint that the copy is under, if there is any copy yet.
fn stored(objects: &dyn Objects, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, MirrorError> {
    match objects.read(CHECKPOINT) {
        Ok(note) => SignedCheckpoint::open(&note, key)
            .map(Some)
            .map_err(|error| MirrorError::Damaged(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn load(objects: &dyn Objects, size: u64, under: Option<&SignedCheckpoint>) -> Result<Growth, MirrorError> {
    let damaged = |error: TileError| MirrorError::Damaged(error.to_string());
    let growth = Growth::load(objects, size).map_err(damaged)?;
    let fits = |growth: &Growth| under.is_none_or(|under| growth.root() == under.checkpoint().root);
    let growth = growth.filter(fits);
    let growth =
        growth.ok_or_else(|| MirrorError::Damaged(format!("its tiles are not those of {size} records")))?;
    growth.discard_unsigned(objects)?;
    Ok(growth)
}

/// The entries of a bundle as far as a log of `size` has them. A bundle that has become full meanwhile serves for a part of
/// it.
fn entries(log: Source<'_>, bundle: u64, size: u64) -> Result<Vec<Vec<u8>>, MirrorError> {
    let width = Width::within(size, bundle).ok_or(MirrorError::Forked(size))?;
    let path = TilePath::new(Content::Entries, bundle, width);
    let (path, bytes) = match read(log, path.to_string()) {
        Err(MirrorError::Log { source, .. })
            if source.kind() == io::ErrorKind::NotFound && width != Width::Full =>
        {
            (path.full(), read(log, path.full().to_string())?)
        }
        read => (path, read?),
    };
    let entries = parse_bundle(&bytes).map_err(|source| MirrorError::Bundle { path, source })?;
    if entries.len() != path.width().count() {
        return Err(MirrorError::WrongLength(path));
    }
    Ok(entries.into_iter().take(width.count()).map(<[u8]>::to_vec).collect())
}

/// Keeps the files that entries name for their sealed parts, before there is a checkpoint over them. The entries are those
/// that the log has signed for: of others nobody could say how many files they name.
fn keep_blobs(objects: &dyn Objects, log: Source<'_>, new: Range<u64>) -> Result<(), MirrorError> {
    let damaged = |error: TileError| MirrorError::Damaged(error.to_string());
    let mut next = new.start;
    while next < new.end {
        let bundle = next / TILE_SPAN;
        let first = bundle.saturating_mul(TILE_SPAN);
        let known = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        for entry in read_bundle(objects, bundle, new.end).map_err(damaged)?.iter().skip(known) {
            keep_blob(objects, log, entry)?;
        }
        next = first.saturating_add(TILE_SPAN);
    }
    Ok(())
}

/// Keeps the file that an entry names for its sealed part.
fn keep_blob(objects: &dyn Objects, log: Source<'_>, entry: &[u8]) -> Result<(), MirrorError> {
    // The tree does not care what an entry is, and neither does a copy where it is no leaf.
    let Some((path, hash)) = Leaf::parse(entry).ok().and_then(|leaf| leaf.blob()) else { return Ok(()) };
    if objects.read(&path).is_ok_and(|bytes| Hash::of(&[&bytes]) == hash) {
        return Ok(());
    }
    let bytes = read(log, path.clone())?;
    if Hash::of(&[&bytes]) != hash {
        return Err(MirrorError::Blob(path));
    }
    Ok(objects.put(&[Object { path, bytes }])?)
}

fn read(log: Source<'_>, path: String) -> Result<Vec<u8>, MirrorError> {
    log(&path).map_err(|source| MirrorError::Log { path, source })
}

/// Where a log has the keys that open it.
const KEYS: &str = "keys";

#[cfg(test)]
mod tests;
