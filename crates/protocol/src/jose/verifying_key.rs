//! A public key that verifies signatures, parsed once. RFC 7518 section 3, RFC 8725 section 3.5.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RsaParameters,
};

use super::algorithm::Algorithm;
use super::jwk::{Jwk, PublicKey};
use super::rejection::Rejection;

/// A key that verifies, for exactly the algorithms that its type, its curve and its own `alg` allow.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    jwk: Jwk,
    parsed: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Why a key is of no use for what it is taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnusableKey {
    /// RFC 7517 section 4.2: `use` names another purpose.
    #[error("`use` names another purpose")]
    Use,
    /// RFC 7517 section 4.3: `key_ops` does not have what it is taken for, such as `verify`.
    #[error("`key_ops` names other operations")]
    Operations,
    /// RFC 7517 section 4.4: `alg` is not offered, or does not fit the type and curve.
    #[error("`alg` is not offered for this type of key")]
    Algorithm,
    /// RFC 7518 section 3.3: 2048 bits or more; and no more than 8192, beyond which verifying is an attack.
    #[error("RSA modulus is not of 2048 to 8192 bits")]
    RsaModulus,
    /// RFC 8017 section 3.1: odd and at least 3; and no more than four bytes, beyond which verifying is slow.
    #[error("RSA exponent is even, below 3 or above four bytes")]
    RsaExponent,
    /// RFC 8725 section 3.4: the numbers are no key, such as a point that is not on the curve.
    #[error("not a valid key")]
    Invalid,
}

impl VerifyingKey {
    /// The key as it is published.
    #[must_use]
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The algorithms that it verifies.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.parsed.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Verifies one signature.
    ///
    /// # Errors
    /// [`Rejection::KeyMismatch`] if the key is not for this algorithm, [`Rejection::BadSignature`] if the
    /// signature is not the key's over this message.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Rejection> {
        let (_, key) = self.parsed.iter().find(|(own, _)| *own == algorithm).ok_or(Rejection::KeyMismatch)?;
        key.verify_sig(message, signature).map_err(|_| Rejection::BadSignature)
    }
}

impl TryFrom<Jwk> for VerifyingKey {
    type Error = UnusableKey;

    fn try_from(jwk: Jwk) -> Result<Self, UnusableKey> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err(UnusableKey::Use);
        }
        if jwk.operations.as_ref().is_some_and(|operations| !operations.iter().any(|own| own == "verify")) {
            return Err(UnusableKey::Operations);
        }
        let fitting = Algorithm::of(&jwk.key).iter().copied();
        let algorithms: Vec<_> = match jwk.algorithm.as_deref() {
            Some(name) => fitting.filter(|own| own.name() == name).collect(),
            None => fitting.collect(),
        };
        if algorithms.is_empty() {
            return Err(UnusableKey::Algorithm);
        }
        check_rsa(&jwk.key)?;
        let parsed = algorithms
            .into_iter()
            .map(|algorithm| Ok((algorithm, parse(algorithm, &jwk.key)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { jwk, parsed })
    }
}

pub(super) fn check_rsa(key: &PublicKey) -> Result<(), UnusableKey> {
    let PublicKey::Rsa { modulus, exponent } = key else { return Ok(()) };
    // INVARIANT: both begin with a byte that is not zero, see `required_integer`.
    let whole_bytes = match modulus.first() {
        Some(0x80..) => modulus.len(),
        _ => modulus.len().saturating_sub(1),
    };
    if whole_bytes < 256 || modulus.len() > 1024 {
        return Err(UnusableKey::RsaModulus);
    }
    match exponent.as_slice() {
        [] | [1] | [_, _, _, _, _, ..] => Err(UnusableKey::RsaExponent),
        [.., last] if last % 2 == 0 => Err(UnusableKey::RsaExponent),
        _ => Ok(()),
    }
}

fn parse(algorithm: Algorithm, key: &PublicKey) -> Result<ParsedPublicKey, UnusableKey> {
    match (algorithm, key) {
        (Algorithm::RS256, key) => parse_rsa(&RSA_PKCS1_2048_8192_SHA256, key),
        (Algorithm::RS384, key) => parse_rsa(&RSA_PKCS1_2048_8192_SHA384, key),
        (Algorithm::PS256, key) => parse_rsa(&RSA_PSS_2048_8192_SHA256, key),
        (Algorithm::PS384, key) => parse_rsa(&RSA_PSS_2048_8192_SHA384, key),
        (Algorithm::ES256, PublicKey::Ec { x, y, .. }) => {
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(x, y)).map_err(|_| UnusableKey::Invalid)
        }
        (Algorithm::ES384, PublicKey::Ec { x, y, .. }) => {
            ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point(x, y)).map_err(|_| UnusableKey::Invalid)
        }
        (Algorithm::EdDSA, PublicKey::Ed25519 { x }) => {
            ParsedPublicKey::new(&ED25519, x).map_err(|_| UnusableKey::Invalid)
        }
        (Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA, _) => Err(UnusableKey::Algorithm),
    }
}

fn parse_rsa(parameters: &'static RsaParameters, key: &PublicKey) -> Result<ParsedPublicKey, UnusableKey> {
    let PublicKey::Rsa { modulus, exponent } = key else { return Err(UnusableKey::Algorithm) };
    PublicKeyComponents { n: modulus, e: exponent }
        .to_parsed_public_key(parameters)
        .map_err(|_| UnusableKey::Invalid)
}

/// SEC 1 section 2.3.3, uncompressed.
pub(super) fn point(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}
