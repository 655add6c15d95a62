//! What the log needs of a disk: two small traits whose comments are contracts, and a third for the one fact that
//! must be kept elsewhere.
//!
//! Paths are relative to the log's folder, made by this crate alone, of `a-z 0-9 . - /` only.

use std::io;

use crate::checkpoint::SignedCheckpoint;

#[cfg(any(test, feature = "testing"))]
pub mod memory;

/// A file to be stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Object {
    /// Where it belongs.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Files that are written whole: tiles, entry bundles, blobs, keys, the checkpoint.
///
/// Blocking. A reader may look at any time, also from another process, and takes no lock.
pub trait Objects: Send + Sync {
    /// Stores every object durably under its path, in the place of what stood there.
    ///
    /// On success each is there after a power cut, its name included. On failure, and after a crash within, each
    /// is there whole, or is not there, or what it would have replaced still stands; never a part of one. Objects of
    /// one call may appear in any order.
    ///
    /// # Errors
    /// What the disk says. Some of the objects may be stored nevertheless.
    fn put(&self, objects: &[Object]) -> io::Result<()>;

    /// The whole content of an object.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else what the disk says.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The names directly in a folder, in any order; none if there is no such folder.
    ///
    /// # Errors
    /// What the disk says.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Removes an object, or a folder with all that is in it, durably. One that is not there counts as removed.
    ///
    /// # Errors
    /// What the disk says.
    fn remove(&self, path: &str) -> io::Result<()>;
}

/// The journal's segments: files of fixed length, numbered, each written once from its start to its end.
///
/// Blocking. One writer; readers may look at any time, also from another process, and take no lock.
pub trait Segments: Send + Sync {
    /// The numbers of all segments, ascending.
    ///
    /// # Errors
    /// What the disk says.
    fn numbers(&self) -> io::Result<Vec<u64>>;

    /// Makes a segment of `length` zero bytes.
    ///
    /// On success the file, its length, its blocks on the disk and its name are durable, so that a later write
    /// within it changes content alone. On failure there may be such a segment or none.
    ///
    /// # Errors
    /// What the disk says; [`io::ErrorKind::AlreadyExists`] if the number is taken.
    fn create(&self, number: u64, length: u64) -> io::Result<Box<dyn Segment>>;

    /// Up to `length` bytes of a segment from `offset` on; fewer only where the segment ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such segment; else what the disk says.
    fn read_at(&self, number: u64, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Removes a segment, durably. One that is not there counts as removed.
    ///
    /// # Errors
    /// What the disk says.
    fn discard(&self, number: u64) -> io::Result<()>;
}

/// A segment that is being written.
pub trait Segment: Send {
    /// Writes all bytes at `offset`, within the segment's length. Not yet durable.
    ///
    /// After a crash each 512-byte sector that the bytes touch is either as it was or as written, each for
    /// itself.
    ///
    /// # Errors
    /// What the disk says. What then stands at that place is unknown.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// What the disk says. Whether anything since the last success is durable is then unknown, and stays so: a
    /// later success says nothing of it.
    fn sync(&mut self) -> io::Result<()>;
}

/// Keeps the last signed checkpoint apart from the log, so that a log which was put back or forked is noticed.
///
/// Blocking.
pub trait CheckpointKeeper: Send + Sync {
    /// The note last kept, if any.
    ///
    /// # Errors
    /// What the store says.
    fn last(&self) -> io::Result<Option<String>>;

    /// Durably keeps `new` if `old` is what is kept now (`None`: nothing yet).
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something else is kept; else what the store says, and then either may
    /// be kept.
    fn advance(&self, old: Option<&SignedCheckpoint>, new: &SignedCheckpoint) -> io::Result<()>;
}
