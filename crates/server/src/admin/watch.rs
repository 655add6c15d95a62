//! Findings: which there are, what is made of them, and what is known of people to find them.

use chartgate_access::ids::Subject;
use chartgate_audit::record::{Event, Record};
use chartgate_audit::watch::{Disposition, FindingId};
use chartgate_values::{Phi, Timestamp};
use serde_json::{Value, json};

use super::users::tell;
use super::{Administrator, CommandError, Operator, note};
use crate::config::CommandLine;
use crate::live::emergency::LONGEST_NOTE;
use crate::live::findings::{Facts, NotClosed, Unsealed};
use crate::store::watch::{KeptFinding, WatchNotice};

impl Administrator {
    /// All that are open, oldest first, then those that were closed last.
    pub(super) async fn list_findings(&self, by: Operator) -> Result<Value, CommandError> {
        let record = self.record(by, Event::WatchRead, "all");
        let _ = self.append(&record).await?;
        let shown = self.watcher.findings.list()?.into_iter().map(|kept| {
            json!({
                "id": kept.id,
                "rule": kept.rule,
                "at": kept.at,
                "user": kept.subject,
                "state": kept.closed.as_ref().map_or("open", |closed| closed.disposition.as_str()),
            })
        });
        Ok(shown.collect())
    }

    /// One finding, whole.
    pub(super) async fn show_finding(&self, by: Operator, id: &FindingId) -> Result<Value, CommandError> {
        let (kept, notices) = self.find_finding(id)?;
        let whole = self.whole_finding(&kept, &notices)?;
        let record = self.about_finding(by, Event::WatchRead, &kept)?;
        let _ = self.append(&record).await?;
        Ok(whole)
    }

    /// Notes what a privacy officer makes of a finding, in their place: for demonstrations, as it is with emergency access.
    pub(super) async fn close_finding(
        &self,
        by: Operator,
        id: &FindingId,
        reviewer: &Subject,
        disposition: Disposition,
        text: &str,
    ) -> Result<Value, CommandError> {
        match self.command_line {
            CommandLine::Answers => {}
            CommandLine::Shows => {
                let problem = "privacy officers close findings for themselves, at /watch/findings; `[approvals] \
                               command_line = true` is for demonstrations";
                return Err(CommandError::Invalid(problem.to_owned()));
            }
        }
        let (kept, _) = self.find_finding(id)?;
        let officer = self.find_user(reviewer)?;
        if text.trim().is_empty() || text.chars().count() > LONGEST_NOTE {
            return Err(CommandError::Invalid(format!(
                "the note has to have 1 to {LONGEST_NOTE} characters"
            )));
        }
        self.watcher.findings.may_close(&kept, &officer).map_err(not_closed)?;
        let mut record = self.about_finding(by, Event::WatchClosed, &kept)?;
        note(&mut record, "reviewer", reviewer);
        note(&mut record, "disposition", disposition);
        note(&mut record, "note", text);
        let closing = self.watcher.findings.close(&kept, &officer, (disposition, text), record);
        closing.await.map_err(not_closed)?;
        let (kept, notices) = self.find_finding(id)?;
        self.whole_finding(&kept, &notices)
    }

    /// Applies the rules of today to what was done since then.
    pub(super) async fn run_watch(&self, by: Operator, since: Timestamp) -> Result<Value, CommandError> {
        let mut record = self.record(by, Event::WatchRun, "all");
        note(&mut record, "since", since);
        for (rule, told) in self.watcher.rules().told() {
            note(&mut record, rule, told);
        }
        let _ = self.append(&record).await?;
        let found = self.watcher.run_since(since).await;
        let found =
            found.map_err(|error| CommandError::Invalid(format!("it was not done to the end: {error}")))?;
        Ok(json!({ "since": since, "findings": found }))
    }

    /// Notes what is known of a person besides, in place of what was.
    pub(super) async fn know_user(
        &self,
        by: Operator,
        name: Subject,
        facts: Facts,
    ) -> Result<Value, CommandError> {
        self.find_user(&name)?;
        let sealed = self.watcher.findings.sealed_facts(&name, &facts).map_err(unsealed)?;
        let mut record = self.record(by, Event::UserChanged, &name);
        tell(&mut record, &facts);
        let _ = self.append(&record).await?;
        let of = name.clone();
        let kept = self.store.write(move |sql| sql.set_watched_person(&of, sealed.as_deref()));
        kept.await.map_err(CommandError::Store)?;
        self.watcher.findings.people_changed();
        self.show_user(&name)
    }

    fn find_finding(&self, id: &FindingId) -> Result<(KeptFinding, Vec<WatchNotice>), CommandError> {
        let found = self.watcher.findings.find(id)?;
        found.ok_or_else(|| CommandError::Unknown { kind: "finding", name: id.to_string() })
    }

    fn about_finding(&self, by: Operator, event: Event, kept: &KeptFinding) -> Result<Record, CommandError> {
        let finding = self.watcher.findings.whole(kept).map_err(unsealed)?;
        let mut record = self.record(by, event, &kept.id);
        record.patients = finding.patients;
        note(&mut record, "finding", &kept.id);
        if let Some(user) = &kept.subject {
            note(&mut record, "user", user);
        }
        Ok(record)
    }

    fn whole_finding(&self, kept: &KeptFinding, notices: &[WatchNotice]) -> Result<Value, CommandError> {
        let finding = self.watcher.findings.whole(kept).map_err(unsealed)?;
        let patients: Vec<&String> = finding.patients.iter().map(Phi::expose).collect();
        let told = notices.iter().map(|notice| {
            let state = if notice.told_at.is_some() { "told" } else { "not told yet" };
            format!("{}: {state}", notice.way)
        });
        Ok(json!({
            "id": kept.id,
            "rule": kept.rule,
            "about": kept.rule.words(),
            "at": kept.at,
            "until": finding.until,
            "user": kept.subject,
            "client": finding.client,
            "of": finding.of.expose(),
            "patients": patients,
            "records": finding.records,
            "reached": finding.reached,
            "outcome": finding.outcome,
            "told": told.collect::<Vec<_>>(),
            "state": kept.closed.as_ref().map_or("open", |closed| closed.disposition.as_str()),
            "closed_at": kept.closed.as_ref().map(|closed| closed.at),
            "closed_by": kept.closed.as_ref().map(|closed| &closed.by),
            "note": self.watcher.findings.note(kept),
        }))
    }
}

fn not_closed(cause: NotClosed) -> CommandError {
    match cause {
        NotClosed::Store(error) => CommandError::Store(error),
        NotClosed::Unwritable(error) => CommandError::Unrecorded(error),
        NotClosed::Unrecorded(error) => CommandError::InForceUnrecorded(error),
        NotClosed::NotAReviewer | NotClosed::OwnActs | NotClosed::Closed | NotClosed::Unsealed => {
            CommandError::Invalid(cause.to_string())
        }
    }
}

fn unsealed(cause: Unsealed) -> CommandError {
    CommandError::Invalid(cause.to_string())
}
