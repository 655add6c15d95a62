//! The log's files on a disk: `audit::storage` over `std::fs`. Blocking.
//!
//! Everything is readable by its owner alone. A file appears under its name only when it is whole: it is written
//! under a hidden name beside it, synced, renamed, and the folder synced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

mod objects;
mod segments;

pub(crate) use objects::ObjectFolder;
pub(crate) use segments::SegmentFolder;

/// Makes a folder and those above it up to `root`, which must be there. Durable.
fn create_folder(root: &Path, folder: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut next = Some(folder);
    while let Some(folder) = next.filter(|folder| *folder != root && !folder.is_dir()) {
        missing.push(folder);
        next = folder.parent();
    }
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_parent(folder)?,
        }
    }
    Ok(())
}

/// A file under a hidden name beside the one that it will have; removed if it never gets there, so that a full disk
/// is not filled further by attempts.
struct Unnamed {
    file: File,
    hidden: PathBuf,
    path: PathBuf,
    has_its_name: bool,
}

impl Unnamed {
    /// An empty file for `path`. One that a crash left behind is taken over.
    fn create(path: PathBuf) -> io::Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        let hidden = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&hidden)?;
        Ok(Self { file, hidden, path, has_its_name: false })
    }

    /// Gives the file its name, in the place of what had it.
    fn name(mut self) -> io::Result<()> {
        fs::rename(&self.hidden, &self.path)?;
        self.has_its_name = true;
        Ok(())
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.has_its_name {
            // Nobody will miss it.
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// Opens a file to read it. What is no regular file, such as a pipe, would keep whoever opens it waiting for ever.
fn open_regular(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"))
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        // A name alone is one of the working directory's.
        Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// The names in a folder, without hidden ones; none if there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    Ok(names)
}

/// Counts what is not there as done.
fn unless_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests;
