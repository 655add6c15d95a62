//! Sign-ins that wait for a yes on a phone, and what people were asked before. Each is answered once and used once: each by one
//! statement.

use std::time::Duration;

use chartgate_access::approval::flood::{self, Asker, Flood, Past, Said};
use chartgate_access::approval::question::Action;
use chartgate_access::approval::sign_in::{SignInAnswer, SignInApproval};
use chartgate_access::grant::backchannel::BackchannelRequest;
use chartgate_access::ids::{ClientId, Subject};
use chartgate_values::Timestamp;

use super::pending::Took;
use super::questions::Decided;
use super::sql::{Row, Value, json};
use super::{Sql, StoreError};

/// What is over is kept this long, to know how often somebody was asked.
const MEMORY: Duration = Duration::from_secs(3600);

/// Whether a question was put.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a person who is flooded is asked nothing more"]
pub(crate) enum Asked {
    Yes,
    No(Flood),
}

/// A sign-in that waits, as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptSignIn {
    pub(crate) id: String,
    /// The digest of the half sign-in that it is for.
    pub(crate) half: String,
    /// The number, sealed.
    pub(crate) number: Vec<u8>,
    pub(crate) approval: SignInApproval,
}

/// A question that nobody answered in its time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lapsed {
    pub(crate) id: String,
    pub(crate) subject: Subject,
    pub(crate) client: Option<ClientId>,
    pub(crate) action: Action,
    pub(crate) why: WhyLapsed,
}

/// Why nothing came of a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WhyLapsed {
    /// Nobody answered.
    Unanswered,
    /// Somebody did, and that did not come to be on record.
    AnswerLost,
    /// That it was asked did not come to be on record, so that nobody saw it.
    NeverPut,
}

impl WhyLapsed {
    /// The stable code for the record.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::AnswerLost => "answer-lost",
            Self::NeverPut => "never-put",
        }
    }
}

const COLUMNS: &str = "id, half, number, content";

fn read(row: &Row<'_, '_>) -> Result<KeptSignIn, StoreError> {
    Ok(KeptSignIn {
        id: row.get("id")?,
        half: row.get("half")?,
        number: row.get("number")?,
        approval: row.json("content")?,
    })
}

impl Sql<'_> {
    /// Whether a person may be asked once more by this one, after all that they were asked of late.
    pub(super) fn may_be_asked(
        &self,
        subject: &Subject,
        by: &Asker,
        now: Timestamp,
    ) -> Result<Result<(), Flood>, StoreError> {
        // What nobody came to see, nobody left unanswered.
        let seen = "AND (put = 1 OR expires_at > ?2)";
        let values = [subject.as_str().into(), now.into()];
        let text = format!("SELECT content, decided FROM backchannel_requests WHERE subject = ?1 {seen}");
        let mut past = self.query("backchannel_requests", &text, &values, |row| {
            let request: BackchannelRequest = row.json("content")?;
            decided(row, Past::of_client(&request))
        })?;
        let text = format!("SELECT content, decided FROM sign_in_approvals WHERE subject = ?1 {seen}");
        past.extend(self.query("sign_in_approvals", &text, &values, |row| {
            let approval: SignInApproval = row.json("content")?;
            decided(row, approval.past())
        })?);
        Ok(flood::check(&past, by, now))
    }

    /// Asks a person whether it is they who sign in, unless they are flooded. They see it once it is put.
    pub(crate) fn ask_sign_in(&self, kept: &KeptSignIn) -> Result<Asked, StoreError> {
        let SignInApproval { subject, asked_at, expires_at, answer, .. } = &kept.approval;
        if let Err(flood) = self.may_be_asked(subject, &Asker::SignIn, *asked_at)? {
            return Ok(Asked::No(flood));
        }
        let content = json(&kept.approval, "sign_in_approvals")?;
        let text = "INSERT INTO sign_in_approvals (id, subject, half, number, content, state, expires_at, put) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)";
        let values = [
            (&kept.id).into(),
            subject.as_str().into(),
            (&kept.half).into(),
            kept.number.as_slice().into(),
            Value::from(&content),
            answer.state().into(),
            (*expires_at).into(),
        ];
        self.execute(text, &values).map(|_| Asked::Yes)
    }

    /// One of them.
    pub(crate) fn sign_in_approval(&self, id: &str) -> Result<Option<KeptSignIn>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM sign_in_approvals WHERE id = ?1");
        self.first("sign_in_approvals", &text, &[id.into()], read)
    }

    /// The last one of a half sign-in.
    pub(crate) fn sign_in_approval_of(&self, half: &str) -> Result<Option<KeptSignIn>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM sign_in_approvals WHERE half = ?1 ORDER BY expires_at DESC LIMIT 1"
        );
        self.first("sign_in_approvals", &text, &[half.into()], read)
    }

    /// Those that wait for a person, oldest first.
    pub(crate) fn waiting_sign_ins(
        &self,
        of: &Subject,
        now: Timestamp,
    ) -> Result<Vec<KeptSignIn>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM sign_in_approvals \
             WHERE subject = ?1 AND state = 'waiting' AND put = 1 AND decided IS NULL AND expires_at > ?2 \
             ORDER BY expires_at"
        );
        self.query("sign_in_approvals", &text, &[of.as_str().into(), now.into()], read)
    }

    /// Replaces one that still waits, and of which this was decided, or nothing.
    pub(crate) fn answer_sign_in(
        &self,
        id: &str,
        after: &SignInApproval,
        decided: Option<Decided>,
    ) -> Result<Took, StoreError> {
        let content = json(after, "sign_in_approvals")?;
        // Of two wrong numbers at once each counts: the one that was too late looks again.
        let text = "UPDATE sign_in_approvals SET content = ?2, state = ?3 \
                    WHERE id = ?1 AND state = 'waiting' AND decided IS ?4";
        let decided = decided.map(Decided::name);
        let values = [id.into(), Value::from(&content), after.answer.state().into(), decided.into()];
        self.execute(text, &values).map(took)
    }

    /// Uses the yes of a half sign-in up.
    pub(crate) fn use_sign_in_approval(&self, half: &str, now: Timestamp) -> Result<Took, StoreError> {
        let Some(kept) = self.sign_in_approval_of(half)? else { return Ok(Took::Nothing) };
        let after = SignInApproval { answer: SignInAnswer::Used, ..kept.approval };
        let content = json(&after, "sign_in_approvals")?;
        let text = "UPDATE sign_in_approvals SET content = ?2, state = ?3 \
                    WHERE id = ?1 AND state = 'approved' AND expires_at > ?4";
        let values = [(&kept.id).into(), Value::from(&content), after.answer.state().into(), now.into()];
        self.execute(text, &values).map(took)
    }

    /// Questions that nobody answered, of which that is not on record yet.
    pub(crate) fn lapsed(&self, now: Timestamp) -> Result<Vec<Lapsed>, StoreError> {
        let rest = "WHERE state = 'waiting' AND expires_at <= ?1 AND lapsed_at IS NULL LIMIT 100";
        let text = format!("SELECT id, content, put, decided FROM sign_in_approvals {rest}");
        let mut lapsed = self.query("sign_in_approvals", &text, &[now.into()], |row| {
            let SignInApproval { subject, client, .. } = row.json("content")?;
            Ok(Lapsed { id: row.get("id")?, subject, client, action: Action::SignIn, why: why(row)? })
        })?;
        let text = format!("SELECT auth_req_id, content, put, decided FROM backchannel_requests {rest}");
        lapsed.extend(self.query("backchannel_requests", &text, &[now.into()], |row| {
            let BackchannelRequest { subject, client_id, .. } = row.json("content")?;
            let (id, client) = (row.get("auth_req_id")?, Some(client_id));
            Ok(Lapsed { id, subject, client, action: Action::Act, why: why(row)? })
        })?);
        Ok(lapsed)
    }

    /// Notes that it is.
    pub(crate) fn note_lapsed(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let values = [id.into(), now.into()];
        self.execute("UPDATE sign_in_approvals SET lapsed_at = ?2 WHERE id = ?1", &values)?;
        self.execute("UPDATE backchannel_requests SET lapsed_at = ?2 WHERE auth_req_id = ?1", &values)
            .map(drop)
    }

    /// Forgets those whose time has been over for a while.
    pub(super) fn forget_sign_in_approvals(&self, now: Timestamp) -> Result<(), StoreError> {
        // Not before it is on record that nobody answered.
        let text = "DELETE FROM sign_in_approvals WHERE expires_at < ?1 \
                    AND (lapsed_at IS NOT NULL OR state <> 'waiting')";
        self.execute(text, &[now.minus(MEMORY).into()]).map(drop)
    }
}

/// What somebody said counts, whether or not that came to be on record.
fn decided(row: &Row<'_, '_>, past: Past) -> Result<Past, StoreError> {
    let said = match row.get::<Option<String>>("decided")?.as_deref() {
        Some(name) if name == Decided::No.name() => Said::No,
        Some(_) => Said::Yes,
        None => past.said,
    };
    Ok(Past { said, ..past })
}

fn why(row: &Row<'_, '_>) -> Result<WhyLapsed, StoreError> {
    Ok(match (row.get::<i64>("put")?, row.get::<Option<String>>("decided")?) {
        (0, _) => WhyLapsed::NeverPut,
        (_, Some(_)) => WhyLapsed::AnswerLost,
        (_, None) => WhyLapsed::Unanswered,
    })
}

fn took(rows: usize) -> Took {
    if rows == 0 { Took::Nothing } else { Took::It }
}

#[cfg(test)]
mod tests;
