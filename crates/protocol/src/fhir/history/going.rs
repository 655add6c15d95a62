//! A history gone through version by version, the newest first.

use super::Version;
use crate::fhir::base::BaseUrls;
use crate::fhir::bundle::taking::{Taking, Turn};
use crate::fhir::bundle::{Gathered, Progress, Wanted};
use crate::fhir::reference::Reference;
use crate::fhir::resource::Resource;
use crate::fhir::searchset::Disposition;

/// How far one page is gone through.
#[derive(Clone)]
pub(super) struct Going {
    taking: Taking,
    /// A deletion. Whether it leaves is for the version to say that it ended.
    deleted: Option<(Reference, Option<String>)>,
}

impl Going {
    pub(super) fn begin(wanted: Wanted) -> Self {
        Self { taking: Taking::begin(wanted), deleted: None }
    }

    /// Whether nothing more is decided on.
    pub(super) fn is_over(&self) -> bool {
        self.taking.is_over()
    }

    pub(super) fn progress(&self) -> Progress {
        self.taking.progress()
    }

    /// Decides on the next version and writes what leaves: a deletion only before the version that it ended, whole.
    pub(super) fn version<'a, N>(
        &mut self,
        version: &Version<'a>,
        gathered: &mut Gathered<N>,
        bases: &BaseUrls,
        mut decide: impl FnMut(&Resource<'a>) -> Disposition<'a, N>,
    ) {
        let (resource, raw) = match version {
            Version::Stored(resource, _, raw) => (resource, *raw),
            Version::Deleted(record, when) => {
                self.deletion_stays(gathered);
                self.deleted = Some((record.clone(), when.clone()));
                return;
            }
        };
        let leaving = match decide(resource) {
            // Its address would say which record it is.
            Disposition::Release(view, _) if view.renamed().is_some() => None,
            Disposition::Release(view, note) => Some((view, note)),
            Disposition::Withhold => None,
        };
        let is_whole = leaving.as_ref().is_some_and(|(view, _)| !view.is_masked());
        match self.deleted.take_if(|(record, _)| is_whole && record == resource.reference()) {
            Some((record, when)) => match self.taking.one() {
                Turn::Past => {}
                Turn::NoRoom => return,
                Turn::Leaves => {
                    let deleted = Version::Deleted(record, when);
                    self.taking.wrote(gathered.push_asked_for(&deleted.entry(None, bases)));
                }
            },
            None => self.deletion_stays(gathered),
        }
        let Some((view, note)) = leaving else { return gathered.stays(self.taking.stays()) };
        if self.taking.one() == Turn::Leaves {
            gathered.notes.push(note);
            let entry = version.entry(Some(view.into_raw(raw)), bases);
            self.taking.wrote(gathered.push_asked_for(&entry));
        }
    }

    /// Ends it.
    pub(super) fn end<N>(&mut self, gathered: &mut Gathered<N>) {
        self.deletion_stays(gathered);
        gathered.stays(self.taking.ahead());
    }

    fn deletion_stays<N>(&mut self, gathered: &mut Gathered<N>) {
        if self.deleted.take().is_some() {
            gathered.stays(self.taking.stays());
        }
    }
}
