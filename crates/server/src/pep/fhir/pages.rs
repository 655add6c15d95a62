//! Answers that come page by page: what a search finds, what became of a record.
//!
//! What comes is decided on record by record. The upstream's link to its next page is given to the client under seal, good
//! for this caller under these scopes and policies for a quarter of an hour.

use std::collections::BTreeSet;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::bundle::{Links, NextPage, Released};
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
use crate::pep::enforce::Enforcer;
use crate::pep::respond::{Refused, UpstreamFault};
use crate::spool::IN_MEMORY;

mod link;

pub(super) use link::{next_page, page_link};

/// How many further pages are looked at for one request.
pub(super) const PAGES_AT_ONCE: u32 = 50;

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
    /// Releases a page with the link to the one after it.
    ///
    /// Where others' records are found too, a page on which all is withheld is passed over, and a next page is offered
    /// only if there is something on it to release: else the link would tell that others' records exist.
    pub(super) async fn release(&self, exchange: &mut Exchange<'_>, first: Withheld<Answer>) -> Answered {
        if let Listing::History(HistoryOf::Record(record)) = &self.listing
            && let Err(kept) = now::look(exchange, self.enforcer, self.permission(), record).await?
        {
            return Err(kept.refused(exchange));
        }
        let mut page = self.looked_at(exchange, first).await?;
        let mut decided = self.decide(exchange, &page, None)?;
        let mut left = PAGES_AT_ONCE;
        if self.finds == Finds::OthersToo {
            while decided.released.released == 0
                && let Some(after) = decided.next.take()
            {
                page = self.fetch(exchange, after, &mut left).await?;
                decided = self.decide(exchange, &page, None)?;
            }
            let mut next = decided.next.take();
            while let Some(candidate) = next.take() {
                let ahead = self.fetch(exchange, candidate.clone(), &mut left).await?;
                let Decided { released, next: after } = self.decide(exchange, &ahead, None)?;
                if released.released > 0 {
                    next = Some(candidate);
                    break;
                }
                next = after;
            }
            decided.next = next;
        }
        if let Some(next) = decided.next.take() {
            // Written once more, with the link.
            let link = self.seal(exchange, next)?;
            decided = self.decide(exchange, &page, Some(&link))?;
        }
        let Decided { released, .. } = decided;
        // The history of a record of which nothing may be seen is that of one that never was.
        if released.released == 0 && matches!(self.listing, Listing::History(HistoryOf::Record(_))) {
            return Err(Refused::NotFound);
        }
        Ok(finish(exchange, released, page.answer.map(|page| page.body)))
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

    /// Decides on each record of a page and writes the bundle that leaves.
    fn decide(&self, exchange: &Exchange<'_>, page: &Page, next: Option<&str>) -> Result<Decided, Refused> {
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
            return tokio::task::block_in_place(|| {
                self.decide_here(exchange, &answer.body, &page.hidden, next)
            });
        }
        self.decide_here(exchange, &answer.body, &page.hidden, next)
    }

    fn decide_here(
        &self,
        exchange: &Exchange<'_>,
        body: &[u8],
        hidden: &BTreeSet<Reference>,
        next: Option<&str>,
    ) -> Result<Decided, Refused> {
        let bases = &exchange.upstream.bases;
        let links = Links { own: &self.own, next };
        let wrong = |_| Refused::Upstream(UpstreamFault::Wrong);
        let listed = self.permission();
        match &self.listing {
            Listing::Search(resource_type, companions, shape) => {
                let sought = Sought::Type(*resource_type, *companions);
                let searchset = Searchset::parse(body, sought, bases).map_err(wrong)?;
                let after = searchset.next().cloned();
                let searchset = match self.finds {
                    Finds::WithinReach => searchset,
                    // A total would be told only where no other's record was found.
                    Finds::OthersToo => searchset.without_total(),
                };
                // What comes along is read, not found.
                let released = searchset.release(links, bases, |resource, found| match found {
                    Found::BySearch => self.disposition(exchange, listed, resource, shape),
                    Found::Alongside => self.disposition(exchange, Permission::Read, resource, &Shape::Whole),
                });
                Ok(Decided { released, next: after })
            }
            Listing::Everything(patient) => {
                let searchset = Searchset::parse(body, Sought::Everything, bases).map_err(wrong)?;
                let after = searchset.next().cloned();
                let released = searchset.without_total().release(links, bases, |resource, _| {
                    self.disposition(exchange, listed, resource, &Shape::Whole)
                        .filter(|note| note.is_of(patient))
                });
                Ok(Decided { released, next: after })
            }
            Listing::History(of) => {
                let history = History::parse(body, of, bases).map_err(wrong)?;
                let after = history.next().cloned();
                let released = history.release(links, bases, |resource| {
                    if hidden.contains(resource.reference()) {
                        return Disposition::Withhold;
                    }
                    self.disposition(exchange, listed, resource, &Shape::Whole)
                });
                Ok(Decided { released, next: after })
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
                let Some(view) = shape.apply(view, resource.reference().resource_type) else {
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

/// A page that was decided on.
struct Decided {
    released: Released<Note>,
    /// What comes after it.
    next: Option<NextPage>,
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
