//! The care table.

use std::collections::BTreeMap;

use chartgate_access::ids::{PatientId, Subject};
use chartgate_audit::record::Event;
use chartgate_values::Phi;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::live::care::CareChange;

/// A record names at most this many patients; a larger import makes several.
const PATIENTS_A_RECORD: usize = 500;

impl Administrator {
    pub(super) async fn add_care(
        &self,
        by: Operator,
        pairs: Vec<(Subject, PatientId)>,
    ) -> Result<Value, CommandError> {
        let mut by_subject = BTreeMap::<&Subject, Vec<&PatientId>>::new();
        for (subject, patient) in &pairs {
            by_subject.entry(subject).or_default().push(patient);
        }
        for subject in by_subject.keys() {
            self.find_person(subject)?;
        }
        for (subject, patients) in by_subject {
            for some in patients.chunks(PATIENTS_A_RECORD) {
                self.record_care(by, subject, some, "add").await?;
            }
        }
        let added = pairs.len();
        let changes = pairs.into_iter().map(|(subject, patient)| CareChange::Add(subject, patient)).collect();
        self.care.change(changes).await?;
        Ok(json!({ "added": added }))
    }

    pub(super) async fn remove_care(
        &self,
        by: Operator,
        subject: Subject,
        patient: PatientId,
    ) -> Result<Value, CommandError> {
        self.find_person(&subject)?;
        self.care.change(vec![CareChange::Remove(subject.clone(), patient.clone())]).await?;
        self.record_care(by, &subject, &[&patient], "remove").await?;
        self.list_care(&subject)
    }

    pub(super) fn list_care(&self, subject: &Subject) -> Result<Value, CommandError> {
        self.find_person(subject)?;
        Ok(json!({ "subject": subject, "patients": &*self.care.of(subject) }))
    }

    /// Refuses who can be nobody: of people whom a trusted issuer knows we know nothing but their name.
    fn find_person(&self, subject: &Subject) -> Result<(), CommandError> {
        if subject.is_foreign() { Ok(()) } else { self.find_user(subject).map(drop) }
    }

    async fn record_care(
        &self,
        by: Operator,
        subject: &Subject,
        patients: &[&PatientId],
        change: &str,
    ) -> Result<(), CommandError> {
        let mut record = self.record(by, Event::CareChanged, subject);
        record.patients = patients.iter().map(|patient| Phi::new(patient.to_string())).collect();
        note(&mut record, "change", change);
        let _ = self.append(&record).await?;
        Ok(())
    }
}
