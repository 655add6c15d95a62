//! What people say of emergency access in their own name: that it was they, or that it was not. Each is said once, by one statement.
//!
//! CRASH: a yes that is not on record yet is as if nothing had been said, and can be said again. One that is on record and not noted
//! may stand there twice. A no, and what it ends, is one transaction with what tells of it.

use std::net::IpAddr;

use chartgate_access::approval::opened::ANSWERABLE;
use chartgate_access::ids::Subject;
use chartgate_values::Timestamp;

use super::emergency::{EmergencyUse, USE, read_use};
use super::pending::Took;
use super::questions::Decided;
use super::sql::Row;
use super::{Sql, StoreError};

/// What a use's person is told of it on their phones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    /// Its name among what waits for them.
    pub(crate) question: String,
    /// From where it was opened.
    pub(crate) from: IpAddr,
    /// What they said: a yes once that is on record, a no from when it is in force.
    pub(crate) said: Option<Decided>,
}

/// What of a use tells of that.
pub(super) fn read_told(row: &Row<'_, '_>) -> Result<Option<Told>, StoreError> {
    let (question, from) = (row.get::<Option<String>>("question")?, row.get::<Option<String>>("asked_from")?);
    let (Some(question), Some(from)) = (question, from) else { return Ok(None) };
    let said = match (row.time_optional("answered_at")?, row.get::<Option<String>>("decided")?.as_deref()) {
        (None, _) | (_, None) => None,
        (Some(_), Some("yes")) => Some(Decided::Yes),
        (Some(_), Some("no")) => Some(Decided::No),
        (Some(_), Some(_)) => return Err(row.inconsistent("decided")),
    };
    Ok(Some(Told { question, from: from.parse().map_err(|_| row.inconsistent("asked_from"))?, said }))
}

impl Sql<'_> {
    /// The uses in a person's name of which they have not said whether it was they, oldest first.
    pub(crate) fn untold_emergencies(
        &self,
        of: &Subject,
        now: Timestamp,
    ) -> Result<Vec<EmergencyUse>, StoreError> {
        let text = format!(
            "SELECT {USE} FROM emergency_uses WHERE subject = ?1 AND question IS NOT NULL AND decided IS NULL \
             AND began_at > ?2 ORDER BY began_at"
        );
        self.query("emergency_uses", &text, &[of.as_str().into(), now.minus(ANSWERABLE).into()], read_use)
    }

    /// Says whether it was they. Of two answers at one moment one is said, and the other is nothing.
    pub(crate) fn say_of_emergency(
        &self,
        question: &str,
        said: Decided,
        now: Timestamp,
    ) -> Result<Took, StoreError> {
        let text = "UPDATE emergency_uses SET decided = ?2 \
                    WHERE question = ?1 AND decided IS NULL AND began_at > ?3";
        let values = [question.into(), said.name().into(), now.minus(ANSWERABLE).into()];
        Ok(if self.execute(text, &values)? == 0 { Took::Nothing } else { Took::It })
    }

    /// Takes back what did not come to be on record, so that it can be said again.
    pub(crate) fn unsay_of_emergency(&self, question: &str) -> Result<(), StoreError> {
        let text = "UPDATE emergency_uses SET decided = NULL WHERE question = ?1 AND answered_at IS NULL";
        self.execute(text, &[question.into()]).map(drop)
    }

    /// The same of all, before anybody is served: of those nobody will put anything on record any more.
    pub(crate) fn unsay_unrecorded(&self) -> Result<(), StoreError> {
        let text =
            "UPDATE emergency_uses SET decided = NULL WHERE decided IS NOT NULL AND answered_at IS NULL";
        self.execute(text, &[]).map(drop)
    }

    /// Notes that it is on record.
    pub(crate) fn note_own_word(&self, question: &str, now: Timestamp) -> Result<Took, StoreError> {
        let text = "UPDATE emergency_uses SET answered_at = ?2 \
                    WHERE question = ?1 AND decided IS NOT NULL AND answered_at IS NULL";
        Ok(if self.execute(text, &[question.into(), now.into()])? == 0 { Took::Nothing } else { Took::It })
    }
}
