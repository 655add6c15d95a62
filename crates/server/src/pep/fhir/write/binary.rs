//! Content that is stored or replaced: with a record that protects it, by whoever may change that record. HL7 FHIR 4.0.1,
//! binary.html.

use std::collections::BTreeSet;

use chartgate_access::permit::Allowed;
use chartgate_protocol::fhir::binary::{Guard, guard_of};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::{ResourceType, VersionId};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::write::Draft;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::StatusCode;

use super::{Leaves, Prepared, Writing, keeps_labels, prepared};
use crate::pep::enforce::Enforcer;
use crate::pep::fhir::binary::{Protection, by_record, content_in_reach, decided, nobodys};
use crate::pep::fhir::mask::Kept;
use crate::pep::fhir::session::Exchange;
use crate::pep::respond::{Refused, UpstreamFault};

pub(super) async fn prepare(
    writing: Writing<'_, '_>,
    interaction: Interaction,
    content: &[u8],
) -> Result<Prepared, Refused> {
    let Writing { exchange, enforcer, .. } = writing;
    match interaction {
        Interaction::Update { ref id, ref if_match, .. } => {
            let record = Reference { resource_type: ResourceType::BINARY, id: id.clone() };
            let (draft, seen) =
                (Draft::of_update(content, &record).map_err(Refused::Draft)?, if_match.clone());
            let allowed = content_in_reach(enforcer, Permission::Update, interaction)?;
            let version = before(exchange, enforcer, &allowed, &record, seen, &draft).await?;
            clear(exchange, enforcer, Permission::Update, &allowed, &draft).await?;
            Ok(prepared(exchange, allowed, Leaves::Of(record, StatusCode::OK), Some(&draft), Some(version)))
        }
        interaction => {
            let allowed = content_in_reach(enforcer, Permission::Create, interaction)?;
            let draft = Draft::of_create(content, ResourceType::BINARY).map_err(Refused::Draft)?;
            clear(exchange, enforcer, Permission::Create, &allowed, &draft).await?;
            let leaves = Leaves::New(ResourceType::BINARY, StatusCode::CREATED);
            Ok(prepared(exchange, allowed, leaves, Some(&draft), None))
        }
    }
}

/// Looks at what is to be replaced: content that nothing protects by its own word is replaced by nobody.
async fn before(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    allowed: &Allowed<Interaction>,
    record: &Reference,
    seen: Option<VersionId>,
    draft: &Draft,
) -> Result<VersionId, Refused> {
    let answer = exchange.upstream.before(allowed, record).await.map_err(Refused::Upstream)?;
    let wrong = || Refused::Upstream(UpstreamFault::Wrong);
    let answer = answer.inspect();
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refused::NotFound),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let stored = Resource::parse(&answer.body, record, None).map_err(|_| wrong())?;
    match protected(exchange, enforcer, Permission::Update, allowed, stored.value()).await? {
        Ok(protection) => note(exchange, protection.patients.iter().map(ToString::to_string)),
        Err(kept) => return Err(kept.refused(exchange)),
    }
    keeps_labels(&stored, draft)?;
    let tag = answer.etag.as_ref().and_then(|tag| tag.to_str().ok());
    let version = stored.version().or_else(|| VersionId::from_entity_tag(tag?).ok()).ok_or_else(wrong)?;
    match seen {
        Some(seen) if seen != version => Err(Refused::Version),
        Some(_) | None => Ok(version),
    }
}

/// Decides on what is to be stored, and notes whose it will be, beside whose it was.
async fn clear(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    allowed: &Allowed<Interaction>,
    draft: &Draft,
) -> Result<(), Refused> {
    match protected(exchange, enforcer, permission, allowed, draft.value()).await? {
        Ok(protection) => {
            note(exchange, protection.patients.iter().map(ToString::to_string));
            exchange.record.decision.policies = protection.policies.into_iter().collect();
            Ok(())
        }
        Err(kept) => {
            note(exchange, kept.patients.into_iter());
            Err(Refused::Content("content-out-of-reach"))
        }
    }
}

/// Notes whose content it is, was or would be, beside whose is noted already.
fn note(exchange: &mut Exchange<'_>, patients: impl Iterator<Item = String>) {
    let noted = std::mem::take(&mut exchange.record.patients);
    let all: BTreeSet<String> = noted.into_iter().map(Phi::into_exposed).chain(patients).collect();
    exchange.record.patients = all.into_iter().map(Phi::new).collect();
}

/// Whether content may be stored or replaced: its caller may read and change what it says that protects it.
async fn protected(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    allowed: &Allowed<Interaction>,
    content: &Node<'_>,
) -> Result<Result<Protection, Kept>, Refused> {
    let Guard::Record(record) = guard_of(content, &exchange.upstream.bases) else {
        return Ok(Err(nobodys()));
    };
    match by_record(exchange, enforcer, allowed, Permission::Update, &record).await? {
        Ok(protection) => Ok(decided(exchange, enforcer, permission, content, &protection)),
        Err(kept) => Ok(Err(kept)),
    }
}
