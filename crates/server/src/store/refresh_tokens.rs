//! Refresh tokens, as digests.

use chartgate_access::grant::Grant;
use chartgate_access::grant::refresh::RefreshToken;
use chartgate_access::ids::{ClientId, GrantId};
use chartgate_values::{Secret, Timestamp};

use super::sql::{Row, Value, json};
use super::{Sql, StoreError};
use crate::entropy::{digest_of, opaque_secret};

/// A fresh refresh token: when it was made, in milliseconds and as hexadecimal digits, and behind that 256 bits that nobody
/// guesses.
pub(crate) fn fresh_refresh_token(now: Timestamp) -> Secret<String> {
    let millis = now.as_micros() / 1000;
    Secret::new(format!("{millis:0MADE$x}{}", opaque_secret().expose()))
}

/// By what a refresh token is found: its digest, behind when it was made. So those of one moment stand side by side, and keeping
/// them writes few pages of the database, where digests alone are one in each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RefreshKey(String);

/// Digits for when a token was made: enough until the year 10889.
const MADE: usize = 12;
/// Of 256 bits in base64url.
const SECRET: usize = 43;

impl RefreshKey {
    /// The key of a token that somebody shows, whatever it is. Those that say nothing of when they were made are from before
    /// there was such a thing: their digest is all.
    pub(crate) fn of(token: &str) -> Self {
        let made = token.get(..MADE).filter(|_| token.len() == MADE + SECRET).unwrap_or_default();
        Self(format!("{made}{}", digest_of(token)))
    }
}

impl<'v> From<&'v RefreshKey> for Value<'v> {
    fn from(key: &'v RefreshKey) -> Self {
        Self::Text(&key.0)
    }
}

/// A refresh token with its place in its family.
#[derive(Clone, Debug)]
pub(crate) struct StoredRefreshToken {
    /// What decides about it.
    pub(crate) token: RefreshToken,
    /// Its family.
    pub(crate) grant: GrantId,
    /// The token that replaced it.
    pub(crate) successor: Option<RefreshKey>,
}

impl Sql<'_> {
    /// Keeps a new refresh token.
    pub(crate) fn add_refresh_token(
        &self,
        key: &RefreshKey,
        grant: &GrantId,
        token: &RefreshToken,
    ) -> Result<(), StoreError> {
        let cnf = token.cnf.as_ref().map(|cnf| json(cnf, "refresh_tokens")).transpose()?;
        self.execute(
            "INSERT INTO refresh_tokens \
             (digest, grant_id, client_id, expires_at, access_token, access_expires_at, cnf) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                key.into(),
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
    pub(crate) fn refresh_token(&self, key: &RefreshKey) -> Result<Option<StoredRefreshToken>, StoreError> {
        let text = "SELECT grant_id, client_id, expires_at, consumed_at, revoked_at, successor, access_token, \
                    access_expires_at, cnf FROM refresh_tokens WHERE digest = ?1";
        self.first("refresh_tokens", text, &[key.into()], read)
    }

    /// The grant of a refresh token in whatever state, if it was not revoked; of a token that is none, nothing.
    pub(crate) fn grant_of_refresh_token(
        &self,
        key: &RefreshKey,
    ) -> Result<Option<Option<Grant>>, StoreError> {
        self.first("grants", GRANT_OF, &[key.into()], |row| row.json_optional("content"))
    }

    /// Marks a token as used, with what came after it.
    pub(crate) fn consume_refresh_token(
        &self,
        key: &RefreshKey,
        successor: &RefreshKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // A retry keeps the time of the first use, so that retries do not stretch their own window.
        let text = "UPDATE refresh_tokens SET consumed_at = COALESCE(consumed_at, ?3), successor = ?2 \
                    WHERE digest = ?1";
        self.execute(text, &[key.into(), successor.into(), now.into()]).map(drop)
    }

    /// Lets a token that is not replaced end at another time, never sooner.
    pub(crate) fn extend_refresh_token(&self, key: &RefreshKey, until: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE refresh_tokens SET expires_at = ?2 WHERE digest = ?1 AND expires_at < ?2";
        self.execute(text, &[key.into(), until.into()]).map(drop)
    }

    /// Cuts a single token off.
    pub(crate) fn revoke_refresh_token(&self, key: &RefreshKey, now: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE refresh_tokens SET revoked_at = ?2 WHERE digest = ?1 AND revoked_at IS NULL";
        self.execute(text, &[key.into(), now.into()]).map(drop)
    }
}

const GRANT_OF: &str = "SELECT grants.content FROM refresh_tokens LEFT JOIN grants \
                        ON grants.id = refresh_tokens.grant_id AND grants.revoked_at IS NULL WHERE digest = ?1";

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
        successor: row.get::<Option<String>>("successor")?.map(RefreshKey),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::StatementStatus;

    use super::*;
    use crate::store::tests::Scratch;

    #[test]
    fn tokens_of_one_moment_stand_side_by_side_and_say_no_more_than_when() {
        let at = |micros| fresh_refresh_token(Timestamp::from_micros(micros));
        let token = at(1_793_836_800_123_456);
        assert_eq!(token.expose().len(), MADE + SECRET);
        let (made, secret) = token.expose().split_at(MADE);
        assert_eq!(made, "01a1a901587b");
        let key = |token: &Secret<String>| RefreshKey::of(token.expose()).0;
        let mut moments = [5, 1_000, 2_000_000, 1 << 50].map(|micros| key(&at(micros)));
        let ordered = moments.clone();
        moments.sort();
        assert_eq!(moments, ordered);
        assert!(key(&token).starts_with("01a1a901587b"));
        assert!(!key(&token).contains(secret), "a key opens nothing");
        assert_ne!(key(&at(0)), key(&at(0)));
    }

    #[test]
    fn a_token_from_before_that_is_found_by_its_digest_alone() {
        let token = opaque_secret();
        assert_eq!(RefreshKey::of(token.expose()).0, digest_of(token.expose()));
    }

    #[test]
    fn finding_a_grant_compiles_its_statement_once_whatever_the_token() {
        let store = &Scratch::new("compiled-once").store;
        for token in ["one", "another", "a third"] {
            let found = store.read(|sql| sql.grant_of_refresh_token(&RefreshKey::of(token)));
            assert!(found.unwrap().is_none());
        }
        let compiled: Result<_, StoreError> =
            store.read(|sql| Ok(sql.statement(GRANT_OF)?.get_status(StatementStatus::RePrepare)));
        assert_eq!(compiled.unwrap(), 0);
    }

    proptest! {
        #[test]
        fn whatever_is_shown_has_a_key_of_its_own(one in ".{0,70}", other in "[0-9a-f]{12}[A-Za-z0-9_-]{43}") {
            prop_assume!(one != other);
            prop_assert_ne!(RefreshKey::of(&one), RefreshKey::of(&other));
        }
    }
}
