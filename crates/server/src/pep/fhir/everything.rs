//! All that there is of a patient: what a search would find and a read of each record would give, and no other patient's.

use chartgate_protocol::fhir::everything::EverythingQuery;
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::paging::{Finds, Listing};
use chartgate_protocol::fhir::search::SearchError;
use chartgate_protocol::smart::scope::Permission;

use super::pages::{Cut, Pages};
use super::read;
use super::session::{Answered, Exchange};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::Refused;

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    patient: ResourceId,
    query: EverythingQuery,
) -> Answered {
    // What finds a record by when it was tells of that.
    let keeps = |of: ResourceType| {
        let masks = [Permission::Read, Permission::Search].map(|permission| enforcer.masks(permission, of));
        masks.iter().flatten().any(|mask| mask.concerns(of.as_str()))
    };
    if let Some(name) =
        query.asks_when().filter(|_| ResourceType::all(exchange.upstream.version()).any(keeps))
    {
        return Err(Refused::Request(SearchError::Parameter(name).into()));
    }
    // A patient who may not be read is not there, by the same call and the same bytes.
    let looked = Interaction::Read { resource_type: ResourceType::PATIENT, id: patient.clone() };
    read::serve(exchange, enforcer, looked).await.map(drop)?;
    exchange.record.response = Default::default();
    let own =
        query.to_form().behind(&format!("{}/Patient/{patient}/$everything", exchange.upstream.bases.public));
    let count = query.count();
    let asked = Interaction::Everything { patient: patient.clone(), query: query.by_whole_pages() };
    let cut = Cut::of(count, &asked, None)?;
    let listing = Listing::Everything(patient);
    let pages = Pages { authenticated, enforcer, listing, own, finds: Finds::OthersToo, cut };
    let allowed = pages.in_reach(asked)?;
    let first = exchange.upstream.list(&allowed).await.map_err(Refused::Upstream)?;
    pages.release(exchange, first).await
}
