//! The bearer token of a request. RFC 6750 section 2.1: in the header, once, and nowhere else.

use http::{HeaderMap, header};

/// Why there is no token to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BearerError {
    /// No `Authorization` header, or another scheme.
    #[error("no bearer token")]
    Missing,
    /// Two headers, or something that is no token (ATTACKS G05).
    #[error("Authorization is not one well-formed Bearer header")]
    Malformed,
}

/// The one bearer token.
///
/// # Errors
/// [`BearerError`].
pub(crate) fn token(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (all.next(), all.next()) {
        (None, _) => return Err(BearerError::Missing),
        (Some(value), None) => value.to_str().map_err(|_| BearerError::Malformed)?,
        (Some(_), Some(_)) => return Err(BearerError::Malformed),
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return if value.contains(',') { Err(BearerError::Malformed) } else { Err(BearerError::Missing) };
    }
    // Without a way out in the middle, many bytes are looked at together.
    if token.is_empty() || !token.bytes().fold(true, |good, byte| good & is_token(byte)) {
        return Err(BearerError::Malformed);
    }
    Ok(token)
}

/// RFC 6750 section 2.1: b64token.
fn is_token(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    let is_mark = b"-._~+/=".iter().fold(false, |found, mark| found | (byte == *mark));
    is_letter | is_digit | is_mark
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<String, BearerError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        token(&headers).map(str::to_owned)
    }

    #[test]
    fn g05_one_header_with_one_token() {
        assert_eq!(read(&["Bearer a.b-c"]).unwrap(), "a.b-c");
        assert_eq!(read(&["bearer abc"]).unwrap(), "abc");
        assert_eq!(read(&[]), Err(BearerError::Missing));
        assert_eq!(read(&["Basic abc"]), Err(BearerError::Missing));
        for bad in [
            &["Bearer a", "Bearer a"][..],
            &["Bearer a, Bearer b"],
            &["Bearer"],
            &["Bearer a b"],
            &["Bearer  a"],
        ] {
            assert_eq!(read(bad), Err(BearerError::Malformed), "{bad:?}");
        }
        assert_eq!(read(&["Basic x, Bearer y"]), Err(BearerError::Malformed));
    }
}
