//! An entry in words, for those who read a line.

use super::text::printable;
use super::{Shown, exposed, who};
use crate::record::Outcome;

/// `dana read Observation/17: allow`.
pub(super) fn sentence(shown: &Shown) -> String {
    let record = &shown.entry().record;
    let done = record.action.as_deref().unwrap_or(record.event.as_str());
    let mut text = format!("{} {done}", who(record));
    if let Some(resource) = exposed(record.resource.as_ref()) {
        text.push(' ');
        text.push_str(resource);
    }
    text.push_str(": ");
    text.push_str(record.outcome.as_str());
    if record.outcome != Outcome::Allow
        && let Some(reason) = &record.decision.reason
    {
        text.push_str(" (");
        text.push_str(reason);
        text.push(')');
    }
    printable(&text)
}
