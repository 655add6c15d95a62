//! What brings one lane up with the log.

use std::sync::Arc;
use std::time::Duration;

use chartgate_audit::reader::Entry;
use chartgate_audit::watch::{Finding, Lane, Names, People, Rules, Watch};
use chartgate_values::Timestamp;
use tokio::sync::watch;

use super::{Stuck, Watcher, replay};
use crate::outward::refusal;
use crate::store::StoreError;
use crate::store::audit_exports::ExportCursor;
use crate::store::watch::KeptFinding;

/// How often it is looked whether there is more.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long after a failure it is tried again; twice as long after each one more.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many records are looked at together.
const AT_ONCE: u64 = 512;
/// A log that grows by more than this between two looks is that of a busy machine, on which so many are looked at between
/// two looks: what they cost would be taken from requests.
const BUSY: u64 = 1_000;
const PACE: u64 = 512;

/// Brings one lane up with the log.
pub(super) struct Runner {
    watcher: Arc<Watcher>,
    lane: Lane,
    state: Option<State>,
    failures: u32,
    /// How many records there were at the last look.
    known: u64,
}

/// What it knows of what it has seen: all of it can be had again from the log.
struct State {
    watch: Watch,
    rules: Arc<Rules>,
    runs: u64,
    next: u64,
}

enum Step {
    More,
    CaughtUp,
}

impl Runner {
    pub(super) fn new(watcher: Arc<Watcher>, lane: Lane) -> Self {
        Self { watcher, lane, state: None, failures: 0, known: 0 }
    }

    /// Runs until the gateway goes down.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            let step = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                step = self.step() => step,
            };
            let pause = match step {
                Ok(step) => {
                    (self.failures, self.watcher.progress(self.lane).is_stuck) = (0, false);
                    match step {
                        Step::More => Duration::ZERO,
                        Step::CaughtUp => LOOK_EVERY,
                    }
                }
                Err(error) => self.failed(&error),
            };
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn failed(&mut self, error: &Stuck) -> Duration {
        if self.failures == 0 {
            tracing::warn!(%error, "watching the log does not get on");
        }
        self.watcher.progress(self.lane).is_stuck = true;
        // What it has seen and not kept it sees again. Who waits for names has seen nothing yet.
        if !matches!(error, Stuck::Names(_)) {
            self.state = None;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    async fn step(&mut self) -> Result<Step, Stuck> {
        let watcher = Arc::clone(&self.watcher);
        let (rules, runs) = (watcher.rules(), watcher.runs());
        let current = self.state.take().filter(|own| Arc::ptr_eq(&own.rules, &rules) && own.runs == runs);
        let state = match current {
            Some(state) => self.state.insert(state),
            None => {
                let state = begin(&watcher, self.lane, rules, runs).await?;
                self.state.insert(state)
            }
        };
        let checkpoint = watcher.reading.reader.checkpoint()?;
        let (size, next) = (checkpoint.size(), state.next);
        {
            let mut progress = watcher.progress(self.lane);
            (progress.next, progress.size) = (next, size);
        }
        let is_busy = self.known > 0 && size.saturating_sub(self.known) > BUSY;
        if next >= size {
            self.known = size;
            return Ok(Step::CaughtUp);
        }
        let most = if is_busy { PACE } else { AT_ONCE };
        let end = size.min(next.saturating_add(most));
        let people = watcher.findings.people()?;
        let entries = match idle(self.lane, &people) {
            // There is nobody whose name it could compare.
            true => Vec::new(),
            false => replay::read(&watcher.reading.reader, next..end)?,
        };
        let names = watcher.names_for(&state.watch, &entries, &people).await?;
        let (found, kept) = see(&watcher, self.lane, state, &entries, (&people, &names)).await?;
        drop(found);
        let cursor = ExportCursor {
            name: cursor_name(self.lane).to_owned(),
            log: watcher.reading.reader.key().to_string(),
            next: end,
            size,
            root: checkpoint.checkpoint().root.to_hex(),
        };
        keep(&watcher, kept, Some(cursor)).await?;
        state.next = end;
        {
            let mut progress = watcher.progress(self.lane);
            progress.next = end;
            progress.seen = entries.last().map(|last| last.record.time).or(progress.seen);
        }
        if is_busy || end >= size {
            self.known = size;
            return Ok(Step::CaughtUp);
        }
        Ok(Step::More)
    }
}

fn idle(lane: Lane, people: &People) -> bool {
    match lane {
        Lane::Acts => false,
        Lane::Names => people.values().all(|known| known.family_name.is_none()),
    }
}

/// Sees records, and puts on record what they show. What there is to keep in the store: that, and what the log has of
/// findings.
async fn see(
    watcher: &Watcher,
    lane: Lane,
    state: &mut State,
    entries: &[Entry],
    (people, names): (&People, &Names),
) -> Result<(Vec<Finding>, Vec<KeptFinding>), Stuck> {
    let _alone = watcher.finding.lock().await;
    let (mut found, mut kept) = (Vec::new(), Vec::new());
    for entry in entries {
        if lane == Lane::Acts
            && let Ok(finding) = Finding::of_record(&entry.record)
        {
            kept.push(watcher.findings.to_keep(&finding)?);
        }
        for finding in state.watch.see(entry, people, names) {
            watcher.put_on_record(&finding).await?;
            state.watch.know(&finding);
            kept.push(watcher.findings.to_keep(&finding)?);
            found.push(finding);
        }
    }
    Ok((found, kept))
}

/// Puts findings into the queue, and moves the place in the log with them.
async fn keep(
    watcher: &Watcher,
    kept: Vec<KeptFinding>,
    cursor: Option<ExportCursor>,
) -> Result<(), StoreError> {
    let findings = Arc::clone(&watcher.findings);
    watcher
        .store
        .write(move |sql| {
            findings.keep(sql, &kept)?;
            cursor.iter().try_for_each(|cursor| sql.set_export_cursor(cursor))
        })
        .await
}

/// Begins where the store says, as if it had never ended.
async fn begin(watcher: &Watcher, lane: Lane, rules: Arc<Rules>, runs: u64) -> Result<State, Stuck> {
    let reader = &watcher.reading.reader;
    let checkpoint = reader.checkpoint()?;
    let size = checkpoint.size();
    let kept = watcher.store.read(|sql| sql.export_cursor(cursor_name(lane)))?;
    let refused = match &kept {
        Some(cursor) => refusal(cursor, reader, size)?,
        None => None,
    };
    let next = match (&kept, refused) {
        (Some(cursor), None) => cursor.next,
        // What was before watching began is for `chartgate watch run`. Where the place is of another log, nobody knows what
        // of this one was seen: watching goes on, and says so.
        (None, _) | (Some(_), Some(_)) => size,
    };
    if kept.is_none() || refused.is_some() {
        if let Some(reason) = refused {
            tracing::error!(
                why = reason,
                "watching begins anew at the end of the log: its place was not of this log"
            );
        }
        let cursor = ExportCursor {
            name: cursor_name(lane).to_owned(),
            log: reader.key().to_string(),
            next,
            size,
            root: checkpoint.checkpoint().root.to_hex(),
        };
        let name = cursor.name.clone();
        let moved = watcher.store.write(move |sql| {
            sql.forget_export_cursor(&name)?;
            sql.set_export_cursor(&cursor)
        });
        moved.await.map_err(Stuck::Store)?;
    }
    if lane == Lane::Acts {
        watcher.record_begin(next, refused).await?;
    }
    let mut watch = Watch::new((*rules).clone(), lane);
    let then = replay::time_before(reader, next, watcher.clock.now());
    let mut known = replay::findings_since(&watcher.reading, then.minus(watch.looks_back()))?;
    // The last of them may be on record and not in the queue.
    known.extend(replay::findings_from(&watcher.reading, next)?);
    known.iter().for_each(|finding| watch.know(finding));
    let kept: Result<Vec<_>, _> = known.iter().map(|finding| watcher.findings.to_keep(finding)).collect();
    keep(watcher, kept?, None).await?;
    let people = watcher.findings.people()?;
    let first = replay::first_since(reader, then.minus(watch.counts_back()), next)?;
    for piece in replay::pieces(first..next, AT_ONCE) {
        for entry in replay::read(reader, piece)? {
            // What it finds there was found before, or is not looked for.
            drop(watch.see(&entry, &people, &Names::new()));
        }
    }
    Ok(State { watch, rules, runs, next })
}

/// Under which name the store keeps the place of a lane. No export has a name with a colon.
fn cursor_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Acts => "watch:acts",
        Lane::Names => "watch:names",
    }
}

impl Watcher {
    /// Applies the rules of today to what was done since then, as far as the lanes have seen it; says how many findings it
    /// made.
    ///
    /// # Errors
    /// [`Stuck`]; what it had found by then stands.
    pub(crate) async fn run_since(&self, since: Timestamp) -> Result<usize, Stuck> {
        let _one_at_a_time = self.running.lock().await;
        let mut count = 0_usize;
        for lane in [Lane::Acts, Lane::Names] {
            let made = self.run_lane_since(lane, since).await;
            // The lanes look anew at what there is a finding for.
            self.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            count = count.saturating_add(made?);
        }
        Ok(count)
    }

    async fn run_lane_since(&self, lane: Lane, since: Timestamp) -> Result<usize, Stuck> {
        let reader = &self.reading.reader;
        let size = reader.checkpoint()?.size();
        let cursor = self.store.read(|sql| sql.export_cursor(cursor_name(lane)))?;
        let end = cursor.map_or(size, |cursor| cursor.next.min(size));
        let (rules, people) = (self.rules(), self.findings.people()?);
        if idle(lane, &people) {
            return Ok(0);
        }
        let mut watch = Watch::new((*rules).clone(), lane);
        for finding in replay::findings_since(&self.reading, since.minus(watch.looks_back()))? {
            watch.know(&finding);
        }
        let first = replay::first_since(reader, since.minus(watch.counts_back()), end)?;
        let mut state = State { watch, rules, runs: 0, next: first };
        let mut count = 0_usize;
        for piece in replay::pieces(first..end, AT_ONCE) {
            let entries = replay::read(reader, piece)?;
            let (before, after): (Vec<Entry>, Vec<Entry>) =
                entries.into_iter().partition(|entry| entry.record.time < since);
            for entry in before {
                drop(state.watch.see(&entry, &people, &Names::new()));
            }
            let names = self.names_for(&state.watch, &after, &people).await?;
            let (found, kept) = see(self, lane, &mut state, &after, (&people, &names)).await?;
            keep(self, kept, None).await?;
            count = count.saturating_add(found.len());
        }
        Ok(count)
    }
}
