//! Create, update, patch and delete.
//!
//! What is to be changed is looked at first, as a read would be: where the caller may not touch it, it does not exist. What
//! is to be stored is decided on like what is there. The change names the version that was looked at, so that none in
//! between is lost. Its intent is durable before it goes upstream, its outcome before the answer leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::binary::binaries_in;
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::labels::labels_said;
use chartgate_protocol::fhir::mask::Mask;
use chartgate_protocol::fhir::name::{ResourceId, ResourceType, VersionId};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::write::{Draft, Pending};
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::StatusCode;

mod answer;
mod binary;
pub(super) mod condition;
mod patch;

pub(super) use answer::finish;

use super::binary::may_point_to;
use super::mask::{self, Cleared, KeptOf, decide, in_reach, kept_of};
use super::now;
use super::session::{Answered, Exchange, Sent};
use super::upstream::{Answer, Change};
use crate::config::{RouteKind, UpdateCreate};
use crate::pep::enforce::{Enforcer, Known, Naming};
use crate::pep::respond::{Refused, UpstreamFault};

/// A write that was decided on, and not sent yet.
pub(super) struct Prepared {
    pub(super) allowed: Allowed<Change>,
    pub(super) leaves: Leaves,
}

/// What an update may replace.
#[derive(Clone, Copy)]
pub(super) enum Replaces {
    /// What is there.
    Any,
    /// Nothing: the record is to be a new one.
    None,
}

/// What the answer to a write is.
pub(super) enum Leaves {
    /// Where the record is, and what was stored, with this status: the new one of a type, or the one that was named.
    New(ResourceType, StatusCode),
    /// See there.
    Of(Reference, StatusCode),
    /// Nothing: there is no record any more.
    Nothing,
}

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
    sent: Sent<'_>,
) -> Answered {
    match interaction {
        Interaction::Conditional { query, write } => {
            Box::pin(condition::serve(exchange, enforcer, query, write, sent)).await
        }
        named => write_named(exchange, enforcer, named, Replaces::Any, sent).await,
    }
}

/// A write of a record that is named.
async fn write_named(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
    replaces: Replaces,
    Sent { content, returns }: Sent<'_>,
) -> Answered {
    let asked = Asked { interaction, replaces, content };
    let Prepared { allowed, leaves } = prepare(exchange, enforcer, asked, &Pending::default()).await?;
    let permit = exchange.intend(allowed).await?;
    let answer = exchange.upstream.change(permit).await.map_err(Refused::Upstream)?;
    finish(exchange, enforcer, leaves, answer, returns)
}

/// Decides on a write. `pending` are the records that are written along with it.
pub(super) async fn prepare(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    Asked { interaction, replaces, content }: Asked<'_>,
    pending: &Pending,
) -> Result<Prepared, Refused> {
    let named = |resource_type: &ResourceType, id: &ResourceId| Reference {
        resource_type: *resource_type,
        id: id.clone(),
    };
    let writing = Writing { exchange, enforcer, pending, replaces };
    match &interaction {
        Interaction::Create { resource_type: ResourceType::BINARY }
        | Interaction::Update { resource_type: ResourceType::BINARY, .. } => {
            Box::pin(binary::prepare(writing, interaction, content)).await
        }
        Interaction::Create { resource_type } => {
            let resource_type = *resource_type;
            writing.create(interaction, resource_type, content).await
        }
        Interaction::Update { resource_type, id, if_match } => {
            let (record, seen) = (named(resource_type, id), if_match.clone());
            writing.update(interaction, record, seen, content).await
        }
        Interaction::Patch { resource_type, id, if_match } => {
            let (record, seen) = (named(resource_type, id), if_match.clone());
            patch::prepare(writing, interaction, record, seen, content).await
        }
        Interaction::Delete { resource_type, id, if_match } => {
            let (record, seen) = (named(resource_type, id), if_match.clone());
            writing.delete(interaction, record, seen).await
        }
        Interaction::Capabilities
        | Interaction::Batch
        | Interaction::Read { .. }
        | Interaction::VRead { .. }
        | Interaction::Binary { .. }
        | Interaction::History { .. }
        | Interaction::Everything { .. }
        | Interaction::Conditional { .. }
        | Interaction::Search { .. } => Err(Refused::NotFound),
    }
}

/// A write that is asked for: of a record that is named, or a new one.
pub(super) struct Asked<'a> {
    pub(super) interaction: Interaction,
    pub(super) replaces: Replaces,
    pub(super) content: &'a [u8],
}

/// A write that is being decided on.
struct Writing<'w, 'e> {
    exchange: &'w mut Exchange<'e>,
    enforcer: &'w Enforcer<'w>,
    pending: &'w Pending,
    replaces: Replaces,
}

impl Writing<'_, '_> {
    async fn create(
        self,
        interaction: Interaction,
        resource_type: ResourceType,
        content: &[u8],
    ) -> Result<Prepared, Refused> {
        let Self { exchange, enforcer, pending, .. } = self;
        let allowed = in_reach(enforcer, Permission::Create, resource_type, interaction)?;
        let draft = Draft::of_create(content, resource_type).map_err(Refused::Draft)?.among(pending);
        let cleared = clear_draft(exchange, enforcer, Permission::Create, resource_type, &draft).await?;
        points_within_reach(exchange, enforcer, None, &draft).await?;
        note(exchange, &cleared);
        let leaves = Leaves::New(resource_type, StatusCode::CREATED);
        Ok(prepared(exchange, allowed, leaves, Some(&draft), None))
    }

    async fn update(
        self,
        interaction: Interaction,
        record: Reference,
        seen: Option<VersionId>,
        content: &[u8],
    ) -> Result<Prepared, Refused> {
        let Self { exchange, enforcer, pending, replaces: may_replace } = self;
        let resource_type = record.resource_type;
        let allowed = in_reach(enforcer, Permission::Update, resource_type, interaction)?;
        let draft = Draft::of_update(content, &record).map_err(Refused::Draft)?.among(pending);
        if update_create(exchange) == UpdateCreate::On {
            // Where absence is no refusal, the refusal of content must not depend on what is there.
            clear_draft(exchange, enforcer, Permission::Update, resource_type, &draft).await?;
        }
        let had = seen.is_some();
        let before = before(exchange, enforcer, &[Permission::Update], &allowed, &record, seen).await?;
        let replaces = match before {
            Before::Cleared(version, stored) => {
                if matches!(may_replace, Replaces::None) {
                    return Err(Refused::IdTaken);
                }
                let stored = stored_record(&stored, &record)?;
                is_seen(exchange, enforcer, Permission::Update, &stored)?;
                keeps_labels(&stored, &draft)?;
                points_within_reach(exchange, enforcer, Some(&stored), &draft).await?;
                Some(version)
            }
            absent @ (Before::Absent | Before::Gone) => {
                may_create(exchange, enforcer, resource_type, &draft).await?;
                if matches!(absent, Before::Gone) {
                    within_last(exchange, enforcer, &record, &draft).await?;
                }
                points_within_reach(exchange, enforcer, None, &draft).await?;
                // If-Match is false where there is nothing, RFC 9110 section 13.1.1; and where there is something that the
                // caller may not see it is not tried, so that what is said is the same.
                if had {
                    return Err(Refused::NotFound);
                }
                None
            }
        };
        let cleared = clear_draft(exchange, enforcer, Permission::Update, resource_type, &draft).await?;
        note(exchange, &cleared);
        let status = if replaces.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        Ok(prepared(exchange, allowed, Leaves::Of(record, status), Some(&draft), replaces))
    }

    async fn delete(
        self,
        interaction: Interaction,
        record: Reference,
        seen: Option<VersionId>,
    ) -> Result<Prepared, Refused> {
        let Self { exchange, enforcer, .. } = self;
        let allowed = in_reach(enforcer, Permission::Delete, record.resource_type, interaction)?;
        let before = before(exchange, enforcer, &[Permission::Delete], &allowed, &record, seen).await?;
        let Before::Cleared(version, stored) = before else { return Err(Refused::NotFound) };
        is_seen(exchange, enforcer, Permission::Delete, &stored_record(&stored, &record)?)?;
        Ok(prepared(exchange, allowed, Leaves::Nothing, None, Some(version)))
    }
}

fn prepared(
    exchange: &mut Exchange<'_>,
    allowed: Allowed<Interaction>,
    leaves: Leaves,
    draft: Option<&Draft>,
    replaces: Option<VersionId>,
) -> Prepared {
    exchange.record.request.digest = draft.map(|draft| Phi::new(mask::digest(draft.text())));
    let body = draft.map(|draft| draft.text().to_owned());
    let allowed = allowed.map(|interaction| Change { interaction, body, replaces });
    Prepared { allowed, leaves }
}

/// What there was before a change.
enum Before {
    /// A record with which the caller may do all that was asked, in this version.
    Cleared(VersionId, Withheld<Answer>),
    /// None.
    Absent,
    /// None any more.
    Gone,
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
        status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => {
            let _: Known = enforcer.look_up().await;
            return Ok(if status == StatusCode::GONE { Before::Gone } else { Before::Absent });
        }
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let wrong = || Refused::Upstream(UpstreamFault::Wrong);
    let resource = Resource::parse(&answer.body, record, None).map_err(|_| wrong())?;
    for permission in permissions {
        let mut decided = decide(exchange, enforcer, *permission, record.resource_type, resource.value());
        while decided.is_err() && enforcer.look_up().await == Known::More {
            decided = decide(exchange, enforcer, *permission, record.resource_type, resource.value());
        }
        match decided {
            Ok(cleared) => note(exchange, &cleared),
            Err(kept) => {
                exchange.record.patients = kept.patients.into_iter().map(Phi::new).collect();
                return Err(Refused::Record(kept.because));
            }
        }
        // By its own name what leaves under another one is absent, whatever version of it is thought to be there.
        if let KeptOf::Part(mask) = kept_of(exchange, enforcer, *permission, &resource)
            && mask.renames()
        {
            return Err(Refused::NotFound);
        }
    }
    let tag = answer.etag.as_ref().and_then(|tag| tag.to_str().ok());
    let version = resource.version().or_else(|| VersionId::from_entity_tag(tag?).ok()).ok_or_else(wrong)?;
    match seen {
        Some(seen) if seen != version => Err(Refused::Version),
        Some(_) | None => Ok(Before::Cleared(version, withheld)),
    }
}

/// Whether a record that was deleted may be written again. Its former versions are opened by what it is now, so it is held to
/// what it was last, as one that is there.
async fn within_last(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    record: &Reference,
    draft: &Draft,
) -> Result<(), Refused> {
    let keeps = |last: &Resource<'_>| {
        is_seen(exchange, enforcer, Permission::Update, last)?;
        keeps_labels(last, draft)
    };
    let looked = now::look_at_last(exchange, enforcer, Permission::Update, record, keeps).await?;
    looked.map_err(|out_of_reach| out_of_reach.refused(exchange))?
}

/// Nobody replaces or deletes what they do not see.
fn is_seen(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    stored: &Resource<'_>,
) -> Result<(), Refused> {
    match kept_of(exchange, enforcer, permission, stored) {
        KeptOf::Nothing => Ok(()),
        KeptOf::Part(_) | KeptOf::All => Err(Refused::Masked),
    }
}

fn stored_record<'a>(stored: &'a Withheld<Answer>, record: &Reference) -> Result<Resource<'a>, Refused> {
    Resource::parse(&stored.inspect().body, record, None).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))
}

/// How a record has to be handled is its source's to say: no change takes a label away.
fn keeps_labels(stored: &Resource<'_>, draft: &Draft) -> Result<(), Refused> {
    match labels_said(stored.value()).is_subset(&labels_said(draft.value())) {
        true => Ok(()),
        false => Err(Refused::Content("label-removed")),
    }
}

/// A record opens the content that it points to, so nobody points to what they may not read.
async fn points_within_reach(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    stored: Option<&Resource<'_>>,
    draft: &Draft,
) -> Result<(), Refused> {
    let bases = &exchange.upstream.bases;
    let mut new = binaries_in(draft.value(), bases);
    if let Some(stored) = stored.filter(|_| !new.is_empty()) {
        let already = binaries_in(stored.value(), bases);
        new.retain(|binary| !already.contains(binary));
    }
    if new.is_empty() {
        return Ok(());
    }
    Box::pin(may_point_to(exchange, enforcer, new)).await
}

fn update_create(exchange: &Exchange<'_>) -> UpdateCreate {
    match &exchange.route.kind {
        RouteKind::Fhir { update_create, .. } => *update_create,
        RouteKind::Http { .. } => UpdateCreate::Off,
    }
}

/// Update-as-create: off unless the route says so, and never for a patient-scoped token.
async fn may_create(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    resource_type: ResourceType,
    draft: &Draft,
) -> Result<(), Refused> {
    let naming = enforcer.is_patient_scoped(Permission::Update, resource_type, draft.value());
    match (update_create(exchange), naming) {
        (UpdateCreate::On, Naming::OthersMayBeNamed) => {
            clear_draft(exchange, enforcer, Permission::Create, resource_type, draft).await?;
            in_reach(enforcer, Permission::Create, resource_type, Interaction::Create { resource_type })
                .map(drop)
        }
        (UpdateCreate::Off, _) | (UpdateCreate::On, Naming::OthersAreWithheld) => Err(Refused::NotFound),
    }
}

/// Decides on what is to be stored. Its content is the caller's own, so a refusal may say so.
async fn clear_draft(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource_type: ResourceType,
    draft: &Draft,
) -> Result<Cleared<Option<Arc<Mask>>>, Refused> {
    let mut decided = decide(exchange, enforcer, permission, resource_type, draft.value());
    while enforcer.catch_up().await == Known::More {
        decided = decide(exchange, enforcer, permission, resource_type, draft.value());
    }
    decided.map_err(|kept| {
        let (policies, _) = kept.because.reason();
        exchange.record.patients.extend(kept.patients.into_iter().map(Phi::new));
        exchange.record.decision.policies = policies;
        Refused::Content("content-out-of-reach")
    })
}

fn note(exchange: &mut Exchange<'_>, cleared: &Cleared<Option<Arc<Mask>>>) {
    let record = &mut exchange.record;
    let mut patients: BTreeSet<String> = cleared.patients.iter().cloned().collect();
    patients.extend(std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed));
    record.patients = patients.into_iter().map(Phi::new).collect();
    record.decision.policies.clone_from(&cleared.policies);
}
