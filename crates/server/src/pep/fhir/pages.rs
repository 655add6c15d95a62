//! Answers that come page by page: what a search finds, what became of a record.
//!
//! What comes is decided on record by record. Where some is withheld, the page is filled from the upstream's next ones, and
//! a next page is offered only if there is something on it: neither how full a page is nor a link tells that there are
//! records that nobody may see. The way on is given to the client under seal, good for this caller under these scopes and
//! policies for a quarter of an hour.

use std::collections::BTreeSet;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::bundle::{Gathered, Links, NextPage, Progress, Released, Wanted};
use chartgate_protocol::fhir::history::{History, HistoryOf};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::outcome::OperationOutcome;
use chartgate_protocol::fhir::paging::{Finds, Listing};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::searchset::{Disposition, Found, Searchset, Sought};
use chartgate_protocol::fhir::shape::Shape;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};

use super::large;
use super::mask::{self, Cleared, clear};
use super::now;
use super::session::{Answered, Exchange};
use super::upstream::Answer;
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::respond::{Refused, UpstreamFault};
use crate::spool::IN_MEMORY;

mod count;
mod link;

pub(super) use link::{next_page, page_link};

/// How many further pages are looked at for one request.
pub(super) const PAGES_AT_ONCE: u32 = 50;
/// A page that is longer than this, in bytes, is not filled up.
const LONG: usize = 4 << 20;

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
}

/// What the record tells of one record that was released.
struct Note {
    patients: Vec<String>,
    policies: Vec<String>,
    digest: Phi<String>,
}

impl Note {
    /// Whether the record is this patient's, or nobody's.
    fn is_of(&self, patient: &ResourceId) -> bool {
        self.patients.is_empty() || self.patients.iter().any(|own| own == patient.as_str())
    }
}

impl Pages<'_> {
    /// Releases a page with the link to the one after it, beginning with the upstream's first page.
    pub(super) async fn release(&self, exchange: &mut Exchange<'_>, first: Withheld<Answer>) -> Answered {
        self.release_from(exchange, first, Place::START).await
    }

    /// Releases a page with the link to the one after it.
    ///
    /// It is as full as the upstream's first was, from as many pages as that takes. Where others' records are found too,
    /// it ends before one that may leave, so that a link leads to something: else it would tell that they exist.
    async fn release_from(
        &self,
        exchange: &mut Exchange<'_>,
        first: Withheld<Answer>,
        place: Place,
    ) -> Answered {
        if let Listing::History(HistoryOf::Record(record)) = &self.listing
            && let Err(kept) = now::look(exchange, self.enforcer, self.permission(), record).await?
        {
            return Err(kept.refused(exchange));
        }
        let Place { mut page, mut from, mut size } = place;
        let mut gathered = match &self.listing {
            Listing::History(_) => Gathered::history(),
            Listing::Search(..) | Listing::Everything(_) => Gathered::searchset(),
        };
        let mut came = self.looked_at(exchange, first).await?;
        let mut left = PAGES_AT_ONCE;
        let mut source: Option<Withheld<Bytes>> = None;
        let next = loop {
            let wanted = Wanted { from, room: room(size, &gathered) };
            let Seen { found, progress, after } = self.gather(exchange, &came, wanted, &mut gathered).await?;
            size = size.or(Some(found).filter(|found| *found > 0));
            if let (Progress::FullBefore(from), Some(page)) = (progress, &page) {
                break Some((page.clone(), from));
            }
            let Some(after) = after else { break None };
            if Some(&after) == page.as_ref() {
                return Err(Refused::Upstream(UpstreamFault::Wrong));
            }
            let is_enough = room(size, &gathered) == 0 && self.finds == Finds::WithinReach;
            // That there are so many pages without anything to release is told where something was.
            if is_enough || left == 0 && gathered.released > 0 {
                break Some((after, 0));
            }
            let ahead = self.fetch(exchange, after.clone(), &mut left).await?;
            source = Some(longer(source, std::mem::replace(&mut came, ahead)));
            (page, from) = (Some(after), 0);
        };
        let source = longer(source, came);
        let size = size.unwrap_or(gathered.released);
        let link = next.map(|(page, from)| self.seal(exchange, page, from, size)).transpose()?;
        let released = gathered.into_bundle(Links { own: &self.own, next: link.as_deref() });
        // The history of a record of which nothing may be seen is that of one that never was.
        if released.released == 0 && matches!(self.listing, Listing::History(HistoryOf::Record(_))) {
            return Err(Refused::NotFound);
        }
        Ok(finish(exchange, released, source))
    }

    /// Looks at the records of a page as they are now, where it tells what they were.
    async fn looked_at(&self, exchange: &Exchange<'_>, answer: Withheld<Answer>) -> Result<Page, Refused> {
        let mut hidden = BTreeSet::new();
        if let Listing::History(of @ HistoryOf::Type(_)) = &self.listing
            && answer.inspect().status == StatusCode::OK
        {
            let history = History::parse(&answer.inspect().body, of, &exchange.upstream.bases);
            let records = history.map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?.records();
            hidden = now::out_of_reach(exchange, self.enforcer, self.permission(), records).await?;
        }
        Ok(Page { answer, hidden })
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

    async fn fetch(&self, exchange: &Exchange<'_>, page: NextPage, left: &mut u32) -> Result<Page, Refused> {
        // That there are so many versions of a record is not told of one of which none may be seen.
        let exhausted = || match &self.listing {
            Listing::History(HistoryOf::Record(_)) => Refused::NotFound,
            Listing::Search(..) | Listing::History(HistoryOf::Type(_)) | Listing::Everything(_) => {
                Refused::TooWide
            }
        };
        *left = left.checked_sub(1).ok_or_else(exhausted)?;
        exchange.still_believed()?;
        let allowed = self.in_reach(page)?;
        let answer = exchange.upstream.fetch_page(&allowed).await.map_err(Refused::Upstream)?;
        self.looked_at(exchange, answer).await
    }

    /// Decides on each record of a page, with the looks that it takes at what decisions depend on, and writes what leaves and
    /// has room.
    async fn gather(
        &self,
        exchange: &Exchange<'_>,
        page: &Page,
        wanted: Wanted,
        gathered: &mut Gathered<Note>,
    ) -> Result<Seen, Refused> {
        loop {
            let mark = gathered.mark();
            let seen = self.gather_by_what_is_known(exchange, page, wanted, gathered)?;
            if self.enforcer.catch_up().await == Known::AsBefore {
                return Ok(seen);
            }
            gathered.back_to(mark);
        }
    }

    /// Decides on each record of a page and writes what leaves and has room.
    fn gather_by_what_is_known(
        &self,
        exchange: &Exchange<'_>,
        page: &Page,
        wanted: Wanted,
        gathered: &mut Gathered<Note>,
    ) -> Result<Seen, Refused> {
        let answer = page.answer.inspect();
        match answer.status {
            StatusCode::OK => {}
            // The upstream did not take a parameter that FHIR has: say so rather than fail.
            StatusCode::BAD_REQUEST => return Err(Refused::Upstream(UpstreamFault::Rejected)),
            StatusCode::NOT_FOUND | StatusCode::GONE if matches!(self.listing, Listing::History(_)) => {
                return Err(Refused::NotFound);
            }
            _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
        }
        if answer.body.len() as u64 > IN_MEMORY {
            // Long enough that others should not wait for it on this thread.
            return tokio::task::block_in_place(|| self.gather_here(exchange, page, wanted, gathered));
        }
        self.gather_here(exchange, page, wanted, gathered)
    }

    fn gather_here(
        &self,
        exchange: &Exchange<'_>,
        page: &Page,
        wanted: Wanted,
        gathered: &mut Gathered<Note>,
    ) -> Result<Seen, Refused> {
        let bases = &exchange.upstream.bases;
        let body = &page.answer.inspect().body;
        let wrong = |_| Refused::Upstream(UpstreamFault::Wrong);
        let listed = self.permission();
        match &self.listing {
            Listing::Search(resource_type, companions, shape) => {
                let sought = Sought::Type(*resource_type, *companions);
                let searchset = Searchset::parse(body, sought, bases).map_err(wrong)?;
                let searchset = match self.finds {
                    Finds::WithinReach => searchset,
                    // A total would be told only where no other's record was found.
                    Finds::OthersToo => searchset.without_total(),
                };
                let (found, after) = (searchset.found(), searchset.next().cloned());
                // What comes along is read, not found.
                let progress = searchset.gather(gathered, wanted, bases, |resource, found| match found {
                    Found::BySearch => self.disposition(exchange, listed, resource, shape),
                    Found::Alongside => self.disposition(exchange, Permission::Read, resource, &Shape::Whole),
                });
                Ok(Seen { found, progress, after })
            }
            Listing::Everything(patient) => {
                let searchset = Searchset::parse(body, Sought::Everything, bases).map_err(wrong)?;
                let (found, after) = (searchset.found(), searchset.next().cloned());
                let progress = searchset.without_total().gather(gathered, wanted, bases, |resource, _| {
                    self.disposition(exchange, listed, resource, &Shape::Whole)
                        .filter(|note| note.is_of(patient))
                });
                Ok(Seen { found, progress, after })
            }
            Listing::History(of) => {
                let history = History::parse(body, of, bases).map_err(wrong)?;
                let (found, after) = (history.found(), history.next().cloned());
                let progress = history.gather(gathered, wanted, bases, |resource| {
                    if page.hidden.contains(resource.reference()) {
                        return Disposition::Withhold;
                    }
                    self.disposition(exchange, listed, resource, &Shape::Whole)
                });
                Ok(Seen { found, progress, after })
            }
        }
    }

    fn disposition<'r>(
        &self,
        exchange: &Exchange<'_>,
        permission: Permission,
        resource: &Resource<'r>,
        shape: &Shape,
    ) -> Disposition<'r, Note> {
        match clear(exchange, self.enforcer, permission, resource) {
            Ok(Cleared { patients, policies, view }) => {
                let Some(view) =
                    shape.apply(view, resource.reference().resource_type, exchange.upstream.version())
                else {
                    return Disposition::Withhold;
                };
                let digest = Phi::new(mask::digest(view.text()));
                Disposition::Release(view, Note { patients, policies, digest })
            }
            Err(_) => Disposition::Withhold,
        }
    }
}

/// A page as it came.
struct Page {
    answer: Withheld<Answer>,
    /// Records on it that are out of reach as they are now.
    hidden: BTreeSet<Reference>,
}

/// A page that was gone through.
struct Seen {
    /// How many records it has that were asked for.
    found: usize,
    progress: Progress,
    /// What comes after it.
    after: Option<NextPage>,
}

/// Where a page begins that leaves.
struct Place {
    /// In which of the upstream's; none is what the question itself finds.
    page: Option<NextPage>,
    /// How many of its records were gone through already.
    from: usize,
    /// How many records a page has, once that is known.
    size: Option<usize>,
}

impl Place {
    const START: Self = Self { page: None, from: 0, size: None };
}

/// For how many more there is room.
fn room(size: Option<usize>, gathered: &Gathered<Note>) -> usize {
    if gathered.length() > LONG {
        return 0;
    }
    size.map_or(usize::MAX, |size| size.saturating_sub(gathered.released))
}

/// The longer of two texts from which a page is gathered: the room of one is held, so that no request waits for a further one
/// with many in its hands.
fn longer(kept: Option<Withheld<Bytes>>, page: Page) -> Withheld<Bytes> {
    let other = page.answer.map(|answer| answer.body);
    match kept {
        Some(kept) if kept.inspect().len() >= other.inspect().len() => kept,
        Some(_) | None => other,
    }
}

/// The answer to a search that can find nothing.
pub(super) fn nothing(
    exchange: &mut Exchange<'_>,
    own: &str,
    outcome: Option<&OperationOutcome>,
    page: Withheld<Bytes>,
) -> Answered {
    Ok(finish(exchange, Released::nothing(own, outcome), page))
}

/// Notes what is released, and makes it the answer.
fn finish(
    exchange: &mut Exchange<'_>,
    released: Released<Note>,
    page: Withheld<Bytes>,
) -> Withheld<Response<Body>> {
    let Released { body, withheld, notes, .. } = released;
    let record = &mut exchange.record;
    record.response.count = u64::try_from(notes.len()).ok();
    record.response.withheld = u64::try_from(withheld).ok();
    record.response.bytes = u64::try_from(body.len()).ok();
    // Whom the caller asked for by name stays on record, found or not.
    let mut patients: BTreeSet<String> =
        std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed).collect();
    let mut policies = BTreeSet::new();
    for note in notes {
        patients.extend(note.patients);
        policies.extend(note.policies);
        record.response.digests.push(note.digest);
    }
    record.patients = patients.into_iter().map(Phi::new).collect();
    if !policies.is_empty() {
        record.decision.policies = policies.into_iter().collect();
    }
    page.map(|page| {
        let mut response = Response::new(Body::from(body));
        large::made_from(&mut response, &page);
        let json = HeaderValue::from_static(mask::FHIR_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    })
}
