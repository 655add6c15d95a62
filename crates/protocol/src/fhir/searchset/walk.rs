//! The answer to a search gone through entry by entry, for one that is too long to be in memory whole.
//!
//! What leaves is what would leave of one that is. What comes along is known only once what was found is gone through, so the
//! entries are gone through again for it, round by round, until nothing more is tied to what leaves.

use serde_json::value::RawValue;

use super::{Companions, Disposition, Found, Sought, Tie, is_nobodys, push, resource_of, seen_in};
use crate::fhir::base::BaseUrls;
use crate::fhir::bundle::split::{ENTRY_DEPTH, Outline};
use crate::fhir::bundle::taking::{Taking, Turn};
use crate::fhir::bundle::undoable::{Short, Undoable};
use crate::fhir::bundle::{Gathered, Progress, Wanted};
use crate::fhir::reference::references_in;
use crate::fhir::resource::{BadAnswer, Resource};
use crate::fhir::view::View;
use crate::json::Object;

/// One page that is gone through.
pub struct Walk {
    sought: Sought,
    step: Step,
    /// What leaves so far,
    left: Undoable<Short>,
    /// and what stands in it.
    named: Undoable<Short>,
    /// How many of both there may be.
    most: usize,
    /// Which of those that come along were decided on.
    decided: Undoable<usize>,
}

/// How far it is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    round: usize,
    found: usize,
    along: usize,
    taking: Taking,
    /// How many were released of those that come along, in this round.
    came: usize,
}

/// Why an entry is there.
enum Role<'a> {
    Found(&'a RawValue),
    Along(&'a RawValue),
    Nothing,
}

/// So often are the entries gone through for what comes along. What is tied by a longer way, against their order, stays.
const MOST_ROUNDS: usize = 8;
/// So many records that leave and references in them are remembered for what comes along: some 20 MiB.
const MOST_NAMES: usize = 500_000;

impl Walk {
    /// Begins with a page.
    pub fn begin<N>(sought: Sought, wanted: Wanted, outline: &Outline, gathered: &mut Gathered<N>) -> Self {
        gathered.begin_page(outline.total.filter(|_| outline.next.is_none()));
        let step = Step { round: 0, found: 0, along: 0, taking: Taking::begin(wanted), came: 0 };
        let (left, named, decided) = Default::default();
        Self { sought, step, left, named, most: MOST_NAMES, decided }
    }

    /// How many were found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.step.found
    }

    /// How far the page was gone through.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.step.taking.progress()
    }

    /// Where it is, to come back to.
    pub fn mark(&mut self) -> Step {
        self.left.mark();
        self.named.mark();
        self.decided.mark();
        self.step
    }

    /// Comes back to where it was marked last.
    pub fn back_to(&mut self, step: Step) {
        self.left.back();
        self.named.back();
        self.decided.back();
        self.step = step;
    }

    /// Takes the next entry: decides on its record and writes what leaves.
    ///
    /// # Errors
    /// [`BadAnswer`] if it is none, or if what may come along depends on too much.
    pub fn entry<'a, N>(
        &mut self,
        text: &'a [u8],
        gathered: &mut Gathered<N>,
        bases: &BaseUrls,
        decide: impl FnMut(&Resource<'a>, Found) -> Disposition<'a, N>,
    ) -> Result<(), BadAnswer> {
        let entry = Object::parse(text, ENTRY_DEPTH)?;
        match (self.role(&entry), self.step.round) {
            (Role::Found(raw), 0) => self.find(raw, gathered, bases, decide)?,
            (Role::Along(_), 0) => self.step.along = self.step.along.saturating_add(1),
            (Role::Nothing, 0) => gathered.dropped = gathered.dropped.saturating_add(1),
            (Role::Along(raw), _) => {
                let at = self.step.along;
                self.step.along = at.saturating_add(1);
                if !self.decided.contains(&at) {
                    self.come_along(at, raw, gathered, bases, decide)?;
                }
            }
            (Role::Found(_) | Role::Nothing, _) => {}
        }
        Ok(())
    }

    /// Ends a round: whether the entries have to be gone through once more.
    pub fn goes_on<N>(&mut self, gathered: &mut Gathered<N>) -> bool {
        let Step { round, along, taking, came, .. } = self.step;
        let is_tied = if round == 0 { self.left.len() > 0 } else { came > 0 };
        let waiting = along.saturating_sub(self.decided.len());
        if waiting == 0 || !is_tied || round >= MOST_ROUNDS {
            gathered.stays(taking.ahead());
            // What came along with records of another page that is cut out of this one is no business of this page's.
            if taking.is_whole() {
                gathered.stays(waiting);
            }
            return false;
        }
        self.step = Step { round: round.saturating_add(1), along: 0, came: 0, ..self.step };
        true
    }

    fn role<'a>(&self, entry: &Object<'a>) -> Role<'a> {
        let (found, along) = (resource_of(entry, "match"), resource_of(entry, "include"));
        match (self.sought, found, along) {
            (Sought::Type(..), Some(raw), _) => Role::Found(raw),
            (Sought::Type(_, Companions::Asked), None, Some(raw)) => Role::Along(raw),
            (Sought::Everything, Some(raw), _) | (Sought::Everything, None, Some(raw)) => {
                match is_nobodys(raw) {
                    true => Role::Along(raw),
                    false => Role::Found(raw),
                }
            }
            (Sought::Type(..) | Sought::Everything, None, _) => Role::Nothing,
        }
    }

    fn find<'a, N>(
        &mut self,
        raw: &'a RawValue,
        gathered: &mut Gathered<N>,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>, Found) -> Disposition<'a, N>,
    ) -> Result<(), BadAnswer> {
        self.step.found = self.step.found.saturating_add(1);
        if self.step.taking.is_over() {
            return Ok(());
        }
        let Some(resource) = Resource::read(raw).filter(|resource| self.sought.is(resource)) else {
            gathered.dropped = gathered.dropped.saturating_add(1);
            return Ok(());
        };
        let Disposition::Release(view, note) = decide(&resource, Found::BySearch) else {
            gathered.stays(self.step.taking.stays());
            return Ok(());
        };
        if self.step.taking.one() == Turn::Leaves {
            self.leaves(&resource, &view, bases)?;
            let length = push(gathered, raw, &resource, (view, note), Found::BySearch, bases);
            self.step.taking.wrote(length);
        }
        Ok(())
    }

    fn come_along<'a, N>(
        &mut self,
        at: usize,
        raw: &'a RawValue,
        gathered: &mut Gathered<N>,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>, Found) -> Disposition<'a, N>,
    ) -> Result<(), BadAnswer> {
        let Some(resource) = Resource::read(raw) else { return Ok(()) };
        let refers =
            || references_in(resource.value(), bases).iter().any(|to| self.left.contains(&Short::of(to)));
        let tie = match self.named.contains(&Short::of(resource.reference())) {
            true => Tie::Others,
            false if refers() => Tie::Own,
            false => return Ok(()),
        };
        match decide(&resource, Found::Alongside) {
            // By what it refers to would be told what is kept of it. Another that leaves may name it yet.
            Disposition::Release(view, _) if tie == Tie::Own && view.is_masked() => return Ok(()),
            Disposition::Withhold => gathered.stays(1),
            Disposition::Release(view, note) => {
                self.step.came = self.step.came.saturating_add(1);
                self.leaves(&resource, &view, bases)?;
                if gathered.comes_along(resource.reference()) {
                    push(gathered, raw, &resource, (view, note), Found::Alongside, bases);
                }
            }
        }
        self.decided.insert(at);
        Ok(())
    }

    /// One leaves: what stands in its text, and what refers to it, may come along.
    ///
    /// # Errors
    /// [`BadAnswer::TooManyReferences`].
    fn leaves(
        &mut self,
        resource: &Resource<'_>,
        view: &View<'_>,
        bases: &BaseUrls,
    ) -> Result<(), BadAnswer> {
        if matches!(self.sought, Sought::Type(_, Companions::None)) {
            return Ok(());
        }
        for reference in seen_in(resource, view, bases) {
            self.named.insert(Short::of(&reference));
            self.is_bounded()?;
        }
        self.left.insert(Short::of(resource.reference()));
        self.is_bounded()
    }

    fn is_bounded(&self) -> Result<(), BadAnswer> {
        let remembered = self.named.len().saturating_add(self.left.len());
        if remembered > self.most { Err(BadAnswer::TooManyReferences) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
