//! The life of a key that tokens are signed with. NIST SP 800-57 part 1 section 7, RFC 7517 for what is published.
//!
//! A key is published first and signs when every cache of the key set must have seen it. It retires when the next one
//! takes over: its private half is dropped there and then, its public half stays until the last token has expired. A key
//! that is compromised leaves at once.

use std::time::Duration;

use chartgate_values::Timestamp;

/// How long others may keep our key set before they ask again: its `max-age`.
pub const KEY_SET_MAX_AGE: Duration = Duration::from_secs(300);

/// A key's dates, which are all that its phase follows from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyLife {
    /// Since when it is published.
    pub published_at: Timestamp,
    /// Since when it signs, or signed.
    pub active_at: Option<Timestamp>,
    /// Since when it signs no more.
    pub retired_at: Option<Timestamp>,
    /// Since when it is known that somebody else may have it.
    pub compromised_at: Option<Timestamp>,
}

/// Where in its life a key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyPhase {
    /// Published, not used yet.
    Next,
    /// Signs.
    Signing,
    /// Verifies what it signed.
    Retired,
    /// Neither signs nor verifies.
    Compromised,
}

/// A key was published so late that a cache may not have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the next key was published less than {} s ago, and somebody may verify by a key set without it", KEY_SET_MAX_AGE.as_secs())]
pub struct PublishedTooLate {
    /// From when every cache has it.
    pub known_at: Timestamp,
}

impl KeyLife {
    /// A key that is published now and waits.
    #[must_use]
    pub fn next(now: Timestamp) -> Self {
        Self { published_at: now, active_at: None, retired_at: None, compromised_at: None }
    }

    /// A key that signs from now on: the first of its algorithm, which no cache can miss more than the next would be.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self { active_at: Some(now), ..Self::next(now) }
    }

    /// Where in its life it is.
    #[must_use]
    pub fn phase(&self) -> KeyPhase {
        match (self.compromised_at, self.retired_at, self.active_at) {
            (Some(_), _, _) => KeyPhase::Compromised,
            (None, Some(_), _) => KeyPhase::Retired,
            (None, None, Some(_)) => KeyPhase::Signing,
            (None, None, None) => KeyPhase::Next,
        }
    }

    /// Whether every cache must have seen it by now.
    ///
    /// # Errors
    /// [`PublishedTooLate`].
    pub fn is_known(&self, now: Timestamp) -> Result<(), PublishedTooLate> {
        let known_at = self.published_at.plus(KEY_SET_MAX_AGE);
        if now < known_at { Err(PublishedTooLate { known_at }) } else { Ok(()) }
    }

    /// When a signing key has signed for as long as it may.
    #[must_use]
    pub fn due_at(&self, rotation: Duration) -> Option<Timestamp> {
        match self.phase() {
            KeyPhase::Signing => self.active_at.map(|at| at.plus(rotation)),
            KeyPhase::Next | KeyPhase::Retired | KeyPhase::Compromised => None,
        }
    }

    /// When nothing that it signed can be good any more, where no token outlives `longest_token`: then it is forgotten.
    #[must_use]
    pub fn over_at(&self, longest_token: Duration) -> Option<Timestamp> {
        let ended = self.compromised_at.or(self.retired_at)?;
        Some(ended.plus(longest_token).plus(UNDER_WAY))
    }
}

/// A token may still be made by the ring that was in force a moment before.
const UNDER_WAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    #[test]
    fn a_key_is_known_when_every_cache_has_expired_and_not_before() {
        let key = KeyLife::next(at(1000));
        assert_eq!(key.phase(), KeyPhase::Next);
        assert_eq!(key.is_known(at(1299)), Err(PublishedTooLate { known_at: at(1300) }));
        assert_eq!(key.is_known(at(1300)), Ok(()));
    }

    #[test]
    fn only_a_key_that_signs_is_ever_due() {
        let signing = KeyLife::first(at(1000));
        assert_eq!((signing.phase(), signing.due_at(HOUR)), (KeyPhase::Signing, Some(at(4600))));
        let retired = KeyLife { retired_at: Some(at(2000)), ..signing };
        assert_eq!((retired.phase(), retired.due_at(HOUR)), (KeyPhase::Retired, None));
        assert_eq!(KeyLife::next(at(1000)).due_at(HOUR), None);
    }

    #[test]
    fn a_key_is_over_when_its_last_token_is_and_a_compromised_one_never_verifies_meanwhile() {
        let signing = KeyLife::first(at(1000));
        assert_eq!(signing.over_at(HOUR), None);
        let retired = KeyLife { retired_at: Some(at(2000)), ..signing };
        assert_eq!(retired.over_at(HOUR), Some(at(2000 + 3600 + 60)));
        let compromised = KeyLife { compromised_at: Some(at(3000)), ..retired };
        assert_eq!(compromised.phase(), KeyPhase::Compromised);
        assert_eq!(compromised.over_at(HOUR), Some(at(3000 + 3600 + 60)));
    }
}
