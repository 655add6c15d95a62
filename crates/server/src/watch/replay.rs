//! What has to be seen again before a lane goes on: what there is a finding for already, and what the rules count.

use std::ops::Range;
use std::time::Duration;

use chartgate_audit::reader::{Entry, Filter, ReadError, Reader};
use chartgate_audit::record::{Event, RECORDED_AT};
use chartgate_audit::watch::Finding;
use chartgate_values::Timestamp;

use crate::audit_index::LogReading;

/// The findings that are on record, of what was done since then: those too that no checkpoint covers yet.
pub(super) fn findings_since(reading: &LogReading, since: Timestamp) -> Result<Vec<Finding>, ReadError> {
    // A finding is on record after what it is about.
    let filter = Filter { event: Some(Event::WatchFinding), since: Some(since), ..Filter::default() };
    match reading.find(&filter) {
        Ok(found) => Ok(found.iter().filter_map(|entry| Finding::of_record(&entry.record).ok()).collect()),
        // One that cannot be read does not hide the others.
        Err(ReadError::Leaf { .. } | ReadError::Unseal { .. }) => {
            let end = reading.reader.checkpoint()?.size();
            findings_from(reading, first_since(&reading.reader, since, end)?)
        }
        Err(error) => Err(error),
    }
}

/// The findings that are on record from a place in the log on.
pub(super) fn findings_from(reading: &LogReading, first: u64) -> Result<Vec<Finding>, ReadError> {
    let filter = Filter { event: Some(Event::WatchFinding), ..Filter::default() };
    let mut found = Vec::new();
    for entry in reading.reader.matching(first, filter) {
        match entry {
            Ok(entry) => found.extend(Finding::of_record(&entry.record).ok()),
            Err(error) => skip(error)?,
        }
    }
    Ok(found)
}

/// A record may be told so much after what it is of began: a long answer has the time at which it was asked for.
const TOLD_WITHIN: Duration = Duration::from_secs(3_600);

/// Where the records since a time begin, of those before `end`, or a little before. When they were told is in the order of the
/// log, but for a clock that was put back, which costs some of what is counted and finds nothing that is not there.
pub(super) fn first_since(reader: &Reader, since: Timestamp, end: u64) -> Result<u64, ReadError> {
    first_told(end, since.minus(TOLD_WITHIN), |index| match reader.entry(index) {
        Ok(entry) => Ok(entry.as_ref().map(told_at)),
        Err(ReadError::Leaf { .. } | ReadError::Unseal { .. }) => Ok(None),
        Err(error) => Err(error),
    })
}

fn first_told(
    end: u64,
    since: Timestamp,
    told_at: impl Fn(u64) -> Result<Option<Timestamp>, ReadError>,
) -> Result<u64, ReadError> {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low.saturating_add(high.saturating_sub(low) / 2);
        if told_at(middle)?.is_none_or(|told| told < since) {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// When a record came into the log, as far as it says so.
fn told_at(entry: &Entry) -> Timestamp {
    let late = entry.record.detail.get(RECORDED_AT).and_then(|at| at.expose().parse().ok());
    late.unwrap_or(entry.record.time)
}

/// When the last record before a place was made, or else now.
pub(super) fn time_before(reader: &Reader, next: u64, now: Timestamp) -> Timestamp {
    let last = next.checked_sub(1).and_then(|last| reader.entry(last).ok().flatten());
    last.map_or(now, |entry| entry.record.time.min(now))
}

/// The records of a stretch, as far as they can be read. What cannot be read by itself is passed over, as it is by whoever
/// searches.
pub(super) fn read(reader: &Reader, range: Range<u64>) -> Result<Vec<Entry>, ReadError> {
    let mut read = Vec::new();
    for entry in reader.pick(range, &Filter::default()) {
        match entry {
            Ok(entry) => read.push(entry),
            Err(error) => skip(error)?,
        }
    }
    Ok(read)
}

fn skip(error: ReadError) -> Result<(), ReadError> {
    match error {
        ReadError::Leaf { .. } | ReadError::Unseal { .. } => {
            tracing::error!(%error, "a record was not watched");
            Ok(())
        }
        other => Err(other),
    }
}

/// The stretches into which a longer one is divided, so that not all of it is in memory at once.
pub(super) fn pieces(range: Range<u64>, length: u64) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = range;
    let step = usize::try_from(length).unwrap_or(usize::MAX).max(1);
    (start..end).step_by(step).map(move |first| first..first.saturating_add(length).min(end))
}

#[cfg(test)]
mod tests {
    use chartgate_audit::record::{Outcome, Record};
    use chartgate_values::Phi;

    use super::*;

    /// One record in ten minutes.
    fn at(place: i64) -> Timestamp {
        Timestamp::from_unix(place.saturating_mul(600).saturating_add(1_795_700_000))
    }

    fn entry(of: i64, recorded: Option<i64>) -> Entry {
        let mut record = Record::new(Event::Access, Outcome::Allow, at(of));
        let told = recorded.map(|place| (RECORDED_AT.to_owned(), Phi::new(at(place).to_string())));
        record.detail.extend(told);
        Entry { index: 0, record, sealed: None }
    }

    /// What was asked for long before it was told, and what came into the log late, hide nothing that is after it.
    #[test]
    fn nothing_is_passed_over_for_a_record_of_something_earlier() {
        for (since, place, of, recorded) in [(48, 50_usize, 45, None), (60, 75, -1_000, Some(75))] {
            let mut log: Vec<Entry> = (0..100).map(|place| entry(place, None)).collect();
            log[place] = entry(of, recorded);
            let told = |index: u64| Ok(log.get(usize::try_from(index).unwrap()).map(told_at));
            let first = first_told(100, at(since).minus(TOLD_WITHIN), told).unwrap();
            assert!(i64::try_from(first).unwrap() <= since, "record {place} hides those before it: {first}");
            assert!(first > 40, "not the whole log is read: {first}");
        }
    }
}
