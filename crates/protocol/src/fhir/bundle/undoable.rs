//! A set that can go back to where it was, for what is decided anew once more is known.

use std::collections::HashSet;
use std::hash::Hash;

use aws_lc_rs::digest::{SHA256, digest};

use crate::fhir::reference::Reference;

/// What stands for a reference where many are remembered: the first half of its SHA-256.
#[derive(Clone, Copy, Eq, PartialEq, Hash)]
pub(in crate::fhir) struct Short([u8; 16]);

impl Short {
    pub(in crate::fhir) fn of(reference: &Reference) -> Self {
        let whole = digest(&SHA256, reference.to_string().as_bytes());
        // INVARIANT: SHA-256 is longer.
        Self(whole.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// A set with a mark.
pub(in crate::fhir) struct Undoable<T> {
    all: HashSet<T>,
    /// What came since the mark.
    new: Vec<T>,
}

impl<T> Default for Undoable<T> {
    fn default() -> Self {
        Self { all: HashSet::new(), new: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Undoable<T> {
    /// Adds to it; whether it was not there.
    pub(in crate::fhir) fn insert(&mut self, one: T) -> bool {
        let is_new = !self.all.contains(&one);
        if is_new {
            self.new.push(one.clone());
            self.all.insert(one);
        }
        is_new
    }

    pub(in crate::fhir) fn contains(&self, one: &T) -> bool {
        self.all.contains(one)
    }

    pub(in crate::fhir) fn len(&self) -> usize {
        self.all.len()
    }

    /// Marks where it is.
    pub(in crate::fhir) fn mark(&mut self) {
        self.new.clear();
    }

    /// Goes back to the mark.
    pub(in crate::fhir) fn back(&mut self) {
        for one in self.new.drain(..) {
            self.all.remove(&one);
        }
    }
}
