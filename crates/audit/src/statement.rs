//! What a log's key vouches for besides its checkpoints: a signed note (C2SP signed-note) whose first line says what it is,
//! and is no log's name, so that nobody takes one for the other.

use crate::note::{LogSigner, Note, NoteError, VerifierKey};

/// A text that cannot be vouched for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StatementError {
    /// A checkpoint's first line is the log's name.
    #[error("a statement's kind cannot be the name of the log")]
    Kind,
    /// One line would be read as two, or the text's end as before its end.
    #[error("a line of a statement is empty or has a control character")]
    Line,
}

/// The note that says `lines` as a statement of this kind.
///
/// # Errors
/// [`StatementError`] if it would be read as something else.
pub fn sign(signer: &LogSigner, kind: &str, lines: &[String]) -> Result<String, StatementError> {
    if kind == signer.verifier_key().name() {
        return Err(StatementError::Kind);
    }
    let mut text = String::new();
    for line in std::iter::once(kind).chain(lines.iter().map(String::as_str)) {
        if line.is_empty() || line.chars().any(char::is_control) {
            return Err(StatementError::Line);
        }
        text.push_str(line);
        text.push('\n');
    }
    Ok(signer.sign(&text))
}

/// The lines of a statement of this kind that `key` has signed.
///
/// # Errors
/// [`NoteError::Malformed`] if it is of another kind or no note; else as the signature is.
pub fn open(note: &[u8], key: &VerifierKey, kind: &str) -> Result<Vec<String>, NoteError> {
    let note = Note::parse(note)?;
    let mut lines = note.verify(key)?.lines();
    if kind == key.name() || lines.next() != Some(kind) {
        return Err(NoteError::Malformed);
    }
    Ok(lines.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use chartgate_values::SeededEntropy;

    use super::*;

    #[test]
    fn a_statement_is_read_as_what_it_is_and_altered_by_nobody() {
        let mut entropy = SeededEntropy::new(1);
        let (signer, _) = LogSigner::generate("gate.test/audit", &mut entropy).unwrap();
        let (other, _) = LogSigner::generate("gate.test/audit", &mut entropy).unwrap();
        let lines = ["one".to_owned(), "two 2".to_owned()];
        let note = sign(&signer, "kind/v1", &lines).unwrap();
        assert_eq!(open(note.as_bytes(), signer.verifier_key(), "kind/v1").unwrap(), lines);
        assert_eq!(open(note.as_bytes(), signer.verifier_key(), "kind/v2"), Err(NoteError::Malformed));
        assert_eq!(open(note.as_bytes(), other.verifier_key(), "kind/v1"), Err(NoteError::Unsigned));
        let altered = note.replace("two 2", "two 3");
        assert_eq!(open(altered.as_bytes(), signer.verifier_key(), "kind/v1"), Err(NoteError::BadSignature));
        assert!(crate::checkpoint::SignedCheckpoint::open(note.as_bytes(), signer.verifier_key()).is_err());

        assert_eq!(sign(&signer, "gate.test/audit", &lines), Err(StatementError::Kind));
        for line in ["", "a\nb", "a\u{7}"] {
            assert_eq!(sign(&signer, "kind/v1", &[line.to_owned()]), Err(StatementError::Line));
        }
    }
}
