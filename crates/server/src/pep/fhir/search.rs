//! Search, and the further pages of one.
//!
//! A search goes upstream narrowed to the patients and constraints of scopes that can be within reach; what comes back is decided on record by
//! record all the same. The upstream's link to its next page is given to the client under seal, good for this caller
//! under these scopes and policies for a quarter of an hour.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use chartgate_access::ids::PatientId;
use chartgate_access::pdp::scope::Constrained;
use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::interaction::{Interaction, SearchMethod};
use chartgate_protocol::fhir::membership::{Ownership, ownership};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::paging::{Finds, Holder, PageLink};
use chartgate_protocol::fhir::search::{Narrowed, SearchQuery};
use chartgate_protocol::fhir::searchset::{Disposition, Links, NextPage, Released, Searchset};
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::large;
use super::mask::{self, clear};
use super::session::{Answered, Exchange};
use super::upstream::Answer;
use crate::entropy::{SystemEntropy, digest_of};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::{Refused, UpstreamFault};
use crate::spool::IN_MEMORY;

/// The one parameter of a link to a further page.
const PAGE: &str = "_page=";
/// How many further pages are looked at for one request.
const PAGES_AT_ONCE: u32 = 50;
/// How long such a link is good.
const PAGE_LIFE: Duration = Duration::from_secs(900);

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    query: SearchQuery,
    method: SearchMethod,
) -> Answered {
    let resource_type = query.resource_type();
    let only = enforcer.only_patients(Permission::Search, resource_type);
    let own = own_url(exchange, &query);
    let named = query.patients_named();
    let constrained = enforcer.constrained(Permission::Search, resource_type);
    let query = match &constrained {
        Constrained::No | Constrained::InPart => query,
        Constrained::To(asked) => {
            asked.iter().fold(query, |query, (parameter, values)| query.narrowed_to_tokens(parameter, values))
        }
    };
    let (query, method, finds) = match &only {
        None => (query, method, Finds::WithinReach),
        Some(patients) => match query.narrowed_to_patients(&ids(patients)) {
            // Posted, so that the panel's ids stand in no URL.
            Narrowed::Within(query) => (query, SearchMethod::Post, Finds::WithinReach),
            Narrowed::Open(query) => (query, method, Finds::OthersToo),
        },
    };
    // What an upstream finds by a constraint is for it to say, so what it found besides must not show.
    let finds = if constrained == Constrained::No { finds } else { Finds::OthersToo };
    let allowed = in_reach(enforcer, resource_type, Interaction::Search { query, method })?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    if only.is_some_and(|patients| finds_nothing(resource_type, &ids(&patients), &named)) {
        let nothing = Released::nothing(&own);
        return Ok(finish(exchange, nothing, allowed.withhold(Bytes::new())));
    }
    let first = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    let pages = Pages { authenticated, enforcer, resource_type, own, finds };
    pages.release(exchange, first).await
}

fn ids(patients: &BTreeSet<PatientId>) -> BTreeSet<ResourceId> {
    patients.iter().filter_map(|id| id.as_str().parse().ok()).collect()
}

/// Whether it is plain from the question that nothing within reach can be found: then nobody need be asked.
fn finds_nothing(
    resource_type: ResourceType,
    only: &BTreeSet<ResourceId>,
    named: &BTreeSet<ResourceId>,
) -> bool {
    match ownership(resource_type) {
        Ownership::Patients => only.is_empty() || (!named.is_empty() && named.is_disjoint(only)),
        Ownership::Nobodys | Ownership::Unknown => false,
    }
}

/// The sealed link of a request for a further page.
pub(super) fn page_link(head: &Head) -> Option<&str> {
    let query = head.uri.query().filter(|_| head.method == Method::GET)?;
    query.strip_prefix(PAGE).filter(|sealed| !sealed.contains('&'))
}

pub(super) async fn next_page(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    sealed: &str,
) -> Answered {
    exchange.record.action = Some("search".to_owned());
    let holder = holder(exchange, authenticated);
    let opened = URL_SAFE_NO_PAD
        .decode(sealed)
        .ok()
        .and_then(|sealed| exchange.gateway.paging.open(exchange.route.name.as_bytes(), &sealed).ok())
        .and_then(|text| PageLink::open(text.expose(), &holder, exchange.gateway.clock.now()).ok());
    // One answer for altered, foreign and expired links: the search can be asked anew.
    let Some(link) = opened else { return Err(Refused::PageLink) };
    let PageLink { resource_type, page, finds, .. } = link;
    exchange.record.resource = Some(Phi::new(resource_type.to_string()));
    let allowed = in_reach(enforcer, resource_type, page)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let first = exchange.upstream.fetch_page(&allowed).await.map_err(Refused::Upstream)?;
    let own = format!("{}/{resource_type}?{PAGE}{sealed}", exchange.upstream.bases.public);
    let pages = Pages { authenticated, enforcer, resource_type, own, finds };
    pages.release(exchange, first).await
}

fn in_reach<A>(
    enforcer: &Enforcer<'_>,
    resource_type: ResourceType,
    action: A,
) -> Result<chartgate_access::permit::Allowed<A>, Refused> {
    enforcer
        .type_in_reach(Permission::Search, resource_type, action)
        .map_err(|denied| Refused::Type(denied, Some((Permission::Search, resource_type.to_string()))))
}

/// A search under way, page by page.
struct Pages<'a> {
    authenticated: &'a Authenticated,
    enforcer: &'a Enforcer<'a>,
    resource_type: ResourceType,
    /// The page's own address, for the client.
    own: String,
    finds: Finds,
}

impl Pages<'_> {
    /// Releases a page with the link to the one after it.
    ///
    /// Where others' records are found too, a page on which all is withheld is passed over, and a next page is offered
    /// only if there is something on it to release: else the link would tell that others' records exist.
    async fn release(&self, exchange: &mut Exchange<'_>, first: Withheld<Answer>) -> Answered {
        let mut page = first;
        let mut next = self.parse(exchange, &page)?.next().cloned();
        let mut left = PAGES_AT_ONCE;
        if self.finds == Finds::OthersToo {
            while self.visible(exchange, &page)? == 0
                && let Some(after) = next
            {
                page = self.fetch(exchange, after, &mut left).await?;
                next = self.parse(exchange, &page)?.next().cloned();
            }
            while let Some(candidate) = next.take() {
                let ahead = self.fetch(exchange, candidate.clone(), &mut left).await?;
                if self.visible(exchange, &ahead)? > 0 {
                    next = Some(candidate);
                    break;
                }
                next = self.parse(exchange, &ahead)?.next().cloned();
            }
        }
        let link = next.map(|page| self.seal(exchange, page)).transpose()?;
        let (released, told) = self.decide(exchange, &page, link.as_deref())?;
        let record = &mut exchange.record;
        // Whom the caller asked for by name stays on record, found or not.
        let mut patients = told.patients;
        patients.extend(std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed));
        record.patients = patients.into_iter().map(Phi::new).collect();
        if !told.policies.is_empty() {
            record.decision.policies = told.policies.into_iter().collect();
        }
        record.response.digests = told.digests;
        Ok(finish(exchange, released, page.map(|page| page.body)))
    }

    async fn fetch(
        &self,
        exchange: &Exchange<'_>,
        page: NextPage,
        left: &mut u32,
    ) -> Result<Withheld<Answer>, Refused> {
        *left = left.checked_sub(1).ok_or(Refused::TooWide)?;
        let allowed = in_reach(self.enforcer, self.resource_type, page)?;
        exchange.upstream.fetch_page(&allowed).await.map_err(Refused::Upstream)
    }

    fn parse<'p>(
        &self,
        exchange: &Exchange<'_>,
        page: &'p Withheld<Answer>,
    ) -> Result<Searchset<'p>, Refused> {
        let answer = page.inspect();
        match answer.status {
            StatusCode::OK => {}
            // The upstream did not take a parameter that FHIR has: say so rather than fail.
            StatusCode::BAD_REQUEST => return Err(Refused::Upstream(UpstreamFault::Rejected)),
            _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
        }
        Searchset::parse(&answer.body, self.resource_type, &exchange.upstream.bases)
            .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))
    }

    /// How many records of a page would be released.
    fn visible(&self, exchange: &Exchange<'_>, page: &Withheld<Answer>) -> Result<usize, Refused> {
        Ok(self.decide(exchange, page, None)?.0.released)
    }

    /// Decides on each record of a page and writes the bundle that leaves.
    fn decide(
        &self,
        exchange: &Exchange<'_>,
        page: &Withheld<Answer>,
        next: Option<&str>,
    ) -> Result<(Released, Told), Refused> {
        if page.inspect().body.len() as u64 > IN_MEMORY {
            // Long enough that others should not wait for it on this thread.
            return tokio::task::block_in_place(|| self.decide_here(exchange, page, next));
        }
        self.decide_here(exchange, page, next)
    }

    fn decide_here(
        &self,
        exchange: &Exchange<'_>,
        page: &Withheld<Answer>,
        next: Option<&str>,
    ) -> Result<(Released, Told), Refused> {
        let mut told = Told::default();
        let links = Links { own: &self.own, next };
        let searchset = match self.finds {
            Finds::WithinReach => self.parse(exchange, page)?,
            // A total would be told only where no other's record was found.
            Finds::OthersToo => self.parse(exchange, page)?.without_total(),
        };
        let released = searchset.release(links, &exchange.upstream.bases, |resource| {
            match clear(exchange, self.enforcer, Permission::Search, resource) {
                Ok(cleared) => {
                    told.patients.extend(cleared.patients);
                    told.policies.extend(cleared.policies);
                    told.digests.push(Phi::new(mask::digest(cleared.view.text())));
                    Disposition::Release(cleared.view)
                }
                Err(_) => Disposition::Withhold,
            }
        });
        Ok((released, told))
    }

    fn seal(&self, exchange: &Exchange<'_>, page: NextPage) -> Result<String, Refused> {
        let link = PageLink {
            holder: holder(exchange, self.authenticated),
            resource_type: self.resource_type,
            page,
            finds: self.finds,
            expires_at: exchange.gateway.clock.now().plus(PAGE_LIFE),
        };
        let place = exchange.route.name.as_bytes();
        let sealed = exchange
            .gateway
            .paging
            .seal(&mut SystemEntropy, place, link.to_json().as_bytes())
            .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        let base = &exchange.upstream.bases.public;
        Ok(format!("{base}/{}?{PAGE}{}", self.resource_type, URL_SAFE_NO_PAD.encode(sealed)))
    }
}

/// What the record tells of the records that were released.
#[derive(Default)]
struct Told {
    patients: BTreeSet<String>,
    policies: BTreeSet<String>,
    digests: Vec<Phi<String>>,
}

/// Notes what is released, and makes it the answer.
fn finish(
    exchange: &mut Exchange<'_>,
    released: Released,
    page: Withheld<Bytes>,
) -> Withheld<Response<Body>> {
    let Released { body, released, withheld, .. } = released;
    let response = &mut exchange.record.response;
    response.count = u64::try_from(released).ok();
    response.withheld = u64::try_from(withheld).ok();
    response.bytes = u64::try_from(body.len()).ok();
    page.map(|page| {
        let mut response = Response::new(Body::from(body));
        large::made_from(&mut response, &page);
        let json = HeaderValue::from_static(mask::FHIR_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    })
}

/// For whom and under what a page is given.
fn holder(exchange: &Exchange<'_>, authenticated: &Authenticated) -> Holder {
    let caller = &authenticated.caller;
    let scopes: Vec<&str> = caller.scopes.iter().map(String::as_str).collect();
    let context = caller.patient.as_ref().map_or("", |id| id.as_str());
    Holder {
        route: exchange.route.name.clone(),
        subject: caller.facts.subject.to_string(),
        client_id: caller.facts.client_id.to_string(),
        scope_digest: digest_of(format!("{} {context}", scopes.join(" "))),
        policy_revision: exchange.gateway.policies.current().revision().to_owned(),
    }
}

/// The search as the client asked it, written anew.
fn own_url(exchange: &Exchange<'_>, query: &SearchQuery) -> String {
    let form = query.to_form().encode();
    let separator = if form.is_empty() { "" } else { "?" };
    format!("{}/{}{separator}{form}", exchange.upstream.bases.public, query.resource_type())
}
