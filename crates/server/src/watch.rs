//! The log is watched: whoever should look at something is told of it. 45 CFR 164.308(a)(1)(ii)(D).
//!
//! Two lanes read the log, each from a place of its own that the store keeps: one has the rules that the log itself is enough
//! for, the other asks the routes' FHIR servers for family names, and holds up itself alone where they are away. A finding is
//! on record before it is in the queue, and the queue is what the log says: whatever ends between the two, the record is found
//! when the lane begins again. So no finding is lost, and none is there twice.
//!
//! Nothing waits for it. It runs on threads of lowest priority, and where the machine is busy it falls behind.

mod lane;
mod names;
mod progress;
mod replay;
mod standing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;

use chartgate_audit::journal::Journal;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_audit::watch::{Finding, Lane, Rule, Rules};
use chartgate_values::{Clock, Phi, Timestamp};
use tokio::sync::watch;

use crate::audit_index::LogReading;
use crate::directory::LiveDirectory;
use crate::live::findings::{Findings, Unsealed};
use crate::store::{Store, StoreError};
use lane::Runner;
use names::FamilyNames;
use progress::Progress;

/// What watches the log.
pub(crate) struct Watcher {
    pub(crate) reading: Arc<LogReading>,
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Journal,
    pub(crate) findings: Arc<Findings>,
    pub(crate) clock: Arc<dyn Clock>,
    rules: RwLock<Arc<Rules>>,
    names: FamilyNames,
    progress: [Mutex<Progress>; 2],
    /// How often the rules were applied to what is on record already: the lanes begin again after each.
    runs: AtomicU64,
    /// One at a time is applied to it: each begins with the findings that there are.
    running: tokio::sync::Mutex<()>,
    found: Mutex<BTreeMap<&'static str, u64>>,
    /// Whoever finds something puts it on record before the next looks whether it is there.
    finding: tokio::sync::Mutex<()>,
}

/// Why a lane does not get on. None of it names a patient.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stuck {
    #[error("the log cannot be read: {0}")]
    Log(#[from] chartgate_audit::reader::ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a finding could not be recorded: {0}")]
    Unrecorded(#[from] chartgate_audit::journal::AppendError),
    #[error(transparent)]
    Unsealed(#[from] Unsealed),
    #[error("family names cannot be asked for: {0}")]
    Names(String),
}

/// What a watcher is made of.
pub(crate) struct Parts {
    pub(crate) rules: Rules,
    pub(crate) reading: Arc<LogReading>,
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Journal,
    pub(crate) findings: Arc<Findings>,
    pub(crate) directory: Arc<LiveDirectory>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Watcher {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { rules, reading, store, journal, findings, directory, clock } = parts;
        Self {
            names: FamilyNames::new(directory, Arc::clone(&clock)),
            rules: RwLock::new(Arc::new(rules)),
            reading,
            store,
            journal,
            findings,
            clock,
            progress: Default::default(),
            runs: AtomicU64::new(0),
            running: tokio::sync::Mutex::new(()),
            found: Mutex::default(),
            finding: tokio::sync::Mutex::new(()),
        }
    }

    /// Watches, until the gateway goes down.
    ///
    /// # Errors
    /// If there is no thread.
    pub(crate) fn start(
        self: &Arc<Self>,
        stopped: &watch::Receiver<bool>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        let runtime = tokio::runtime::Handle::current();
        let start = |lane| {
            let (runner, runtime) = (Runner::new(Arc::clone(self), lane), runtime.clone());
            let stopped = stopped.clone();
            std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
                let _ = rustix::process::setpriority_process(None, 19);
                runtime.block_on(runner.run(stopped));
            })
        };
        [Lane::Acts, Lane::Names].into_iter().map(start).collect()
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in force, for what happens from now on.
    pub(crate) fn set_rules(&self, rules: &Rules) {
        let mut own = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        if **own != *rules {
            *own = Arc::new(rules.clone());
        }
    }

    fn progress(&self, lane: Lane) -> MutexGuard<'_, Progress> {
        let [acts, names] = &self.progress;
        let own = match lane {
            Lane::Acts => acts,
            Lane::Names => names,
        };
        // INVARIANT: nothing panics while it holds this lock.
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a finding on record.
    async fn put_on_record(&self, finding: &Finding) -> Result<(), Stuck> {
        let record = finding.record(self.clock.now());
        let _ = self.journal.append(&record, ()).await?;
        tracing::warn!(
            rule = finding.rule.as_str(),
            finding = finding.id.as_str(),
            "somebody should look at this"
        );
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let count = found.entry(finding.rule.as_str()).or_default();
        *count = count.saturating_add(1);
        Ok(())
    }

    /// A record of the watcher's own.
    fn record(&self, event: Event, outcome: Outcome) -> Record {
        let mut record = Record::new(event, outcome, self.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(event.as_str().to_owned());
        record
    }

    async fn record_begin(&self, next: u64, reason: Option<&str>) -> Result<(), Stuck> {
        let outcome = if reason.is_some() { Outcome::Error } else { Outcome::Allow };
        let mut record = self.record(Event::WatchBegun, outcome);
        record.decision.reason = reason.map(str::to_owned);
        record.detail.insert("next".to_owned(), Phi::new(next.to_string()));
        for (rule, told) in self.rules().told() {
            record.detail.insert(rule.to_owned(), Phi::new(told));
        }
        let _ = self.journal.append(&record, ()).await?;
        Ok(())
    }

    /// What Prometheus reads.
    pub(crate) fn metrics(&self, now: Timestamp) -> String {
        let mut text = String::new();
        let lanes = [("acts", Lane::Acts), ("names", Lane::Names)];
        for (name, help, value) in progress::METRICS {
            text.push_str(&format!(
                "# HELP chartgate_watch_{name} {help}\n# TYPE chartgate_watch_{name} gauge\n"
            ));
            for (label, lane) in lanes {
                let number = value(&self.progress(lane), now);
                text.push_str(&format!("chartgate_watch_{name}{{lane=\"{label}\"}} {number}\n"));
            }
        }
        text.push_str(
            "# HELP chartgate_watch_findings_total Findings since the start.\n\
             # TYPE chartgate_watch_findings_total counter\n",
        );
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for rule in Rule::ALL {
            let count = found.get(rule.as_str()).copied().unwrap_or_default();
            text.push_str(&format!("chartgate_watch_findings_total{{rule=\"{rule}\"}} {count}\n"));
        }
        match self.store.read(|sql| sql.open_findings()) {
            Ok(open) => text.push_str(&format!(
                "# HELP chartgate_watch_findings_open Findings of which nobody has said what they make of them.\n\
                 # TYPE chartgate_watch_findings_open gauge\nchartgate_watch_findings_open {open}\n"
            )),
            Err::<_, StoreError>(error) => tracing::warn!(%error, "how many findings are open cannot be read"),
        }
        text
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }
}
