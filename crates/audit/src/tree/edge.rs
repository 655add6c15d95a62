//! The right edge of a growing tree: all that has to be kept to add entries and to know the root.

use super::Hash;
use crate::tile::{TILE_SPAN, TILE_WIDTH};

/// The rightmost tile of each level, as far as it is filled. At most 255 hashes a level.
///
/// `levels[l]` holds the roots of the last full tiles of level `l - 1` (of entries, for level 0) that do not yet
/// fill a tile of their own: the partial tiles of C2SP tlog-tiles.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

/// A tile that has just been filled. It will never change again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FullTile {
    /// The tile's level.
    pub level: u8,
    /// Its place within the level.
    pub index: u64,
    /// Its 256 hashes.
    pub hashes: Vec<Hash>,
}

impl Edge {
    /// The edge of a tree of `size` entries, from its partial tiles, lowest level first. The lengths must be those
    /// that [`partial_widths`](Self::partial_widths) gives for this size; otherwise there is no such edge.
    #[must_use]
    pub fn from_partial_tiles(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let widths = levels.iter().map(Vec::len);
        Self::partial_widths(size).eq(widths).then_some(Self { size, levels })
    }

    /// How wide the partial tile of each level is in a tree of `size` entries, lowest level first.
    pub fn partial_widths(size: u64) -> impl Iterator<Item = usize> {
        let mut rest = size;
        std::iter::from_fn(move || {
            let width = usize::try_from(rest % TILE_SPAN).ok()?;
            let more = rest > 0;
            rest /= TILE_SPAN;
            more.then_some(width)
        })
    }

    /// How many entries the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The partial tile of each level, lowest first. A level whose last tile is full has an empty one.
    #[must_use]
    pub fn partial_tiles(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Adds one entry by its hash. Gives back the tiles that it filled, lowest level first.
    pub fn push(&mut self, entry: Hash) -> Vec<FullTile> {
        self.size = self.size.saturating_add(1);
        let mut filled = Vec::new();
        let mut carry = Some(entry);
        let mut spans = self.size;
        for level in 0..MAX_LEVELS {
            let Some(hash) = carry.take() else { break };
            let position = usize::from(level);
            if self.levels.len() == position {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(position) else { break };
            hashes.push(hash);
            spans /= TILE_SPAN;
            if hashes.len() == TILE_WIDTH {
                let hashes = std::mem::take(hashes);
                carry = Some(perfect_root(&hashes));
                filled.push(FullTile { level, index: spans.saturating_sub(1), hashes });
            }
        }
        filled
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        // Perfect subtrees from left to right, that is from large to small.
        let mut subtrees = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (perfect, remainder) = rest.split_at(1 << rest.len().ilog2());
                subtrees.push(perfect_root(perfect));
                rest = remainder;
            }
        }
        let joined = subtrees.into_iter().rev().reduce(|right, left| Hash::of_node(&left, &right));
        joined.unwrap_or_else(Hash::of_empty_tree)
    }
}

/// 256^8 is beyond any `u64`.
const MAX_LEVELS: u8 = 8;

/// The root over a power of two of neighbouring hashes.
pub(crate) fn perfect_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of_empty_tree(),
        [only] => *only,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            Hash::of_node(&perfect_root(left), &perfect_root(right))
        }
    }
}
