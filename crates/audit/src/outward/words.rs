//! An entry in words, for those who read a line.

use super::text::printable;
use super::topic::{Phase, outcome};
use super::{Shown, exposed, who};
use crate::record::{Outcome, Record};

/// `dana read Observation/17: allow`.
pub(super) fn sentence(shown: &Shown) -> String {
    let record = &shown.entry().record;
    let done = record.action.as_deref().unwrap_or(record.event.as_str());
    let mut text = format!("{} {done}", who(record));
    if let Some(resource) = exposed(record.resource.as_ref()) {
        text.push(' ');
        text.push_str(resource);
    }
    if Phase::of(record.event) == Phase::Ended {
        text.push_str(", the end of the answer");
    }
    text.push_str(": ");
    text.push_str(outcome(record));
    if record.outcome != Outcome::Allow
        && let Some(reason) = &record.decision.reason
    {
        text.push_str(" (");
        text.push_str(reason);
        text.push(')');
    }
    printable(&text)
}

/// Whoever acts for the person, nearest first: each `sub`, or `sub(client)`.
pub(super) fn delegates(record: &Record) -> Vec<String> {
    let told = record.on_behalf_of.iter().map(|delegate| match &delegate.client_id {
        Some(client) => format!("{}({client})", delegate.sub),
        None => delegate.sub.clone(),
    });
    told.collect()
}
