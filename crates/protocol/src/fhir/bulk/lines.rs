//! NDJSON as it arrives: a record a line. HL7 FHIR R4, nd-json.html.

use crate::fhir::resource::{BadAnswer, Resource};

/// Takes a text apart into lines, of which the longest is bounded.
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    begun: Vec<u8>,
}

/// A line is longer than is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a line is too long")]
pub struct LineTooLong;

impl Lines {
    /// Lines of at most so many bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { longest, begun: Vec::new() }
    }

    /// The lines that end within the next piece. Empty ones are none.
    ///
    /// # Errors
    /// [`LineTooLong`].
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Vec::new();
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            self.begin(line)?;
            lines.extend(self.end());
            rest = after.get(1..).unwrap_or_default();
        }
        self.begin(rest)?;
        Ok(lines)
    }

    /// The last line, where nothing ended it.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.begun);
        (!line.trim_ascii().is_empty()).then_some(line)
    }

    fn begin(&mut self, text: &[u8]) -> Result<(), LineTooLong> {
        if self.begun.len().saturating_add(text.len()) > self.longest {
            return Err(LineTooLong);
        }
        self.begun.extend_from_slice(text);
        Ok(())
    }
}

/// The record of a line.
///
/// # Errors
/// [`BadAnswer`].
pub fn record_in(line: &[u8]) -> Result<Resource<'_>, BadAnswer> {
    Resource::parse_any(line)
}
