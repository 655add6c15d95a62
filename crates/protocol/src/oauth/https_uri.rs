//! Addresses of a client that we call: its keys, its logout and notification endpoints. RFC 7591 section 2.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An `https` address as a client registered it: visible ASCII, a host, no user information, no fragment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpsUri(String);

/// The text is no such address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be https://HOST and a path, without user information or fragment")]
pub struct NotAnHttpsUri;

impl FromStr for HttpsUri {
    type Err = NotAnHttpsUri;

    fn from_str(text: &str) -> Result<Self, NotAnHttpsUri> {
        let rest = text.strip_prefix("https://").ok_or(NotAnHttpsUri)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"#\\\"<>".contains(&b));
        if authority.is_empty() || authority.contains('@') || !plain || text.len() > MAX_BYTES {
            return Err(NotAnHttpsUri);
        }
        Ok(Self(text.to_owned()))
    }
}

impl HttpsUri {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HttpsUri {
    type Error = NotAnHttpsUri;

    fn try_from(text: String) -> Result<Self, NotAnHttpsUri> {
        text.parse()
    }
}

impl From<HttpsUri> for String {
    fn from(uri: HttpsUri) -> Self {
        uri.0
    }
}

impl fmt::Display for HttpsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longer than any real one.
const MAX_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_addresses_are_taken() {
        for good in
            ["https://app.example.org/keys", "https://app.example.org:8443/keys?a=b", "https://[2606::1]/"]
        {
            assert!(good.parse::<HttpsUri>().is_ok(), "{good}");
        }
        for bad in [
            "http://app.example.org/keys",
            "https://",
            "https:///keys",
            "https://user@app.example.org/",
            "https://app.example.org/#keys",
            "https://app.example.org/a b",
            "https://app.example.org\\@evil.example/",
            "javascript:alert(1)",
            "",
        ] {
            assert!(bad.parse::<HttpsUri>().is_err(), "{bad}");
        }
    }
}
