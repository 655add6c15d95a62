//! Reading the log is itself an act. So is ending what it says of patients, once its time is over and nobody holds it.

use chartgate_audit::data_keys::Month;
use chartgate_audit::record::{Event, Outcome, Record};
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::entropy::opaque_secret;
use crate::live::outbox::Change;
use crate::store::StoreError;
use crate::store::legal_holds::LegalHold;

/// What need not stand in the way of ending a part of the log.
pub(super) struct Waived {
    /// Exports that have not read it.
    pub(super) unread_by: Vec<String>,
    /// That it was restored: the holds that were placed since the backup stand again.
    pub(super) holds_stand: bool,
}

/// How long the reason of a hold may be, in characters.
const LONGEST_REASON: usize = 500;

impl Administrator {
    pub(super) async fn note_audit_read(
        &self,
        by: Operator,
        what: &str,
        question: &str,
    ) -> Result<Value, CommandError> {
        let mut record = self.record(by, Event::AuditRead, what);
        note(&mut record, "question", question);
        let recorded = self.append(&record).await?;
        Ok(json!({ "index": recorded.index() }))
    }

    /// From now on nothing of the log is ended.
    pub(super) async fn hold_log(&self, by: Operator, reason: &str) -> Result<Value, CommandError> {
        let reason = reason.trim().to_owned();
        if !(1..=LONGEST_REASON).contains(&reason.chars().count()) {
            return Err(CommandError::Invalid(format!("a reason has 1 to {LONGEST_REASON} characters")));
        }
        let placed_by = format!("local:{}", by.uid);
        let name = opaque_secret();
        let id: String = name.expose().chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let mut record = self.record(by, Event::HoldPlaced, &id);
        note(&mut record, "reason", &reason);
        let kept = id.clone();
        // Whoever is told that it is in force is told of what is there: no month is being ended meanwhile.
        let _alone = self.holding.lock().await;
        let placed = self.outbox.commit(move |sql, at| {
            sql.place_hold(&LegalHold { id: kept, reason, placed_by, placed_at: at, released_at: None })?;
            Ok::<_, CommandError>(Change::told_by((), [record]))
        });
        placed.await.map_err(CommandError::once_in_force)?;
        Ok(json!({ "id": id }))
    }

    pub(super) fn list_holds(&self) -> Result<Value, CommandError> {
        Ok(json!(self.store.read(|sql| sql.holds()).map_err(CommandError::Store)?))
    }

    pub(super) async fn release_log(&self, by: Operator, id: String) -> Result<Value, CommandError> {
        // What lets something be destroyed is on record first.
        let known = self.store.read(|sql| sql.holds()).map_err(CommandError::Store)?;
        if !known.iter().any(|hold| hold.id == id && hold.released_at.is_none()) {
            return Err(CommandError::Unknown { kind: "hold in force", name: id });
        }
        let _ = self.append(&self.record(by, Event::HoldReleased, &id)).await?;
        let now = self.clock.now();
        let released = self.store.write(move |sql| sql.release_hold(&id, now)).await;
        Ok(json!({ "released": released.map_err(CommandError::Store)? }))
    }

    /// Destroys the keys of the months whose retention is over, or says which those are; by the retention that is in force,
    /// which is told.
    pub(super) async fn expire_log(
        &self,
        by: Operator,
        only_say: bool,
        waived: &Waived,
    ) -> Result<Value, CommandError> {
        let months =
            self.data_keys.months().map_err(|e| CommandError::Invalid(format!("the log's keys: {e}")))?;
        let now = self.clock.now();
        let retention = self.in_force.config().audit.retention;
        let due: Vec<Month> = months.into_iter().filter(|month| month.end().plus(retention) <= now).collect();
        let mut told = Vec::new();
        for month in due {
            if only_say {
                let unread = self.unread(&month)?;
                told.push(json!({ "month": month.as_str(), "destroyed": false, "unread_by": unread }));
                continue;
            }
            let mut record = self.record(by, Event::DataKeyShredded, &month);
            note(&mut record, "retention", format!("{}s", retention.as_secs()));
            self.destroy(record, &month, waived).await?;
            told.push(json!({ "month": month.as_str(), "destroyed": true }));
        }
        Ok(json!({ "retention": retention.as_secs(), "months": told }))
    }

    async fn destroy(&self, mut record: Record, month: &Month, waived: &Waived) -> Result<(), CommandError> {
        // A hold is placed before it is looked whether there is one, or once the month is gone.
        let _alone = self.holding.lock().await;
        let holds = self.store.read(|sql| sql.holds()).map_err(|e: StoreError| CommandError::Store(e))?;
        if let Some(hold) = holds.iter().find(|hold| hold.released_at.is_none()) {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some("legal-hold".to_owned());
            note(&mut record, "hold", &hold.id);
            let _ = self.append(&record).await?;
            return Err(CommandError::Invalid(format!(
                "nothing is destroyed while hold {} is in force: {}",
                hold.id, hold.reason
            )));
        }
        // After a restore holds may be lacking that were placed since the backup.
        let restored = self.store.read(|sql| sql.restored_without_holds()).map_err(CommandError::Store)?;
        match restored {
            Some(at) if waived.holds_stand => note(&mut record, "holds_stand_since", at),
            Some(at) => {
                record.outcome = Outcome::Deny;
                record.decision.reason = Some("restored".to_owned());
                let _ = self.append(&record).await?;
                return Err(CommandError::Invalid(format!(
                    "this was restored from a backup ({at}): holds that were placed since that was made are not here. Place \
                     them again (`audit hold`), then say so with --holds-stand"
                )));
            }
            None => {}
        }
        let unread = self.unread(month)?;
        if let Some(name) = unread.iter().find(|name| !waived.unread_by.contains(name)) {
            record.outcome = Outcome::Deny;
            record.decision.reason = Some("not-exported".to_owned());
            note(&mut record, "name", name);
            let _ = self.append(&record).await?;
            return Err(CommandError::Invalid(format!(
                "the export `{name}` has not had all of {month}: it would get what is left without its patients. \
                 `--unread-by {name}` destroys it nevertheless"
            )));
        }
        if !unread.is_empty() {
            note(&mut record, "unread_by", unread.join(" "));
        }
        // That it is destroyed is on record before it is.
        let _ = self.append(&record).await?;
        if restored.is_some() {
            let now = self.clock.now();
            let said = self.store.write(move |sql| sql.holds_stand(now)).await;
            said.map_err(|e: StoreError| CommandError::Store(e))?;
        }
        self.data_keys.shred(month).map_err(|e| CommandError::Invalid(format!("the key of {month}: {e}")))
    }
}
