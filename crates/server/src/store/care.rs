//! The care table: who may see which patients, and which source says so.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::ids::{CareSource, PatientId, Subject};
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

impl Sql<'_> {
    /// Puts a patient into somebody's care.
    pub(crate) fn add_care(
        &self,
        of: &Subject,
        patient: &PatientId,
        source: &CareSource,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO care (subject, patient, source, added_at) VALUES (?1, ?2, ?3, ?4) \
                    ON CONFLICT DO NOTHING";
        let row = [of.as_str().into(), patient.as_str().into(), source.as_str().into(), now.into()];
        self.execute(text, &row).map(drop)
    }

    /// Takes a patient out of somebody's care, whatever source put them there.
    pub(crate) fn remove_care(&self, of: &Subject, patient: &PatientId) -> Result<(), StoreError> {
        let text = "DELETE FROM care WHERE subject = ?1 AND patient = ?2";
        self.execute(text, &[of.as_str().into(), patient.as_str().into()]).map(drop)
    }

    /// Takes back what one source said; others may say the same.
    pub(crate) fn take_care_back(
        &self,
        of: &Subject,
        patient: &PatientId,
        source: &CareSource,
    ) -> Result<(), StoreError> {
        let text = "DELETE FROM care WHERE subject = ?1 AND patient = ?2 AND source = ?3";
        let row = [of.as_str().into(), patient.as_str().into(), source.as_str().into()];
        self.execute(text, &row).map(drop)
    }

    /// The whole table.
    pub(crate) fn all_care(&self) -> Result<BTreeMap<Subject, BTreeSet<PatientId>>, StoreError> {
        let rows = self.query("care", "SELECT DISTINCT subject, patient FROM care", &[], |row| {
            Ok((row.parse("subject")?, row.parse("patient")?))
        })?;
        let mut all = BTreeMap::<Subject, BTreeSet<PatientId>>::new();
        for (subject, patient) in rows {
            all.entry(subject).or_default().insert(patient);
        }
        Ok(all)
    }

    /// The patients in somebody's care, by source.
    pub(crate) fn care_of(
        &self,
        subject: &Subject,
    ) -> Result<BTreeMap<CareSource, BTreeSet<PatientId>>, StoreError> {
        let text = "SELECT source, patient FROM care WHERE subject = ?1";
        let rows = self.query("care", text, &[subject.as_str().into()], |row| {
            Ok((row.parse("source")?, row.parse("patient")?))
        })?;
        let mut all = BTreeMap::<CareSource, BTreeSet<PatientId>>::new();
        for (source, patient) in rows {
            all.entry(source).or_default().insert(patient);
        }
        Ok(all)
    }

    /// All that a source says.
    pub(crate) fn care_by(&self, source: &CareSource) -> Result<BTreeSet<(Subject, PatientId)>, StoreError> {
        let text = "SELECT subject, patient FROM care WHERE source = ?1";
        let rows = self.query("care", text, &[source.as_str().into()], |row| {
            Ok((row.parse("subject")?, row.parse("patient")?))
        })?;
        Ok(rows.into_iter().collect())
    }
}
