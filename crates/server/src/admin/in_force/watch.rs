//! Watching: by which rules, how far it is, and what waits for somebody.

use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{Administrator, CommandError};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// The rules that are looked by.
    pub(crate) rules: Vec<String>,
    /// What looks at the log.
    pub(crate) lanes: Vec<LaneInForce>,
    /// Findings that nobody has closed.
    pub(crate) open: usize,
    /// Since when the first of them has waited.
    pub(crate) open_since: Option<Timestamp>,
}

/// One of the two that read the log for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LaneInForce {
    pub(crate) name: String,
    /// Whether its last attempt to get on failed.
    pub(crate) is_stuck: bool,
    /// When the first of the records was made that it has not looked at, if there is one.
    pub(crate) waiting_since: Option<Timestamp>,
}

impl Administrator {
    pub(super) fn watch(&self) -> Result<Watch, CommandError> {
        let (open, open_since) = self.watcher.findings.open()?;
        let rules = self.watcher.rules().in_force().into_iter().map(|rule| rule.as_str().to_owned());
        let lanes = self.watcher.standing().into_iter().map(|lane| {
            let waiting_since = self.waits_since(lane.not_seen)?;
            Ok(LaneInForce { name: lane.name.to_owned(), is_stuck: lane.is_stuck, waiting_since })
        });
        let lanes = lanes.collect::<Result<_, CommandError>>()?;
        Ok(Watch { rules: rules.collect(), lanes, open, open_since })
    }
}
