//! Answers that come page by page: what a search finds, what became of a record.
//!
//! What comes is decided on record by record. Where some is withheld, the page is filled from the upstream's next ones, and
//! a next page is offered only if there is something on it: neither how full a page is nor a link tells that there are
//! records that nobody may see. The upstream's pages are not as small as the caller asks, who would else learn by how many
//! of them are looked at that a few are hidden: the caller's are cut out of them. The way on is given to the client under seal, good for this caller under these scopes and
//! policies for a quarter of an hour.

use std::collections::BTreeSet;

use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::bundle::split::Outline;
use chartgate_protocol::fhir::bundle::{Gathered, Links, NextPage, Progress, Wanted};
use chartgate_protocol::fhir::history::{History, HistoryOf};
use chartgate_protocol::fhir::membership::ownership;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::paging::{Filling, Finds, Listing, Place, Seen, Stuck, Turn};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::{BadAnswer, Resource};
use chartgate_protocol::fhir::searchset::{Disposition, Found, Searchset, Sought};
use chartgate_protocol::fhir::view::View;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::StatusCode;

use super::large::Arrived;
use super::mask::{self, Cleared, clear, clear_of_everything};
use super::now;
use super::session::{Answered, Exchange};
use super::upstream::Listed;
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::respond::{Refused, UpstreamFault};

mod count;
mod cut;
mod leaving;
mod link;
mod long;

pub(super) use cut::Cut;
pub(super) use leaving::nothing;
use leaving::{Leaving, Note, Waiting};

pub(super) use link::{next_page, page_link};

/// What records call it.
fn action(listing: &Listing) -> &'static str {
    match listing {
        Listing::Search(..) => "search",
        Listing::History(_) => "history",
        Listing::Everything(_) => "everything",
    }
}

/// The public address of a listing.
fn address(exchange: &Exchange<'_>, listing: &Listing) -> String {
    let base = &exchange.upstream.bases.public;
    match listing {
        Listing::Search(resource_type, ..) => format!("{base}/{resource_type}"),
        Listing::History(of) => format!("{base}/{of}/_history"),
        Listing::Everything(patient) => format!("{base}/Patient/{patient}/$everything"),
    }
}

/// An answer under way, page by page.
pub(super) struct Pages<'a> {
    pub(super) authenticated: &'a Authenticated,
    pub(super) enforcer: &'a Enforcer<'a>,
    pub(super) listing: Listing,
    /// The page's own address, for the client.
    pub(super) own: String,
    pub(super) finds: Finds,
    pub(super) cut: Cut,
}

impl Pages<'_> {
    /// Releases a page with the link to the one after it, beginning with the upstream's first page.
    pub(super) async fn release(&self, exchange: &mut Exchange<'_>, first: Withheld<Listed>) -> Answered {
        self.release_from(exchange, first, Place::START).await
    }

    /// Releases a page with the link to the one after it.
    ///
    /// It is as full as was asked for, or as the upstream's first was, from as many pages as that takes. Where others'
    /// records are found too, it ends before one that may leave, so that a link leads to something: else it would tell that
    /// they exist.
    async fn release_from(
        &self,
        exchange: &mut Exchange<'_>,
        first: Withheld<Listed>,
        place: Place,
    ) -> Answered {
        if let Listing::History(HistoryOf::Record(record)) = &self.listing
            && let Err(out) = now::look(exchange, self.enforcer, self.permission(), record).await?
        {
            return Err(out.refused(exchange));
        }
        let mut filling = Filling::begin(place, self.cut.most(), self.finds);
        let mut leaving = Leaving::new(match &self.listing {
            Listing::History(_) => Gathered::history(),
            Listing::Search(..) | Listing::Everything(_) => Gathered::searchset(),
        });
        let mut came = self.looked_at(exchange, first).await?;
        let next = loop {
            let wanted = filling.wanted(&leaving.gathered);
            let seen = self.gather(exchange, &mut came, wanted, &mut leaving).await?;
            leaving.put_aside(exchange, Waiting::OfManyPages)?;
            match filling.seen(seen, &leaving.gathered) {
                Ok(Turn::On(page)) => came = self.fetch(exchange, page).await?,
                Ok(Turn::Complete(next)) => break next,
                Err(Stuck::Loops) => return Err(Refused::Upstream(UpstreamFault::Wrong)),
                Err(Stuck::Exhausted) => return Err(self.exhausted()),
            }
        };
        let link = next.map(|place| self.seal(exchange, place)).transpose()?;
        // The history of a record of which nothing may be seen is that of one that never was.
        if leaving.gathered.released == 0 && matches!(self.listing, Listing::History(HistoryOf::Record(_))) {
            return Err(Refused::NotFound);
        }
        leaving.finish(exchange, Links { own: &self.own, next: link.as_deref() }, came.answer)
    }

    /// Looks at what stands around the entries of a long page, and at the records of which it tells as they are now, where it
    /// tells what they were. Of a short page they are looked at as it is gone through.
    async fn looked_at(&self, exchange: &Exchange<'_>, answer: Withheld<Listed>) -> Result<Page, Refused> {
        let Listed { status, body } = answer.inspect();
        let outline = match body {
            Arrived::Spooled(spooled) if *status == StatusCode::OK => {
                Some(long::outline(spooled, &self.listing, &exchange.upstream.bases)?)
            }
            Arrived::Spooled(_) | Arrived::Whole(_) => None,
        };
        let mut looked = Looked::default();
        if let (Listing::History(of @ HistoryOf::Type(_)), Arrived::Spooled(spooled), Some(outline)) =
            (&self.listing, body, &outline)
        {
            let room = long::room(exchange, outline).await?;
            let records = long::records(spooled, of, &exchange.upstream.bases)?;
            drop(room);
            self.look_at(exchange, records, &mut looked).await?;
        }
        Ok(Page { answer, outline, looked })
    }

    /// Looks at records as they are now, each once a page.
    async fn look_at(
        &self,
        exchange: &Exchange<'_>,
        records: BTreeSet<Reference>,
        looked: &mut Looked,
    ) -> Result<(), Refused> {
        let new: BTreeSet<_> = records.difference(&looked.at).cloned().collect();
        looked.at.extend(new.iter().cloned());
        let found = now::out_of_reach(exchange, self.enforcer, self.permission(), new).await?;
        looked.hidden.extend(found);
        Ok(())
    }

    /// Asks whether there can be records within reach.
    ///
    /// # Errors
    /// [`Refused::Type`].
    pub(super) fn in_reach<A>(&self, action: A) -> Result<Allowed<A>, Refused> {
        mask::in_reach(self.enforcer, self.permission(), self.resource_type(), action)
    }

    fn resource_type(&self) -> ResourceType {
        match &self.listing {
            Listing::Search(resource_type, ..) => *resource_type,
            Listing::History(of) => of.resource_type(),
            Listing::Everything(_) => ResourceType::PATIENT,
        }
    }

    fn permission(&self) -> Permission {
        match &self.listing {
            Listing::Search(..) | Listing::History(HistoryOf::Type(_)) => Permission::Search,
            Listing::History(HistoryOf::Record(_)) | Listing::Everything(_) => Permission::Read,
        }
    }

    /// What is said where nothing may leave of as many pages as are looked at.
    fn exhausted(&self) -> Refused {
        match &self.listing {
            // That there are so many versions of a record is not told of one of which none may be seen.
            Listing::History(HistoryOf::Record(_)) => Refused::NotFound,
            Listing::Search(..) | Listing::History(HistoryOf::Type(_)) | Listing::Everything(_) => {
                Refused::TooWide
            }
        }
    }

    async fn fetch(&self, exchange: &Exchange<'_>, page: NextPage) -> Result<Page, Refused> {
        exchange.still_believed()?;
        let allowed = self.in_reach(page)?;
        let answer = exchange.upstream.list_on(&allowed).await.map_err(Refused::Upstream)?;
        self.looked_at(exchange, answer).await
    }

    /// Decides on each record of a page, with the looks that it takes at what decisions depend on, and writes what leaves and
    /// has room.
    async fn gather(
        &self,
        exchange: &Exchange<'_>,
        page: &mut Page,
        wanted: Wanted,
        leaving: &mut Leaving,
    ) -> Result<Seen, Refused> {
        let Page { answer, outline, looked } = page;
        let Listed { status, body } = answer.inspect();
        match *status {
            StatusCode::OK => {}
            // The upstream did not take a parameter that FHIR has: say so rather than fail.
            StatusCode::BAD_REQUEST => return Err(Refused::Upstream(UpstreamFault::Rejected)),
            StatusCode::NOT_FOUND | StatusCode::GONE if matches!(self.listing, Listing::History(_)) => {
                return Err(Refused::NotFound);
            }
            _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
        }
        let body = match (body, outline) {
            (Arrived::Whole(body), _) => &**body,
            // In a box, for it is rare and what is common should be small.
            (Arrived::Spooled(spooled), Some(outline)) => {
                let long = self.gather_long(exchange, looked, (spooled, outline), wanted, leaving);
                return Box::pin(long).await;
            }
            (Arrived::Spooled(_), None) => return Err(Refused::Upstream(UpstreamFault::Wrong)),
        };
        let mut newest = newest_for(&self.listing, wanted);
        loop {
            if let Listing::History(of @ HistoryOf::Type(_)) = &self.listing {
                let history = History::parse(body, of, &exchange.upstream.bases).map_err(wrong)?;
                self.look_at(exchange, history.first(newest).records(), looked).await?;
            }
            let mark = leaving.gathered.mark();
            let here = (&*looked, body, newest);
            let seen = self.gather_here(exchange, here, wanted, &mut leaving.gathered)?;
            let is_as_before = self.enforcer.catch_up().await == Known::AsBefore;
            let is_too_few = newest < seen.found && matches!(seen.progress, Progress::AllSeen(_));
            if is_as_before && !is_too_few {
                return Ok(seen);
            }
            leaving.gathered.back_to(mark);
            if is_too_few {
                newest = newest.saturating_mul(2);
            }
        }
    }

    /// Decides on each record of a page and writes what leaves and has room.
    fn gather_here(
        &self,
        exchange: &Exchange<'_>,
        (looked, body, newest): (&Looked, &[u8], usize),
        wanted: Wanted,
        gathered: &mut Gathered<Note>,
    ) -> Result<Seen, Refused> {
        let bases = &exchange.upstream.bases;
        match &self.listing {
            Listing::Search(resource_type, companions, _) => {
                let sought = Sought::Type(*resource_type, *companions);
                let searchset = Searchset::parse(body, sought, bases).map_err(wrong)?;
                let searchset = match self.finds {
                    Finds::WithinReach => searchset,
                    // A total would be told only where no other's record was found.
                    Finds::OthersToo => searchset.without_total(),
                };
                let (found, after) = (searchset.found(), searchset.next().cloned());
                let progress = searchset.gather(gathered, wanted, bases, |resource, found| {
                    self.decide(exchange, looked, resource, found)
                });
                Ok(Seen { found, progress, after })
            }
            Listing::Everything(_) => {
                let searchset = Searchset::parse(body, Sought::Everything, bases).map_err(wrong)?;
                let (found, after) = (searchset.found(), searchset.next().cloned());
                let progress =
                    searchset.without_total().gather(gathered, wanted, bases, |resource, found| {
                        self.decide(exchange, looked, resource, found)
                    });
                Ok(Seen { found, progress, after })
            }
            Listing::History(of) => {
                let history = History::parse(body, of, bases).map_err(wrong)?;
                let (found, after) = (history.found(), history.next().cloned());
                let progress = history.first(newest).gather(gathered, wanted, bases, |resource| {
                    self.decide(exchange, looked, resource, Found::BySearch)
                });
                Ok(Seen { found, progress, after })
            }
        }
    }

    /// Decides on one record of a page.
    fn decide<'r>(
        &self,
        exchange: &Exchange<'_>,
        looked: &Looked,
        resource: &Resource<'r>,
        found: Found,
    ) -> Disposition<'r, Note> {
        let clear = |permission| clear(exchange, self.enforcer, permission, resource);
        let listed = self.permission();
        match (&self.listing, found) {
            (Listing::Search(_, _, shape), Found::BySearch) => {
                let version = exchange.upstream.version();
                let resource_type = resource.reference().resource_type;
                let shaped = |cleared: Cleared<View<'r>>| {
                    let view = shape.apply(cleared.view, resource_type, version)?;
                    Some(Cleared { view, ..cleared })
                };
                disposition(clear(listed).ok().and_then(shaped))
            }
            // What comes along is read, not found.
            (Listing::Search(..), Found::Alongside) => disposition(clear(Permission::Read).ok()),
            (Listing::Everything(patient), _) => {
                let whose = ownership(exchange.upstream.version(), resource.reference().resource_type);
                let Reference { resource_type, id } = resource.reference();
                let is_the_patient = *resource_type == ResourceType::PATIENT && id == patient;
                // The patient was named, and all else is found.
                let cleared = if is_the_patient {
                    clear(listed)
                } else {
                    clear_of_everything(exchange, self.enforcer, resource)
                };
                disposition(cleared.ok()).filter(|note| note.is_of(patient, whose))
            }
            (Listing::History(_), _) if looked.hidden.contains(resource.reference()) => Disposition::Withhold,
            (Listing::History(_), _) => disposition(clear(listed).ok()),
        }
    }
}

/// What becomes of a record of which this may be seen, if anything.
fn disposition(cleared: Option<Cleared<View<'_>>>) -> Disposition<'_, Note> {
    let Some(Cleared { patients, policies, view }) = cleared else { return Disposition::Withhold };
    let digest = Phi::new(mask::digest(view.text()));
    Disposition::Release(view, Note { patients, policies, digest })
}

/// A page as it came.
struct Page {
    answer: Withheld<Listed>,
    /// What stands around its entries, where it is gone through entry by entry.
    outline: Option<Outline>,
    looked: Looked,
}

/// Records on a page that were looked at as they are now.
#[derive(Default)]
struct Looked {
    at: BTreeSet<Reference>,
    /// Those that are out of reach.
    hidden: BTreeSet<Reference>,
}

/// So many of a history's newest versions are gone through for what is wanted of it: more, if they do not fill a page.
fn newest_for(listing: &Listing, wanted: Wanted) -> usize {
    match listing {
        // The records of each are looked at, and the one for which there is no room tells that there is one.
        Listing::History(HistoryOf::Type(_)) => wanted.past.saturating_add(wanted.room).saturating_add(1),
        Listing::History(HistoryOf::Record(_)) | Listing::Search(..) | Listing::Everything(_) => usize::MAX,
    }
}

fn wrong(bad: BadAnswer) -> Refused {
    Refused::Upstream(match bad {
        BadAnswer::TooManyReferences => UpstreamFault::TooLong,
        _ => UpstreamFault::Wrong,
    })
}
