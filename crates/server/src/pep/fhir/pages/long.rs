//! A page that is too long to be in memory whole: gone through entry by entry out of the spool in which it arrived. What
//! leaves of it goes into another one as it is decided on.
//!
//! Memory is bounded by a few pieces of a spool, and by what parsing and rewriting make of the longest entry, for which there
//! has to be room if it is long itself.

use std::collections::BTreeSet;

use chartgate_protocol::fhir::base::BaseUrls;
use chartgate_protocol::fhir::bundle::split::{Entries, Outline, Splitter};
use chartgate_protocol::fhir::bundle::{Gathered, Progress, Wanted};
use chartgate_protocol::fhir::history::{self, HistoryOf};
use chartgate_protocol::fhir::paging::{Finds, Listing, Seen};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::BadAnswer;
use chartgate_protocol::fhir::searchset::{self, Found, Sought};
use tokio::task::block_in_place;

use super::{Leaving, Looked, Note, Pages, Waiting, wrong};
use crate::pep::enforce::Known;
use crate::pep::fhir::large::no_disk;
use crate::pep::fhir::session::Exchange;
use crate::pep::respond::{Refused, UpstreamFault};
use crate::spool::{IN_MEMORY, Room, Spooled};

/// What stands around the entries of a page.
///
/// # Errors
/// [`Refused::Upstream`].
pub(super) fn outline(spooled: &Spooled, listing: &Listing, bases: &BaseUrls) -> Result<Outline, Refused> {
    let kind = match listing {
        Listing::Search(..) | Listing::Everything(_) => "searchset",
        Listing::History(_) => "history",
    };
    block_in_place(|| {
        let mut splitter = Splitter::new(Entries::Measured);
        for number in 0..spooled.pieces() {
            splitter.push(piece(spooled, number)?.expose(), |_| ()).map_err(wrong)?;
        }
        splitter.end(kind, bases).map_err(wrong)
    })
}

/// Room for the longest entry of a page, if it is long itself: while entries are read, and not while anything else is
/// asked for that needs room too.
///
/// # Errors
/// [`Refused::Upstream`] if there is none.
pub(super) async fn room(exchange: &Exchange<'_>, outline: &Outline) -> Result<Option<Room>, Refused> {
    let longest = outline.longest as u64;
    if longest <= IN_MEMORY {
        return Ok(None);
    }
    let room = exchange.gateway.spools.room(longest).await;
    room.map(Some).ok_or(Refused::Upstream(UpstreamFault::NoRoom))
}

/// So many records a page of a history may tell of: each is looked at, and they are named in memory, in some 10 MiB.
const MOST_RECORDS: usize = 100_000;

/// The records of which a history tells. There has to be room for its longest entry.
///
/// # Errors
/// [`Refused::Upstream`].
pub(super) fn records(
    spooled: &Spooled,
    of: &HistoryOf,
    bases: &BaseUrls,
) -> Result<BTreeSet<Reference>, Refused> {
    block_in_place(|| {
        let mut records = BTreeSet::new();
        let mut reading = Reading::new(spooled);
        while let Some(batch) = reading.next()? {
            for entry in batch.iter() {
                records.extend(history::Walk::record(entry, of, bases).map_err(wrong)?);
            }
            if records.len() > MOST_RECORDS {
                return Err(Refused::Upstream(UpstreamFault::TooLong));
            }
        }
        Ok(records)
    })
}

impl Pages<'_> {
    /// Decides on each record of a page and writes what leaves and has room.
    pub(super) async fn gather_long(
        &self,
        exchange: &Exchange<'_>,
        looked: &Looked,
        (spooled, outline): (&Spooled, &Outline),
        wanted: Wanted,
        leaving: &mut Leaving,
    ) -> Result<Seen, Refused> {
        let _room = room(exchange, outline).await?;
        let mut walk = self.walk(wanted, outline, &mut leaving.gathered);
        loop {
            let mut reading = Reading::new(spooled);
            while let Some(batch) = block_in_place(|| reading.next())? {
                exchange.still_believed()?;
                self.gather_some(exchange, looked, &batch, (&mut walk, leaving)).await?;
                leaving.put_aside(exchange, Waiting::OfALongPage)?;
            }
            if !walk.goes_on(&mut leaving.gathered) {
                return Ok(walk.seen(outline));
            }
        }
    }

    /// The same of some of its entries, with the looks that it takes at what decisions depend on.
    async fn gather_some(
        &self,
        exchange: &Exchange<'_>,
        looked: &Looked,
        batch: &Batch,
        (walk, leaving): (&mut Walk, &mut Leaving),
    ) -> Result<(), Refused> {
        loop {
            let (mark, step) = (leaving.gathered.mark(), walk.mark());
            block_in_place(|| {
                let mut entries = batch.iter();
                entries
                    .try_for_each(|entry| self.entry(exchange, looked, entry, (walk, &mut leaving.gathered)))
            })
            .map_err(wrong)?;
            if self.enforcer.catch_up().await == Known::AsBefore {
                return Ok(());
            }
            leaving.gathered.back_to(mark);
            walk.back_to(step);
        }
    }

    fn entry(
        &self,
        exchange: &Exchange<'_>,
        looked: &Looked,
        entry: &[u8],
        (walk, gathered): (&mut Walk, &mut Gathered<Note>),
    ) -> Result<(), BadAnswer> {
        let bases = &exchange.upstream.bases;
        match walk {
            Walk::Searchset(walk) => walk.entry(entry, gathered, bases, |resource, found| {
                self.decide(exchange, looked, resource, found)
            }),
            Walk::History(walk) => walk.entry(entry, gathered, bases, |resource| {
                self.decide(exchange, looked, resource, Found::BySearch)
            }),
        }
    }

    fn walk(&self, wanted: Wanted, outline: &Outline, gathered: &mut Gathered<Note>) -> Walk {
        let searchset = |sought, gathered: &mut Gathered<Note>| {
            // A total would be told only where no other's record was found.
            let total = outline.total.filter(|_| self.finds == Finds::WithinReach);
            let outline = Outline { total, ..outline.clone() };
            Walk::Searchset(Box::new(searchset::Walk::begin(sought, wanted, &outline, gathered)))
        };
        match &self.listing {
            Listing::Search(resource_type, companions, _) => {
                searchset(Sought::Type(*resource_type, *companions), gathered)
            }
            Listing::Everything(_) => searchset(Sought::Everything, gathered),
            Listing::History(of) => Walk::History(history::Walk::begin(of.clone(), wanted, gathered)),
        }
    }
}

/// A page that is gone through.
enum Walk {
    Searchset(Box<searchset::Walk>),
    History(history::Walk),
}

/// Where one is, to come back to.
enum Step {
    Searchset(searchset::Step),
    History(history::Walk),
}

impl Walk {
    fn mark(&mut self) -> Step {
        match self {
            Self::Searchset(walk) => Step::Searchset(walk.mark()),
            Self::History(walk) => Step::History(walk.clone()),
        }
    }

    fn back_to(&mut self, step: Step) {
        match (self, step) {
            (Self::Searchset(walk), Step::Searchset(step)) => walk.back_to(step),
            (Self::History(walk), Step::History(before)) => *walk = before,
            (Self::Searchset(_) | Self::History(_), _) => {}
        }
    }

    fn goes_on(&mut self, gathered: &mut Gathered<Note>) -> bool {
        match self {
            Self::Searchset(walk) => walk.goes_on(gathered),
            Self::History(walk) => {
                walk.end(gathered);
                false
            }
        }
    }

    fn seen(&self, outline: &Outline) -> Seen {
        let (found, progress): (usize, Progress) = match self {
            Self::Searchset(walk) => (walk.found(), walk.progress()),
            Self::History(walk) => (walk.found(), walk.progress()),
        };
        Seen { found, progress, after: outline.next.clone() }
    }
}

/// A page as it is read, a piece at a time.
struct Reading<'s> {
    spooled: &'s Spooled,
    next: u64,
    splitter: Splitter,
}

/// The entries that end within one piece.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<'s> Reading<'s> {
    fn new(spooled: &'s Spooled) -> Self {
        Self { spooled, next: 0, splitter: Splitter::new(Entries::Given) }
    }

    /// The entries of the next piece. That the whole is a bundle was found before. Blocking.
    fn next(&mut self) -> Result<Option<Batch>, Refused> {
        if self.next >= self.spooled.pieces() {
            return Ok(None);
        }
        let piece = piece(self.spooled, self.next)?;
        self.next = self.next.saturating_add(1);
        let mut batch = Batch::default();
        let take = |entry: &[u8]| {
            batch.text.extend_from_slice(entry);
            batch.ends.push(batch.text.len());
        };
        self.splitter.push(piece.expose(), take).map_err(wrong)?;
        Ok(Some(batch))
    }
}

impl Batch {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).filter_map(|(begin, end)| self.text.get(*begin..*end))
    }
}

fn piece(spooled: &Spooled, number: u64) -> Result<chartgate_values::Secret<Vec<u8>>, Refused> {
    spooled.piece(number).map_err(|error| Refused::Upstream(no_disk(&error)))
}
