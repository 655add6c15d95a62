//! Paths that mean one thing. ATTACKS G01, G11.
//!
//! What is matched is what is forwarded, so a path that two programs could read differently is refused: dot segments,
//! empty segments, semicolons, backslashes, and escapes of any character that has a meaning in a path.

use std::borrow::Cow;

/// The path could be read in more than one way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the path is ambiguous")]
pub(crate) struct AmbiguousPath;

/// Checks that a path has one reading.
///
/// # Errors
/// [`AmbiguousPath`] if it does not start with a slash or has more than one.
pub(crate) fn unambiguous(path: &str) -> Result<&str, AmbiguousPath> {
    let rest = path.strip_prefix('/').ok_or(AmbiguousPath)?;
    if rest.is_empty() {
        return Ok(path);
    }
    for segment in rest.strip_suffix('/').unwrap_or(rest).split('/') {
        if segment.is_empty() || segment == "." || segment == ".." {
            return Err(AmbiguousPath);
        }
        plain_segment(segment)?;
    }
    Ok(path)
}

fn plain_segment(segment: &str) -> Result<(), AmbiguousPath> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if segment.bytes().all(is_plain) {
        return Ok(());
    }
    let mut bytes = segment.bytes();
    let mut text = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or(AmbiguousPath);
                let (high, low) = (digit()?, digit()?);
                let decoded = high.saturating_mul(16).saturating_add(low);
                let plain = u8::try_from(decoded).map_err(|_| AmbiguousPath)?;
                // An escape of what needs none is a second spelling of the same path, and one of what ends a path would end
                // it for whoever decodes before they take it apart.
                let is_second = plain.is_ascii_alphanumeric() || b"/\\.%;-_~?#".contains(&plain);
                if plain.is_ascii_control() || is_second {
                    return Err(AmbiguousPath);
                }
                text.push(plain);
            }
            b';' | b'\\' => return Err(AmbiguousPath),
            b if b.is_ascii_graphic() => text.push(b),
            _ => return Err(AmbiguousPath),
        }
    }
    // What is not UTF-8 is another character to each decoder: `%c0%ae` has been read as a dot.
    std::str::from_utf8(&text).map(drop).map_err(|_| AmbiguousPath)
}

/// What a segment of such a path reads as.
pub(crate) fn decoded(segment: &str) -> Cow<'_, [u8]> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment.as_bytes());
    }
    let mut bytes = segment.bytes();
    let mut text = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let mut digit = || ahead.next().and_then(|digit| char::from(digit).to_digit(16));
        let escaped = match (byte, digit(), digit()) {
            (b'%', Some(high), Some(low)) => u8::try_from(high.saturating_mul(16).saturating_add(low)).ok(),
            _ => None,
        };
        if escaped.is_some() {
            bytes = ahead;
        }
        text.push(escaped.unwrap_or(byte));
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g01_a_second_spelling_is_refused() {
        for bad in [
            "",
            "x",
            "*",
            "//",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/..",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/a%2Fb",
            "/a;x",
            "/a\\b",
            "/a%5cb",
            "/a%25b",
            "/a%3Fb",
            "/a%23b",
            "/%61",
            "/a%00",
            "/a%zz",
            "/a%2",
            "/a/%c0%ae",
            "/a/%ff",
            "/a b",
            "/ä",
            "http://h/a",
        ] {
            assert_eq!(unambiguous(bad), Err(AmbiguousPath), "{bad}");
        }
        for good in ["/", "/fhir", "/fhir/", "/fhir/Patient/a.b-c", "/orders/caf%C3%A9", "/a/$x", "/a..b"] {
            assert_eq!(unambiguous(good), Ok(good));
        }
    }
}
