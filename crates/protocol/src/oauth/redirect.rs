//! Redirect URIs: exact comparison, with the loopback port as the one exception. RFC 6749 section 3.1.2,
//! RFC 8252 section 7.3, RFC 9700 section 2.1.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A redirect URI as a client registered it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectUri(String);

/// Why a URI cannot be registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedirectUriError {
    /// Not an absolute URI of visible ASCII characters.
    #[error("redirect URI is not an absolute URI")]
    NotAbsolute,
    /// RFC 6749 section 3.1.2: no fragment.
    #[error("redirect URI has a fragment")]
    Fragment,
    /// User information before the host serves only to deceive.
    #[error("redirect URI has user information")]
    UserInformation,
    /// Plain http goes to the loopback addresses alone; RFC 8252 section 7.3.
    #[error("redirect URI is plain http to another host than 127.0.0.1 or [::1]")]
    PlainHttp,
    /// `javascript:`, `data:` and their like.
    #[error("redirect URI has a scheme that a browser would run")]
    Scheme,
}

impl FromStr for RedirectUri {
    type Err = RedirectUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').ok_or(RedirectUriError::NotAbsolute)?;
        let first_is_letter = scheme.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let scheme_ok =
            scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
        if !first_is_letter || !scheme_ok || rest.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RedirectUriError::NotAbsolute);
        }
        if text.contains('#') {
            return Err(RedirectUriError::Fragment);
        }
        if text.contains('\\') || text.contains('"') || text.contains('<') || text.contains('>') {
            return Err(RedirectUriError::NotAbsolute);
        }
        match scheme {
            "https" | "http" => {
                let authority = authority(rest).ok_or(RedirectUriError::NotAbsolute)?;
                if authority.contains('@') {
                    return Err(RedirectUriError::UserInformation);
                }
                if scheme == "http" && loopback_host(authority).is_none() {
                    return Err(RedirectUriError::PlainHttp);
                }
            }
            // RFC 8252 section 7.1: an app's own scheme is a reversed domain name, so it has a dot.
            own if own.contains('.') => {}
            _ => return Err(RedirectUriError::Scheme),
        }
        Ok(Self(text.to_owned()))
    }
}

impl RedirectUri {
    /// Whether a request may name `requested`: the same text, or the same but for the port where this one is
    /// `http://127.0.0.1/…` or `http://[::1]/…` without a port.
    #[must_use]
    pub fn matches(&self, requested: &str) -> bool {
        if self.0 == requested {
            return true;
        }
        let Some((host, path)) = loopback_parts(&self.0).filter(|(authority, _)| !has_port(authority)) else {
            return false;
        };
        let Some((asked, asked_path)) = loopback_parts(requested) else { return false };
        loopback_host(asked) == Some(host) && asked_path == path
    }

    /// The web origin of the page that it leads to, as browsers write it (RFC 6454 section 6.2), if it leads to one.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let (scheme, rest) = self.0.split_once(':')?;
        let default_port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let authority = authority(rest)?.to_ascii_lowercase();
        let host = authority.strip_suffix(default_port).unwrap_or(&authority);
        Some(format!("{scheme}://{host}"))
    }

    /// The URI as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows `//` up to the path or query.
fn authority(rest: &str) -> Option<&str> {
    let after = rest.strip_prefix("//")?;
    let authority = after.split(['/', '?']).next().unwrap_or(after);
    (!authority.is_empty()).then_some(authority)
}

/// Authority and remainder of a plain-http URI.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let after = uri.strip_prefix("http://")?;
    let authority = authority(uri.strip_prefix("http:")?)?;
    Some((authority, after.strip_prefix(authority)?))
}

/// The loopback host of an authority, whose port, if any, is a number from 1 to 65535 without leading zero.
fn loopback_host(authority: &str) -> Option<&str> {
    for host in ["127.0.0.1", "[::1]"] {
        match authority.strip_prefix(host) {
            Some("") => return Some(host),
            Some(rest) => {
                let port = rest.strip_prefix(':')?;
                let plain = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
                return (plain && port.parse::<u16>().is_ok()).then_some(host);
            }
            None => {}
        }
    }
    None
}

fn has_port(authority: &str) -> bool {
    loopback_host(authority).is_some_and(|host| host.len() != authority.len())
}

impl TryFrom<String> for RedirectUri {
    type Error = RedirectUriError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_loopback_port_is_free_and_nothing_else() {
        let uri: RedirectUri = "http://127.0.0.1/callback".parse().unwrap();
        for good in ["http://127.0.0.1/callback", "http://127.0.0.1:49152/callback"] {
            assert!(uri.matches(good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:49152/callback/",
            "http://127.0.0.1:49152/callback?x=1",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:080/callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:80@evil.example/callback",
            "http://[::1]/callback",
            "http://localhost/callback",
            "https://127.0.0.1/callback",
            "http://127.0.0.1.evil.example/callback",
        ] {
            assert!(!uri.matches(bad), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (uri, origin) in [
            ("https://App.example/callback?x=1", Some("https://app.example")),
            ("https://app.example:443/callback", Some("https://app.example")),
            ("https://app.example:8443", Some("https://app.example:8443")),
            ("http://127.0.0.1:9999/callback", Some("http://127.0.0.1:9999")),
            ("http://[::1]:80/callback", Some("http://[::1]")),
            ("com.example.app:/callback", None),
        ] {
            assert_eq!(uri.parse::<RedirectUri>().unwrap().origin().as_deref(), origin, "{uri}");
        }
    }

    #[test]
    fn o01_other_hosts_match_to_the_letter() {
        let uri: RedirectUri = "https://app.example/cb".parse().unwrap();
        assert!(uri.matches("https://app.example/cb"));
        for bad in [
            "https://app.example/cb/../evil",
            "https://app.example/cb%2e%2e",
            "https://app.example/cb?x",
            "https://app.example/cb#f",
            "https://app.example:443/cb",
            "https://app.example@evil.example/cb",
            "https://app.example\\@evil.example/cb",
            "https://app.example/CB",
            "https://app.example/cb/",
            "",
        ] {
            assert!(!uri.matches(bad), "{bad}");
        }
    }

    #[test]
    fn o02_what_would_run_or_deceive_cannot_be_registered() {
        for (text, error) in [
            ("javascript:alert(1)", RedirectUriError::Scheme),
            ("data:text/html,x", RedirectUriError::Scheme),
            ("http://app.example/cb", RedirectUriError::PlainHttp),
            ("https://a@b/cb", RedirectUriError::UserInformation),
            ("https://a/cb#x", RedirectUriError::Fragment),
            ("/cb", RedirectUriError::NotAbsolute),
            ("https:///cb", RedirectUriError::NotAbsolute),
            ("https://a/c b", RedirectUriError::NotAbsolute),
        ] {
            assert_eq!(text.parse::<RedirectUri>(), Err(error), "{text}");
        }
        assert!("org.example.app:/callback".parse::<RedirectUri>().is_ok());
    }

    proptest! {
        #[test]
        fn what_matches_differs_from_the_registered_in_the_port_alone(port in 1_u16.., tail in "[ -~]{0,12}") {
            let uri: RedirectUri = "http://127.0.0.1/callback".parse().unwrap();
            let matching = format!("http://127.0.0.1:{port}/callback");
            prop_assert!(uri.matches(&matching));
            prop_assert_eq!(uri.matches(&format!("{matching}{tail}")), tail.is_empty());
        }
    }
}
