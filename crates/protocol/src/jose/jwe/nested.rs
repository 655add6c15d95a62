//! A signed token within an encrypted one. RFC 7519 sections 5.2 and 11.2, RFC 9068 section 4.

use chartgate_values::Entropy;
use serde::Serialize;

use super::error::JweError;
use super::{Decrypted, EncryptError, Message, Recipient, encrypt};
use crate::jose::jws::{self, MediaType};
use crate::jose::signing_key::{SignError, SigningKey};

/// Why no token was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NestError {
    /// It was not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// It was signed, and not encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
}

/// Signs claims as a token of this `typ` and encrypts that token, in this order: what is signed inside cannot
/// be put into another's envelope unseen, and the signature is nobody's to see.
///
/// # Errors
/// [`NestError`] by the step that failed.
pub fn sign_and_encrypt(
    key: &SigningKey,
    typ: &str,
    claims: &impl Serialize,
    to: Recipient<'_>,
    entropy: &mut dyn Entropy,
) -> Result<String, NestError> {
    let signed = jws::sign(key, typ, claims)?;
    if signed.len() > jws::MAX_TOKEN_BYTES {
        return Err(EncryptError::TooLarge.into());
    }
    let message = Message { typ: Some("JWT"), cty: Some("JWT"), plaintext: signed.as_bytes() };
    Ok(encrypt(to, &message, entropy)?)
}

impl Decrypted {
    /// The token that was encrypted. It is one layer deep: what is inside has to be signed, and may not hold
    /// another token in its turn, which [`jws::Unverified`] sees to.
    ///
    /// # Errors
    /// [`JweError::ContentType`] if `cty` does not say that there is one.
    pub fn signed_token(&self) -> Result<&str, JweError> {
        match &self.header().cty {
            MediaType::Named(own) if own == "jwt" => {}
            MediaType::Absent | MediaType::Named(_) | MediaType::Malformed => {
                return Err(JweError::ContentType);
            }
        }
        std::str::from_utf8(self.plaintext()).map_err(|_| JweError::ContentType)
    }
}
