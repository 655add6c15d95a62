//! A reserve of disk for those who have shown who they are. CONTRACT section 3.
//!
//! Anybody can make us write records, by failing. While there is less free disk than the reserve, a request that did not
//! show who makes it is turned away with 503 and counted, and one record a minute tells how many there were. Everybody
//! else goes on until the log itself cannot be written.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chartgate_values::Timestamp;

/// How often a record is made of those who were turned away.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Whether the reserve is touched, and who was turned away for it.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    is_touched: AtomicBool,
    /// Turned away, ever.
    total: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// So many stand in records.
    count: u64,
    at: Option<Timestamp>,
}

/// The disk that is left is kept for others.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the disk that is left is kept for authenticated requests")]
pub(crate) struct KeptForOthers;

/// What a look at the disk changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    Same,
    /// From now on strangers are turned away.
    Touched,
    /// They are heard again.
    Restored,
}

impl Reserve {
    /// Whether a record may be written of a request that did not show who makes it. Who is turned away is counted.
    ///
    /// # Errors
    /// [`KeptForOthers`].
    pub(crate) fn admit_stranger(&self) -> Result<(), KeptForOthers> {
        if !self.is_touched() {
            return Ok(());
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        Err(KeptForOthers)
    }

    /// Compares what is free with what is to be kept. Where nobody can say what is free, none is.
    pub(crate) fn look(&self, free: u64, reserve: u64) -> Look {
        let touched = free < reserve;
        match (self.is_touched.swap(touched, Ordering::Relaxed), touched) {
            (false, true) => Look::Touched,
            (true, false) => Look::Restored,
            (false, false) | (true, true) => Look::Same,
        }
    }

    /// How many to tell of in a record now, if it is time for one.
    pub(crate) fn to_tell(&self, now: Timestamp) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.total().saturating_sub(told.count);
        if count == 0 || told.at.is_some_and(|at| now < at.plus(RECORD_EVERY)) {
            return None;
        }
        *told = Told { count: told.count.saturating_add(count), at: Some(now) };
        Some(count)
    }

    /// Whether strangers are turned away.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched.load(Ordering::Relaxed)
    }

    /// Turned away, ever.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Bytes that we could write where this folder is.
///
/// # Errors
/// What the system says.
pub(crate) fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_turned_away_while_the_reserve_is_touched_and_told_of_once_a_minute() {
        let reserve = Reserve::default();
        let now = Timestamp::from_unix(1000);
        assert_eq!(reserve.look(10, 10), Look::Same);
        assert_eq!(reserve.admit_stranger(), Ok(()));
        assert_eq!(reserve.to_tell(now), None);
        assert_eq!(reserve.look(9, 10), Look::Touched);
        assert_eq!(reserve.look(9, 10), Look::Same);
        for _ in 0..3 {
            assert_eq!(reserve.admit_stranger(), Err(KeptForOthers));
        }
        assert_eq!(reserve.to_tell(now), Some(3));
        assert_eq!(reserve.admit_stranger(), Err(KeptForOthers));
        assert_eq!(reserve.to_tell(now.plus(Duration::from_secs(59))), None, "less than a minute ago");
        assert_eq!(reserve.to_tell(now.plus(Duration::from_secs(60))), Some(1));
        assert_eq!(reserve.look(10, 10), Look::Restored);
        assert_eq!(reserve.admit_stranger(), Ok(()));
        assert_eq!(reserve.total(), 4);
    }

    #[test]
    fn what_is_free_is_less_than_the_disk_has() {
        assert!(free(Path::new("/")).unwrap() < u64::MAX >> 1);
        assert!(free(Path::new("/no/such/folder")).is_err());
    }
}
