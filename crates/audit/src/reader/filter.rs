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
    /// The purpose of use.
    pub purpose: Option<String>,
    /// A policy that decided.
    pub policy: Option<String>,
    /// Why it was decided so: the code.
    pub reason: Option<String>,
    /// What it was done to, or what that is below: `Observation` finds `Observation/17` too.
    pub resource: Option<Phi<String>>,
    /// The emergency access by which, or about which, it was done.
    pub emergency: Option<Phi<String>>,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// Only the newest so many.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether it asks for something that only the sealed part of a record says: where a month's key is gone, nothing is found
    /// by that.
    #[must_use]
    pub fn asks_for_sealed(&self) -> bool {
        self.patient.is_some() || self.resource.is_some() || self.emergency.is_some()
    }

    /// Whether the clear part may be of a record that is asked for.
    pub(super) fn admits_clear(&self, record: &Record) -> bool {
        matches(self.user.as_ref(), record.actor.sub.as_ref())
            && matches(self.client.as_ref(), record.actor.client_id.as_ref())
            && matches(self.grant.as_ref(), record.grant.as_ref())
            && matches(self.action.as_ref(), record.action.as_ref())
            && matches(self.event.as_ref(), Some(&record.event))
            && matches(self.outcome.as_ref(), Some(&record.outcome))
            && matches(self.purpose.as_ref(), record.purpose_of_use.as_ref())
            && matches(self.reason.as_ref(), record.decision.reason.as_ref())
            && self.policy.as_ref().is_none_or(|policy| record.decision.policies.contains(policy))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
    }

    /// The entry, if its clear part was admitted and its sealed part is asked for as well. Of one that does not
    /// open nobody can say which patients it is about, so a search for a patient does not find it.
    pub(super) fn admit(&self, entry: Entry) -> Option<Entry> {
        self.admits_sealed(&entry.record).then_some(entry)
    }

    /// Whether an entry is asked for.
    #[must_use]
    pub fn admits(&self, entry: &Entry) -> bool {
        self.admits_clear(&entry.record) && self.admits_sealed(&entry.record)
    }

    fn admits_sealed(&self, record: &Record) -> bool {
        let named = |patient| record.patients.contains(patient);
        let is_below = |asked: &Phi<String>| {
            let found = record.resource.as_ref().map(|resource| resource.expose().as_str());
            let rest = found.and_then(|found| found.strip_prefix(asked.expose().as_str()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.patient.as_ref().is_none_or(named)
            && self.resource.as_ref().is_none_or(is_below)
            && matches(self.emergency.as_ref(), record.detail.get("emergency"))
    }
}

fn matches<T: PartialEq>(asked: Option<&T>, found: Option<&T>) -> bool {
    asked.is_none() || asked == found
}
