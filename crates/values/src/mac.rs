//! Marks by which we know again what we handed out: HMAC-SHA-256 under keys that are derived from the master key. RFC 2104.
//!
//! A mark hides nothing. It is for what others carry for us and may read, but not make.

use aws_lc_rs::hmac;

use crate::seal::{MasterKey, SealError};

/// How many bytes a mark has.
pub const MARK_BYTES: usize = 32;

/// A key that marks.
pub struct MarkingKey(hmac::Key);

impl std::fmt::Debug for MarkingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<marking key>")
    }
}

/// The mark is not ours for this text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not marked by this key")]
pub struct NotMarked;

impl MasterKey {
    /// The key that marks for one purpose. The same purpose gives the same key.
    ///
    /// # Errors
    /// [`SealError`] if the library refuses, which it does not for these sizes.
    pub fn marking(&self, purpose: &'static str) -> Result<MarkingKey, SealError> {
        Ok(MarkingKey(hmac::Key::new(hmac::HMAC_SHA256, &*self.secret_for(purpose)?)))
    }
}

impl MarkingKey {
    /// The mark of a text. Whoever marks several parts makes one text of them that can be read in one way alone.
    #[must_use]
    pub fn mark(&self, text: &[u8]) -> [u8; MARK_BYTES] {
        let tag = hmac::sign(&self.0, text);
        // INVARIANT: HMAC-SHA-256 has 32 bytes; a mark of nothing would fit no text.
        tag.as_ref().try_into().unwrap_or([0; MARK_BYTES])
    }

    /// Whether a text has this mark, in constant time.
    ///
    /// # Errors
    /// [`NotMarked`].
    pub fn check(&self, text: &[u8], mark: &[u8]) -> Result<(), NotMarked> {
        hmac::verify(&self.0, text, mark).map_err(|_| NotMarked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_of_its_purpose_and_text_alone() {
        let key = |purpose| MasterKey::from_bytes([7; 32]).marking(purpose).unwrap();
        let mark = key("a").mark(b"text");
        assert_eq!(key("a").check(b"text", &mark), Ok(()));
        assert_eq!(key("b").check(b"text", &mark), Err(NotMarked));
        assert_eq!(key("a").check(b"texts", &mark), Err(NotMarked));
        assert_eq!(key("a").check(b"text", &mark[..31]), Err(NotMarked));
        assert_eq!(key("a").check(b"text", &[0; MARK_BYTES]), Err(NotMarked));
    }
}
