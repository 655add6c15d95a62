//! Tiles as a log's storage has them.

use std::collections::HashMap;
use std::io;

use super::{BundleError, Content, TILE_SPAN, TilePath, Width, parse_bundle};
use crate::storage::Objects;
use crate::tree::{Hash, Nodes, perfect_root};

/// A tile or entry bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// It is not there, or cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Unreadable {
        /// Where it should be.
        path: TilePath,
        /// What storage says.
        source: io::Error,
    },
    /// C2SP tlog-tiles: a tile has exactly as many hashes or entries as its path says.
    #[error("`{0}` does not hold as much as its name says")]
    WrongLength(TilePath),
    /// C2SP tlog-tiles: an entry bundle is a row of length-prefixed entries.
    #[error("`{path}` is no entry bundle: {source}")]
    Malformed {
        /// Where it lies.
        path: TilePath,
        /// What is wrong.
        source: BundleError,
    },
}

/// The hashes of a tile as far as `width`.
///
/// # Errors
/// [`TileError`] if the tile is not there or not as long as it should be.
pub fn read_hashes(
    objects: &dyn Objects,
    level: u8,
    index: u64,
    width: Width,
) -> Result<Vec<Hash>, TileError> {
    let (path, bytes) = read_wide(objects, TilePath::new(Content::Hashes(level), index, width))?;
    let (hashes, rest) = bytes.as_chunks::<{ Hash::LENGTH }>();
    if !rest.is_empty() || hashes.len() != path.width().count() {
        return Err(TileError::WrongLength(path));
    }
    Ok(hashes.iter().take(width.count()).copied().map(Hash::from_bytes).collect())
}

/// The entries of a bundle as far as `width`.
///
/// # Errors
/// [`TileError`] if the bundle is not there, malformed, or does not hold as many entries as it should.
pub fn read_entries(objects: &dyn Objects, index: u64, width: Width) -> Result<Vec<Vec<u8>>, TileError> {
    let (path, bytes) = read_wide(objects, TilePath::new(Content::Entries, index, width))?;
    let entries = parse_bundle(&bytes).map_err(|source| TileError::Malformed { path, source })?;
    if entries.len() != path.width().count() {
        return Err(TileError::WrongLength(path));
    }
    Ok(entries.into_iter().take(width.count()).map(<[u8]>::to_vec).collect())
}

/// The entries of a bundle, as far as a log of `size` records goes; none if it does not go so far.
///
/// # Errors
/// [`TileError`], as of [`read_entries`].
pub fn read_bundle(objects: &dyn Objects, bundle: u64, size: u64) -> Result<Vec<Vec<u8>>, TileError> {
    Width::within(size, bundle).map_or(Ok(Vec::new()), |width| read_entries(objects, bundle, width))
}

/// Reads a tile, or in place of a partial one that is gone the full one, as C2SP tlog-tiles allows.
fn read_wide(objects: &dyn Objects, path: TilePath) -> Result<(TilePath, Vec<u8>), TileError> {
    let read = |path: TilePath| match objects.read(&path.to_string()) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(TileError::Unreadable { path, source }),
    };
    match read(path) {
        Err(TileError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound && path.width() != Width::Full =>
        {
            read(path.full()).map_err(|_| TileError::Unreadable { path, source })
        }
        other => other,
    }
}

/// The nodes of a stored tree of a given size, for proofs. Keeps the tiles that it has read.
pub struct StoredNodes<'a> {
    objects: &'a dyn Objects,
    size: u64,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl<'a> StoredNodes<'a> {
    /// The nodes of the tree of the first `size` entries.
    #[must_use]
    pub fn new(objects: &'a dyn Objects, size: u64) -> Self {
        Self { objects, size, tiles: HashMap::new() }
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], TileError> {
        if !self.tiles.contains_key(&(level, index)) {
            let hashes_at_level = self.size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
            let width = Width::within(hashes_at_level, index);
            let outside =
                || TileError::WrongLength(TilePath::new(Content::Hashes(level), index, Width::Full));
            let hashes = read_hashes(self.objects, level, index, width.ok_or_else(outside)?)?;
            self.tiles.insert((level, index), hashes);
        }
        Ok(self.tiles.get(&(level, index)).map_or(&[], Vec::as_slice))
    }
}

impl Nodes for StoredNodes<'_> {
    type Error = TileError;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, TileError> {
        // A node of height h lies in the tile of level h / 8, as the root over 2^(h mod 8) of its hashes.
        let level = u8::try_from(height / 8).unwrap_or(u8::MAX);
        let span = 1_u64 << (height % 8);
        let first = index.saturating_mul(span);
        let tile_index = first / TILE_SPAN;
        let tile = self.tile(level, tile_index)?;
        let start = usize::try_from(first % TILE_SPAN).unwrap_or(usize::MAX);
        let end = start.saturating_add(1 << (height % 8));
        let outside =
            || TileError::WrongLength(TilePath::new(Content::Hashes(level), tile_index, Width::Full));
        tile.get(start..end).map(perfect_root).ok_or_else(outside)
    }
}
