//! Keys of ours with their dates: the public half in the clear, the private one sealed, and gone once it is used no more.

use chartgate_access::key_life::KeyLife;
use chartgate_protocol::jose::Algorithm;
use chartgate_values::Timestamp;

use super::sql::Row;
use super::{Sql, StoreError};

/// A key that tokens are signed with.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    /// The public half, as a JWK.
    pub(crate) public: serde_json::Value,
    /// PKCS#8, sealed for this `kid`; `None` once it signs no more.
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) life: KeyLife,
}

impl Sql<'_> {
    /// Keeps a new key.
    pub(crate) fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO keys (kid, algorithm, public_key, private_key, published_at, active_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                (&key.kid).into(),
                key.algorithm.name().into(),
                (&key.public.to_string()).into(),
                key.sealed.as_deref().into(),
                key.life.published_at.into(),
                key.life.active_at.into(),
            ],
        )
        .map(drop)
    }

    /// All keys, oldest first.
    pub(crate) fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let text = "SELECT kid, algorithm, public_key, private_key, published_at, active_at, retired_at, \
                    compromised_at FROM keys ORDER BY published_at, kid";
        self.query("keys", text, &[], read)
    }

    /// Lets a key begin to sign.
    pub(crate) fn activate_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE keys SET active_at = ?2 WHERE kid = ?1";
        self.execute(text, &[kid.into(), at.into()]).map(drop)
    }

    /// Lets a key end to sign: its private half goes with it.
    pub(crate) fn retire_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text =
            "UPDATE keys SET retired_at = ?2, private_key = NULL WHERE kid = ?1 AND retired_at IS NULL";
        self.execute(text, &[kid.into(), at.into()]).map(drop)
    }

    /// Lets a key end to verify as well.
    pub(crate) fn condemn_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE keys SET compromised_at = ?2, private_key = NULL WHERE kid = ?1";
        self.execute(text, &[kid.into(), at.into()]).map(drop)
    }

    /// Forgets a key of which nothing can be good any more.
    pub(crate) fn forget_key(&self, kid: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM keys WHERE kid = ?1", &[kid.into()]).map(drop)
    }
}

fn read(row: &Row<'_, '_>) -> Result<StoredKey, StoreError> {
    Ok(StoredKey {
        kid: row.get("kid")?,
        algorithm: row.parse("algorithm")?,
        public: row.json("public_key")?,
        sealed: row.get("private_key")?,
        life: KeyLife {
            published_at: row.time("published_at")?,
            active_at: row.time_optional("active_at")?,
            retired_at: row.time_optional("retired_at")?,
            compromised_at: row.time_optional("compromised_at")?,
        },
    })
}
