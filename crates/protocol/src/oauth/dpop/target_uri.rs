//! The URI that a proof is for, in the one form in which two of them are compared. RFC 9449 section 4.3, RFC 3986
//! sections 6.2.2 and 6.2.3.

use std::fmt::{self, Write as _};
use std::str::FromStr;

/// An http or https URI without query and fragment, normalized by syntax and scheme: two that are equal name the same
/// place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TargetUri(String);

/// The text is no URI that requests are sent to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not an absolute http or https URI without user information")]
pub struct NotATarget;

impl FromStr for TargetUri {
    type Err = NotATarget;

    /// Query and fragment are left away, as RFC 9449 section 4.3 has it.
    fn from_str(text: &str) -> Result<Self, NotATarget> {
        if text.len() > MAX_BYTES || !text.bytes().all(is_uri_character) {
            return Err(NotATarget);
        }
        let text = text.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://").ok_or(NotATarget)?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _ => return Err(NotATarget),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at).ok_or(NotATarget)?,
            None => (rest, "/"),
        };
        let (host, port) = host_and_port(authority)?;
        let mut out = format!("{scheme}://{host}");
        if let Some(port) = port.filter(|port| *port != default_port) {
            // INVARIANT: writing to a String cannot fail.
            let _ = write!(out, ":{port}");
        }
        out.push_str(&without_dot_segments(&normalized_escapes(path)?));
        Ok(Self(out))
    }
}

impl TargetUri {
    /// The URI in its one form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 3986 section 2: reserved, unreserved and the percent sign.
fn is_uri_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

/// RFC 3986 section 3.2, without user information and without escapes in the host: no host of ours has any.
fn host_and_port(authority: &str) -> Result<(String, Option<u16>), NotATarget> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (literal, after) = literal.split_once(']').ok_or(NotATarget)?;
            let address: std::net::Ipv6Addr = literal.parse().map_err(|_| NotATarget)?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(NotATarget)?) };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            if host.is_empty() || !host.bytes().all(plain) {
                return Err(NotATarget);
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    // RFC 3986 section 6.2.3: a colon without a port is no port.
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().map_err(|_| NotATarget)?),
        Some(_) => return Err(NotATarget),
        None => None,
    };
    Ok((host, port))
}

/// RFC 3986 sections 6.2.2.1 and 6.2.2.2: hexadecimal digits in upper case, and no escape where none is needed.
fn normalized_escapes(path: &str) -> Result<String, NotATarget> {
    let mut out = String::with_capacity(path.len());
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut digit = || characters.next().and_then(|c| c.to_digit(16)).ok_or(NotATarget);
        let byte = digit()?.wrapping_mul(16).wrapping_add(digit()?);
        match char::from_u32(byte) {
            Some(plain) if plain.is_ascii_alphanumeric() || "-._~".contains(plain) => out.push(plain),
            _ => {
                // INVARIANT: writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Ok(out)
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Longer than any address of ours.
const MAX_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalized(text: &str) -> Option<String> {
        text.parse::<TargetUri>().ok().map(|uri| uri.to_string())
    }

    #[test]
    fn o13_spellings_of_one_place_are_one_and_of_two_are_two() {
        for (text, expected) in [
            ("https://gate.test/token", "https://gate.test/token"),
            ("HTTPS://Gate.TEST:443/token", "https://gate.test/token"),
            ("https://gate.test:/token?x=1#y", "https://gate.test/token"),
            ("https://gate.test/%74oken", "https://gate.test/token"),
            ("https://gate.test/a/./b/../../token", "https://gate.test/token"),
            ("https://gate.test/a/%2E%2e/token", "https://gate.test/token"),
            ("https://gate.test", "https://gate.test/"),
            ("https://gate.test?x", "https://gate.test/"),
            ("https://gate.test/a/..", "https://gate.test/"),
            ("https://gate.test/../..//x/.", "https://gate.test//x/"),
            ("https://gate.test:8443/t", "https://gate.test:8443/t"),
            ("https://gate.test:80/t", "https://gate.test:80/t"),
            ("http://gate.test:80/t", "http://gate.test/t"),
            ("https://[2001:DB8::0:1]:443/t", "https://[2001:db8::1]/t"),
            ("https://gate.test/T%2fk", "https://gate.test/T%2Fk"),
            ("https://gate.test/token/", "https://gate.test/token/"),
        ] {
            assert_eq!(normalized(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn o13_what_names_no_place_is_refused() {
        for text in [
            "",
            "/token",
            "gate.test/token",
            "ftp://gate.test/",
            "https:/gate.test/",
            "https:///token",
            "https://user@gate.test/token",
            "https://gate.test@evil.test/token",
            "https://gate.test:x/token",
            "https://gate.test:+443/token",
            "https://gate.test:65536/token",
            "https://gate.test\\@evil.test/",
            "https://gate.test/%",
            "https://gate.test/%4",
            "https://gate.test/%zz",
            "https://gate.test/a b",
            "https://gate.test/\u{e9}",
            "https://gäte.test/",
            "https://gate%2etest/",
            "https://[::1/",
            "https://[::1]x/",
            "https://::1/",
        ] {
            assert_eq!(text.parse::<TargetUri>(), Err(NotATarget), "{text}");
        }
        assert_eq!(format!("https://a/{}", "a".repeat(2048)).parse::<TargetUri>(), Err(NotATarget));
    }

    proptest! {
        #[test]
        fn the_one_form_is_its_own_form(text in "https?://[a-zA-Z.]{1,6}(:[0-9]{0,5})?(/|[a-c.]|%2[eEfF]|%4[0-9a-f]|\\?|#){0,30}") {
            if let Some(once) = normalized(&text) {
                prop_assert_eq!(normalized(&once), Some(once));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            let _ = normalized(&text);
            let _ = normalized(&format!("https://a/{text}"));
        }

        #[test]
        fn an_escaped_letter_is_that_letter(path in "[a-zA-Z0-9._~-]{0,12}") {
            let escaped: String = path.bytes().map(|b| format!("%{b:02x}")).collect();
            prop_assert_eq!(normalized(&format!("https://a/{escaped}")), normalized(&format!("https://a/{path}")));
        }
    }
}
