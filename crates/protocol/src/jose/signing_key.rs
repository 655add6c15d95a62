//! Private keys that sign. RFC 7518 section 6, RFC 8037 section 2; PKCS#8 at rest: RFC 5208.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RsaEncoding,
};
use chartgate_values::Secret;

use super::algorithm::Algorithm;
use super::der;
use super::jwk::{Curve, Jwk, PublicKey};
use super::verifying_key::{UnusableKey, VerifyingKey};

/// A private key for one algorithm, parsed once: parsing an RSA key costs more than signing with it.
#[derive(Debug)]
pub struct SigningKey {
    algorithm: Algorithm,
    pair: KeyPair,
    public: VerifyingKey,
}

/// The library's key pairs print their public half alone.
#[derive(Debug)]
pub(super) enum KeyPair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// How long a new RSA key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Default)]
pub enum RsaModulus {
    /// 2048 bits.
    #[default]
    Bits2048,
    /// 3072 bits.
    Bits3072,
}

/// Why no key was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("key could not be generated")]
pub struct GenerateKeyError;

/// Why a private key was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ImportKeyError {
    /// RFC 5208 section 5, RFC 7518 section 6: the numbers are no private key of this type, or do not belong
    /// together.
    #[error("not a private key for this algorithm")]
    Rejected,
    /// RFC 7517 section 4, RFC 7518 section 6: a member is missing or malformed.
    #[error(transparent)]
    Jwk(#[from] super::jwk::JwkError),
    /// RFC 7517 section 4.4: `alg` names another algorithm.
    #[error("`alg` names another algorithm")]
    Algorithm,
    /// RFC 7518 section 3: nobody would accept what it signs.
    #[error(transparent)]
    Unusable(#[from] UnusableKey),
}

/// Why a private key was not given out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("key could not be exported")]
pub struct ExportKeyError;

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignError {
    /// RFC 7519 section 7.1: the claims are no JSON object.
    #[error("claims do not serialize as a JSON object")]
    Claims,
    /// RFC 7515 section 5.1: the library failed.
    #[error("signature could not be made")]
    Signature,
}

impl SigningKey {
    /// Makes a new key, named by its thumbprint.
    ///
    /// # Errors
    /// [`GenerateKeyError`] if the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, GenerateKeyError> {
        Self::generate_with(algorithm, RsaModulus::default())
    }

    /// Makes a new key with this length of modulus; other keys than RSA have one length only.
    ///
    /// # Errors
    /// [`GenerateKeyError`] if the library fails.
    pub fn generate_with(algorithm: Algorithm, modulus: RsaModulus) -> Result<Self, GenerateKeyError> {
        let size = match modulus {
            RsaModulus::Bits2048 => KeySize::Rsa2048,
            RsaModulus::Bits3072 => KeySize::Rsa3072,
        };
        let pair = match Scheme::of(algorithm) {
            Scheme::Rsa(_) => RsaKeyPair::generate(size).map(KeyPair::Rsa),
            Scheme::Ec(_, signing) => EcdsaKeyPair::generate(signing).map(KeyPair::Ec),
            Scheme::Ed25519 => Ed25519KeyPair::generate().map(KeyPair::Ed25519),
        };
        let pair = pair.map_err(|_| GenerateKeyError)?;
        Self::from_pair(algorithm, pair, None).map_err(|_| GenerateKeyError)
    }

    /// Takes a key from PKCS#8 DER, named by its thumbprint.
    ///
    /// # Errors
    /// [`ImportKeyError`] if it is no key for this algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &Secret<Vec<u8>>) -> Result<Self, ImportKeyError> {
        let bytes = pkcs8.expose();
        let pair = match Scheme::of(algorithm) {
            Scheme::Rsa(_) => RsaKeyPair::from_pkcs8(bytes).map(KeyPair::Rsa),
            Scheme::Ec(_, signing) => EcdsaKeyPair::from_pkcs8(signing, bytes).map(KeyPair::Ec),
            Scheme::Ed25519 => Ed25519KeyPair::from_pkcs8(bytes).map(KeyPair::Ed25519),
        };
        Self::from_pair(algorithm, pair.map_err(|_| ImportKeyError::Rejected)?, None)
    }

    /// The key as PKCS#8 DER, to be sealed and stored.
    ///
    /// # Errors
    /// [`ExportKeyError`] if the library fails.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, ExportKeyError> {
        let der = match &self.pair {
            KeyPair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| der.as_ref().to_vec()),
            KeyPair::Ec(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            KeyPair::Ed25519(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
        };
        der.map(Secret::new).map_err(|_| ExportKeyError)
    }

    /// The name under which the public key is published.
    #[must_use]
    pub fn kid(&self) -> &str {
        // INVARIANT: `from_pair` always sets it.
        self.public_jwk().kid.as_deref().unwrap_or_default()
    }

    /// What this key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key, to be published.
    #[must_use]
    pub fn public_jwk(&self) -> &Jwk {
        self.public.jwk()
    }

    /// The public key, to verify with.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.pair
    }

    pub(super) fn from_pair(
        algorithm: Algorithm,
        pair: KeyPair,
        kid: Option<String>,
    ) -> Result<Self, ImportKeyError> {
        let key = pair.public_key(algorithm).ok_or(ImportKeyError::Rejected)?;
        let mut jwk = Jwk {
            key,
            kid,
            algorithm: Some(algorithm.name().to_owned()),
            usage: Some("sig".to_owned()),
            operations: None,
        };
        if jwk.kid.is_none() {
            jwk.kid = Some(jwk.thumbprint());
        }
        Ok(Self { algorithm, pair, public: VerifyingKey::try_from(jwk)? })
    }

    /// Signs a message: the signature as RFC 7518 section 3 has it.
    ///
    /// # Errors
    /// [`SignError`] if the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = match (&self.pair, Scheme::of(self.algorithm)) {
            (KeyPair::Rsa(pair), Scheme::Rsa(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &library_randomness(), message, &mut signature).map(|()| signature)
            }
            (KeyPair::Ec(pair), Scheme::Ec(..)) => {
                pair.sign(&library_randomness(), message).map(|signature| signature.as_ref().to_vec())
            }
            (KeyPair::Ed25519(pair), Scheme::Ed25519) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec())
            }
            // INVARIANT: the pair was made for the algorithm.
            (KeyPair::Rsa(_) | KeyPair::Ec(_) | KeyPair::Ed25519(_), _) => return Err(SignError::Signature),
        };
        signature.map_err(|_| SignError::Signature)
    }
}

impl KeyPair {
    fn public_key(&self, algorithm: Algorithm) -> Option<PublicKey> {
        match (self, Scheme::of(algorithm)) {
            (Self::Rsa(pair), Scheme::Rsa(_)) => {
                let (modulus, exponent) = der::rsa_public(pair.public_key().as_ref())?;
                Some(PublicKey::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
            }
            (Self::Ec(pair), Scheme::Ec(curve, _)) => {
                let coordinates = pair.public_key().as_ref().strip_prefix(&[4])?;
                let (x, y) = coordinates.split_at_checked(curve.field_bytes())?;
                Some(PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() })
            }
            (Self::Ed25519(pair), Scheme::Ed25519) => {
                Some(PublicKey::Ed25519 { x: pair.public_key().as_ref().try_into().ok()? })
            }
            (Self::Rsa(_) | Self::Ec(_) | Self::Ed25519(_), _) => None,
        }
    }

    /// The private number of a curve key: `d` of RFC 7518 section 6.2.2, RFC 8037 section 2.
    pub(super) fn curve_secret(&self) -> Option<Secret<Vec<u8>>> {
        let bytes = match self {
            Self::Rsa(_) => return None,
            Self::Ec(pair) => {
                let number: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
                number.as_ref().to_vec()
            }
            Self::Ed25519(pair) => {
                let seed: Curve25519SeedBin<'_> = pair.seed().ok()?.as_be_bytes().ok()?;
                seed.as_ref().to_vec()
            }
        };
        Some(Secret::new(bytes))
    }
}

/// What the library needs to know of an algorithm in order to sign.
pub(super) enum Scheme {
    Rsa(&'static dyn RsaEncoding),
    Ec(Curve, &'static EcdsaSigningAlgorithm),
    Ed25519,
}

impl Scheme {
    pub(super) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RS256 => Self::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => Self::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::PS256 => Self::Rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => Self::Rsa(&RSA_PSS_SHA384),
            Algorithm::ES256 => Self::Ec(Curve::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => Self::Ec(Curve::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => Self::Ed25519,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the library draws its own randomness and ignores this argument"
)]
fn library_randomness() -> SystemRandom {
    // INVARIANT: carries nothing; aws-lc signs with its own generator, whatever it is given.
    SystemRandom::new()
}

#[cfg(test)]
mod tests;
