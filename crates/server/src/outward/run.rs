//! What brings one receiver up with the log.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chartgate_audit::journal::Journal;
use chartgate_audit::outward::{Shown, View};
use chartgate_audit::reader::{Filter, ReadError, Reader};
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, Record};
use chartgate_values::{Clock, Entropy, Phi, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::caught::{Panicked, caught};
use super::cursor::refusal;
use super::destination::FailureKind;
use super::portion::Portion;
use super::{Destination, Export, Failure, Standing};
use crate::config::Beginning;
use crate::entropy::SystemEntropy;
use crate::store::audit_exports::ExportCursor;
use crate::store::{Store, StoreError};

/// How often it is looked whether there is more.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long after a failure it is tried again; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Why it does not get on, where we are at fault.
const PANICKED: &str = "panicked";

/// What every runner works with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) reader: Reader,
    /// The verifier key of the log.
    pub(crate) log: String,
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Brings one receiver up with the log.
pub(crate) struct Runner {
    pub(crate) export: Arc<Export>,
    pub(crate) destination: Destination,
    pub(crate) view: View,
    pub(crate) from: Beginning,
    pub(crate) events: Arc<[Event]>,
    pub(crate) around: Surroundings,
    progress: Progress,
}

/// How far it is, as far as nobody else has to know.
struct Progress {
    /// The first record that it has not had for sure; none before it began.
    durable: Option<u64>,
    /// What it has had since, and when.
    unsettled: VecDeque<(Instant, ExportCursor)>,
    /// How many failures there were since the last success.
    failures: u32,
    /// How much it is given at once.
    portion: Portion,
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    More,
    CaughtUp,
}

/// Which part of the log entries are of, whether all of it goes out or not.
pub(crate) struct Stretch {
    pub(crate) first: u64,
    /// The first record behind it.
    pub(crate) next: u64,
    /// The checkpoint that it is under, signed.
    pub(crate) checkpoint: String,
}

/// Entries that were read.
struct Batch {
    shown: Vec<Shown>,
    /// The first record behind them.
    end: u64,
    /// When the first record was made, whether it is for this receiver or not.
    oldest: Option<Timestamp>,
    /// When the last one was.
    newest: Option<Timestamp>,
}

/// How much is read at once: so many entries for the receiver, of about so many bytes.
#[derive(Clone, Copy)]
struct Most {
    entries: u64,
    weight: usize,
}

impl Runner {
    pub(crate) fn new(
        export: Arc<Export>,
        destination: Destination,
        view: View,
        (from, events): (Beginning, Arc<[Event]>),
        around: Surroundings,
    ) -> Self {
        let portion = Portion::new(destination.at_once());
        let progress = Progress { durable: None, unsettled: VecDeque::new(), failures: 0, portion };
        Self { export, destination, view, from, events, around, progress }
    }

    /// Runs until the gateway goes down.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            let step = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                step = caught(self.step()) => step,
            };
            let pause = match step {
                Ok(Ok(Step::More)) => Duration::ZERO,
                Ok(Ok(Step::CaughtUp)) => LOOK_EVERY,
                Ok(Err(failure)) => self.failed(&failure),
                // A record may be why: those before it go out.
                Err(Panicked) => self.failed(&Failure::not_taken(PANICKED)),
            };
            if self.rest(pause, &mut stopped).await.is_break() {
                break;
            }
        }
        // What has not rested long enough is sent again after an orderly end too: the receiver may not have stored it.
    }

    /// Gives nothing for so long, and looks after the cursor and after whoever has to be told. Breaks if the gateway goes down.
    async fn rest(&mut self, mut pause: Duration, stopped: &mut watch::Receiver<bool>) -> ControlFlow<()> {
        loop {
            let looked = caught(async {
                self.settle().await;
                self.look_at_lag().await;
            });
            if looked.await == Err(Panicked) {
                tracing::error!(export = self.export.name, "an export's keeping of its cursor panicked");
            }
            let part = pause.min(LONGEST_PAUSE);
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return ControlFlow::Break(()),
                () = tokio::time::sleep(part) => pause = pause.saturating_sub(part),
            }
            if pause.is_zero() {
                return ControlFlow::Continue(());
            }
        }
    }

    async fn step(&mut self) -> Result<Step, Failure> {
        let durable = match self.progress.durable {
            Some(durable) => durable,
            None => self.begin().await?,
        };
        let reader = self.around.reader.clone();
        let checkpoint = reader.checkpoint().map_err(|_| Failure::away("log-unreadable"))?;
        let position = {
            let mut state = self.export.state();
            if let Some(skip_to) = state.skip_to.take().filter(|skip_to| *skip_to > durable) {
                self.progress.durable = Some(skip_to);
                self.progress.unsettled.clear();
                (state.position, state.held_up) = (state.position.max(skip_to), None);
            }
            // Of what it was given last it may have had some.
            state.position = state.position.max(durable).max(self.destination.has_before());
            state.sees(Some(checkpoint.size()));
            state.position
        };
        let left = checkpoint.size().saturating_sub(position);
        if left == 0 {
            self.export.state().is_up(None);
            return Ok(Step::CaughtUp);
        }
        // It does not take all: what it has and may lose is not given to it again with each attempt at what it does not take.
        if !self.progress.portion.is_full() && !self.progress.unsettled.is_empty() {
            return Ok(Step::CaughtUp);
        }
        let at_once = self.progress.portion.now();
        self.progress.portion.give(position, left.min(at_once));
        let now = self.around.clock.now();
        let gathers_for = self.destination.gathers_for();
        if left < at_once && !gathers_for.is_zero() {
            let first = tokio::task::spawn_blocking({
                let reader = reader.clone();
                move || reader.entry(position)
            });
            let first = first.await.map_err(|_| Failure::away("log-unreadable"))?;
            let oldest = first.ok().flatten().map(|first| first.record.time);
            self.export.state().found(oldest);
            // Of what a clock that was put back made ahead of now nobody knows for how long to wait.
            if oldest.is_some_and(|oldest| oldest <= now && now.since(oldest) < gathers_for) {
                return Ok(Step::CaughtUp);
            }
        }
        // What is not for it is passed over, so that what is given is what counts.
        let range = position..position.saturating_add(left.min(self.destination.at_once()));
        let (view, events) = (self.view.clone(), Arc::clone(&self.events));
        let most = Most { entries: at_once, weight: self.destination.weight() };
        let read = tokio::task::spawn_blocking(move || read(&reader, &view, &events, range, most));
        let batch = read.await.map_err(|error| match error.is_panic() {
            true => Failure::not_taken(PANICKED),
            false => Failure::away("log-unreadable"),
        })?;
        let batch = batch.map_err(|error| {
            tracing::error!(%error, export = self.export.name, "what is to go out cannot be read");
            Failure::away("log-unreadable")
        })?;
        self.export.state().found(batch.oldest);
        let shown: Arc<[Shown]> = batch.shown.into();
        if !shown.is_empty() {
            let note = checkpoint.note().to_owned();
            let stretch = Stretch { first: position, next: batch.end, checkpoint: note };
            self.destination.deliver(&shown, &stretch, &mut self.progress.portion).await?;
        }
        let cursor = ExportCursor {
            name: self.export.name.clone(),
            log: self.around.log.clone(),
            next: batch.end,
            size: checkpoint.size(),
            root: checkpoint.checkpoint().root.to_hex(),
        };
        let newest = batch.newest.filter(|_| batch.end < checkpoint.size());
        self.succeeded(cursor, shown.len(), newest);
        Ok(if batch.end < checkpoint.size() { Step::More } else { Step::CaughtUp })
    }

    /// Finds where it is, and puts on record that it goes on from there, before anything leaves.
    async fn begin(&mut self) -> Result<u64, Failure> {
        let name = self.export.name.clone();
        let kept = self.around.store.read(|sql| sql.export_cursor(&name));
        let kept = kept.map_err(|_: StoreError| Failure::away("store-unreadable"))?;
        let checkpoint = self.around.reader.checkpoint().map_err(|_| Failure::away("log-unreadable"))?;
        let next = match &kept {
            Some(cursor) => match refusal(cursor, &self.around.reader, checkpoint.size()) {
                Ok(None) => cursor.next,
                Ok(Some(code)) => return Err(self.refused(code).await),
                Err(error) => {
                    tracing::error!(%error, export = self.export.name, "whose its cursor is cannot be read");
                    return Err(Failure::away("log-unreadable"));
                }
            },
            None if self.from == Beginning::Start => 0,
            None => checkpoint.size(),
        };
        if kept.is_none() {
            let cursor = ExportCursor {
                name,
                log: self.around.log.clone(),
                next,
                size: checkpoint.size(),
                root: checkpoint.checkpoint().root.to_hex(),
            };
            self.keep(cursor).await.map_err(|_| Failure::away("store-unwritable"))?;
        }
        self.record(Event::ExportBegun, Outcome::Allow, None, next).await?;
        self.progress.durable = Some(next);
        let mut state = self.export.state();
        (state.position, state.standing) = (next, Standing::Well);
        Ok(next)
    }

    async fn refused(&self, code: &'static str) -> Failure {
        let is_new = self.export.state().standing != Standing::Refused;
        if is_new {
            tracing::error!(
                export = self.export.name,
                why = code,
                "nothing goes out: the cursor is not of this log"
            );
            if self.record(Event::ExportBehind, Outcome::Error, Some(code), 0).await.is_ok() {
                self.export.state().standing = Standing::Refused;
            }
        }
        Failure::away(code)
    }

    /// `newest` is when the last record before those that are left was made, if any are left.
    fn succeeded(&mut self, cursor: ExportCursor, count: usize, newest: Option<Timestamp>) {
        let mut state = self.export.state();
        state.position = state.position.max(cursor.next);
        state.delivered = state.delivered.saturating_add(u64::try_from(count).unwrap_or_default());
        // Where nothing was for it, it said nothing.
        let got_on = count > 0;
        if got_on || newest.is_none() {
            state.failure = None;
            state.is_up(newest);
        }
        drop(state);
        self.progress.unsettled.push_back((Instant::now(), cursor));
        if got_on {
            self.progress.failures = 0;
            self.progress.portion.taken();
        }
    }

    /// What it may have lost is given to it again, after a pause.
    fn failed(&mut self, failure: &Failure) -> Duration {
        let now = self.around.clock.now();
        let may_have_lost = failure.kind == FailureKind::Away || !self.destination.settles_in().is_zero();
        let single = self.progress.portion.single().filter(|_| failure.kind != FailureKind::Away);
        let mut state = self.export.state();
        state.failures = state.failures.saturating_add(1);
        state.failing_since = state.failing_since.or(Some(now));
        let is_new = state.failure.as_ref() != Some(&failure.code) || state.held_up != single;
        state.failure = Some(failure.code.clone());
        state.held_up = single;
        if may_have_lost {
            state.position = self.progress.durable.unwrap_or(state.position);
            self.progress.unsettled.clear();
        }
        let position = state.position;
        drop(state);
        if failure.code == PANICKED {
            tracing::error!(export = self.export.name, next = position, "an export panicked; it goes on");
        }
        if is_new {
            tracing::warn!(
                export = self.export.name,
                failure = failure.code,
                next = position,
                held_up = single,
                "an export does not get on"
            );
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.progress.failures.min(16)).min(LONGEST_PAUSE);
        // Where it says that one of them is at fault it is soon found; else it has time, too.
        if failure.kind != FailureKind::Refused || single.is_some() {
            self.progress.failures = self.progress.failures.saturating_add(1);
        }
        if failure.kind != FailureKind::Away {
            self.progress.portion.not_taken();
        }
        // Between half and all of it, so that not all gateways come at once.
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let part = u32::from(entropy.bytes::<1>()[0]).saturating_add(256);
        let pause = pause.saturating_mul(part).checked_div(512).unwrap_or(pause);
        pause.max(failure.wait.unwrap_or_default())
    }

    /// Moves the cursor over what the receiver has had for long enough.
    async fn settle(&mut self) {
        let time = self.destination.settles_in();
        let mut settled = None;
        while let Some((since, cursor)) = self.progress.unsettled.pop_front() {
            if since.elapsed() < time {
                self.progress.unsettled.push_front((since, cursor));
                break;
            }
            settled = Some(cursor);
        }
        if let Some(cursor) = settled {
            let next = cursor.next;
            match self.keep(cursor).await {
                Ok(()) => self.progress.durable = Some(next),
                // Later ones are kept, or it is sent again.
                Err(error) => tracing::warn!(%error, export = self.export.name, "a cursor was not kept"),
            }
        }
    }

    async fn keep(&self, cursor: ExportCursor) -> Result<(), StoreError> {
        self.around.store.write(move |sql| sql.set_export_cursor(&cursor)).await
    }

    /// Tells once that it is behind, and once that it is not any more.
    async fn look_at_lag(&self) {
        let now = self.around.clock.now();
        let (age, standing, failure, position) = {
            let state = self.export.state();
            (state.age(now), state.standing, state.failure.clone(), state.position)
        };
        let name = &self.export.name;
        let (event, outcome, next) = match standing {
            Standing::Well if age > self.export.lag_alert => {
                (Event::ExportBehind, Outcome::Error, Standing::Behind)
            }
            Standing::Behind if age <= self.export.lag_alert => {
                (Event::ExportCaughtUp, Outcome::Allow, Standing::Well)
            }
            Standing::Well | Standing::Behind | Standing::Refused => return,
        };
        let failure = failure.unwrap_or_else(|| "slow".to_owned());
        match outcome {
            Outcome::Allow => tracing::info!(export = name, "an export has caught up"),
            Outcome::Deny | Outcome::Error => tracing::error!(
                export = name,
                lag_seconds = age.as_secs(),
                failure,
                next = position,
                "an export is behind"
            ),
        }
        let reason = (outcome == Outcome::Error).then_some(failure.as_str());
        if self.record(event, outcome, reason, position).await.is_ok() {
            self.export.state().standing = next;
        }
    }

    async fn record(
        &self,
        event: Event,
        outcome: Outcome,
        reason: Option<&str>,
        next: u64,
    ) -> Result<(), Failure> {
        let mut record = Record::new(event, outcome, self.around.clock.now());
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.action = Some(event.as_str().to_owned());
        record.resource = Some(Phi::new(self.export.name.clone()));
        record.decision.reason = reason.map(str::to_owned);
        for (name, value) in [
            ("kind", self.export.kind.to_owned()),
            ("to", self.export.place.clone()),
            ("patients", self.export.patients.as_str().to_owned()),
            ("next", next.to_string()),
        ] {
            record.detail.insert(name.to_owned(), Phi::new(value));
        }
        let recorded = self.around.journal.append(&record, ()).await;
        recorded.map(drop).map_err(|error| {
            tracing::error!(%error, "audit");
            Failure::away("log-unwritable")
        })
    }
}

/// Reads the entries of a stretch, as far as they are not too many to hold, and as far as they can be read.
fn read(
    reader: &Reader,
    view: &View,
    events: &[Event],
    range: std::ops::Range<u64>,
    most: Most,
) -> Result<Batch, ReadError> {
    let mut batch = Batch { shown: Vec::new(), end: range.start, oldest: None, newest: None };
    let (last, mut weight) = (range.end, 0_usize);
    for entry in reader.pick(range, &Filter::default()) {
        let entry = match entry {
            Ok(entry) => entry,
            // What is before it goes out.
            Err(_) if batch.oldest.is_some() => return Ok(batch),
            Err(error) => return Err(error),
        };
        batch.oldest = batch.oldest.or(Some(entry.record.time));
        batch.newest = Some(entry.record.time);
        batch.end = entry.index.saturating_add(1);
        if events.is_empty() || events.contains(&entry.record.event) {
            let shown = view.show(entry);
            weight = weight.saturating_add(shown.weight());
            batch.shown.push(shown);
        }
        if weight > most.weight || batch.shown.len() as u64 >= most.entries {
            return Ok(batch);
        }
    }
    batch.end = last;
    Ok(batch)
}
