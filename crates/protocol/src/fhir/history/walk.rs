//! A history gone through entry by entry, for one that is too long to be in memory whole. What leaves is what would leave of
//! one that is.

use super::{HistoryOf, Shown, Version};
use crate::fhir::base::BaseUrls;
use crate::fhir::bundle::split::ENTRY_DEPTH;
use crate::fhir::bundle::{Gathered, Progress, Wanted};
use crate::fhir::reference::Reference;
use crate::fhir::resource::{BadAnswer, Resource};
use crate::fhir::searchset::Disposition;
use crate::json::Object;

/// One page that is gone through, the newest version first.
#[derive(Clone)]
pub struct Walk {
    of: HistoryOf,
    from: usize,
    room: usize,
    found: usize,
    full_before: Option<usize>,
    /// A deletion, and its place. Whether it leaves is for the version to say that it ended.
    deleted: Option<(usize, Reference, Option<String>)>,
}

impl Walk {
    /// Begins with a page.
    pub fn begin<N>(of: HistoryOf, wanted: Wanted, gathered: &mut Gathered<N>) -> Self {
        gathered.begin_page(None);
        Self { of, from: wanted.from, room: wanted.room, found: 0, full_before: None, deleted: None }
    }

    /// The record of which an entry tells, if it tells of one that was asked for.
    ///
    /// # Errors
    /// [`BadAnswer`] if it is none.
    pub fn record(text: &[u8], of: &HistoryOf, bases: &BaseUrls) -> Result<Option<Reference>, BadAnswer> {
        let entry = Object::parse(text, ENTRY_DEPTH)?;
        let version = Version::read(&entry, bases).filter(|version| of.covers(version.record()));
        Ok(version.map(|version| version.record().clone()))
    }

    /// How many versions there are.
    #[must_use]
    pub fn found(&self) -> usize {
        self.found
    }

    /// How far the page was gone through.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.full_before.map_or(Progress::AllSeen, Progress::FullBefore)
    }

    /// Takes the next entry: decides on its version and writes what leaves.
    ///
    /// # Errors
    /// [`BadAnswer`] if it is none.
    pub fn entry<'a, N>(
        &mut self,
        text: &'a [u8],
        gathered: &mut Gathered<N>,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>) -> Disposition<'a, N>,
    ) -> Result<(), BadAnswer> {
        let entry = Object::parse(text, ENTRY_DEPTH)?;
        let Some(version) = Version::read(&entry, bases).filter(|version| self.of.covers(version.record()))
        else {
            gathered.dropped = gathered.dropped.saturating_add(1);
            return Ok(());
        };
        let at = self.found;
        self.found = at.saturating_add(1);
        if at < self.from || self.full_before.is_some() {
            return Ok(());
        }
        let Version::Stored(resource, _, raw) = &version else {
            self.deletion_stays(gathered);
            if let Version::Deleted(record, when) = version {
                self.deleted = Some((at, record, when));
            }
            return Ok(());
        };
        let (shown, leaving) = match decide(resource) {
            // Its address would say which record it is.
            Disposition::Release(view, _) if view.renamed().is_some() => (Shown::Withheld, None),
            Disposition::Release(view, note) => {
                let shown = if view.is_masked() { Shown::InPart } else { Shown::Whole };
                (shown, Some((view, note)))
            }
            Disposition::Withhold => (Shown::Withheld, None),
        };
        match self.deleted.take() {
            Some((place, record, when)) if shown == Shown::Whole && record == *resource.reference() => {
                if self.is_room(place) {
                    gathered.released = gathered.released.saturating_add(1);
                    gathered.push(&Version::Deleted(record, when).entry(None, bases));
                }
            }
            deleted => {
                self.deleted = deleted;
                self.deletion_stays(gathered);
            }
        }
        match leaving {
            None => gathered.withheld = gathered.withheld.saturating_add(1),
            Some((view, note)) => {
                if self.is_room(at) {
                    gathered.released = gathered.released.saturating_add(1);
                    gathered.push(&version.entry(Some(view.into_raw(raw)), bases));
                    gathered.notes.push(note);
                }
            }
        }
        Ok(())
    }

    /// Ends it.
    pub fn end<N>(&mut self, gathered: &mut Gathered<N>) {
        self.deletion_stays(gathered);
    }

    fn deletion_stays<N>(&mut self, gathered: &mut Gathered<N>) {
        if self.deleted.take().is_some() {
            gathered.withheld = gathered.withheld.saturating_add(1);
        }
    }

    /// Whether there is room for what is at this place.
    fn is_room(&mut self, at: usize) -> bool {
        match (self.full_before, self.room.checked_sub(1)) {
            (None, Some(room)) => {
                self.room = room;
                true
            }
            (None, None) => {
                self.full_before = Some(at);
                false
            }
            (Some(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests;
