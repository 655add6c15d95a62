//! Clients that are called by an https address and say there what they are. draft-ietf-oauth-client-id-metadata-document,
//! ATTACKS O24 and O25.
//!
//! Where the configuration lets them, they are fetched when they first ask for something and kept like any other client;
//! a document is asked for again when it is a day old, or earlier if its owner says so. If nobody answers, what was said
//! within a day is believed; a document that is there and is not good makes its client none at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::client::{Client, Registrar};
use chartgate_access::ids::ClientId;
use chartgate_audit::journal::{AppendError, Journal};
use chartgate_audit::record::{Event, Outcome};
use chartgate_protocol::oauth::client_metadata::{ClientMetadata, ClientMetadataError};
use chartgate_values::{Clock, Phi, Timestamp};
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;
use moka::sync::Cache;
use tokio::sync::{Mutex, Semaphore};

use super::Unregistrable;
use super::changes::cut_by;
use crate::config::{DocumentHosts, Registration};
use crate::live::cut_offs::LiveCutOffs;
use crate::live::remote_keys::kept_for;
use crate::net::body::BodyError;
use crate::net::client::egress::{Egress, EgressError};
use crate::net::origin::Origin;
use crate::net::reserve::KeptForOthers;
use crate::net::throttle::Throttle;
use crate::store::client_documents::{Described, DocumentAge, Known};
use crate::store::users::Added;
use crate::store::{Store, StoreError};

/// The longest time for which a document is believed.
const LONGEST: Duration = Duration::from_secs(86_400);
/// The shortest for which it is not asked for again.
const SHORTEST: Duration = Duration::from_secs(60);
/// The shortest time between two tries.
const TRY_AFTER: Duration = Duration::from_secs(30);
/// So many are asked at once.
const AT_ONCE: usize = 16;
/// Addresses that are remembered as tried.
const REMEMBERED: u64 = 10_000;

/// Finds clients, and asks those who say themselves what they are.
pub(crate) struct Documents {
    registration: Registration,
    egress: Arc<Egress>,
    store: Arc<Store>,
    journal: Journal,
    cut_offs: Arc<LiveCutOffs>,
    throttle: Arc<Throttle>,
    clock: Arc<dyn Clock>,
    /// When an address was last tried in vain; held by the one that asks.
    tried: Cache<String, Arc<Mutex<Option<Timestamp>>>>,
    calls: Semaphore,
}

/// What that takes.
pub(crate) struct Parts {
    pub(crate) registration: Registration,
    pub(crate) egress: Arc<Egress>,
    pub(crate) store: Arc<Store>,
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
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    /// Nobody answers just now.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// Too many are being asked.
    #[error("too many documents are being asked for")]
    Busy,
    #[error("status {0}")]
    Status(StatusCode),
    #[error("not of the type application/json")]
    MediaType,
    #[error(transparent)]
    Metadata(#[from] ClientMetadataError),
    #[error(transparent)]
    Unregistrable(#[from] Unregistrable),
}

/// What a failure says of a document.
enum Verdict {
    /// Nothing.
    Silent,
    /// That there is none, or no good one.
    NotGood,
}

impl Documents {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { registration, egress, store, journal, cut_offs, throttle, clock } = parts;
        let (tried, calls) = (Cache::new(REMEMBERED), Semaphore::new(AT_ONCE));
        Self { registration, egress, store, journal, cut_offs, throttle, clock, tried, calls }
    }

    /// Whether anybody may register so.
    pub(crate) fn are_taken(&self) -> bool {
        self.registration.documents != DocumentHosts::None
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
            let found = self.store.registered(id)?;
            return Ok(found.and_then(|found| self.within_policy(&found.client)));
        }
        if !self.registration.admits(id) {
            return Ok(None);
        }
        let found = match self.store.read(|sql| sql.described_client(id))? {
            Known::Removed => None,
            Known::Client(known) if self.is_fresh(&known) => Some(known.client),
            Known::Client(_) | Known::Nothing => Box::pin(self.ask_once(id, origin)).await?,
        };
        Ok(found.and_then(|client| self.registration.of_documents().still(client)).map(Arc::new))
    }

    /// The client with this name as it is known at this moment, whoever registered it: to look again where a request has
    /// waited since it was found.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn known(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        let found = self.store.registered(id)?;
        Ok(found.and_then(|found| match id.is_document() {
            true => self.registration.of_documents().still(Client::clone(&found.client)).map(Arc::new),
            false => self.within_policy(&found.client),
        }))
    }

    /// What is left of a client by the configuration, which may have changed since it was registered. What an invitation
    /// says stands: it was somebody's word.
    fn within_policy(&self, client: &Arc<Client>) -> Option<Arc<Client>> {
        match client.options.registrar {
            Registrar::Operator | Registrar::Invited => Some(Arc::clone(client)),
            Registrar::Anybody => self.registration.of_anybody().still(Client::clone(client)).map(Arc::new),
        }
    }

    fn is_fresh(&self, known: &Described) -> bool {
        known.document.is_some_and(|age| self.clock.now() < age.fresh_until)
    }

    /// What is held, as long as it may be believed.
    fn believed(&self, known: Known) -> Option<Client> {
        match known {
            Known::Client(known) => {
                let believed = |age: DocumentAge| self.clock.now() < age.fetched_at.plus(LONGEST);
                known.document.is_some_and(believed).then_some(known.client)
            }
            Known::Removed | Known::Nothing => None,
        }
    }

    /// Asks, unless somebody did while we waited, or in vain a moment ago.
    async fn ask_once(&self, id: &ClientId, origin: &Origin) -> Result<Option<Client>, FindError> {
        // Whoever makes up addresses makes us call, and keep what is found.
        self.throttle.count(origin.ip);
        self.throttle.reserve.admit_stranger()?;
        let tried = self.tried.get_with_by_ref(id.as_str(), Arc::default);
        let mut tried = tried.lock().await;
        let known = self.store.read(|sql| sql.described_client(id))?;
        match &known {
            Known::Client(described) if self.is_fresh(described) => return Ok(self.believed(known)),
            Known::Removed => return Ok(None),
            Known::Client(_) | Known::Nothing => {}
        }
        let now = self.clock.now();
        if tried.is_some_and(|at| now < at.plus(TRY_AFTER)) {
            return Ok(self.believed(known));
        }
        match self.fetch(id).await {
            Ok((client, keep)) => {
                *tried = None;
                self.keep(client, keep, known, origin).await
            }
            Err(error) => {
                *tried = Some(now);
                tracing::warn!(%error, host = id.document_host(), "a client's document cannot be had");
                match error.verdict() {
                    Verdict::Silent => Ok(self.believed(known)),
                    Verdict::NotGood => {
                        let id = id.clone();
                        self.store.write(move |sql| sql.forget_document(&id)).await?;
                        Ok(None)
                    }
                }
            }
        }
    }

    /// The client as it says now that it is, and for how long that is good.
    async fn fetch(&self, id: &ClientId) -> Result<(Client, Duration), FetchError> {
        let Ok(_call) = self.calls.try_acquire() else { return Err(FetchError::Busy) };
        let mut request = Request::new(Full::<Bytes>::default());
        *request.uri_mut() = id.as_str().parse::<Uri>().map_err(|_| EgressError::Address)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.egress.send(request).await?;
        if answer.status != StatusCode::OK {
            return Err(FetchError::Status(answer.status));
        }
        let media_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_json) {
            return Err(FetchError::MediaType);
        }
        let mut said = ClientMetadata::document(&answer.body, id.as_str())?;
        let policy = self.registration.of_documents();
        if let Some(grants) = &mut said.grant_types {
            // It is written for other servers too.
            grants.retain(|grant| policy.grant_types.contains(grant));
        }
        let client = policy.judge(id.clone(), Registrar::Operator, said)?;
        Ok((client, kept_for(&answer.headers).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)))
    }

    /// Records and keeps what a client says of itself.
    async fn keep(
        &self,
        client: Client,
        keep: Duration,
        known: Known,
        origin: &Origin,
    ) -> Result<Option<Client>, FindError> {
        let now = self.clock.now();
        let event = match &known {
            Known::Client(before) if before.client == client => None,
            Known::Client(_) => Some(Event::ClientChanged),
            Known::Removed | Known::Nothing => Some(Event::ClientAdded),
        };
        if let Some(event) = event {
            let mut record = origin.record(event, Outcome::Allow, now);
            record.actor.client_id = Some(client.client_id.to_string());
            record.action = Some(event.as_str().to_owned());
            record.resource = Some(Phi::new(client.client_id.to_string()));
            for (name, value) in [
                ("registered_by", "document".to_owned()),
                ("kind", client.kind.to_string()),
                ("profile", client.options.profile.to_string()),
                ("scope", client.scope.to_string()),
            ] {
                record.detail.insert(name.to_owned(), Phi::new(value));
            }
            let _ = self.journal.append(&record, ()).await?;
        }
        let (kept, age) = (client.clone(), DocumentAge { fetched_at: now, fresh_until: now.plus(keep) });
        let kept = self.cut_offs.cut(move |sql, now| {
            let before = sql.client(&kept.client_id)?;
            let cut = before.map(|before| cut_by(&before, &kept, now)).unwrap_or_default();
            Ok((sql.describe_client(&kept, age)?, cut))
        });
        match kept.await {
            Ok(Added::Yes) => Ok(Some(client)),
            Ok(Added::NameTaken) => Ok(None),
            Err::<_, StoreError>(error) => Err(error.into()),
        }
    }
}

impl FetchError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Busy => Verdict::Silent,
            Self::Status(status) if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS => {
                Verdict::Silent
            }
            Self::Egress(
                EgressError::Call(_)
                | EgressError::Body(BodyError::TooSlow | BodyError::Broken)
                | EgressError::TooSlow,
            ) => Verdict::Silent,
            Self::Egress(
                EgressError::Address | EgressError::NotPublic | EgressError::Body(BodyError::TooLong(_)),
            )
            | Self::Status(_)
            | Self::MediaType
            | Self::Metadata(_)
            | Self::Unregistrable(_) => Verdict::NotGood,
        }
    }
}

/// `application/json`, or a type built on it: section 4.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
