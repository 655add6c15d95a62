//! Whether a FHIR route tells policies which patients are minors.

use super::section::{Reading, Section};

/// Whether records of minors are labelled, and who is one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MinorLabels {
    Off,
    /// Of patients younger than so many years.
    Under(u8),
}

impl MinorLabels {
    /// Reads what a route says of it.
    pub(super) fn read(reading: &mut Reading<'_>, section: &mut Section) -> Self {
        let line = section.line_of("minors");
        let is_on = match section.text(reading, "minors").as_deref() {
            None | Some("off") => false,
            Some("label") => true,
            Some(other) => {
                let problem = format!("`{other}` is not one of off, label");
                reading.error(line, section.key("minors"), problem);
                false
            }
        };
        let age = u8::try_from(section.number(reading, "minor_age", 18, 1..=25)).unwrap_or(18);
        if is_on { Self::Under(age) } else { Self::Off }
    }
}
