//! Where a log's tiles lie and what is in them. C2SP tlog-tiles.

use std::fmt;
use std::str::FromStr;

mod bundle;
mod stored;

pub(crate) use bundle::Entries;
pub use bundle::{BundleError, MAX_ENTRY, parse_bundle, push_entry};
pub use stored::{StoredNodes, TileError, read_bundle, read_entries, read_hashes};

/// Hashes in a full tile and entries in a full bundle.
pub const TILE_WIDTH: usize = 256;

/// The same as a count of entries.
pub const TILE_SPAN: u64 = 256;

/// The path of a tile or an entry bundle below the log's folder: `tile/0/x001/234`, `tile/entries/000.p/17`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct TilePath {
    content: Content,
    index: u64,
    width: Width,
}

/// What a tile holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Content {
    /// Hashes of the tree at a level.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// How far a tile is filled.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Width {
    /// All 256.
    Full,
    /// 1 to 255.
    Partial(u8),
}

impl Width {
    /// For `count` hashes or entries; none for zero or more than 256.
    #[must_use]
    pub fn of(count: usize) -> Option<Self> {
        match u8::try_from(count) {
            Ok(0) => None,
            Ok(partial) => Some(Self::Partial(partial)),
            Err(_) => (count == TILE_WIDTH).then_some(Self::Full),
        }
    }

    /// Of the tile at `index`, where there are so many hashes or entries in all; none if they do not go so far.
    #[must_use]
    pub fn within(all: u64, index: u64) -> Option<Self> {
        let count = all.saturating_sub(index.saturating_mul(TILE_SPAN)).min(TILE_SPAN);
        usize::try_from(count).ok().and_then(Self::of)
    }

    /// The number of hashes or entries.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Full => TILE_WIDTH,
            Self::Partial(width) => usize::from(width),
        }
    }
}

impl TilePath {
    /// The tile of `content` at `index`, filled as far as `width`.
    #[must_use]
    pub fn new(content: Content, index: u64, width: Width) -> Self {
        Self { content, index, width }
    }

    /// The same tile when it is full.
    #[must_use]
    pub fn full(self) -> Self {
        Self { width: Width::Full, ..self }
    }

    /// How far the tile is filled.
    #[must_use]
    pub fn width(self) -> Width {
        self.width
    }

    /// The folder that holds this tile's partial versions.
    #[must_use]
    pub fn partials_folder(self) -> String {
        format!("{}.p", self.full())
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Hashes(level) => write!(f, "tile/{level}")?,
            Content::Entries => f.write_str("tile/entries")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.index;
        while rest >= 1000 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        let mut separator = if groups.is_empty() { "/" } else { "/x" };
        write!(f, "{separator}{rest:03}")?;
        while let Some(group) = groups.pop() {
            separator = if groups.is_empty() { "/" } else { "/x" };
            write!(f, "{separator}{group:03}")?;
        }
        match self.width {
            Width::Full => Ok(()),
            Width::Partial(width) => write!(f, ".p/{width}"),
        }
    }
}

/// The text is not the path of a tile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the path of a tile or of an entry bundle")]
pub struct ParseTilePathError;

/// Takes only the one spelling that C2SP tlog-tiles allows.
impl FromStr for TilePath {
    type Err = ParseTilePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = parse(text).ok_or(ParseTilePathError)?;
        // One spelling each: what does not print as it was written was written otherwise.
        if parsed.to_string() == text { Ok(parsed) } else { Err(ParseTilePathError) }
    }
}

fn parse(text: &str) -> Option<TilePath> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let content = match kind {
        "entries" => Content::Entries,
        level => Content::Hashes(level.parse().ok().filter(|level| *level < 64)?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, Width::Partial(width.parse().ok().filter(|width| *width > 0)?)),
        None => (rest, Width::Full),
    };
    let mut index = 0_u64;
    for group in number.split('/') {
        let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index = index.checked_mul(1000)?.checked_add(digits)?;
    }
    Some(TilePath { content, index, width })
}

#[cfg(test)]
mod tests;
