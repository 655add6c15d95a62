//! Changes that have to be on record: what tells of them is kept in the store with the change, in one transaction, and goes to
//! the log from there.
//!
//! Whatever comes between the two, a crash or a full disk, no such change stays untold: what was kept and is not in the log is
//! appended at the next start, before anything is served, and as soon as the log can be written while the gateway runs
//! (`left`). Whoever made the change is answered once its records are durable.

mod left;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chartgate_access::ids::SessionId;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::{AppendError, Journal, Writability};
use chartgate_audit::leaf::whole;
use chartgate_audit::record::Record;
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Timestamp};
use tokio::sync::Notify;

use super::cut_offs::LiveCutOffs;
use crate::audit_index::LogReading;
use crate::entropy::{SystemEntropy, digest_of, opaque_secret};
use crate::store::outbox::StoredRecords;
use crate::store::{Sql, Store, StoreError};

/// What records are sealed for until they are in the log.
pub(crate) const PURPOSE: &str = "audit outbox";

/// Why a change was not made, or has no record yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is in force; what tells of it waits until the log can be written.
    #[error("what was changed is not on record yet: {0}")]
    Unrecorded(#[from] AppendError),
}

/// Makes changes that are on record.
pub(crate) struct Outbox {
    pub(crate) store: Arc<Store>,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) journal: Journal,
    pub(crate) log: Arc<LogReading>,
    pub(crate) seal: Arc<SealingKey>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) under_way: Arc<UnderWay>,
}

/// What came of a transaction, with the records that tell of it.
#[must_use = "it is what the transaction gives"]
pub(crate) struct Change<T> {
    came: T,
    cut: Vec<CutOff>,
    records: Vec<Record>,
}

impl<T> Change<T> {
    /// Nothing that would have to be on record.
    pub(crate) fn none(came: T) -> Self {
        Self { came, cut: Vec::new(), records: Vec::new() }
    }

    /// What these tell of. They have the time of the change.
    pub(crate) fn told_by(came: T, records: impl IntoIterator<Item = Record>) -> Self {
        Self { came, cut: Vec::new(), records: records.into_iter().collect() }
    }

    /// What is cut off with it.
    pub(crate) fn cutting(mut self, cut: impl IntoIterator<Item = CutOff>) -> Self {
        self.cut.extend(cut);
        self
    }

    /// A session that ends with it.
    pub(crate) fn ending(self, session: SessionId, now: Timestamp) -> Self {
        self.cutting([CutOff::UpTo { target: Target::Session(session), not_before: now }])
    }
}

impl Outbox {
    /// Asked before something is given: while the log is known not to be writable nothing is, and what would be used up for it
    /// stays. The journal tries the disk by itself, so that this passes. What takes something away does not ask.
    ///
    /// # Errors
    /// [`AppendError::Unwritable`].
    pub(crate) fn may_give(&self) -> Result<(), AppendError> {
        match self.journal.writability() {
            Writability::Writable => Ok(()),
            Writability::Unwritable => Err(AppendError::Unwritable),
        }
    }

    /// Commits what `act` writes, which is given the time of the change, together with the records that tell of it; puts in
    /// force what it cuts off; and gives what came of it once the records are durable in the log.
    ///
    /// # Errors
    /// What `act` says, or why nothing was committed: then nothing was changed. [`AppendError`]: the change is in force, and its
    /// records are appended as soon as they can be.
    pub(crate) async fn commit<T, E, A>(&self, act: A) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<AppendError> + Send + 'static,
        A: FnOnce(&Sql<'_>, Timestamp) -> Result<Change<T>, E> + Send + 'static,
    {
        self.commit_and(act, Ok).await
    }

    /// The same, of what is in memory as well: `in_force` puts it there once it is committed, and before it is on record, for
    /// a log that cannot be written must keep nobody in.
    ///
    /// # Errors
    /// As [`Outbox::commit`], and what `in_force` says: what was committed is on record then.
    pub(crate) async fn commit_and<T, U, E, A>(
        &self,
        act: A,
        in_force: impl FnOnce(T) -> Result<U, E> + Send,
    ) -> Result<U, E>
    where
        T: Send + 'static,
        U: Send,
        E: From<StoreError> + From<AppendError> + Send + 'static,
        A: FnOnce(&Sql<'_>, Timestamp) -> Result<Change<T>, E> + Send + 'static,
    {
        let way = UnderWay::begin(&self.under_way);
        let (id, seal, journal) = (way.id.clone(), Arc::clone(&self.seal), self.journal.clone());
        let keep = move |sql: &Sql<'_>, at| {
            let Change { came, cut, mut records } = act(sql, at)?;
            records.iter_mut().for_each(|record| record.time = at);
            if !records.is_empty() {
                // INVARIANT: they are appended after this, so they are not among those that the log has.
                let kept = sealed(&seal, (id, journal.durable()), &records);
                // What cannot be told is not done.
                sql.keep_records(&kept.map_err(|error| StoreError::Commit(error.to_string()))?)?;
            }
            Ok::<_, E>(((came, records), cut))
        };
        let (came, records) = self.cut_offs.cut(keep).await?;
        let came = in_force(came);
        if records.is_empty() {
            way.over();
            return came;
        }
        // All are on their way before the first is waited for: one sync serves them.
        let appended: Vec<_> = records.iter().map(|record| self.journal.append(record, ())).collect();
        let mut outcome = Ok(());
        for one in appended {
            // Where one fails, what becomes of the others is known before anybody looks for what was left.
            outcome = one.await.map(drop).and(outcome);
        }
        outcome?;
        // CRASH: in the log and still here, they are found there.
        let (id, store) = (way.id.clone(), Arc::clone(&self.store));
        tokio::spawn(async move {
            match store.write(move |sql| sql.drop_records(&id)).await {
                Ok(()) => way.over(),
                Err::<_, StoreError>(error) => {
                    tracing::warn!(%error, "what is on record stays in the outbox")
                }
            }
        });
        came
    }
}

fn sealed(
    seal: &SealingKey,
    (id, log_size): (String, u64),
    records: &[Record],
) -> Result<StoredRecords, AppendError> {
    let text = whole::write(records)?;
    let sealed = seal.seal(&mut SystemEntropy, &place(&id, log_size), text.expose());
    let records = sealed.map_err(chartgate_audit::leaf::EncodeError::from)?;
    Ok(StoredRecords { id, log_size, records })
}

/// Neither is a row taken for another, nor is it looked for in another part of the log.
fn place(id: &str, log_size: u64) -> Vec<u8> {
    [id.as_bytes(), &log_size.to_be_bytes()].concat()
}

/// Changes that are being made: their records are on their way already.
#[derive(Default)]
pub(crate) struct UnderWay {
    ids: Mutex<BTreeSet<String>>,
    /// Told when something may have been left.
    left: Notify,
}

/// One of them. Where it ends before it is over, its records may have to be appended by somebody else.
struct Way {
    id: String,
    is_over: bool,
    of: Arc<UnderWay>,
}

impl UnderWay {
    fn begin(of: &Arc<Self>) -> Way {
        let id = digest_of(opaque_secret().expose());
        of.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        Way { id, is_over: false, of: Arc::clone(of) }
    }
}

impl Way {
    fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.of.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        if !self.is_over {
            self.of.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
