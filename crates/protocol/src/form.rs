//! `application/x-www-form-urlencoded`, read strictly. WHATWG URL section 5.1, RFC 6749 section 3.1.
//!
//! A broken escape, text that is not UTF-8, a control character or a parameter that comes twice is an error and
//! never a guess: servers that guess disagree with the next one about what was asked.

use std::fmt::Write as _;

/// What a form may hold at most; beyond that it is refused unread.
const MAX_FIELDS: usize = 64;

/// The fields of a form or query, in their order, each name once unless read by [`Form::parse_repeating`].
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Form(Vec<(String, String)>);

/// Why a form was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FormError {
    /// More than 64 fields.
    #[error("more than {MAX_FIELDS} parameters")]
    TooMany,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("a parameter is not percent-encoded UTF-8")]
    Encoding,
    /// A control character in a name or value.
    #[error("a parameter holds a control character")]
    Control,
    /// RFC 6749 section 3.1: parameters must not be included more than once.
    #[error("parameter `{0}` comes more than once")]
    Repeated(String),
}

impl Form {
    /// Reads a form in which every name may come once.
    ///
    /// # Errors
    /// [`FormError`], by the first cause found.
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let form = Self::parse_repeating(text)?;
        let mut names: Vec<&str> = form.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [a, b] = pair
                && a == b
            {
                return Err(FormError::Repeated((*a).chars().take(40).collect()));
            }
        }
        Ok(form)
    }

    /// Reads a form in which names may repeat, as FHIR searches do.
    ///
    /// # Errors
    /// [`FormError`], by the first cause found.
    pub fn parse_repeating(text: &str) -> Result<Self, FormError> {
        let mut fields = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            if fields.len() >= MAX_FIELDS {
                return Err(FormError::TooMany);
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            fields.push((decode(name)?, decode(value)?));
        }
        Ok(Self(fields))
    }

    /// The value of a field that is there and not empty (RFC 6749 section 3.1: empty means omitted).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Adds a field at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// A path with this as its query, if there is anything in it.
    #[must_use]
    pub fn behind(&self, path: &str) -> String {
        let form = self.encode();
        let separator = if form.is_empty() { "" } else { "?" };
        format!("{path}{separator}{form}")
    }

    /// The form as text again, encoded by our own rule.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            percent_encode(name, &mut out);
            out.push('=');
            percent_encode(value, &mut out);
        }
        out
    }
}

impl std::fmt::Debug for Form {
    /// Names only: values are credentials or PHI as often as not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Writes `text` with everything but RFC 3986's unreserved characters escaped.
pub fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // INVARIANT: writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Undoes form encoding: `+` is a space, `%XX` a byte.
fn decode(text: &str) -> Result<String, FormError> {
    // Without a branch for each byte, so that many are looked at together.
    if !text.bytes().fold(false, |any, byte| any | !is_plain(byte)) {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(FormError::Encoding)?;
                let low = bytes.next().and_then(hex).ok_or(FormError::Encoding)?;
                (high << 4) | low
            }
            other => other,
        });
    }
    let decoded = String::from_utf8(out).map_err(|_| FormError::Encoding)?;
    if decoded.chars().any(char::is_control) {
        return Err(FormError::Control);
    }
    Ok(decoded)
}

/// Whether a byte stands for itself wherever it comes: what is in ASCII, printable and no escape.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'+' && byte != b'%'
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_decoded_and_empty_means_omitted() {
        let form = Form::parse("scope=openid+patient%2F*.rs&state=&code=a%3Db").unwrap();
        assert_eq!(form.get("scope"), Some("openid patient/*.rs"));
        assert_eq!(form.get("state"), None);
        assert_eq!(form.get("code"), Some("a=b"));
    }

    #[test]
    fn o29_a_repeated_or_broken_or_excessive_parameter_is_refused() {
        assert_eq!(Form::parse("a=1&b=2&a=1"), Err(FormError::Repeated("a".into())));
        assert_eq!(Form::parse("a=1&%61=2"), Err(FormError::Repeated("a".into())));
        assert_eq!(Form::parse("a=%zz"), Err(FormError::Encoding));
        assert_eq!(Form::parse("a=%4"), Err(FormError::Encoding));
        assert_eq!(Form::parse("a=%ff"), Err(FormError::Encoding));
        assert_eq!(Form::parse("a=%00"), Err(FormError::Control));
        assert_eq!(Form::parse("a=\u{1}b"), Err(FormError::Control));
        assert_eq!(Form::parse("a=b\u{7f}"), Err(FormError::Control));
        assert_eq!(Form::parse(&"a&".repeat(65)), Err(FormError::TooMany));
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(pairs in proptest::collection::vec(("[a-z]{1,8}", "[^\\p{C}]{0,20}"), 0..20)) {
            let mut form = Form::default();
            for (name, value) in &pairs {
                form.push(name, value);
            }
            prop_assert_eq!(Form::parse_repeating(&form.encode()), Ok(form));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Form::parse(&text);
        }
    }
}
