//! What people read in e-mail: in every language that there is, for nobody knows which its reader has.

use crate::tongue::{ALL, Said, Tongue};

/// A message to somebody.
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// What a letter says in one language: its subject and its paragraphs.
pub(crate) type InOne = (Said, Vec<Said>);

impl Letter {
    /// What is said in each language, one after another, and in the end where it leads.
    pub(crate) fn new(say: impl Fn(Tongue) -> InOne, leads: &str) -> Self {
        let (mut subjects, mut paragraphs) = (Vec::new(), Vec::new());
        for (subject, said) in ALL.map(say) {
            subjects.push(subject.plain());
            paragraphs.extend(said.iter().map(Said::plain));
        }
        paragraphs.push(leads.to_owned());
        Self { subject: subjects.join(" / "), text: paragraphs.join("\n\n") + "\n" }
    }
}

/// What the gateway that people sign in to is called in letters.
pub(crate) fn place(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer)
}
