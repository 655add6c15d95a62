//! Clients that are called by an https address and say there what they are. draft-ietf-oauth-client-id-metadata-document,
//! ATTACKS O24 and O25.
//!
//! Where the configuration lets them, they are fetched when they first ask for something and kept like any other client, as
//! long as somebody uses them; a document is asked for again when it is half a day old, or earlier if its owner says so. If
//! nobody answers, what was said within a day is believed; a document that is there and is not good makes its client none at
//! once.

mod fetched;
mod places;

use std::sync::Arc;
use std::time::Duration;

use chartgate_access::client::Client;
use chartgate_access::ids::ClientId;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_audit::journal::{AppendError, Journal};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::{Clock, Phi, Timestamp};
use moka::sync::Cache;
use tokio::sync::Mutex;

use self::fetched::{Verdict, fetch};
use self::places::{PATIENCE, Places, Standing};
use super::changes::{cut_by, unused_record};
use super::in_force::ClientsInForce;
use super::shown::recorded;
use crate::config::DocumentHosts;
use crate::live::cut_offs::LiveCutOffs;
use crate::net::client::egress::Egress;
use crate::net::origin::Origin;
use crate::net::reserve::KeptForOthers;
use crate::net::throttle::{Admission, Buckets, Rate, Throttle};
use crate::store::client_documents::{Described, DocumentAge, Known};
use crate::store::users::Added;
use crate::store::{Store, StoreError};

/// The longest time for which a document is believed.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);
/// The longest for which it is not asked for again: a host that is away for a moment takes no client from anybody.
const KEPT: Duration = Duration::from_secs(43_200);
/// The shortest.
const SHORTEST: Duration = Duration::from_secs(60);
/// The shortest time between two tries.
const TRY_AFTER: Duration = Duration::from_secs(30);
/// Addresses that are remembered as tried.
const REMEMBERED: u64 = 10_000;

/// Finds clients, and asks those who say themselves what they are.
pub(crate) struct Documents {
    clients: Arc<ClientsInForce>,
    egress: Arc<Egress>,
    store: Arc<Store>,
    journal: Journal,
    cut_offs: Arc<LiveCutOffs>,
    throttle: Arc<Throttle>,
    clock: Arc<dyn Clock>,
    /// When an address was last tried in vain; held by the one that asks.
    tried: Cache<String, Arc<Mutex<Option<Timestamp>>>>,
    places: Places,
    /// So many that nobody knew are kept for one address that asks.
    newcomers: Buckets,
}

/// What that takes.
pub(crate) struct Parts {
    pub(crate) clients: Arc<ClientsInForce>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) journal: Journal,
    pub(crate) cut_offs: Arc<LiveCutOffs>,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Nobody can say whether there is such a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unrecorded(#[from] AppendError),
    #[error(transparent)]
    KeptForOthers(#[from] KeptForOthers),
    /// Too many are being asked.
    #[error("too many documents are being asked for")]
    Busy,
    /// Too many that nobody knew, from one address.
    #[error("too many new clients came from one address")]
    TooMany,
}

impl FindError {
    /// Whether strangers bring it about as they like, who are counted.
    pub(crate) fn is_strangers(&self) -> bool {
        match self {
            Self::Store(_) | Self::Unrecorded(_) => false,
            Self::KeptForOthers(_) | Self::Busy | Self::TooMany => true,
        }
    }
}

impl Documents {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { clients, egress, journal, cut_offs, throttle, clock } = parts;
        let newcomers = Buckets::new(Rate::per_hour(clients.registration.per_hour), Arc::clone(&clock));
        let (tried, places, store) = (Cache::new(REMEMBERED), Places::new(), Arc::clone(&clients.store));
        Self { clients, egress, store, journal, cut_offs, throttle, clock, tried, places, newcomers }
    }

    /// Whether anybody may register so.
    pub(crate) fn are_taken(&self) -> bool {
        self.clients.registration.documents != DocumentHosts::None
    }

    /// The client with this name, whoever registered it.
    ///
    /// # Errors
    /// [`FindError`].
    pub(crate) async fn find(
        &self,
        id: &ClientId,
        origin: &Origin,
    ) -> Result<Option<Arc<Client>>, FindError> {
        if !id.is_document() {
            return Ok(self.clients.find(id)?);
        }
        if !self.clients.registration.admits(id) {
            return Ok(None);
        }
        let found = match self.store.read(|sql| sql.described_client(id))? {
            Known::Removed => None,
            Known::Client(known) if self.is_fresh(&known) => self.clients.left_of(known.client),
            Known::Client(_) | Known::Nothing => Box::pin(self.ask_once(id, origin)).await?,
        };
        Ok(found.map(Arc::new))
    }

    /// The client with this name as it is known at this moment, whoever registered it: to look again where a request has
    /// waited since it was found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn in_force(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        self.clients.find(id)
    }

    fn is_fresh(&self, known: &Described) -> bool {
        known.document.is_some_and(|age| self.clock.now() < age.fresh_until)
    }

    /// Asks, unless somebody did while we waited, or in vain a moment ago.
    async fn ask_once(&self, id: &ClientId, origin: &Origin) -> Result<Option<Client>, FindError> {
        // Whoever makes up addresses makes us call, and keep what is found.
        self.throttle.count(origin.ip);
        if let Err(kept) = self.throttle.reserve.admit_stranger() {
            // What is known is believed as long without asking.
            let known = self.store.read(|sql| sql.described_client(id))?;
            return self.clients.believed(known).map(Some).ok_or(kept.into());
        }
        let tried = self.tried.get_with_by_ref(id.as_str(), Arc::default);
        let tried = tokio::time::timeout(PATIENCE, tried.lock()).await;
        let known = self.store.read(|sql| sql.described_client(id))?;
        let Ok(mut tried) = tried else { return self.without_asking(known) };
        let standing = match &known {
            Known::Removed => return Ok(None),
            Known::Client(described) if self.is_fresh(described) => return Ok(self.clients.believed(known)),
            Known::Client(described) if described.document.is_some() => Standing::Known,
            Known::Client(_) | Known::Nothing => Standing::New,
        };
        if tried.is_some_and(|at| self.clock.now() < at.plus(TRY_AFTER)) {
            return Ok(self.clients.believed(known));
        }
        if known == Known::Nothing {
            self.admit_newcomer(self.newcomers.admit(origin.ip), origin).await?;
        }
        let Some(place) = self.places.take(id, standing, origin.ip).await else {
            return self.without_asking(known);
        };
        let fetched = fetch(&self.egress, &self.clients.registration.of_documents(), id).await;
        drop(place);
        match fetched {
            Ok((client, keep)) => {
                *tried = None;
                Ok(self.keep(client, keep, known, origin).await?.and_then(|kept| self.clients.left_of(kept)))
            }
            Err(error) => {
                tracing::warn!(%error, host = id.document_host(), "a client's document cannot be had");
                let left = match error.verdict() {
                    Verdict::Silent => self.clients.believed(known),
                    Verdict::NotGood => {
                        self.forget(known, origin).await?;
                        None
                    }
                };
                *tried = Some(self.clock.now());
                Ok(left)
            }
        }
    }

    /// What is known is believed; where nothing is, nobody can say.
    fn without_asking(&self, known: Known) -> Result<Option<Client>, FindError> {
        self.clients.believed(known).map(Some).ok_or(FindError::Busy)
    }

    /// Whoever brings clients that nobody knew brings few.
    async fn admit_newcomer(&self, admission: Admission, origin: &Origin) -> Result<(), FindError> {
        match admission {
            Admission::Yes => return Ok(()),
            Admission::No => {}
            Admission::NoAndRecord(count) => {
                let mut record = origin.record(Event::AccessThrottled, Outcome::Deny, self.clock.now());
                record.action = Some(Event::ClientAdded.as_str().to_owned());
                record.response.count = Some(count);
                let _ = self.journal.append(&record, ()).await?;
            }
        }
        Err(FindError::TooMany)
    }

    /// Records and keeps what a client says of itself.
    async fn keep(
        &self,
        client: Client,
        keep: Duration,
        known: Known,
        origin: &Origin,
    ) -> Result<Option<Client>, FindError> {
        if known == Known::Nothing {
            self.admit_newcomer(self.newcomers.take(origin.ip), origin).await?;
        }
        let now = self.clock.now();
        let event = match &known {
            Known::Client(before) if before.client == client && before.document.is_some() => None,
            Known::Client(_) => Some(Event::ClientChanged),
            Known::Removed | Known::Nothing => Some(Event::ClientAdded),
        };
        if let Some(event) = event {
            let record = described(&client, event, Outcome::Allow, origin, now);
            let _ = self.journal.append(&record, ()).await?;
        }
        let (kept, age) = (client.clone(), DocumentAge { fetched_at: now, fresh_until: now.plus(keep) });
        let is_new = known == Known::Nothing;
        let surplus = if is_new { self.make_room().await? } else { Vec::new() };
        let kept = self.cut_offs.cut(move |sql, now| {
            let before = sql.client(&kept.client_id)?;
            // One that went meanwhile comes as the new one that it is, when it is asked for again.
            if before.is_none() && !is_new {
                return Ok((Added::NameTaken, Vec::new()));
            }
            let cut = before.map(|before| cut_by(&before, &kept, now)).unwrap_or_default();
            let added = sql.describe_client(&kept, age)?;
            for id in &surplus {
                sql.forget_unused_document(id)?;
            }
            Ok::<_, StoreError>((added, cut))
        });
        Ok((kept.await? == Added::Yes).then_some(client))
    }

    /// Records that those go that nobody used, so that there is room for one more. Whoever is used before they do stays: then it
    /// came to nothing.
    async fn make_room(&self) -> Result<Vec<ClientId>, FindError> {
        let most = self.clients.registration.max_unused.saturating_sub(1);
        let surplus = self.store.read(|sql| sql.surplus_documents(most))?;
        for id in &surplus {
            let _ = self.journal.append(&unused_record(id, self.clock.now()), ()).await?;
        }
        Ok(surplus)
    }

    /// A client is none any more, by what its address says; which is on record before it is so, once. The tokens that it has end
    /// with it.
    async fn forget(&self, known: Known, origin: &Origin) -> Result<(), FindError> {
        let Known::Client(before) = known else { return Ok(()) };
        let Described { client, document: Some(_) } = *before else { return Ok(()) };
        let mut record = described(&client, Event::ClientChanged, Outcome::Deny, origin, self.clock.now());
        record.decision.reason = Some("document-not-good".to_owned());
        let _ = self.journal.append(&record, ()).await?;
        let id = client.client_id;
        let forgotten = self.cut_offs.cut(move |sql, now| {
            sql.forget_document(&id)?;
            Ok::<_, StoreError>(((), vec![CutOff::UpTo { target: Target::Client(id), not_before: now }]))
        });
        Ok(forgotten.await?)
    }
}

/// A record of a client that says itself what it is.
fn described(client: &Client, event: Event, outcome: Outcome, origin: &Origin, now: Timestamp) -> Record {
    let mut record = origin.record(event, outcome, now);
    record.actor.client_id = Some(client.client_id.to_string());
    record.action = Some(event.as_str().to_owned());
    record.resource = Some(Phi::new(client.client_id.to_string()));
    record.detail.insert("registered_by".to_owned(), Phi::new("document".to_owned()));
    for (name, value) in recorded(client) {
        record.detail.insert(name.to_owned(), Phi::new(value));
    }
    record
}
