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

    /// The same with the cosignatures of the witness `key` that `lines`, an answer of it, has; in the place of those of it
    /// that were there. Lines of other keys are not taken over. C2SP tlog-witness, "add-checkpoint".
    ///
    /// # Errors
    /// [`NoteError`] if there is none, or one does not verify.
    pub fn cosigned(&self, lines: &[u8], key: &VerifierKey) -> Result<Self, NoteError> {
        if !key.is_witness() {
            return Err(NoteError::Unsigned);
        }
        let signed = [self.text().as_bytes(), b"\n", lines].concat();
        let answered = Note::parse(&signed)?;
        answered.verify(key)?;
        let known: Vec<_> = Note::parse(self.note.as_bytes())?.lines_of(key).collect();
        let mut note = self.text().to_owned();
        note.push('\n');
        let (_, before) = self.note.split_at(note.len().min(self.note.len()));
        let kept = before.lines().filter(|line| !known.iter().any(|known| known == line)).map(str::to_owned);
        for line in kept.chain(answered.lines_of(key)) {
            note.push_str(&line);
            note.push('\n');
        }
        Note::parse(note.as_bytes())?;
        Ok(Self { checkpoint: self.checkpoint.clone(), note })
    }

    /// The same with the signatures of `key` alone.
    pub(crate) fn signed_by_alone(&self, key: &VerifierKey) -> Result<Self, NoteError> {
        let mut note = format!("{}\n", self.text());
        for line in Note::parse(self.note.as_bytes())?.lines_of(key) {
            note.push_str(&line);
            note.push('\n');
        }
        Ok(Self { checkpoint: self.checkpoint.clone(), note })
    }

    /// When the witness `key` cosigned it, in seconds since 1970.
    ///
    /// # Errors
    /// [`NoteError`] if it did not, or not so that it verifies.
    pub fn cosigned_at(&self, key: &VerifierKey) -> Result<u64, NoteError> {
        Note::parse(self.note.as_bytes())?.cosigned_at(key)
    }

    /// What is signed: the note without its signatures, its final newline included.
    #[must_use]
    pub fn text(&self) -> &str {
        // INVARIANT: it was a note when it was read or made, so that the separator is there.
        self.note
            .rsplit_once("\n\n")
            .map_or("", |(text, _)| self.note.get(..text.len().saturating_add(1)).unwrap_or(""))
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
