//! Which proofs were used, until none of them would be accepted any more. RFC 9449 section 11.1.
//!
//! Nothing is forgotten early: whoever has as many as are remembered gets no more accepted for a while, and takes nobody
//! else's room.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chartgate_access::ids::ClientId;
use chartgate_protocol::jose::Thumbprint;
use chartgate_protocol::oauth::dpop::ProofError;
use chartgate_values::Timestamp;

/// Who showed a proof, and has it on their account.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Prover {
    /// A client that has shown who it is, or what was granted to it.
    Client(ClientId),
    /// Anybody who says that they are this public client.
    Unproven(ClientId),
    /// Whoever has a token that is bound to this key.
    Key(Thumbprint),
}

/// The memory.
#[derive(Debug, Default)]
pub(super) struct UsedProofs {
    names: HashSet<Arc<str>>,
    by_end: BTreeMap<(Timestamp, u64), (Arc<str>, Prover)>,
    counts: HashMap<Prover, usize>,
    number: u64,
}

/// As many as one account may have at a time: some hundred a second.
const EACH: usize = 50_000;
/// As many as there may be at all, which is memory of a few hundred bytes each.
const ALL: usize = 1_000_000;

impl UsedProofs {
    /// Takes a proof that is not accepted any more from `ends` on.
    pub(super) fn add(
        &mut self,
        name: String,
        by: Prover,
        ends: Timestamp,
        now: Timestamp,
    ) -> Result<(), ProofError> {
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

    fn client(id: &str) -> Prover {
        Prover::Client(id.parse().unwrap())
    }

    fn add(used: &mut UsedProofs, name: &str, by: Prover, ends: i64, now: i64) -> Result<(), ProofError> {
        used.add(name.to_owned(), by, Timestamp::from_unix(ends), Timestamp::from_unix(now))
    }

    #[test]
    fn o13_a_proof_is_used_once_until_it_would_be_refused_for_its_age() {
        let mut used = UsedProofs::default();
        assert_eq!(add(&mut used, "a", client("app"), 60, 0), Ok(()));
        assert_eq!(add(&mut used, "a", client("app"), 60, 59), Err(ProofError::Replayed));
        assert_eq!(add(&mut used, "a", client("other"), 60, 59), Err(ProofError::Replayed));
        assert_eq!(add(&mut used, "b", client("app"), 120, 60), Ok(()));
        assert_eq!((used.names.len(), used.by_end.len(), used.counts.len()), (1, 1, 1), "a is forgotten");
    }

    #[test]
    fn o13_whoever_has_too_many_gets_no_more_and_others_do() {
        let mut used = UsedProofs::default();
        let stranger = Prover::Unproven("app".parse().unwrap());
        for number in 0..EACH {
            assert_eq!(add(&mut used, &format!("s{number}"), stranger.clone(), 60, 0), Ok(()));
        }
        assert_eq!(add(&mut used, "more", stranger.clone(), 60, 0), Err(ProofError::TooMany));
        assert_eq!(
            add(&mut used, "s0", stranger.clone(), 60, 0),
            Err(ProofError::Replayed),
            "none makes room"
        );
        assert_eq!(add(&mut used, "more", client("app"), 60, 0), Ok(()), "the client itself");
        assert_eq!(add(&mut used, "again", stranger, 120, 60), Ok(()), "once the first are over");
    }
}
