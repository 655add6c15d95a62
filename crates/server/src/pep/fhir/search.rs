//! Search.
//!
//! A search goes upstream narrowed to the patients and constraints of scopes that can be within reach; what comes back is
//! decided on record by record all the same.

use std::collections::BTreeSet;

use chartgate_access::ids::PatientId;
use chartgate_access::pdp::scope::Constrained;
use chartgate_protocol::fhir::interaction::{Interaction, SearchMethod};
use chartgate_protocol::fhir::membership::{Ownership, ownership};
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::outcome::OperationOutcome;
use chartgate_protocol::fhir::paging::{Finds, Listing};
use chartgate_protocol::fhir::search::{Narrowed, SearchError, SearchQuery};
use chartgate_protocol::fhir::searchset::Companions;
use chartgate_protocol::fhir::shape::Shape;
use chartgate_protocol::fhir::version::FhirVersion;
use chartgate_protocol::form::Form;
use chartgate_protocol::smart::scope::Permission;

use super::pages::{self, Cut, Pages};
use super::session::{Answered, Exchange};
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::Refused;

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    authenticated: &Authenticated,
    enforcer: &Enforcer<'_>,
    query: SearchQuery,
    method: SearchMethod,
) -> Answered {
    let resource_type = query.resource_type();
    let own = own_url(exchange, &query);
    let named = query.patients_named();
    enforcer.look_up_for(Permission::Search, resource_type, &named).await;
    let asked = query.clone();
    let by = method;
    let Narrow { query, method, finds, finds_nothing } = narrow(enforcer, query, method)?;
    let companions = if query.brings_along() { Companions::Asked } else { Companions::None };
    let counts = *query.shape() == Shape::Count;
    let listing = Listing::Search(resource_type, companions, query.shape().clone());
    let sent = Interaction::Search { query: query.by_whole_pages(), method };
    let cut = if counts { Cut::NONE } else { Cut::of(asked.count(), &sent, Some((&asked, by)))? };
    let pages = Pages { authenticated, enforcer, listing, own, finds, cut };
    let allowed = pages.in_reach(sent)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    if finds_nothing {
        // For whoever asked for a patient by name, whether there is one or not.
        let hint = if named.is_empty() { None } else { exchange.hint() };
        let hint = hint.as_deref().map(OperationOutcome::emergency);
        return pages::nothing(exchange, &pages.own, hint.as_ref(), allowed.withhold(()));
    }
    let first = exchange.upstream.list(&allowed).await.map_err(Refused::Upstream)?;
    if counts { pages.count(exchange, first).await } else { pages.release(exchange, first).await }
}

/// A search as it goes upstream once more, and what it finds.
pub(super) struct Again {
    pub(super) asked: Interaction,
    pub(super) finds: Finds,
}

/// Reads a search out of a link and narrows it as it is narrowed now.
///
/// # Errors
/// [`Refused::PageLink`] if it finds nothing any more.
pub(super) async fn again(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    (resource_type, method): (ResourceType, SearchMethod),
    asked: &str,
) -> Result<Again, Refused> {
    let form = Form::parse_repeating(asked).map_err(|_| Refused::PageLink)?;
    let query = SearchQuery::parse(exchange.upstream.version(), resource_type, &Form::default(), &form)
        .map_err(|_| Refused::PageLink)?;
    enforcer.look_up_for(Permission::Search, resource_type, &query.patients_named()).await;
    let Narrow { query, method, finds, finds_nothing } = narrow(enforcer, query, method)?;
    if finds_nothing {
        return Err(Refused::PageLink);
    }
    Ok(Again { asked: Interaction::Search { query: query.by_whole_pages(), method }, finds })
}

/// A search as it goes upstream for a caller.
pub(super) struct Narrow {
    pub(super) query: SearchQuery,
    pub(super) method: SearchMethod,
    pub(super) finds: Finds,
    /// It is plain from the question that nothing within reach can be found.
    pub(super) finds_nothing: bool,
}

/// Narrows a search to what can be within reach of its caller.
///
/// # Errors
/// [`Refused::Request`] where it finds by what is kept from the caller.
pub(super) fn narrow(
    enforcer: &Enforcer<'_>,
    query: SearchQuery,
    method: SearchMethod,
) -> Result<Narrow, Refused> {
    let resource_type = query.resource_type();
    for mask in enforcer.masks(Permission::Search, resource_type) {
        // What finds a record by an element tells of that element.
        if let Some(name) = query.beyond(|of, parameter| mask.lets_search(query.version(), of, parameter)) {
            return Err(Refused::Request(SearchError::Parameter(name).into()));
        }
    }
    // What is found by records on the way tells of them, so they have to be within reach, all that there can be.
    if let Some((_, name)) = query.ways().find(|(way, _)| !enforcer.finds_all(*way)) {
        return Err(Refused::Request(SearchError::Parameter(name).into()));
    }
    let only = enforcer.only_patients(Permission::Search, resource_type).map(|only| ids(&only));
    let named = query.patients_named();
    let finds_nothing =
        only.as_ref().is_some_and(|only| finds_nothing(query.version(), resource_type, only, &named));
    let constrained = enforcer.constrained(Permission::Search, resource_type);
    let query = match &constrained {
        Constrained::No | Constrained::InPart => query,
        Constrained::To(asked) => {
            asked.iter().fold(query, |query, (parameter, values)| query.narrowed_to_tokens(parameter, values))
        }
    };
    let (query, method, finds) = match &only {
        None => (query, method, Finds::WithinReach),
        Some(patients) => match query.narrowed_to_patients(patients) {
            // Posted, so that the panel's ids stand in no URL.
            Narrowed::Within(query) => (query, SearchMethod::Post, Finds::WithinReach),
            Narrowed::Open(query) => (query, method, Finds::OthersToo),
        },
    };
    // What an upstream finds by a constraint is for it to say, so what it found besides must not show.
    let finds = if constrained == Constrained::No { finds } else { Finds::OthersToo };
    // Nor may what is withheld for its labels, by a total or by a page with nothing on it.
    let is_somebodys = ownership(query.version(), resource_type) == Ownership::Patients;
    let may_have_labels = is_somebodys && enforcer.withholds_by_label();
    let finds = if may_have_labels { Finds::OthersToo } else { finds };
    // What would leave under another name is withheld where its patients are known.
    let is_known = only.is_some() && enforcer.renames(Permission::Search, resource_type);
    let finds = if is_known { Finds::OthersToo } else { finds };
    // A total that is missing would tell that something that came along was withheld.
    let finds = if query.brings_along() { Finds::OthersToo } else { finds };
    Ok(Narrow { query, method, finds, finds_nothing })
}

fn ids(patients: &BTreeSet<PatientId>) -> BTreeSet<ResourceId> {
    patients.iter().filter_map(|id| id.as_str().parse().ok()).collect()
}

/// Whether it is plain from the question that nothing within reach can be found: then nobody need be asked.
fn finds_nothing(
    version: FhirVersion,
    resource_type: ResourceType,
    only: &BTreeSet<ResourceId>,
    named: &BTreeSet<ResourceId>,
) -> bool {
    match ownership(version, resource_type) {
        Ownership::Patients => only.is_empty() || (!named.is_empty() && named.is_disjoint(only)),
        Ownership::Nobodys | Ownership::Unknown => false,
    }
}

/// The search as the client asked it, written anew.
fn own_url(exchange: &Exchange<'_>, query: &SearchQuery) -> String {
    query.asked().behind(&format!("{}/{}", exchange.upstream.bases.public, query.resource_type()))
}
