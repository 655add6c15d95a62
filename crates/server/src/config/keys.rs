//! Where the master key is.

use std::path::{Path, PathBuf};

use super::section::{Reading, Section};

/// Where the master key is: 64 hexadecimal digits. It is read when the store is opened, not when the configuration is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum MasterKeySource {
    /// In a file that nobody else can read.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
    /// On the standard output of a program: a key management service's client.
    Command(Vec<String>),
}

impl MasterKeySource {
    pub(super) fn read(reading: &mut Reading<'_>, mut section: Section, data_dir: &Path) -> Option<Self> {
        let master = section.optional_table(reading, "master");
        section.finish(reading);
        let Some(mut master) = master else { return Some(Self::File(data_dir.join("master.key"))) };
        let line = master.line();
        let file = master.path(reading, "file");
        let variable = master.text(reading, "env");
        let command = master.texts(reading, "command");
        master.finish(reading);
        match (file, variable, command) {
            (Some(file), None, command) if command.is_empty() => Some(Self::File(file)),
            (None, Some(variable), command) if command.is_empty() => Some(Self::Environment(variable)),
            (None, None, command) if !command.is_empty() => Some(Self::Command(command)),
            (_, _, _) => {
                let problem =
                    "needs exactly one of `file`, `env` and `command`, a list of a program and its words";
                reading.error(line, "keys.master", problem);
                None
            }
        }
    }
}
