//! How a page that leaves is filled from those of an upstream. HL7 FHIR 4.0.1, search.html#count.
//!
//! It is as full as was asked for and as the upstream's first page allows, from as many pages as that takes. Where others'
//! records are found too, it ends before one that may leave, so that a link leads to something: else it would tell that they
//! exist. How many pages are looked at for one request is bounded, and that bound tells of what is hidden: so the upstream's
//! pages are not the caller's to make small. A page that is asked for again is gone through from its beginning, past as many
//! as left of it before: what is hidden may come and go between two links, and neither repeats nor skips anything.

use super::Finds;
use crate::fhir::bundle::{Gathered, NextPage, Progress, Wanted};

/// How many records an upstream is asked for at least, where a page is to have a number of them.
pub const PAGE: u16 = 50;
/// How many further pages are looked at for one request.
pub const PAGES_AT_ONCE: u32 = 50;
/// The records that were asked for of one page are so many bytes, and one record more. What leaves alone counts.
pub const LONG: usize = 64 << 20;

/// The size of the upstream's pages for one that was asked for, or for none.
#[must_use]
pub fn at_least(count: Option<u16>) -> u16 {
    count.unwrap_or(PAGE).max(PAGE)
}

/// Where a page begins that leaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// In which of the upstream's; none is its first.
    pub page: Option<NextPage>,
    /// How many of its records left before, of those that may leave.
    pub past: usize,
    /// How many records a page has, once that is known.
    pub size: Option<usize>,
}

impl Place {
    /// The first record of all.
    pub const START: Self = Self { page: None, past: 0, size: None };
}

/// Where the page after one begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Next {
    /// As of a [`Place`].
    pub page: Option<NextPage>,
    /// As of a [`Place`].
    pub past: usize,
    /// How many records a page has.
    pub size: usize,
}

impl From<Next> for Place {
    fn from(Next { page, past, size }: Next) -> Self {
        Self { page, past, size: Some(size) }
    }
}

/// How much a page may have.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// So many records, if that is asked for.
    pub records: Option<u16>,
    /// So many bytes of what was asked for, and one record more.
    pub bytes: usize,
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
    most: Most,
    finds: Finds,
    left: u32,
}

/// How it goes on.
#[derive(Debug)]
pub enum Turn {
    /// With the upstream's next page.
    On(NextPage),
    /// It is full or all is seen. The next one begins there, if there is one.
    Complete(Option<Next>),
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
    /// Begins with a page, which may have so much.
    #[must_use]
    pub fn begin(place: Place, most: Most, finds: Finds) -> Self {
        Self { place, most, finds, left: PAGES_AT_ONCE }
    }

    /// Which records of the upstream's page have room.
    pub fn wanted<N>(&self, gathered: &Gathered<N>) -> Wanted {
        let Self { place, most, .. } = self;
        let size = place.size.or(most.records.map(usize::from));
        Wanted {
            past: place.past,
            room: size.map_or(usize::MAX, |size| size.saturating_sub(gathered.released)),
            bytes: most.bytes.saturating_sub(gathered.asked_for()),
        }
    }

    /// Takes note of a page that was gone through for what is wanted.
    ///
    /// # Errors
    /// [`Stuck`].
    pub fn seen<N>(&mut self, seen: Seen, gathered: &Gathered<N>) -> Result<Turn, Stuck> {
        let Seen { found, progress, after } = seen;
        let as_full = self.most.records.map_or(found, |most| found.min(most.into()));
        self.place.size = self.place.size.or(Some(as_full).filter(|size| *size > 0));
        let size = self.place.size.unwrap_or(gathered.released);
        let past = match progress {
            Progress::AllSeen(past) => past,
            Progress::FullBefore(past) => {
                return Ok(Turn::Complete(Some(Next { page: self.place.page.clone(), past, size })));
            }
        };
        let Some(after) = after else { return Ok(Turn::Complete(None)) };
        if Some(&after) == self.place.page.as_ref() {
            return Err(Stuck::Loops);
        }
        let is_enough = self.wanted(gathered).is_full() && self.finds == Finds::WithinReach;
        // That there are so many pages without anything to release is told where something was.
        if is_enough || self.left == 0 && gathered.released > 0 {
            return Ok(Turn::Complete(Some(Next { page: Some(after), past, size })));
        }
        self.left = self.left.checked_sub(1).ok_or(Stuck::Exhausted)?;
        (self.place.page, self.place.past) = (Some(after.clone()), past);
        Ok(Turn::On(after))
    }
}

#[cfg(test)]
mod tests;
