//! Patch: the record is read, patched here, and goes upstream as an update of the version that was read.
//!
//! What a patch tests, or finds nothing to remove of, tells what stands in the record. So whoever patches has to be allowed
//! to read what there was, and what comes of it is a record that the caller may still read and update, and of which all is
//! kept from them that was: else a record that becomes another patient's, or gets another label, would show what was hidden.

use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::mask::Mask;
use chartgate_protocol::fhir::name::VersionId;
use chartgate_protocol::fhir::patch::Patch;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::smart::scope::Permission;
use http::StatusCode;

use super::{
    Before, Leaves, Prepared, Writing, before, clear_draft, keeps_labels, note, points_within_reach, prepared,
};
use crate::pep::fhir::mask::{KeptOf, in_reach, kept_of};
use crate::pep::respond::{Refused, UpstreamFault};

pub(super) async fn prepare(
    writing: Writing<'_, '_>,
    interaction: Interaction,
    record: Reference,
    seen: VersionId,
    content: &[u8],
) -> Result<Prepared, Refused> {
    let Writing { exchange, enforcer, pending, .. } = writing;
    let resource_type = record.resource_type;
    in_reach(enforcer, Permission::Read, resource_type, interaction.clone()).map(drop)?;
    let allowed = in_reach(enforcer, Permission::Update, resource_type, interaction)?;
    let patch = Patch::parse(content).map_err(Refused::Patch)?;
    let both = [Permission::Read, Permission::Update];
    let before = before(exchange, enforcer, &both, &allowed, &record, Some(seen)).await?;
    let Before::Cleared(version, withheld) = before else { return Err(Refused::NotFound) };
    let resource = Resource::parse(&withheld.inspect().body, &record, None)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let was_kept = match kept_of(exchange, enforcer, Permission::Update, &resource) {
        KeptOf::Nothing => Mask::default(),
        KeptOf::Part(mask) if patch.keeps_to(&mask, exchange.upstream.version(), &resource) => mask,
        KeptOf::Part(_) | KeptOf::All => return Err(Refused::Masked),
    };
    let room = usize::try_from(exchange.route.max_body).unwrap_or(usize::MAX);
    let draft = patch.apply(&resource, room).map_err(Refused::Patch)?.among(pending);
    keeps_labels(&resource, &draft)?;
    points_within_reach(exchange, enforcer, Some(&resource), &draft).await?;
    let mut is_kept = Mask::default();
    for permission in both {
        let cleared = clear_draft(exchange, enforcer, permission, resource_type, &draft).await?;
        note(exchange, &cleared);
        is_kept = cleared.view.iter().fold(is_kept, |all, one| all.and(one));
    }
    if !was_kept.is_within(&is_kept) {
        return Err(Refused::Masked);
    }
    let leaves = Leaves::Of(record, StatusCode::OK);
    Ok(prepared(exchange, allowed, leaves, Some(&draft), Some(version)))
}
