//! A witness: remembers of each log the last checkpoint that it saw, and cosigns only what extends it. C2SP tlog-witness.

use std::fmt;
use std::io;

use chartgate_values::Timestamp;

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, parse_decimal};
use crate::note::{Note, NoteError, VerifierKey, WitnessSigner};
use crate::storage::Objects;
use crate::tile::{StoredNodes, TileError};
use crate::tree::{Hash, ProofError, consistency_proof, verify_consistency};

pub mod policy;

/// What a witness remembers. Whoever implements it lets one call to [`add_checkpoint`] at a time have it.
pub trait WitnessState {
    /// The note last cosigned for the log of this origin; none if there was none.
    ///
    /// # Errors
    /// What the disk says.
    fn last(&self, origin: &str) -> io::Result<Option<Vec<u8>>>;

    /// Durably remembers `checkpoint` for its log, in the place of what was.
    ///
    /// # Errors
    /// What the disk says; then either may be remembered.
    fn remember(&mut self, checkpoint: &SignedCheckpoint) -> io::Result<()>;
}

/// What a log asks of a witness.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash>,
    note: Vec<u8>,
}

/// A witness does not cosign. Clauses of C2SP tlog-witness, "add-checkpoint".
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 400: not such a request, or an old size above the checkpoint's.
    #[error("not a request to add a checkpoint")]
    Malformed,
    /// 404: "If the checkpoint origin is unknown".
    #[error("the log is not known")]
    UnknownLog,
    /// 403: "If none of the signatures verify against a trusted public key".
    #[error("the checkpoint is not signed by the log's key")]
    Unsigned,
    /// 409: the old size is not that of the last checkpoint; or the sizes are the same and the roots are not.
    #[error("the last checkpoint is over {size} entries")]
    Conflict {
        /// Of the last checkpoint.
        size: u64,
        /// Whether this one is of the same size and another tree: proof that the log was forked.
        forked: bool,
    },
    /// 422: "If the Merkle Consistency Proof doesn't verify".
    #[error("the proof does not hold: {0}")]
    Unproven(#[source] ProofError),
    /// There is a proof where none belongs. Anybody can send so what was cosigned already: it says nothing of the log.
    #[error("a proof for what was cosigned already")]
    NeedlessProof,
    /// What was remembered cannot be read or replaced.
    #[error("the witness's state: {0}")]
    State(#[source] io::Error),
    /// What was remembered is no checkpoint of the log.
    #[error("the witness's state: {0}")]
    Remembered(#[source] CheckpointError),
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unsigned => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Unproven(_) | Self::NeedlessProof => 422,
            Self::State(_) | Self::Remembered(_) => 500,
        }
    }
}

impl AddCheckpoint {
    /// The request for `checkpoint` at a witness whose last one is over `old` entries.
    ///
    /// # Errors
    /// Where tiles cannot be read.
    pub fn prove(objects: &dyn Objects, old: u64, checkpoint: &SignedCheckpoint) -> Result<Self, TileError> {
        let size = checkpoint.size();
        let proof = consistency_proof(&mut StoredNodes::new(objects, size), old, size)?;
        Ok(Self { old, proof, note: checkpoint.note().as_bytes().to_vec() })
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_decimal);
        let old = old.ok_or(Refusal::Malformed)?;
        let proof = lines.map(str::parse).collect::<Result<Vec<_>, _>>().map_err(|_| Refusal::Malformed)?;
        if proof.len() > LONGEST_PROOF {
            return Err(Refusal::Malformed);
        }
        Ok(Self { old, proof, note: note.as_bytes().to_vec() })
    }
}

/// The body.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", String::from_utf8_lossy(&self.note))
    }
}

/// Answers a request: the cosignature line, newline included, once the checkpoint is remembered.
///
/// `logs` are the keys of the logs that are witnessed, several of one origin if it has several.
///
/// # Errors
/// [`Refusal`]; then nothing was signed.
pub fn add_checkpoint(
    body: &[u8],
    logs: &[VerifierKey],
    signer: &WitnessSigner,
    state: &mut dyn WitnessState,
    now: Timestamp,
) -> Result<String, Refusal> {
    let AddCheckpoint { old, proof, note } = AddCheckpoint::parse(body)?;
    let origin = origin(&note).ok_or(Refusal::Malformed)?;
    let keys = || logs.iter().filter(|key| key.name() == origin && !key.is_witness());
    if keys().next().is_none() {
        return Err(Refusal::UnknownLog);
    }
    let checkpoint = opened(&note, keys()).map_err(|error| match error {
        CheckpointError::Note(NoteError::Unsigned | NoteError::BadSignature) => Refusal::Unsigned,
        CheckpointError::Note(_) | CheckpointError::Malformed | CheckpointError::WrongOrigin => {
            Refusal::Malformed
        }
    })?;
    let new = checkpoint.checkpoint();
    if old > new.size {
        return Err(Refusal::Malformed);
    }
    let last = match state.last(&origin).map_err(Refusal::State)? {
        Some(note) => opened(&note, keys()).map_err(Refusal::Remembered)?.checkpoint().clone(),
        None => Checkpoint { origin, size: 0, root: Hash::of_empty_tree() },
    };
    if last.size != old {
        return Err(Refusal::Conflict { size: last.size, forked: false });
    }
    check_extends(&last, new, &proof)?;
    let answer = format!("{}\n", signer.cosign(&checkpoint, now));
    // Remembered before it is answered, so that whoever has the answer has a witness who knows of it.
    let cosigned =
        checkpoint.cosigned(answer.as_bytes(), signer.verifier_key()).map_err(|_| Refusal::Malformed)?;
    state.remember(&cosigned).map_err(Refusal::State)?;
    Ok(answer)
}

fn check_extends(last: &Checkpoint, new: &Checkpoint, proof: &[Hash]) -> Result<(), Refusal> {
    if last.size == new.size && last.root != new.root {
        return Err(Refusal::Conflict { size: last.size, forked: true });
    }
    if last.size == new.size && !proof.is_empty() {
        return Err(Refusal::NeedlessProof);
    }
    if last.size == 0 {
        // "The proof MUST be empty if the old size is zero."
        return if proof.is_empty() { Ok(()) } else { Err(Refusal::Unproven(ProofError::WrongLength)) };
    }
    verify_consistency((last.size, &last.root), (new.size, &new.root), proof).map_err(Refusal::Unproven)
}

/// The origin that a note claims.
fn origin(note: &[u8]) -> Option<String> {
    let note = Note::parse(note).ok()?;
    let origin = note.unverified_text().split('\n').next()?;
    (!origin.is_empty()).then(|| origin.to_owned())
}

/// The checkpoint by the first key that it verifies under.
fn opened<'a>(
    note: &[u8],
    keys: impl Iterator<Item = &'a VerifierKey>,
) -> Result<SignedCheckpoint, CheckpointError> {
    let mut failed = CheckpointError::Note(NoteError::Unsigned);
    for key in keys {
        match SignedCheckpoint::open(note, key) {
            // Lines that nobody here can judge are left behind.
            Ok(checkpoint) => return Ok(checkpoint.signed_by_alone(key)?),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The name under which a witness has a log: the hash of its origin, in hexadecimal. C2SP tlog-witness, "Monitor Retrieval
/// Mechanism".
#[must_use]
pub fn log_id(origin: &str) -> String {
    Hash::of(&[origin.as_bytes()]).to_hex()
}

/// The file, beside [`checkpoint`](crate::checkpoint), with the last checkpoint that witnesses cosigned.
pub const COSIGNED: &str = "checkpoint.cosigned";

/// "The client MUST NOT send more than 63 consistency proof lines."
const LONGEST_PROOF: usize = 63;

#[cfg(test)]
mod tests;
