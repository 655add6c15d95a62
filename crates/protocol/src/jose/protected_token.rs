//! Access tokens that are signed, or signed and encrypted, as a resource server has it. RFC 9068 section 4.

use chartgate_values::Timestamp;

use super::access_token::{AccessTokenVerifier, Presentation};
use super::claims::AccessTokenClaims;
use super::jwe::{self, ContentEncryption, DecryptionKeySet, Encrypted};
use super::key_set::KeySet;
use super::rejection::Rejection;

/// What the tokens for one reader have to be. There is no "either": whoever may leave the encryption
/// away needs no key to do so.
#[derive(Clone, Debug, Eq, PartialEq, Default)]
pub enum Protection {
    /// Signed alone.
    #[default]
    Signed,
    /// Signed, then encrypted in one of these ways.
    SignedAndEncrypted(Vec<ContentEncryption>),
}

/// Verifies access tokens in the form that the resource server wants, and in no other.
#[derive(Clone, Debug)]
pub struct ProtectedTokenVerifier {
    /// What the signed token has to be.
    pub verifier: AccessTokenVerifier,
    /// Whether it is encrypted.
    pub protection: Protection,
}

/// The keys by which tokens are read.
#[derive(Clone, Copy, Debug)]
pub struct ReaderKeys<'a> {
    /// The issuer's or client's, to verify with.
    pub verifying: &'a KeySet,
    /// Our own, to decrypt with.
    pub decrypting: &'a DecryptionKeySet,
}

impl ProtectedTokenVerifier {
    /// Decrypts a token where it has to be encrypted, verifies it, and gives its claims and the `kid` of the key
    /// that signed them.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify_signed(
        &self,
        token: &str,
        keys: ReaderKeys<'_>,
        presentation: Presentation<'_>,
        now: Timestamp,
    ) -> Result<(AccessTokenClaims, String), Rejection> {
        self.protection.open(token, keys.decrypting, |signed| {
            self.verifier.verify_signed(signed, keys.verifying, presentation, now)
        })
    }
}

impl Protection {
    /// The name of the key that an encrypted token is encrypted to, as the token says; `None` where nothing has to be
    /// encrypted.
    #[must_use]
    pub fn reader_of(&self, token: &str) -> Option<String> {
        match self {
            Self::Signed => None,
            Self::SignedAndEncrypted(allowed) => {
                let token = Encrypted::parse(token, allowed, jwe::MAX_TOKEN_BYTES).ok()?;
                token.header().kid.clone()
            }
        }
    }

    /// Gives what is signed within a token to `verify`, if the token has the form that is wanted.
    pub(crate) fn open<T>(
        &self,
        token: &str,
        decrypting: &DecryptionKeySet,
        verify: impl FnOnce(&str) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        match (self, Form::of(token)) {
            (Self::Signed, Form::Encrypted) => Err(Rejection::Encrypted),
            (Self::Signed, Form::Signed | Form::Neither) => verify(token),
            (Self::SignedAndEncrypted(_), Form::Signed) => Err(Rejection::NotEncrypted),
            (Self::SignedAndEncrypted(allowed), Form::Encrypted | Form::Neither) => {
                let decrypted =
                    Encrypted::parse(token, allowed, jwe::MAX_TOKEN_BYTES)?.decrypt_with(decrypting)?;
                verify(decrypted.signed_token()?)
            }
        }
    }
}

/// What a token looks like from outside: RFC 7516 section 9.
enum Form {
    Signed,
    Encrypted,
    Neither,
}

impl Form {
    fn of(token: &str) -> Self {
        match token.split('.').take(6).count() {
            3 => Self::Signed,
            5 => Self::Encrypted,
            _ => Self::Neither,
        }
    }
}
