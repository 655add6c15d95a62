//! The growing end of the tree: the edge, the entries of the last bundle, and what of both is not stored yet.

use std::io;

use crate::journal::Batch;
use crate::storage::{Object, Objects};
use crate::tile::{BundleError, Content, Entries, TILE_SPAN, TILE_WIDTH, TileError, TilePath, Width};
use crate::tile::{push_entry, read_entries, read_hashes};
use crate::tree::{Edge, FullTile, Hash};

/// A tree to which entries are added. Keeps one bundle and one tile a level in memory, whatever its size.
pub(crate) struct Growth {
    edge: Edge,
    /// The entries of the last bundle, which is not full.
    bundle: Vec<u8>,
    unstored: Vec<Object>,
    unstored_bytes: usize,
    /// The partial tiles that were stored last.
    partials: Vec<TilePath>,
    /// The tiles of which partial versions are known to be signed.
    entered: Vec<TilePath>,
    /// Folders of partial tiles that have become full.
    outgrown: Vec<String>,
}

impl Growth {
    /// The tree of the first `size` entries, from its stored tiles; none if they do not fit together.
    pub(crate) fn load(objects: &dyn Objects, size: u64) -> Result<Option<Self>, TileError> {
        let mut levels = Vec::new();
        let mut index = size / TILE_SPAN;
        for (level, width) in (0..).zip(Edge::partial_widths(size)) {
            levels.push(match Width::of(width) {
                Some(width) => read_hashes(objects, level, index, width)?,
                None => Vec::new(),
            });
            index /= TILE_SPAN;
        }
        let mut bundle = Vec::new();
        if let Some(hashes) = levels.first()
            && let Some(width) = Width::of(hashes.len())
        {
            let entries = read_entries(objects, size / TILE_SPAN, width)?;
            for (entry, hash) in entries.iter().zip(hashes) {
                if Hash::of_entry(entry) != *hash || push_entry(&mut bundle, entry).is_err() {
                    return Ok(None);
                }
            }
        }
        let edge = Edge::from_partial_tiles(size, levels);
        Ok(edge.map(|edge| {
            let mut growth = Self {
                edge,
                bundle,
                unstored: Vec::new(),
                unstored_bytes: 0,
                partials: Vec::new(),
                entered: Vec::new(),
                outgrown: Vec::new(),
            };
            growth.entered = growth.last_tiles().into_iter().map(|(path, _)| path).collect();
            growth
        }))
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.edge.root()
    }

    /// Adds the entries of a batch that are not in the tree yet.
    pub(crate) fn take(&mut self, batch: &Batch, objects: &dyn Objects) -> io::Result<()> {
        let known = usize::try_from(self.size().saturating_sub(batch.first_index)).unwrap_or(usize::MAX);
        self.add(batch.entries().skip(known), objects)
    }

    /// What comes behind the entries that are here, of the bundle that is not full; none if it does not begin with those.
    pub(crate) fn behind<'a>(&self, bundle: &'a [Vec<u8>]) -> Option<&'a [Vec<u8>]> {
        let mut rest = bundle;
        for own in Entries::of(&self.bundle).map_while(Result::ok) {
            let (first, behind) = rest.split_first()?;
            if first != own {
                return None;
            }
            rest = behind;
        }
        Some(rest)
    }

    /// Adds entries. Stores full tiles once there are many.
    pub(crate) fn add<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a [u8]>,
        objects: &dyn Objects,
    ) -> io::Result<()> {
        for entry in entries {
            self.push(entry).map_err(io::Error::other)?;
        }
        if self.unstored_bytes >= MANY_BYTES {
            self.store_full(objects)?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), BundleError> {
        push_entry(&mut self.bundle, entry)?;
        let index = self.size() / TILE_SPAN;
        let filled = self.edge.push(Hash::of_entry(entry));
        if !filled.is_empty() {
            let bundle = std::mem::take(&mut self.bundle);
            self.add_full(TilePath::new(Content::Entries, index, Width::Full), bundle);
        }
        for FullTile { level, index, hashes } in filled {
            self.add_full(TilePath::new(Content::Hashes(level), index, Width::Full), concat(&hashes));
        }
        Ok(())
    }

    fn add_full(&mut self, path: TilePath, bytes: Vec<u8>) {
        self.unstored_bytes = self.unstored_bytes.saturating_add(bytes.len());
        self.outgrown.push(path.partials_folder());
        self.unstored.push(Object { path: path.to_string(), bytes });
    }

    fn store_full(&mut self, objects: &dyn Objects) -> io::Result<()> {
        objects.put(&self.unstored)?;
        self.unstored.clear();
        self.unstored_bytes = 0;
        Ok(())
    }

    /// Removes partial tiles wider than the tree. A checkpoint over them was never signed, and where the disk lost
    /// records since, other records will stand there.
    pub(crate) fn discard_unsigned(&self, objects: &dyn Objects) -> io::Result<()> {
        for (path, width) in self.last_tiles() {
            let folder = path.partials_folder();
            for name in objects.list(&folder)? {
                if name.parse().is_ok_and(|stored: usize| stored > width) {
                    objects.remove(&format!("{folder}/{name}"))?;
                }
            }
        }
        Ok(())
    }

    /// The last tile of each level, and how many hashes or entries of it are in the tree.
    fn last_tiles(&self) -> Vec<(TilePath, usize)> {
        let mut tiles = Vec::new();
        let mut index = self.size() / TILE_SPAN;
        for (level, hashes) in (0..).zip(self.edge.partial_tiles()) {
            if level == 0 {
                tiles.push((TilePath::new(Content::Entries, index, Width::Full), hashes.len()));
            }
            tiles.push((TilePath::new(Content::Hashes(level), index, Width::Full), hashes.len()));
            index /= TILE_SPAN;
        }
        tiles
    }

    /// Stores all that a checkpoint over the tree as it is now needs.
    pub(crate) fn store(&mut self, objects: &dyn Objects) -> io::Result<()> {
        self.enter_new_tiles(objects)?;
        let mut partials = Vec::new();
        let mut index = self.size() / TILE_SPAN;
        for (level, hashes) in (0..).zip(self.edge.partial_tiles()) {
            if let Some(width) = Width::of(hashes.len()) {
                partials.push((TilePath::new(Content::Hashes(level), index, width), concat(hashes)));
                if level == 0 {
                    partials.push((TilePath::new(Content::Entries, index, width), self.bundle.clone()));
                }
            }
            index /= TILE_SPAN;
        }
        let stored: Vec<_> = partials.iter().map(|(path, _)| *path).collect();
        let changed = partials.into_iter().filter(|(path, _)| !self.partials.contains(path));
        self.unstored.extend(changed.map(|(path, bytes)| Object { path: path.to_string(), bytes }));
        self.store_full(objects)?;
        self.partials = stored;
        Ok(())
    }

    /// Before the first partial version of a tile is stored, removes what was left of it unsigned.
    fn enter_new_tiles(&mut self, objects: &dyn Objects) -> io::Result<()> {
        let last: Vec<_> = self.last_tiles().into_iter().map(|(path, _)| path).collect();
        for path in last.iter().filter(|path| !self.entered.contains(path)) {
            let folder = path.partials_folder();
            if !objects.list(&folder)?.is_empty() {
                objects.remove(&folder)?;
            }
        }
        self.entered = last;
        Ok(())
    }

    /// The folders of partial tiles that nobody needs once the next checkpoint is published.
    pub(crate) fn take_outgrown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.outgrown)
    }
}

/// When full tiles are stored before a checkpoint needs them, so that memory stays bounded.
const MANY_BYTES: usize = 4 << 20;

fn concat(hashes: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(TILE_WIDTH.saturating_mul(Hash::LENGTH));
    for hash in hashes {
        bytes.extend_from_slice(hash.as_bytes());
    }
    bytes
}
