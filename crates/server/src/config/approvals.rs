//! Questions to people that wait for an answer.

use super::section::{Reading, Section};

/// How they may be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Approvals {
    pub(crate) command_line: CommandLine,
}

/// Whether the command line may answer for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CommandLine {
    /// It shows them, no more.
    Shows,
    /// It answers: only where nobody's records are at stake.
    Answers,
}

impl Approvals {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let command_line =
            section.choice(reading, "command_line", [CommandLine::Shows, CommandLine::Answers]);
        section.finish(reading);
        Self { command_line }
    }
}
