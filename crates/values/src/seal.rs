//! Sealing: AES-256-GCM under keys that are derived from one master key. NIST SP 800-38D, RFC 5869.
//!
//! A sealed text is `nonce (12 bytes) || ciphertext || tag (16 bytes)`. The purpose of a key is part of its
//! derivation, so that what was sealed for one purpose never opens for another; the associated data ties a
//! sealed text to its place (a row, a log entry).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::{Entropy, Secret};

/// Bytes by which a sealed text is longer than its content.
pub const OVERHEAD: usize = 28;

/// The key from which all others are derived. 256 bits, kept in a file, the environment or a key service.
#[derive(Debug)]
pub struct MasterKey(Secret<[u8; 32]>);

impl MasterKey {
    /// Takes 32 bytes that nobody can predict.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Draws a new master key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self::from_bytes(entropy.bytes())
    }

    /// The bytes, to be written where the operator keeps them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key for one purpose. The same purpose gives the same key.
    ///
    /// # Errors
    /// [`SealError`] if the library refuses, which it does not for these sizes.
    pub fn derive(&self, purpose: &'static str) -> Result<SealingKey, SealError> {
        SealingKey::from_bytes(&*self.secret_for(purpose)?)
    }

    /// 32 secret bytes for one purpose that is not sealing, such as a pepper.
    ///
    /// # Errors
    /// [`SealError`] if the library refuses, which it does not for these sizes.
    pub fn secret_for(&self, purpose: &'static str) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"chartgate master key v1");
        let key = salt.extract(self.0.expose());
        let info = [purpose.as_bytes()];
        let mut bytes = Zeroizing::new([0; 32]);
        key.expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(bytes.as_mut()))
            .map_err(|_| SealError)?;
        Ok(bytes)
    }
}

/// A key that seals and opens.
pub struct SealingKey(LessSafeKey);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<sealing key>")
    }
}

/// The text was not sealed under this key for this place, or was altered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sealed text does not open")]
pub struct SealError;

impl SealingKey {
    /// A key from its bytes.
    ///
    /// # Errors
    /// [`SealError`] if the library refuses, which it does not for 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| SealError)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `plaintext` for the place that `place` names.
    ///
    /// # Errors
    /// [`SealError`] if the text is beyond the cipher's limit of 64 GiB.
    pub fn seal(
        &self,
        entropy: &mut dyn Entropy,
        place: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal_written(entropy, place, plaintext.len(), |out| out.extend_from_slice(plaintext))
    }

    /// Seals for the place that `place` names what `write` adds, about `length` bytes, where it was added: no
    /// second copy of the plaintext is made.
    ///
    /// # Errors
    /// [`SealError`] if the text is beyond the cipher's limit of 64 GiB.
    pub fn seal_written(
        &self,
        entropy: &mut dyn Entropy,
        place: &[u8],
        length: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let mut out = Vec::with_capacity(length.saturating_add(OVERHEAD));
        out.extend_from_slice(&nonce);
        write(&mut out);
        let (_, text) = out.split_first_chunk_mut::<NONCE_LEN>().ok_or(SealError)?;
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), text)
            .map_err(|_| SealError)?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Opens what was sealed under this key for the same place.
    ///
    /// # Errors
    /// [`SealError`] if it was not.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError)?;
        let mut buffer = body.to_vec();
        let length = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut buffer)
            .map_err(|_| SealError)?
            .len();
        buffer.truncate(length);
        Ok(Secret::new(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    fn key(purpose: &'static str) -> SealingKey {
        MasterKey::from_bytes([7; 32]).derive(purpose).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_and_place_alone() {
        let mut entropy = SeededEntropy::new(1);
        let sealed = key("a").seal(&mut entropy, b"row 1", b"content").unwrap();
        assert_eq!(sealed.len(), 7 + OVERHEAD);
        assert_eq!(key("a").open(b"row 1", &sealed).unwrap().expose(), b"content");
        assert_eq!(key("a").open(b"row 2", &sealed).unwrap_err(), SealError);
        assert_eq!(key("b").open(b"row 1", &sealed).unwrap_err(), SealError);
    }

    #[test]
    fn every_altered_or_missing_byte_is_noticed() {
        let mut entropy = SeededEntropy::new(1);
        let sealed = key("a").seal(&mut entropy, b"", b"content").unwrap();
        for i in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[i] ^= 1;
            assert!(key("a").open(b"", &altered).is_err(), "byte {i}");
            assert!(key("a").open(b"", &sealed[..i]).is_err(), "cut at {i}");
        }
    }
}
