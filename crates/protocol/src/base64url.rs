//! Base64url in its one canonical form: no padding, unused bits zero. RFC 4648 section 5, RFC 7515 section 2.

use base64_simd::URL_SAFE_NO_PAD;

/// The text is not canonical base64url.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not canonical base64url")]
pub struct NotBase64Url;

/// Writes bytes as base64url.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Appends bytes as base64url to `out`.
pub fn encode_onto(bytes: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_append(bytes, out);
}

/// Reads base64url. No two texts give the same bytes.
///
/// # Errors
/// [`NotBase64Url`] for padding, white space, another alphabet, an impossible length, or unused bits that are
/// not zero.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| NotBase64Url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another's decoder of the same strictness agrees on everything that is nearly base64url.
    #[test]
    fn another_decoder_reads_the_same() {
        use base64::Engine as _;
        let other = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let text = proptest::string::string_regex("[A-Za-z0-9_-]{0,90}[A-Za-z0-9_+/= \\n-]{0,3}").unwrap();
        proptest::proptest!(|(text in text)| {
            assert_eq!(decode(&text).ok(), other.decode(&text).ok());
        });
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        assert_eq!(decode("-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        for text in ["-_8=", "+/8", "-_9", "-_8\n", " -_8", "-", "-_-_-", "-_8é"] {
            assert_eq!(decode(text), Err(NotBase64Url), "{text:?}");
        }
    }
}
