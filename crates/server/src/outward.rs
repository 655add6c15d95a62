//! The log goes out to tools of others: each from a cursor of its own, which is kept in the store, in order, at least once,
//! and never at the cost of a request.
//!
//! What is under a checkpoint goes out, and what a receiver may see of it ([`View`](chartgate_audit::outward::View)). The
//! cursor moves once a receiver has it, so that whatever ends here or there between two steps, nothing is lost and what is
//! sent twice stands at the seam. A receiver that is away, or does not take a record, holds up itself alone; that it is
//! behind is a metric, a line for operators and a record.

mod caught;
mod cursor;
mod destination;
mod fhir;
mod http;
mod ocsf;
mod otlp;
mod portion;
mod run;
mod s3;
mod state;
mod syslog;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chartgate_audit::outward::Patients;
use chartgate_values::Timestamp;
use serde_json::{Value, json};

use crate::config;
pub(crate) use cursor::refusal;
pub(crate) use destination::{Destination, Failure};
pub(crate) use run::{Runner, Surroundings};
use state::{Standing, State};

/// All tools that get the log.
#[derive(Default)]
pub(crate) struct Exports(Vec<Arc<Export>>);

/// One of them, as commands and metrics see it.
pub(crate) struct Export {
    pub(crate) name: String,
    kind: &'static str,
    place: String,
    patients: Patients,
    lag_alert: Duration,
    state: Mutex<State>,
}

impl Exports {
    /// Those of a configuration.
    pub(crate) fn new(exports: &[config::Export]) -> Self {
        let made = exports.iter().map(|export| {
            Arc::new(Export {
                name: export.name.clone(),
                kind: export.receiver.kind(),
                place: export.receiver.place(),
                patients: export.patients,
                lag_alert: export.lag_alert,
                state: Mutex::default(),
            })
        });
        Self(made.collect())
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Export>> {
        self.0.iter()
    }

    /// The one of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Export>> {
        self.0.iter().find(|export| export.name == name)
    }

    /// What Prometheus reads, of a log that has so many records under its checkpoint now: an export that hangs does not look.
    pub(crate) fn metrics(&self, now: Timestamp, size: Option<u64>) -> String {
        for export in &self.0 {
            export.state().sees(size);
        }
        let mut text = String::new();
        for (name, kind, help, value) in METRICS {
            if self.0.is_empty() {
                break;
            }
            text.push_str(&format!(
                "# HELP chartgate_export_{name} {help}\n# TYPE chartgate_export_{name} {kind}\n"
            ));
            for export in &self.0 {
                let number = value(&export.state(), now);
                text.push_str(&format!("chartgate_export_{name}{{name=\"{}\"}} {number}\n", export.name));
            }
        }
        text
    }
}

type Metric = (&'static str, &'static str, &'static str, fn(&State, Timestamp) -> u64);

const METRICS: [Metric; 7] = [
    ("lag_records", "gauge", "Records under a checkpoint that the receiver has not had.", |state, _| {
        state.lag()
    }),
    ("lag_seconds", "gauge", "Age of the oldest record that the receiver has not had.", |state, now| {
        state.age(now).as_secs()
    }),
    ("next_record", "gauge", "Index of the first record that the receiver has not had.", |state, _| {
        state.position
    }),
    (
        "held_up",
        "gauge",
        "Whether the receiver does not take the next record, even by itself.",
        |state, _| u64::from(state.held_up.is_some()),
    ),
    ("delivered_total", "counter", "Records that the receiver has taken.", |state, _| state.delivered),
    ("failures_total", "counter", "Attempts that failed.", |state, _| state.failures),
    (
        "behind",
        "gauge",
        "Whether the lag is longer than lag_alert, or the export stands still.",
        |state, _| u64::from(state.standing != Standing::Well),
    ),
];

impl Export {
    fn state(&self) -> MutexGuard<'_, State> {
        // INVARIANT: nothing panics while it holds this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it go on behind what it does not get past.
    pub(crate) fn skip_to(&self, index: u64) {
        self.state().skip_to = Some(index);
    }

    /// How it stands, as an operator is told.
    pub(crate) fn told(&self, now: Timestamp, size: Option<u64>) -> Value {
        let mut state = self.state();
        state.sees(size);
        json!({
            "name": self.name,
            "kind": self.kind,
            "to": self.place,
            "patients": self.patients.as_str(),
            "next": state.position,
            "lag_records": state.lag(),
            "lag_seconds": state.age(now).as_secs(),
            "delivered": state.delivered,
            "failures": state.failures,
            "standing": state.standing.as_str(),
            "failure": state.failure,
            "held_up": state.held_up,
        })
    }
}

#[cfg(test)]
mod tests;
