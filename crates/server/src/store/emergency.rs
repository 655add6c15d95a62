//! Uses of emergency access, and who has to be told of them: each written in one transaction with what it lets happen.

use chartgate_access::emergency::{Blocked, Disposition, Limits, Unreviewed};
use chartgate_access::ids::{ClientId, EmergencyId, GrantId, PatientId, SessionId, Subject};
use chartgate_protocol::oauth::authorization_details::EmergencyReason;
use chartgate_values::Timestamp;

use super::own_word::{Told, read_told};
use super::pending::Took;
use super::sql::{Row, Value};
use super::{Sql, StoreError};

/// One use.
#[derive(Clone, Debug)]
pub(crate) struct EmergencyUse {
    pub(crate) id: EmergencyId,
    pub(crate) subject: Subject,
    pub(crate) client_id: ClientId,
    pub(crate) patient: PatientId,
    pub(crate) reason: EmergencyReason,
    /// Sealed.
    pub(crate) explanation: Vec<u8>,
    pub(crate) grant: GrantId,
    pub(crate) session: SessionId,
    pub(crate) began_at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) review: Option<Review>,
    /// What its person is told on their phones, if they have any.
    pub(crate) told: Option<Told>,
}

/// What somebody made of it.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub(crate) at: Timestamp,
    pub(crate) by: Subject,
    pub(crate) disposition: Disposition,
    /// Sealed.
    pub(crate) note: Vec<u8>,
}

/// Somebody who has to be told of a use.
#[derive(Clone, Debug)]
pub(crate) struct EmergencyNotice {
    pub(crate) use_id: EmergencyId,
    pub(crate) way: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    pub(crate) told_at: Option<Timestamp>,
    /// Why not, at the last attempt.
    pub(crate) failure: Option<String>,
}

pub(super) const USE: &str = "id, subject, client_id, patient, reason, explanation, grant_id, session, began_at, until_at, \
                   ended_at, reviewed_at, reviewed_by, disposition, note, question, asked_from, \
                   decided, answered_at";

/// Nobody has said, or it cannot be told yet.
const WAITS: &str = "reviewed_at IS NULL OR disposition = 'needs-follow-up'";

impl Sql<'_> {
    /// Begins a use, unless those of too many other patients of its person's wait for review. Whoever has to be told is noted with it.
    pub(crate) fn begin_emergency(
        &self,
        new: &EmergencyUse,
        limits: &Limits,
        ways: &[&'static str],
    ) -> Result<Result<(), Blocked>, StoreError> {
        let now = new.began_at;
        // INVARIANT: one writer at a time: of parallel ones, each counts those before it.
        if let Err(blocked) =
            limits.check(&self.unreviewed_emergencies(&new.subject)?, Some(&new.patient), now)
        {
            return Ok(Err(blocked));
        }
        let text = "INSERT INTO emergency_uses (id, subject, client_id, patient, reason, explanation, grant_id, \
                    session, began_at, until_at, question, asked_from) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let told = new.told.as_ref();
        let from = told.map(|told| told.from.to_string());
        let values = [
            new.id.as_str().into(),
            new.subject.as_str().into(),
            new.client_id.as_str().into(),
            new.patient.as_str().into(),
            new.reason.code().into(),
            Value::from(new.explanation.as_slice()),
            new.grant.as_str().into(),
            new.session.as_str().into(),
            now.into(),
            new.until.into(),
            told.map(|told| told.question.as_str()).into(),
            from.as_deref().into(),
        ];
        self.execute(text, &values)?;
        for way in ways {
            let text = "INSERT INTO emergency_notices (use_id, way, attempts, due_at) VALUES (?1, ?2, 0, ?3)";
            self.execute(text, &[new.id.as_str().into(), (*way).into(), now.into()])?;
        }
        Ok(Ok(()))
    }

    /// Those of a person's uses that nobody has reviewed, by patient.
    pub(crate) fn unreviewed_emergencies(&self, subject: &Subject) -> Result<Vec<Unreviewed>, StoreError> {
        let text = "SELECT patient, MIN(began_at) AS began_at FROM emergency_uses \
                    WHERE subject = ?1 AND reviewed_at IS NULL GROUP BY patient";
        self.query("emergency_uses", text, &[subject.as_str().into()], |row| {
            Ok(Unreviewed { patient: row.parse("patient")?, began: row.time("began_at")? })
        })
    }

    /// One use.
    pub(crate) fn emergency(&self, id: &EmergencyId) -> Result<Option<EmergencyUse>, StoreError> {
        let text = format!("SELECT {USE} FROM emergency_uses WHERE id = ?1");
        self.first("emergency_uses", &text, &[id.as_str().into()], read_use)
    }

    /// The uses that wait for review, or for somebody to go on with them, or were begun last: those that wait first, oldest
    /// first.
    pub(crate) fn emergencies(&self, most: i64) -> Result<Vec<EmergencyUse>, StoreError> {
        let text = format!(
            "SELECT {USE} FROM emergency_uses ORDER BY NOT ({WAITS}), \
             CASE WHEN {WAITS} THEN began_at ELSE -began_at END LIMIT ?1"
        );
        self.query("emergency_uses", &text, &[most.into()], read_use)
    }

    /// How many uses wait for review, or for somebody to go on with them.
    pub(crate) fn waiting_emergencies(&self) -> Result<usize, StoreError> {
        let text = format!("SELECT COUNT(*) AS waiting FROM emergency_uses WHERE {WAITS}");
        let found = self.first("emergency_uses", &text, &[], |row| {
            usize::try_from(row.get::<i64>("waiting")?).map_err(|_| row.inconsistent("waiting"))
        })?;
        Ok(found.unwrap_or_default())
    }

    /// The same, and when the first of them began.
    pub(crate) fn waiting_emergencies_since(&self) -> Result<(usize, Option<Timestamp>), StoreError> {
        let text = format!("SELECT MIN(began_at) AS since FROM emergency_uses WHERE {WAITS}");
        let since = self.first("emergency_uses", &text, &[], |row| row.time_optional("since"))?;
        Ok((self.waiting_emergencies()?, since.flatten()))
    }

    /// The uses of a person that are not over, of sessions that are not either.
    pub(crate) fn open_emergencies(
        &self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Vec<EmergencyUse>, StoreError> {
        let text = format!(
            "SELECT {USE} FROM emergency_uses WHERE subject = ?1 AND ended_at IS NULL AND until_at > ?2 \
             AND EXISTS (SELECT 1 FROM sessions WHERE sessions.id = emergency_uses.session \
                         AND sessions.ended_at IS NULL) ORDER BY began_at"
        );
        self.query("emergency_uses", &text, &[subject.as_str().into(), now.into()], read_use)
    }

    /// Notes a review: one that stands is changed only where it said that somebody has to go on with it.
    pub(crate) fn review_emergency(&self, id: &EmergencyId, review: &Review) -> Result<Took, StoreError> {
        let text = "UPDATE emergency_uses SET reviewed_at = ?2, reviewed_by = ?3, disposition = ?4, note = ?5 \
                    WHERE id = ?1 AND subject <> ?3 AND (reviewed_at IS NULL OR disposition = ?6)";
        let values = [
            id.as_str().into(),
            review.at.into(),
            review.by.as_str().into(),
            review.disposition.code().into(),
            Value::from(review.note.as_slice()),
            Disposition::NeedsFollowUp.code().into(),
        ];
        Ok(if self.execute(text, &values)? == 0 { Took::Nothing } else { Took::It })
    }

    /// Ends a use before its time; says nothing where it is over.
    pub(crate) fn end_emergency(&self, id: &EmergencyId, now: Timestamp) -> Result<Took, StoreError> {
        let text =
            "UPDATE emergency_uses SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND until_at > ?2";
        Ok(if self.execute(text, &[id.as_str().into(), now.into()])? == 0 { Took::Nothing } else { Took::It })
    }

    /// Who is to be told now, those first who were tried least.
    pub(crate) fn due_emergency_notices(
        &self,
        now: Timestamp,
        most: i64,
    ) -> Result<Vec<EmergencyNotice>, StoreError> {
        let text = "SELECT use_id, way, attempts, told_at, failure FROM emergency_notices \
                    WHERE due_at <= ?1 ORDER BY attempts, due_at LIMIT ?2";
        self.query("emergency_notices", text, &[now.into(), most.into()], read_notice)
    }

    /// Who was, or is, to be told of a use.
    pub(crate) fn emergency_notices(&self, id: &EmergencyId) -> Result<Vec<EmergencyNotice>, StoreError> {
        let text = "SELECT use_id, way, attempts, told_at, failure FROM emergency_notices \
                    WHERE use_id = ?1 ORDER BY way";
        self.query("emergency_notices", text, &[id.as_str().into()], read_notice)
    }

    /// Notes an attempt: that they were told, or why not and when it is tried again, if at all.
    pub(crate) fn note_emergency_attempt(
        &self,
        notice: &EmergencyNotice,
        due_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let text = "UPDATE emergency_notices SET attempts = ?3, due_at = ?4, told_at = ?5, failure = ?6 \
                    WHERE use_id = ?1 AND way = ?2";
        let values = [
            notice.use_id.as_str().into(),
            notice.way.as_str().into(),
            i64::from(notice.attempts).into(),
            due_at.into(),
            notice.told_at.into(),
            notice.failure.as_deref().into(),
        ];
        self.execute(text, &values).map(drop)
    }
}

pub(super) fn read_use(row: &Row<'_, '_>) -> Result<EmergencyUse, StoreError> {
    let review = match row.time_optional("reviewed_at")? {
        None => None,
        Some(at) => Some(Review {
            at,
            by: row.parse("reviewed_by")?,
            disposition: row.parse("disposition")?,
            note: row.get("note")?,
        }),
    };
    Ok(EmergencyUse {
        id: row.parse("id")?,
        subject: row.parse("subject")?,
        client_id: row.parse("client_id")?,
        patient: row.parse("patient")?,
        reason: row.parse("reason")?,
        explanation: row.get("explanation")?,
        grant: row.parse("grant_id")?,
        session: row.parse("session")?,
        began_at: row.time("began_at")?,
        until: row.time("until_at")?,
        ended_at: row.time_optional("ended_at")?,
        review,
        told: read_told(row)?,
    })
}

fn read_notice(row: &Row<'_, '_>) -> Result<EmergencyNotice, StoreError> {
    Ok(EmergencyNotice {
        use_id: row.parse("use_id")?,
        way: row.get("way")?,
        attempts: row.get("attempts")?,
        told_at: row.time_optional("told_at")?,
        failure: row.get("failure")?,
    })
}
