//! Sets of public keys. RFC 7517 section 5.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem::discriminant;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::algorithm::Algorithm;
use super::jwk::{Jwk, JwkError, MAX_DEPTH};
use super::rejection::Rejection;
use super::verifying_key::{UnusableKey, VerifyingKey};
use crate::json::{JsonError, Object};

/// Public keys by name, parsed once. Keys that verify nothing here are skipped, as RFC 7517 section 5 wants.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    by_kid: HashMap<String, Entry>,
    skipped: Vec<Skipped>,
}

/// A key of a set that is not used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// Its name, if it has one that can be read.
    pub kid: Option<String>,
    /// Why it is not used.
    pub why: SkippedBecause,
}

/// Why a key of a set is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SkippedBecause {
    /// It is no public key of a type that we know.
    #[error(transparent)]
    Jwk(#[from] JwkError),
    /// It is a key, but not for verifying signatures.
    #[error(transparent)]
    Unusable(#[from] UnusableKey),
    /// RFC 7515 section 4.1.4: a token names its key, and this one has no name or one that is too long.
    #[error("key has no usable `kid`")]
    Unnamed,
    /// Several usable keys of one type share the name, so that it names none of them.
    #[error("`kid` is ambiguous")]
    Ambiguous,
}

/// Why a text is no set of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeySetError {
    /// RFC 7517 section 5: a JSON object.
    #[error("key set is {0}")]
    Json(#[from] JsonError),
    /// RFC 7517 section 5.1: `keys` is an array.
    #[error("key set has no array `keys`")]
    NoKeys,
    /// A limit of ours: no issuer has as many.
    #[error("key set has more than {MAX_KEYS} keys")]
    TooMany,
}

#[derive(Clone, Debug)]
enum Entry {
    Usable(Box<VerifyingKey>),
    /// One of each type: RFC 7517 section 4.5 has keys of different types share a name that do the same for different algorithms.
    Several(Vec<VerifyingKey>),
    Ambiguous,
    Unusable,
}

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// [`KeySetError`] if it is no set at all. A key in it that cannot be used is no error.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let mut set = Self::default();
        for key in keys_of(text)? {
            set.add(key.get());
        }
        Ok(set)
    }

    /// The key that a `kid` names.
    ///
    /// # Errors
    /// [`Rejection::UnknownKid`] if it names none, [`Rejection::AmbiguousKid`] if it names several,
    /// [`Rejection::KeyMismatch`] if it names one that is not for verifying.
    pub fn get(&self, kid: &str) -> Result<&VerifyingKey, Rejection> {
        match self.by_kid.get(kid) {
            Some(Entry::Usable(key)) => Ok(key),
            Some(Entry::Several(_) | Entry::Ambiguous) => Err(Rejection::AmbiguousKid),
            Some(Entry::Unusable) => Err(Rejection::KeyMismatch),
            None => Err(Rejection::UnknownKid),
        }
    }

    /// The key that a `kid` names for this algorithm: of several, the one of its type. SMART App Launch 2.2, requirement 338.
    ///
    /// # Errors
    /// As [`KeySet::get`]; [`Rejection::KeyMismatch`] too if none of several is of its type.
    pub fn choose(&self, kid: &str, algorithm: Algorithm) -> Result<&VerifyingKey, Rejection> {
        let Some(Entry::Several(keys)) = self.by_kid.get(kid) else { return self.get(kid) };
        let fits = |key: &&VerifyingKey| Algorithm::of(&key.jwk().key).contains(&algorithm);
        keys.iter().find(fits).ok_or(Rejection::KeyMismatch)
    }

    /// Whether a `kid` names a key, or one of each of several types.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        matches!(self.by_kid.get(kid), Some(Entry::Usable(_) | Entry::Several(_)))
    }

    /// The keys that are used, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.by_kid.values().flat_map(|entry| match entry {
            Entry::Usable(key) => std::slice::from_ref(key.as_ref()),
            Entry::Several(keys) => keys,
            Entry::Ambiguous | Entry::Unusable => &[],
        })
    }

    /// The keys that are not used, and why.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn add(&mut self, text: &str) {
        let object = match Object::parse(text.as_bytes(), MAX_DEPTH) {
            Ok(object) => object,
            Err(error) => return self.skip(None, JwkError::from(error).into()),
        };
        let kid = object.string("kid").ok().flatten().map(Cow::into_owned);
        let key = match Jwk::read(&object) {
            Ok(jwk) => VerifyingKey::try_from(jwk).map_err(SkippedBecause::from),
            Err(error) => Err(error.into()),
        };
        match key {
            Ok(key) => self.insert(key),
            Err(why) => self.skip(kid, why),
        }
    }

    fn insert(&mut self, key: VerifyingKey) {
        let Some(kid) = key.jwk().kid.clone().filter(|kid| kid.len() <= MAX_KID_BYTES) else {
            return self.skip(key.jwk().kid.clone(), SkippedBecause::Unnamed);
        };
        let mut others = match self.by_kid.remove(&kid) {
            None | Some(Entry::Unusable) => Some(Vec::new()),
            Some(Entry::Usable(other)) => Some(vec![*other]),
            Some(Entry::Several(others)) => Some(others),
            Some(Entry::Ambiguous) => None,
        };
        let is_of_its_type =
            |other: &VerifyingKey| discriminant(&other.jwk().key) == discriminant(&key.jwk().key);
        let entry = match others.take_if(|others| !others.iter().any(is_of_its_type)) {
            Some(none) if none.is_empty() => Entry::Usable(Box::new(key)),
            Some(mut others) => {
                others.push(key);
                Entry::Several(others)
            }
            None => {
                self.skipped.push(Skipped { kid: Some(kid.clone()), why: SkippedBecause::Ambiguous });
                Entry::Ambiguous
            }
        };
        self.by_kid.insert(kid, entry);
    }

    fn skip(&mut self, kid: Option<String>, why: SkippedBecause) {
        // A key of an unknown type may be anything; its name names no key (RFC 7517 section 5).
        let named = kid.as_ref().filter(|_| why != SkippedBecause::Jwk(JwkError::UnknownKeyType));
        if let Some(kid) = named {
            self.by_kid.entry(kid.clone()).or_insert(Entry::Unusable);
        }
        self.skipped.push(Skipped { kid, why });
    }
}

impl FromIterator<VerifyingKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = VerifyingKey>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.insert(key);
        }
        set
    }
}

impl Serialize for KeySet {
    /// The usable keys as a JWK set.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.keys().map(VerifyingKey::jwk).collect::<PublishedKeys<'_>>().serialize(serializer)
    }
}

/// Public keys as a JWK set, ordered by name so that one set has one text. Keys to verify with and keys to
/// encrypt with are told apart by their `use`.
#[derive(Clone, Debug, Serialize)]
pub struct PublishedKeys<'a> {
    keys: Vec<&'a Jwk>,
}

impl<'a> FromIterator<&'a Jwk> for PublishedKeys<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Jwk>>(keys: I) -> Self {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_by(|a, b| a.kid.cmp(&b.kid));
        Self { keys }
    }
}

/// The members of a set, none of them looked at.
pub(crate) fn keys_of(text: &[u8]) -> Result<Vec<&RawValue>, KeySetError> {
    let object = Object::parse(text, MAX_DEPTH)?;
    let keys = object.read::<Vec<&RawValue>>("keys").ok().flatten().ok_or(KeySetError::NoKeys)?;
    if keys.len() > MAX_KEYS {
        return Err(KeySetError::TooMany);
    }
    Ok(keys)
}

/// More than any issuer has.
pub const MAX_KEYS: usize = 256;

/// More than any name of a key needs.
pub const MAX_KID_BYTES: usize = 512;

#[cfg(test)]
mod tests;
