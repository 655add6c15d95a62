//! Create, update, patch and delete.
//!
//! What is to be changed is looked at first, as a read would be: where the caller may not touch it, it does not exist. What
//! is to be stored is decided on like what is there. The change names the version that was looked at, so that none in
//! between is lost. Its intent is durable before it goes upstream, its outcome before the answer leaves.

use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::{ResourceType, VersionId};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::{Location, Resource};
use chartgate_protocol::fhir::write::Draft;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};

use std::collections::BTreeSet;

use axum::body::Body;
use bytes::Bytes;

mod patch;

use super::mask::{self, Cleared, clear, decide};
use super::session::{Answered, Exchange};
use super::upstream::{Answer, Change};
use crate::config::{RouteKind, UpdateCreate};
use crate::pep::enforce::{Enforcer, Naming};
use crate::pep::respond::{Refused, UpstreamFault};

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
    content: &[u8],
) -> Answered {
    match &interaction {
        Interaction::Create { resource_type } => {
            let resource_type = *resource_type;
            create(exchange, enforcer, interaction, resource_type, content).await
        }
        Interaction::Update { resource_type, id, if_match } => {
            let record = Reference { resource_type: *resource_type, id: id.clone() };
            let seen = if_match.clone();
            update(exchange, enforcer, interaction, record, seen, content).await
        }
        Interaction::Patch { resource_type, id, if_match } => {
            let record = Reference { resource_type: *resource_type, id: id.clone() };
            let seen = if_match.clone();
            patch::serve(exchange, enforcer, interaction, record, seen, content).await
        }
        Interaction::Delete { resource_type, id, if_match } => {
            let record = Reference { resource_type: *resource_type, id: id.clone() };
            let seen = if_match.clone();
            delete(exchange, enforcer, interaction, record, seen).await
        }
        Interaction::Capabilities
        | Interaction::Read { .. }
        | Interaction::VRead { .. }
        | Interaction::History { .. }
        | Interaction::Search { .. } => Err(Refused::NotFound),
    }
}

async fn create(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
    resource_type: ResourceType,
    content: &[u8],
) -> Answered {
    let allowed = in_reach(enforcer, Permission::Create, resource_type, interaction)?;
    let draft = Draft::of_create(content, resource_type).map_err(Refused::Draft)?;
    let cleared = clear_draft(exchange, enforcer, Permission::Create, resource_type, &draft)?;
    note(exchange, &cleared);
    let body = Some(draft.text().to_owned());
    let answer = carry_out(exchange, allowed, body, None).await?;
    finish(exchange, enforcer, resource_type, StatusCode::CREATED, answer)
}

async fn update(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
    record: Reference,
    seen: Option<VersionId>,
    content: &[u8],
) -> Answered {
    let resource_type = record.resource_type;
    let allowed = in_reach(enforcer, Permission::Update, resource_type, interaction)?;
    let draft = Draft::of_update(content, &record).map_err(Refused::Draft)?;
    if update_create(exchange) == UpdateCreate::On {
        // Where absence is no refusal, the refusal of content must not depend on what is there.
        clear_draft(exchange, enforcer, Permission::Update, resource_type, &draft)?;
    }
    let had = seen.is_some();
    let before = before(exchange, enforcer, &[Permission::Update], &allowed, &record, seen).await?;
    let replaces = match before {
        Before::Cleared(version, _) => Some(version),
        Before::Absent => {
            may_create(exchange, enforcer, resource_type, &draft)?;
            // RFC 9110 section 13.1.1: If-Match is false where there is nothing.
            if had {
                return Err(Refused::Version);
            }
            None
        }
    };
    let cleared = clear_draft(exchange, enforcer, Permission::Update, resource_type, &draft)?;
    note(exchange, &cleared);
    let status = if replaces.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let answer = carry_out(exchange, allowed, Some(draft.text().to_owned()), replaces).await?;
    finish(exchange, enforcer, resource_type, status, answer)
}

async fn delete(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
    record: Reference,
    seen: Option<VersionId>,
) -> Answered {
    let allowed = in_reach(enforcer, Permission::Delete, record.resource_type, interaction)?;
    let before = before(exchange, enforcer, &[Permission::Delete], &allowed, &record, seen).await?;
    let Before::Cleared(version, _) = before else { return Err(Refused::NotFound) };
    let answer = carry_out(exchange, allowed, None, Some(version)).await?;
    Ok(answer.map(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }))
}

fn in_reach(
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource_type: ResourceType,
    interaction: Interaction,
) -> Result<Allowed<Interaction>, Refused> {
    enforcer
        .type_in_reach(permission, resource_type, interaction)
        .map_err(|denied| Refused::Type(denied, Some((permission, resource_type.to_string()))))
}

/// What there was before a change.
enum Before {
    /// A record with which the caller may do all that was asked, in this version.
    Cleared(VersionId, Withheld<Answer>),
    /// None.
    Absent,
}

/// Looks at what is to be changed.
async fn before(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permissions: &[Permission],
    allowed: &Allowed<Interaction>,
    record: &Reference,
    seen: Option<VersionId>,
) -> Result<Before, Refused> {
    let withheld = exchange.upstream.before(allowed, record).await.map_err(Refused::Upstream)?;
    let answer = withheld.inspect();
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Before::Absent),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let wrong = || Refused::Upstream(UpstreamFault::Wrong);
    let resource = Resource::parse(&answer.body, record, None).map_err(|_| wrong())?;
    for permission in permissions {
        match decide(exchange, enforcer, *permission, record.resource_type, resource.value()) {
            Ok(cleared) => note(exchange, &cleared),
            Err(kept) => {
                exchange.record.patients = kept.patients.into_iter().map(Phi::new).collect();
                return Err(Refused::Record(kept.because));
            }
        }
    }
    let tag = answer.etag.as_ref().and_then(|tag| tag.to_str().ok());
    let version = resource.version().or_else(|| VersionId::from_entity_tag(tag?).ok()).ok_or_else(wrong)?;
    match seen {
        Some(seen) if seen != version => Err(Refused::Version),
        Some(_) | None => Ok(Before::Cleared(version, withheld)),
    }
}

fn update_create(exchange: &Exchange<'_>) -> UpdateCreate {
    match &exchange.route.kind {
        RouteKind::Fhir { update_create } => *update_create,
        RouteKind::Http { .. } => UpdateCreate::Off,
    }
}

/// Update-as-create: off unless the route says so, and never for a patient-scoped token.
fn may_create(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    resource_type: ResourceType,
    draft: &Draft,
) -> Result<(), Refused> {
    let naming = enforcer.is_patient_scoped(Permission::Update, resource_type, draft.value());
    match (update_create(exchange), naming) {
        (UpdateCreate::On, Naming::OthersMayBeNamed) => {
            clear_draft(exchange, enforcer, Permission::Create, resource_type, draft)?;
            in_reach(enforcer, Permission::Create, resource_type, Interaction::Create { resource_type })
                .map(drop)
        }
        (UpdateCreate::Off, _) | (UpdateCreate::On, Naming::OthersAreWithheld) => Err(Refused::NotFound),
    }
}

/// Decides on what is to be stored. Its content is the caller's own, so a refusal may say so.
fn clear_draft(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource_type: ResourceType,
    draft: &Draft,
) -> Result<Cleared<()>, Refused> {
    decide(exchange, enforcer, permission, resource_type, draft.value()).map_err(|kept| {
        let (policies, _) = kept.because.reason();
        exchange.record.patients.extend(kept.patients.into_iter().map(Phi::new));
        exchange.record.decision.policies = policies;
        Refused::Content("content-out-of-reach")
    })
}

fn note(exchange: &mut Exchange<'_>, cleared: &Cleared<()>) {
    let record = &mut exchange.record;
    let mut patients: BTreeSet<String> = cleared.patients.iter().cloned().collect();
    patients.extend(std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed));
    record.patients = patients.into_iter().map(Phi::new).collect();
    record.decision.policies.clone_from(&cleared.policies);
}

/// Records the intent, then sends the change.
async fn carry_out(
    exchange: &mut Exchange<'_>,
    allowed: Allowed<Interaction>,
    body: Option<String>,
    replaces: Option<VersionId>,
) -> Result<Withheld<Answer>, Refused> {
    exchange.record.request.digest = body.as_deref().map(|text| Phi::new(mask::digest(text)));
    let permit = exchange.intend(allowed.map(|interaction| Change { interaction, body, replaces })).await?;
    let answer = exchange.upstream.change(permit).await.map_err(Refused::Upstream)?;
    match answer.inspect().status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(answer),
        StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Err(Refused::Version),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Refused::Upstream(UpstreamFault::Rejected))
        }
        _ => Err(Refused::Upstream(UpstreamFault::Failed)),
    }
}

/// The answer to a create or update: where the record is, and what was stored if the caller may read it.
fn finish(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    resource_type: ResourceType,
    status: StatusCode,
    withheld: Withheld<Answer>,
) -> Answered {
    let answer = withheld.inspect();
    let bases = &exchange.upstream.bases;
    let location = answer.location.as_deref().and_then(|text| Location::parse(text, bases));
    let location = location.filter(|location| location.reference.resource_type == resource_type);
    let text = match &location {
        Some(location) => readable(exchange, enforcer, answer, &location.reference),
        None => None,
    };
    if let Some(location) = &location {
        exchange.record.resource = Some(Phi::new(location.reference.to_string()));
        if resource_type == ResourceType::PATIENT {
            exchange.record.patients = vec![Phi::new(location.reference.id.to_string())];
        }
    }
    exchange.record.response.count = Some(1);
    if let Some(text) = &text {
        exchange.record.response.bytes = u64::try_from(text.len()).ok();
        exchange.record.response.digests = vec![Phi::new(mask::digest(text))];
    }
    let public = location.map(|location| location.public_url(bases));
    Ok(withheld.map(|answer| {
        let mut response = mask::record_response(status, &answer, text.unwrap_or_default());
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
) -> Option<Bytes> {
    let resource = Resource::parse(&answer.body, record, None).ok()?;
    let cleared = clear(exchange, enforcer, Permission::Read, &resource).ok()?;
    Some(mask::body_of(cleared.view, &answer.body))
}
