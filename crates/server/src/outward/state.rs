//! How far an export is, while the gateway runs.

use std::time::{Duration, Instant};

use chartgate_values::Timestamp;

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The first record that the receiver has not taken.
    pub(super) position: u64,
    /// How many records are under the checkpoint last seen.
    pub(super) size: u64,
    /// When the record at `position` was made, or the one before it.
    pub(super) oldest: Option<Timestamp>,
    /// When the first failure since the last success was: the age of what cannot even be read.
    pub(super) failing_since: Option<Timestamp>,
    /// Since when records have waited without one of them getting on: their own times say nothing where a clock was put back.
    pub(super) waiting_since: Option<Instant>,
    pub(super) delivered: u64,
    pub(super) failures: u64,
    /// The one record that the receiver was given by itself and did not take.
    pub(super) held_up: Option<u64>,
    /// What went wrong since the last success: a stable code.
    pub(super) failure: Option<String>,
    pub(super) standing: Standing,
    /// Where an operator lets it go on.
    pub(super) skip_to: Option<u64>,
}

/// Whether somebody has to look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nobody has to.
    #[default]
    Well,
    /// It is behind for longer than it may.
    Behind,
    /// Its cursor is not of this log: nothing is sent.
    Refused,
}

impl Standing {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Behind => "behind",
            Self::Refused => "refused",
        }
    }
}

impl State {
    /// The log has so many records under its checkpoint, whether the export has looked or not.
    pub(super) fn sees(&mut self, size: Option<u64>) {
        self.size = self.size.max(size.unwrap_or_default());
        if self.lag() > 0 {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// How many records the receiver has not had.
    pub(super) fn lag(&self) -> u64 {
        self.size.saturating_sub(self.position)
    }

    /// The record at `position` was made then, if it could be read.
    pub(super) fn found(&mut self, oldest: Option<Timestamp>) {
        self.oldest = oldest.or(self.oldest);
    }

    /// It got on, and has had all that was made before then; everything, if none is left.
    pub(super) fn is_up(&mut self, oldest: Option<Timestamp>) {
        (self.oldest, self.failing_since, self.held_up, self.waiting_since) = (oldest, None, None, None);
    }

    /// How old the oldest of them is, or how long it has waited here, if that is longer.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        let oldest = self.oldest.filter(|_| self.lag() > 0).or(self.failing_since);
        let waited = self.waiting_since.filter(|_| self.lag() > 0).map(|since| since.elapsed());
        oldest.map(|oldest| now.since(oldest)).max(waited).unwrap_or_default()
    }
}
