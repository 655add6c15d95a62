//! One month's key. Every entry is sealed under a key of its own that is derived from it.

use aws_lc_rs::hkdf;
use chartgate_values::seal::{SealError, SealingKey};
use chartgate_values::{Entropy, Secret};
use zeroize::Zeroizing;

use super::Month;
use crate::tree::Hash;

/// A month's key, in memory.
///
/// A random nonce is safe for 2^32 uses of a key (NIST SP 800-38D section 8.3), which a busy month exceeds. The
/// key of an entry is therefore derived from the month's key and the hash of the entry's clear part.
pub struct DataKey {
    month: Month,
    bytes: Secret<[u8; 32]>,
}

impl DataKey {
    pub(super) fn new(month: Month, bytes: Secret<[u8; 32]>) -> Self {
        Self { month, bytes }
    }

    /// Which month's.
    #[must_use]
    pub fn month(&self) -> &Month {
        &self.month
    }

    /// Seals what belongs to the entry whose clear part has this hash.
    ///
    /// # Errors
    /// [`SealError`] as the cipher says.
    pub(crate) fn seal(
        &self,
        entropy: &mut dyn Entropy,
        clear: &Hash,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.entry_key(clear)?.seal(entropy, &self.place(clear), plaintext)
    }

    /// Opens what was sealed for the entry whose clear part has this hash.
    ///
    /// # Errors
    /// [`SealError`] if it was sealed for another, or altered.
    pub(crate) fn open(&self, clear: &Hash, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        self.entry_key(clear)?.open(&self.place(clear), sealed)
    }

    fn entry_key(&self, clear: &Hash) -> Result<SealingKey, SealError> {
        let info = [LABEL, clear.as_bytes().as_slice()];
        let mut bytes = Zeroizing::new([0; 32]);
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.bytes.expose())
            .expand(&info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(bytes.as_mut()))
            .map_err(|_| SealError)?;
        SealingKey::from_bytes(&bytes)
    }

    fn place(&self, clear: &Hash) -> Vec<u8> {
        [LABEL, self.month.as_str().as_bytes(), b"\n", clear.as_bytes().as_slice()].concat()
    }
}

const LABEL: &[u8] = b"chartgate audit leaf v1\n";
