//! What a backup says of itself: its files with their digests ([`Manifest`]), and of which log up to where they are, signed
//! with that log's key ([`Label`]). And which files of a log as far as a checkpoint go into it ([`copy_log`]).
//!
//! All of it is bytes from outside once somebody restores: nothing in it can name a place outside the backup's folder.

mod copy;
mod label;
mod manifest;
mod path;
#[cfg(test)]
mod tests;

pub use copy::{CopyError, copy_log, read_marks};
pub use label::{Label, LabelError, Place};
pub use manifest::{Content, Digesting, Manifest, ManifestError};
pub use path::{BackupPath, ParsePathError};
