//! Which records are asked for.

use chartgate_values::{Phi, Timestamp};

use super::Entry;
use crate::record::{Event, Outcome, Record};

/// What a record must be to be found. What is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The actor's subject.
    pub user: Option<String>,
    /// A patient whose records were touched.
    pub patient: Option<Phi<String>>,
    /// The actor's client.
    pub client: Option<String>,
    /// The grant by which it was done.
    pub grant: Option<String>,
    /// The kind of act.
    pub event: Option<Event>,
    /// The action.
    pub action: Option<String>,
    /// The outcome.
    pub outcome: Option<Outcome>,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// Only the newest so many.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether the clear part may be of a record that is asked for.
    pub(super) fn admits_clear(&self, record: &Record) -> bool {
        matches(self.user.as_ref(), record.actor.sub.as_ref())
            && matches(self.client.as_ref(), record.actor.client_id.as_ref())
            && matches(self.grant.as_ref(), record.grant.as_ref())
            && matches(self.action.as_ref(), record.action.as_ref())
            && matches(self.event.as_ref(), Some(&record.event))
            && matches(self.outcome.as_ref(), Some(&record.outcome))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }

    /// The entry, if its clear part was admitted and its sealed part is asked for as well. Of one that does not
    /// open nobody can say which patients it is about, so a search for a patient does not find it.
    pub(super) fn admit(&self, entry: Entry) -> Option<Entry> {
        let named = |patient| entry.record.patients.contains(patient);
        self.patient.as_ref().is_none_or(named).then_some(entry)
    }
}

fn matches<T: PartialEq>(asked: Option<&T>, found: Option<&T>) -> bool {
    asked.is_none() || asked == found
}
