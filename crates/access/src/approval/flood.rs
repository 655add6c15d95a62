//! How often a person may be asked: whoever is asked again and again says yes in the end. ATTACKS O20; CISA, Implementing
//! Number Matching in MFA Applications.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::grant::backchannel::BackchannelRequest;
use crate::grant::polling::Answer;
use crate::ids::ClientId;

/// How long a client that was told no does not ask that person again, from its question on.
pub const PAUSE_AFTER_NO: Duration = Duration::from_mins(5);
/// How many questions may wait for one person: more are a flood, whoever sends them.
pub const MOST_WAITING: usize = 3;
/// In such a time
pub const WINDOW: Duration = Duration::from_mins(10);
/// so many questions that nobody answered,
pub const MOST_UNANSWERED: usize = 3;
/// or so many that were answered with no, are enough: until they are older, there are no others.
pub const MOST_DENIED: usize = 2;

/// A question that a person was asked before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// By which application; none where somebody only signed in.
    pub client: Option<ClientId>,
    /// When.
    pub asked_at: Timestamp,
    /// Until when it could be answered.
    pub expires_at: Timestamp,
    /// How.
    pub said: Said,
}

/// What they said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// Nothing, so far or at all.
    Nothing,
    /// Yes.
    Yes,
    /// No.
    No,
}

/// Why they are not asked now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Flood {
    /// One of the same application waits.
    #[error("another question of the same application waits for this person")]
    AnotherWaits,
    /// As many as may.
    #[error("too many questions wait for this person")]
    TooManyWait,
    /// They have just said no to this application.
    #[error("this person has just said no to this application")]
    SaidNo,
    /// They leave questions unanswered.
    #[error("this person has left too many questions unanswered")]
    Unanswered,
    /// They say no.
    #[error("this person has said no too often")]
    Denied,
}

impl Flood {
    /// The stable code for the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AnotherWaits => "another-waits",
            Self::TooManyWait => "too-many-wait",
            Self::SaidNo => "said-no",
            Self::Unanswered => UNANSWERED,
            Self::Denied => DENIED,
        }
    }
}

/// Why nobody asks a person for a while: somebody should look at it.
const UNANSWERED: &str = "too-many-unanswered";
const DENIED: &str = "too-many-denied";

impl Past {
    /// A client's question.
    #[must_use]
    pub fn of_client(request: &BackchannelRequest) -> Self {
        Self {
            client: Some(request.client_id.clone()),
            asked_at: request.asked_at,
            expires_at: request.expires_at,
            said: match request.polled.answer {
                Answer::Waiting => Said::Nothing,
                Answer::Approved(_) | Answer::Redeemed => Said::Yes,
                Answer::Denied => Said::No,
            },
        }
    }

    fn waits(&self, now: Timestamp) -> bool {
        self.said == Said::Nothing && now < self.expires_at
    }

    fn was_left(&self, now: Timestamp) -> bool {
        self.said == Said::Nothing && self.expires_at <= now && now < self.expires_at.plus(WINDOW)
    }
}

/// Whether a person who was asked `before` is asked one more by this application.
///
/// # Errors
/// [`Flood`]: why not.
pub fn check(before: &[Past], client: Option<&ClientId>, now: Timestamp) -> Result<(), Flood> {
    let own = |past: &&Past| past.client.as_ref() == client;
    let refused =
        |within: Duration| move |past: &&Past| past.said == Said::No && now < past.asked_at.plus(within);
    if before.iter().filter(refused(WINDOW)).count() >= MOST_DENIED {
        return Err(Flood::Denied);
    }
    if before.iter().filter(|past| past.was_left(now)).count() >= MOST_UNANSWERED {
        return Err(Flood::Unanswered);
    }
    if before.iter().filter(own).any(|past| past.waits(now)) {
        return Err(Flood::AnotherWaits);
    }
    if before.iter().filter(|past| past.waits(now)).count() >= MOST_WAITING {
        return Err(Flood::TooManyWait);
    }
    if before.iter().filter(own).any(|past| refused(PAUSE_AFTER_NO)(&past)) {
        return Err(Flood::SaidNo);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(client: &str, said: Said, at: i64) -> Past {
        Past {
            client: Some(client.parse().unwrap()),
            asked_at: Timestamp::from_unix(at),
            expires_at: Timestamp::from_unix(at.saturating_add(300)),
            said,
        }
    }

    fn asked(before: &[Past]) -> Result<(), Flood> {
        check(before, Some(&"desk".parse().unwrap()), Timestamp::from_unix(2000))
    }

    #[test]
    fn o20_a_person_is_asked_once_a_client_three_times_in_all_and_not_again_after_a_no() {
        use Said::{No, Nothing, Yes};
        assert_eq!(asked(&[]), Ok(()));
        assert_eq!(asked(&[past("a", Nothing, 1990), past("b", Nothing, 1990)]), Ok(()));
        assert_eq!(asked(&[past("desk", Nothing, 1600)]), Ok(()), "it is over");
        assert_eq!(asked(&[past("desk", Nothing, 1990)]), Err(Flood::AnotherWaits));
        let three = ["a", "b", "c"].map(|client| past(client, Nothing, 1990));
        assert_eq!(asked(&three), Err(Flood::TooManyWait));
        assert_eq!(asked(&[past("desk", No, 1701)]), Err(Flood::SaidNo));
        assert_eq!(asked(&[past("desk", No, 1700), past("other", Yes, 1990)]), Ok(()));
    }

    #[test]
    fn o20_three_questions_that_nobody_answered_or_two_that_were_denied_are_enough_for_ten_minutes() {
        use Said::{No, Nothing, Yes};
        let left = |at: [i64; 3]| at.map(|at| past("other", Nothing, at));
        assert_eq!(asked(&left([1200, 1300, 1101])), Err(Flood::Unanswered));
        assert_eq!(asked(&left([1200, 1300, 1100])), Ok(()), "one of them is ten minutes old");
        assert_eq!(asked(&[past("a", No, 1401), past("b", No, 1900)]), Err(Flood::Denied));
        assert_eq!(asked(&[past("a", No, 1400), past("b", No, 1900)]), Ok(()));
        assert_eq!(asked(&[past("a", Yes, 1990), past("b", No, 1900), past("desk", Yes, 1950)]), Ok(()));
    }

    #[test]
    fn sign_ins_without_an_application_are_one_another_s() {
        let alone = Past { client: None, ..past("x", Said::Nothing, 1990) };
        let now = Timestamp::from_unix(2000);
        assert_eq!(check(std::slice::from_ref(&alone), None, now), Err(Flood::AnotherWaits));
        assert_eq!(check(&[alone], Some(&"desk".parse().unwrap()), now), Ok(()));
    }
}
