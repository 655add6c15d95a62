//! Calling the FHIR server behind a route: a request written anew, with the gateway's own credential.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_access::ids::PatientId;
use chartgate_access::permit::{Allowed, Permit, Withheld};
use chartgate_protocol::fhir::base::BaseUrls;
use chartgate_protocol::fhir::batch::transaction::{self, WriteInTransaction};
use chartgate_protocol::fhir::binary::search_for_pointers;
use chartgate_protocol::fhir::bundle::NextPage;
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::{ResourceId, VersionId};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::search::SearchQuery;
use chartgate_protocol::fhir::version::FhirVersion;

use chartgate_protocol::form::Form;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use super::care::CareRelations;
use super::consents::Consents;
use super::export::Downloads;
use super::large;
use super::minors::Births;
use super::written::Written;
use crate::config::{CareFrom, ConsentCheck, MinorLabels, Route};
use crate::net::client::{Answering, HttpClient};
use crate::net::credential::{self, Credential};
use crate::pep::respond::{Refused, UpstreamFault};
use crate::spool::Spools;

mod export;
mod listing;
mod operation;
mod said;

pub(super) use export::Told;
pub(super) use listing::Listed;
pub(super) use operation::Call;
pub(super) use said::SAID_LIFE;
use said::Said;

/// So many writes by different conditions are under way at once.
const TURNS: usize = 64;
/// How long a write waits for others by conditions like its own.
const TURN_TIME: Duration = Duration::from_secs(30);
/// How long the body of an answer may take.
const BODY_TIME: Duration = Duration::from_secs(60);

/// The FHIR server behind a route.
pub(in crate::pep) struct FhirUpstream {
    client: HttpClient,
    base_path: String,
    credential: Credential,
    max_answer: u64,
    spools: Arc<Spools>,
    pub(super) bases: BaseUrls,
    /// One at a time for each condition of a write, as far as two conditions fall apart.
    turns: Box<[AsyncMutex<()>]>,
    /// Files of exports that are gone through.
    pub(super) downloads: Downloads,
    /// What the server says of itself.
    said: Said,
    /// Who is in whose care by what it says.
    pub(super) care: CareRelations,
    /// What patients have forbidden.
    pub(super) consents: Consents,
    /// When patients were born.
    pub(super) births: Births,
}

/// A write that was decided on.
pub(super) struct Change {
    pub(super) interaction: Interaction,
    /// What is to be stored.
    pub(super) body: Option<String>,
    /// The version that was looked at when it was decided; another one is not touched.
    pub(super) replaces: Option<VersionId>,
}

/// Why no write of a transaction was done, or why it cannot be told.
#[derive(Clone, Copy)]
pub(super) enum NotDone {
    /// The upstream gave no good answer.
    Fault(UpstreamFault),
    /// It refused.
    Refused(StatusCode),
}

impl From<UpstreamFault> for NotDone {
    fn from(fault: UpstreamFault) -> Self {
        Self::Fault(fault)
    }
}

/// What came back, as far as it matters.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) etag: Option<HeaderValue>,
    pub(super) last_modified: Option<HeaderValue>,
    pub(super) location: Option<String>,
    pub(super) body: Bytes,
}

impl FhirUpstream {
    /// Prepares to call a route's upstream.
    ///
    /// # Errors
    /// If its CA cannot be read, or its address or ours is no base URL.
    pub(in crate::pep) fn new(
        route: &Route,
        version: FhirVersion,
        (care, consent, minors): (&CareFrom, &ConsentCheck, MinorLabels),
        issuer: &str,
        spools: Arc<Spools>,
        written: &Written,
    ) -> anyhow::Result<Self> {
        let public = format!("{issuer}{}", route.path);
        let upstream = route.upstream.to_string();
        let (client, credential) = credential::prepare(route)?;
        let bases = BaseUrls { public: public.parse()?, upstream: upstream.parse()?, version };
        let writes = written.at(&bases.upstream);
        Ok(Self {
            client,
            base_path: route.upstream.path().trim_end_matches('/').to_owned(),
            credential,
            max_answer: route.max_answer,
            spools,
            bases,
            turns: (0..TURNS).map(|_| AsyncMutex::new(())).collect(),
            downloads: Downloads::default(),
            said: Said::default(),
            care: CareRelations::new(care.clone(), writes.care),
            consents: Consents::new(consent.clone(), writes.consents),
            births: Births::new(minors, writes.births),
        })
    }

    /// Of which FHIR its records are.
    pub(in crate::pep) fn version(&self) -> FhirVersion {
        self.bases.version
    }

    /// Carries a read or search out. What comes back is withheld until its record is durable.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn fetch(
        &self,
        allowed: &Allowed<Interaction>,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        let interaction = allowed.action();
        let answer = self
            .call(
                interaction.upstream_method(),
                &interaction.upstream_path_and_query(),
                interaction.upstream_form(),
            )
            .await?;
        Ok(allowed.withhold(answer))
    }

    /// The next page of a search, by the upstream's own name for it.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn fetch_page(
        &self,
        allowed: &Allowed<NextPage>,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        Ok(allowed.withhold(self.call("GET", allowed.action().as_str(), None).await?))
    }

    /// A record as it is before it is changed, for the decision whether it may be.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn before(
        &self,
        allowed: &Allowed<Interaction>,
        record: &Reference,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        Ok(allowed.withhold(self.call("GET", &format!("/{record}"), None).await?))
    }

    /// What points to some content, for the decision whether it may be read.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn pointers(
        &self,
        allowed: &Allowed<Interaction>,
        binary: &ResourceId,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        let search = search_for_pointers(binary, &self.bases);
        Ok(allowed.withhold(self.call("GET", &search, None).await?))
    }

    /// Carries a write out: its intent is durable.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn change(&self, permit: Permit<Change>) -> Result<Withheld<Answer>, UpstreamFault> {
        let change = permit.action();
        let mut request = Request::new(Full::from(change.body.clone().unwrap_or_default()));
        *request.method_mut() = Method::from_bytes(change.interaction.upstream_method().as_bytes())
            .map_err(|_| UpstreamFault::Wrong)?;
        *request.uri_mut() = self.uri(&change.interaction.upstream_path_and_query())?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/fhir+json"));
        headers.insert("prefer", HeaderValue::from_static("return=representation"));
        if change.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+json"));
        }
        match (&change.replaces, request.method()) {
            (Some(version), _) => {
                let tag = format!("W/\"{version}\"").parse().map_err(|_| UpstreamFault::Wrong)?;
                request.headers_mut().insert(header::IF_MATCH, tag);
            }
            // What appears meanwhile is not overwritten.
            (None, &Method::PUT) => {
                request.headers_mut().insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
            }
            (None, _) => {}
        }
        let all = || [&change.interaction];
        let _written = (self.care.writing(all()), self.consents.writing(all()), self.births.writing(all()));
        let answer = self.send(request).await?;
        Ok(permit.withhold(answer))
    }

    /// Carries the writes of a transaction out, all or none: the intent of each is durable. What is said of each comes in
    /// the order of the writes, each with what its own transaction calls it.
    ///
    /// # Errors
    /// [`NotDone`].
    pub(super) async fn change_all(
        &self,
        permits: Vec<(Option<&str>, Permit<Change>)>,
    ) -> Result<Vec<Withheld<Answer>>, NotDone> {
        let written = |(name, permit): &(Option<&str>, Permit<Change>)| {
            let Change { interaction, body, replaces } = permit.action();
            WriteInTransaction {
                name: name.map(str::to_owned),
                method: interaction.upstream_method(),
                path: interaction.upstream_path_and_query(),
                body: body.clone(),
                if_match: replaces.as_ref().map(VersionId::entity_tag),
                is_new: replaces.is_none() && interaction.upstream_method() == "PUT",
            }
        };
        let writes: Vec<_> = permits.iter().map(written).collect();
        let mut request = Request::new(Full::from(transaction::request(&writes)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri("")?;
        let headers = request.headers_mut();
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            headers.insert(name, HeaderValue::from_static("application/fhir+json"));
        }
        headers.insert("prefer", HeaderValue::from_static("return=representation"));
        let all = || permits.iter().map(|(_, permit)| &permit.action().interaction);
        let _written = (self.care.writing(all()), self.consents.writing(all()), self.births.writing(all()));
        let answer = self.send(request).await?;
        if answer.status != StatusCode::OK {
            return Err(NotDone::Refused(answer.status));
        }
        let said = transaction::answers(&answer.body, permits.len()).map_err(|_| UpstreamFault::Wrong)?;
        let header = |text: &Option<Cow<'_, str>>| text.as_deref().and_then(|text| text.parse().ok());
        let mut answers = Vec::with_capacity(said.len());
        for ((_, permit), said) in permits.into_iter().zip(said) {
            let own = Answer {
                status: StatusCode::from_u16(said.status).map_err(|_| UpstreamFault::Wrong)?,
                etag: header(&said.etag),
                last_modified: None,
                location: said.location.map(Cow::into_owned),
                body: said.resource.map(|text| answer.body.slice_ref(text.as_bytes())).unwrap_or_default(),
            };
            answers.push(permit.withhold(own));
        }
        Ok(answers)
    }

    /// Waits until nobody else writes by conditions like these. Whoever waits for several does so in one order.
    pub(super) async fn turns_of(
        &self,
        conditions: impl Iterator<Item = &SearchQuery>,
    ) -> Result<Vec<MutexGuard<'_, ()>>, Refused> {
        let turns = self.turns.len() as u64;
        let turn = |condition: &SearchQuery| {
            let mut hasher = DefaultHasher::new();
            condition.in_one_order().hash(&mut hasher);
            usize::try_from(hasher.finish().checked_rem(turns)?).ok()
        };
        let wanted: BTreeSet<usize> = conditions.filter_map(turn).collect();
        let mut held = Vec::with_capacity(wanted.len());
        for turn in wanted.iter().filter_map(|at| self.turns.get(*at)) {
            let turn = tokio::time::timeout(TURN_TIME, turn.lock()).await.map_err(|_| Refused::Busy)?;
            held.push(turn);
        }
        Ok(held)
    }

    /// The entries of these patients, for the picker, by one posted search.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn patients(&self, ids: &BTreeSet<PatientId>) -> Result<Answer, UpstreamFault> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let mut form = Form::default();
        form.push("_id", &ids.join(","));
        form.push("_count", &ids.len().to_string());
        self.call("POST", "/Patient/_search", Some(form.encode())).await
    }

    /// The latest encounters of a patient, for the picker, by one posted search.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub(super) async fn encounters(&self, patient: &PatientId, most: usize) -> Result<Answer, UpstreamFault> {
        let mut form = Form::default();
        form.push("patient", &format!("Patient/{}", patient.as_str()));
        form.push("_sort", "-date");
        form.push("_count", &most.to_string());
        self.call("POST", "/Encounter/_search", Some(form.encode())).await
    }

    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        form: Option<String>,
    ) -> Result<Answer, UpstreamFault> {
        self.send(self.question(method, path, form)?).await
    }

    fn question(
        &self,
        method: &str,
        path: &str,
        form: Option<String>,
    ) -> Result<Request<Full<Bytes>>, UpstreamFault> {
        let is_form = form.is_some();
        let mut request = Request::new(Full::from(form.unwrap_or_default()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| UpstreamFault::Wrong)?;
        *request.uri_mut() = self.uri(path)?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/fhir+json"));
        // A lenient server drops what it does not know, and a search without its criteria finds everything.
        headers.insert("prefer", HeaderValue::from_static("handling=strict"));
        // RFC 9111 section 5.2.1.4. Who may see what, and whether a condition is met, is decided by what comes back, so it
        // has to be what is there now: HAPI FHIR answers a search from its cache for a minute unless this is said.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_form {
            let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(header::CONTENT_TYPE, urlencoded);
        }
        Ok(request)
    }

    fn uri(&self, path_and_query: &str) -> Result<Uri, UpstreamFault> {
        let target = format!("{}{path_and_query}", self.base_path);
        let target = if target.is_empty() { "/".to_owned() } else { target };
        Uri::try_from(target).map_err(|_| UpstreamFault::Wrong)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, UpstreamFault> {
        let (head, content) = self.respond(request).await?.into_parts();
        let text = |name| head.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = large::take(&self.spools, content, self.max_answer, BODY_TIME).await?;
        Ok(Answer {
            status: head.status,
            location: text(header::LOCATION),
            etag: head.headers.get(header::ETAG).cloned(),
            last_modified: head.headers.get(header::LAST_MODIFIED).cloned(),
            body,
        })
    }

    async fn respond(&self, request: Request<Full<Bytes>>) -> Result<Response<Answering>, UpstreamFault> {
        self.is_of_this_version().await?;
        self.reach(request).await
    }

    async fn reach(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Answering>, UpstreamFault> {
        let credential = self.credential.header().await?;
        if let Some(credential) = credential.clone() {
            request.headers_mut().insert(header::AUTHORIZATION, credential);
        }
        let response = self.client.call(request).await.map_err(UpstreamFault::from)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.credential.was_refused(credential.as_ref());
        }
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(UpstreamFault::Wrong);
        }
        Ok(response)
    }
}
