//! The versions of a record, or of all of a type.
//!
//! Each version is decided on by what stood in it. A type's history cannot be narrowed to anybody's records, so it is not
//! for tokens that name their patients.

use chartgate_protocol::fhir::history::{HistoryOf, HistoryQuery};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::paging::{Finds, Listing};
use chartgate_protocol::fhir::search::SearchError;
use chartgate_protocol::smart::scope::Permission;

use super::pages::{Cut, Pages};
use super::session::{Answered, Exchange};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::{Enforcer, TypeDenied};
use crate::pep::respond::Refused;

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    of: HistoryOf,
    query: HistoryQuery,
) -> Answered {
    if let HistoryOf::Type(resource_type) = &of
        && !enforcer.is_policys(Permission::Search, *resource_type)
    {
        let wanted = (Permission::Search, resource_type.to_string());
        return Err(Refused::Type(TypeDenied::Scope, Some(wanted)));
    }
    let resource_type = of.resource_type();
    let permission = match &of {
        HistoryOf::Type(_) => Permission::Search,
        HistoryOf::Record(_) => Permission::Read,
    };
    let masks = enforcer.masks(permission, resource_type);
    if let Some(name) = query.asks_when().filter(|_| masks.iter().any(|m| m.concerns(resource_type.as_str())))
    {
        return Err(Refused::Request(SearchError::Parameter(name).into()));
    }
    let own = query.to_form().behind(&format!("{}/{of}/_history", exchange.upstream.bases.public));
    let listing = Listing::History(of.clone());
    let count = query.count();
    let asked = Interaction::History { of, query: query.by_whole_pages() };
    let cut = Cut::of(count, &asked, None)?;
    let pages = Pages { authenticated, enforcer, listing, own, finds: Finds::OthersToo, cut };
    let allowed = pages.in_reach(asked)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let first = exchange.upstream.list(&allowed).await.map_err(Refused::Upstream)?;
    pages.release(exchange, first).await
}
