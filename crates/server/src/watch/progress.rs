//! How far a lane is.

use chartgate_values::Timestamp;

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The first record that it has not seen.
    pub(super) next: u64,
    /// How many records there are under a checkpoint.
    pub(super) size: u64,
    /// When the last record before `next` was made.
    pub(super) seen: Option<Timestamp>,
    /// Whether it does not get on.
    pub(super) is_stuck: bool,
}

type Metric = (&'static str, &'static str, fn(&Progress, Timestamp) -> u64);

pub(super) const METRICS: [Metric; 4] = [
    ("next_record", "The first record that was not looked at yet.", |own, _| own.next),
    ("lag_records", "Records under a checkpoint that were not looked at yet.", |own, _| own.lag()),
    ("lag_seconds", "Age of the last record that was looked at, where others wait.", |own, now| {
        own.seen.filter(|_| own.lag() > 0).map_or(0, |seen| now.since(seen).as_secs())
    }),
    ("stuck", "Whether the last attempt to get on failed.", |own, _| u64::from(own.is_stuck)),
];

impl Progress {
    fn lag(&self) -> u64 {
        self.size.saturating_sub(self.next)
    }
}
