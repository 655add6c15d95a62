//! Private keys that read what was encrypted for us. RFC 7518 section 4.

use std::collections::HashMap;

use aws_lc_rs::agreement::PrivateKey;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPair as RsaKeyPair, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::KeyPair as _;
use chartgate_values::{Entropy, Secret};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::Header;
use super::agreement;
use super::encryption_key::{EncryptionKey, Half};
use super::error::JweError;
use super::key_wrap;
use super::management::KeyManagement;
use crate::base64url;
use crate::jose::der;
use crate::jose::jwk::{Curve, Jwk, PublicKey};
use crate::jose::key_set::PublishedKeys;
use crate::jose::signing_key::{GenerateKeyError, ImportKeyError, RsaModulus};

/// A private key for one key management, parsed once.
#[derive(Debug)]
pub struct DecryptionKey {
    private: PrivateHalf,
    encryption: EncryptionKey,
}

/// What the reader alone has. The library's keys print nothing of themselves.
#[derive(Debug)]
pub(super) enum PrivateHalf {
    Ec(PrivateKey),
    Rsa {
        kept: PrivateDecryptingKey,
        decrypting: OaepPrivateDecryptingKey,
    },
    /// Both sides have the same, and the sender's side keeps it.
    Shared,
}

impl DecryptionKey {
    /// Makes a new key (on P-256, of 2048 bits), named by its thumbprint, or by chance where that would tell of
    /// a secret.
    ///
    /// # Errors
    /// [`GenerateKeyError`] if the library fails.
    pub fn generate(management: KeyManagement, entropy: &mut dyn Entropy) -> Result<Self, GenerateKeyError> {
        match management {
            KeyManagement::EcdhEs | KeyManagement::EcdhEsA256Kw => Self::generate_on(management, Curve::P256),
            KeyManagement::RsaOaep256 => Self::generate_rsa(RsaModulus::default()),
            KeyManagement::A256Kw | KeyManagement::Direct(_) => {
                let mut secret = vec![0; secret_bytes(management).ok_or(GenerateKeyError)?];
                entropy.fill(&mut secret);
                let kid = base64url::encode(&entropy.bytes::<16>());
                Ok(Self::shared(management, kid, Secret::new(secret)))
            }
        }
    }

    /// Makes a new key for an agreement on this curve.
    ///
    /// # Errors
    /// [`GenerateKeyError`] if the library fails, or the management is no agreement.
    pub fn generate_on(management: KeyManagement, curve: Curve) -> Result<Self, GenerateKeyError> {
        let key = PrivateKey::generate(agreement::curve_of(curve)).map_err(|_| GenerateKeyError)?;
        Self::from_ec(management, key, curve, None).map_err(|_| GenerateKeyError)
    }

    /// Makes a new key for RSA-OAEP-256 with this length of modulus.
    ///
    /// # Errors
    /// [`GenerateKeyError`] if the library fails.
    pub fn generate_rsa(modulus: RsaModulus) -> Result<Self, GenerateKeyError> {
        let size = match modulus {
            RsaModulus::Bits2048 => KeySize::Rsa2048,
            RsaModulus::Bits3072 => KeySize::Rsa3072,
        };
        let pair = RsaKeyPair::generate(size).map_err(|_| GenerateKeyError)?;
        Self::from_rsa(&pair, None).map_err(|_| GenerateKeyError)
    }

    /// How we come to a content's key.
    #[must_use]
    pub fn management(&self) -> KeyManagement {
        self.encryption.management()
    }

    /// The name by which tokens name this key.
    #[must_use]
    pub fn kid(&self) -> &str {
        // INVARIANT: every way to make a key sets it.
        self.encryption.kid().unwrap_or_default()
    }

    /// The public key, to be published with `use: enc`; a shared key has none.
    #[must_use]
    pub fn public_jwk(&self) -> Option<&Jwk> {
        self.encryption.public_jwk()
    }

    /// The sender's half, to encrypt for ourselves or for whoever shares the key.
    #[must_use]
    pub fn encryption_key(&self) -> &EncryptionKey {
        &self.encryption
    }

    pub(super) fn private(&self) -> &PrivateHalf {
        &self.private
    }

    /// A content's key: RFC 7516 section 5.2, steps 6 to 12. Nothing says why there is none.
    pub(super) fn recover(&self, header: &Header, encrypted_key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let content = header.content;
        let agreed = |key| header.sender.as_ref()?.agree(key, header.management, content);
        let cek = match (self.management(), &self.private, self.encryption.half()) {
            // Step 10: where no key is encrypted, there is none.
            (KeyManagement::EcdhEs | KeyManagement::Direct(_), _, _) if !encrypted_key.is_empty() => None,
            (KeyManagement::EcdhEs, PrivateHalf::Ec(key), _) => agreed(key),
            (KeyManagement::EcdhEsA256Kw, PrivateHalf::Ec(key), _) => {
                key_wrap::unwrap(&agreed(key)?, encrypted_key)
            }
            (KeyManagement::RsaOaep256, PrivateHalf::Rsa { decrypting, .. }, _) => {
                let mut cek = Zeroizing::new(vec![0; decrypting.min_output_size()]);
                let cek = decrypting.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted_key, &mut cek, None).ok()?;
                Some(Zeroizing::new(cek.to_vec()))
            }
            (KeyManagement::A256Kw, PrivateHalf::Shared, Half::Shared(kek)) => {
                key_wrap::unwrap(kek.expose(), encrypted_key)
            }
            (KeyManagement::Direct(_), PrivateHalf::Shared, Half::Shared(cek)) => {
                Some(Zeroizing::new(cek.expose().clone()))
            }
            // INVARIANT: both halves were made for the management.
            (_, PrivateHalf::Ec(_) | PrivateHalf::Rsa { .. } | PrivateHalf::Shared, _) => None,
        };
        cek.filter(|cek| cek.len() == content.key_bytes())
    }

    pub(super) fn from_ec(
        management: KeyManagement,
        key: PrivateKey,
        curve: Curve,
        kid: Option<String>,
    ) -> Result<Self, ImportKeyError> {
        let public = agreement::public_key(&key, curve).ok_or(ImportKeyError::Rejected)?;
        let encryption = EncryptionKey::new(management, published(management, public, kid))?;
        Ok(Self { private: PrivateHalf::Ec(key), encryption })
    }

    pub(super) fn from_rsa(pair: &RsaKeyPair, kid: Option<String>) -> Result<Self, ImportKeyError> {
        let (modulus, exponent) =
            der::rsa_public(pair.public_key().as_ref()).ok_or(ImportKeyError::Rejected)?;
        let public = PublicKey::Rsa { modulus: modulus.to_vec(), exponent: exponent.to_vec() };
        let jwk = published(KeyManagement::RsaOaep256, public, kid);
        let encryption = EncryptionKey::new(KeyManagement::RsaOaep256, jwk)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| ImportKeyError::Rejected)?;
        let kept = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| ImportKeyError::Rejected)?;
        let decrypting = OaepPrivateDecryptingKey::new(kept.clone()).map_err(|_| ImportKeyError::Rejected)?;
        Ok(Self { private: PrivateHalf::Rsa { kept, decrypting }, encryption })
    }

    pub(super) fn shared(management: KeyManagement, kid: String, secret: Secret<Vec<u8>>) -> Self {
        let encryption = EncryptionKey::shared(management, kid, secret);
        Self { private: PrivateHalf::Shared, encryption }
    }
}

fn published(management: KeyManagement, key: PublicKey, kid: Option<String>) -> Jwk {
    let algorithm = Some(management.name().to_owned());
    let mut jwk = Jwk { key, kid, algorithm, usage: Some("enc".to_owned()), operations: None };
    if jwk.kid.is_none() {
        jwk.kid = Some(jwk.thumbprint());
    }
    jwk
}

/// How long a secret is that both sides have.
pub(super) fn secret_bytes(management: KeyManagement) -> Option<usize> {
    match management {
        KeyManagement::A256Kw => Some(32),
        KeyManagement::Direct(content) => Some(content.key_bytes()),
        KeyManagement::EcdhEs | KeyManagement::EcdhEsA256Kw | KeyManagement::RsaOaep256 => None,
    }
}

/// Our private keys by name.
#[derive(Debug, Default)]
pub struct DecryptionKeySet {
    by_kid: HashMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    Usable(Box<DecryptionKey>),
    Ambiguous,
}

impl DecryptionKeySet {
    /// The key that a `kid` names.
    ///
    /// # Errors
    /// [`JweError::UnknownKid`] if it names none, [`JweError::AmbiguousKid`] if it names several.
    pub fn get(&self, kid: &str) -> Result<&DecryptionKey, JweError> {
        match self.by_kid.get(kid) {
            Some(Entry::Usable(key)) => Ok(key),
            Some(Entry::Ambiguous) => Err(JweError::AmbiguousKid),
            None => Err(JweError::UnknownKid),
        }
    }

    /// The keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &DecryptionKey> {
        self.by_kid.values().filter_map(|entry| match entry {
            Entry::Usable(key) => Some(key.as_ref()),
            Entry::Ambiguous => None,
        })
    }
}

impl FromIterator<DecryptionKey> for DecryptionKeySet {
    fn from_iter<I: IntoIterator<Item = DecryptionKey>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            let kid = key.kid().to_owned();
            let entry = match set.by_kid.get(&kid) {
                None => Entry::Usable(Box::new(key)),
                Some(Entry::Usable(_) | Entry::Ambiguous) => Entry::Ambiguous,
            };
            set.by_kid.insert(kid, entry);
        }
        set
    }
}

impl Serialize for DecryptionKeySet {
    /// The public keys as a JWK set. Shared keys are not in it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.keys().filter_map(DecryptionKey::public_jwk).collect::<PublishedKeys<'_>>().serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
