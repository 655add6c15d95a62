//! The care table: who may see which patients.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::ids::{PatientId, Subject};
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

impl Sql<'_> {
    /// Puts a patient into somebody's care.
    pub(crate) fn add_care(
        &self,
        of: &Subject,
        patient: &PatientId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO care (subject, patient, added_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.execute(text, &[of.as_str().into(), patient.as_str().into(), now.into()]).map(drop)
    }

    /// Takes a patient out of somebody's care.
    pub(crate) fn remove_care(&self, of: &Subject, patient: &PatientId) -> Result<(), StoreError> {
        let text = "DELETE FROM care WHERE subject = ?1 AND patient = ?2";
        self.execute(text, &[of.as_str().into(), patient.as_str().into()]).map(drop)
    }

    /// The whole table.
    pub(crate) fn all_care(&self) -> Result<BTreeMap<Subject, BTreeSet<PatientId>>, StoreError> {
        let rows = self.query("care", "SELECT subject, patient FROM care", &[], |row| {
            Ok((row.parse("subject")?, row.parse("patient")?))
        })?;
        let mut all = BTreeMap::<Subject, BTreeSet<PatientId>>::new();
        for (subject, patient) in rows {
            all.entry(subject).or_default().insert(patient);
        }
        Ok(all)
    }
}
