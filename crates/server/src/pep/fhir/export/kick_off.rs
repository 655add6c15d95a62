//! The kick-off: what may be exported is decided before anything begins, and every type is named upstream.

use std::time::Duration;

use axum::body::Body;
use chartgate_access::ids::Jti;
use chartgate_protocol::fhir::bulk::{ExportJob, ExportOf, ExportQuery, UpstreamPlace};
use chartgate_protocol::fhir::membership::{Ownership, ownership};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::search::{SearchError, ShownName};
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::{address, exportable, exportable_of, group, not_stored, note, owner};
use crate::config::Exports;
use crate::entropy::SystemEntropy;
use crate::pep::enforce::Enforcer;
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::Told;
use crate::pep::respond::{Refused, UpstreamFault};
use crate::store::exports::KeptExport;

/// How long a place is held for an export that is being begun.
const BEGINNING: Duration = Duration::from_mins(5);

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    exports: Exports,
    of: ExportOf,
    query: ExportQuery,
) -> Answered {
    exchange.record.resource = Some(Phi::new(of.path()));
    exportable_of(enforcer, &of)?;
    let types = types(exchange, enforcer, &of, &query).await?;
    let Some(first) = types.first().copied() else { return Err(Refused::Scope("system/*.rs".to_owned())) };
    let since_is_kept = |of: &ResourceType| {
        enforcer.masks(Permission::Search, *of).iter().any(|mask| mask.concerns(of.as_str()))
    };
    if query.since.is_some() && types.iter().any(since_is_kept) {
        // What finds a record by when it was changed tells of that.
        return Err(Refused::Request(SearchError::Parameter(ShownName::of("_since")).into()));
    }
    if let ExportOf::Group(id) = &of {
        group(exchange, enforcer, id).await.map(drop)?;
    }
    let request = format!("{}{}", exchange.upstream.bases.public, query.behind(&of));
    let query = ExportQuery { types, ..query };
    let allowed = exportable(enforcer, &of, first, query.behind(&of))?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let job = ExportJob { of, query, request, upstream: None, manifest: None };
    let id = Jti::random(&mut SystemEntropy).to_string();
    note(exchange, &id);
    hold(exchange, enforcer, exports, &id, &job).await?;
    match begin(exchange, exports, &id, job, allowed).await {
        Ok(answer) => Ok(answer),
        Err(refused) => {
            let (owner, now) = (owner(exchange, enforcer), exchange.gateway.clock.now());
            let forgotten = exchange.gateway.store.write(move |sql| sql.take_export(&id, &owner, now)).await;
            forgotten.map_err(|error| not_stored(&error))?;
            Err(refused)
        }
    }
}

/// The types that are exported: those that are named, all of which have to be within reach, or all that are, of those that
/// the server has.
async fn types(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    of: &ExportOf,
    query: &ExportQuery,
) -> Result<Vec<ResourceType>, Refused> {
    if !query.types.is_empty() {
        for one in &query.types {
            exportable(enforcer, of, *one, ()).map(drop)?;
        }
        return Ok(query.types.clone());
    }
    let now = exchange.gateway.clock.now();
    let said = exchange.upstream.capabilities(now).await.map_err(Refused::Upstream)?;
    let said: Value = serde_json::from_slice(&said).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let resources = said.pointer("/rest/0/resource").and_then(Value::as_array).into_iter().flatten();
    let version = exchange.upstream.version();
    let theirs = resources.filter_map(|one| ResourceType::of(version, one.get("type")?.as_str()?).ok());
    let of_it = |one: &ResourceType| match (of, ownership(version, *one)) {
        (_, Ownership::Patients) | (ExportOf::System, Ownership::Nobodys) => true,
        (ExportOf::Patients | ExportOf::Group(_), Ownership::Nobodys) | (_, Ownership::Unknown) => false,
    };
    Ok(theirs.filter(of_it).filter(|one| exportable(enforcer, of, *one, ()).is_ok()).collect())
}

/// Holds a place for an export, as long as there is one.
async fn hold(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    exports: Exports,
    id: &str,
    job: &ExportJob,
) -> Result<(), Refused> {
    let now = exchange.gateway.clock.now();
    let kept = KeptExport { job: job.clone(), expires_at: now.plus(BEGINNING) };
    let (owner, id) = (owner(exchange, enforcer), id.to_owned());
    let held =
        exchange.gateway.store.write(move |sql| sql.begin_export(&id, &owner, &kept, exports.at_once, now));
    match held.await.map_err(|error| not_stored(&error))? {
        true => Ok(()),
        false => Err(Refused::TooManyExports),
    }
}

async fn begin(
    exchange: &mut Exchange<'_>,
    exports: Exports,
    id: &str,
    job: ExportJob,
    allowed: chartgate_access::permit::Allowed<String>,
) -> Answered {
    let permit = exchange.intend(allowed).await?;
    let told = exchange.upstream.begin_export(permit).await.map_err(Refused::Upstream)?;
    let place = begun(exchange, told.inspect())?;
    let kept = KeptExport {
        job: ExportJob { upstream: Some(place), ..job },
        expires_at: exchange.gateway.clock.now().plus(exports.life),
    };
    let own = id.to_owned();
    let noted = exchange.gateway.store.write(move |sql| sql.note_export(&own, &kept)).await;
    noted.map_err(|error| not_stored(&error))?;
    let location = HeaderValue::try_from(address(exchange, id));
    let location = location.map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    Ok(told.map(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(header::CONTENT_LOCATION, location);
        response
    }))
}

/// Where the upstream will tell of it.
fn begun(exchange: &Exchange<'_>, told: &Told) -> Result<UpstreamPlace, Refused> {
    let fault = match told.status {
        StatusCode::ACCEPTED => {
            let location = told.headers.get(header::CONTENT_LOCATION).and_then(|value| value.to_str().ok());
            let place = location.and_then(|url| UpstreamPlace::of(url, &exchange.upstream.bases));
            return place.ok_or(Refused::Upstream(UpstreamFault::Wrong));
        }
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::NOT_IMPLEMENTED => UpstreamFault::Rejected,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => UpstreamFault::NoRoom,
        _ => UpstreamFault::Failed,
    };
    Err(Refused::Upstream(fault))
}
