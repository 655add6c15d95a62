//! What is said of a backup as a whole, as a statement of the log's key.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chartgate_values::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BackupPath, Content};
use crate::checkpoint::parse_decimal;
use crate::note::{LogSigner, NoteError, VerifierKey};
use crate::record::UnknownName;
use crate::record::names::named;
use crate::statement::{self, StatementError};
use crate::tree::Hash;

named! {
    /// A part of an installation.
    Place {
        /// The configuration file.
        Config = "config",
        /// The folder of what is sealed under the master key.
        Keys = "keys",
        /// The database file.
        Store = "store",
        /// The log's folder.
        Log = "log",
        /// The folder of the policies in force.
        Policies = "policies",
        /// The folder of those on trial.
        Trial = "trial",
    }
}

/// What a backup is of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    /// When it was begun: what was done later is not in it, or not whole.
    pub made: Timestamp,
    /// Which version made it.
    pub version: String,
    /// The record of the log that it was begun with: of what is on record from there on, the store in it may know nothing.
    pub begun: u64,
    /// How many records of the log are in it.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The manifest's own digest and length.
    pub manifest: Content,
    /// Where each part lay, below the folder of the configuration; where it lay elsewhere, where it is restored to.
    pub places: Vec<(Place, BackupPath)>,
    /// What is not in it and has to be kept elsewhere, in words.
    pub needs: Vec<String>,
}

/// What cannot be believed of a backup.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LabelError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The key has signed it, and it says something that this version does not know.
    #[error("it is of a form that this version does not know")]
    Unknown,
}

/// The first line, which no log is called.
const KIND: &str = "chartgate-backup/v1";

impl Label {
    /// The signed note.
    ///
    /// # Errors
    /// [`StatementError`] if a text in it would be read as something else.
    pub fn sign(&self, signer: &LogSigner) -> Result<String, StatementError> {
        statement::sign(signer, KIND, &self.lines())
    }

    /// Reads a label that `key` has signed.
    ///
    /// # Errors
    /// [`LabelError`].
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, LabelError> {
        Self::parse(&statement::open(note, key, KIND)?).ok_or(LabelError::Unknown)
    }

    /// Where a part lay, if there was one.
    #[must_use]
    pub fn place(&self, place: Place) -> Option<&BackupPath> {
        self.places.iter().find(|(own, _)| *own == place).map(|(_, path)| path)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let Content { digest, length } = self.manifest;
        let mut lines = vec![
            format!("made {}", self.made),
            format!("version {}", self.version),
            format!("begun {}", self.begun),
            format!("checkpoint {} {}", self.size, self.root.to_hex()),
            format!("manifest {} {length}", digest.to_hex()),
        ];
        lines.extend(self.places.iter().map(|(place, path)| format!("place {place} {path}")));
        lines.extend(self.needs.iter().map(|need| format!("needs {need}")));
        lines
    }

    pub(crate) fn parse(lines: &[String]) -> Option<Self> {
        let mut rest = lines.iter().map(String::as_str).peekable();
        let mut word = |name: &str| rest.next_if(|line| is_of(line, name)).and_then(|line| value(line, name));
        let made: Timestamp = word("made")?.parse().ok()?;
        let version = word("version")?.to_owned();
        let begun = parse_decimal(word("begun")?)?;
        let (size, root) = word("checkpoint")?.split_once(' ')?;
        let (digest, length) = word("manifest")?.split_once(' ')?;
        let mut places: Vec<(Place, BackupPath)> = Vec::new();
        while let Some(text) = word("place") {
            let (place, path) = text.split_once(' ')?;
            let place: Place = place.parse().ok()?;
            if places.iter().any(|(known, _)| *known == place) {
                return None;
            }
            places.push((place, path.parse().ok()?));
        }
        let mut needs = Vec::new();
        while let Some(need) = word("needs") {
            needs.push(need.to_owned());
        }
        let label = Self {
            made,
            version,
            begun,
            size: parse_decimal(size)?,
            root: Hash::from_hex(root).ok()?,
            manifest: Content { digest: Hash::from_hex(digest).ok()?, length: parse_decimal(length)? },
            places,
            needs,
        };
        // One spelling each: what does not print as it was written was written otherwise, or says more.
        (label.lines() == lines).then_some(label)
    }
}

fn is_of(line: &str, name: &str) -> bool {
    value(line, name).is_some()
}

fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_prefix(name)?.strip_prefix(' ')
}
