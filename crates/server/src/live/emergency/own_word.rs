//! What a person is told of emergency access in their name, and what becomes of it once they say that it was not they.

use chartgate_access::approval::known::Acquaintance;
use chartgate_access::approval::opened::{ANSWERABLE, Opened};
use chartgate_access::approval::question::{Action, Question};
use chartgate_audit::record::Record;

use super::{Emergencies, end_in};
use crate::live::outbox::{Change, ChangeError};
use crate::store::emergency::EmergencyUse;
use crate::store::own_word::Told;
use crate::store::pending::Took;
use crate::store::questions::Decided;

impl Emergencies {
    /// What its person is shown of a use.
    pub(crate) fn question(&self, used: &EmergencyUse, told: &Told) -> Question {
        let opened = Opened {
            at: used.began_at,
            ends: used.until,
            reason: used.reason.words(),
            explanation: self.open(&used.id, &used.explanation),
        };
        Question {
            id: told.question.clone(),
            client: Some(used.client_id.clone()),
            acquaintance: Acquaintance::Used,
            actor: used.subject.clone(),
            action: Action::Opened(opened),
            patient: Some(used.patient.clone()),
            data_class: String::new(),
            audience: None,
            purpose: Some(used.reason.purpose()),
            message: None,
            from: Some(told.from),
            expiry: used.began_at.plus(ANSWERABLE),
        }
    }

    /// Ends a use that its person did not begin, and the session it came from, whoever sits there: at once, whether or not the log
    /// can be written, for that takes away. What tells of it is of the same transaction. Says whether that was still to be said.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub(crate) async fn disown(
        &self,
        used: &EmergencyUse,
        question: &str,
        records: [Record; 2],
    ) -> Result<Took, ChangeError> {
        let EmergencyUse { id, grant, session, subject, .. } = used.clone();
        let question = question.to_owned();
        let disowned = self.outbox.commit(move |sql, now| {
            if sql.say_of_emergency(&question, Decided::No, now)? == Took::Nothing {
                return Ok(Change::none(Took::Nothing));
            }
            // No later failure takes it back.
            let _ = sql.note_own_word(&question, now)?;
            let (_, cut) = end_in(sql, &id, grant, now)?;
            sql.end_session(&session, now)?;
            // Whoever is half way in with what they had there is not any more, and nowhere is their phone asked by a password.
            sql.void_half_sign_ins(&subject)?;
            sql.forget_browsers(&subject)?;
            Ok(Change::told_by(Took::It, records).cutting(cut).ending(session, now))
        });
        disowned.await
    }
}
