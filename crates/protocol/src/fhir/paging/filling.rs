//! How a page that leaves is filled from those of an upstream. HL7 FHIR 4.0.1, search.html#count.
//!
//! It is as full as was asked for and as the upstream's first page allows, from as many pages as that takes. Where others'
//! records are found too, it ends before one that may leave, so that a link leads to something: else it would tell that they
//! exist. How many pages are looked at for one request is bounded, and that bound tells of what is hidden: so the upstream's
//! pages are not the caller's to make small.

use super::Finds;
use crate::fhir::bundle::{Gathered, NextPage, Progress, Wanted};

/// How many records an upstream is asked for at least, where a page is to have a number of them.
pub const PAGE: u16 = 50;
/// How many further pages are looked at for one request.
pub const PAGES_AT_ONCE: u32 = 50;
/// A page that is longer than this, in bytes, is not filled up.
const LONG: usize = 4 << 20;

/// The size of the upstream's pages for one that was asked for.
#[must_use]
pub fn at_least(count: u16) -> u16 {
    count.max(PAGE)
}

/// Where a page begins that leaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// In which of the upstream's; none is its first.
    pub page: Option<NextPage>,
    /// How many of its records were gone through already.
    pub from: usize,
    /// How many records a page has, once that is known.
    pub size: Option<usize>,
}

impl Place {
    /// The first record of all.
    pub const START: Self = Self { page: None, from: 0, size: None };
}

/// A page of the upstream's that was gone through.
#[derive(Debug)]
pub struct Seen {
    /// How many records it has that were asked for.
    pub found: usize,
    /// How far it was gone through.
    pub progress: Progress,
    /// What comes after it.
    pub after: Option<NextPage>,
}

/// A page that leaves, as far as it is filled.
pub struct Filling {
    place: Place,
    most: Option<usize>,
    finds: Finds,
    left: u32,
}

/// How it goes on.
#[derive(Debug)]
pub enum Turn {
    /// With the upstream's next page.
    On(NextPage),
    /// It is full or all is seen. The next one begins there, if there is one.
    Complete(Option<Place>),
}

/// Why it does not go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stuck {
    /// The upstream's next page is this one.
    Loops,
    /// Nothing may leave of as many pages as are looked at.
    Exhausted,
}

impl Filling {
    /// Begins with a page, which may have so many records.
    #[must_use]
    pub fn begin(place: Place, most: Option<u16>, finds: Finds) -> Self {
        Self { place, most: most.map(usize::from), finds, left: PAGES_AT_ONCE }
    }

    /// Which records of the upstream's page have room.
    pub fn wanted<N>(&self, gathered: &Gathered<N>) -> Wanted {
        Wanted { from: self.place.from, room: self.room(gathered) }
    }

    /// Takes note of a page that was gone through for what is wanted.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn seen<N>(&mut self, seen: Seen, gathered: &Gathered<N>) -> Result<Turn, Stuck> {
        let Seen { found, progress, after } = seen;
        let as_full = self.most.map_or(found, |most| most.min(found));
        self.place.size = self.place.size.or(Some(as_full).filter(|size| *size > 0));
        let size = Some(self.place.size.unwrap_or(gathered.released));
        if let Progress::FullBefore(from) = progress {
            return Ok(Turn::Complete(Some(Place { page: self.place.page.clone(), from, size })));
        }
        let Some(after) = after else { return Ok(Turn::Complete(None)) };
        if Some(&after) == self.place.page.as_ref() {
            return Err(Stuck::Loops);
        }
        let is_enough = self.room(gathered) == 0 && self.finds == Finds::WithinReach;
        // That there are so many pages without anything to release is told where something was.
        if is_enough || self.left == 0 && gathered.released > 0 {
            return Ok(Turn::Complete(Some(Place { page: Some(after), from: 0, size })));
        }
        self.left = self.left.checked_sub(1).ok_or(Stuck::Exhausted)?;
        (self.place.page, self.place.from) = (Some(after.clone()), 0);
        Ok(Turn::On(after))
    }

    /// For how many more there is room.
    fn room<N>(&self, gathered: &Gathered<N>) -> usize {
        if gathered.length() > LONG {
            return 0;
        }
        self.place.size.or(self.most).map_or(usize::MAX, |size| size.saturating_sub(gathered.released))
    }
}

#[cfg(test)]
mod tests;
