//! How much a receiver is given at once. What it does not take is halved, so that what is good gets out and a single record is
//! left that is not taken; what it takes lets it have more again, by steps.

/// How much is given at once, and what was given last: records, or AuditEvents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Portion {
    full: u64,
    now: u64,
    /// The index of the first record that was given last.
    first: u64,
    given: u64,
}

/// So many steps lead from nothing to all.
const STEPS: u64 = 8;

impl Portion {
    /// All that it may have.
    pub(crate) const fn new(full: u64) -> Self {
        Self { full, now: full, first: 0, given: 0 }
    }

    /// How much it gets at the most.
    pub(crate) const fn now(&self) -> u64 {
        self.now
    }

    /// Whether that is all that it may have.
    pub(crate) const fn is_full(&self) -> bool {
        self.now >= self.full
    }

    /// It is given so many, of which the first is of this record.
    pub(crate) const fn give(&mut self, first: u64, given: u64) {
        (self.first, self.given) = (first, given);
    }

    /// It has them.
    pub(crate) fn taken(&mut self) {
        let step = self.full.div_ceil(STEPS);
        self.now = self.now.saturating_add(step).min(self.full);
    }

    /// It does not have them, or not all.
    pub(crate) fn not_taken(&mut self) {
        self.now = self.given.min(self.now).div_ceil(2).max(1);
    }

    /// The one record that was given, if it was alone.
    pub(crate) fn single(&self) -> Option<u64> {
        (self.given == 1).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_halved_to_a_single_record_and_what_is_taken_grows_again() {
        let mut portion = Portion::new(256);
        assert!(portion.is_full());
        // 100 were there.
        portion.give(7, 100);
        let mut given = Vec::new();
        loop {
            portion.not_taken();
            portion.give(7, portion.now());
            given.push(portion.now());
            if portion.single().is_some() {
                break;
            }
        }
        assert_eq!((given, portion.single()), (vec![50, 25, 13, 7, 4, 2, 1], Some(7)));
        portion.not_taken();
        assert_eq!(portion.now(), 1, "one is the least");
        portion.taken();
        assert_eq!(portion.now(), 33);
        (0..7).for_each(|_| portion.taken());
        assert!(portion.is_full());
        let mut one = Portion::new(1);
        one.give(3, 1);
        one.not_taken();
        one.taken();
        assert_eq!((one.now(), one.is_full()), (1, true));
    }
}
