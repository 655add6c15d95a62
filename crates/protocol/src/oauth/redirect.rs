//! Redirect URIs: exact comparison, with the loopback port as the one exception. RFC 6749 section 3.1.2,
//! RFC 8252 section 7.3, RFC 9700 section 2.1.
//!
//! SPEC: `http://localhost` is NOT RECOMMENDED by RFC 8252 section 8.3, for what the name resolves to is the machine's to
//! say, and it may say another network interface. The Model Context Protocol's authorization specification allows it, and
//! many programs register nothing else. It may be registered, and no other port than the registered one is ever meant.

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
    /// Plain http goes to the person's own machine alone; RFC 8252 sections 7.3 and 8.3.
    #[error("redirect URI is plain http to another host than 127.0.0.1, [::1] or localhost")]
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
                if scheme == "http" && loopback_host(authority).is_none() && !names_localhost(authority) {
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

    /// Whether it leads to the person's machine by its name, not by an address of it. RFC 8252 section 8.3.
    #[must_use]
    pub fn is_localhost_by_name(&self) -> bool {
        loopback_parts(&self.0).is_some_and(|(authority, _)| names_localhost(authority))
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

/// Authority and remainder of a plain-http URI, whose host is the person's machine if it was registered.
fn loopback_parts(uri: &str) -> Option<(&str, &str)> {
    let after = uri.strip_prefix("http://")?;
    let authority = authority(uri.strip_prefix("http:")?)?;
    Some((authority, after.strip_prefix(authority)?))
}

/// The loopback address that an authority has for its host.
fn loopback_host(authority: &str) -> Option<&'static str> {
    ["127.0.0.1", "[::1]"].into_iter().find(|host| has_host(authority, host))
}

/// Whether the host is `localhost`, spelled so.
fn names_localhost(authority: &str) -> bool {
    has_host(authority, "localhost")
}

/// Whether an authority is this host, with a port from 1 to 65535 without leading zero or with none.
fn has_host(authority: &str, host: &str) -> bool {
    match authority.strip_prefix(host).map(|rest| (rest, rest.strip_prefix(':'))) {
        Some(("", _)) => true,
        Some((_, Some(port))) => {
            let plain = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
            plain && port.parse::<u16>().is_ok()
        }
        Some((_, None)) | None => false,
    }
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
    fn localhost_is_the_registered_port_and_no_other() {
        for registered in
            ["http://localhost:3334/callback", "http://localhost/callback", "http://localhost:1"]
        {
            let uri: RedirectUri = registered.parse().unwrap();
            assert!(uri.is_localhost_by_name() && uri.matches(registered), "{registered}");
            for bad in [
                "http://localhost:3335/callback",
                "http://localhost:3334/callback/",
                "http://localhost:3334/callback?x=1",
                "http://localhost:80/callback",
                "http://LOCALHOST/callback",
                "http://localhost./callback",
                "http://127.0.0.1/callback",
                "http://127.0.0.1:3334/callback",
                "http://[::1]:3334/callback",
                "https://localhost:3334/callback",
                "http://localhost.evil.example/callback",
                "http://localhost:3334@evil.example/callback",
            ] {
                assert!(!uri.matches(bad), "{registered}: {bad}");
            }
        }
        for other in
            ["http://127.0.0.1/localhost", "http://[::1]:7/", "https://localhost/cb", "localhost.app:/cb"]
        {
            assert!(!other.parse::<RedirectUri>().unwrap().is_localhost_by_name(), "{other}");
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
            ("http://localhost:3334/callback", Some("http://localhost:3334")),
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
            ("http://localhost.evil.example/", RedirectUriError::PlainHttp),
            ("http://LOCALHOST/cb", RedirectUriError::PlainHttp),
            ("http://localhost./cb", RedirectUriError::PlainHttp),
            ("http://localhosts/cb", RedirectUriError::PlainHttp),
            ("http://localhost:0/cb", RedirectUriError::PlainHttp),
            ("http://localhost:080/cb", RedirectUriError::PlainHttp),
            ("http://localhost:/cb", RedirectUriError::PlainHttp),
            ("http://localhost:3334@evil.example/cb", RedirectUriError::UserInformation),
            ("http://u@localhost/cb", RedirectUriError::UserInformation),
            ("http://localhost:1\\@evil.example/cb", RedirectUriError::NotAbsolute),
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

        #[test]
        fn by_name_nothing_matches_but_the_registered(port in 1_u16.., other in 1_u16.., tail in "[ -~]{0,12}") {
            let registered = format!("http://localhost:{port}/callback");
            let uri: RedirectUri = registered.parse().unwrap();
            let asked = format!("http://localhost:{other}/callback{tail}");
            prop_assert_eq!(uri.matches(&asked), asked == registered);
            prop_assert!(uri.matches(&registered));
        }

        #[test]
        fn plain_http_is_registered_for_three_hosts_alone(authority in "(localhost|127.0.0.1|[a-z@.:0-9]{0,6}){1,3}") {
            if let Ok(uri) = format!("http://{authority}/cb").parse::<RedirectUri>() {
                let origin = uri.origin().unwrap();
                let host = origin.strip_prefix("http://").unwrap().split(':').next().unwrap();
                prop_assert!(["localhost", "127.0.0.1"].contains(&host), "{}", uri);
            }
        }
    }
}
