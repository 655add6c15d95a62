//! AES Key Wrap with a key of 256 bits. RFC 3394, RFC 7518 section 4.4.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use zeroize::Zeroizing;

/// Wraps a key. Public for tests of published vectors.
#[doc(hidden)]
#[must_use]
pub fn wrap(kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut wrapped = vec![0; key.len().checked_add(CHECK_BYTES)?];
    let length = AesKek::new(&AES_256, kek).ok()?.wrap(key, &mut wrapped).ok()?.len();
    wrapped.truncate(length);
    Some(wrapped)
}

/// Unwraps a key, or says no more than that it did not. Public for tests of published vectors.
#[doc(hidden)]
#[must_use]
pub fn unwrap(kek: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; wrapped.len().checked_sub(CHECK_BYTES)?]);
    let length = AesKek::new(&AES_256, kek).ok()?.unwrap(wrapped, &mut key).ok()?.len();
    key.truncate(length);
    Some(key)
}

/// By how much a wrapped key is longer.
const CHECK_BYTES: usize = 8;
