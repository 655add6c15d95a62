//! Emergency access: how long, how often before somebody looks at it, and who is told.

use std::time::Duration;

use chartgate_access::emergency::{LONGEST, Limits};
use chartgate_protocol::oauth::https_uri::HttpsUri;

use super::section::{Reading, Section};

/// Emergency access.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Emergency {
    pub(crate) limits: Limits,
    /// Where a program is told at once.
    pub(crate) webhook: Option<HttpsUri>,
    /// How a person is told at once.
    pub(crate) mail: Option<Mail>,
    /// Whom to turn to, as people read it.
    pub(crate) contact: Option<String>,
}

/// A message to the privacy officer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mail {
    /// A program and its words, which takes the message on its standard input, as sendmail does.
    pub(crate) command: Vec<String>,
    pub(crate) to: String,
    pub(crate) from: String,
}

impl Emergency {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let minutes = Duration::from_mins;
        let limits = Limits {
            duration: section.duration(reading, "duration", LONGEST, minutes(1)..=LONGEST),
            unreviewed: section.number(reading, "unreviewed_limit", 3, 1..=100),
            review_within: section.duration(
                reading,
                "review_within",
                Duration::from_hours(72),
                minutes(1)..=Duration::from_hours(24 * 30),
            ),
        };
        let webhook = section.parsed(reading, "webhook");
        let mail = Mail::read(reading, &mut section);
        let contact = section.text(reading, "contact");
        section.finish(reading);
        Self { limits, webhook, mail, contact }
    }
}

impl Mail {
    fn read(reading: &mut Reading<'_>, section: &mut Section) -> Option<Self> {
        let line = section.line_of("mail_command");
        let command = section.texts(reading, "mail_command");
        let (to_line, from_line) = (section.line_of("mail_to"), section.line_of("mail_from"));
        let to = section.text(reading, "mail_to");
        let from = section.text(reading, "mail_from");
        for (line, name, address) in [(to_line, "mail_to", &to), (from_line, "mail_from", &from)] {
            if address.as_deref().is_some_and(|address| !is_address(address)) {
                reading.error(
                    line,
                    section.key(name),
                    "has to be one address, such as privacy@clinic.example",
                );
            }
        }
        match (command.is_empty(), to, from) {
            (true, None, None) => None,
            (false, Some(to), from) => {
                let from = from.unwrap_or_else(|| to.clone());
                Some(Self { command, to, from })
            }
            (_, _, _) => {
                let problem = "`mail_command` and `mail_to` go together";
                reading.error(line, section.key("mail_command"), problem);
                None
            }
        }
    }
}

/// One plain address: what stands in a header must not begin another.
fn is_address(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"@.!#$%&'*+/=?^_`{|}~-".contains(&b);
    text.len() <= 254 && text.bytes().all(is_plain) && text.matches('@').count() == 1
}
