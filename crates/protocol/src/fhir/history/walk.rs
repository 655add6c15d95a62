//! A history gone through entry by entry, for one that is too long to be in memory whole. What leaves is what would leave of
//! one that is.

use super::{Going, HistoryOf, Version};
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
    going: Going,
    found: usize,
}

impl Walk {
    /// Begins with a page.
    pub fn begin<N>(of: HistoryOf, wanted: Wanted, gathered: &mut Gathered<N>) -> Self {
        gathered.begin_page(None);
        Self { of, going: Going::begin(wanted), found: 0 }
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
        self.going.progress()
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
        decide: impl FnMut(&Resource<'a>) -> Disposition<'a, N>,
    ) -> Result<(), BadAnswer> {
        let entry = Object::parse(text, ENTRY_DEPTH)?;
        let Some(version) = Version::read(&entry, bases).filter(|version| self.of.covers(version.record()))
        else {
            gathered.dropped = gathered.dropped.saturating_add(1);
            return Ok(());
        };
        self.found = self.found.saturating_add(1);
        if !self.going.is_over() {
            self.going.version(&version, gathered, bases, decide);
        }
        Ok(())
    }

    /// Ends it.
    pub fn end<N>(&mut self, gathered: &mut Gathered<N>) {
        self.going.end(gathered);
    }
}

#[cfg(test)]
mod tests;
