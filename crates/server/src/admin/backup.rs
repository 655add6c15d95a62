//! Backups. What leaves the data folder is on record before it does, and so is what came of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartgate_audit::reader::Filter;
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::Phi;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::backup::drill::Drilled;
use crate::backup::make::{Source, make};

impl Administrator {
    /// Makes a backup of what runs in the folder `out`.
    pub(super) async fn back_up(&self, by: Operator, out: PathBuf) -> Result<Value, CommandError> {
        if !out.is_absolute() {
            return Err(CommandError::Invalid("a backup goes to an absolute path".to_owned()));
        }
        let begun = self.append(&self.record(by, Event::BackupBegun, out.display())).await?.index();
        let (config, store) = (self.in_force.config(), Arc::clone(&self.store));
        let (journal, reading) = (self.journal.clone(), Arc::clone(&self.reading));
        let (signer, now) = (Arc::clone(&self.signer), self.clock.now());
        let making = tokio::task::spawn_blocking(move || {
            let source = Source {
                config: &config,
                store: &store,
                journal: &journal,
                reader: &reading.reader,
                signer: &signer,
                begun,
            };
            make(&source, &out, now)
        });
        let made = making.await.map_err(anyhow::Error::from).and_then(|made| made);
        let mut record = match &made {
            Ok(made) => self.record(by, Event::BackupMade, made.id.to_hex()),
            Err(_) => self.record(by, Event::BackupMade, "none"),
        };
        note(&mut record, "begun", begun);
        match &made {
            Ok(made) => {
                note(&mut record, "size", made.size);
                note(&mut record, "files", made.files);
                note(&mut record, "bytes", made.bytes);
            }
            Err(error) => {
                record.outcome = Outcome::Error;
                record.decision.reason = Some("failed".to_owned());
                note(&mut record, "failure", format!("{error:#}"));
            }
        }
        let _ = self.append(&record).await?;
        let made = made.map_err(|error| CommandError::Invalid(format!("there is no backup: {error:#}")))?;
        Ok(json!({
            "backup": made.id.to_hex(), "records": made.size, "files": made.files, "bytes": made.bytes,
            "needs": made.needs,
        }))
    }

    /// Whether a backup of this name and size was made, or is what runs here.
    async fn is_on_record(&self, drilled: &Drilled) -> Result<bool, CommandError> {
        let (reading, size) = (Arc::clone(&self.reading), drilled.size.to_string());
        let resource = Some(Phi::new(drilled.id.clone()));
        let filter = Filter { resource, outcome: Some(Outcome::Allow), ..Filter::default() };
        let found = tokio::task::spawn_blocking(move || reading.find(&filter)).await;
        let found = found.map_err(|e| CommandError::Invalid(e.to_string()))?;
        let found = found.map_err(|e| CommandError::Invalid(format!("the log cannot be read: {e}")))?;
        Ok(found.iter().any(|entry| {
            matches!(entry.record.event, Event::BackupMade | Event::BackupRestored)
                && entry.record.detail.get("size").is_some_and(|own| *own.expose() == size)
        }))
    }

    /// Notes what came of trying a backup out.
    pub(super) async fn note_drill(
        &self,
        by: Operator,
        from: &Path,
        drilled: Result<Drilled, String>,
    ) -> Result<Value, CommandError> {
        if let Ok(drilled) = &drilled
            && !self.is_on_record(drilled).await?
        {
            return Err(CommandError::Invalid(format!(
                "the log knows of no backup {} of {} records",
                drilled.id, drilled.size
            )));
        }
        let mut record = match &drilled {
            Ok(drilled) => self.record(by, Event::BackupDrilled, &drilled.id),
            Err(_) => self.record(by, Event::BackupDrilled, from.display()),
        };
        match &drilled {
            Ok(drilled) => {
                note(&mut record, "made", drilled.made);
                note(&mut record, "size", drilled.size);
                note(&mut record, "after", drilled.after);
                note(&mut record, "milliseconds", drilled.milliseconds);
            }
            Err(failure) => {
                record.outcome = Outcome::Error;
                record.decision.reason = Some("failed".to_owned());
                note(&mut record, "failure", failure);
            }
        }
        let recorded = self.append(&record).await?;
        Ok(json!({ "index": recorded.index() }))
    }
}
