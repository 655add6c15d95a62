//! The care table in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use chartgate_access::ids::{PatientId, Subject};
use chartgate_values::{Clock, Timestamp};

use crate::store::{Sql, Store, StoreError};

/// Who may see which patients.
pub(crate) struct LiveCare {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    table: RwLock<BTreeMap<Subject, Arc<BTreeSet<PatientId>>>>,
}

/// A change of the table.
#[derive(Clone, Debug)]
pub(crate) enum CareChange {
    Add(Subject, PatientId),
    Remove(Subject, PatientId),
}

impl LiveCare {
    /// Reads the table from the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn load(store: Arc<Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let table = store.read(|sql| sql.all_care())?;
        let table = table.into_iter().map(|(subject, patients)| (subject, Arc::new(patients))).collect();
        Ok(Self { store, clock, table: RwLock::new(table) })
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

    /// Commits changes, then puts them in force.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub(crate) async fn change(&self, changes: Vec<CareChange>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let written = changes.clone();
        self.store.write(move |sql| written.iter().try_for_each(|change| apply(sql, change, now))).await?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                CareChange::Add(subject, patient) => {
                    Arc::make_mut(table.entry(subject).or_default()).insert(patient);
                }
                CareChange::Remove(subject, patient) => {
                    if let Some(patients) = table.get_mut(&subject) {
                        Arc::make_mut(patients).remove(&patient);
                    }
                }
            }
        }
        Ok(())
    }
}

fn apply(sql: &Sql<'_>, change: &CareChange, now: Timestamp) -> Result<(), StoreError> {
    match change {
        CareChange::Add(subject, patient) => sql.add_care(subject, patient, now),
        CareChange::Remove(subject, patient) => sql.remove_care(subject, patient),
    }
}
