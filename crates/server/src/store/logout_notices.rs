//! Who has to be told that a session ended: written with its end, gone when they were told.

use chartgate_access::grant::Grant;
use chartgate_access::ids::{ClientId, SessionId, Subject};
use chartgate_values::Timestamp;

use super::{Sql, StoreError};

/// A client that has to be told.
#[derive(Clone, Debug)]
pub(crate) struct LogoutNotice {
    pub(crate) client_id: ClientId,
    pub(crate) session: SessionId,
    pub(crate) subject: Subject,
    /// How often it was tried.
    pub(crate) attempts: u32,
}

impl Sql<'_> {
    /// Notes whom to tell that a session ends: each client that got an ID token in it and wants to know. Of a session that
    /// has ended already nobody is told again.
    pub(super) fn note_logout(&self, session: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        let text = "SELECT g.content AS content FROM grants g JOIN sessions s ON s.id = g.session \
                    WHERE s.id = ?1 AND s.ended_at IS NULL";
        let grants: Vec<Grant> =
            self.query("grants", text, &[session.as_str().into()], |row| row.json("content"))?;
        for grant in grants.iter().filter(|grant| grant.scope.contains("openid")) {
            let client = self.client(&grant.client_id)?;
            if client.is_none_or(|client| client.options.backchannel_logout_uri.is_none()) {
                continue;
            }
            let text = "INSERT INTO logout_notices (client_id, session, subject, attempts, due_at) \
                        VALUES (?1, ?2, ?3, 0, ?4) ON CONFLICT DO NOTHING";
            let values = [
                grant.client_id.as_str().into(),
                session.as_str().into(),
                grant.subject.as_str().into(),
                now.into(),
            ];
            self.execute(text, &values)?;
        }
        Ok(())
    }

    /// The clients that got an ID token in a session, the first of them first.
    pub(crate) fn clients_of(&self, session: &SessionId) -> Result<Vec<ClientId>, StoreError> {
        let text = "SELECT content FROM grants WHERE session = ?1 ORDER BY created_at";
        let grants: Vec<Grant> =
            self.query("grants", text, &[session.as_str().into()], |row| row.json("content"))?;
        let mut clients: Vec<ClientId> = Vec::new();
        for grant in grants.into_iter().filter(|grant| grant.scope.contains("openid")) {
            if !clients.contains(&grant.client_id) {
                clients.push(grant.client_id);
            }
        }
        Ok(clients)
    }

    /// Who is to be told now, those first who were tried least.
    pub(crate) fn due_logout_notices(
        &self,
        now: Timestamp,
        most: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        let text = "SELECT client_id, session, subject, attempts FROM logout_notices WHERE due_at <= ?1 \
                    ORDER BY attempts, due_at LIMIT ?2";
        self.query("logout_notices", text, &[now.into(), most.into()], |row| {
            Ok(LogoutNotice {
                client_id: row.parse("client_id")?,
                session: row.parse("session")?,
                subject: row.parse("subject")?,
                attempts: row.get("attempts")?,
            })
        })
    }

    /// Has it tried again then.
    pub(crate) fn put_off_logout_notice(
        &self,
        notice: &LogoutNotice,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "UPDATE logout_notices SET attempts = attempts + 1, due_at = ?3 \
                    WHERE client_id = ?1 AND session = ?2";
        let values = [notice.client_id.as_str().into(), notice.session.as_str().into(), due_at.into()];
        self.execute(text, &values).map(drop)
    }

    /// Forgets it: they were told, or never will be.
    pub(crate) fn remove_logout_notice(&self, notice: &LogoutNotice) -> Result<(), StoreError> {
        let text = "DELETE FROM logout_notices WHERE client_id = ?1 AND session = ?2";
        self.execute(text, &[notice.client_id.as_str().into(), notice.session.as_str().into()]).map(drop)
    }
}
