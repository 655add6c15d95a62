//! Sessions that began at an identity provider: what they are called there, what ends with them, and who is on the way to sign out
//! there. OpenID Connect Back-Channel Logout 1.0 sections 2.6 and 2.7, RP-Initiated Logout 1.0.

use std::time::Duration;

use chartgate_access::ids::{SessionId, Subject};
use chartgate_protocol::jose::claims::Identifier;
use chartgate_protocol::jose::logout_token::{LONGEST_AGE, SignedOutThere};
use chartgate_values::Timestamp;

use super::provider_links::AWAY;
use super::used_assertions::FirstUse;
use super::{Sql, StoreError};

/// How long it is remembered that somebody signed out: for as long as the token could come again, and longer than a sign-in that
/// began before may take.
const REMEMBERED: Duration = LONGEST_AGE.saturating_add(AWAY).saturating_add(AWAY);

/// A session at a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SessionThere {
    /// What it is called there, if that was said.
    pub(crate) sid: Option<String>,
    /// When it was asked of whom it is: from then on the provider may have said so.
    pub(crate) asked_at: Timestamp,
    /// The ID token that told us, sealed, where it can be kept.
    pub(crate) id_token: Option<Vec<u8>>,
}

impl Sql<'_> {
    /// Keeps with a session what it is at its provider.
    pub(crate) fn note_session_there(&self, id: &SessionId, there: &SessionThere) -> Result<(), StoreError> {
        let text = "UPDATE sessions SET provider_sid = ?2, provider_id_token = ?3 WHERE id = ?1";
        let values = [id.as_str().into(), there.sid.as_ref().into(), there.id_token.as_deref().into()];
        self.execute(text, &values).map(drop)
    }

    /// The ID token that a session began with, sealed; nothing once it has ended.
    pub(crate) fn provider_id_token(&self, id: &SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let text = "SELECT provider_id_token FROM sessions WHERE id = ?1 AND ended_at IS NULL";
        let found =
            self.first("sessions", text, &[id.as_str().into()], |row| row.get("provider_id_token"))?;
        Ok(found.flatten())
    }

    /// Where the browser of a session is signed in besides, for all that we know: at the provider that its person came by, or by
    /// which the session before it began.
    pub(crate) fn open_at(&self, id: &SessionId) -> Result<Option<String>, StoreError> {
        let text = "SELECT COALESCE(issuer, open_at) AS open_at FROM sessions WHERE id = ?1";
        let found = self.first("sessions", text, &[id.as_str().into()], |row| row.get("open_at"))?;
        Ok(found.flatten())
    }

    /// Keeps with a session that began here that its browser is signed in there: with the ID token, where that is of its person.
    pub(crate) fn note_open_at(
        &self,
        id: &SessionId,
        issuer: &str,
        id_token: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let text = "UPDATE sessions SET open_at = ?2, provider_id_token = ?3 WHERE id = ?1";
        self.execute(text, &[id.as_str().into(), issuer.into(), id_token.into()]).map(drop)
    }

    /// Whether somebody signed out there, as far as we have heard, since it was asked who they are, or since they signed in there,
    /// where that was said: their session there begins nothing here any more.
    pub(crate) fn is_signed_out_there(
        &self,
        issuer: &str,
        user: &Subject,
        (there, signed_in_at): (&SessionThere, Option<Timestamp>),
    ) -> Result<bool, StoreError> {
        // What is said of a session is of that one, where both have a name; else it is of all that were there by then. Some
        // providers give a name again to whoever signs in there in the same browser: that is another session, where they say
        // when that was, or else where it was asked for later.
        let text = "SELECT 1 AS found FROM provider_logouts o WHERE o.issuer = ?1 AND \
                    ((o.sid = ?2 AND o.heard_at >= ?5) OR ((o.sid IS NULL OR ?2 IS NULL) AND o.heard_at >= ?4 AND EXISTS (SELECT 1 FROM provider_links l \
                     WHERE l.issuer = o.issuer AND l.subject = o.subject AND l.user_name = ?3)))";
        let values = [
            issuer.into(),
            there.sid.as_ref().into(),
            user.as_str().into(),
            there.asked_at.into(),
            signed_in_at.unwrap_or(there.asked_at).into(),
        ];
        Ok(self.first("provider_logouts", text, &values, |row| row.get::<i64>("found"))?.is_some())
    }

    /// Notes that somebody signed out there. After a restore nobody knows which tokens came before: all that may have are taken
    /// for used, for what they ended has ended.
    pub(crate) fn use_logout_token(
        &self,
        issuer: &str,
        out: &SignedOutThere,
        now: Timestamp,
    ) -> Result<FirstUse, StoreError> {
        if self.last_restore()?.is_some_and(|restored_at| out.issued_at <= restored_at) {
            return Ok(FirstUse::No);
        }
        let text = "INSERT INTO provider_logouts (issuer, jti, sid, subject, heard_at, expires_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let values = [
            issuer.into(),
            out.jti.as_str().into(),
            out.of.sid().map(Identifier::as_str).into(),
            out.of.sub().map(Identifier::as_str).into(),
            now.into(),
            now.plus(REMEMBERED).into(),
        ];
        Ok(if self.execute(text, &values)? == 1 { FirstUse::Yes } else { FirstUse::No })
    }

    /// Sessions here that nobody ended, and that began with what somebody signed out of there. One that has no name there is
    /// taken for any of its person's.
    pub(crate) fn sessions_signed_out_there(
        &self,
        issuer: &str,
        out: &SignedOutThere,
    ) -> Result<Vec<(SessionId, Subject)>, StoreError> {
        let text = "SELECT id, subject FROM sessions s WHERE s.ended_at IS NULL AND s.issuer = ?1 AND \
                    (s.provider_sid = ?2 OR ((?2 IS NULL OR s.provider_sid IS NULL) AND \
                     EXISTS (SELECT 1 FROM provider_links l \
                     WHERE l.issuer = ?1 AND l.subject = ?3 AND l.user_name = s.subject)))";
        let (sid, sub) = (out.of.sid().map(Identifier::as_str), out.of.sub().map(Identifier::as_str));
        let values = [issuer.into(), sid.into(), sub.into()];
        self.query("sessions", text, &values, |row| Ok((row.parse("id")?, row.parse("subject")?)))
    }

    /// Keeps where a browser goes on that was sent to sign out there.
    pub(crate) fn add_provider_sign_out(
        &self,
        digest: &str,
        (browser, issuer): (&str, &str),
        target: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = "INSERT INTO provider_sign_outs (digest, browser, issuer, target, expires_at) \
                    VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = [digest.into(), browser.into(), issuer.into(), target.into(), now.plus(AWAY).into()];
        self.execute(text, &values).map(drop)
    }

    /// Whether a browser was sent there to sign out.
    pub(crate) fn is_provider_sign_out(
        &self,
        digest: &str,
        (browser, issuer): (&str, &str),
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let text = "SELECT 1 AS found FROM provider_sign_outs \
                    WHERE digest = ?1 AND browser = ?2 AND issuer = ?3 AND expires_at > ?4";
        let values = [digest.into(), browser.into(), issuer.into(), now.into()];
        Ok(self.first("provider_sign_outs", text, &values, |row| row.get::<i64>("found"))?.is_some())
    }

    /// Where a browser goes on that comes back from signing out there, once; nothing if it was not sent there.
    pub(crate) fn take_provider_sign_out(
        &self,
        digest: &str,
        (browser, issuer): (&str, &str),
        now: Timestamp,
    ) -> Result<Option<Option<String>>, StoreError> {
        let text = "DELETE FROM provider_sign_outs \
                    WHERE digest = ?1 AND browser = ?2 AND issuer = ?3 AND expires_at > ?4 RETURNING target";
        let values = [digest.into(), browser.into(), issuer.into(), now.into()];
        self.first("provider_sign_outs", text, &values, |row| row.get("target"))
    }

    /// Forgets what can come no more.
    pub(super) fn forget_provider_sign_outs(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM provider_logouts WHERE expires_at < ?1", &[now.into()])?;
        self.execute("DELETE FROM provider_sign_outs WHERE expires_at < ?1", &[now.into()]).map(drop)
    }
}

#[cfg(test)]
mod tests;
