//! The keys that tokens are signed with. Two phases: the next key is always published already, so that a rotation can
//! switch at once; a retired one is published until its last token has expired.

use std::sync::{Arc, PoisonError, RwLock};

use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Timestamp};
use serde::Serialize;

use crate::config::LONGEST_ACCESS_TOKEN;
use crate::entropy::SystemEntropy;
use crate::store::signing_keys::StoredKey;
use crate::store::{Store, StoreError};

/// What a sealed private key is sealed for.
pub(crate) const PURPOSE: &str = "token signing keys";

/// The key ring of this installation.
pub(crate) struct KeyRing {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    seal: SealingKey,
    algorithm: Algorithm,
    ring: RwLock<Arc<Ring>>,
}

/// The keys as they stand now.
pub(crate) struct Ring {
    /// Signs.
    pub(crate) signing: SigningKey,
    /// Verifies: the signing key, the next and those retired of late.
    pub(crate) verifying: KeySet,
    /// The same as a JWK Set.
    pub(crate) jwks: String,
    /// For `key list`.
    pub(crate) list: Vec<KeyDates>,
}

/// A key's phase and dates.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyDates {
    pub(crate) kid: String,
    pub(crate) algorithm: &'static str,
    pub(crate) phase: Phase,
    pub(crate) created_at: Timestamp,
    pub(crate) active_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
}

/// Where in its life a key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Published, not used yet.
    Next,
    /// Signs.
    Signing,
    /// Verifies what it signed.
    Retired,
}

/// Why there is no key ring.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key is another one, or the row was altered.
    #[error("signing key `{0}` does not open under this master key")]
    Sealed(String),
    /// The library refuses.
    #[error("a signing key cannot be made or read")]
    Library,
}

impl KeyRing {
    /// Reads the ring, or makes the first keys.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn load(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        seal: SealingKey,
        algorithm: Algorithm,
    ) -> Result<Self, KeyError> {
        let now = clock.now();
        let mut stored = store.read(|sql| sql.signing_keys())?;
        let usable = |key: &StoredKey| key.retired_at.is_none() && key.algorithm == algorithm;
        let mut fresh = Vec::new();
        if !stored.iter().any(|key| usable(key) && key.active_at.is_some()) {
            // The first start, or another algorithm was configured.
            fresh.push(generate(&seal, algorithm, Some(now), now)?);
        }
        if !stored.iter().any(|key| usable(key) && key.active_at.is_none()) {
            fresh.push(generate(&seal, algorithm, None, now)?);
        }
        if !fresh.is_empty() {
            let outdated: Vec<String> = stored
                .iter()
                .filter(|key| key.retired_at.is_none() && key.algorithm != algorithm)
                .map(|key| key.kid.clone())
                .collect();
            stored = store.write_blocking(move |sql| {
                fresh.iter().try_for_each(|key| sql.add_signing_key(key))?;
                outdated.iter().try_for_each(|kid| sql.retire_signing_key(kid, now))?;
                sql.signing_keys()
            })?;
        }
        let ring = RwLock::new(Arc::new(open(&seal, &stored)?));
        Ok(Self { store, clock, seal, algorithm, ring })
    }

    /// The keys as they stand now.
    pub(crate) fn current(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the next key sign from now on, publishes one more, and drops keys whose last token has expired.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing changed.
    pub(crate) async fn rotate(&self) -> Result<(), KeyError> {
        let now = self.clock.now();
        let fresh = generate(&self.seal, self.algorithm, None, now)?;
        let stored = self
            .store
            .write(move |sql| {
                let keys = sql.signing_keys()?;
                for key in &keys {
                    match (key.active_at, key.retired_at) {
                        (None, None) => sql.activate_signing_key(&key.kid, now)?,
                        (Some(_), None) => sql.retire_signing_key(&key.kid, now)?,
                        (_, Some(retired)) if retired.plus(LONGEST_ACCESS_TOKEN) < now => {
                            sql.remove_signing_key(&key.kid)?;
                        }
                        (_, Some(_)) => {}
                    }
                }
                sql.add_signing_key(&fresh)?;
                sql.signing_keys()
            })
            .await?;
        let ring = Arc::new(open(&self.seal, &stored)?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }
}

fn generate(
    seal: &SealingKey,
    algorithm: Algorithm,
    active_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<StoredKey, KeyError> {
    let key = SigningKey::generate(algorithm).map_err(|_| KeyError::Library)?;
    let pkcs8 = key.to_pkcs8().map_err(|_| KeyError::Library)?;
    let kid = key.kid().to_owned();
    let sealed = seal
        .seal(&mut SystemEntropy, kid.as_bytes(), pkcs8.expose())
        .map_err(|_| KeyError::Sealed(kid.clone()))?;
    Ok(StoredKey { kid, algorithm, sealed, created_at: now, active_at, retired_at: None })
}

fn open(seal: &SealingKey, stored: &[StoredKey]) -> Result<Ring, KeyError> {
    let mut signing = None;
    let mut published = Vec::new();
    let mut list = Vec::new();
    for row in stored {
        let pkcs8 =
            seal.open(row.kid.as_bytes(), &row.sealed).map_err(|_| KeyError::Sealed(row.kid.clone()))?;
        let key = SigningKey::from_pkcs8(row.algorithm, &pkcs8).map_err(|_| KeyError::Library)?;
        published.push(key.public_jwk().clone());
        let phase = match (row.active_at, row.retired_at) {
            (_, Some(_)) => Phase::Retired,
            (None, None) => Phase::Next,
            (Some(_), None) => Phase::Signing,
        };
        list.push(KeyDates {
            kid: row.kid.clone(),
            algorithm: row.algorithm.name(),
            phase,
            created_at: row.created_at,
            active_at: row.active_at,
            retired_at: row.retired_at,
        });
        if phase == Phase::Signing {
            signing = Some(key);
        }
    }
    let jwks = serde_json::json!({ "keys": published }).to_string();
    let verifying = KeySet::parse(jwks.as_bytes()).map_err(|_| KeyError::Library)?;
    Ok(Ring { signing: signing.ok_or(KeyError::Library)?, verifying, jwks, list })
}
