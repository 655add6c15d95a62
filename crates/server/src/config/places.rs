//! Where everything lies: read by itself of a configuration of which the rest may not be good here.

use std::path::{Path, PathBuf};

use super::section::{Reading, Section};
use super::{ConfigError, Opened, audit, open, source, store};

/// Where what a backup is made of lies.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) data_dir: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) policy_dir: PathBuf,
    pub(crate) shadow_dir: Option<PathBuf>,
}

impl Places {
    /// Reads them of a file and the environment.
    ///
    /// # Errors
    /// What is wrong with these, or with the file as a whole.
    pub(crate) fn load(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let Opened { text, folder, environment } = open(file)?;
        Self::read(&text, &folder, environment)
    }

    /// The same, as if the file lay in another folder: what lies in that one then is named relative to the file.
    ///
    /// # Errors
    /// As [`Places::load`].
    pub(crate) fn load_as_if_in(file: &Path, folder: &Path) -> Result<Self, Vec<ConfigError>> {
        let Opened { text, environment, .. } = open(file)?;
        Self::read(&text, folder, environment)
    }

    fn read(text: &str, folder: &Path, environment: Vec<(String, String)>) -> Result<Self, Vec<ConfigError>> {
        let mut tree = source::parse(text)?;
        let errors = source::overlay(&mut tree, environment.into_iter());
        let nothing = |_: &str| None;
        let mut reading =
            Reading { folder, environment: &nothing, errors, paths: Vec::new(), variables: Vec::new() };
        let mut root = Section::root(tree);
        let data_dir = data_dir(&mut reading, &mut root);
        let section = root.table(&mut reading, "store");
        let store = store(&mut reading, section, &data_dir);
        let mut section = root.table(&mut reading, "audit");
        let log = audit::dir(&mut reading, &mut section, &data_dir);
        let section = root.table(&mut reading, "policy");
        let (policy_dir, shadow_dir) = policies(&mut reading, section);
        match store {
            Some(store) if reading.errors.is_empty() => {
                Ok(Self { data_dir, store, log, policy_dir, shadow_dir })
            }
            Some(_) | None => Err(reading.errors),
        }
    }
}

/// Where store, keys and log are, if nothing else is said of them.
pub(super) fn data_dir(reading: &mut Reading<'_>, root: &mut Section) -> PathBuf {
    root.path(reading, "data_dir").unwrap_or_else(|| reading.folder.join("data"))
}

/// The folders of the policies in force and on trial.
pub(super) fn policies(reading: &mut Reading<'_>, mut section: Section) -> (PathBuf, Option<PathBuf>) {
    let dir = section.path(reading, "dir").unwrap_or_else(|| reading.folder.join("policies"));
    let shadow = section.path(reading, "shadow");
    section.finish(reading);
    (dir, shadow)
}
