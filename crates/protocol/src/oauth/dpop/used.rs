//! Which proofs were used, until none of them would be accepted any more. RFC 9449 section 11.1.
//!
//! Nothing is forgotten early: whoever has as many as one account may have gets no more accepted for a while; that is a
//! twentieth of all that are remembered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use chartgate_values::Timestamp;

use super::{ProofError, ProvenKey};

/// The memory. Each proof is on the account of somebody, an `A`.
#[derive(Debug)]
pub struct UsedProofs<A> {
    names: HashSet<Arc<str>>,
    by_end: BTreeMap<(Timestamp, u64), (Arc<str>, A)>,
    counts: HashMap<A, usize>,
    number: u64,
}

/// As many as one account may have at a time: some hundred a second.
const EACH: usize = 50_000;
/// As many as there may be at all, which is memory of a few hundred bytes each.
const ALL: usize = 1_000_000;

impl<A> Default for UsedProofs<A> {
    fn default() -> Self {
        Self { names: HashSet::new(), by_end: BTreeMap::new(), counts: HashMap::new(), number: 0 }
    }
}

impl<A: Clone + Eq + Hash> UsedProofs<A> {
    /// Takes a proof for this once, on the account of `by`. From `ends` on it is not accepted any more for its age.
    ///
    /// # Errors
    /// [`ProofError::Replayed`], or [`ProofError::TooMany`] if no more are remembered for now.
    pub fn use_up(
        &mut self,
        key: &ProvenKey,
        by: A,
        ends: Timestamp,
        now: Timestamp,
    ) -> Result<(), ProofError> {
        self.add(format!("{}.{}", key.thumbprint, key.jti), by, ends, now)
    }

    fn add(&mut self, name: String, by: A, ends: Timestamp, now: Timestamp) -> Result<(), ProofError> {
        self.forget(now);
        if self.names.contains(name.as_str()) {
            return Err(ProofError::Replayed);
        }
        let count = self.counts.get(&by).copied().unwrap_or_default();
        if count >= EACH || self.names.len() >= ALL {
            return Err(ProofError::TooMany);
        }
        let name: Arc<str> = name.into();
        self.number = self.number.wrapping_add(1);
        self.names.insert(Arc::clone(&name));
        self.counts.insert(by.clone(), count.saturating_add(1));
        self.by_end.insert((ends, self.number), (name, by));
        Ok(())
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(first) = self.by_end.first_entry() {
            if first.key().0 > now {
                return;
            }
            let (name, by) = first.remove();
            self.names.remove(&name);
            if let Some(count) = self.counts.get_mut(&by) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.counts.remove(&by);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(
        used: &mut UsedProofs<&'static str>,
        name: &str,
        by: &'static str,
        ends: i64,
        now: i64,
    ) -> Result<(), ProofError> {
        used.add(name.to_owned(), by, Timestamp::from_unix(ends), Timestamp::from_unix(now))
    }

    #[test]
    fn o13_a_proof_is_used_once_until_it_would_be_refused_for_its_age() {
        let mut used = UsedProofs::default();
        assert_eq!(add(&mut used, "a", "app", 60, 0), Ok(()));
        assert_eq!(add(&mut used, "a", "app", 60, 59), Err(ProofError::Replayed));
        assert_eq!(add(&mut used, "a", "other", 60, 59), Err(ProofError::Replayed));
        assert_eq!(add(&mut used, "b", "app", 120, 60), Ok(()));
        assert_eq!((used.names.len(), used.by_end.len(), used.counts.len()), (1, 1, 1), "a is forgotten");
    }

    #[test]
    fn o13_whoever_has_too_many_gets_no_more_and_others_do() {
        let mut used = UsedProofs::default();
        let stranger = "somebody";
        for number in 0..EACH {
            assert_eq!(add(&mut used, &format!("s{number}"), stranger, 60, 0), Ok(()));
        }
        assert_eq!(add(&mut used, "more", stranger, 60, 0), Err(ProofError::TooMany));
        assert_eq!(add(&mut used, "s0", stranger, 60, 0), Err(ProofError::Replayed), "none makes room");
        assert_eq!(add(&mut used, "more", "app", 60, 0), Ok(()), "the client itself");
        assert_eq!(add(&mut used, "again", stranger, 120, 60), Ok(()), "once the first are over");
    }
}
