//! How much of what all share one of them has at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// How many each has.
#[derive(Debug)]
pub(crate) struct Shares<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One that is counted while this lives.
#[derive(Debug)]
#[must_use = "whoever drops it has given it back"]
pub(crate) struct Share<K: Clone + Eq + Hash> {
    shares: Shares<K>,
    of: K,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// One more for whoever has fewer than `most`.
    pub(crate) fn take(&self, of: K, most: usize) -> Option<Share<K>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(of.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        drop(all);
        Some(Share { shares: Self(Arc::clone(&self.0)), of })
    }
}

impl<K: Clone + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut all = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_gives_them_back() {
        let shares = Shares::default();
        let own: Vec<_> = (0..3).map(|_| shares.take("one", 3).unwrap()).collect();
        assert!(shares.take("one", 3).is_none());
        let other = shares.take("other", 3).unwrap();
        drop(own);
        let again = shares.take("one", 3);
        assert!(again.is_some());
        drop((again, other));
        assert!(shares.0.lock().unwrap().is_empty(), "who has none is forgotten");
    }
}
