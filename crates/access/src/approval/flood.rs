//! How often a person may be asked: whoever is asked again and again says yes in the end. ATTACKS O20; CISA, Implementing
//! Number Matching in MFA Applications.

use std::time::Duration;

use chartgate_values::Timestamp;

use crate::grant::backchannel::BackchannelRequest;
use crate::grant::polling::Answer;
use crate::ids::ClientId;

/// How long whoever was told no does not ask that person again, from their question on.
pub const PAUSE_AFTER_NO: Duration = Duration::from_mins(5);
/// How many questions may wait for one person: more are a flood, whoever sends them.
pub const MOST_WAITING: usize = 3;
/// So many questions of one asker that were answered with no
pub const MOST_DENIED: usize = 2;
/// in such a time,
pub const WINDOW: Duration = Duration::from_mins(10);
/// or so many that nobody answered
pub const MOST_UNANSWERED: usize = 3;
/// since such a time are enough: until they are older, there are no others of theirs. It is longer than three questions
/// in a row wait.
pub const LEFT_WINDOW: Duration = Duration::from_mins(30);
/// However many ask: so many that were answered with no in that time,
pub const MOST_DENIED_IN_ALL: usize = 4;
/// or so many that nobody answered, are enough for everybody.
pub const MOST_UNANSWERED_IN_ALL: usize = 6;

/// A question that a person was asked before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// By whom.
    pub by: Asker,
    /// When.
    pub asked_at: Timestamp,
    /// Until when it could be answered.
    pub expires_at: Timestamp,
    /// How.
    pub said: Said,
}

/// Who asks, as far as limits go: what one of them does, no other has to wait for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asker {
    /// An application, which has shown which it is.
    Client(ClientId),
    /// Whoever knows the password and signs in: on the way to which application, they choose themselves.
    SignIn,
    /// Somebody who needs a yes, by whatever they are counted as.
    Person(String),
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
    /// One of the same asker waits.
    #[error("another question of the same application waits for this person")]
    AnotherWaits,
    /// As many as may.
    #[error("too many questions wait for this person")]
    TooManyWait,
    /// They have just said no to this asker.
    #[error("this person has just said no to this application")]
    SaidNo,
    /// They leave questions of this asker unanswered.
    #[error("this person has left too many questions of this application unanswered")]
    Unanswered,
    /// They say no to this asker.
    #[error("this person has said no to this application too often")]
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

/// Why a person is not asked for a while: somebody should look at it.
const UNANSWERED: &str = "too-many-unanswered";
const DENIED: &str = "too-many-denied";

impl Past {
    /// A client's question.
    #[must_use]
    pub fn of_client(request: &BackchannelRequest) -> Self {
        Self {
            by: Asker::Client(request.client_id.clone()),
            asked_at: request.asked_at,
            expires_at: request.expires_at,
            said: match request.polled.answer {
                Answer::Waiting => Said::Nothing,
                Answer::Approved(_) | Answer::Redeemed(_) => Said::Yes,
                Answer::Denied => Said::No,
            },
        }
    }

    fn waits(&self, now: Timestamp) -> bool {
        self.said == Said::Nothing && now < self.expires_at
    }

    fn was_left(&self, now: Timestamp) -> bool {
        self.said == Said::Nothing && self.expires_at <= now && now < self.expires_at.plus(LEFT_WINDOW)
    }
}

/// Whether a person who was asked `before` is asked one more by this one. Limits are for each who asks, so that one who asks too
/// often keeps no other from asking; and, wider, for all together, so that many who take turns are no way around them.
///
/// # Errors
/// [`Flood`]: why not.
pub fn check(before: &[Past], by: &Asker, now: Timestamp) -> Result<(), Flood> {
    let own: Vec<&Past> = before.iter().filter(|past| past.by == *by).collect();
    let refused =
        |within: Duration| move |past: &&&Past| past.said == Said::No && now < past.asked_at.plus(within);
    let all: Vec<&Past> = before.iter().collect();
    let denied = |of: &[&Past], within| of.iter().filter(refused(within)).count();
    if denied(&own, WINDOW) >= MOST_DENIED || denied(&all, LEFT_WINDOW) >= MOST_DENIED_IN_ALL {
        return Err(Flood::Denied);
    }
    let left = |of: &[&Past]| of.iter().filter(|past| past.was_left(now)).count();
    if left(&own) >= MOST_UNANSWERED || left(&all) >= MOST_UNANSWERED_IN_ALL {
        return Err(Flood::Unanswered);
    }
    if own.iter().any(|past| past.waits(now)) {
        return Err(Flood::AnotherWaits);
    }
    if before.iter().filter(|past| past.waits(now)).count() >= MOST_WAITING {
        return Err(Flood::TooManyWait);
    }
    if own.iter().any(|past| refused(PAUSE_AFTER_NO)(&past)) {
        return Err(Flood::SaidNo);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> Asker {
        Asker::Client(name.parse().unwrap())
    }

    fn past(by: &str, said: Said, at: i64) -> Past {
        Past {
            by: client(by),
            asked_at: Timestamp::from_unix(at),
            expires_at: Timestamp::from_unix(at.saturating_add(300)),
            said,
        }
    }

    fn asked(before: &[Past]) -> Result<(), Flood> {
        check(before, &client("desk"), Timestamp::from_unix(2000))
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
    fn o20_two_questions_that_were_denied_in_ten_minutes_or_three_that_were_left_in_thirty_are_enough() {
        use Said::{No, Nothing, Yes};
        let left = |at: [i64; 3]| at.map(|at| past("desk", Nothing, at));
        assert_eq!(asked(&left([1200, 1300, -99])), Err(Flood::Unanswered));
        assert_eq!(asked(&left([1200, 1300, -100])), Ok(()), "one of them is thirty minutes old");
        assert_eq!(asked(&left([800, 1100, 1400])), Err(Flood::Unanswered), "one behind the other");
        assert_eq!(asked(&[past("desk", No, 1401), past("desk", No, 1500)]), Err(Flood::Denied));
        assert_eq!(asked(&[past("desk", No, 1400), past("desk", No, 1500)]), Ok(()));
        assert_eq!(asked(&[past("a", Yes, 1990), past("desk", No, 1500), past("desk", Yes, 1950)]), Ok(()));
    }

    #[test]
    fn o20_nobody_who_asks_too_often_keeps_another_from_asking() {
        use Said::{No, Nothing};
        let noisy = [1200, 1300, 1400].map(|at| past("noisy", Nothing, at));
        assert_eq!(check(&noisy, &client("noisy"), Timestamp::from_unix(2000)), Err(Flood::Unanswered));
        assert_eq!(asked(&noisy), Ok(()));
        let denied = [past("noisy", No, 1900), past("noisy", No, 1950)];
        assert_eq!(asked(&denied), Ok(()));
        // Whoever signs in chooses on the way to which application: it is none of that application's doing.
        let sign_ins = denied.map(|past| Past { by: Asker::SignIn, ..past });
        assert_eq!(check(&sign_ins, &Asker::SignIn, Timestamp::from_unix(2000)), Err(Flood::Denied));
        assert_eq!(asked(&sign_ins), Ok(()));
    }

    #[test]
    fn o20_many_who_take_turns_are_no_way_around_the_limits() {
        use Said::{No, Nothing};
        let names = ["a", "b", "c", "d", "e", "f"];
        let left: Vec<Past> = names.iter().map(|name| past(name, Nothing, 1000)).collect();
        assert_eq!(asked(&left), Err(Flood::Unanswered));
        assert_eq!(asked(&left[1..]), Ok(()));
        let denied: Vec<Past> = names[..4].iter().map(|name| past(name, No, 300)).collect();
        assert_eq!(asked(&denied), Err(Flood::Denied));
        assert_eq!(asked(&denied[1..]), Ok(()));
        let older: Vec<Past> = names.iter().map(|name| past(name, No, 200)).collect();
        assert_eq!(asked(&older), Ok(()), "half an hour ago");
    }

    #[test]
    fn sign_ins_are_one_another_s() {
        let alone = Past { by: Asker::SignIn, ..past("x", Said::Nothing, 1990) };
        let now = Timestamp::from_unix(2000);
        assert_eq!(check(std::slice::from_ref(&alone), &Asker::SignIn, now), Err(Flood::AnotherWaits));
        assert_eq!(asked(&[alone]), Ok(()));
    }
}
