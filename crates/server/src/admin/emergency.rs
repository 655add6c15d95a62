//! Emergency access: what was used, what is made of it, and ending it.

use chartgate_access::emergency::Disposition;
use chartgate_access::ids::{EmergencyId, Subject};
use chartgate_audit::record::{Event, Record};
use chartgate_values::Phi;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::config::CommandLine;
use crate::live::emergency::{LONGEST_NOTE, NotReviewed};
use crate::store::emergency::{EmergencyNotice, EmergencyUse};
use crate::store::pending::Took;
use crate::store::questions::Decided;

impl Administrator {
    /// All uses that wait for review, and the last that do not. What was said for them stands with each alone.
    pub(super) async fn list_emergencies(&self, by: Operator) -> Result<Value, CommandError> {
        let record = self.record(by, Event::EmergencyRead, "all");
        let _ = self.append(&record).await?;
        let mut shown = Vec::new();
        for used in self.emergencies.list()? {
            let notices = self.emergencies.find(&used.id)?.map(|(_, notices)| notices).unwrap_or_default();
            shown.push(json!({
                "id": used.id,
                "user": used.subject,
                "patient": used.patient,
                "began_at": used.began_at,
                "reason": used.reason.code(),
                "review": used.review.as_ref().map_or("waits", |review| review.disposition.code()),
                "acknowledged": acknowledged(&used),
                "told": told(&notices),
            }));
        }
        Ok(Value::Array(shown))
    }

    /// One use, with what was said for it.
    pub(super) async fn show_emergency(&self, by: Operator, id: &EmergencyId) -> Result<Value, CommandError> {
        let (used, notices) = self.find_emergency(id)?;
        let record = self.about(by, Event::EmergencyRead, &used);
        let _ = self.append(&record).await?;
        Ok(self.whole(&used, &notices))
    }

    /// Notes what a privacy officer makes of a use. A name on a command line is no sign-in: whoever runs the gateway could
    /// clear their own uses in an officer's name, so that it takes a configuration for demonstrations. Who gives the command
    /// is on record beside them.
    pub(super) async fn review_emergency(
        &self,
        by: Operator,
        id: &EmergencyId,
        reviewer: &Subject,
        disposition: Disposition,
        text: &str,
    ) -> Result<Value, CommandError> {
        match self.command_line {
            CommandLine::Answers => {}
            CommandLine::Shows => {
                let problem = "privacy officers review for themselves, at /emergency/reviews; `[approvals] \
                               command_line = true` is for demonstrations";
                return Err(CommandError::Invalid(problem.to_owned()));
            }
        }
        let (used, _) = self.find_emergency(id)?;
        let officer = self.find_user(reviewer)?;
        if text.trim().is_empty() || text.chars().count() > LONGEST_NOTE {
            return Err(CommandError::Invalid(format!(
                "the note has to have 1 to {LONGEST_NOTE} characters"
            )));
        }
        let mut record = self.about(by, Event::EmergencyReviewed, &used);
        note(&mut record, "reviewer", reviewer);
        note(&mut record, "disposition", disposition);
        note(&mut record, "note", text);
        self.emergencies.review(&used, &officer, (disposition, text), record).await.map_err(not_reviewed)?;
        let (used, notices) = self.find_emergency(id)?;
        Ok(self.whole(&used, &notices))
    }

    /// Ends a use before its time: its tokens die at once.
    pub(super) async fn end_emergency(&self, by: Operator, id: &EmergencyId) -> Result<Value, CommandError> {
        let (used, _) = self.find_emergency(id)?;
        // What takes something away is done first.
        let record = self.about(by, Event::EmergencyEnded, &used);
        let ended = self.emergencies.end::<CommandError>(&used, record).await;
        match ended.map_err(CommandError::after_the_end)? {
            Took::It => Ok(json!({ "ended": id })),
            Took::Nothing => Err(CommandError::Invalid("it is over already".to_owned())),
        }
    }

    fn find_emergency(&self, id: &EmergencyId) -> Result<(EmergencyUse, Vec<EmergencyNotice>), CommandError> {
        let found = self.emergencies.find(id)?;
        found.ok_or_else(|| CommandError::Unknown { kind: "use of emergency access", name: id.to_string() })
    }

    fn about(&self, by: Operator, event: Event, used: &EmergencyUse) -> Record {
        let mut record = self.record(by, event, &used.id);
        record.patients = vec![Phi::new(used.patient.to_string())];
        record.grant = Some(used.grant.to_string());
        note(&mut record, "emergency", &used.id);
        note(&mut record, "user", &used.subject);
        record
    }

    fn whole(&self, used: &EmergencyUse, notices: &[EmergencyNotice]) -> Value {
        let text = |sealed: &[u8]| self.emergencies.open(&used.id, sealed);
        json!({
            "id": used.id,
            "user": used.subject,
            "client": used.client_id,
            "patient": used.patient,
            "reason": used.reason.code(),
            "explanation": text(&used.explanation),
            "grant": used.grant,
            "began_at": used.began_at,
            "until": used.ended_at.unwrap_or(used.until),
            "reviewed_at": used.review.as_ref().map(|review| review.at),
            "reviewed_by": used.review.as_ref().map(|review| review.by.clone()),
            "disposition": used.review.as_ref().map(|review| review.disposition.code()),
            "note": used.review.as_ref().and_then(|review| text(&review.note)),
            "acknowledged": acknowledged(used),
            "told": told(notices),
        })
    }
}

/// What its person said of it on their phone.
fn acknowledged(used: &EmergencyUse) -> &'static str {
    match used.told.as_ref().map(|told| told.said) {
        None => "not asked",
        Some(None) => "not answered",
        Some(Some(Decided::Yes)) => "acknowledged",
        Some(Some(Decided::No)) => "DISOWNED",
    }
}

/// Who was told, by each way.
fn told(notices: &[EmergencyNotice]) -> String {
    let one = |notice: &EmergencyNotice| match (&notice.told_at, &notice.failure) {
        (Some(_), _) => format!("{}: told", notice.way),
        (None, Some(failure)) => format!("{}: NOT TOLD, {failure}", notice.way),
        (None, None) => format!("{}: not yet", notice.way),
    };
    if notices.is_empty() {
        return "nobody: neither `emergency.webhook` nor `emergency.mail_to` is configured".to_owned();
    }
    notices.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn not_reviewed(cause: NotReviewed) -> CommandError {
    match cause {
        NotReviewed::Store(error) => error.into(),
        NotReviewed::Unwritable(error) => CommandError::Unrecorded(error),
        NotReviewed::Unrecorded(error) => CommandError::InForceUnrecorded(error),
        cause @ (NotReviewed::NotAReviewer
        | NotReviewed::OwnUse
        | NotReviewed::Reviewed
        | NotReviewed::Unsealed) => CommandError::Invalid(cause.to_string()),
    }
}
