//! Search, and the further pages of one.
//!
//! A search goes upstream narrowed to the patients that can be within reach; what comes back is decided on record by
//! record all the same. The upstream's link to its next page is given to the client under seal, good for this caller
//! under these scopes and policies for a quarter of an hour.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::interaction::{Interaction, SearchMethod};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::paging::{Holder, PageLink};
use chartgate_protocol::fhir::search::SearchQuery;
use chartgate_protocol::fhir::searchset::{Disposition, Links, NextPage, Released, Searchset};
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::mask::{self, clear};
use super::session::{Answered, Exchange};
use super::upstream::Answer;
use crate::entropy::{SystemEntropy, digest_of};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::{Refused, UpstreamFault};

/// The one parameter of a link to a further page.
const PAGE: &str = "_page=";
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
    let narrowed = match &only {
        None => query,
        Some(patients) => {
            let ids: BTreeSet<ResourceId> =
                patients.iter().filter_map(|id| id.as_str().parse().ok()).collect();
            query.narrowed_to_patients(&ids)
        }
    };
    let interaction = Interaction::Search { query: narrowed, method };
    let allowed = in_reach(enforcer, resource_type, interaction)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let withheld = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    release(exchange, authenticated, enforcer, resource_type, &own, withheld)
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
    exchange.record.resource = Some(Phi::new(link.resource_type.to_string()));
    let allowed = in_reach(enforcer, link.resource_type, link.page.clone())?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let withheld = exchange.upstream.fetch_page(&allowed).await.map_err(Refused::Upstream)?;
    let own = format!("{}/{}?{PAGE}{sealed}", exchange.upstream.bases.public, link.resource_type);
    release(exchange, authenticated, enforcer, link.resource_type, &own, withheld)
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

/// Decides on each record of a page and writes the bundle that leaves.
fn release(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    resource_type: ResourceType,
    own: &str,
    withheld: Withheld<Answer>,
) -> Answered {
    let answer = withheld.inspect();
    match answer.status {
        StatusCode::OK => {}
        // The upstream did not take a parameter that FHIR has: say so rather than fail.
        StatusCode::BAD_REQUEST => return Err(Refused::Upstream(UpstreamFault::Rejected)),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let wrong = |_| Refused::Upstream(UpstreamFault::Wrong);
    let bases = &exchange.upstream.bases;
    let searchset = Searchset::parse(&answer.body, resource_type, bases).map_err(wrong)?;
    let next = searchset.next().map(|page| seal(exchange, authenticated, resource_type, page)).transpose()?;
    let (mut patients, mut policies) = (BTreeSet::new(), BTreeSet::new());
    let mut digests = Vec::new();
    let links = Links { own, next: next.as_deref() };
    let Released { body, released, withheld: kept, .. } = searchset.release(links, bases, |resource| {
        match clear(exchange, enforcer, Permission::Search, resource_type, resource.value()) {
            Ok(cleared) => {
                patients.extend(cleared.patients);
                policies.extend(cleared.policies);
                digests.push(Phi::new(mask::digest(resource.text().get())));
                Disposition::Release
            }
            Err(_) => Disposition::Withhold,
        }
    });
    let record = &mut exchange.record;
    record.patients = patients.into_iter().map(Phi::new).collect();
    if !policies.is_empty() {
        record.decision.policies = policies.into_iter().collect();
    }
    record.response.count = u64::try_from(released).ok();
    record.response.withheld = u64::try_from(kept).ok();
    record.response.bytes = u64::try_from(body.len()).ok();
    record.response.digests = digests;
    Ok(withheld.map(|_| {
        let mut response = Response::new(Body::from(body));
        let json = HeaderValue::from_static(mask::FHIR_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }))
}

fn seal(
    exchange: &Exchange<'_>,
    authenticated: &Authenticated,
    resource_type: ResourceType,
    page: &NextPage,
) -> Result<String, Refused> {
    let link = PageLink {
        holder: holder(exchange, authenticated),
        resource_type,
        page: page.clone(),
        expires_at: exchange.gateway.clock.now().plus(PAGE_LIFE),
    };
    let place = exchange.route.name.as_bytes();
    let sealed = exchange
        .gateway
        .paging
        .seal(&mut SystemEntropy, place, link.to_json().as_bytes())
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let base = &exchange.upstream.bases.public;
    Ok(format!("{base}/{resource_type}?{PAGE}{}", URL_SAFE_NO_PAD.encode(sealed)))
}

/// For whom and under what a page is given.
fn holder(exchange: &Exchange<'_>, authenticated: &Authenticated) -> Holder {
    let caller = &authenticated.caller;
    let scopes: Vec<&str> = caller.other_scopes.iter().map(String::as_str).collect();
    let context = caller.patient.as_ref().map_or("", |id| id.as_str());
    Holder {
        route: exchange.route.name.clone(),
        subject: caller.facts.subject.to_string(),
        client_id: caller.facts.client_id.to_string(),
        scope_digest: digest_of(&format!("{} {context}", scopes.join(" "))),
        policy_revision: exchange.gateway.policies.current().revision().to_owned(),
    }
}

/// The search as the client asked it, written anew.
fn own_url(exchange: &Exchange<'_>, query: &SearchQuery) -> String {
    let form = query.to_form().encode();
    let separator = if form.is_empty() { "" } else { "?" };
    format!("{}/{}{separator}{form}", exchange.upstream.bases.public, query.resource_type())
}
