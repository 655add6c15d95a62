//! Nonces for proofs that nobody has to store: a slot of time and a code over it. RFC 9449 sections 8 and 9.
//!
//! Who has the key makes and knows the same nonces. So it is shared by those who share what they remember of proofs, and
//! by nobody else: a proof that another run took is none here.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use chartgate_values::Timestamp;

use crate::base64url;

/// Makes nonces and knows them again. A nonce is good for the rest of its slot and for the next one.
pub struct Nonces {
    key: hmac::Key,
    slot_seconds: i64,
}

/// The slot is shorter than a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("nonces have to be good for a second at the least")]
pub struct NonceKeyError;

/// How old a nonce is that is still good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NonceAge {
    /// Of this slot, or of the next one where another node's clock is ahead.
    Current,
    /// Of the slot before.
    Aging,
}

/// The nonce is not ours, or is not good any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("nonce is not one of ours, or not good any more")]
pub struct StaleNonce;

impl Nonces {
    /// Nonces under a key that nobody else has, with slots of this length in whole seconds.
    ///
    /// # Errors
    /// [`NonceKeyError`] if a slot is shorter than a second.
    pub fn new(key: &[u8; 32], slot: Duration) -> Result<Self, NonceKeyError> {
        let slot_seconds = i64::try_from(slot.as_secs()).ok().filter(|seconds| *seconds > 0);
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            slot_seconds: slot_seconds.ok_or(NonceKeyError)?,
        })
    }

    /// The nonce of this moment: the same for everybody until the slot ends.
    #[must_use]
    pub fn issue(&self, now: Timestamp) -> String {
        self.of_slot(self.slot(now))
    }

    /// Whether a nonce is one of ours and still good.
    ///
    /// # Errors
    /// [`StaleNonce`] if not.
    pub fn accept(&self, nonce: &str, now: Timestamp) -> Result<NonceAge, StaleNonce> {
        let own = self.slot(now);
        let matches = |slot: i64| {
            constant_time::verify_slices_are_equal(self.of_slot(slot).as_bytes(), nonce.as_bytes()).is_ok()
        };
        if matches(own) || matches(own.saturating_add(1)) {
            Ok(NonceAge::Current)
        } else if matches(own.saturating_sub(1)) {
            Ok(NonceAge::Aging)
        } else {
            Err(StaleNonce)
        }
    }

    fn slot(&self, now: Timestamp) -> i64 {
        now.as_unix().div_euclid(self.slot_seconds)
    }

    fn of_slot(&self, slot: i64) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"chartgate dpop nonce v1");
        context.update(&self.slot_seconds.to_be_bytes());
        context.update(&slot.to_be_bytes());
        base64url::encode(context.sign().as_ref())
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("slot_seconds", &self.slot_seconds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nonces(key: u8) -> Nonces {
        Nonces::new(&[key; 32], Duration::from_secs(60)).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_900_000_020_i64.saturating_add(seconds))
    }

    #[test]
    fn a_nonce_is_good_for_its_slot_and_the_next() {
        let nonce = nonces(1).issue(at(0));
        assert_eq!(nonces(1).issue(at(59)), nonce, "one slot, one nonce, on every node");
        assert_ne!(nonces(1).issue(at(60)), nonce);
        for (when, expected) in [
            (-61, Err(StaleNonce)),
            (-60, Ok(NonceAge::Current)),
            (0, Ok(NonceAge::Current)),
            (59, Ok(NonceAge::Current)),
            (60, Ok(NonceAge::Aging)),
            (119, Ok(NonceAge::Aging)),
            (120, Err(StaleNonce)),
        ] {
            assert_eq!(nonces(1).accept(&nonce, at(when)), expected, "{when}");
        }
    }

    #[test]
    fn a_nonce_of_another_key_or_length_of_slot_is_not_ours() {
        let nonce = nonces(1).issue(at(0));
        assert_eq!(nonces(2).accept(&nonce, at(0)), Err(StaleNonce));
        let longer = Nonces::new(&[1; 32], Duration::from_secs(61)).unwrap();
        assert_eq!(longer.accept(&nonce, at(0)), Err(StaleNonce));
        for other in ["", "x", nonce.get(..42).unwrap(), &format!("{nonce}A")] {
            assert_eq!(nonces(1).accept(other, at(0)), Err(StaleNonce), "{other}");
        }
        assert_eq!(Nonces::new(&[1; 32], Duration::from_millis(999)).err(), Some(NonceKeyError));
    }

    proptest! {
        #[test]
        fn what_is_issued_is_accepted_at_once_and_never_after_two_slots(
            now in -62_000_000_000_i64..253_000_000_000, slot in 1_u64..100_000,
        ) {
            let nonces = Nonces::new(&[1; 32], Duration::from_secs(slot)).unwrap();
            let now = Timestamp::from_unix(now);
            let nonce = nonces.issue(now);
            prop_assert_eq!(nonces.accept(&nonce, now), Ok(NonceAge::Current));
            prop_assert!(nonces.accept(&nonce, now.plus(Duration::from_secs(slot))).is_ok());
            prop_assert_eq!(nonces.accept(&nonce, now.plus(Duration::from_secs(slot.saturating_mul(2)))), Err(StaleNonce));
        }
    }
}
