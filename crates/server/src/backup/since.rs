//! What the log of a backup knows and its store may not: what was done while it was made.

use std::path::Path;
use std::sync::Arc;

use chartgate_audit::note::VerifierKey;
use chartgate_audit::reader::Reader;
use chartgate_audit::record::Event;
use chartgate_values::Timestamp;
use serde::Serialize;

use crate::journal_fs::{ObjectFolder, SegmentFolder};

/// An act of an administrator, or of somebody on their own account.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Since {
    pub(crate) index: u64,
    pub(crate) event: Event,
    pub(crate) time: Timestamp,
    /// Who did it. To what it was done is sealed: the gateway tells it once it runs.
    pub(crate) by: Option<String>,
}

/// What lasts, and would have to be done again. What was issued ends in any case.
const LASTING: [Event; 20] = [
    Event::UserAdded,
    Event::UserChanged,
    Event::UserDisabled,
    Event::UserEnabled,
    Event::PasswordSet,
    Event::FactorRemoved,
    Event::FactorSuspected,
    Event::RecoveryCodesMade,
    Event::FactorsReset,
    Event::ClientAdded,
    Event::ClientChanged,
    Event::ClientRemoved,
    Event::CareChanged,
    Event::KeyCompromised,
    Event::HoldPlaced,
    Event::HoldReleased,
    Event::EmergencyReviewed,
    Event::WatchClosed,
    // A link takes the place of the password at once, before it is used.
    Event::EnrolmentIssued,
    Event::EnrolmentUsed,
];

/// What is on record from `begun` on.
pub(super) fn since(log: &Path, key: &VerifierKey, begun: u64) -> anyhow::Result<Vec<Since>> {
    let (objects, segments) = (ObjectFolder::of_copy(log), SegmentFolder::of_copy(log));
    let reader = Reader::new(Arc::new(objects), Arc::new(segments), key.clone(), None);
    let mut found = Vec::new();
    for entry in reader.entries(begun) {
        let entry = entry?;
        if LASTING.contains(&entry.record.event) {
            let by = entry.record.actor.sub;
            found.push(Since { index: entry.index, event: entry.record.event, time: entry.record.time, by });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
