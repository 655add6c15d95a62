//! One month's key. Every entry is sealed under a key of its own that is derived from it.

use aws_lc_rs::hmac;
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
    /// The month's key, taken in once for all entries.
    deriving: hmac::Key,
}

impl DataKey {
    pub(super) fn new(month: Month, bytes: &Secret<[u8; 32]>) -> Self {
        Self { month, deriving: hmac::Key::new(hmac::HMAC_SHA256, bytes.expose()) }
    }

    /// Which month's.
    #[must_use]
    pub fn month(&self) -> &Month {
        &self.month
    }

    /// Seals what belongs to the entry whose clear part has this hash: what `write` adds, about `length` bytes.
    ///
    /// # Errors
    /// [`SealError`] as the cipher says.
    pub(crate) fn seal(
        &self,
        entropy: &mut dyn Entropy,
        clear: &Hash,
        length: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>, SealError> {
        self.entry_key(clear)?.seal_written(entropy, &self.place(clear), length, write)
    }

    /// Opens what was sealed for the entry whose clear part has this hash.
    ///
    /// # Errors
    /// [`SealError`] if it was sealed for another, or altered.
    pub(crate) fn open(&self, clear: &Hash, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        self.entry_key(clear)?.open(&self.place(clear), sealed)
    }

    fn entry_key(&self, clear: &Hash) -> Result<SealingKey, SealError> {
        // RFC 5869 section 2.3: of HKDF-Expand's blocks the first is enough, and that is one HMAC.
        let mut info = [1; LABEL.len() + Hash::LENGTH + 1];
        let (label, rest) = info.split_at_mut(LABEL.len());
        label.copy_from_slice(LABEL);
        *rest.first_chunk_mut().ok_or(SealError)? = *clear.as_bytes();
        let mut bytes = Zeroizing::new([0; 32]);
        hmac::sign_to_buffer(&self.deriving, &info, bytes.as_mut()).map_err(|_| SealError)?;
        SealingKey::from_bytes(&bytes)
    }

    fn place(&self, clear: &Hash) -> Vec<u8> {
        [LABEL, self.month.as_str().as_bytes(), b"\n", clear.as_bytes().as_slice()].concat()
    }
}

const LABEL: &[u8] = b"chartgate audit leaf v1\n";

#[cfg(test)]
mod tests {
    use aws_lc_rs::hkdf;

    use super::*;

    #[test]
    fn an_entry_s_key_is_the_one_that_hkdf_gives() {
        let clear = Hash::of(&[b"clear"]);
        let mut expanded = [0; 32];
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &[7; 32]);
        let info = [LABEL, clear.as_bytes().as_slice()];
        prk.expand(&info, hkdf::HKDF_SHA256).unwrap().fill(&mut expanded).unwrap();
        let key = DataKey::new("2026-11".parse().unwrap(), &Secret::new([7; 32]));
        let sealed = key.seal(&mut chartgate_values::SeededEntropy::new(1), &clear, 0, |out| out.push(b'x'));
        let opened = SealingKey::from_bytes(&expanded).unwrap().open(&key.place(&clear), &sealed.unwrap());
        assert_eq!(opened.unwrap().expose(), b"x");
    }
}
