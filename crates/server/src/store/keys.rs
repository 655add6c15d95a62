//! Keys of ours with their dates: the public half in the clear, the private one sealed, and gone once it is used no more.

use chartgate_access::key_life::KeyLife;
use chartgate_protocol::jose::{Algorithm, KeyManagement};
use chartgate_values::Timestamp;

use super::sql::Row;
use super::{Sql, StoreError};

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(crate) enum Purpose {
    /// Tokens of ours are signed with it.
    Signing(Algorithm),
    /// What is for us is encrypted to it.
    Encryption(KeyManagement),
}

impl Purpose {
    /// `use` of the published key.
    pub(crate) fn usage(self) -> &'static str {
        match self {
            Self::Signing(_) => "sig",
            Self::Encryption(_) => "enc",
        }
    }

    /// `alg` of the published key.
    pub(crate) fn algorithm(self) -> &'static str {
        match self {
            Self::Signing(algorithm) => algorithm.name(),
            Self::Encryption(management) => management.key_name(),
        }
    }

    fn named(usage: &str, algorithm: &str) -> Option<Self> {
        match usage {
            "sig" => algorithm.parse().ok().map(Self::Signing),
            "enc" => {
                let named = |own: &KeyManagement| own.key_name() == algorithm;
                KeyManagement::PUBLIC.into_iter().find(named).map(Self::Encryption)
            }
            _ => None,
        }
    }
}

/// A key of ours.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) purpose: Purpose,
    /// The public half, as a JWK.
    pub(crate) public: serde_json::Value,
    /// PKCS#8 (a private JWK where it is for encryption), sealed for this `kid`; `None` once it is of no use any more.
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) life: KeyLife,
}

impl Sql<'_> {
    /// Keeps a new key.
    pub(crate) fn add_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO keys (kid, algorithm, public_key, private_key, published_at, active_at, usage) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                (&key.kid).into(),
                key.purpose.algorithm().into(),
                (&key.public.to_string()).into(),
                key.sealed.as_deref().into(),
                key.life.published_at.into(),
                key.life.active_at.into(),
                key.purpose.usage().into(),
            ],
        )
        .map(drop)
    }

    /// All keys, oldest first.
    pub(crate) fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let text = "SELECT kid, usage, algorithm, public_key, private_key, published_at, active_at, retired_at, \
                    compromised_at FROM keys ORDER BY published_at, kid";
        self.query("keys", text, &[], read)
    }

    /// Lets a key begin to sign.
    pub(crate) fn activate_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE keys SET active_at = ?2 WHERE kid = ?1";
        self.execute(text, &[kid.into(), at.into()]).map(drop)
    }

    /// Lets a key retire. The private half of one that signed goes with it; one that others encrypt to still reads.
    pub(crate) fn retire_key(&self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        let text = "UPDATE keys SET retired_at = ?2, \
                    private_key = CASE WHEN usage = 'enc' THEN private_key ELSE NULL END \
                    WHERE kid = ?1 AND retired_at IS NULL";
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
        purpose: Purpose::named(&row.get::<String>("usage")?, &row.get::<String>("algorithm")?)
            .ok_or_else(|| row.inconsistent("algorithm"))?,
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
