//! Where large answers wait: files sealed under a key that exists in memory alone.
//!
//! A FHIR answer has to be parsed, and its text must be in memory for that. What is bounded is how much of such text
//! there is at once. An answer beyond [`IN_MEMORY`] goes into a spool as it arrives, however slowly. A page of a listing is
//! gone through entry by entry from there. All else is taken into memory when there is [`Room`] for it, which all large
//! answers share; what is left of it to be released goes into a spool again, where it waits for its record and for its
//! client, however slowly that reads, and its room is free for others. So memory is bounded by [`IN_MEMORY`] for each
//! request, and the room times what parsing and rewriting make of a text: its copy, and the largest of its resources as a
//! tree.
//!
//! A spool's file has a key of its own, and no name as soon as it is open.
//! CRASH: what stays on the disk is blocks of no file, sealed under a key that is gone; a file that was not unlinked yet
//! is empty, and the next start removes it.

mod body;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::ids::Jti;
use chartgate_values::Entropy;
use chartgate_values::seal::{OVERHEAD, SealingKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::entropy::SystemEntropy;
use crate::net::throttle::Throttle;
pub(crate) use body::SpooledBody;

/// Answers up to this length are held in memory whole.
pub(crate) const IN_MEMORY: u64 = 1 << 20;
/// Bytes of text in one sealed piece.
const PIECE: usize = 256 << 10;
/// The text of large answers that may be in memory at once, unless a route takes longer ones.
const ROOM: u64 = 64 << 20;
/// How long an answer waits for room.
const ROOM_TIME: Duration = Duration::from_secs(30);

/// The folder of spools, and the room that is left in memory.
pub(crate) struct Spools {
    folder: PathBuf,
    room: Arc<Semaphore>,
    /// Knows when the disk is almost full: then what is left of it is the log's.
    throttle: Arc<Throttle>,
    /// How much there is in all, in KiB: a semaphore gives 32 bits of permits at once.
    total: Mutex<u64>,
}

/// Leave to hold a large answer in memory.
pub(crate) struct Room(#[expect(dead_code, reason = "holds the room while it lives")] OwnedSemaphorePermit);

/// A spool that is being written.
pub(crate) struct Spool {
    file: File,
    key: SealingKey,
    throttle: Arc<Throttle>,
    pieces: u64,
    length: u64,
    open: Zeroizing<Vec<u8>>,
}

/// A spool that is whole.
pub(crate) struct Spooled {
    file: File,
    key: SealingKey,
    length: u64,
}

impl Spools {
    /// Makes the folder in `data_dir`, and empties it of what a crash left.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(data_dir: &Path, throttle: Arc<Throttle>) -> io::Result<Self> {
        let folder = data_dir.join("spool");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            std::fs::remove_file(entry?.path())?;
        }
        let room = Arc::new(Semaphore::new(0));
        let spools = Self { folder, room, throttle, total: Mutex::default() };
        spools.make_room_for(ROOM);
        Ok(spools)
    }

    /// Sees to it that there is room for one answer of this length.
    pub(crate) fn make_room_for(&self, longest: u64) {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        // Answers beyond what memory can have at all are never read into it.
        let wanted = (longest >> 10).min(u64::from(u32::MAX));
        let more = wanted.saturating_sub(*total);
        self.room.add_permits(usize::try_from(more).unwrap_or_default());
        *total = (*total).max(wanted);
    }

    /// Waits a while for room for a text.
    pub(crate) async fn room(&self, length: u64) -> Option<Room> {
        self.room_within(ROOM_TIME, length).await
    }

    async fn room_within(&self, time: Duration, length: u64) -> Option<Room> {
        let permits = u32::try_from(length >> 10).ok()?;
        let room = Arc::clone(&self.room).acquire_many_owned(permits);
        tokio::time::timeout(time, room).await.ok()?.ok().map(Room)
    }

    /// A new spool.
    ///
    /// # Errors
    /// What the disk says, or that it is almost full.
    pub(crate) fn begin(&self) -> io::Result<Spool> {
        not_of_the_log(&self.throttle)?;
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let path = self.folder.join(Jti::random(entropy).to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        let key = SealingKey::from_bytes(&Zeroizing::new(entropy.bytes())).map_err(io::Error::other)?;
        let throttle = Arc::clone(&self.throttle);
        Ok(Spool { file, key, throttle, pieces: 0, length: 0, open: Zeroizing::default() })
    }

    /// Spools a text that is there already.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) async fn keep(self: &Arc<Self>, text: Bytes) -> io::Result<Spooled> {
        let spools = Arc::clone(self);
        blocking(move || {
            let mut spool = spools.begin()?;
            spool.write(&text)?;
            spool.end()
        })
        .await
    }
}

impl Spool {
    /// Adds to it. Blocking.
    ///
    /// # Errors
    /// What the disk says; the spool is then of no use.
    pub(crate) fn write(&mut self, mut text: &[u8]) -> io::Result<()> {
        self.length = self.length.saturating_add(text.len() as u64);
        while let Some((now, later)) = text.split_at_checked(PIECE.saturating_sub(self.open.len())) {
            self.open.extend_from_slice(now);
            text = later;
            self.flush()?;
        }
        self.open.extend_from_slice(text);
        Ok(())
    }

    /// Ends it. Blocking.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn end(mut self) -> io::Result<Spooled> {
        self.flush()?;
        Ok(Spooled { file: self.file, key: self.key, length: self.length })
    }

    fn flush(&mut self) -> io::Result<()> {
        not_of_the_log(&self.throttle)?;
        let place = place(self.pieces);
        let sealed = self.key.seal(&mut SystemEntropy, &place, &self.open).map_err(io::Error::other)?;
        self.file.write_all_at(&sealed, offset(self.pieces))?;
        self.pieces = self.pieces.saturating_add(1);
        self.open.clear();
        Ok(())
    }
}

impl Spooled {
    /// How long it is, opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// All of it, in memory. Blocking.
    ///
    /// # Errors
    /// What the disk says; also if it is not what was written.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(usize::try_from(self.length).unwrap_or_default());
        for number in 0..self.pieces() {
            text.extend_from_slice(self.piece(number)?.expose());
        }
        Ok(text)
    }

    /// In how many pieces it is.
    pub(crate) fn pieces(&self) -> u64 {
        self.length.div_euclid(PIECE as u64).saturating_add(1)
    }

    /// One piece. The last may be empty. Blocking.
    ///
    /// # Errors
    /// What the disk says; also if it is not what was written.
    pub(crate) fn piece(&self, number: u64) -> io::Result<chartgate_values::Secret<Vec<u8>>> {
        let left = self.length.saturating_sub(number.saturating_mul(PIECE as u64));
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut sealed = vec![0; length.saturating_add(OVERHEAD)];
        self.file.read_exact_at(&mut sealed, offset(number))?;
        self.key.open(&place(number), &sealed).map_err(io::Error::other)
    }
}

/// Refuses to write where what is left of the disk is the log's.
fn not_of_the_log(throttle: &Throttle) -> io::Result<()> {
    if throttle.reserve.is_touched() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

/// Where a piece stands in its file.
fn offset(number: u64) -> u64 {
    number.saturating_mul(PIECE.saturating_add(OVERHEAD) as u64)
}

/// What ties a piece to its place; a length that is known ties the last one.
fn place(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Does what may wait for the disk on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
