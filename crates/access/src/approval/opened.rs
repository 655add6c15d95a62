//! What somebody is shown of emergency access that was opened in their name: it is told, not asked, for care waits for no phone.
//! 45 CFR 164.312(a)(2)(ii).

use std::time::Duration;

use chartgate_values::Timestamp;

use super::question::{Question, place, until};

/// How long its person can say whether it was they. Nothing waits for that.
pub const ANSWERABLE: Duration = Duration::from_hours(24);

/// Emergency access, as its person is told of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Since when.
    pub at: Timestamp,
    /// When it ends by itself.
    pub ends: Timestamp,
    /// The reason that was chosen, in words.
    pub reason: &'static str,
    /// The one that was written, unless it cannot be read any more.
    pub explanation: Option<String>,
}

impl Opened {
    /// Its lines, which are kept from making others of themselves by whoever shows them.
    pub(super) fn lines(&self, of: &Question) -> Vec<(&'static str, Option<String>)> {
        let why = match &self.explanation {
            Some(explanation) => format!("{}: “{explanation}”", self.reason),
            None => self.reason.to_owned(),
        };
        vec![
            ("What happened", Some("Emergency access was opened in your name".to_owned())),
            ("In whose name", Some(of.actor.to_string())),
            ("Whose record", of.patient.as_ref().map(|patient| format!("Patient {patient}"))),
            ("Through", of.client.as_ref().map(|client| format!("The application {client}"))),
            ("Why", Some(why)),
            ("From where", of.from.map(place)),
            ("When", Some(until(self.at))),
            ("Ends", Some(until(self.ends))),
            ("Answer until", Some(until(of.expiry))),
        ]
    }
}
