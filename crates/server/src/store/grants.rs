//! Grants.

use std::collections::BTreeSet;
use std::time::Duration;

use chartgate_access::grant::authorization_code::Code;
use chartgate_access::grant::{Grant, OFFLINE_ACCESS};
use chartgate_access::ids::{ClientId, GrantId, Subject};
use chartgate_access::session::{Limits, Timeouts};
use chartgate_values::Timestamp;

use super::sql::{Value, json};
use super::{Sql, StoreError};

/// Activity of a session is written so long after it at the latest.
const ACTIVITY_LAG: Duration = Duration::from_secs(120);

impl Sql<'_> {
    /// Keeps a grant whose code was redeemed.
    pub(crate) fn add_grant(&self, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
        let content = json(grant, "grants")?;
        self.execute(
            "INSERT INTO grants (id, client_id, subject, session, content, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                grant.id.as_str().into(),
                grant.client_id.as_str().into(),
                grant.subject.as_str().into(),
                grant.session.as_ref().map(|s| s.as_str()).into(),
                Value::from(&content),
                now.into(),
            ],
        )
        .map(drop)
    }

    /// A grant that was not revoked.
    pub(crate) fn live_grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let text = "SELECT content FROM grants WHERE id = ?1 AND revoked_at IS NULL";
        self.first("grants", text, &[id.as_str().into()], |row| row.json("content"))
    }

    /// Whether a grant is there and was not revoked.
    pub(crate) fn is_live(&self, id: &GrantId) -> Result<bool, StoreError> {
        let text = "SELECT 1 AS found FROM grants WHERE id = ?1 AND revoked_at IS NULL";
        Ok(self.first("grants", text, &[id.as_str().into()], |row| row.get::<i64>("found"))?.is_some())
    }

    /// Grants of a person whose tokens may still be good, and since when.
    pub(crate) fn grants_in_force(
        &self,
        subject: &Subject,
        timeouts: Timeouts,
        longest_token: Duration,
        now: Timestamp,
    ) -> Result<Vec<(Grant, Timestamp)>, StoreError> {
        let text = "SELECT grants.content, grants.created_at FROM grants \
                    LEFT JOIN sessions ON sessions.id = grants.session \
                    WHERE grants.subject = ?1 AND grants.revoked_at IS NULL \
                    AND (grants.session IS NULL OR (sessions.ended_at IS NULL AND sessions.auth_time > ?4 \
                         AND sessions.last_seen > ?5)) \
                    AND (grants.created_at > ?2 OR EXISTS (SELECT 1 FROM refresh_tokens \
                         WHERE grant_id = grants.id AND expires_at > ?3 AND consumed_at IS NULL \
                         AND refresh_tokens.revoked_at IS NULL)) ORDER BY grants.created_at";
        // Sessions whose own limits are shorter are ended a minute after these (`end_overdue_sessions`).
        let Limits { idle, absolute } = timeouts.longest();
        let values = [
            subject.as_str().into(),
            now.minus(longest_token).into(),
            now.into(),
            now.minus(absolute).into(),
            now.minus(idle.saturating_add(ACTIVITY_LAG)).into(),
        ];
        self.query("grants", text, &values, |row| Ok((row.json("content")?, row.time("created_at")?)))
    }

    /// Ends every grant that a client has of a person, those of codes that were not redeemed yet too, and forgets what the
    /// person approved. Gives what ended.
    pub(crate) fn disconnect(
        &self,
        subject: &Subject,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<BTreeSet<GrantId>, StoreError> {
        let text = "UPDATE grants SET revoked_at = ?3 WHERE subject = ?1 AND client_id = ?2 \
                    AND revoked_at IS NULL RETURNING id";
        let values = [subject.as_str().into(), client.as_str().into(), now.into()];
        let ended: Vec<GrantId> = self.query("grants", text, &values, |row| row.parse("id"))?;
        let mut ended = BTreeSet::from_iter(ended);
        // Also of codes and requests that were redeemed just now: whoever did may not have come to the grant's own row yet.
        let text = "SELECT content FROM codes WHERE subject = ?1";
        let codes: Vec<Code> =
            self.query("codes", text, &[subject.as_str().into()], |row| row.json("content"))?;
        ended.extend(
            codes.into_iter().map(|code| code.grant).filter(|g| g.client_id == *client).map(|g| g.id),
        );
        ended.extend(self.take_back_approvals(subject, client)?);
        self.remove_consent(subject, client)?;
        self.forget_client_use(subject, client)?;
        Ok(ended)
    }

    /// Grants in force that outlive sessions and were given with the word of a provider which is none of these; or may have been,
    /// of those that are from before it was noted which. What was approved on a phone, or by what a trusted issuer says of a
    /// person, has no sign-in of here, or nothing that outlives it.
    pub(crate) fn grants_not_of(&self, issuers: &[String]) -> Result<Vec<Grant>, StoreError> {
        let text = "SELECT content FROM grants WHERE revoked_at IS NULL AND session IS NULL \
                    AND (json_extract(content, '$.provider') IS NOT NULL \
                     OR (json_extract(content, '$.auth_time') IS NOT NULL \
                      AND json_extract(content, '$.amr') NOT LIKE '%\"pwd\"%' \
                      AND json_extract(content, '$.amr') NOT LIKE '%\"pop\"%'))";
        let mut ending = Vec::new();
        for grant in self.query("grants", text, &[], |row| row.json::<Grant>("content"))? {
            let is_vouched_for = match &grant.provider {
                Some(own) => issuers.contains(own),
                None if grant.scope.contains(OFFLINE_ACCESS) => {
                    self.all_providers_are(&grant.subject, issuers)?
                }
                None => true,
            };
            if !is_vouched_for {
                ending.push(grant);
            }
        }
        Ok(ending)
    }

    /// Revokes a grant: none of its refresh tokens is honoured any more.
    pub(crate) fn revoke_grant(&self, id: &GrantId, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE grants SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
        self.execute(text, &[id.as_str().into(), now.into()]).map(drop)
    }
}
