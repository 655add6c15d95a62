//! Read and vread.

use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::StatusCode;

use super::mask::{self, Seen, clear_looking, in_reach};
use super::now;
use super::session::{Answered, Exchange};
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::respond::{Refused, UpstreamFault};

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
) -> Answered {
    let (resource_type, id, version) = match &interaction {
        Interaction::Read { resource_type, id } => (*resource_type, id.clone(), None),
        Interaction::VRead { resource_type, id, version } => {
            (*resource_type, id.clone(), Some(version.clone()))
        }
        Interaction::Capabilities
        | Interaction::Batch
        | Interaction::Binary { .. }
        | Interaction::History { .. }
        | Interaction::Everything { .. }
        | Interaction::Conditional { .. }
        | Interaction::Search { .. }
        | Interaction::Create { .. }
        | Interaction::Update { .. }
        | Interaction::Patch { .. }
        | Interaction::Delete { .. } => return Err(Refused::NotFound),
    };
    let allowed = in_reach(enforcer, Permission::Read, resource_type, interaction)?;
    let asked = Reference { resource_type, id };
    let now = match &version {
        None => Ok(()),
        Some(_) => Box::pin(now::look(exchange, enforcer, Permission::Read, &asked)).await?,
    };
    // Asked for in any case, so that the upstream is called as often for what is not there.
    let withheld = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    if let Err(out) = now {
        return Err(out.refused(exchange));
    }
    let answer = withheld.inspect();
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let _: Known = enforcer.look_up().await;
            return Err(Refused::NotFound);
        }
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let cleared = {
        let resource = Resource::parse(&answer.body, &asked, version.as_ref())
            .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        clear_looking(exchange, enforcer, Permission::Read, &resource).await
    };
    match cleared {
        Ok(cleared) => {
            let seen = Seen::of(cleared.view, &answer.body);
            let record = &mut exchange.record;
            record.patients = cleared.patients.into_iter().map(Phi::new).collect();
            record.decision.policies = cleared.policies;
            record.response.count = Some(1);
            record.response.bytes = u64::try_from(seen.bytes().len()).ok();
            record.response.digests = vec![Phi::new(mask::digest(seen.bytes()))];
            Ok(withheld.map(|answer| mask::record_response(StatusCode::OK, &answer, &seen)))
        }
        Err(kept) => Err(kept.refused(exchange)),
    }
}
