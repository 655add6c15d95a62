//! Reading the log is itself an act.

use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};

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
}
