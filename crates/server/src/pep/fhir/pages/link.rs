//! The link to a further page: what the upstream calls it, under seal, for one caller under what they are allowed now.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_access::pdp::caller::Caller;
use chartgate_protocol::fhir::paging::{Holder, Listing, Next, PageLink, Place};
use chartgate_values::Phi;
use http::Method;
use http::request::Parts as Head;
use serde_json::json;

use super::{Cut, Pages, action, address};
use crate::entropy::{SystemEntropy, digest_of};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::respond::{Refused, UpstreamFault};

/// The one parameter of a link to a further page.
const PAGE: &str = "_page=";
/// How long such a link is good.
const PAGE_LIFE: Duration = Duration::from_secs(900);

/// The sealed link of a request for a further page.
pub(in crate::pep::fhir) fn page_link(head: &Head) -> Option<&str> {
    let query = head.uri.query().filter(|_| head.method == Method::GET)?;
    query.strip_prefix(PAGE).filter(|sealed| !sealed.contains('&'))
}

/// Answers a request for a further page.
pub(in crate::pep::fhir) async fn next_page(
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
    let Some(PageLink { listing, asked, page, past, size, finds, .. }) = opened else {
        return Err(Refused::PageLink);
    };
    let own = format!("{}?{PAGE}{sealed}", address(exchange, &listing));
    exchange.record.action = Some(action(&listing).to_owned());
    exchange.record.resource = Some(Phi::new(match &listing {
        Listing::Search(resource_type, ..) => resource_type.to_string(),
        Listing::History(of) => format!("{of}/_history"),
        Listing::Everything(patient) => format!("Patient/{patient}/$everything"),
    }));
    let pages = Pages { authenticated, enforcer, listing, own, finds, cut: Cut { count: None, asked } };
    let first = pages.turned_to(exchange, page.as_ref()).await?;
    pages.release_from(exchange, first, Place { page, past, size: Some(size) }).await
}

impl Pages<'_> {
    /// The link to a page.
    pub(super) fn seal(&self, exchange: &Exchange<'_>, to: Next) -> Result<String, Refused> {
        let link = PageLink {
            holder: holder(exchange, self.authenticated),
            listing: self.listing.clone(),
            asked: self.cut.asked.clone(),
            page: to.page,
            past: to.past,
            size: to.size,
            finds: self.finds,
            expires_at: exchange.gateway.clock.now().plus(PAGE_LIFE),
        };
        let place = exchange.route.name.as_bytes();
        let sealed = exchange
            .gateway
            .paging
            .seal(&mut SystemEntropy, place, link.to_json().as_bytes())
            .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        Ok(format!("{}?{PAGE}{}", address(exchange, &self.listing), URL_SAFE_NO_PAD.encode(sealed)))
    }
}

/// For whom and under what a page is given.
fn holder(exchange: &Exchange<'_>, authenticated: &Authenticated) -> Holder {
    let Caller { facts, smart: _, scopes, details, patient, fhir_user } = &authenticated.caller;
    let authority = json!({
        "scopes": scopes,
        "patient": patient,
        "fhir_user": fhir_user.as_ref().map(ToString::to_string),
        "roles": facts.roles,
        "acr": facts.acr,
        "amr": facts.amr,
        "purpose_of_use": facts.purpose_of_use,
        "records": details.records,
        "emergency": details.emergency.as_ref().map(|emergency| emergency.id.as_str()),
        "upstream": exchange.upstream.bases.upstream.to_string(),
    });
    Holder {
        route: exchange.route.name.clone(),
        subject: facts.subject.to_string(),
        client_id: facts.client_id.to_string(),
        authority_digest: digest_of(authority.to_string()),
        policy_revision: exchange.gateway.policies.current().revision().to_owned(),
    }
}
