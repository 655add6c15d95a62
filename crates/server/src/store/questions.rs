//! Questions to people, whoever asks: put once that is on record, decided once, and answered once what was decided is on record.
//!
//! CRASH: what was asked and is not put yet is shown to nobody and answered by nobody. What was decided and is not answered yet
//! is decided by nobody again: whoever asked gets nothing, and it lapses.

use chartgate_values::Timestamp;

use super::pending::Took;
use super::{Sql, StoreError};

/// What somebody said, before it is on record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decided {
    Yes,
    No,
}

impl Decided {
    /// As it is kept.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

impl Sql<'_> {
    /// Puts a question that is on record by now.
    pub(crate) fn put_question(&self, id: &str) -> Result<(), StoreError> {
        self.execute("UPDATE sign_in_approvals SET put = 1 WHERE id = ?1", &[id.into()])?;
        self.execute("UPDATE deeds SET put = 1 WHERE id = ?1", &[id.into()])?;
        self.execute("UPDATE backchannel_requests SET put = 1 WHERE auth_req_id = ?1", &[id.into()]).map(drop)
    }

    /// Decides a question that waits. Of a yes and a no at one moment one wins, and the other is nothing.
    pub(crate) fn decide_question(
        &self,
        id: &str,
        decided: Decided,
        now: Timestamp,
    ) -> Result<Took, StoreError> {
        let rest = "state = 'waiting' AND put = 1 AND decided IS NULL AND expires_at > ?3";
        let values = [id.into(), decided.name().into(), now.into()];
        let text = format!("UPDATE sign_in_approvals SET decided = ?2 WHERE id = ?1 AND {rest}");
        let of_sign_ins = self.execute(&text, &values)?;
        let text = format!("UPDATE backchannel_requests SET decided = ?2 WHERE auth_req_id = ?1 AND {rest}");
        let of_clients = self.execute(&text, &values)?;
        Ok(if of_sign_ins == 0 && of_clients == 0 { Took::Nothing } else { Took::It })
    }
}
