//! How watching stands, for whoever tells of it.

use std::ops::Range;

use chartgate_audit::watch::Lane;

use super::Watcher;

/// How one lane stands.
pub(crate) struct LaneStanding {
    pub(crate) name: &'static str,
    /// Whether its last attempt to get on failed.
    pub(crate) is_stuck: bool,
    /// The records under a checkpoint that it has not looked at.
    pub(crate) not_seen: Range<u64>,
}

impl Watcher {
    /// How each lane stands.
    pub(crate) fn standing(&self) -> Vec<LaneStanding> {
        let of = |(name, lane): (&'static str, Lane)| {
            let progress = self.progress(lane);
            LaneStanding { name, is_stuck: progress.is_stuck, not_seen: progress.next..progress.size }
        };
        [("acts", Lane::Acts), ("names", Lane::Names)].into_iter().map(of).collect()
    }
}
