//! The keys as they stand: what signs, what verifies, what is published.

use std::collections::BTreeMap;

use chartgate_access::key_life::KeyPhase;
use chartgate_protocol::jose::{Algorithm, KeySet, SigningKey};
use chartgate_values::Timestamp;
use chartgate_values::seal::SealingKey;
use serde::Serialize;

use super::KeyError;
use crate::config::{LONGEST_ACCESS_TOKEN, SigningKeys};
use crate::store::keys::StoredKey;

/// The keys as they stand now.
pub(crate) struct Ring {
    /// Signs where nobody asks for another algorithm.
    pub(crate) signing: SigningKey,
    /// Signs for whoever asks.
    others: BTreeMap<Algorithm, SigningKey>,
    /// Verifies: those that sign, the next ones and those retired of late.
    pub(crate) verifying: KeySet,
    /// The same as a JWK Set, those that sign first.
    pub(crate) jwks: String,
    /// For `key list`.
    pub(crate) list: Vec<KeyDates>,
}

/// A key's phase and dates.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyDates {
    pub(crate) kid: String,
    pub(crate) algorithm: &'static str,
    pub(crate) phase: &'static str,
    pub(crate) published_at: Timestamp,
    pub(crate) active_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
    pub(crate) compromised_at: Option<Timestamp>,
    /// When the next key takes its place.
    pub(crate) rotates_at: Option<Timestamp>,
    /// When it is forgotten.
    pub(crate) over_at: Option<Timestamp>,
}

impl Ring {
    /// Opens what is stored.
    ///
    /// # Errors
    /// [`KeyError`] if a key that signs does not open.
    pub(super) fn open(
        seal: &SealingKey,
        settings: &SigningKeys,
        stored: &[StoredKey],
    ) -> Result<Self, KeyError> {
        let mut signing = BTreeMap::new();
        for row in stored.iter().filter(|row| row.life.phase() == KeyPhase::Signing) {
            signing.insert(row.algorithm, open(seal, row)?);
        }
        let own = signing.remove(&settings.algorithm).ok_or(KeyError::Library)?;
        let published = [KeyPhase::Signing, KeyPhase::Next, KeyPhase::Retired];
        let published = published
            .iter()
            .flat_map(|phase| stored.iter().filter(|row| row.life.phase() == *phase).map(|row| &row.public));
        let jwks = serde_json::json!({ "keys": published.collect::<Vec<_>>() }).to_string();
        let verifying = KeySet::parse(jwks.as_bytes()).map_err(|_| KeyError::Library)?;
        let list = stored.iter().map(|row| KeyDates::of(row, settings)).collect();
        Ok(Self { signing: own, others: signing, verifying, jwks, list })
    }

    /// The key that signs with this algorithm.
    pub(crate) fn signing_with(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        if algorithm == self.signing.algorithm() {
            return Some(&self.signing);
        }
        self.others.get(&algorithm)
    }

    /// What can be signed with: our own choice first.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        std::iter::once(self.signing.algorithm()).chain(self.others.keys().copied())
    }
}

impl KeyDates {
    fn of(row: &StoredKey, settings: &SigningKeys) -> Self {
        let life = row.life;
        Self {
            kid: row.kid.clone(),
            algorithm: row.algorithm.name(),
            phase: match life.phase() {
                KeyPhase::Next => "next",
                KeyPhase::Signing => "signing",
                KeyPhase::Retired => "retired",
                KeyPhase::Compromised => "compromised",
            },
            published_at: life.published_at,
            active_at: life.active_at,
            retired_at: life.retired_at,
            compromised_at: life.compromised_at,
            rotates_at: life.due_at(settings.rotation),
            over_at: life.over_at(LONGEST_ACCESS_TOKEN),
        }
    }
}

fn open(seal: &SealingKey, row: &StoredKey) -> Result<SigningKey, KeyError> {
    let sealed = || KeyError::Sealed(row.kid.clone());
    let pkcs8 = seal.open(row.kid.as_bytes(), row.sealed.as_deref().ok_or_else(sealed)?);
    let key = SigningKey::from_pkcs8(row.algorithm, &pkcs8.map_err(|_| sealed())?);
    key.map_err(|_| KeyError::Library)
}
