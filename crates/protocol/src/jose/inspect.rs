//! Verdicts on many tokens: a JSON object a line in, a JSON object a line out.

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::access_token::{AccessTokenVerifier, Presentation};
use super::key_set::KeySet;
use super::rejection::Rejection;
use crate::json;

/// What tokens are judged by. They count as sent as plain `Bearer`.
#[derive(Clone, Copy, Debug)]
pub struct Inspector<'a> {
    /// The rules.
    pub verifier: &'a AccessTokenVerifier,
    /// The issuer's keys.
    pub keys: &'a KeySet,
    /// The time at which tokens are judged.
    pub now: Timestamp,
}

/// What was found on one line.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Line {
    /// The line's own `id`, if it has one that is a string.
    pub id: Option<String>,
    /// Accepted or not.
    pub verdict: Verdict,
    /// Why not: a [`Rejection::reason`], or [`NOT_A_LINE`].
    pub reason: Option<&'static str>,
}

/// Whether a resource server would take the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would.
    Accept,
    /// It would not.
    Reject,
}

/// The reason given for a line that is no JSON object with `id` and `token`.
pub const NOT_A_LINE: &str = "not-a-line";

impl Inspector<'_> {
    /// Judges the token on one line. Whatever the line is, there is a verdict.
    #[must_use]
    pub fn line(&self, line: &[u8]) -> Line {
        #[derive(Deserialize)]
        struct Question<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            token: &'a RawValue,
        }
        let reject = |id, reason| Line { id, verdict: Verdict::Reject, reason: Some(reason) };
        let Ok(question) = serde_json::from_slice::<Question<'_>>(line) else {
            return reject(None, NOT_A_LINE);
        };
        let id = question.id.and_then(|id| json::read_string(id.get()).ok()).map(|id| id.into_owned());
        // A token that is no sound text, such as one with half a surrogate pair, has no three parts either.
        let Ok(token) = json::read_string(question.token.get()) else {
            return reject(id, Rejection::Malformed.reason());
        };
        match self.verifier.verify(&token, self.keys, Presentation::BEARER, self.now) {
            Ok(_) => Line { id, verdict: Verdict::Accept, reason: None },
            Err(cause) => reject(id, cause.reason()),
        }
    }
}

#[cfg(test)]
mod tests;
