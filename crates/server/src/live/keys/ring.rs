//! The keys as they stand: what signs, what verifies, what is published.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chartgate_access::client::Client;
use chartgate_access::key_life::KeyPhase;
use chartgate_protocol::jose::jwe::{self, Encrypted};
use chartgate_protocol::jose::{
    Algorithm, ContentEncryption, DecryptionKey, DecryptionKeySet, EncryptionKey, KeySet, Rejection,
    SigningKey,
};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Secret, Timestamp};
use serde::Serialize;

use super::{KeyError, over_at};
use crate::config::SigningKeys;
use crate::store::keys::{Purpose, StoredKey};

/// The keys as they stand now.
pub(crate) struct Ring {
    /// Signs where nobody asks for another algorithm.
    pub(crate) signing: SigningKey,
    /// Signs for whoever asks.
    others: BTreeMap<Algorithm, SigningKey>,
    /// Verifies: those that sign, the next ones and those retired of late.
    pub(crate) verifying: KeySet,
    /// Reads what is encrypted for us.
    pub(crate) decrypting: DecryptionKeySet,
    /// The name of the key that we encrypt to ourselves.
    encrypting: Option<String>,
    /// Those that verify and those to encrypt to, as a JWK Set, those that sign first.
    pub(crate) jwks: String,
    /// For `key list`.
    pub(crate) list: Vec<KeyDates>,
}

/// A key's phase and dates.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeyDates {
    pub(crate) kid: String,
    #[serde(rename = "use")]
    pub(crate) usage: &'static str,
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
        let of = |phase: KeyPhase| stored.iter().filter(move |row| row.life.phase() == phase);
        let (mut signing, mut decrypting, mut encrypting) = (BTreeMap::new(), Vec::new(), None);
        for row in of(KeyPhase::Signing).chain(of(KeyPhase::Next)).chain(of(KeyPhase::Retired)) {
            match (row.purpose, row.life.phase()) {
                (Purpose::Signing(algorithm), KeyPhase::Signing) => {
                    let key = SigningKey::from_pkcs8(algorithm, &open(seal, row)?);
                    signing.insert(algorithm, key.map_err(|_| KeyError::Library)?);
                }
                (Purpose::Signing(_), KeyPhase::Next | KeyPhase::Retired | KeyPhase::Compromised) => {}
                (Purpose::Encryption(management), phase) => {
                    let key = DecryptionKey::from_private_jwk(management, &open(seal, row)?);
                    decrypting.push(key.map_err(|_| KeyError::Library)?);
                    if phase == KeyPhase::Signing && encrypting.is_none() {
                        encrypting = Some(row.kid.clone());
                    }
                }
            }
        }
        let own = signing.remove(&settings.algorithm).ok_or(KeyError::Library)?;
        let verifies = |row: &&StoredKey| matches!(row.purpose, Purpose::Signing(_));
        let retired = of(KeyPhase::Retired).filter(verifies);
        let published = of(KeyPhase::Signing).chain(of(KeyPhase::Next)).chain(retired);
        let published: Vec<_> = published.map(|row| &row.public).collect();
        let jwks = serde_json::json!({ "keys": published }).to_string();
        let verifying = KeySet::parse(jwks.as_bytes()).map_err(|_| KeyError::Library)?;
        let decrypting = decrypting.into_iter().collect();
        let list = stored.iter().map(|row| KeyDates::of(row, settings)).collect();
        Ok(Self { signing: own, others: signing, verifying, decrypting, encrypting, jwks, list })
    }

    /// The key that signs with this algorithm.
    pub(crate) fn signing_with(&self, algorithm: Algorithm) -> Option<&SigningKey> {
        if algorithm == self.signing.algorithm() {
            return Some(&self.signing);
        }
        self.others.get(&algorithm)
    }

    /// The key for an algorithm that somebody asked for; where nobody did, our own choice.
    pub(crate) fn asked_for(&self, asked: Option<Algorithm>) -> Option<&SigningKey> {
        asked.map_or(Some(&self.signing), |algorithm| self.signing_with(algorithm))
    }

    /// The key for something that a client gets: of the algorithm that it registered for that; if it registered none, our
    /// own choice, unless its profile excludes it: then that of its ID tokens. FAPI 2.0 section 5.4.1.
    pub(crate) fn for_client(&self, client: &Client, registered: Option<Algorithm>) -> Option<&SigningKey> {
        let ours = || client.rules().algorithms.contains(&self.signing.algorithm());
        match registered {
            None if !ours() => self.signing_with(client.options.id_token_signed_response_alg?),
            registered => self.asked_for(registered),
        }
    }

    /// The key that we encrypt to ourselves.
    pub(crate) fn own_encryption_key(&self) -> Option<&EncryptionKey> {
        self.decrypting.get(self.encrypting.as_deref()?).ok().map(DecryptionKey::encryption_key)
    }

    /// The signed token that another may be encrypted around, for our own endpoints, which take tokens for every place.
    ///
    /// # Errors
    /// [`Rejection`] if it is encrypted, and not to us.
    pub(crate) fn signed_within<'t>(&self, token: &'t str) -> Result<Cow<'t, str>, Rejection> {
        if token.split('.').count() != 5 {
            return Ok(Cow::Borrowed(token));
        }
        let token = Encrypted::parse(token, &ContentEncryption::ALL, jwe::MAX_TOKEN_BYTES)?;
        let read = token.decrypt_with(&self.decrypting)?;
        Ok(Cow::Owned(read.signed_token()?.to_owned()))
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
            usage: row.purpose.usage(),
            algorithm: row.purpose.algorithm(),
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
            over_at: over_at(row),
        }
    }
}

/// Whether every private key that is kept opens under this master key.
///
/// # Errors
/// [`KeyError::Sealed`] by the first that does not.
pub(crate) fn check_sealed(seal: &SealingKey, stored: &[StoredKey]) -> Result<(), KeyError> {
    stored.iter().filter(|row| row.sealed.is_some()).try_for_each(|row| open(seal, row).map(drop))
}

fn open(seal: &SealingKey, row: &StoredKey) -> Result<Secret<Vec<u8>>, KeyError> {
    let sealed = || KeyError::Sealed(row.kid.clone());
    seal.open(row.kid.as_bytes(), row.sealed.as_deref().ok_or_else(sealed)?).map_err(|_| sealed())
}
