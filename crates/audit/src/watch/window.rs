//! How many different things there were in a span of time that ends now.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use chartgate_values::Timestamp;

/// A record says when its request began, which may take so long that others are on record before it.
const LATE: Duration = Duration::from_secs(3600);

/// The newest of some things: as many as matter, however many there are.
#[derive(Debug)]
pub(super) struct Window<K> {
    most: usize,
    length: Duration,
    /// When each was there last, and by which record.
    newest: HashMap<K, (Timestamp, u64)>,
    order: BTreeSet<(Timestamp, u64, K)>,
}

impl<K: Clone + Hash + Ord> Window<K> {
    /// Says when there are `most` different ones within `length`.
    pub(super) fn new(most: usize, length: Duration) -> Self {
        Self { most: most.max(1), length, newest: HashMap::new(), order: BTreeSet::new() }
    }

    /// Adds one; with this time, if there are as many in the span that ends with it, those that were there last. What is as
    /// old as the span is long is not in it any more.
    pub(super) fn add(&mut self, key: K, time: Timestamp, index: u64) -> Option<Vec<(K, u64)>> {
        // What a clock that was ahead wrote before it was put back is in no span with this, nor with what comes.
        let ahead = time.plus(self.length.max(LATE));
        while self.order.last().is_some_and(|(then, _, _)| *then >= ahead) {
            if let Some((_, _, key)) = self.order.pop_last() {
                self.newest.remove(&key);
            }
        }
        let (mut last, mut by) = (time, index);
        if let Some((before, record)) = self.newest.remove(&key) {
            let place = (before, record, key.clone());
            self.order.remove(&place);
            // A clock that was put back makes nothing older.
            if before > time {
                (last, by) = (before, record);
            }
        }
        let added = (last, by, key.clone());
        self.newest.insert(key, (last, by));
        self.order.insert(added.clone());
        while self.order.len() > self.most {
            if let Some((_, _, oldest)) = self.order.pop_first() {
                self.newest.remove(&oldest);
            }
        }
        let (Some((first, ..)), Some((last, ..))) = (self.order.first(), self.order.last()) else {
            return None;
        };
        // What was written later by a clock that was put back may be pushed out by all that is there.
        let is_within = (*last).max(time).since(*first) < self.length && self.order.contains(&added);
        (self.order.len() == self.most && is_within)
            .then(|| self.order.iter().map(|(_, index, key)| (key.clone(), *index)).collect())
    }

    /// Whether anything in it matters still.
    pub(super) fn is_of(&self, now: Timestamp) -> bool {
        self.order.last().is_some_and(|(time, _, _)| *time >= now || now.since(*time) < self.length)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_as_old_as_the_span_is_long_is_not_in_it() {
        let at = Timestamp::from_unix;
        let mut window = Window::new(2, Duration::from_secs(10));
        assert_eq!(window.add("a", at(100), 1), None);
        assert_eq!(window.add("b", at(110), 2), None);
        assert_eq!(window.add("a", at(119), 3), Some(vec![("b", 2), ("a", 3)]));
        assert!(window.is_of(at(128)) && !window.is_of(at(129)));
    }

    #[test]
    fn a_clock_that_is_put_back_fills_no_span_and_is_in_the_way_of_none() {
        let at = Timestamp::from_unix;
        let mut window = Window::new(2, Duration::from_secs(10));
        assert_eq!(window.add("a", at(8000), 1), None);
        assert_eq!(window.add("b", at(9000), 2), None);
        assert_eq!(window.add("c", at(50), 3), None, "what is ahead by so much is in no span with it");
        assert_eq!(window.add("b", at(55), 4), Some(vec![("c", 3), ("b", 4)]), "nor is it in the way");
        assert_eq!(window.add("d", at(195), 5), None);
        assert_eq!(window.add("e", at(190), 6), Some(vec![("e", 6), ("d", 5)]));
        assert_eq!(window.add("f", at(186), 7), None, "it is older than both, which are enough");
    }

    #[test]
    fn a_request_that_took_long_takes_nothing_away() {
        let at = Timestamp::from_unix;
        let mut window = Window::new(3, Duration::from_secs(60));
        assert_eq!(window.add("a", at(1000), 1), None);
        assert_eq!(window.add("b", at(1001), 2), None);
        assert_eq!(window.add("slow", at(900), 3), None);
        assert_eq!(window.add("c", at(1002), 4), Some(vec![("a", 1), ("b", 2), ("c", 4)]));
    }

    proptest! {
        #[test]
        fn it_says_what_counting_anew_says(
            acts in prop::collection::vec((0_u8..12, 0_i64..6), 1..120),
            most in 1_usize..8,
            length in 1_u64..20,
        ) {
            let mut window = Window::new(most, Duration::from_secs(length));
            let (mut now, mut seen) = (1_000_000_i64, Vec::new());
            for (index, (key, later)) in (0_u64..).zip(acts) {
                now += later;
                seen.push((key, now));
                let within = |then: i64| u64::try_from(now - then).unwrap() < length;
                let different: BTreeSet<u8> =
                    seen.iter().filter(|(_, then)| within(*then)).map(|(key, _)| *key).collect();
                let said = window.add(key, Timestamp::from_unix(now), index);
                prop_assert_eq!(said.is_some(), different.len() >= most);
                if let Some(said) = said {
                    // As many as were asked for, each different, each by the record in which it was last, this one among them.
                    prop_assert_eq!(said.len(), most);
                    for (key, record) in &said {
                        let last = seen.iter().rposition(|(other, _)| other == key).unwrap();
                        prop_assert_eq!(u64::try_from(last).unwrap(), *record);
                        prop_assert!(within(seen[last].1));
                    }
                    prop_assert!(said.iter().any(|(own, _)| *own == key));
                }
                prop_assert!(window.order.len() <= most && window.order.len() == window.newest.len());
            }
        }
    }
}
