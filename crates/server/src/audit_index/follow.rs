//! Keeping the index up with the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use chartgate_audit::reader::{Entry, ReadError, Reader};

use super::{AuditIndex, Place};

/// How often it looks for new records.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// So many records are added at once.
const AT_ONCE: usize = 16_384;

/// Brings new records into the index until `stopped` closes; `covered` tells how far it is. It yields to whatever answers
/// requests: where the machine is busy, the index lags.
pub(crate) fn follow(place: &Place, reader: &Reader, covered: &Arc<AtomicU64>, stopped: &mpsc::Receiver<()>) {
    let _ = rustix::process::setpriority_process(None, 19);
    let mut index = None;
    loop {
        match catch_up(&mut index, place, reader, covered, stopped) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "the audit index is made anew");
                index = None;
                remove(place);
            }
        }
        if matches!(stopped.recv_timeout(LOOKS_EVERY), Err(mpsc::RecvTimeoutError::Disconnected)) {
            return;
        }
    }
}

fn catch_up(
    open: &mut Option<AuditIndex>,
    place: &Place,
    reader: &Reader,
    covered: &AtomicU64,
    stopped: &mpsc::Receiver<()>,
) -> rusqlite::Result<()> {
    let index = match open {
        Some(index) => index,
        None => {
            let opened = AuditIndex::open(place)?;
            // An index that goes on where the log has ended was another's, or the log is an older copy.
            let next = opened.next()?;
            if next > 0
                && !matches!(reader.entry(next.saturating_sub(1)), Ok(Some(_)) | Err(ReadError::Leaf { .. }))
            {
                opened.begin(place)?;
            }
            open.insert(opened)
        }
    };
    loop {
        let mut entries = reader.entries(index.next()?);
        let mut read: Vec<Entry> = Vec::new();
        for entry in entries.by_ref().take(AT_ONCE) {
            match entry {
                Ok(entry) => read.push(entry),
                // What is behind an entry that does not open can be read.
                Err(ReadError::Leaf { .. } | ReadError::Unseal { .. }) => {}
                // The log's own threads say what is wrong with it.
                Err(_) => break,
            }
        }
        let next = entries.position();
        if next == index.next()? {
            covered.store(next, Ordering::Relaxed);
            return Ok(());
        }
        index.add(&read, next)?;
        covered.store(next, Ordering::Relaxed);
        if matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
            return Ok(());
        }
    }
}

/// Removes what cannot be used.
fn remove(place: &Place) {
    for end in ["", "-wal", "-shm"] {
        let mut path = place.path.clone().into_os_string();
        path.push(end);
        let _ = std::fs::remove_file(path);
    }
}
