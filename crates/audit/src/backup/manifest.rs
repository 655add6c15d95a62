//! The list of a backup's files: a line each, `SHA-256 LENGTH PATH`, by path.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use aws_lc_rs::digest::{Context as Sha256, SHA256};

use super::BackupPath;
use crate::checkpoint::parse_decimal;
use crate::tree::Hash;

/// What is in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content {
    /// Its SHA-256.
    pub digest: Hash,
    /// Its length in bytes.
    pub length: u64,
}

/// All files of a backup but the manifest and the label.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Manifest {
    /// What is in each.
    pub files: BTreeMap<BackupPath, Content>,
}

/// Bytes that are no manifest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Not UTF-8, or the last line does not end.
    #[error("the manifest is no text of whole lines")]
    NotText,
    /// A line that is not as lines are.
    #[error("line {0} of the manifest is not a digest, a length and a path")]
    Malformed(usize),
    /// One spelling for each manifest: each path once, in order.
    #[error("line {0} of the manifest stands in the wrong place")]
    Disordered(usize),
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::NotText)?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(ManifestError::NotText);
        }
        let mut files: BTreeMap<BackupPath, Content> = BTreeMap::new();
        for (number, line) in (1_usize..).zip(text.split_terminator('\n')) {
            let (path, content) = entry(line).ok_or(ManifestError::Malformed(number))?;
            if files.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return Err(ManifestError::Disordered(number));
            }
            files.insert(path, content);
        }
        Ok(Self { files })
    }
}

fn entry(line: &str) -> Option<(BackupPath, Content)> {
    let (digest, rest) = line.split_once(' ')?;
    let (length, path) = rest.split_once(' ')?;
    let content = Content { digest: Hash::from_hex(digest).ok()?, length: parse_decimal(length)? };
    Some((path.parse().ok()?, content))
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, Content { digest, length }) in &self.files {
            writeln!(f, "{} {length} {path}", digest.to_hex())?;
        }
        Ok(())
    }
}

/// The digest and length of what comes piece by piece.
#[derive(Clone)]
pub struct Digesting {
    digest: Sha256,
    length: u64,
}

impl Default for Digesting {
    fn default() -> Self {
        Self { digest: Sha256::new(&SHA256), length: 0 }
    }
}

impl Digesting {
    /// Takes the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.length = self.length.saturating_add(piece.len() as u64);
    }

    /// What came.
    #[must_use]
    pub fn finish(self) -> Content {
        let mut bytes = [0; Hash::LENGTH];
        bytes.copy_from_slice(self.digest.finish().as_ref());
        Content { digest: Hash::from_bytes(bytes), length: self.length }
    }

    /// How much came so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Of all that can be read.
    ///
    /// # Errors
    /// What the source says.
    pub fn of(from: &mut impl io::Read) -> io::Result<Content> {
        let mut digesting = Self::default();
        io::copy(from, &mut digesting)?;
        Ok(digesting.finish())
    }
}

impl io::Write for Digesting {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.add(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Digesting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<digest of {} bytes>", self.length)
    }
}
