//! Sessions. The cookie is kept as a digest; the id that tokens and records show opens nothing.

use chartgate_access::ids::{SessionId, Subject};
use chartgate_access::session::{AuthTime, Elsewhere, Limits, Session, Timeouts};
use chartgate_values::Timestamp;

use super::sql::{Row, Value, json};
use super::{Sql, StoreError};

const COLUMNS: &str = "id, subject, auth_time, last_seen, ended_at, amr, agent, issuer, auth_time_said";

impl Sql<'_> {
    /// Keeps a new session under the digest of its cookie.
    pub(crate) fn add_session(&self, session: &Session, cookie_digest: &str) -> Result<(), StoreError> {
        let amr = json(&session.amr, "sessions")?;
        self.execute(
            "INSERT INTO sessions (id, cookie_digest, subject, auth_time, last_seen, amr, agent, issuer, auth_time_said) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            &[
                session.id.as_str().into(),
                cookie_digest.into(),
                session.subject.as_str().into(),
                session.auth_time.into(),
                session.last_seen.into(),
                Value::from(&amr),
                session.agent.as_ref().into(),
                session.elsewhere.as_ref().map(|elsewhere| &elsewhere.issuer).into(),
                i64::from(session.known_auth_time().is_some()).into(),
            ],
        )
        .map(drop)
    }

    /// The session that a cookie opens, ended or not.
    pub(crate) fn session_by_cookie(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM sessions WHERE cookie_digest = ?1");
        self.first("sessions", &text, &[digest.into()], read)
    }

    /// A session by its public id, ended or not.
    pub(crate) fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1");
        self.first("sessions", &text, &[id.as_str().into()], read)
    }

    /// Whether a session ended since it was looked at.
    pub(crate) fn has_ended(&self, id: &SessionId) -> Result<bool, StoreError> {
        Ok(self.session(id)?.is_none_or(|session| session.ended_at.is_some()))
    }

    /// Sessions that were not ended, of one person or of all, newest first.
    pub(crate) fn open_sessions(&self, of: Option<&Subject>) -> Result<Vec<Session>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM sessions WHERE ended_at IS NULL AND (?1 IS NULL OR subject = ?1) \
             ORDER BY auth_time DESC, id"
        );
        self.query("sessions", &text, &[of.map(Subject::as_str).into()], read)
    }

    /// Sessions that nobody ended and that were over by themselves before this time.
    pub(crate) fn overdue_sessions(
        &self,
        timeouts: Timeouts,
        before: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM sessions WHERE ended_at IS NULL AND (last_seen < ?1 OR auth_time < ?2)"
        );
        let Limits { idle, absolute } = timeouts.shortest();
        let values = [before.minus(idle).into(), before.minus(absolute).into()];
        let mut overdue = self.query("sessions", &text, &values, read)?;
        overdue.retain(|session| session.check(timeouts, before).is_err());
        Ok(overdue)
    }

    /// Sessions that nobody ended and that began with the word of a provider which is none of these; or may have, of those that
    /// are from before it was noted which, and that a sign-in here alone would not have begun so.
    pub(crate) fn sessions_not_of(&self, issuers: &[String]) -> Result<Vec<Session>, StoreError> {
        let text = format!(
            "SELECT {COLUMNS} FROM sessions WHERE ended_at IS NULL AND (issuer IS NOT NULL \
             OR (amr NOT LIKE '%\"pwd\"%' AND amr NOT LIKE '%\"pop\"%'))"
        );
        let mut ending = Vec::new();
        for session in self.query("sessions", &text, &[], read)? {
            let is_vouched_for = match &session.elsewhere {
                Some(own) => issuers.contains(&own.issuer),
                None => self.all_providers_are(&session.subject, issuers)?,
            };
            if !is_vouched_for {
                ending.push(session);
            }
        }
        Ok(ending)
    }

    /// Whether all providers at which a person has an account are among these, and there is one: accounts are linked before they
    /// open anything, and what they opened ends where they are taken away.
    pub(super) fn all_providers_are(&self, of: &Subject, issuers: &[String]) -> Result<bool, StoreError> {
        let links = self.provider_links(of)?;
        Ok(!links.is_empty() && links.iter().all(|link| issuers.contains(&link.issuer)))
    }

    /// Notes that a session was used. Never moves back.
    pub(crate) fn touch_session(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE sessions SET last_seen = ?2 WHERE id = ?1 AND last_seen < ?2";
        self.execute(text, &[id.as_str().into(), now.into()]).map(drop)
    }

    /// Ends a session and the grants that live with it.
    pub(crate) fn end_session(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.note_logout(id, now)?;
        let values = [id.as_str().into(), now.into()];
        let text =
            "UPDATE sessions SET ended_at = ?2, provider_id_token = NULL WHERE id = ?1 AND ended_at IS NULL";
        self.execute(text, &values)?;
        let text = "UPDATE grants SET revoked_at = ?2 WHERE session = ?1 AND revoked_at IS NULL";
        self.execute(text, &values).map(drop)
    }

    /// Ends every session and grant of a person.
    pub(crate) fn end_all_sessions(&self, of: &Subject, now: Timestamp) -> Result<(), StoreError> {
        self.end_all_but(of, None, now)
    }

    /// The same but for this session; its grants end too.
    pub(crate) fn end_all_but(
        &self,
        of: &Subject,
        but: Option<&SessionId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for session in self.open_sessions(Some(of))?.iter().filter(|session| Some(&session.id) != but) {
            self.note_logout(&session.id, now)?;
        }
        self.spoil_codes(of, now)?;
        // What was half done with the old password or factor is void as well.
        self.void_half_sign_ins(of)?;
        self.forget_browsers(of)?;
        // No id is empty.
        let but = but.map_or("", SessionId::as_str);
        let text = "UPDATE sessions SET ended_at = ?2, provider_id_token = NULL \
                    WHERE subject = ?1 AND ended_at IS NULL AND id <> ?3";
        self.execute(text, &[of.as_str().into(), now.into(), but.into()])?;
        let values = [of.as_str().into(), now.into()];
        let text = "UPDATE grants SET revoked_at = ?2 WHERE subject = ?1 AND revoked_at IS NULL";
        self.execute(text, &values).map(drop)
    }
}

fn read(row: &Row<'_, '_>) -> Result<Session, StoreError> {
    let auth_time = if row.get("auth_time_said")? { AuthTime::Said } else { AuthTime::Presumed };
    Ok(Session {
        id: row.parse("id")?,
        subject: row.parse("subject")?,
        auth_time: row.time("auth_time")?,
        last_seen: row.time("last_seen")?,
        ended_at: row.time_optional("ended_at")?,
        amr: row.json("amr")?,
        agent: row.get("agent")?,
        elsewhere: row.get::<Option<String>>("issuer")?.map(|issuer| Elsewhere { issuer, auth_time }),
    })
}
