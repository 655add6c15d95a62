//! SHA-256 digests by which keys and certificates are named. RFC 7638, RFC 8705 section 3.1, RFC 9449 section 6.1.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};

use super::jwk::Jwk;
use crate::base64url;

/// A SHA-256 digest in base64url, in its one form.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint(String);

/// The text is no SHA-256 digest in base64url.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a base64url SHA-256 digest")]
pub struct NotAThumbprint;

impl Thumbprint {
    /// The thumbprint of a key: RFC 7638 section 3.
    #[must_use]
    pub fn of_key(key: &Jwk) -> Self {
        Self(key.thumbprint())
    }

    /// The digest of bytes, such as those of a certificate.
    #[must_use]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(base64url::encode(digest(&SHA256, bytes).as_ref()))
    }

    /// The text, as `jkt` and `x5t#S256` have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Thumbprint {
    type Err = NotAThumbprint;

    fn from_str(text: &str) -> Result<Self, NotAThumbprint> {
        match base64url::decode(text) {
            Ok(bytes) if bytes.len() == SHA256_OUTPUT_LEN => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err(NotAThumbprint),
        }
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = NotAThumbprint;

    fn try_from(text: String) -> Result<Self, NotAThumbprint> {
        text.parse()
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_has_one_form() {
        let text = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
        assert_eq!(text.parse::<Thumbprint>().unwrap().as_str(), text);
        for text in ["", "0ZcO", &format!("{text}="), &text.replace('-', "+"), &text.replace("A4I", "A4J")] {
            assert_eq!(text.parse::<Thumbprint>(), Err(NotAThumbprint), "{text}");
        }
    }
}
