//! Keeping the index up with the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::reader::{Filter, ReadError, Reader};
use rusqlite::ErrorCode;

use super::{Additions, AuditIndex, Place};
use crate::idle::use_idle_time_alone;

/// How often it looks for new records.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// So many records are added at once.
const AT_ONCE: u64 = 4_096;
/// A log that grows by more than this between two looks is that of a busy machine.
const BUSY: u64 = 2_000;
/// So many records are added between two looks at a busy machine: what they cost would be taken from requests.
const PACE: u64 = 1_000;

/// Brings new records into the index until `stopped` closes; `covered` tells how far it is. It yields to whatever answers
/// requests: where the machine is busy, the index lags, and searches read from the log what it does not cover.
pub(crate) fn follow(
    place: &Place,
    (reader, keys): (&Reader, &DataKeys),
    covered: &Arc<AtomicU64>,
    stopped: &mpsc::Receiver<()>,
) {
    use_idle_time_alone();
    let (mut index, mut known) = (None, None);
    loop {
        let size = reader.checkpoint().map_or(0, |checkpoint| checkpoint.size());
        let is_busy = known.replace(size).is_some_and(|known| size.saturating_sub(known) > BUSY);
        let most = if is_busy { PACE } else { u64::MAX };
        match catch_up(&mut index, place, (reader, keys), (covered, most), stopped) {
            Ok(()) => {}
            Err(error) if is_damaged(&error) => {
                tracing::warn!(%error, "the audit index is made anew");
                index = None;
                remove(place);
            }
            // A full disk, for one: it goes on when there is room.
            Err(error) => tracing::warn!(%error, "the audit index was not brought up to date"),
        }
        if matches!(stopped.recv_timeout(LOOKS_EVERY), Err(mpsc::RecvTimeoutError::Disconnected)) {
            return;
        }
    }
}

/// The index of this log, begun anew where it goes on when the log has ended: then it was another's, or the log is an older
/// copy.
fn open(place: &Place, reader: &Reader) -> rusqlite::Result<AuditIndex> {
    let index = AuditIndex::open(place)?;
    let next = index.next()?;
    if reader.checkpoint().is_ok_and(|checkpoint| checkpoint.size() < next) {
        index.begin(place)?;
    }
    Ok(index)
}

/// The index, made anew if the key of a month is gone, for nobody is to learn from it whose records were read then, or is back.
fn of_what_is_there(
    index: AuditIndex,
    place: &Place,
    (reader, keys): (&Reader, &DataKeys),
) -> rusqlite::Result<AuditIndex> {
    // What cannot be listed now is listed at the next look.
    let Ok(months) = keys.months() else { return Ok(index) };
    if index.is_of_what_is_there(&months)? {
        return Ok(index);
    }
    tracing::info!(
        "the audit index is made anew, for the key of a month of the log is gone, or is there again"
    );
    drop(index);
    remove(place);
    let index = open(place, reader)?;
    index.is_of_what_is_there(&months)?;
    Ok(index)
}

fn catch_up(
    kept: &mut Option<AuditIndex>,
    place: &Place,
    (reader, keys): (&Reader, &DataKeys),
    (covered, most): (&AtomicU64, u64),
    stopped: &mpsc::Receiver<()>,
) -> rusqlite::Result<()> {
    let index = match kept.take() {
        Some(index) => index,
        None => open(place, reader)?,
    };
    let index = kept.insert(of_what_is_there(index, place, (reader, keys))?);
    let mut left = most;
    loop {
        let first = index.next()?;
        covered.store(first, Ordering::Relaxed);
        // What is under no checkpoint yet may still become something else: searches read it from the log.
        let Ok(size) = reader.checkpoint().map(|checkpoint| checkpoint.size()) else { return Ok(()) };
        let end = size.min(first.saturating_add(AT_ONCE.min(left)));
        left = left.saturating_sub(end.saturating_sub(first));
        if first >= end || matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Disconnected)) {
            return Ok(());
        }
        let mut additions = Additions::default();
        for entry in reader.pick(first..end, &Filter::default()) {
            match entry {
                Ok(entry) => index.note(&entry, &mut additions),
                Err(ReadError::Leaf { index, .. } | ReadError::Unseal { index, .. }) => {
                    additions.note_unreadable(index);
                }
                // The log's own threads say what is wrong with it.
                Err(_) => return Ok(()),
            }
        }
        index.add(additions, end)?;
    }
}

/// Whether the file is not what it should be, so that only another helps.
fn is_damaged(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::SchemaChanged
                | ErrorCode::Unknown
        ),
        _ => true,
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
