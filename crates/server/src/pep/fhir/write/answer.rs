//! The answer to a write that was sent: how it went, where the record is, and what of it the caller may read.

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::{Location, Resource};
use chartgate_protocol::fhir::write::Returns;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};

use super::Leaves;
use crate::pep::enforce::Enforcer;
use crate::pep::fhir::mask::{self, Seen, clear};
use crate::pep::fhir::session::{Answered, Exchange};
use crate::pep::fhir::upstream::{Answer, NotDone};
use crate::pep::respond::{Refused, UpstreamFault};

/// Whether the upstream did as it was asked.
fn done(status: StatusCode) -> Result<(), Refused> {
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
        status => Err(NotDone::Refused(status).refused()),
    }
}

impl NotDone {
    /// The refusal that it is.
    pub(in crate::pep::fhir) fn refused(self) -> Refused {
        match self {
            Self::Fault(fault) => Refused::Upstream(fault),
            Self::Refused(StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT) => Refused::Version,
            Self::Refused(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) => {
                Refused::Upstream(UpstreamFault::Rejected)
            }
            Self::Refused(_) => Refused::Upstream(UpstreamFault::Failed),
        }
    }
}

/// The answer to a write that was sent.
pub(in crate::pep::fhir) fn finish(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    leaves: Leaves,
    answer: Withheld<Answer>,
    returns: Returns,
) -> Answered {
    done(answer.inspect().status)?;
    match leaves {
        Leaves::New(resource_type, status) => {
            let there = located(exchange, &answer).filter(|l| l.reference.resource_type == resource_type);
            stored(exchange, enforcer, (resource_type, status), there, answer, returns)
        }
        Leaves::Of(record, status) => {
            let there = match located(exchange, &answer) {
                // Whatever the upstream says of another record is no answer to this write.
                Some(location) if location.reference != record => {
                    return Err(Refused::Upstream(UpstreamFault::Wrong));
                }
                Some(location) => location,
                // It need not say where a record is that was there before: http.html#update.
                None => Location { reference: record, version: None },
            };
            let resource_type = there.reference.resource_type;
            stored(exchange, enforcer, (resource_type, status), Some(there), answer, returns)
        }
        Leaves::Nothing => Ok(answer.map(|_| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        })),
    }
}

/// Where an upstream says that a record is.
fn located(exchange: &Exchange<'_>, answer: &Withheld<Answer>) -> Option<Location> {
    let text = answer.inspect().location.as_deref()?;
    Location::parse(text, &exchange.upstream.bases)
}

/// The answer to a create or update: where the record is, and what was stored if the caller wants it and may read it.
fn stored(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    (resource_type, status): (ResourceType, StatusCode),
    location: Option<Location>,
    withheld: Withheld<Answer>,
    returns: Returns,
) -> Answered {
    let answer = withheld.inspect();
    let bases = &exchange.upstream.bases;
    let seen = match (&location, returns) {
        (Some(location), Returns::Representation) => {
            readable(exchange, enforcer, answer, &location.reference)
        }
        (None, _) | (_, Returns::Minimal) => None,
    };
    if let Some(location) = &location {
        exchange.record.resource = Some(Phi::new(location.reference.to_string()));
        if resource_type == ResourceType::PATIENT {
            exchange.record.patients = vec![Phi::new(location.reference.id.to_string())];
        }
    }
    exchange.record.response.count = Some(1);
    if let Some(seen) = &seen {
        exchange.record.response.bytes = u64::try_from(seen.bytes().len()).ok();
        exchange.record.response.digests = vec![Phi::new(mask::digest(seen.bytes()))];
    }
    let public = location.map(|location| location.public_url(bases));
    Ok(withheld.map(|answer| {
        // Of what nothing is shown it is not told when it was changed either.
        let seen = seen.unwrap_or(Seen::Masked(Bytes::new()));
        let mut response = mask::record_response(status, &answer, &seen);
        if let Some(url) = public.and_then(|url| HeaderValue::from_str(&url).ok()) {
            response.headers_mut().insert(header::LOCATION, url);
        }
        response
    }))
}

/// What was stored, if the caller may read it.
fn readable(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    answer: &Answer,
    record: &Reference,
) -> Option<Seen> {
    let resource = Resource::parse(&answer.body, record, None).ok()?;
    let cleared = clear(exchange, enforcer, Permission::Read, &resource).ok()?;
    Some(Seen::of(cleared.view, &answer.body))
}
