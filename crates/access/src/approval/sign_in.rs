//! Asking a person on their phone whether it is they who sign in. The screen where they do shows six digits, and the phone asks
//! for these: whoever did not see that screen cannot say yes. NIST SP 800-63B-4 section 3.1.3.2; ATTACKS O20.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use chartgate_values::{Entropy, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::flood::{Asker, Past, Said};
use super::known::Acquaintance;
use super::question::{Action, Question};
use crate::ids::{ClientId, Subject};

/// How long a person has to find their phone.
pub const LIFE: Duration = Duration::from_mins(3);
/// So many wrong numbers end it.
pub const MOST_TRIES: u32 = 3;

/// Six digits that one screen shows and the other asks for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Number(u32);

/// It is no such number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a number has exactly six digits")]
pub struct NotANumber;

impl Number {
    /// Draws one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        // 2^64 is so much more than a million that none comes up noticeably more often than another.
        Self(u32::try_from(u64::from_le_bytes(entropy.bytes()) % 1_000_000).unwrap_or_default())
    }

    /// The digits.
    #[must_use]
    pub fn shown(self) -> String {
        format!("{:06}", self.0)
    }

    /// Whether it is the one that was shown.
    #[must_use]
    pub fn is(self, shown: Self) -> bool {
        self.0.ct_eq(&shown.0).into()
    }
}

impl FromStr for Number {
    type Err = NotANumber;

    /// As people type it, with or without a space in the middle.
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let digits: String = text.chars().filter(|c| *c != ' ').collect();
        let is_plain = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_plain { digits.parse().map(Self).map_err(|_| NotANumber) } else { Err(NotANumber) }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<number>")
    }
}

/// A sign-in that waits for its person's yes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SignInApproval {
    /// Whose.
    pub subject: Subject,
    /// On the way to which application.
    pub client: Option<ClientId>,
    /// From where.
    pub from: IpAddr,
    /// Since when.
    pub asked_at: Timestamp,
    /// Until when it can be answered, and used.
    pub expires_at: Timestamp,
    /// How many wrong numbers were typed.
    pub tries: u32,
    /// What was said.
    pub answer: SignInAnswer,
}

/// What was said.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInAnswer {
    /// Nothing yet.
    Waiting,
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// Nothing: the numbers were wrong.
    Failed,
    /// Yes, and the session has begun.
    Used,
}

/// What came of a typed number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a wrong number is kept"]
pub enum Matched {
    /// It is the one.
    Right,
    /// It is not.
    Wrong,
    /// It is not, and was the last try.
    Over,
}

impl SignInAnswer {
    /// The stable name of the state, for a store that replaces what is still in it.
    #[must_use]
    pub fn state(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Used => "used",
        }
    }
}

impl SignInApproval {
    /// One that is asked now.
    #[must_use]
    pub fn new(subject: Subject, client: Option<ClientId>, from: IpAddr, now: Timestamp) -> Self {
        Self {
            subject,
            client,
            from,
            asked_at: now,
            expires_at: now.plus(LIFE),
            tries: 0,
            answer: SignInAnswer::Waiting,
        }
    }

    /// Whether it waits for an answer.
    #[must_use]
    pub fn waits(&self, now: Timestamp) -> bool {
        self.answer == SignInAnswer::Waiting && now < self.expires_at
    }

    /// Compares a typed number with the one that was shown; what is kept of it.
    pub fn typed(self, typed: Option<Number>, shown: Number) -> (Self, Matched) {
        if typed.is_some_and(|typed| typed.is(shown)) {
            return (self, Matched::Right);
        }
        let tries = self.tries.saturating_add(1);
        if tries >= MOST_TRIES {
            (Self { tries, answer: SignInAnswer::Failed, ..self }, Matched::Over)
        } else {
            (Self { tries, ..self }, Matched::Wrong)
        }
    }

    /// What the person is shown.
    #[must_use]
    pub fn question(&self, id: &str) -> Question {
        Question {
            id: id.to_owned(),
            client: self.client.clone(),
            // Nobody is asked on the way to one that they never used.
            acquaintance: Acquaintance::Used,
            actor: self.subject.clone(),
            action: Action::SignIn,
            patient: None,
            data_class: String::new(),
            audience: None,
            purpose: None,
            message: None,
            from: Some(self.from),
            expiry: self.expires_at,
        }
    }

    /// As a question of before.
    #[must_use]
    pub fn past(&self) -> Past {
        Past {
            by: Asker::SignIn,
            asked_at: self.asked_at,
            expires_at: self.expires_at,
            said: match self.answer {
                SignInAnswer::Waiting => Said::Nothing,
                SignInAnswer::Approved | SignInAnswer::Used => Said::Yes,
                SignInAnswer::Denied | SignInAnswer::Failed => Said::No,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use chartgate_values::SeededEntropy;

    use super::*;

    fn asked() -> SignInApproval {
        let now = Timestamp::from_unix(1000);
        SignInApproval::new("dana".parse().unwrap(), None, "203.0.113.9".parse().unwrap(), now)
    }

    #[test]
    fn a_number_is_six_digits_however_they_are_grouped() {
        let number: Number = "012 345".parse().unwrap();
        assert_eq!(number.shown(), "012345");
        assert!(number.is("012345".parse().unwrap()) && !number.is("012346".parse().unwrap()));
        assert_eq!(format!("{number:?}"), "<number>");
        for bad in ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "+12345"] {
            assert_eq!(bad.parse::<Number>(), Err(NotANumber), "{bad}");
        }
        let mut entropy = SeededEntropy::new(1);
        let drawn: std::collections::BTreeSet<_> =
            (0..100).map(|_| Number::random(&mut entropy).shown()).collect();
        assert!(drawn.len() > 90 && drawn.iter().all(|shown| shown.len() == 6));
    }

    #[test]
    fn o20_three_wrong_numbers_end_it() {
        let (shown, wrong) = ("123456".parse().unwrap(), "123457".parse().ok());
        let (kept, first) = asked().typed(wrong, shown);
        assert_eq!((first, kept.answer), (Matched::Wrong, SignInAnswer::Waiting));
        let (kept, second) = kept.typed(None, shown);
        assert_eq!(second, Matched::Wrong, "nothing typed is wrong too");
        assert_eq!(kept.clone().typed(Some(shown), shown), (kept.clone(), Matched::Right));
        let (kept, third) = kept.typed(wrong, shown);
        assert_eq!((third, kept.answer), (Matched::Over, SignInAnswer::Failed));
        assert!(!kept.waits(Timestamp::from_unix(1001)));
    }

    #[test]
    fn it_waits_until_its_time_is_over_and_not_after() {
        assert!(asked().waits(Timestamp::from_unix(1179)));
        assert!(!asked().waits(Timestamp::from_unix(1180)));
    }
}
