//! Signed notes: text with lines of signatures under it. C2SP signed-note, Ed25519 only; witnesses' lines as in
//! C2SP tlog-cosignature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

mod key;
mod witness;

pub use key::{LogSigner, ParseVerifierKeyError, VerifierKey, WrongName};
pub use witness::WitnessSigner;

/// A note as it was read. Its text means nothing until [`verify`](Self::verify) has said so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One signature line.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Signature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

/// A note that cannot be believed. Clauses of C2SP signed-note.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoteError {
    /// "Format": a text ending in a newline, an empty line, signature lines; UTF-8 without control characters.
    #[error("not a signed note")]
    Malformed,
    /// Longer, or with more signatures, than we are ready to read.
    #[error("the note is too large")]
    TooLarge,
    /// "Signatures": no line is of the known key.
    #[error("the note has no signature of the known key")]
    Unsigned,
    /// "Signatures": a line of the known key does not verify.
    #[error("the known key's signature does not verify")]
    BadSignature,
}

impl Note {
    /// Reads a note, believing nothing.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] or [`NoteError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_LENGTH {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed)?;
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed);
        }
        // The last empty line separates the text, which keeps its final newline, from the signatures.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures = lines.split('\n').map(Signature::parse).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteError::Malformed)?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The text, which nothing vouches for yet.
    pub(crate) fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The text if `key` has signed it. Lines of unknown keys are ignored, however they look; of the known key, at
    /// least one must be there and every one must verify.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] or [`NoteError::BadSignature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, NoteError> {
        let mut lines = self.signatures.iter().filter(|line| line.is_of(key)).peekable();
        if lines.peek().is_none() {
            return Err(NoteError::Unsigned);
        }
        for line in lines {
            key.verify(&self.text, &line.bytes)?;
        }
        Ok(&self.text)
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        key::check_name(name).ok()?;
        Some(Self { name: name.to_owned(), key_id: *key_id, bytes: signature.to_vec() })
    }

    fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name() && self.key_id == key.id()
    }
}

const MAX_LENGTH: usize = 1 << 20;
const MAX_SIGNATURES: usize = 64;

#[cfg(test)]
mod tests;
