//! Challenges that need no memory until they are signed: 16 random bytes, when it ends, and a mark that ties both to what the
//! challenge is for and to the browser that it was given. Web Authentication Level 3 section 13.4.3.
//!
//! So whoever only asks for pages fills nothing here.

use chartgate_access::ids::SessionId;
use chartgate_values::mac::{MARK_BYTES, MarkingKey};
use chartgate_values::{Entropy, Timestamp};

use crate::entropy::digest_of;
use crate::store::passkeys::CHALLENGE_LIFE;

const RANDOM_BYTES: usize = 16;
const HEAD_BYTES: usize = RANDOM_BYTES.saturating_add(8);

/// What a challenge is for, and who alone can bring it back. All are digests or ids, in base64url.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ceremony<'a> {
    /// Somebody signs in, in this browser.
    SignIn { browser: &'a str },
    /// Somebody whose password is done does so, in this half sign-in.
    SecondFactor { half: &'a str },
    /// Somebody gets a passkey, in this half sign-in.
    Enrol { half: &'a str },
    /// Somebody who is signed in changes how they sign in.
    Change { session: &'a SessionId },
    /// Somebody who is signed in opens a record in an emergency, by this request.
    Emergency { session: &'a SessionId, request: &'a str },
}

/// A challenge that was signed: what has to be remembered so that it is good once.
#[derive(Clone, Debug)]
pub(super) enum Spent {
    /// By us, until it ends.
    Ours { digest: String, expires_at: Timestamp },
    /// It was not ours.
    ByTheCaller,
}

/// Why a challenge is not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NotOpen {
    /// It is not ours, not for this, or not this browser's.
    Foreign,
    /// It was, and its time is over: the page stood open for too long.
    Over,
}

impl Ceremony<'_> {
    /// Whether nobody knows who will sign.
    pub(super) fn names_nobody(self) -> bool {
        match self {
            Self::SignIn { .. } => true,
            Self::SecondFactor { .. } | Self::Enrol { .. } | Self::Change { .. } | Self::Emergency { .. } => {
                false
            }
        }
    }

    /// What is marked. The names have no spaces in them, so each text is of one ceremony.
    fn text(self, head: &[u8]) -> Vec<u8> {
        let of = match self {
            Self::SignIn { browser } => format!("sign-in {browser}"),
            Self::SecondFactor { half } => format!("second-factor {half}"),
            Self::Enrol { half } => format!("enrol {half}"),
            Self::Change { session } => format!("change {session}"),
            Self::Emergency { session, request } => format!("emergency {session} {request}"),
        };
        [b"challenge ", of.as_bytes(), b" ", head].concat()
    }
}

/// A new one.
pub(super) fn draw(
    marks: &MarkingKey,
    ceremony: Ceremony<'_>,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    let random: [u8; RANDOM_BYTES] = entropy.bytes();
    let mut challenge = random.to_vec();
    challenge.extend_from_slice(&now.plus(CHALLENGE_LIFE).as_micros().to_be_bytes());
    let mark = marks.mark(&ceremony.text(&challenge));
    challenge.extend_from_slice(&mark);
    challenge
}

/// What was drawn for this ceremony and is not over.
pub(super) fn open(
    marks: &MarkingKey,
    ceremony: Ceremony<'_>,
    challenge: &[u8],
    now: Timestamp,
) -> Result<Spent, NotOpen> {
    let (head, mark) = challenge.split_first_chunk::<HEAD_BYTES>().ok_or(NotOpen::Foreign)?;
    if mark.len() != MARK_BYTES || marks.check(&ceremony.text(head), mark).is_err() {
        return Err(NotOpen::Foreign);
    }
    let (_, expires_at) = head.split_last_chunk::<8>().ok_or(NotOpen::Foreign)?;
    let expires_at = Timestamp::from_micros(i64::from_be_bytes(*expires_at));
    if now >= expires_at {
        return Err(NotOpen::Over);
    }
    Ok(Spent::Ours { digest: digest_of(challenge), expires_at })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chartgate_values::SeededEntropy;
    use chartgate_values::seal::MasterKey;

    use super::*;

    #[test]
    fn a08_a_challenge_is_good_for_its_ceremony_and_its_time_alone() {
        let marks = |key| MasterKey::from_bytes([key; 32]).marking("test").unwrap();
        let session = SessionId::random(&mut SeededEntropy::new(2));
        let ceremonies = [
            Ceremony::SignIn { browser: "a" },
            Ceremony::SignIn { browser: "b" },
            Ceremony::SecondFactor { half: "a" },
            Ceremony::Enrol { half: "a" },
            Ceremony::Change { session: &session },
            Ceremony::Emergency { session: &session, request: "a" },
            Ceremony::Emergency { session: &session, request: "b" },
        ];
        let (now, mut entropy) = (Timestamp::EPOCH.plus(Duration::from_secs(1)), SeededEntropy::new(1));
        for (own, ceremony) in ceremonies.into_iter().enumerate() {
            let challenge = draw(&marks(7), ceremony, now, &mut entropy);
            for (other, elsewhere) in ceremonies.into_iter().enumerate() {
                assert_eq!(open(&marks(7), elsewhere, &challenge, now).is_ok(), own == other);
            }
            let last = now.plus(CHALLENGE_LIFE).minus(Duration::from_micros(1));
            assert!(open(&marks(7), ceremony, &challenge, last).is_ok());
            let end = now.plus(CHALLENGE_LIFE);
            assert_eq!(open(&marks(7), ceremony, &challenge, end).err(), Some(NotOpen::Over));
            assert_eq!(open(&marks(8), ceremony, &challenge, end).err(), Some(NotOpen::Foreign));
            assert!(open(&marks(8), ceremony, &challenge, now).is_err());
            for place in 0..challenge.len() {
                let mut altered = challenge.clone();
                altered[place] ^= 1;
                assert!(open(&marks(7), ceremony, &altered, now).is_err(), "{place}");
                assert!(open(&marks(7), ceremony, &challenge[..place], now).is_err(), "{place}");
            }
        }
        let one = draw(&marks(7), ceremonies[0], now, &mut entropy);
        assert_ne!(one, draw(&marks(7), ceremonies[0], now, &mut entropy));
    }
}
