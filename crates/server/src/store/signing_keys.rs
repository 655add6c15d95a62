//! Token signing keys, sealed.

use chartgate_protocol::jose::Algorithm;
use chartgate_values::Timestamp;

use super::sql::Row;
use super::{Sql, StoreError};

/// A signing key with its dates. The phases: published (`active_at` is ahead or unset), signing, retired.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    /// PKCS#8, sealed for this `kid`.
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Timestamp,
    /// From when it signs; `None`: it waits as the next one.
    pub(crate) active_at: Option<Timestamp>,
    /// From when it signs no more, but still verifies until the last token has expired.
    pub(crate) retired_at: Option<Timestamp>,
}

impl Sql<'_> {
    /// Keeps a new key.
    pub(crate) fn add_signing_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO signing_keys (kid, algorithm, private_key, created_at, active_at, retired_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                (&key.kid).into(),
                key.algorithm.name().into(),
                key.sealed.as_slice().into(),
                key.created_at.into(),
                key.active_at.into(),
                key.retired_at.into(),
            ],
        )
        .map(drop)
    }

    /// All keys, oldest first.
    pub(crate) fn signing_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let text = "SELECT kid, algorithm, private_key, created_at, active_at, retired_at FROM signing_keys \
                    ORDER BY created_at, kid";
        self.query("signing_keys", text, &[], read)
    }

    /// Lets a key begin to sign.
    pub(crate) fn activate_signing_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE signing_keys SET active_at = ?2 WHERE kid = ?1";
        self.execute(text, &[kid.into(), at.into()]).map(drop)
    }

    /// Lets a key end to sign.
    pub(crate) fn retire_signing_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE signing_keys SET retired_at = ?2 WHERE kid = ?1 AND retired_at IS NULL";
        self.execute(text, &[kid.into(), at.into()]).map(drop)
    }

    /// Removes a key whose last token has expired.
    pub(crate) fn remove_signing_key(&self, kid: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM signing_keys WHERE kid = ?1", &[kid.into()]).map(drop)
    }
}

fn read(row: &Row<'_, '_>) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        kid: row.get("kid")?,
        algorithm: row.parse("algorithm")?,
        sealed: row.get("private_key")?,
        created_at: row.time("created_at")?,
        active_at: row.time_optional("active_at")?,
        retired_at: row.time_optional("retired_at")?,
    })
}
