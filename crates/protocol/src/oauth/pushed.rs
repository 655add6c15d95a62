//! Pushed authorization requests: the answer, and the name by which a browser brings one. RFC 9126 sections 2.2 and 4.

use std::str::FromStr;

use chartgate_values::Secret;
use serde::Serialize;

/// What the client is told.
#[derive(Serialize)]
pub struct PushedResponse {
    /// What it sends its person's browser with.
    pub request_uri: String,
    /// Seconds until that ends.
    pub expires_in: u64,
}

/// The name of a pushed request.
#[derive(Debug)]
pub struct PushedUri(Secret<String>);

/// The URI names no pushed request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the name of a pushed request")]
pub struct NotPushed;

impl PushedUri {
    /// The name that has this secret in it.
    #[must_use]
    pub fn of(secret: Secret<String>) -> Self {
        Self(secret)
    }

    /// What only the client and its person's browser know.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.expose()
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn to_uri(&self) -> String {
        format!("{PREFIX}{}", self.0.expose())
    }
}

impl FromStr for PushedUri {
    type Err = NotPushed;

    fn from_str(text: &str) -> Result<Self, NotPushed> {
        let secret = text.strip_prefix(PREFIX).ok_or(NotPushed)?;
        let plain = secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if plain && (1..=128).contains(&secret.len()) {
            Ok(Self(Secret::new(secret.to_owned())))
        } else {
            Err(NotPushed)
        }
    }
}

/// RFC 9126 section 2.2.
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o22_only_a_name_of_ours_is_a_pushed_request() {
        let uri = PushedUri::of(Secret::new("abc-_9".to_owned())).to_uri();
        assert_eq!(uri.parse::<PushedUri>().unwrap().secret(), "abc-_9");
        let long = format!("{PREFIX}{}", "a".repeat(129));
        for bad in ["https://evil.example/request", PREFIX, &long, "URN:ietf:params:oauth:request_uri:abc"] {
            assert_eq!(bad.parse::<PushedUri>().unwrap_err(), NotPushed, "{bad}");
        }
        assert!(format!("{PREFIX}a/../b").parse::<PushedUri>().is_err());
    }
}
