//! The one kind of token that brings the key that signed it: a proof that somebody has that key. RFC 9449
//! sections 4.2 and 4.3.

use super::algorithm::Algorithm;
use super::jwk::{Jwk, PublicKey};
use super::jws::{ExpectedType, Header, Unverified, Verified};
use super::rejection::Rejection;
use super::thumbprint::Thumbprint;
use super::verifying_key::VerifyingKey;
use crate::json::Object;

/// A token whose signature verifies by the key in its header. Whose key that is, nobody said.
#[derive(Debug)]
pub struct KeyProof {
    verified: Verified,
    thumbprint: Thumbprint,
}

impl KeyProof {
    /// Verifies a token by the public key that it brings.
    ///
    /// # Errors
    /// [`Rejection`], by the first cause.
    pub fn verify(
        token: &str,
        allowed: &[Algorithm],
        expected: ExpectedType,
        max_bytes: usize,
    ) -> Result<Self, Rejection> {
        let mut brought = None;
        let token = Unverified::parse_with(token, max_bytes, |text| {
            let object = Header::object(text)?;
            let header = Header::read(&object, allowed)?;
            header.check_type(expected)?;
            if OTHER_KEYS.iter().any(|name| object.get(name).is_some()) {
                return Err(Rejection::SeveralKeys);
            }
            brought = Some(own_key(&object, header.algorithm)?);
            Ok(header)
        })?;
        let key = brought.ok_or(Rejection::MissingKey)?;
        Ok(Self { thumbprint: Thumbprint::of_key(key.jwk()), verified: token.verify(&key)? })
    }

    /// What was signed.
    #[must_use]
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The name of the key that signed.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }
}

fn own_key(header: &Object<'_>, algorithm: Algorithm) -> Result<VerifyingKey, Rejection> {
    let object: Object<'_> =
        header.read("jwk").map_err(|_| Rejection::EmbeddedKey)?.ok_or(Rejection::MissingKey)?;
    let is_private = PRIVATE_MEMBERS.iter().any(|name| object.get(name).is_some());
    if is_private || object.len() > MAX_MEMBERS {
        return Err(Rejection::EmbeddedKey);
    }
    let mut jwk = Jwk::read(&object).map_err(|_| Rejection::EmbeddedKey)?;
    if matches!(&jwk.key, PublicKey::Rsa { modulus, .. } if modulus.len() > MAX_MODULUS_BYTES) {
        return Err(Rejection::EmbeddedKey);
    }
    // Parsed for the one algorithm that it is asked for, since this is done again for each token.
    let own = jwk.algorithm.get_or_insert_with(|| algorithm.name().to_owned());
    if own != algorithm.name() {
        return Err(Rejection::KeyMismatch);
    }
    VerifyingKey::try_from(jwk).map_err(|_| Rejection::EmbeddedKey)
}

/// What would name another key, or the same one in another way. Two answers to one question are refused.
const OTHER_KEYS: [&str; 6] = ["kid", "jku", "x5u", "x5c", "x5t", "x5t#S256"];

/// What only a private or a shared key has: RFC 7518 sections 6.2.2, 6.3.2 and 6.4.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// More than a public key has with all that browsers write beside it.
const MAX_MEMBERS: usize = 16;

/// 4096 bits: anybody may send a key, and longer ones only make us work.
const MAX_MODULUS_BYTES: usize = 512;
