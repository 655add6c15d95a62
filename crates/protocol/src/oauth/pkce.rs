//! Proof key for code exchange, method S256 alone. RFC 7636.

use std::str::FromStr;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// BASE64URL(SHA256(verifier)): what the client commits to when it asks for a code.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CodeChallenge(String);

/// The text is no S256 challenge.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("code_challenge is not a base64url SHA-256 digest")]
pub struct CodeChallengeError;

impl FromStr for CodeChallenge {
    type Err = CodeChallengeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if bytes.len() == SHA256.output_len() => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err(CodeChallengeError),
        }
    }
}

/// Why a verifier does not open a code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifierError {
    /// RFC 7636 section 4.1: 43 to 128 unreserved characters.
    #[error("code_verifier is not 43 to 128 unreserved characters")]
    Malformed,
    /// RFC 7636 section 4.6.
    #[error("code_verifier does not match the challenge")]
    Mismatch,
}

impl CodeChallenge {
    /// The challenge that belongs to a verifier; what a client computes.
    #[must_use]
    pub fn of(verifier: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())))
    }

    /// The challenge as it stands in a request.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is what the challenge was made from.
    ///
    /// # Errors
    /// [`VerifierError`].
    pub fn check(&self, verifier: &str) -> Result<(), VerifierError> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
            return Err(VerifierError::Malformed);
        }
        constant_time::verify_slices_are_equal(Self::of(verifier).0.as_bytes(), self.0.as_bytes())
            .map_err(|_| VerifierError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_of_rfc_7636_appendix_b_fits() {
        let challenge: CodeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".parse().unwrap();
        assert_eq!(challenge.check("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), Ok(()));
    }

    #[test]
    fn o04_another_verifier_or_the_challenge_itself_does_not_fit() {
        let challenge = CodeChallenge::of(&"a".repeat(43));
        assert_eq!(challenge.check(&"b".repeat(43)), Err(VerifierError::Mismatch));
        assert_eq!(challenge.check(challenge.as_str()), Err(VerifierError::Mismatch));
        assert_eq!(challenge.check(&"a".repeat(42)), Err(VerifierError::Malformed));
        assert_eq!(challenge.check(&"a".repeat(129)), Err(VerifierError::Malformed));
        assert_eq!("short".parse::<CodeChallenge>(), Err(CodeChallengeError));
    }
}
