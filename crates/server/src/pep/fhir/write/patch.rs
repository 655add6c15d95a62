//! Patch: the record is read, patched here, and goes upstream as an update of the version that was read.
//!
//! What a patch tests, or finds nothing to remove of, tells what stands in the record. So whoever patches has to be allowed
//! to read what there was, and what comes of it is a record that the caller may still read and update.

use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::VersionId;
use chartgate_protocol::fhir::patch::Patch;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::smart::scope::Permission;
use http::StatusCode;

use super::{
    Before, Leaves, Prepared, Writing, before, clear_draft, keeps_labels, note, points_within_reach, prepared,
};
use crate::pep::fhir::mask::in_reach;
use crate::pep::fhir::mask::{KeptOf, kept_of};
use crate::pep::respond::{Refused, UpstreamFault};

pub(super) async fn prepare(
    writing: Writing<'_, '_>,
    interaction: Interaction,
    record: Reference,
    seen: VersionId,
    content: &[u8],
) -> Result<Prepared, Refused> {
    let Writing { exchange, enforcer, pending } = writing;
    let resource_type = record.resource_type;
    in_reach(enforcer, Permission::Read, resource_type, interaction.clone()).map(drop)?;
    let allowed = in_reach(enforcer, Permission::Update, resource_type, interaction)?;
    let patch = Patch::parse(content).map_err(Refused::Patch)?;
    let both = [Permission::Read, Permission::Update];
    let before = before(exchange, enforcer, &both, &allowed, &record, Some(seen)).await?;
    let Before::Cleared(version, withheld) = before else { return Err(Refused::NotFound) };
    let resource = Resource::parse(&withheld.inspect().body, &record, None)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let is_seen = match kept_of(exchange, enforcer, Permission::Update, &resource) {
        KeptOf::Nothing => true,
        KeptOf::Part(mask) => patch.keeps_to(&mask, &resource),
        KeptOf::All => false,
    };
    if !is_seen {
        return Err(Refused::Masked);
    }
    let room = usize::try_from(exchange.route.max_body).unwrap_or(usize::MAX);
    let draft = patch.apply(&resource, room).map_err(Refused::Patch)?.among(pending);
    keeps_labels(&resource, &draft)?;
    points_within_reach(exchange, enforcer, Some(&resource), &draft).await?;
    for permission in both {
        let cleared = clear_draft(exchange, enforcer, permission, resource_type, &draft).await?;
        note(exchange, &cleared);
    }
    let leaves = Leaves::Of(record, StatusCode::OK);
    Ok(prepared(exchange, allowed, leaves, Some(&draft), Some(version)))
}
