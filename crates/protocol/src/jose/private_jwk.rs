//! Private keys as JSON. RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair};
use chartgate_values::Secret;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::der::{self, RsaIntegers};
use super::jwk::{Jwk, JwkError, MAX_DEPTH, PublicKey, required_bytes};
use super::signing_key::{ExportKeyError, ImportKeyError, KeyPair, Scheme, SigningKey};
use super::verifying_key::point;
use crate::base64url;
use crate::json::Object;

impl SigningKey {
    /// Takes a key from a private JWK, under its own `kid` or else its thumbprint. An RSA key has to have all
    /// its members: `n e d p q dp dq qi`.
    ///
    /// # Errors
    /// [`ImportKeyError`] if it is no key for this algorithm, or says that it is for another.
    pub fn from_private_jwk(algorithm: Algorithm, jwk: &Secret<Vec<u8>>) -> Result<Self, ImportKeyError> {
        let object = Object::parse(jwk.expose(), MAX_DEPTH).map_err(JwkError::from)?;
        let text = |name| object.string(name).map_err(|_| JwkError::Malformed(name));
        if text("alg")?.is_some_and(|own| own != algorithm.name()) {
            return Err(ImportKeyError::Algorithm);
        }
        let secret = |name| required_bytes(&object, name).map(Zeroizing::new);
        let pair = match (PublicKey::read(&object)?, Scheme::of(algorithm)) {
            (PublicKey::Rsa { modulus, exponent }, Scheme::Rsa(_)) => {
                Ok(KeyPair::Rsa(read_rsa(&object, modulus, exponent)?))
            }
            (PublicKey::Ec { curve: own, x, y }, Scheme::Ec(curve, signing)) if own == curve => {
                EcdsaKeyPair::from_private_key_and_public_key(signing, &secret("d")?, &point(&x, &y))
                    .map(KeyPair::Ec)
            }
            (PublicKey::Ed25519 { x }, Scheme::Ed25519) => {
                Ed25519KeyPair::from_seed_and_public_key(&secret("d")?, &x).map(KeyPair::Ed25519)
            }
            (PublicKey::Rsa { .. } | PublicKey::Ec { .. } | PublicKey::Ed25519 { .. }, _) => {
                return Err(ImportKeyError::Rejected);
            }
        };
        let kid = text("kid")?.map(|kid| kid.into_owned());
        Self::from_pair(algorithm, pair.map_err(|_| ImportKeyError::Rejected)?, kid)
    }

    /// The key as a private JWK, for an owner who keeps it in JSON.
    ///
    /// # Errors
    /// [`ExportKeyError`] if the library fails.
    pub fn to_private_jwk(&self) -> Result<Secret<Vec<u8>>, ExportKeyError> {
        let jwk = self.public_jwk();
        match self.pair() {
            KeyPair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| ExportKeyError)?;
                write_rsa(jwk, &der::rsa_private(der.as_ref()).ok_or(ExportKeyError)?)
            }
            pair @ (KeyPair::Ec(_) | KeyPair::Ed25519(_)) => {
                let d = pair.curve_secret().ok_or(ExportKeyError)?;
                write(jwk, &[("d", d.expose())])
            }
        }
    }
}

/// Reads the private members of an RSA key, all of them.
pub(super) fn read_rsa(
    object: &Object<'_>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
) -> Result<RsaKeyPair, ImportKeyError> {
    let secret = |name| required_bytes(object, name).map(Zeroizing::new);
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: modulus, e: exponent },
        d: secret("d")?,
        p: secret("p")?,
        q: secret("q")?,
        dP: secret("dp")?,
        dQ: secret("dq")?,
        qInv: secret("qi")?,
    })
    .map_err(|_| ImportKeyError::Rejected)
}

/// Writes an RSA key with all its private members.
pub(super) fn write_rsa(jwk: &Jwk, own: &RsaIntegers<'_>) -> Result<Secret<Vec<u8>>, ExportKeyError> {
    write(jwk, &[("d", own.d), ("p", own.p), ("q", own.q), ("dp", own.dp), ("dq", own.dq), ("qi", own.qi)])
}

/// Writes a public key and the private members beside it.
pub(super) fn write(jwk: &Jwk, secrets: &[(&'static str, &[u8])]) -> Result<Secret<Vec<u8>>, ExportKeyError> {
    // Written into one allocation, so that no half-grown copy of it stays behind in memory.
    let mut text = Vec::with_capacity(LONGEST_PRIVATE_JWK);
    serde_json::to_writer(&mut text, &PrivateJwk { jwk, secrets }).map_err(|_| ExportKeyError)?;
    Ok(Secret::new(text))
}

struct PrivateJwk<'a> {
    jwk: &'a Jwk,
    secrets: &'a [(&'static str, &'a [u8])],
}

impl Serialize for PrivateJwk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.jwk.serialize_members(&mut map)?;
        for (name, bytes) in self.secrets {
            map.serialize_entry(name, Zeroizing::new(base64url::encode(bytes)).as_str())?;
        }
        map.end()
    }
}

/// An RSA key of 8192 bits takes about 6 KiB.
pub(super) const LONGEST_PRIVATE_JWK: usize = 8192;
