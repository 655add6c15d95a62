//! The care table in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use chartgate_access::ids::{CareSource, PatientId, Subject};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::Record;
use chartgate_values::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use super::outbox::{Change, Outbox};
use crate::store::{Sql, Store, StoreError};

/// Who may see which patients.
pub(crate) struct LiveCare {
    store: Arc<Store>,
    outbox: Arc<Outbox>,
    table: RwLock<BTreeMap<Subject, Arc<BTreeSet<PatientId>>>>,
    /// One change at a time, so that memory gets them in the order in which they were committed.
    turn: AsyncMutex<()>,
}

/// A change of the table.
#[derive(Clone, Debug)]
pub(crate) enum CareChange {
    /// A source says so.
    Add(Subject, PatientId, CareSource),
    /// A source says so no more.
    TakeBack(Subject, PatientId, CareSource),
    /// Whatever sources say.
    Remove(Subject, PatientId),
}

/// Leave to change the table.
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "holds the turn while it lives")] MutexGuard<'a, ()>);

/// What a source says that it did not say before, and the other way round.
pub(crate) struct Difference {
    pub(crate) added: BTreeSet<(Subject, PatientId)>,
    pub(crate) removed: BTreeSet<(Subject, PatientId)>,
}

impl LiveCare {
    /// Reads the table from the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn load(store: Arc<Store>, outbox: Arc<Outbox>) -> Result<Self, StoreError> {
        let table = store.read(|sql| sql.all_care())?;
        let table = table.into_iter().map(|(subject, patients)| (subject, Arc::new(patients))).collect();
        Ok(Self { store, outbox, table: RwLock::new(table), turn: AsyncMutex::default() })
    }

    /// The patients in somebody's care.
    pub(crate) fn of(&self, subject: &Subject) -> Arc<BTreeSet<PatientId>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(subject).map(Arc::clone).unwrap_or_default()
    }

    /// Those who have a patient in their care.
    pub(crate) fn carers_of(&self, patient: &PatientId) -> Vec<Subject> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let carers = table.iter().filter(|(_, patients)| patients.contains(patient));
        carers.map(|(subject, _)| subject.clone()).collect()
    }

    /// The patients in somebody's care, by source.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn by_source(
        &self,
        subject: &Subject,
    ) -> Result<BTreeMap<CareSource, BTreeSet<PatientId>>, StoreError> {
        self.store.read(|sql| sql.care_of(subject))
    }

    /// Waits until nobody else changes the table.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn(self.turn.lock().await)
    }

    /// What would change if all that a source says were this.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn difference(
        &self,
        _: &Turn<'_>,
        source: &CareSource,
        says: &BTreeSet<(Subject, PatientId)>,
    ) -> Result<Difference, StoreError> {
        let said = self.store.read(|sql| sql.care_by(source))?;
        let [added, removed] =
            [(says, &said), (&said, says)].map(|(one, other)| one.difference(other).cloned().collect());
        Ok(Difference { added, removed })
    }

    /// Commits changes, all or none, with records that tell of them, if there are none already; then puts them in force.
    ///
    /// # Errors
    /// [`StoreError`]: nothing changed. [`AppendError`]: it did, and is not on record yet.
    pub(crate) async fn change<E>(
        &self,
        _: &Turn<'_>,
        changes: Vec<CareChange>,
        records: Vec<Record>,
    ) -> Result<(), E>
    where
        E: From<StoreError> + From<AppendError> + Send + 'static,
    {
        let act = move |sql: &Sql<'_>, now| {
            let mut subjects = BTreeSet::new();
            for change in changes {
                apply(sql, &change, now)?;
                subjects.insert(change.subject());
            }
            let mut found = Vec::with_capacity(subjects.len());
            for subject in subjects {
                let patients: BTreeSet<PatientId> = sql.care_of(&subject)?.into_values().flatten().collect();
                found.push((subject, Arc::new(patients)));
            }
            Ok(Change::told_by(found, records))
        };
        let in_force = |found| {
            self.table.write().unwrap_or_else(PoisonError::into_inner).extend::<Vec<_>>(found);
            Ok(())
        };
        self.outbox.commit_and(act, in_force).await
    }
}

impl CareChange {
    fn subject(self) -> Subject {
        match self {
            Self::Add(subject, ..) | Self::TakeBack(subject, ..) | Self::Remove(subject, _) => subject,
        }
    }
}

fn apply(sql: &Sql<'_>, change: &CareChange, now: Timestamp) -> Result<(), StoreError> {
    match change {
        CareChange::Add(subject, patient, source) => sql.add_care(subject, patient, source, now),
        CareChange::TakeBack(subject, patient, source) => sql.take_care_back(subject, patient, source),
        CareChange::Remove(subject, patient) => sql.remove_care(subject, patient),
    }
}
