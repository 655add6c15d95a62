//! The care table.

use std::collections::{BTreeMap, BTreeSet};

use chartgate_access::ids::{CareSource, PatientId, Subject};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::live::care::{CareChange, Difference, Turn};

/// A record names at most this many patients; a larger import makes several.
const PATIENTS_A_RECORD: usize = 500;

/// Pairs of one person each.
type BySubject<'p> = BTreeMap<&'p Subject, Vec<&'p PatientId>>;

/// What a source says of who is in whose care.
pub(super) struct Said {
    pub(super) pairs: Vec<(Subject, PatientId)>,
    /// Whether somebody meant it that this may be nothing.
    pub(super) may_be_nothing: bool,
}

impl Administrator {
    pub(super) async fn add_care(
        &self,
        by: Operator,
        pairs: Vec<(Subject, PatientId)>,
    ) -> Result<Value, CommandError> {
        let by_subject = by_subject(&pairs);
        by_subject.keys().try_for_each(|subject| self.find_person(subject))?;
        let turn = self.care.turn().await;
        self.record_all(by, by_subject, "add", None).await?;
        let (added, source) = (pairs.len(), command_line()?);
        let add = |(subject, patient)| CareChange::Add(subject, patient, source.clone());
        self.care.change::<CommandError>(&turn, pairs.into_iter().map(add).collect(), Vec::new()).await?;
        Ok(json!({ "added": added }))
    }

    /// Takes a file for all that a source says: what it said before and says no more is taken back, in one step with what is
    /// new. What other sources say stays. Where the log cannot be written nothing is added, and what is said no more is
    /// taken back all the same.
    pub(super) async fn import_care(
        &self,
        by: Operator,
        source: CareSource,
        Said { pairs, may_be_nothing }: Said,
    ) -> Result<Value, CommandError> {
        if source == command_line()? {
            return Err(CommandError::Invalid(format!(
                "`{source}` is what `care add` says: call it otherwise"
            )));
        }
        // An empty file is what a night's export leaves that has failed.
        if pairs.is_empty() && !may_be_nothing {
            return Err(CommandError::Invalid(format!(
                "no rows: this would take back all that `{source}` says; with --allow-empty it does"
            )));
        }
        let says: BTreeSet<_> = pairs.into_iter().collect();
        by_subject(&says).keys().try_for_each(|subject| self.find_person(subject))?;
        let turn = self.care.turn().await;
        let difference = self.care.difference(&turn, &source, &says)?;
        let Difference { added, removed } = &difference;
        let counts = [("added", added.len()), ("removed", removed.len()), ("rows", says.len())];
        let record = |change: &str| {
            let mut record = self.record(by, Event::CareChanged, &source);
            note(&mut record, "change", change);
            note(&mut record, "source", source.as_str());
            counts.iter().for_each(|(name, count)| note(&mut record, name, count));
            record
        };
        let begun = self.append(&record("import")).await.map(|recorded| recorded.index());
        let mut outcome = record("imported");
        if let Ok(begun) = begun {
            note(&mut outcome, "begun", begun);
        }
        // CRASH: what is on record and has no outcome may have been done or not; the same file makes it so.
        if let Err(error) = self.import_now(by, &turn, &source, (difference, begun.map(drop))).await {
            outcome.outcome = Outcome::Error;
            let reason = if error.is_of_the_log() { "unrecorded" } else { "failed" };
            outcome.decision.reason = Some(reason.to_owned());
            let _ = self.append(&outcome).await;
            return Err(error);
        }
        if let Err(error) = self.append(&outcome).await {
            return Err(CommandError::Invalid(format!(
                "it is done and its outcome is not on record: {error}"
            )));
        }
        let counts = counts.map(|(name, count)| (name.to_owned(), Value::from(count)));
        Ok(Value::Object(counts.into_iter().chain([("source".to_owned(), json!(source))]).collect()))
    }

    /// Has on record whose care is added, and then does it all; what tells of what is taken back is kept with that, so that it
    /// is told once. A log that cannot be written keeps nobody in: then what is to be taken back is, and nothing is added.
    async fn import_now(
        &self,
        by: Operator,
        turn: &Turn<'_>,
        source: &CareSource,
        (difference, begun): (Difference, Result<(), CommandError>),
    ) -> Result<(), CommandError> {
        let Difference { mut added, removed } = difference;
        let recorded = async {
            begun?;
            self.record_all(by, by_subject(&added), "add", Some(source)).await
        };
        let recorded = recorded.await;
        if recorded.is_err() {
            added.clear();
        }
        let kept = self.care_records(by, by_subject(&removed), ("remove", Some(source))).collect();
        let ends = !removed.is_empty();
        let add = |(subject, patient)| CareChange::Add(subject, patient, source.clone());
        let take_back = |(subject, patient)| CareChange::TakeBack(subject, patient, source.clone());
        let changes = added.into_iter().map(add).chain(removed.into_iter().map(take_back)).collect();
        match self.care.change::<CommandError>(turn, changes, kept).await {
            Ok(()) if ends => recorded.map_err(CommandError::after_the_end),
            Ok(()) => recorded,
            // What is taken back is in force then, and so is what was added, if that was on record.
            Err(error) => Err(match recorded {
                Ok(()) => error.once_in_force(),
                Err(_) => error.after_the_end(),
            }),
        }
    }

    pub(super) async fn remove_care(
        &self,
        by: Operator,
        subject: Subject,
        patient: PatientId,
    ) -> Result<Value, CommandError> {
        self.find_person(&subject)?;
        let turn = self.care.turn().await;
        let record = self.care_record(by, &subject, &[&patient], ("remove", None));
        let change = CareChange::Remove(subject.clone(), patient);
        let removed = self.care.change::<CommandError>(&turn, vec![change], vec![record]).await;
        removed.map_err(CommandError::after_the_end)?;
        self.list_care(&subject)
    }

    pub(super) fn list_care(&self, subject: &Subject) -> Result<Value, CommandError> {
        self.find_person(subject)?;
        let sources = self.care.by_source(subject)?;
        Ok(json!({ "subject": subject, "patients": &*self.care.of(subject), "sources": sources }))
    }

    async fn record_all(
        &self,
        by: Operator,
        by_subject: BySubject<'_>,
        change: &str,
        source: Option<&CareSource>,
    ) -> Result<(), CommandError> {
        for record in self.care_records(by, by_subject, (change, source)) {
            let _ = self.append(&record).await?;
        }
        Ok(())
    }

    fn care_records<'a>(
        &'a self,
        by: Operator,
        by_subject: BySubject<'a>,
        change: (&'a str, Option<&'a CareSource>),
    ) -> impl Iterator<Item = Record> + 'a {
        by_subject.into_iter().flat_map(move |(subject, patients)| {
            let record = |some: &[&PatientId]| self.care_record(by, subject, some, change);
            patients.chunks(PATIENTS_A_RECORD).map(record).collect::<Vec<_>>()
        })
    }

    /// Refuses who can be nobody: of people whom a trusted issuer knows we know nothing but their name.
    fn find_person(&self, subject: &Subject) -> Result<(), CommandError> {
        if subject.is_foreign() { Ok(()) } else { self.find_user(subject).map(drop) }
    }

    fn care_record(
        &self,
        by: Operator,
        subject: &Subject,
        patients: &[&PatientId],
        (change, source): (&str, Option<&CareSource>),
    ) -> Record {
        let mut record = self.record(by, Event::CareChanged, subject);
        record.patients = patients.iter().map(|patient| Phi::new(patient.to_string())).collect();
        note(&mut record, "change", change);
        if let Some(source) = source {
            note(&mut record, "source", source.as_str());
        }
        record
    }
}

fn by_subject<'p>(pairs: impl IntoIterator<Item = &'p (Subject, PatientId)>) -> BySubject<'p> {
    let mut all = BySubject::new();
    for (subject, patient) in pairs {
        all.entry(subject).or_default().push(patient);
    }
    all
}

/// The source of what is said by hand.
fn command_line() -> Result<CareSource, CommandError> {
    Ok(COMMAND_LINE.parse::<CareSource>()?)
}

const COMMAND_LINE: &str = "command";
