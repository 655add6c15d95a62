//! A client that asks again and again whether a person has answered: how often it may, and what it gets. RFC 8628 section
//! 3.5; CIBA Core section 11.

use std::time::Duration;

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::Grant;

/// How long a client waits between two polls. Five seconds more after each that came too soon.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The longest that it is told to wait.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// How far a request has come that its client polls for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Polled {
    /// How long the client has to wait between two polls by now.
    pub interval: Duration,
    /// Its last poll.
    pub polled_at: Option<Timestamp>,
    /// What the person said.
    pub answer: Answer,
}

/// What the person said.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Nothing yet.
    Waiting,
    /// Yes: this is what the client gets.
    Approved(Box<Grant>),
    /// No.
    Denied,
    /// Yes, and the client has its tokens, or is about to: whoever takes the grant back finds it here before it has a row of its own.
    Redeemed(Box<Grant>),
}

/// What a poll comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "a poll decides what the store writes"]
pub enum Poll {
    /// The person said yes: redeem the grant, this once.
    Redeem(Box<Grant>),
    /// Ask again.
    Wait,
    /// Ask again, but less often.
    SlowDown,
    /// There is nothing to wait for.
    Refuse(PollError),
}

/// Why a client gets nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PollError {
    /// There is none such.
    #[error("the request is unknown")]
    Unknown,
    /// RFC 8628 section 3.4, CIBA Core section 11: bound to the client.
    #[error("the request is another client's")]
    WrongClient,
    /// RFC 8628 section 3.5.
    #[error("the request has expired")]
    Expired,
    /// RFC 8628 section 3.5.
    #[error("the person said no")]
    Denied,
    /// Good once.
    #[error("the request was redeemed before")]
    Redeemed,
    /// RFC 9449 section 10, for requests that are polled for.
    #[error("the request was made with another key")]
    WrongKey,
}

impl Answer {
    /// The stable name of the state, for a store that replaces what is still in it.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved(_) => "approved",
            Self::Denied => "denied",
            Self::Redeemed(_) => "redeemed",
        }
    }
}

impl Default for Polled {
    fn default() -> Self {
        Self { interval: POLL_INTERVAL, polled_at: None, answer: Answer::Waiting }
    }
}

impl Polled {
    /// Decides what a poll at `now` by whoever may poll comes to, and what is kept of it.
    pub fn poll(self, now: Timestamp) -> (Self, Poll) {
        match self.answer {
            Answer::Denied => (self, Poll::Refuse(PollError::Denied)),
            Answer::Redeemed(_) => (self, Poll::Refuse(PollError::Redeemed)),
            Answer::Approved(grant) => {
                (Self { answer: Answer::Redeemed(grant.clone()), ..self }, Poll::Redeem(grant))
            }
            Answer::Waiting => {
                let too_soon = self.polled_at.is_some_and(|last| now < last.plus(self.interval));
                let kept = Self { polled_at: Some(now), ..self };
                if too_soon {
                    let interval = kept.interval.saturating_add(POLL_INTERVAL).min(LONGEST_INTERVAL);
                    (Self { interval, ..kept }, Poll::SlowDown)
                } else {
                    (kept, Poll::Wait)
                }
            }
        }
    }
}
