//! Scope tokens. RFC 6749 section 3.3.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of scope tokens, each once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScopeSet(BTreeSet<String>);

/// The text is no list of scope tokens with single spaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a space-separated list of scope tokens")]
pub struct ScopeError;

impl ScopeSet {
    /// Whether the token is in the set.
    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.contains(token)
    }

    /// Whether the set has no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tokens in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether every token stands in `other` too.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Adds a token.
    ///
    /// # Errors
    /// [`ScopeError`] if it holds a character that a scope token may not.
    pub fn insert(&mut self, token: &str) -> Result<(), ScopeError> {
        if token.is_empty() || !token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            return Err(ScopeError);
        }
        self.0.insert(token.to_owned());
        Ok(())
    }
}

impl FromStr for ScopeSet {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = Self::default();
        if text.is_empty() {
            return Ok(set);
        }
        for token in text.split(' ') {
            set.insert(token)?;
        }
        Ok(set)
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, token) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token)?;
        }
        Ok(())
    }
}

impl<'a> FromIterator<&'a str> for ScopeSet {
    /// Tokens that come from a set already parsed.
    fn from_iter<I: IntoIterator<Item = &'a str>>(tokens: I) -> Self {
        let mut set = Self::default();
        for token in tokens {
            let _ = set.insert(token);
        }
        set
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_and_prints_without_repeats() {
        let set: ScopeSet = "openid patient/*.rs openid".parse().unwrap();
        assert_eq!(set.to_string(), "openid patient/*.rs");
        assert_eq!("".parse::<ScopeSet>(), Ok(ScopeSet::default()));
    }

    #[test]
    fn double_spaces_and_foreign_characters_are_refused() {
        for text in ["a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "ä"] {
            assert_eq!(text.parse::<ScopeSet>(), Err(ScopeError), "{text}");
        }
    }
}
