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

    /// Adds the member to a leaf, in canonical form: no character of it needs an escape.
    pub(super) fn push_member(&self, leaf: &mut Vec<u8>) {
        let mut push = |piece: &str| leaf.extend_from_slice(piece.as_bytes());
        let month = self.month().as_str();
        match self {
            Self::Inline { text, .. } => {
                [r#","sealed":{"key":""#, month, r#"","text":""#].into_iter().for_each(push);
                push_base64(text, leaf);
                leaf.extend_from_slice(br#""}"#);
            }
            Self::Blob { hash, .. } => {
                [r#","sealed":{"blob":""#, &hash.to_hex(), r#"","key":""#, month, r#""}"#]
                    .into_iter()
                    .for_each(&mut push);
            }
        }
    }
}

/// Adds bytes as base64url, written in place.
fn push_base64(bytes: &[u8], leaf: &mut Vec<u8>) {
    let from = leaf.len();
    leaf.resize(from.saturating_add(bytes.len().div_ceil(3).saturating_mul(4)), 0);
    let place = leaf.get_mut(from..).unwrap_or_default();
    // INVARIANT: three bytes give at most four characters, so they have room.
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, place).unwrap_or_default();
    leaf.truncate(from.saturating_add(written));
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
