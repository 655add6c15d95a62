//! Checkpoints: a log's size and root, signed. C2SP tlog-checkpoint.

use std::fmt;

use crate::note::{LogSigner, Note, NoteError, VerifierKey};
use crate::tree::Hash;

/// What a checkpoint says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// A checkpoint whose signature has been verified, or that was signed here. There is no other way to one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

/// A checkpoint that cannot be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it does not hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// C2SP tlog-checkpoint, "Note text": origin, size, root, and no empty line.
    #[error("the note's text is no checkpoint")]
    Malformed,
    /// The key is that of another log.
    #[error("the checkpoint is of another log than the key")]
    WrongOrigin,
}

impl Checkpoint {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
        let size = parse_decimal(lines.next()?)?;
        let root = lines.next()?.parse().ok()?;
        // Extension lines are allowed, and nobody's business.
        lines.all(|line| !line.is_empty()).then_some(Self { origin, size, root })
    }
}

/// The note's text.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl SignedCheckpoint {
    /// Reads a checkpoint that `key` has signed.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not one, or not of that key's log.
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CheckpointError> {
        let parsed = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(parsed.verify(key)?).ok_or(CheckpointError::Malformed)?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointError::WrongOrigin);
        }
        let note = String::from_utf8(note.to_vec()).map_err(|_| NoteError::Malformed)?;
        Ok(Self { checkpoint, note })
    }

    pub(crate) fn sign(signer: &LogSigner, size: u64, root: Hash) -> Self {
        let checkpoint = Checkpoint { origin: signer.verifier_key().name().to_owned(), size, root };
        let note = signer.sign(&checkpoint.to_string());
        Self { checkpoint, note }
    }

    /// What it says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The number of entries under it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The note, signatures included.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }
}

/// A number in the one spelling that C2SP allows: ASCII digits without leading zeroes, at most 2^63 - 1.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && i64::try_from(number).is_ok()).then_some(number)
}

#[cfg(test)]
mod tests;
