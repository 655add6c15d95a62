//! What a crash or a full disk left in the outbox: it is appended later, and says so.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chartgate_audit::journal::{AppendError, Writability};
use chartgate_audit::leaf::whole;
use chartgate_audit::record::{Actor, ActorKind, Event, Outcome, RECORDED_AT, Record};
use chartgate_values::Phi;
use tokio::sync::watch;

use super::{Outbox, place};
use crate::store::StoreError;
use crate::store::outbox::StoredRecords;

/// How much of the name of a row is told that is not ours.
const LONGEST_SHOWN: usize = 64;
/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why something is left still.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StillLeft {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Records of a change that may not be in the log.
struct Left {
    id: String,
    log_size: u64,
    records: Vec<Record>,
}

impl Outbox {
    /// Appends what was left as soon as the log can be written.
    pub(crate) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = self.under_way.left.notified() => {}
            }
            while !self.is_told().await {
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    /// Whether nothing is left any more.
    async fn is_told(self: &Arc<Self>) -> bool {
        // Whoever asks it in vain reads the log for nothing.
        if self.journal.writability() == Writability::Unwritable {
            return false;
        }
        let own = Arc::clone(self);
        match tokio::task::spawn_blocking(move || own.tell_left()).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "what was changed is not on record yet");
                false
            }
            Err(error) => {
                tracing::error!(%error, "what was changed is not on record yet");
                false
            }
        }
    }

    /// The same before anything is served. A record that cannot be stored as it is, or whose key is not to be had, keeps the
    /// gateway from nothing; it is tried again with those that are left later.
    ///
    /// # Errors
    /// [`StillLeft`]: the store or the log does not do its part.
    pub(crate) fn tell_left_at_start(&self) -> Result<usize, StillLeft> {
        match self.tell_left() {
            Err(StillLeft::Append(error @ (AppendError::Encode(_) | AppendError::Key(_)))) => {
                tracing::error!(%error, "what was changed before is not on record yet");
                Ok(0)
            }
            told => told,
        }
    }

    /// Appends what was left and is not in the log, and says how many records those were. What is not ours is refused, on
    /// record.
    ///
    /// # Errors
    /// [`StillLeft`]: not all of it is on record.
    pub(crate) fn tell_left(&self) -> Result<usize, StillLeft> {
        let mut left = Vec::new();
        for stored in self.stored()? {
            match self.open(&stored) {
                Some(records) => left.push(Left { id: stored.id, log_size: stored.log_size, records }),
                None => self.refuse(stored)?,
            }
        }
        self.strike_what_is_there(&mut left);
        // As it was changed.
        left.sort_by_key(|one| one.records.first().map(|record| record.time));
        let (mut told, mut failed) = (0_usize, None);
        for one in left {
            match self.tell(one) {
                Ok(records) => told = told.saturating_add(records),
                Err(error @ StillLeft::Append(AppendError::Unwritable | AppendError::Closed)) => {
                    return Err(error);
                }
                // It keeps no other from being told.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if told > 0 {
            tracing::warn!(records = told, "what was changed before is on record only now");
        }
        failed.map_or(Ok(told), Err)
    }

    /// Appends the records of one change, and says how many they were.
    fn tell(&self, Left { id, records, .. }: Left) -> Result<usize, StillLeft> {
        let count = records.len();
        for mut record in records {
            let now = self.clock.now();
            record.detail.insert(RECORDED_AT.to_owned(), Phi::new(now.to_string()));
            let _ = self.journal.append_late_blocking(&record, now)?;
        }
        // CRASH: in the log and still here, they are found there the next time.
        self.store.write_blocking(move |sql| sql.drop_records(&id))?;
        Ok(count)
    }

    /// What is kept, but for what somebody is about to append.
    fn stored(&self) -> Result<Vec<StoredRecords>, StoreError> {
        let mut stored = self.store.read(|sql| sql.kept_records())?;
        // INVARIANT: an id is there from before its row until after it. One that went since the rows were read has its records
        // in the log, where they are looked for after this, or leaves them.
        let under_way = self.under_way.ids.lock().unwrap_or_else(PoisonError::into_inner);
        stored.retain(|one| !under_way.contains(&one.id));
        Ok(stored)
    }

    fn open(&self, stored: &StoredRecords) -> Option<Vec<Record>> {
        let text = self.seal.open(&place(&stored.id, stored.log_size), &stored.records).ok()?;
        whole::read(text.expose())
    }

    /// Nothing of it is believed, and the log says that it was there.
    fn refuse(&self, stored: StoredRecords) -> Result<(), StillLeft> {
        let StoredRecords { id, .. } = stored;
        tracing::error!(
            id,
            "records in the outbox are not what was kept there: somebody else wrote into the store"
        );
        let now = self.clock.now();
        let mut record = Record::new(Event::Recovered, Outcome::Deny, now);
        record.actor = Actor { kind: ActorKind::Local, ..Actor::default() };
        record.decision.reason = Some("outbox-forged".to_owned());
        record.resource = Some(Phi::new(id.chars().take(LONGEST_SHOWN).collect()));
        let _ = self.journal.append_blocking(&record, ())?;
        // CRASH: refused on record and not noted here, it is refused once more.
        Ok(self.store.write_blocking(move |sql| sql.refuse_records(&id, now))?)
    }

    /// Strikes the records that are in the log. Each there stands for one here.
    fn strike_what_is_there(&self, left: &mut [Left]) {
        let Some(from) = left.iter().map(|one| one.log_size).min() else { return };
        // Of what lies behind that the disk has not said that it is there: the journal may have given it up.
        let durable = self.journal.durable();
        for entry in self.log.reader.entries(from.min(durable)) {
            let mut record = match entry {
                Ok(entry) if entry.index >= durable => return,
                Ok(entry) => entry.record,
                Err(error) => {
                    // Told twice is better than not told.
                    tracing::warn!(%error, "whether what was changed is on record cannot be told");
                    continue;
                }
            };
            record.detail.remove(RECORDED_AT);
            for one in left.iter_mut() {
                if let Some(at) = one.records.iter().position(|kept| *kept == record) {
                    one.records.remove(at);
                    break;
                }
            }
        }
    }
}
