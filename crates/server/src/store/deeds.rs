//! What people may do once another has said yes: asked once at a time, answered once, done once, each by one statement.
//!
//! CRASH: a yes that was used up and did not come to be done is gone: it is asked for again. That it was used up is on record with
//! the intent of what used it; where that did not come to be written, it lapses as one that was lost.

use std::time::Duration;

use chartgate_access::approval::deed::{Deed, DeedState};
use chartgate_access::approval::flood::{self, Asker};
use chartgate_access::ids::Subject;
use chartgate_values::Timestamp;

use super::pending::Took;
use super::questions::Decided;
use super::sign_in_approvals::{Asked, WhyLapsed};
use super::sql::{Row, Value, json};
use super::{Sql, StoreError};

/// What is over is kept this long, to know how often somebody asked.
const MEMORY: Duration = Duration::from_secs(3600);

/// So long after it was used up at the latest its intent is on record.
const SAYS_SO: Duration = Duration::from_secs(60);

/// One, as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptDeed {
    pub(crate) id: String,
    pub(crate) deed: Deed,
    pub(crate) state: DeedState,
    /// Who said something to it.
    pub(crate) decided_by: Option<Subject>,
}

const COLUMNS: &str = "id, content, state, decided_by";

fn read(row: &Row<'_, '_>) -> Result<KeptDeed, StoreError> {
    let (name, by) = (row.get::<String>("state")?, row.get::<Option<String>>("decided_by")?);
    let state = DeedState::ALL.into_iter().find(|state| state.name() == name);
    Ok(KeptDeed {
        id: row.get("id")?,
        deed: row.json("content")?,
        state: state.ok_or_else(|| row.inconsistent("state"))?,
        decided_by: by.map(|by| by.parse()).transpose().map_err(|_| row.inconsistent("decided_by"))?,
    })
}

impl Sql<'_> {
    /// Asks for a yes, unless its asker asks too often. Others see it once it is put.
    pub(crate) fn ask_deed(&self, id: &str, deed: &Deed) -> Result<Asked, StoreError> {
        let asker = deed.act.counted_as();
        // What nobody came to see, nobody left unanswered; what somebody said counts, whether or not that came to be on record.
        let text =
            format!("SELECT {COLUMNS}, decided FROM deeds WHERE asker = ?1 AND (put = 1 OR expires_at > ?2)");
        let past = self.query("deeds", &text, &[asker.as_str().into(), deed.asked_at.into()], |row| {
            let kept = read(row)?;
            let is_no = row.get::<Option<String>>("decided")?.as_deref() == Some(Decided::No.name());
            Ok(kept.deed.past(if is_no { DeedState::Denied } else { kept.state }))
        })?;
        if let Err(flood) = flood::check(&past, &Asker::Person(asker.clone()), deed.asked_at) {
            return Ok(Asked::No(flood));
        }
        let (content, digest) = (json(deed, "deeds")?, deed.act.digest());
        let text = "INSERT INTO deeds (id, asker, deed, content, state, put, expires_at, usable_until) \
                    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)";
        let values = [
            id.into(),
            asker.as_str().into(),
            digest.as_str().into(),
            Value::from(&content),
            DeedState::Waiting.name().into(),
            deed.expires_at().into(),
            deed.usable_until().into(),
        ];
        self.execute(text, &values).map(|_| Asked::Yes)
    }

    /// The last time that a yes was asked for this, unless that is over.
    pub(crate) fn deed(&self, digest: &str, now: Timestamp) -> Result<Option<KeptDeed>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM deeds WHERE deed = ?1 \
             AND ((state = 'waiting' AND expires_at > ?2) OR (state IN ('approved', 'denied') AND usable_until > ?2)) \
             ORDER BY expires_at DESC LIMIT 1"
        );
        self.first("deeds", &text, &[digest.into(), now.into()], read)
    }

    /// All that waits for somebody's yes, oldest first.
    pub(crate) fn waiting_deeds(&self, now: Timestamp) -> Result<Vec<KeptDeed>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM deeds WHERE state = 'waiting' AND put = 1 AND decided IS NULL AND expires_at > ?1 \
             ORDER BY expires_at"
        );
        self.query("deeds", &text, &[now.into()], read)
    }

    /// Decides one that waits: if this person may, as they are now. Of two answers at one moment one decides.
    pub(crate) fn decide_deed(
        &self,
        kept: &KeptDeed,
        (by, decided): (&Subject, Decided),
        now: Timestamp,
    ) -> Result<Took, StoreError> {
        if !self.user(by)?.is_some_and(|user| kept.deed.act.may_be_approved_by(&user)) {
            return Ok(Took::Nothing);
        }
        let text = "UPDATE deeds SET decided = ?2, decided_by = ?3 \
                    WHERE id = ?1 AND state = 'waiting' AND put = 1 AND decided IS NULL AND expires_at > ?4";
        let values = [kept.id.as_str().into(), decided.name().into(), by.as_str().into(), now.into()];
        self.execute(text, &values).map(took)
    }

    /// Answers it with what was decided, once that is on record.
    pub(crate) fn answer_deed(&self, id: &str, decided: Decided, now: Timestamp) -> Result<Took, StoreError> {
        let to = match decided {
            Decided::Yes => DeedState::Approved,
            Decided::No => DeedState::Denied,
        };
        let text = "UPDATE deeds SET state = ?2 \
                    WHERE id = ?1 AND state = 'waiting' AND decided = ?3 AND usable_until > ?4";
        let values = [id.into(), to.name().into(), decided.name().into(), now.into()];
        self.execute(text, &values).map(took)
    }

    /// Uses a yes up, if whoever said it may say it still; else it counts no more.
    pub(crate) fn use_deed(&self, kept: &KeptDeed, now: Timestamp) -> Result<Took, StoreError> {
        let by = kept.decided_by.as_ref().map(|by| self.user(by)).transpose()?.flatten();
        let counts = by.is_some_and(|by| kept.deed.act.may_be_approved_by(&by));
        let to = if counts { DeedState::Used } else { DeedState::Denied };
        let text = "UPDATE deeds SET state = ?2 WHERE id = ?1 AND state = 'approved' AND usable_until > ?3";
        let took = self.execute(text, &[kept.id.as_str().into(), to.name().into(), now.into()]).map(took)?;
        Ok(if counts { took } else { Took::Nothing })
    }

    /// Notes that it is on record what used it up.
    pub(crate) fn note_deed_used(&self, id: &str) -> Result<(), StoreError> {
        let text = "UPDATE deeds SET used_on_record = 1 WHERE id = ?1 AND state = 'used'";
        self.execute(text, &[id.into()]).map(drop)
    }

    /// Those of which nothing came: nobody answered, what was said is not on record, nobody did it, or nothing is on record
    /// of what used it up.
    pub(crate) fn lapsed_deeds(&self, now: Timestamp) -> Result<Vec<(KeptDeed, &'static str)>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS}, put FROM deeds WHERE lapsed_at IS NULL \
             AND ((state = 'waiting' AND decided IS NULL AND expires_at <= ?1) \
                  OR (state IN ('waiting', 'approved') AND usable_until <= ?1) \
                  OR (state = 'used' AND used_on_record = 0 AND usable_until <= ?2)) LIMIT 100"
        );
        // Who used it in the last moment is still about to say so.
        let values = [now.into(), now.minus(SAYS_SO).into()];
        self.query("deeds", &text, &values, |row| {
            let kept = read(row)?;
            let reason = match (kept.state, row.get::<i64>("put")?, &kept.decided_by) {
                (DeedState::Approved, _, _) => "unused",
                (DeedState::Used, _, _) => "use-lost",
                (_, 0, _) => WhyLapsed::NeverPut.code(),
                (_, _, Some(_)) => WhyLapsed::AnswerLost.code(),
                (_, _, None) => WhyLapsed::Unanswered.code(),
            };
            Ok((kept, reason))
        })
    }

    /// Notes that this is on record.
    pub(crate) fn note_lapsed_deed(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute("UPDATE deeds SET lapsed_at = ?2 WHERE id = ?1", &[id.into(), now.into()]).map(drop)
    }

    /// Forgets those whose time has been over for a while.
    pub(super) fn forget_deeds(&self, now: Timestamp) -> Result<(), StoreError> {
        // Not before it is on record what became of it.
        let text = "DELETE FROM deeds WHERE usable_until < ?1 \
                    AND (lapsed_at IS NOT NULL OR state = 'denied' OR (state = 'used' AND used_on_record = 1))";
        self.execute(text, &[now.minus(MEMORY).into()]).map(drop)
    }
}

fn took(rows: usize) -> Took {
    if rows == 0 { Took::Nothing } else { Took::It }
}
