//! Signed and encrypted tokens and their keys: JWS, JWE, JWK, JWT on aws-lc-rs. RFC 7515, 7516, 7517, 7518, 7519,
//! 7638, 8037, 8725.
//!
//! - [`Algorithm`], [`KeyManagement`], [`ContentEncryption`]: the allow-lists. What a token says of itself
//!   chooses among these, or it is refused.
//! - [`Jwk`], [`VerifyingKey`], [`KeySet`], [`SigningKey`], [`EncryptionKey`], [`DecryptionKey`],
//!   [`DecryptionKeySet`]: keys, parsed once and used often.
//! - [`jws`]: the compact serialization: [`jws::Unverified`] shows its header, [`jws::Verified`] its payload.
//! - [`jwe`]: the same for what is encrypted: [`jwe::Encrypted`] shows its header, [`jwe::Decrypted`] its
//!   content, and within it a signed token.
//! - [`claims`]: a struct for each kind of token.
//! - [`AccessTokenVerifier`], [`ClientAssertionVerifier`], [`IdTokenVerifier`]: from text to claims, or a
//!   [`Rejection`] that names the first cause. [`ProtectedTokenVerifier`] decrypts first, where that is wanted.
//! - [`Claimed`]: what a token says of itself, for choosing whose keys to verify it with.
//! - [`foreign_token`]: access tokens of issuers that are not us.
//! - [`bearer_assertion`]: what an issuer says of a person, in place of their own approval.
//! - [`provider_token`]: by what another provider says who signed in there; [`logout_token`]: and who signed out.
//! - [`KeyProof`]: a token that brings its own key, and [`Thumbprint`], the name of that key.
//! - [`inspect`]: verdicts on many tokens, a JSON object a line.

mod access_token;
mod algorithm;
pub mod bearer_assertion;
mod claimed;
pub mod claims;
mod client_assertion;
mod der;
pub mod foreign_token;
mod id_token;
pub mod inspect;
pub mod jwe;
mod jwk;
pub mod jws;
mod key_proof;
mod key_set;
pub mod logout_token;
mod private_jwk;
mod protected_token;
pub mod provider_token;
mod registered_claims;
mod rejection;
mod signing_key;
mod thumbprint;
mod verifying_key;

pub use access_token::{AccessTokenVerifier, Presentation, TokenType};
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claimed::Claimed;
pub use client_assertion::ClientAssertionVerifier;
pub use id_token::{ExpiryRule, IdTokenVerifier};
pub use jwe::{ContentEncryption, DecryptionKey, DecryptionKeySet, EncryptionKey, JweError, KeyManagement};
pub use jwk::{Curve, Jwk, JwkError, PublicKey};
pub use key_proof::KeyProof;
pub(crate) use key_set::keys_of;
pub use key_set::{KeySet, KeySetError, MAX_KEYS, MAX_KID_BYTES, PublishedKeys, Skipped, SkippedBecause};
pub use protected_token::{ProtectedTokenVerifier, Protection, ReaderKeys};
pub use registered_claims::ExpectedAudience;
pub(crate) use registered_claims::check_issuer;
pub use rejection::Rejection;
pub use signing_key::{ExportKeyError, GenerateKeyError, ImportKeyError, RsaModulus, SignError, SigningKey};
pub use thumbprint::{NotAThumbprint, Thumbprint};
pub use verifying_key::{UnusableKey, VerifyingKey};
