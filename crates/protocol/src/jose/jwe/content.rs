//! Content encryption. RFC 7518 section 5, RFC 7516 sections 5.1 and 5.2; NIST SP 800-38D.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{self, AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA512};
use aws_lc_rs::iv::FixedLength;
use chartgate_values::Secret;
use serde::{Serialize, Serializer};

use crate::jose::algorithm::UnknownAlgorithm;

/// How a content is encrypted. Every one of them authenticates what it encrypts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum ContentEncryption {
    /// AES-GCM with a key of 128 bits.
    A128Gcm,
    /// AES-GCM with a key of 256 bits.
    A256Gcm,
    /// AES-CBC and HMAC with SHA-256, 128 bits each.
    A128CbcHs256,
    /// AES-CBC and HMAC with SHA-512, 256 bits each.
    A256CbcHs512,
}

/// What an encryption gives, and a decryption takes.
#[doc(hidden)]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ciphertext {
    /// The initialization vector.
    pub iv: Vec<u8>,
    /// As long as the plaintext, or padded.
    pub body: Vec<u8>,
    /// The authentication tag.
    pub tag: Vec<u8>,
}

/// What the library needs to know of an encryption.
enum Scheme {
    Gcm(&'static aead::Algorithm),
    CbcHmac(&'static cipher::Algorithm, hmac::Algorithm),
}

impl ContentEncryption {
    /// Every encryption that we speak.
    pub const ALL: [Self; 4] = [Self::A128Gcm, Self::A256Gcm, Self::A128CbcHs256, Self::A256CbcHs512];

    /// The registered name, as `enc` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A128Gcm => "A128GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A256CbcHs512 => "A256CBC-HS512",
        }
    }

    /// How long the content's key is.
    pub(super) fn key_bytes(self) -> usize {
        match self {
            Self::A128Gcm => 16,
            Self::A256Gcm | Self::A128CbcHs256 => 32,
            Self::A256CbcHs512 => 64,
        }
    }

    pub(super) fn iv_bytes(self) -> usize {
        match self {
            Self::A128Gcm | Self::A256Gcm => aead::NONCE_LEN,
            Self::A128CbcHs256 | Self::A256CbcHs512 => BLOCK_BYTES,
        }
    }

    /// A tag that is shorter is a tag that can be guessed: RFC 7518 sections 5.2.2.2 and 5.3.
    fn tag_bytes(self) -> usize {
        match self {
            Self::A128Gcm | Self::A256Gcm | Self::A128CbcHs256 => 16,
            Self::A256CbcHs512 => 32,
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::A128Gcm => Scheme::Gcm(&AES_128_GCM),
            Self::A256Gcm => Scheme::Gcm(&AES_256_GCM),
            Self::A128CbcHs256 => Scheme::CbcHmac(&AES_128, HMAC_SHA256),
            Self::A256CbcHs512 => Scheme::CbcHmac(&AES_256, HMAC_SHA512),
        }
    }

    /// Encrypts under a key and an initialization vector that were never used together before.
    /// Public for tests of published vectors.
    #[doc(hidden)]
    #[must_use]
    pub fn encrypt(self, key: &[u8], iv: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Ciphertext> {
        // The buffer never grows, so that no copy of the plaintext stays behind in memory.
        let mut body = Vec::with_capacity(plaintext.len().checked_add(BLOCK_BYTES)?);
        body.extend_from_slice(plaintext);
        let tag = match self.scheme() {
            Scheme::Gcm(algorithm) => {
                let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
                let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut body).ok()?;
                tag.as_ref().to_vec()
            }
            Scheme::CbcHmac(algorithm, hash) => {
                let halves = Halves::of(key, self)?;
                let context = EncryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
                let cipher = UnboundCipherKey::new(algorithm, halves.encryption).ok()?;
                let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).ok()?;
                cipher.less_safe_encrypt(&mut body, context).ok()?;
                let tag = halves.tag(hash, aad, iv, &body)?;
                tag.as_ref().get(..self.tag_bytes())?.to_vec()
            }
        };
        Some(Ciphertext { iv: iv.to_vec(), body, tag })
    }

    /// Decrypts, or says no more than that it did not. Public for tests of published vectors.
    #[doc(hidden)]
    #[must_use]
    pub fn decrypt(self, key: &[u8], aad: &[u8], sealed: Ciphertext) -> Option<Secret<Vec<u8>>> {
        let Ciphertext { iv, mut body, tag } = sealed;
        if tag.len() != self.tag_bytes() {
            return None;
        }
        let length = match self.scheme() {
            Scheme::Gcm(algorithm) => {
                let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
                let nonce = Nonce::try_assume_unique_for_key(&iv).ok()?;
                key.open_in_place_separate_tag(nonce, Aad::from(aad), &tag, &mut body).ok()?.len()
            }
            Scheme::CbcHmac(algorithm, hash) => {
                let halves = Halves::of(key, self)?;
                // RFC 7518 section 5.2.2.2: the tag first, in constant time. Where it does not hold nobody
                // looks at the padding, so that there is nothing to ask about the padding.
                let own = halves.tag(hash, aad, &iv, &body)?;
                verify_slices_are_equal(own.as_ref().get(..tag.len())?, &tag).ok()?;
                let context = DecryptionContext::Iv128(FixedLength::try_from(iv.as_slice()).ok()?);
                let cipher = UnboundCipherKey::new(algorithm, halves.encryption).ok()?;
                let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(cipher).ok()?;
                cipher.decrypt(&mut body, context).ok()?.len()
            }
        };
        body.truncate(length);
        Some(Secret::new(body))
    }
}

/// The two keys that a key for CBC and HMAC is made of: RFC 7518 section 5.2.2.1.
struct Halves<'a> {
    authentication: &'a [u8],
    encryption: &'a [u8],
}

impl<'a> Halves<'a> {
    fn of(key: &'a [u8], content: ContentEncryption) -> Option<Self> {
        if key.len() != content.key_bytes() {
            return None;
        }
        let (authentication, encryption) = key.split_at_checked(key.len().div_euclid(2))?;
        Some(Self { authentication, encryption })
    }

    /// The whole tag over what is authenticated, the vector and the ciphertext.
    fn tag(&self, hash: hmac::Algorithm, aad: &[u8], iv: &[u8], body: &[u8]) -> Option<hmac::Tag> {
        let bits = u64::try_from(aad.len()).ok()?.checked_mul(8)?;
        let mut context = hmac::Context::with_key(&hmac::Key::new(hash, self.authentication));
        for part in [aad, iv, body, &bits.to_be_bytes()] {
            context.update(part);
        }
        Some(context.sign())
    }
}

impl fmt::Display for ContentEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ContentEncryption {
    type Err = UnknownAlgorithm;

    /// Compares exactly: RFC 7516 section 4.1.2.
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|own| own.name() == name).ok_or(UnknownAlgorithm)
    }
}

impl Serialize for ContentEncryption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Of AES.
const BLOCK_BYTES: usize = 16;
