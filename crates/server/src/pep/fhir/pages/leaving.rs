//! What leaves of an answer that comes page by page, and what the record tells of it.

use std::collections::BTreeSet;

use axum::body::Body;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::NOTHING_OF;
use chartgate_protocol::fhir::bundle::{Gathered, Links, Released};
use chartgate_protocol::fhir::membership::Ownership;
use chartgate_protocol::fhir::name::ResourceId;
use chartgate_protocol::fhir::outcome::OperationOutcome;
use chartgate_values::Phi;
use http::{HeaderValue, Response, header};
use tokio::task::block_in_place;

use crate::pep::fhir::large::{no_disk, out_of_spool};
use crate::pep::fhir::mask::FHIR_JSON;
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::respond::Refused;
use crate::spool::Spool;

/// What is written so far and was not put aside yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiting {
    /// As much as is written into a spool at once, where what comes lies in one itself.
    OfALongPage,
    /// What leaves of several pages that are short themselves.
    OfManyPages,
}

impl Waiting {
    /// So much may wait.
    fn most(self) -> usize {
        match self {
            Self::OfALongPage => 256 << 10,
            Self::OfManyPages => 4 << 20,
        }
    }
}

/// What the record tells of one record that was released.
pub(super) struct Note {
    pub(super) patients: Vec<String>,
    pub(super) policies: Vec<String>,
    pub(super) digest: Phi<String>,
}

impl Note {
    /// Whether the record is this patient's, or of a type that is nobody's. One of which it cannot be told whose it is may be
    /// another's.
    pub(super) fn is_of(&self, patient: &ResourceId, ownership: Ownership) -> bool {
        ownership == Ownership::Nobodys || self.patients.iter().any(|own| own == patient.as_str())
    }
}

/// What the record tells of all that was released.
#[derive(Default)]
struct Told {
    patients: BTreeSet<String>,
    policies: BTreeSet<String>,
    digests: Vec<Phi<String>>,
}

impl Extend<Note> for Told {
    fn extend<I: IntoIterator<Item = Note>>(&mut self, notes: I) {
        for Note { patients, policies, digest } in notes {
            self.patients.extend(patients);
            self.policies.extend(policies);
            self.digests.push(digest);
        }
    }
}

impl Told {
    /// The same with what was counted and does not leave, so that it has no digest.
    fn count(&mut self, notes: Vec<Note>) {
        for Note { patients, policies, digest: _ } in notes {
            self.patients.extend(patients);
            self.policies.extend(policies);
        }
    }

    /// Notes all of it but the digests, which are of what left.
    fn whose(self, exchange: &mut Exchange<'_>) -> Vec<Phi<String>> {
        let Self { mut patients, policies, digests } = self;
        let record = &mut exchange.record;
        // Whom the caller asked for by name stays on record, found or not; of whom nothing was found is told apart.
        let named: BTreeSet<String> =
            std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed).collect();
        let not_found: Vec<&str> = named.difference(&patients).map(String::as_str).collect();
        if !not_found.is_empty() {
            record.detail.insert(NOTHING_OF.to_owned(), Phi::new(not_found.join(" ")));
        }
        patients.extend(named);
        record.patients = patients.into_iter().map(Phi::new).collect();
        if !policies.is_empty() {
            record.decision.policies = policies.into_iter().collect();
        }
        digests
    }
}

/// A bundle that is being written. What is long goes into a spool as it is.
pub(super) struct Leaving {
    pub(super) gathered: Gathered<Note>,
    told: Told,
    spool: Option<Spool>,
    /// Whether it is counted and not written.
    counts: bool,
}

impl Leaving {
    pub(super) fn new(gathered: Gathered<Note>) -> Self {
        Self { gathered, told: Told::default(), spool: None, counts: false }
    }

    /// What is counted alone: no text of it is kept, and no digest.
    pub(super) fn count() -> Self {
        Self { counts: true, ..Self::new(Gathered::count()) }
    }

    /// Puts what is written so far aside, if that is much.
    ///
    /// # Errors
    /// [`Refused::Upstream`] if there is no disk for it.
    pub(super) fn put_aside(&mut self, exchange: &Exchange<'_>, waiting: Waiting) -> Result<(), Refused> {
        if self.counts {
            let (_, notes) = self.gathered.take();
            self.told.count(notes);
            return Ok(());
        }
        if self.gathered.waiting() < waiting.most() {
            return Ok(());
        }
        let (text, notes) = self.gathered.take();
        self.told.extend(notes);
        let failed = |error: std::io::Error| Refused::Upstream(no_disk(&error));
        let spool = self.spool.take();
        let written = block_in_place(|| {
            let mut spool = spool.map_or_else(|| exchange.gateway.spools.begin(), Ok)?;
            spool.write(&text).map(|()| spool)
        });
        self.spool = Some(written.map_err(failed)?);
        Ok(())
    }

    /// Notes what is released, and makes it the answer.
    ///
    /// # Errors
    /// [`Refused::Upstream`] if there is no disk for it.
    pub(super) fn finish<T>(
        self,
        exchange: &mut Exchange<'_>,
        links: Links<'_>,
        page: Withheld<T>,
    ) -> Answered {
        let Self { gathered, told, spool, .. } = self;
        finish(exchange, gathered.into_bundle(links), (told, spool), page)
    }

    /// Notes whose the records are that were counted, and makes their number the answer.
    pub(super) fn finish_count<T>(
        self,
        exchange: &mut Exchange<'_>,
        own: &str,
        page: Withheld<T>,
    ) -> Answered {
        let Self { mut gathered, mut told, .. } = self;
        let (_, notes) = gathered.take();
        told.count(notes);
        let total = u64::try_from(gathered.released).unwrap_or(u64::MAX);
        let answer = finish(exchange, Gathered::searchset().into_count(own, total), (told, None), page)?;
        let response = &mut exchange.record.response;
        response.count = Some(total);
        response.withheld = u64::try_from(gathered.withheld).ok();
        Ok(answer)
    }
}

/// The answer to a search that can find nothing.
pub(in crate::pep::fhir) fn nothing(
    exchange: &mut Exchange<'_>,
    own: &str,
    outcome: Option<&OperationOutcome>,
    page: Withheld<()>,
) -> Answered {
    finish(exchange, Released::nothing(own, outcome), (Told::default(), None), page)
}

/// Notes what is released, and makes it the answer.
fn finish<T>(
    exchange: &mut Exchange<'_>,
    released: Released<Note>,
    (mut told, spool): (Told, Option<Spool>),
    page: Withheld<T>,
) -> Answered {
    let Released { body, withheld, notes, .. } = released;
    told.extend(notes);
    // Nothing of it is noted before it is sure to be there.
    let spooled = match spool {
        None => None,
        Some(mut spool) => {
            let ended = block_in_place(|| spool.write(body.as_bytes()).and_then(|()| spool.end()));
            Some(ended.map_err(|error| Refused::Upstream(no_disk(&error)))?)
        }
    };
    let length = spooled.as_ref().map_or(body.len() as u64, crate::spool::Spooled::length);
    let digests = told.whose(exchange);
    let response = &mut exchange.record.response;
    response.count = u64::try_from(digests.len()).ok();
    response.withheld = u64::try_from(withheld).ok();
    response.digests = digests;
    response.bytes = Some(length);
    let guard = exchange.guard();
    Ok(page.map(|_| {
        let mut response = match spooled {
            Some(spooled) => out_of_spool(spooled, guard),
            None => Response::new(Body::from(body)),
        };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        response
    }))
}
