//! Keys that others read by. RFC 7517 section 4, RFC 7518 section 4.

use aws_lc_rs::agreement::ParsedPublicKey;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents,
};
use chartgate_values::{Entropy, Secret};
use zeroize::Zeroizing;

use super::agreement::{Purpose, agree, ephemeral, parse};
use super::content::ContentEncryption;
use super::key_wrap;
use super::management::KeyManagement;
use crate::jose::jwk::{Curve, Jwk, PublicKey};
use crate::jose::key_set::{KeySetError, keys_of};
use crate::jose::verifying_key::{UnusableKey, check_rsa};

/// A key to encrypt with, for one key management.
#[derive(Debug)]
pub struct EncryptionKey {
    management: KeyManagement,
    kid: Option<String>,
    public: Option<Jwk>,
    half: Half,
}

/// What the sender has of the key.
#[derive(Debug)]
pub(super) enum Half {
    Ec { curve: Curve, parsed: ParsedPublicKey },
    Rsa(OaepPublicEncryptingKey),
    Shared(Secret<Vec<u8>>),
}

/// A content's key, and how its reader comes to it.
pub(super) struct Established {
    pub(super) cek: Zeroizing<Vec<u8>>,
    pub(super) encrypted_key: Vec<u8>,
    pub(super) epk: Option<Jwk>,
}

impl EncryptionKey {
    /// Takes a published key, which has to say by `use` or `alg` that it is for this.
    ///
    /// # Errors
    /// [`UnusableKey`] if it is for something else, or no good key.
    pub fn new(management: KeyManagement, jwk: Jwk) -> Result<Self, UnusableKey> {
        let is_ours = jwk.algorithm.as_deref().map(|name| name == management.name());
        match (jwk.usage.as_deref(), is_ours) {
            (_, Some(false)) => return Err(UnusableKey::Algorithm),
            (Some("enc"), _) | (None, Some(true)) => {}
            (_, _) => return Err(UnusableKey::Use),
        }
        check_operations(jwk.operations.as_deref(), &["encrypt", "wrapKey", "deriveKey", "deriveBits"])?;
        let half = match (management, &jwk.key) {
            (KeyManagement::EcdhEs | KeyManagement::EcdhEsA256Kw, PublicKey::Ec { curve, x, y }) => {
                let parsed = parse(*curve, x, y).ok_or(UnusableKey::Invalid)?;
                Half::Ec { curve: *curve, parsed }
            }
            (KeyManagement::RsaOaep256, key @ PublicKey::Rsa { modulus, exponent }) => {
                check_rsa(key)?;
                let key: PublicEncryptingKey = PublicKeyComponents { n: modulus, e: exponent }
                    .try_into()
                    .map_err(|_| UnusableKey::Invalid)?;
                Half::Rsa(OaepPublicEncryptingKey::new(key).map_err(|_| UnusableKey::Invalid)?)
            }
            (_, PublicKey::Ec { .. } | PublicKey::Rsa { .. } | PublicKey::Ed25519 { .. }) => {
                return Err(UnusableKey::Algorithm);
            }
        };
        Ok(Self { management, kid: jwk.kid.clone(), public: Some(jwk), half })
    }

    /// The first key of a published set that is for this, if there is one.
    ///
    /// # Errors
    /// [`KeySetError`] if the text is no set. A key in it that cannot be used is no error.
    pub fn first_of(set: &[u8], management: KeyManagement) -> Result<Option<Self>, KeySetError> {
        let read = |text: &str| Self::new(management, Jwk::parse(text.as_bytes()).ok()?).ok();
        Ok(keys_of(set)?.into_iter().find_map(|key| read(key.get())))
    }

    pub(super) fn shared(management: KeyManagement, kid: String, secret: Secret<Vec<u8>>) -> Self {
        Self { management, kid: Some(kid), public: None, half: Half::Shared(secret) }
    }

    /// How the reader comes to the content's key.
    #[must_use]
    pub fn management(&self) -> KeyManagement {
        self.management
    }

    /// The name by which the reader finds its half.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key as it is published; a shared key is not.
    #[must_use]
    pub fn public_jwk(&self) -> Option<&Jwk> {
        self.public.as_ref()
    }

    pub(super) fn half(&self) -> &Half {
        &self.half
    }

    /// A content's key for this reader: RFC 7516 section 5.1, steps 1 to 6.
    pub(super) fn establish(
        &self,
        content: ContentEncryption,
        entropy: &mut dyn Entropy,
    ) -> Option<Established> {
        let mut fresh = Zeroizing::new(vec![0; content.key_bytes()]);
        match (self.management, &self.half) {
            (KeyManagement::EcdhEs, Half::Ec { curve, parsed }) => {
                let (cek, epk) = self.agree(content, *curve, parsed)?;
                Some(Established { cek, encrypted_key: Vec::new(), epk: Some(epk) })
            }
            (KeyManagement::EcdhEsA256Kw, Half::Ec { curve, parsed }) => {
                let (kek, epk) = self.agree(content, *curve, parsed)?;
                entropy.fill(&mut fresh);
                let encrypted_key = key_wrap::wrap(&kek, &fresh)?;
                Some(Established { cek: fresh, encrypted_key, epk: Some(epk) })
            }
            (KeyManagement::RsaOaep256, Half::Rsa(key)) => {
                entropy.fill(&mut fresh);
                let mut encrypted_key = vec![0; key.ciphertext_size()];
                key.encrypt(&OAEP_SHA256_MGF1SHA256, &fresh, &mut encrypted_key, None).ok()?;
                Some(Established { cek: fresh, encrypted_key, epk: None })
            }
            (KeyManagement::A256Kw, Half::Shared(kek)) => {
                entropy.fill(&mut fresh);
                let encrypted_key = key_wrap::wrap(kek.expose(), &fresh)?;
                Some(Established { cek: fresh, encrypted_key, epk: None })
            }
            (KeyManagement::Direct(own), Half::Shared(cek)) if own == content => {
                let cek = Zeroizing::new(cek.expose().clone());
                Some(Established { cek, encrypted_key: Vec::new(), epk: None })
            }
            // INVARIANT: the half was made for the management, and `serves` was asked.
            (_, Half::Ec { .. } | Half::Rsa(_) | Half::Shared(_)) => None,
        }
    }

    fn agree(
        &self,
        content: ContentEncryption,
        curve: Curve,
        parsed: &ParsedPublicKey,
    ) -> Option<(Zeroizing<Vec<u8>>, Jwk)> {
        let (private, key) = ephemeral(curve)?;
        let purpose = Purpose::of(self.management, content, &[], &[])?;
        let epk = Jwk { key, kid: None, algorithm: None, usage: None, operations: None };
        Some((agree(&private, parsed, purpose)?, epk))
    }
}

/// RFC 7517 section 4.3: if the operations are named, one of these is among them.
pub(super) fn check_operations(named: Option<&[String]>, ours: &[&str]) -> Result<(), UnusableKey> {
    match named {
        Some(named) if !named.iter().any(|own| ours.contains(&own.as_str())) => Err(UnusableKey::Operations),
        Some(_) | None => Ok(()),
    }
}

impl TryFrom<Jwk> for EncryptionKey {
    type Error = UnusableKey;

    /// Takes a published key that says by its `alg` what it is for.
    fn try_from(jwk: Jwk) -> Result<Self, UnusableKey> {
        let named = |own: &KeyManagement| jwk.algorithm.as_deref() == Some(own.name());
        let management = KeyManagement::PUBLIC.into_iter().find(named).ok_or(UnusableKey::Algorithm)?;
        Self::new(management, jwk)
    }
}

#[cfg(test)]
mod tests;
