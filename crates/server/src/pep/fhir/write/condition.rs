//! Writes of the record that a search finds. HL7 FHIR 4.0.1, http.html#ccreate, #cond-update and #cond-delete.
//!
//! The search is the caller's own: narrowed to what they may find, and what it finds is decided on, so that no other
//! record's being there is told. Then the write is one of a record that is named, in the version that was found. Nothing
//! of the condition goes upstream, where it would be tried on everybody's records.

use axum::body::Body;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::Response as AuditResponse;
use chartgate_protocol::fhir::bundle::Links;
use chartgate_protocol::fhir::interaction::{ConditionalWrite, Interaction, SearchMethod};
use chartgate_protocol::fhir::name::VersionId;
use chartgate_protocol::fhir::paging::PAGES_AT_ONCE;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Location;
use chartgate_protocol::fhir::search::SearchQuery;
use chartgate_protocol::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use chartgate_protocol::fhir::write::{Draft, Returns};
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};

use super::{Replaces, write_named};
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::fhir::mask::{clear, in_reach};
use crate::pep::fhir::read;
use crate::pep::fhir::search::{Narrow, narrow};
use crate::pep::fhir::session::{Answered, Exchange, Sent};
use crate::pep::respond::{Refused, UpstreamFault};

/// What meets a condition, as far as it matters.
enum Met {
    None,
    By(Reference, Option<VersionId>),
    BySeveral,
}

/// What a conditional write comes to.
pub(in crate::pep::fhir) enum Resolved {
    /// A write of a record that is named, or a new one; with this content, if not with that which came.
    Named(Interaction, Option<String>, Replaces),
    /// Nothing: what was to be created is there.
    There(Reference),
}

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    query: SearchQuery,
    write: ConditionalWrite,
    sent: Sent<'_>,
) -> Answered {
    // Two who ask for the same record to be there go one after the other, so that it is made once.
    let _turn = exchange.upstream.turns_of([&query].into_iter()).await?;
    match resolve(exchange, enforcer, query, write, sent.content).await? {
        Resolved::There(record) => there(exchange, enforcer, record, sent.returns).await,
        Resolved::Named(interaction, body, replaces) => {
            exchange.describe(&interaction);
            let content = body.as_ref().map_or(sent.content, |body| body.as_bytes());
            write_named(exchange, enforcer, interaction, replaces, Sent { content, ..sent }).await
        }
    }
}

/// Tries the condition. Whoever does has the turn.
pub(in crate::pep::fhir) async fn resolve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    query: SearchQuery,
    write: ConditionalWrite,
    content: &[u8],
) -> Result<Resolved, Refused> {
    let resource_type = query.resource_type();
    let needed = match &write {
        ConditionalWrite::Create => Permission::Create,
        ConditionalWrite::Update(_) | ConditionalWrite::Patch(_) => Permission::Update,
        ConditionalWrite::Delete(_) => Permission::Delete,
    };
    in_reach(enforcer, needed, resource_type, ()).map(drop)?;
    let met = met(exchange, enforcer, query).await?;
    let named = |id| Interaction::Update { resource_type, id, if_match: None };
    let mut replaces = Replaces::Any;
    let (interaction, body) = match (write, met) {
        (_, Met::BySeveral) => return Err(Refused::Several),
        (ConditionalWrite::Create, Met::By(record, _)) => return Ok(Resolved::There(record)),
        (ConditionalWrite::Create, Met::None) => (Interaction::Create { resource_type }, None),
        (ConditionalWrite::Update(seen), Met::By(record, found)) => {
            let body = Draft::body_for(content, &record).map_err(Refused::Draft)?;
            let Reference { id, .. } = record;
            (Interaction::Update { resource_type, id, if_match: seen.or(found) }, Some(body))
        }
        // RFC 9110 section 13.1.1: If-Match is false where there is nothing.
        (ConditionalWrite::Update(Some(_)), Met::None) => return Err(Refused::Version),
        (ConditionalWrite::Update(None), Met::None) => {
            // What has the id and does not meet the condition was not meant.
            replaces = Replaces::None;
            (Draft::id_in(content).map_or(Interaction::Create { resource_type }, named), None)
        }
        (ConditionalWrite::Patch(seen), Met::By(record, _)) => {
            (Interaction::Patch { resource_type, id: record.id, if_match: seen }, None)
        }
        (ConditionalWrite::Delete(seen), Met::By(record, found)) => {
            (Interaction::Delete { resource_type, id: record.id, if_match: seen.or(found) }, None)
        }
        (ConditionalWrite::Patch(_) | ConditionalWrite::Delete(_), Met::None) => {
            return Err(Refused::NotFound);
        }
    };
    Ok(Resolved::Named(interaction, body, replaces))
}

async fn met(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    query: SearchQuery,
) -> Result<Met, Refused> {
    let resource_type = query.resource_type();
    let bases = &exchange.upstream.bases;
    enforcer.look_up_for(Permission::Search, resource_type, &query.patients_named()).await;
    // Posted, so that the criteria stand in no URL.
    let Narrow { query, finds_nothing, .. } = narrow(enforcer, query, SearchMethod::Post)?;
    // By pages that are not small, so that how many are looked at tells of no few that stay.
    let asked = Interaction::Search { query: query.by_whole_pages(), method: SearchMethod::Post };
    let allowed = in_reach(enforcer, Permission::Search, resource_type, asked)?;
    if finds_nothing {
        return Ok(Met::None);
    }
    let mut page = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    let mut met: Vec<(Reference, Option<VersionId>)> = Vec::new();
    for _ in 0..PAGES_AT_ONCE {
        let answer = page.inspect();
        match answer.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => return Err(Refused::Upstream(UpstreamFault::Rejected)),
            _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
        }
        let (within, next) = loop {
            let found = Searchset::parse(&answer.body, Sought::Type(resource_type, Companions::None), bases)
                .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
            let next = found.next().cloned();
            let nowhere = Links { own: "", next: None };
            let within = found.release(nowhere, bases, |resource, _| {
                match clear(exchange, enforcer, Permission::Search, resource) {
                    // One that has another name here is not found by its own.
                    Ok(cleared) if cleared.view.renamed().is_none() => {
                        let met = (resource.reference().clone(), resource.version());
                        Disposition::Release(cleared.view, (met, cleared.patients))
                    }
                    Ok(_) | Err(_) => Disposition::Withhold,
                }
            });
            if enforcer.catch_up().await == Known::AsBefore {
                break (within.notes, next);
            }
        };
        for (one, patients) in within {
            met.push(one);
            exchange.record.patients.extend(patients.into_iter().map(Phi::new));
        }
        if met.len() > 1 {
            return Ok(Met::BySeveral);
        }
        let Some(next) = next else {
            return Ok(met.pop().map_or(Met::None, |(record, version)| Met::By(record, version)));
        };
        exchange.still_believed()?;
        let allowed = in_reach(enforcer, Permission::Search, resource_type, next)?;
        page = exchange.upstream.fetch_page(&allowed).await.map_err(Refused::Upstream)?;
    }
    Err(Refused::TooWide)
}

/// The answer where what was to be made is there: where it is, and the record, if the caller wants it and may read it.
pub(in crate::pep::fhir) async fn there(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    record: Reference,
    returns: Returns,
) -> Answered {
    let Reference { resource_type, id } = record.clone();
    let read = Interaction::Read { resource_type, id };
    let location = Location { reference: record, version: None }.public_url(&exchange.upstream.bases);
    let location = HeaderValue::from_str(&location).ok();
    let with_location = |mut response: Response<Body>| {
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    };
    match (read::serve(exchange, enforcer, read.clone()).await, returns) {
        (Ok(answer), Returns::Representation) => {
            // Nothing is made: what the log has to tell is that it was read.
            exchange.describe(&read);
            Ok(answer.map(with_location))
        }
        (Ok(answer), Returns::Minimal) => {
            exchange.record.response = AuditResponse::default();
            Ok(answer
                .map(|response| with_location(Response::from_parts(response.into_parts().0, Body::empty()))))
        }
        // It may be found and not read, so that there is one is all that is told.
        (Err(Refused::Record(_) | Refused::Type(..)), _) => Ok(Withheld::new(Response::new(Body::empty()))),
        (Err(refused), _) => Err(refused),
    }
}
