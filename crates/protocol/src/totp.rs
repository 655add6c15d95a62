//! Codes of authenticator applications. RFC 6238 (TOTP) over RFC 4226 (HOTP), as every such application has them: HMAC-SHA-1,
//! six digits, steps of thirty seconds.
//!
//! What a code is good for ends with its step, and a step is good for one code: whoever accepts one remembers its
//! [`Step`] and takes none that is not later (RFC 6238 section 5.2).

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use chartgate_values::{Entropy, Secret, Timestamp};

/// How many bytes a secret has: as many as SHA-1's output, RFC 4226 section 4.
pub const SECRET_BYTES: usize = 20;
/// RFC 6238 section 4.1.
const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// Clocks of phones are off, and people type slowly: one step before and one after ours. RFC 6238 section 5.2.
const DRIFT: [i64; 3] = [0, -1, 1];

/// What an authenticator application and we both know.
pub struct TotpSecret(Secret<[u8; SECRET_BYTES]>);

/// Six digits that somebody typed.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Code(u32);

/// A step of time, counted from the epoch.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Step(i64);

/// It is no code: something else than six ASCII digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a code has exactly six digits")]
pub struct NotACode;

/// It is no secret: too short or too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a secret has {SECRET_BYTES} bytes")]
pub struct NotASecret;

impl std::str::FromStr for Code {
    type Err = NotACode;

    /// Exactly what applications show. Spaces and other digits would be further spellings of one code (ATTACKS A04).
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let is_plain = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_plain {
            return Err(NotACode);
        }
        text.parse().map(Self).map_err(|_| NotACode)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<code>")
    }
}

impl Step {
    /// The step that a time is in.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(now.as_unix().div_euclid(STEP_SECONDS))
    }

    /// As it is stored.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl TotpSecret {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(Secret::new(entropy.bytes::<SECRET_BYTES>()))
    }

    /// One that was kept.
    ///
    /// # Errors
    /// [`NotASecret`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotASecret> {
        bytes.try_into().map(|bytes| Self(Secret::new(bytes))).map_err(|_| NotASecret)
    }

    /// Its bytes, to be sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        self.0.expose()
    }

    /// As people type it where no camera helps: base32 without padding (RFC 4648 section 6).
    #[must_use]
    pub fn base32(&self) -> Secret<String> {
        Secret::new(base32(self.0.expose()))
    }

    /// What the picture says that applications scan: `otpauth://totp/ISSUER:ACCOUNT?…`.
    #[must_use]
    pub fn key_uri(&self, issuer: &str, account: &str) -> Secret<String> {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        let secret = base32(self.0.expose());
        Secret::new(format!("otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}"))
    }

    /// The step whose code this is, of ours and its neighbours. All are computed, whichever it is.
    #[must_use]
    pub fn matching(&self, code: Code, now: Timestamp) -> Option<Step> {
        let Step(current) = Step::at(now);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.expose());
        DRIFT.into_iter().fold(None, |found, drift| {
            let step = current.saturating_add(drift);
            found.or((code_of(&key, step) == code.0).then_some(Step(step)))
        })
    }

    /// The code that an application shows at a time.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Secret<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.expose());
        Secret::new(format!("{:06}", code_of(&key, Step::at(now).0)))
    }
}

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret of an authenticator application>")
    }
}

/// RFC 4226 section 5.3.
fn code_of(key: &hmac::Key, step: i64) -> u32 {
    let tag = hmac::sign(key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let word = tag.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let letter = |value: u16| BASE32.get(usize::from(value & 31)).copied().map_or('A', char::from);
    let (mut text, mut held, mut bits) = (String::new(), 0_u16, 0_u32);
    for byte in bytes {
        // At most four bits are held over, so that sixteen suffice.
        held = (held << 8) | u16::from(*byte);
        bits = bits.saturating_add(8);
        while bits >= 5 {
            bits = bits.saturating_sub(5);
            text.push(letter(held >> bits));
        }
    }
    if bits > 0 {
        text.push(letter(held << 5_u32.saturating_sub(bits)));
    }
    text
}

/// RFC 3986: all but unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
