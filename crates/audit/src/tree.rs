//! The Merkle tree over the log's entries. RFC 6962 section 2.1; checks of proofs as in RFC 9162 section 2.1.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

mod edge;
mod prove;

pub(crate) use edge::perfect_root;
pub use edge::{Edge, FullTile};
pub use prove::{
    Nodes, ProofError, consistency_proof, inclusion_proof, subtree_root, verify_consistency, verify_inclusion,
};

/// A SHA-256 hash: of an entry, of a subtree, or the root over a whole log.
#[derive(Clone, Copy, Eq, PartialEq, Hash)]
pub struct Hash([u8; Self::LENGTH]);

impl Hash {
    /// Bytes in a hash.
    pub const LENGTH: usize = SHA256_OUTPUT_LEN;

    /// Takes the bytes for a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// SHA-256 over the pieces, one after the other, with no prefix.
    #[must_use]
    pub fn of(pieces: &[&[u8]]) -> Self {
        let hashed = match pieces {
            [whole] => digest(&SHA256, whole),
            pieces => {
                let mut context = Context::new(&SHA256);
                pieces.iter().for_each(|piece| context.update(piece));
                context.finish()
            }
        };
        let mut bytes = [0; Self::LENGTH];
        bytes.copy_from_slice(hashed.as_ref());
        Self(bytes)
    }

    /// The root of a log without entries.
    #[must_use]
    pub fn of_empty_tree() -> Self {
        Self::of(&[])
    }

    /// The hash of one entry.
    #[must_use]
    pub fn of_entry(entry: &[u8]) -> Self {
        Self::of(&[&[0x00], entry])
    }

    /// The hash of two subtrees side by side.
    #[must_use]
    pub fn of_node(left: &Self, right: &Self) -> Self {
        let mut node = [0x01; 1 + 2 * Self::LENGTH];
        for (place, byte) in node.iter_mut().skip(1).zip(left.0.iter().chain(&right.0)) {
            *place = *byte;
        }
        Self::of(&[&node])
    }

    /// In lower-case hexadecimal, as files are named by it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use std::fmt::Write as _;
        let mut hex = String::with_capacity(Self::LENGTH.saturating_mul(2));
        for byte in self.0 {
            // INVARIANT: writing to a `String` does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// From 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`ParseHashError`] if the text is anything else.
    pub fn from_hex(text: &str) -> Result<Self, ParseHashError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        for pair in pairs {
            let digits = std::str::from_utf8(pair).map_err(|_| ParseHashError)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| ParseHashError)?);
        }
        let hash = bytes.try_into().map(Self).map_err(|_| ParseHashError)?;
        // `from_str_radix` takes capitals and signs too; one spelling only.
        if rest.is_empty() && hash.to_hex() == text { Ok(hash) } else { Err(ParseHashError) }
    }
}

/// In standard base64, as checkpoints and proofs write it.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 bytes in the encoding that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a SHA-256 hash")]
pub struct ParseHashError;

impl FromStr for Hash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text).map_err(|_| ParseHashError)?;
        bytes.try_into().map(Self).map_err(|_| ParseHashError)
    }
}

#[cfg(test)]
mod tests;
