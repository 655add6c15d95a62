//! Browsers that people were seen in, and applications that they have used: where their phones may be asked. None of it opens
//! anything.

use chartgate_access::approval::known::KNOWN_FOR;
use chartgate_access::ids::{BrowserId, ClientId, SessionId, Subject};
use chartgate_values::Timestamp;

use super::second_factors::Used;
use super::{Sql, StoreError};

/// So many browsers of a person are known. Beyond that, the one that was seen least lately is forgotten.
const MOST_BROWSERS: &str = "50";

/// A browser that a person was seen in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KnownBrowser {
    pub(crate) id: BrowserId,
    /// What it calls itself.
    pub(crate) agent: Option<String>,
    pub(crate) since: Timestamp,
    /// When they last showed there more than a password, and no yes on their phone.
    pub(crate) seen_at: Timestamp,
}

/// How a browser stood to a person before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Before {
    Known,
    Unknown,
}

impl Before {
    /// Its name in the record.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Unknown => "new",
        }
    }
}

impl Sql<'_> {
    /// Notes that a person was seen in the browser of this digest, in a session that begins there.
    pub(crate) fn see_browser(
        &self,
        of: &Subject,
        (digest, session): (&str, &SessionId),
        new: &KnownBrowser,
    ) -> Result<Before, StoreError> {
        let before = match self.browser_seen_at(of, digest)? {
            Some(last) if new.seen_at < last.plus(KNOWN_FOR) => Before::Known,
            Some(_) | None => {
                let text = "DELETE FROM known_browsers WHERE user_name = ?1 AND digest = ?2";
                self.execute(text, &[of.as_str().into(), digest.into()])?;
                Before::Unknown
            }
        };
        let text = "INSERT INTO known_browsers (id, user_name, digest, session, agent, since, seen_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
                    ON CONFLICT (user_name, digest) DO UPDATE SET session = ?4, agent = ?5, seen_at = ?7";
        let values = [
            new.id.as_str().into(),
            of.as_str().into(),
            digest.into(),
            session.as_str().into(),
            new.agent.as_ref().into(),
            new.since.into(),
            new.seen_at.into(),
        ];
        self.execute(text, &values)?;
        let text = format!(
            "DELETE FROM known_browsers WHERE user_name = ?1 AND id NOT IN \
             (SELECT id FROM known_browsers WHERE user_name = ?1 ORDER BY seen_at DESC, id LIMIT {MOST_BROWSERS})"
        );
        self.execute(&text, &[of.as_str().into()]).map(|_| before)
    }

    /// Notes that another session of a person's has begun in a browser, which shows nothing of who sits there.
    pub(crate) fn follow_browser(
        &self,
        of: &Subject,
        digest: &str,
        session: &SessionId,
    ) -> Result<(), StoreError> {
        let text = "UPDATE known_browsers SET session = ?3 WHERE user_name = ?1 AND digest = ?2";
        self.execute(text, &[of.as_str().into(), digest.into(), session.as_str().into()]).map(drop)
    }

    /// When a person was last seen in the browser of this digest.
    pub(crate) fn browser_seen_at(
        &self,
        of: &Subject,
        digest: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT seen_at FROM known_browsers WHERE user_name = ?1 AND digest = ?2";
        self.first("known_browsers", text, &[of.as_str().into(), digest.into()], |row| row.time("seen_at"))
    }

    /// What the browser of this digest is called where people read of it.
    pub(crate) fn browser_id(&self, of: &Subject, digest: &str) -> Result<Option<BrowserId>, StoreError> {
        let text = "SELECT id FROM known_browsers WHERE user_name = ?1 AND digest = ?2";
        self.first("known_browsers", text, &[of.as_str().into(), digest.into()], |row| row.parse("id"))
    }

    /// All browsers that a person was seen in and that are known still, the last one first.
    pub(crate) fn known_browsers(
        &self,
        of: &Subject,
        now: Timestamp,
    ) -> Result<Vec<KnownBrowser>, StoreError> {
        let text = "SELECT id, agent, since, seen_at FROM known_browsers \
                    WHERE user_name = ?1 AND seen_at > ?2 ORDER BY seen_at DESC, id";
        self.query("known_browsers", text, &[of.as_str().into(), now.minus(KNOWN_FOR).into()], |row| {
            Ok(KnownBrowser {
                id: row.parse("id")?,
                agent: row.get("agent")?,
                since: row.time("since")?,
                seen_at: row.time("seen_at")?,
            })
        })
    }

    /// Forgets one of a person's.
    pub(crate) fn forget_browser(&self, of: &Subject, id: &BrowserId) -> Result<Used, StoreError> {
        let text = "DELETE FROM known_browsers WHERE user_name = ?1 AND id = ?2";
        self.execute(text, &[of.as_str().into(), id.as_str().into()]).map(Used::of)
    }

    /// Forgets the one in which this session began last.
    pub(crate) fn forget_browser_of(&self, of: &Subject, session: &SessionId) -> Result<(), StoreError> {
        let text = "DELETE FROM known_browsers WHERE user_name = ?1 AND session = ?2";
        self.execute(text, &[of.as_str().into(), session.as_str().into()]).map(drop)
    }

    /// Forgets all but the one of this digest, and says which those were.
    pub(crate) fn forget_other_browsers(
        &self,
        of: &Subject,
        but: Option<&str>,
    ) -> Result<Vec<BrowserId>, StoreError> {
        let text =
            "DELETE FROM known_browsers WHERE user_name = ?1 AND (?2 IS NULL OR digest <> ?2) RETURNING id";
        self.query("known_browsers", text, &[of.as_str().into(), but.into()], |row| row.parse("id"))
    }

    /// Forgets all of a person's: they, or somebody who may, say that whoever sits there may not be they.
    pub(crate) fn forget_browsers(&self, of: &Subject) -> Result<(), StoreError> {
        self.forget_other_browsers(of, None).map(drop)
    }

    /// Notes that a person has let an application act in their name.
    pub(crate) fn use_client(
        &self,
        of: &Subject,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO used_clients (user_name, client_id, used_at) VALUES (?1, ?2, ?3) \
                    ON CONFLICT (user_name, client_id) DO UPDATE SET used_at = ?3";
        self.execute(text, &[of.as_str().into(), client.as_str().into(), now.into()]).map(drop)
    }

    /// When a person last did.
    pub(crate) fn client_used_at(
        &self,
        of: &Subject,
        client: &ClientId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT used_at FROM used_clients WHERE user_name = ?1 AND client_id = ?2";
        let values = [of.as_str().into(), client.as_str().into()];
        self.first("used_clients", text, &values, |row| row.time("used_at"))
    }

    /// Forgets that they did: they took back what it had.
    pub(super) fn forget_client_use(&self, of: &Subject, client: &ClientId) -> Result<(), StoreError> {
        let text = "DELETE FROM used_clients WHERE user_name = ?1 AND client_id = ?2";
        self.execute(text, &[of.as_str().into(), client.as_str().into()]).map(drop)
    }

    /// Forgets what was not seen for long enough.
    pub(super) fn forget_unseen(&self, now: Timestamp) -> Result<(), StoreError> {
        let before = now.minus(KNOWN_FOR);
        self.execute("DELETE FROM known_browsers WHERE seen_at <= ?1", &[before.into()])?;
        self.execute("DELETE FROM used_clients WHERE used_at <= ?1", &[before.into()]).map(drop)
    }
}

#[cfg(test)]
mod tests;
