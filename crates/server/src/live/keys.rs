//! The keys that tokens are signed with, and those that others encrypt to: for each algorithm one that is used and the next,
//! which is published already, so that an emergency can switch at once. `access::key_life` says when what happens.
//!
//! CRASH: each change is one transaction, so that whoever dies in between has the keys of before or of after.

mod ring;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use chartgate_access::key_life::{KEY_SET_MAX_AGE, KeyLife, KeyPhase, PublishedTooLate};
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::AppendError;
use chartgate_audit::record::Record;
use chartgate_protocol::jose::{Algorithm, ContentEncryption, DecryptionKey, SigningKey};
use chartgate_values::seal::SealingKey;
use chartgate_values::{Clock, Timestamp};

use super::outbox::{Change, Outbox};
use crate::config::{LONGEST_ACCESS_TOKEN, SigningKeys};
use crate::entropy::SystemEntropy;
use crate::store::keys::{Purpose, StoredKey};
use crate::store::{Sql, Store, StoreError};
pub(crate) use ring::{Ring, check_sealed};

/// How tokens are encrypted that we alone read.
pub(crate) const OWN_CONTENT: ContentEncryption = ContentEncryption::A256Gcm;

/// What a sealed private key is sealed for.
pub(crate) const PURPOSE: &str = "token signing keys";

/// The key ring of this installation.
pub(crate) struct KeyRing {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    seal: SealingKey,
    settings: SigningKeys,
    ring: RwLock<Arc<Ring>>,
    /// Whoever changes keys holds it, so that the ring in memory is that of the last commit.
    changing: tokio::sync::Mutex<()>,
}

/// A key that takes another's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TakeOver {
    pub(crate) purpose: Purpose,
    pub(crate) former: String,
    pub(crate) next: String,
}

/// Whether a key may sign that a cache of the key set may not have yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Haste {
    /// It may not.
    Planned,
    /// Whoever has not seen it has to ask again.
    Now,
}

/// Why the keys are not there, or stay as they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is done, and its record follows when the log can be written.
    #[error("what was to be ended has ended, and is not on record yet: {0}")]
    Unrecorded(#[from] AppendError),
    /// The master key is another one, or the row was altered.
    #[error("signing key `{0}` does not open under this master key")]
    Sealed(String),
    /// The library refuses.
    #[error("a signing key cannot be made or read")]
    Library,
    /// No key of ours, or one that was condemned before.
    #[error("there is no key `{0}` that anybody believes")]
    Unknown(String),
    /// Somebody else was faster.
    #[error("the keys were changed meanwhile; look at `key list`")]
    Changed,
    /// A planned rotation would come as a surprise to verifiers.
    #[error("{why}; wait until {}, or give --now", .why.known_at)]
    TooEarly {
        /// What is wrong with it.
        #[source]
        why: PublishedTooLate,
    },
}

impl KeyRing {
    /// Reads the ring, and makes the keys that are missing: at the first start, or for an algorithm that is new. An
    /// algorithm that is neither configured nor asked for by a client ends.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn load(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        seal: SealingKey,
        settings: SigningKeys,
    ) -> Result<Self, KeyError> {
        let now = clock.now();
        let (stored, clients) = store.read(|sql| Ok::<_, StoreError>((sql.keys()?, sql.clients()?)))?;
        let mut wanted: BTreeSet<Purpose> = settings.all().map(Purpose::Signing).collect();
        let asked = clients.iter().flat_map(|client| client.options.signing_algorithms());
        wanted.extend(asked.map(Purpose::Signing));
        wanted.extend(settings.encryption.iter().copied().map(Purpose::Encryption));
        let mut fresh = Vec::new();
        for purpose in &wanted {
            fresh.extend(missing(&seal, &stored, *purpose, now)?);
        }
        let unwanted: Vec<String> =
            in_use(&stored).filter(|key| !wanted.contains(&key.purpose)).map(|key| key.kid.clone()).collect();
        let stored = if fresh.is_empty() && unwanted.is_empty() {
            stored
        } else {
            store.write_blocking(move |sql| {
                fresh.iter().try_for_each(|key| sql.add_key(key))?;
                unwanted.iter().try_for_each(|kid| sql.retire_key(kid, now))?;
                sql.keys()
            })?
        };
        let ring = RwLock::new(Arc::new(Ring::open(&seal, &settings, &stored)?));
        Ok(Self { store, clock, seal, settings, ring, changing: tokio::sync::Mutex::default() })
    }

    /// The keys as they stand now.
    pub(crate) fn current(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has keys of this algorithm from now on, as a client asks for them.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing changed.
    pub(crate) async fn offer(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        let _changing = self.changing.lock().await;
        let fresh = missing(
            &self.seal,
            &self.store.read(|sql| sql.keys())?,
            Purpose::Signing(algorithm),
            self.clock.now(),
        )?;
        if fresh.is_empty() {
            return Ok(());
        }
        let added = self.store.write(move |sql| {
            fresh.iter().try_for_each(|key| sql.add_key(key))?;
            sql.keys()
        });
        self.install(&added.await?)
    }

    /// Which keys would take over now, of all algorithms.
    ///
    /// # Errors
    /// [`KeyError::TooEarly`] if one of them is not known to everybody.
    pub(crate) fn plan(&self, haste: Haste) -> Result<Vec<TakeOver>, KeyError> {
        let (stored, now) = (self.store.read(|sql| sql.keys())?, self.clock.now());
        let mut plan = Vec::new();
        for (former, next) in pairs(&stored) {
            match (haste, next.life.is_known(now)) {
                (Haste::Planned, Err(why)) => return Err(KeyError::TooEarly { why }),
                (Haste::Planned, Ok(())) | (Haste::Now, _) => plan.push(take_over(former, next)),
            }
        }
        Ok(plan)
    }

    /// Which keys have to take over now because those that sign have done so for long enough.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn due(&self) -> Result<Vec<TakeOver>, StoreError> {
        let (stored, now) = (self.store.read(|sql| sql.keys())?, self.clock.now());
        let is_due = |life: &KeyLife| life.due_at(self.settings.rotation).is_some_and(|at| at <= now);
        Ok(pairs(&stored)
            .filter(|(former, next)| is_due(&former.life) && next.life.is_known(now).is_ok())
            .map(|(former, next)| take_over(former, next))
            .collect())
    }

    /// Lets the next keys sign from now on, and publishes one more of each.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing changed.
    pub(crate) async fn rotate(&self, plan: Vec<TakeOver>) -> Result<(), KeyError> {
        let _changing = self.changing.lock().await;
        let now = self.clock.now();
        let fresh = plan
            .iter()
            .map(|change| generate(&self.seal, change.purpose, KeyLife::next(now)))
            .collect::<Result<Vec<_>, _>>()?;
        let changed = self.store.write(move |sql| {
            let stored = sql.keys()?;
            for (change, fresh) in plan.iter().zip(&fresh) {
                let mut pairs = pairs(&stored).map(|(former, next)| take_over(former, next));
                if !pairs.any(|pair| pair == *change) {
                    return Err(KeyError::Changed);
                }
                sql.retire_key(&change.former, now)?;
                sql.activate_key(&change.next, now)?;
                sql.add_key(fresh)?;
            }
            Ok(sql.keys()?)
        });
        self.install(&changed.await?)
    }

    /// Ends keys that somebody else may have, with everything that they signed, and lets the next ones sign: this key,
    /// or without one all that sign now. Each is on record.
    ///
    /// # Errors
    /// [`KeyError`]: nothing changed. But [`KeyError::Unrecorded`]: it did, and is not on record yet.
    pub(crate) async fn condemn(
        &self,
        kid: Option<&str>,
        outbox: &Outbox,
        record: impl Fn(&str) -> Record,
    ) -> Result<(), KeyError> {
        let _changing = self.changing.lock().await;
        let (stored, at) = (self.store.read(|sql| sql.keys())?, self.clock.now());
        let is_meant = |key: &&StoredKey| match (kid, key.life.phase()) {
            (_, KeyPhase::Compromised) => false,
            (Some(kid), KeyPhase::Next | KeyPhase::Signing | KeyPhase::Retired) => key.kid == kid,
            (None, phase) => phase == KeyPhase::Signing && matches!(key.purpose, Purpose::Signing(_)),
        };
        let condemned: Vec<StoredKey> = stored.iter().filter(is_meant).cloned().collect();
        if condemned.is_empty() {
            return Err(KeyError::Unknown(kid.unwrap_or_default().to_owned()));
        }
        let replaced = condemned.iter().filter(|key| is_in_use(key));
        let fresh = replaced
            .map(|key| generate(&self.seal, key.purpose, KeyLife::next(at)))
            .collect::<Result<Vec<_>, _>>()?;
        let records: Vec<Record> = condemned.iter().map(|key| record(&key.kid)).collect();
        let act = move |sql: &Sql<'_>, now| {
            for key in &condemned {
                sql.condemn_key(&key.kid, now)?;
                if key.life.phase() == KeyPhase::Signing {
                    let next = pairs(&stored).find(|(former, _)| former.kid == key.kid);
                    let (_, next) = next.ok_or(KeyError::Changed)?;
                    sql.activate_key(&next.kid, now)?;
                }
            }
            fresh.iter().try_for_each(|key| sql.add_key(key))?;
            let cut = |key: StoredKey| CutOff::UpTo { target: Target::Key(key.kid), not_before: now };
            Ok(Change::told_by(sql.keys()?, records).cutting(condemned.into_iter().map(cut)))
        };
        outbox.commit_and(act, |stored: Vec<StoredKey>| self.install(&stored)).await
    }

    /// Forgets keys of which nothing can be good any more; once a minute will do.
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) async fn forget(&self) -> Result<(), KeyError> {
        let _changing = self.changing.lock().await;
        let now = self.clock.now();
        let is_over = |key: &StoredKey| over_at(key).is_some_and(|at| at <= now);
        let over: Vec<String> =
            self.store.read(|sql| sql.keys())?.into_iter().filter(is_over).map(|key| key.kid).collect();
        if over.is_empty() {
            return Ok(());
        }
        let left = self.store.write(move |sql| {
            over.iter().try_for_each(|kid| sql.forget_key(kid))?;
            sql.keys()
        });
        self.install(&left.await?)
    }

    fn install(&self, stored: &[StoredKey]) -> Result<(), KeyError> {
        let ring = Arc::new(Ring::open(&self.seal, &self.settings, stored)?);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }
}

/// Keys that sign or will.
fn in_use(stored: &[StoredKey]) -> impl Iterator<Item = &StoredKey> {
    stored.iter().filter(|key| is_in_use(key))
}

fn is_in_use(key: &StoredKey) -> bool {
    match key.life.phase() {
        KeyPhase::Next | KeyPhase::Signing => true,
        KeyPhase::Retired | KeyPhase::Compromised => false,
    }
}

/// Each key that signs, with the one that follows it.
fn pairs(stored: &[StoredKey]) -> impl Iterator<Item = (&StoredKey, &StoredKey)> {
    let of = |phase| stored.iter().filter(move |key| key.life.phase() == phase);
    of(KeyPhase::Signing).filter_map(move |former| {
        let next = of(KeyPhase::Next).find(|next| next.purpose == former.purpose)?;
        Some((former, next))
    })
}

fn take_over(former: &StoredKey, next: &StoredKey) -> TakeOver {
    TakeOver { purpose: former.purpose, former: former.kid.clone(), next: next.kid.clone() }
}

/// When nothing that was signed with a key, or encrypted to it, can be good any more: whoever encrypts may do so as long as
/// he may keep the key set.
fn over_at(key: &StoredKey) -> Option<Timestamp> {
    key.life.over_at(match key.purpose {
        Purpose::Signing(_) => LONGEST_ACCESS_TOKEN,
        Purpose::Encryption(_) => LONGEST_ACCESS_TOKEN.saturating_add(KEY_SET_MAX_AGE),
    })
}

/// The keys that a purpose lacks.
fn missing(
    seal: &SealingKey,
    stored: &[StoredKey],
    purpose: Purpose,
    now: Timestamp,
) -> Result<Vec<StoredKey>, KeyError> {
    [(KeyPhase::Signing, KeyLife::first(now)), (KeyPhase::Next, KeyLife::next(now))]
        .into_iter()
        .filter(|(phase, _)| !stored.iter().any(|key| key.purpose == purpose && key.life.phase() == *phase))
        .map(|(_, life)| generate(seal, purpose, life))
        .collect()
}

fn generate(seal: &SealingKey, purpose: Purpose, life: KeyLife) -> Result<StoredKey, KeyError> {
    let (kid, public, private) = match purpose {
        Purpose::Signing(algorithm) => {
            let key = SigningKey::generate(algorithm).map_err(|_| KeyError::Library)?;
            let private = key.to_pkcs8().map_err(|_| KeyError::Library)?;
            (key.kid().to_owned(), serde_json::to_value(key.public_jwk()), private)
        }
        Purpose::Encryption(management) => {
            let key =
                DecryptionKey::generate(management, &mut SystemEntropy).map_err(|_| KeyError::Library)?;
            let private = key.to_private_jwk().map_err(|_| KeyError::Library)?;
            (key.kid().to_owned(), serde_json::to_value(key.public_jwk()), private)
        }
    };
    let sealed = seal
        .seal(&mut SystemEntropy, kid.as_bytes(), private.expose())
        .map_err(|_| KeyError::Sealed(kid.clone()))?;
    let public = public.map_err(|_| KeyError::Library)?;
    Ok(StoredKey { kid, purpose, public, sealed: Some(sealed), life })
}
