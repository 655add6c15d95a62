//! How a record is stored: one line of canonical JSON (JCS, RFC 8785), of which what tells of patients is sealed.
//! `docs/audit-format.md` describes the format.

use chartgate_values::seal::{OVERHEAD, SealError};
use chartgate_values::{Entropy, Secret};

use crate::data_keys::{DataKey, DataKeyError, DataKeys, Month};
use crate::record::Record;
use crate::storage::{Object, Objects};
use crate::tree::Hash;

mod canonical;
mod clear;
mod hidden;
mod sealed;
pub mod whole;

use clear::{Clear, has_exact_numbers, push_clear};
use hidden::{Hidden, ToHide};
use sealed::{Envelope, Sealed, Version, push_blob, push_inline};

/// The longest leaf, in bytes. What does not fit is sealed into a file of its own, which the leaf names.
pub const MAX_LEAF: usize = 32 * 1024;

/// The longest sealed part, in bytes.
pub const MAX_SEALED: usize = 16 * 1024 * 1024;

/// A record ready to be stored.
#[derive(Debug)]
pub(crate) struct EncodedLeaf {
    /// The leaf.
    pub(crate) bytes: Vec<u8>,
    /// A file that must be durable before the leaf is.
    pub(crate) blob: Option<Object>,
}

/// A record that cannot be stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// RFC 8785 section 3.2.2.3: numbers beyond 2^53 - 1 have no exact form.
    #[error("a number of the record is beyond 2^53 - 1")]
    NumberTooLarge,
    /// The clear part alone is longer than a leaf, or the sealed part longer than a blob.
    #[error("the record is too long")]
    TooLong,
    /// The cipher refuses.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Bytes that are no leaf of this format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LeafError {
    /// Longer than a leaf can be.
    #[error("longer than a leaf can be")]
    TooLong,
    /// Not JSON with the members of a leaf, or of a later version.
    #[error("not a leaf of version 1")]
    Malformed,
    /// RFC 8785: the same content has one spelling, and this is another.
    #[error("not in canonical form")]
    NotCanonical,
}

/// A sealed part that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The month's key was destroyed.
    #[error("the data key of {0} was destroyed")]
    Shredded(Month),
    /// The key is there and cannot be had.
    #[error(transparent)]
    Key(#[from] DataKeyError),
    /// The file that holds the sealed part cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Blob {
        /// The file.
        path: String,
        /// What the disk says.
        source: std::io::Error,
    },
    /// It does not open under the month's key for this entry, or is not what was sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A record of which the sealed part cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct NotUnsealed {
    /// The record as far as it is clear, which stands without the rest.
    pub clear: Box<Record>,
    /// Why.
    #[source]
    pub cause: UnsealError,
}

/// A leaf as it was read. Its clear part is at hand; its sealed part needs a key.
#[derive(Debug)]
pub struct Leaf {
    record: Record,
    clear: Hash,
    sealed: Option<Sealed>,
}

impl Leaf {
    /// Reads a leaf, in its one spelling.
    ///
    /// # Errors
    /// [`LeafError`] if it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > MAX_LEAF {
            return Err(LeafError::TooLong);
        }
        let Envelope { record: json, sealed, v: Version } =
            serde_json::from_slice(bytes).map_err(|_| LeafError::Malformed)?;
        let clear: Clear<'_> = serde_json::from_str(json.get()).map_err(|_| LeafError::Malformed)?;
        let record = clear.into_record().ok_or(LeafError::Malformed)?;
        let mut canonical = begin();
        push_clear(&record, &mut canonical);
        let clear = Hash::of(&[clear_part(&canonical)]);
        if let Some(sealed) = &sealed {
            sealed.push_member(&mut canonical);
        }
        end(&mut canonical);
        if canonical != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(Self { record, clear, sealed })
    }

    /// The record as far as it is clear: without what tells of patients.
    #[must_use]
    pub fn clear_record(&self) -> &Record {
        &self.record
    }

    /// The month whose key opens the sealed part; none if nothing is sealed.
    #[must_use]
    pub fn sealed_in(&self) -> Option<&Month> {
        self.sealed.as_ref().map(Sealed::month)
    }

    /// The file that holds the sealed part, and the hash over it, if it is not in the leaf.
    #[must_use]
    pub fn blob(&self) -> Option<(String, Hash)> {
        match self.sealed.as_ref()? {
            Sealed::Inline { .. } => None,
            Sealed::Blob { hash, .. } => Some((blob_path(hash), *hash)),
        }
    }

    /// The record as far as it is clear.
    #[must_use]
    pub fn into_clear_record(self) -> Record {
        self.record
    }

    /// The whole record.
    ///
    /// # Errors
    /// [`NotUnsealed`] if the sealed part cannot be read.
    pub fn unseal(self, keys: &DataKeys, objects: &dyn Objects) -> Result<Record, NotUnsealed> {
        let Self { record, clear, sealed } = self;
        let Some(sealed) = sealed else { return Ok(record) };
        match open(&sealed, &clear, keys, objects) {
            Ok(text) => match Hidden::from_json(text.expose()) {
                Some(hidden) => Ok(hidden.join(record)),
                None => Err(NotUnsealed { clear: Box::new(record), cause: SealError.into() }),
            },
            Err(cause) => Err(NotUnsealed { clear: Box::new(record), cause }),
        }
    }
}

/// The plaintext of a sealed part.
fn open(
    sealed: &Sealed,
    clear: &Hash,
    keys: &DataKeys,
    objects: &dyn Objects,
) -> Result<Secret<Vec<u8>>, UnsealError> {
    let month = sealed.month();
    let key = keys.for_opening(month)?.ok_or_else(|| UnsealError::Shredded(month.clone()))?;
    match sealed {
        Sealed::Inline { text, .. } => Ok(key.open(clear, text)?),
        Sealed::Blob { hash, .. } => {
            let path = blob_path(hash);
            let text = objects.read(&path).map_err(|source| UnsealError::Blob { path, source })?;
            Ok(key.open(clear, &text)?)
        }
    }
}

/// Encodes a record, sealing what tells of patients under `key`.
pub(crate) fn encode(
    record: &Record,
    key: &DataKey,
    entropy: &mut dyn Entropy,
) -> Result<EncodedLeaf, EncodeError> {
    if !has_exact_numbers(record) {
        return Err(EncodeError::NumberTooLarge);
    }
    let mut leaf = begin();
    push_clear(record, &mut leaf);
    let Some(hidden) = ToHide::of(record) else { return finish(leaf, None) };
    let clear = clear_part(&leaf);
    let text = key.seal(entropy, &Hash::of(&[clear]), TYPICAL_HIDDEN, |text| hidden.push_json(text))?;
    if text.len() > MAX_SEALED.saturating_add(OVERHEAD) {
        return Err(EncodeError::TooLong);
    }

    // Four characters of base64url for three bytes, and the members around them.
    let length = clear.len().saturating_add(text.len().div_ceil(3).saturating_mul(4)).saturating_add(64);
    if length <= MAX_LEAF {
        push_inline(key.month(), &text, &mut leaf);
        return finish(leaf, None);
    }
    let hash = Hash::of(&[&text]);
    push_blob(key.month(), &hash, &mut leaf);
    finish(leaf, Some(Object { path: blob_path(&hash), bytes: text }))
}

fn finish(mut leaf: Vec<u8>, blob: Option<Object>) -> Result<EncodedLeaf, EncodeError> {
    end(&mut leaf);
    if leaf.len() <= MAX_LEAF { Ok(EncodedLeaf { bytes: leaf, blob }) } else { Err(EncodeError::TooLong) }
}

/// A leaf as far as the clear part, which comes next.
fn begin() -> Vec<u8> {
    let mut leaf = Vec::with_capacity(TYPICAL_LEAF);
    leaf.extend_from_slice(BEFORE_CLEAR);
    leaf
}

/// The clear part of a leaf of which nothing stands behind it yet.
fn clear_part(leaf: &[u8]) -> &[u8] {
    leaf.get(BEFORE_CLEAR.len()..).unwrap_or_default()
}

/// Adds what comes last. The leaf is canonical if its clear part is, for its members stand in order.
fn end(leaf: &mut Vec<u8>) {
    leaf.extend_from_slice(br#","v":1}"#);
}

const BEFORE_CLEAR: &[u8] = br#"{"record":"#;

/// How much room to reserve.
const TYPICAL_LEAF: usize = 1536;
const TYPICAL_HIDDEN: usize = 256;

fn blob_path(hash: &Hash) -> String {
    format!("blob/{}", hash.to_hex())
}

#[cfg(test)]
mod tests;
