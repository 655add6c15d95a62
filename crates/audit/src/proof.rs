//! Proof files: that an entry stands in a log, for whoever has the log's public key. C2SP tlog-proof.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointError, SignedCheckpoint, parse_decimal};
use crate::note::VerifierKey;
use crate::storage::Objects;
use crate::tile::{StoredNodes, TileError};
use crate::tree::{Hash, ProofError, inclusion_proof, verify_inclusion};

/// The content of a `.tlog-proof` file, whose checkpoint's signature has been verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlogProof {
    index: u64,
    path: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// A proof that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No checkpoint covers the entry yet.
    #[error("no checkpoint covers entry {index} yet; the last covers {size} entries")]
    NotCovered {
        /// The entry that was asked for.
        index: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// A tile on the way is not there or not as it should be.
    #[error(transparent)]
    Tile(#[from] TileError),
}

/// A text that is no proof of the log whose key is given. Clauses of C2SP tlog-proof, "Format".
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseProofError {
    /// The first line names the format.
    #[error("not a proof of c2sp.org/tlog-proof@v1")]
    WrongHeader,
    /// Index, hashes, an empty line, a checkpoint.
    #[error("the proof's lines are not as the format has them")]
    Malformed,
    /// The checkpoint within.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl TlogProof {
    /// Proves that entry `index` stands under `checkpoint`.
    ///
    /// # Errors
    /// [`ProveError`] if it does not yet, or the tiles cannot be read.
    pub fn prove(
        objects: &dyn Objects,
        index: u64,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, ProveError> {
        let size = checkpoint.size();
        if index >= size {
            return Err(ProveError::NotCovered { index, size });
        }
        let path = inclusion_proof(&mut StoredNodes::new(objects, size), index, size)?;
        Ok(Self { index, path, checkpoint })
    }

    /// Reads a proof and verifies its checkpoint's signature. Extra data, which nothing vouches for, is dropped.
    ///
    /// # Errors
    /// [`ParseProofError`] if it is none, or not one of the key's log.
    pub fn parse(bytes: &[u8], key: &VerifierKey) -> Result<Self, ParseProofError> {
        use ParseProofError::{Malformed, WrongHeader};

        let text = std::str::from_utf8(bytes).map_err(|_| WrongHeader)?;
        let rest = text.strip_prefix(HEADER).ok_or(WrongHeader)?;
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(Malformed)?;
        let mut lines = head.split('\n').peekable();
        if let Some(extra) = lines.next_if(|line| line.starts_with("extra ")) {
            let encoded = extra.strip_prefix("extra ").ok_or(Malformed)?;
            STANDARD.decode(encoded).map_err(|_| Malformed)?;
        }
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let path = lines.map(str::parse).collect::<Result<_, _>>().map_err(|_| Malformed)?;
        let checkpoint = SignedCheckpoint::open(checkpoint.as_bytes(), key)?;
        Ok(Self { index: index.ok_or(Malformed)?, path, checkpoint })
    }

    /// Checks that `entry` is the one that the proof is about.
    ///
    /// # Errors
    /// [`ProofError`] if it is not.
    pub fn verify(&self, entry: &[u8]) -> Result<(), ProofError> {
        let Self { index, path, checkpoint } = self;
        let root = &checkpoint.checkpoint().root;
        verify_inclusion(&Hash::of_entry(entry), *index, checkpoint.size(), path, root)
    }

    /// The entry's place in the log.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint that the entry stands under.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

/// The file's text.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint.note())
    }
}

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

#[cfg(test)]
mod tests;
