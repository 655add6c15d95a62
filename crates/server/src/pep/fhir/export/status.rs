//! How far an export is, what came of it, and giving it up.

use axum::body::Body;
use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::bulk::{ExportJob, Manifest, UpstreamPlace, percentage};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::{address, exportable, kept, not_stored, owner, still_exportable};
use crate::pep::enforce::Enforcer;
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::Told;
use crate::pep::respond::{Refused, UpstreamFault};
use crate::store::exports::KeptExport;

/// When to ask again, in seconds, where the upstream does not say.
const RETRY_AFTER: u32 = 5;
/// And at the most.
const LONGEST_WAIT: u32 = 3600;

pub(super) async fn serve(exchange: &mut Exchange<'_>, enforcer: &Enforcer<'_>, id: &str) -> Answered {
    let KeptExport { job, expires_at } = kept(exchange, enforcer, id)?;
    let types = still_exportable(enforcer, &job)?;
    let place = job.upstream.clone().ok_or(Refused::NotFound)?;
    let allowed = allowed(enforcer, &job, &place)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let manifest = match &job.manifest {
        Some(manifest) => manifest.clone(),
        None => {
            let told = exchange.upstream.export_status(&allowed).await.map_err(Refused::Upstream)?;
            match told.inspect().status {
                StatusCode::OK => {}
                StatusCode::ACCEPTED => return Ok(told.map(|told| running(&told))),
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    forget(exchange, enforcer, id).await?;
                    return Err(Refused::NotFound);
                }
                _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
            }
            let manifest = Manifest::parse(&told.inspect().body, &job.query.types, &exchange.upstream.bases)
                .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
            let job = ExportJob { manifest: Some(manifest.clone()), ..job.clone() };
            let (own, kept) = (id.to_owned(), KeptExport { job, expires_at });
            let noted = exchange.gateway.store.write(move |sql| sql.note_export(&own, &kept)).await;
            noted.map_err(|error| not_stored(&error))?;
            manifest
        }
    };
    let files: Vec<usize> = (0..manifest.files.len())
        .filter(|number| manifest.files.get(*number).is_some_and(|file| types.contains(&file.resource_type)))
        .collect();
    exchange.record.response.count = u64::try_from(files.len()).ok();
    let body = job.manifest_for(&manifest, &address(exchange, id), &files);
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(expires) = HeaderValue::from_str(&expires_at.http_date()) {
        response.headers_mut().insert(header::EXPIRES, expires);
    }
    Ok(allowed.withhold(response))
}

/// That it goes on. Of the upstream's words about it a number is told.
fn running(told: &Told) -> Response<Body> {
    let text = |name| told.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let progress = match text(HeaderName::from_static("x-progress")).and_then(percentage) {
        Some(hundredths) => format!("in progress: {hundredths}%"),
        None => "in progress".to_owned(),
    };
    let wait: Option<u32> = text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
    let wait = wait.unwrap_or(RETRY_AFTER).clamp(1, LONGEST_WAIT);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(progress) = HeaderValue::from_str(&progress) {
        response.headers_mut().insert("x-progress", progress);
    }
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

/// Gives an export up: it is gone for its client whatever the upstream says to that.
pub(super) async fn cancel(exchange: &mut Exchange<'_>, enforcer: &Enforcer<'_>, id: &str) -> Answered {
    let KeptExport { job, .. } = kept(exchange, enforcer, id)?;
    let place = job.upstream.clone().ok_or(Refused::NotFound)?;
    let allowed = allowed(enforcer, &job, &place)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let permit = exchange.intend(allowed).await?;
    forget(exchange, enforcer, id).await?;
    let gone = match exchange.upstream.cancel_export(permit).await {
        Ok(answer) => answer.map(drop),
        // It will expire there; nobody has its address.
        Err(_) => Withheld::new(()),
    };
    Ok(gone.map(|()| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::ACCEPTED;
        response
    }))
}

async fn forget(exchange: &Exchange<'_>, enforcer: &Enforcer<'_>, id: &str) -> Result<(), Refused> {
    let (own, owner, now) = (id.to_owned(), owner(exchange, enforcer), exchange.gateway.clock.now());
    let taken = exchange.gateway.store.write(move |sql| sql.take_export(&own, &owner, now)).await;
    match taken.map_err(|error| not_stored(&error))? {
        Some(_) => Ok(()),
        None => Err(Refused::NotFound),
    }
}

/// Leave to ask after an export of which some type is within reach still.
fn allowed(
    enforcer: &Enforcer<'_>,
    job: &ExportJob,
    place: &UpstreamPlace,
) -> Result<Allowed<UpstreamPlace>, Refused> {
    let mut last = Refused::NotFound;
    for one in &job.query.types {
        match exportable(enforcer, &job.of, *one, place.clone()) {
            Ok(allowed) => return Ok(allowed),
            Err(refused) => last = refused,
        }
    }
    Err(last)
}
