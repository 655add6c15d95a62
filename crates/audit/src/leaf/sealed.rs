//! The leaf around its clear part, and the member that says where the sealed part is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::data_keys::Month;
use crate::tree::Hash;

/// A leaf as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) record: &'a RawValue,
    #[serde(default)]
    pub(super) sealed: Option<Sealed>,
    pub(super) v: Version,
}

/// The format's version, of which there is one.
pub(super) struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if u8::deserialize(deserializer)? == 1 { Ok(Self) } else { Err(D::Error::custom("another version")) }
    }
}

/// Where the sealed part is, and which month's key opens it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Sealed {
    /// In the leaf.
    Inline {
        /// The key's month.
        month: Month,
        /// Nonce, ciphertext, tag.
        text: Vec<u8>,
    },
    /// In a file that has this SHA-256 hash and is named by it.
    Blob {
        /// The key's month.
        month: Month,
        /// The file's hash.
        hash: Hash,
    },
}

impl Sealed {
    pub(super) fn month(&self) -> &Month {
        match self {
            Self::Inline { month, .. } | Self::Blob { month, .. } => month,
        }
    }

    /// Adds the member to a leaf, in canonical form.
    pub(super) fn push_member(&self, leaf: &mut Vec<u8>) {
        match self {
            Self::Inline { month, text } => push_inline(month, text, leaf),
            Self::Blob { month, hash } => push_blob(month, hash, leaf),
        }
    }
}

/// Adds the member that holds the sealed part. No character of it needs an escape.
pub(super) fn push_inline(month: &Month, text: &[u8], leaf: &mut Vec<u8>) {
    push_all([r#","sealed":{"key":""#, month.as_str(), r#"","text":""#], leaf);
    base64_simd::URL_SAFE_NO_PAD.encode_append(text, leaf);
    leaf.extend_from_slice(br#""}"#);
}

/// The same for one that names a file.
pub(super) fn push_blob(month: &Month, hash: &Hash, leaf: &mut Vec<u8>) {
    let hash = hash.to_hex();
    push_all([r#","sealed":{"blob":""#, &hash, r#"","key":""#, month.as_str(), r#""}"#], leaf);
}

fn push_all<const N: usize>(pieces: [&str; N], leaf: &mut Vec<u8>) {
    pieces.into_iter().for_each(|piece| leaf.extend_from_slice(piece.as_bytes()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    #[serde(default)]
    blob: Option<String>,
    key: String,
    #[serde(default)]
    text: Option<String>,
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Member { blob, key, text } = Member::deserialize(deserializer)?;
        let month = key.parse().map_err(D::Error::custom)?;
        match (blob, text) {
            (None, Some(text)) => {
                let text = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
                Ok(Self::Inline { month, text })
            }
            (Some(blob), None) => {
                let hash = Hash::from_hex(&blob).map_err(D::Error::custom)?;
                Ok(Self::Blob { month, hash })
            }
            _ => Err(D::Error::custom("either text or blob")),
        }
    }
}
