//! What was found in the log, who has to be told of it, and what is known of people to find it.

use chartgate_access::ids::Subject;
use chartgate_audit::watch::{Disposition, FindingId, Rule};
use chartgate_values::Timestamp;

use super::pending::Took;
use super::sql::{Row, Value};
use super::{Sql, StoreError};

/// One finding.
#[derive(Clone, Debug)]
pub(crate) struct KeptFinding {
    pub(crate) id: FindingId,
    pub(crate) rule: Rule,
    pub(crate) at: Timestamp,
    /// Whose act it was.
    pub(crate) subject: Option<String>,
    /// All of it, sealed.
    pub(crate) finding: Vec<u8>,
    pub(crate) closed: Option<Closed>,
}

/// What somebody made of it.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) at: Timestamp,
    pub(crate) by: Subject,
    pub(crate) disposition: Disposition,
    /// Sealed.
    pub(crate) note: Vec<u8>,
}

/// Somebody who has to be told of a finding.
#[derive(Clone, Debug)]
pub(crate) struct WatchNotice {
    pub(crate) finding: FindingId,
    pub(crate) rule: Rule,
    pub(crate) way: String,
    pub(crate) attempts: u32,
    pub(crate) told_at: Option<Timestamp>,
}

const FINDING: &str = "id, rule, at, subject, finding, closed_at, closed_by, disposition, note";

impl Sql<'_> {
    /// Keeps a finding, and notes who has to be told of it; nothing, if it is kept already.
    pub(crate) fn keep_finding(
        &self,
        new: &KeptFinding,
        ways: &[&'static str],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO watch_findings (id, rule, at, subject, finding, kept_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";
        let values = [
            new.id.as_str().into(),
            new.rule.as_str().into(),
            new.at.into(),
            new.subject.as_deref().into(),
            Value::from(new.finding.as_slice()),
            now.into(),
        ];
        if self.execute(text, &values)? == 0 {
            // One of the same name and another time is of another log: this one is not lost over it, nor taken for it.
            let is_same = self.finding(&new.id)?.is_some_and(|kept| kept.at == new.at);
            let other = StoreError::Inconsistent { table: "watch_findings", column: "id" };
            return if is_same { Ok(()) } else { Err(other) };
        }
        for way in ways {
            let text = "INSERT INTO watch_notices (finding, way, attempts, due_at) VALUES (?1, ?2, 0, ?3)";
            self.execute(text, &[new.id.as_str().into(), (*way).into(), now.into()])?;
        }
        Ok(())
    }

    /// One finding.
    pub(crate) fn finding(&self, id: &FindingId) -> Result<Option<KeptFinding>, StoreError> {
        let text = format!("SELECT {FINDING} FROM watch_findings WHERE id = ?1");
        self.first("watch_findings", &text, &[id.as_str().into()], read_finding)
    }

    /// The findings that are open, oldest first, then those that were closed last.
    pub(crate) fn findings(&self, most: i64) -> Result<Vec<KeptFinding>, StoreError> {
        let text = format!(
            "SELECT {FINDING} FROM watch_findings \
             ORDER BY closed_at IS NOT NULL, CASE WHEN closed_at IS NULL THEN at ELSE -closed_at END LIMIT ?1"
        );
        self.query("watch_findings", &text, &[most.into()], read_finding)
    }

    /// How many are open.
    pub(crate) fn open_findings(&self) -> Result<usize, StoreError> {
        let text = "SELECT COUNT(*) AS open FROM watch_findings WHERE closed_at IS NULL";
        let found = self.first("watch_findings", text, &[], |row| {
            usize::try_from(row.get::<i64>("open")?).map_err(|_| row.inconsistent("open"))
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Since when the one that has been open for longest has been.
    pub(crate) fn findings_wait_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT MIN(kept_at) AS since FROM watch_findings WHERE closed_at IS NULL";
        Ok(self.first("watch_findings", text, &[], |row| row.time_optional("since"))?.flatten())
    }

    /// Closes a finding: once, and never by whose act it was.
    pub(crate) fn close_finding(&self, id: &FindingId, closed: &Closed) -> Result<Took, StoreError> {
        let text = "UPDATE watch_findings SET closed_at = ?2, closed_by = ?3, disposition = ?4, note = ?5 \
                    WHERE id = ?1 AND closed_at IS NULL AND subject IS NOT ?3";
        let values = [
            id.as_str().into(),
            closed.at.into(),
            closed.by.as_str().into(),
            closed.disposition.as_str().into(),
            Value::from(closed.note.as_slice()),
        ];
        Ok(if self.execute(text, &values)? == 0 { Took::Nothing } else { Took::It })
    }

    /// Who is to be told now, of what was tried least first.
    pub(crate) fn due_watch_notices(
        &self,
        now: Timestamp,
        most: i64,
    ) -> Result<Vec<WatchNotice>, StoreError> {
        let text = "SELECT watch_notices.finding, rule, way, attempts, told_at FROM watch_notices \
                    JOIN watch_findings ON watch_findings.id = watch_notices.finding \
                    WHERE due_at <= ?1 ORDER BY attempts, due_at LIMIT ?2";
        self.query("watch_notices", text, &[now.into(), most.into()], read_notice)
    }

    /// Who was, or is, to be told of a finding.
    pub(crate) fn watch_notices(&self, id: &FindingId) -> Result<Vec<WatchNotice>, StoreError> {
        let text = "SELECT watch_notices.finding, rule, way, attempts, told_at FROM watch_notices \
                    JOIN watch_findings ON watch_findings.id = watch_notices.finding WHERE watch_notices.finding = ?1 ORDER BY way";
        self.query("watch_notices", text, &[id.as_str().into()], read_notice)
    }

    /// Notes an attempt: that they were told, or why not and when it is tried again, if at all.
    pub(crate) fn note_watch_attempt(
        &self,
        notice: &WatchNotice,
        failure: Option<&str>,
        due_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let text = "UPDATE watch_notices SET attempts = ?3, due_at = ?4, told_at = ?5, failure = ?6 \
                    WHERE finding = ?1 AND way = ?2";
        let values = [
            notice.finding.as_str().into(),
            notice.way.as_str().into(),
            i64::from(notice.attempts).into(),
            due_at.into(),
            notice.told_at.into(),
            failure.into(),
        ];
        self.execute(text, &values).map(drop)
    }

    /// What is known of people, each sealed.
    pub(crate) fn watched_people(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let text = "SELECT name, known FROM watch_people ORDER BY name";
        self.query("watch_people", text, &[], |row| Ok((row.get("name")?, row.get("known")?)))
    }

    /// What is known of one of them.
    pub(crate) fn watched_person(&self, name: &Subject) -> Result<Option<Vec<u8>>, StoreError> {
        let text = "SELECT known FROM watch_people WHERE name = ?1";
        self.first("watch_people", text, &[name.as_str().into()], |row| row.get("known"))
    }

    /// Keeps what is known of a person; nothing, without it.
    pub(crate) fn set_watched_person(&self, name: &Subject, known: Option<&[u8]>) -> Result<(), StoreError> {
        self.execute("DELETE FROM watch_people WHERE name = ?1", &[name.as_str().into()])?;
        if let Some(known) = known {
            let text = "INSERT INTO watch_people (name, known) VALUES (?1, ?2)";
            self.execute(text, &[name.as_str().into(), Value::from(known)])?;
        }
        Ok(())
    }
}

fn read_finding(row: &Row<'_, '_>) -> Result<KeptFinding, StoreError> {
    let closed = match row.time_optional("closed_at")? {
        None => None,
        Some(at) => Some(Closed {
            at,
            by: row.parse("closed_by")?,
            disposition: row.parse("disposition")?,
            note: row.get("note")?,
        }),
    };
    Ok(KeptFinding {
        id: row.parse("id")?,
        rule: row.parse("rule")?,
        at: row.time("at")?,
        subject: row.get("subject")?,
        finding: row.get("finding")?,
        closed,
    })
}

fn read_notice(row: &Row<'_, '_>) -> Result<WatchNotice, StoreError> {
    Ok(WatchNotice {
        finding: row.parse("finding")?,
        rule: row.parse("rule")?,
        way: row.get("way")?,
        attempts: row.get("attempts")?,
        told_at: row.time_optional("told_at")?,
    })
}
