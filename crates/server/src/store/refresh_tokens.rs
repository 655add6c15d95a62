//! Refresh tokens, as digests.

use chartgate_access::grant::refresh::RefreshToken;
use chartgate_access::ids::{ClientId, GrantId};
use chartgate_values::Timestamp;

use super::sql::{Row, json};
use super::{Sql, StoreError};

/// A refresh token with its place in its family.
#[derive(Clone, Debug)]
pub(crate) struct StoredRefreshToken {
    /// What decides about it.
    pub(crate) token: RefreshToken,
    /// Its family.
    pub(crate) grant: GrantId,
    /// The digest of the token that replaced it.
    pub(crate) successor: Option<String>,
}

impl Sql<'_> {
    /// Keeps a new refresh token.
    pub(crate) fn add_refresh_token(
        &self,
        digest: &str,
        grant: &GrantId,
        token: &RefreshToken,
    ) -> Result<(), StoreError> {
        let cnf = token.cnf.as_ref().map(|cnf| json(cnf, "refresh_tokens")).transpose()?;
        self.execute(
            "INSERT INTO refresh_tokens \
             (digest, grant_id, client_id, expires_at, access_token, access_expires_at, cnf) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                digest.into(),
                grant.as_str().into(),
                ClientId::as_str(&token.client_id).into(),
                token.expires_at.into(),
                token.access_token.as_str().into(),
                token.access_expires_at.into(),
                cnf.as_deref().into(),
            ],
        )
        .map(drop)
    }

    /// A refresh token in whatever state.
    pub(crate) fn refresh_token(&self, digest: &str) -> Result<Option<StoredRefreshToken>, StoreError> {
        let text = "SELECT grant_id, client_id, expires_at, consumed_at, revoked_at, successor, access_token, \
                    access_expires_at, cnf FROM refresh_tokens WHERE digest = ?1";
        self.first("refresh_tokens", text, &[digest.into()], read)
    }

    /// Marks a token as used, with what came after it.
    pub(crate) fn consume_refresh_token(
        &self,
        digest: &str,
        successor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // A retry keeps the time of the first use, so that retries do not stretch their own window.
        let text = "UPDATE refresh_tokens SET consumed_at = COALESCE(consumed_at, ?3), successor = ?2 \
                    WHERE digest = ?1";
        self.execute(text, &[digest.into(), successor.into(), now.into()]).map(drop)
    }

    /// Lets a token that is not replaced end at another time, never sooner.
    pub(crate) fn extend_refresh_token(&self, digest: &str, until: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE refresh_tokens SET expires_at = ?2 WHERE digest = ?1 AND expires_at < ?2";
        self.execute(text, &[digest.into(), until.into()]).map(drop)
    }

    /// Cuts a single token off.
    pub(crate) fn revoke_refresh_token(&self, digest: &str, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE refresh_tokens SET revoked_at = ?2 WHERE digest = ?1 AND revoked_at IS NULL";
        self.execute(text, &[digest.into(), now.into()]).map(drop)
    }
}

fn read(row: &Row<'_, '_>) -> Result<StoredRefreshToken, StoreError> {
    Ok(StoredRefreshToken {
        token: RefreshToken {
            client_id: row.parse("client_id")?,
            expires_at: row.time("expires_at")?,
            consumed_at: row.time_optional("consumed_at")?,
            revoked_at: row.time_optional("revoked_at")?,
            access_token: row.parse("access_token")?,
            access_expires_at: row.time("access_expires_at")?,
            cnf: row.json_optional("cnf")?,
        },
        grant: row.parse("grant_id")?,
        successor: row.get("successor")?,
    })
}
