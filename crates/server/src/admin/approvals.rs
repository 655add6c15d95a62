//! Questions to people that wait. Only where the configuration says so may the command line answer for them.

use chartgate_access::grant::backchannel::{BackchannelRequest, NotToBeAnswered};
use chartgate_audit::record::Event;
use serde_json::{Value, json};

use super::{Administrator, CommandError, Operator, note};
use crate::config::CommandLine;
use crate::live::approvals::{Decision, NotAnswered};
use crate::store::pending::Took;
use crate::store::questions::Decided;

impl Administrator {
    pub(super) fn list_approvals(&self) -> Result<Value, CommandError> {
        Ok(self.approvals.waiting()?.iter().map(|(id, request)| show(id, request)).collect())
    }

    /// Answers for a person.
    pub(super) async fn decide(
        &self,
        by: Operator,
        auth_req_id: String,
        decision: Decision,
    ) -> Result<Value, CommandError> {
        match self.command_line {
            CommandLine::Answers => {}
            CommandLine::Shows => {
                let problem =
                    "people answer for themselves; `[approvals] command_line = true` is for demonstrations";
                return Err(CommandError::Invalid(problem.to_owned()));
            }
        }
        let found = self.approvals.find(&auth_req_id).map_err(|cause| refused(&auth_req_id, cause))?;
        let shown = show(&auth_req_id, &found.0);
        let (event, said) = match decision {
            Decision::Approve => (Event::ApprovalGranted, "approved"),
            Decision::Deny => (Event::ApprovalDenied, "denied"),
        };
        let mut record = self.record(by, event, &auth_req_id);
        note(&mut record, "user", &found.0.subject);
        note(&mut record, "client", &found.0.client_id);
        note(&mut record, "scope", &found.0.scope);
        if let Some(message) = &found.0.binding_message {
            note(&mut record, "binding_message", message);
        }
        let decided = match decision {
            Decision::Approve => Decided::Yes,
            Decision::Deny => Decided::No,
        };
        if self.approvals.decide(&auth_req_id, decided).await? == Took::Nothing {
            return Err(refused(&auth_req_id, NotToBeAnswered::Answered.into()));
        }
        let _ = self.append(&record).await?;
        let id = auth_req_id.clone();
        self.approvals.answer(id, found, decision).await.map_err(|cause| refused(&auth_req_id, cause))?;
        Ok(json!({ "request": shown, "decision": said }))
    }
}

fn refused(auth_req_id: &str, cause: NotAnswered) -> CommandError {
    match cause {
        NotAnswered::Unknown => CommandError::Unknown { kind: "request", name: auth_req_id.to_owned() },
        NotAnswered::Store(error) => error.into(),
        cause @ (NotAnswered::TooLate(_) | NotAnswered::UserDisabled) => {
            CommandError::Invalid(cause.to_string())
        }
    }
}

fn show(auth_req_id: &str, request: &BackchannelRequest) -> Value {
    json!({
        "auth_req_id": auth_req_id,
        "user": request.subject,
        "client": request.client_id,
        "scope": request.scope,
        "purpose_of_use": request.purpose_of_use,
        "binding_message": request.binding_message,
        "asked_at": request.asked_at,
        "expires_at": request.expires_at,
    })
}
