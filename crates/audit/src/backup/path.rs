//! Paths within a backup.

use std::fmt;
use std::str::FromStr;

/// A path below a folder, of which no part leads out of it.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct BackupPath(String);

/// The text is no such path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a path below a folder: no empty part, no `.` or `..`, no backslash, no control character")]
pub struct ParsePathError;

/// As file systems have it, in bytes.
const LONGEST_PART: usize = 255;
const LONGEST: usize = 1024;

impl BackupPath {
    /// The text, with `/` between the parts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is named `name`, which may have several parts, within this.
    ///
    /// # Errors
    /// [`ParsePathError`] if that leads elsewhere.
    pub fn join(&self, name: &str) -> Result<Self, ParsePathError> {
        format!("{}/{name}", self.0).parse()
    }

    /// The path within `folder`, if it leads there.
    #[must_use]
    pub fn within(&self, folder: &str) -> Option<Self> {
        self.0.strip_prefix(folder)?.strip_prefix('/')?.parse().ok()
    }
}

impl FromStr for BackupPath {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        let is_plain = |part: &str| {
            !matches!(part, "" | "." | "..") && part.len() <= LONGEST_PART && !part.contains(is_foreign)
        };
        let good = text.len() <= LONGEST && text.split('/').all(is_plain);
        if good { Ok(Self(text.to_owned())) } else { Err(ParsePathError) }
    }
}

fn is_foreign(character: char) -> bool {
    character == '\\' || character.is_control()
}

impl fmt::Display for BackupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
