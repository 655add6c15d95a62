//! Bulk export, for programs alone. HL7 FHIR Bulk Data Access 2.0.0, export.html.
//!
//! The upstream exports; the gateway begins that for a client, keeps in the store where it is, and hands its files out
//! record by record, each decided on by what holds at the download. An export is its client's: to all others it is not there.

use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::bulk::{BulkRequest, ExportJob, ExportOf, Request as Bulk};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::name::{ResourceId, ResourceType};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::refusal::Unsupported;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{StatusCode, header};

use super::mask::{clear_looking, in_reach};
use super::session::{Answered, Exchange, single};
use super::upstream::Answer;
use crate::config::{Exports, RouteKind};
use crate::pep::enforce::{Enforcer, TypeDenied};
use crate::pep::respond::{Refused, UpstreamFault};
use crate::store::StoreError;
use crate::store::exports::{ExportOwner, KeptExport};

pub(super) use downloads::Downloads;

mod downloads;
mod file;
mod kick_off;
mod status;

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    head: &Head,
    below: &str,
    content: &[u8],
) -> Answered {
    exchange.record.action = Some("export".to_owned());
    let prefer: Vec<&str> =
        head.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).collect();
    let asked = BulkRequest::parse(&Bulk {
        version: exchange.upstream.version(),
        method: head.method.as_str(),
        path: below,
        query: head.uri.query().unwrap_or_default(),
        accept: single(&head.headers, &header::ACCEPT),
        content_type: single(&head.headers, &header::CONTENT_TYPE),
        prefer: &prefer,
        body: content,
    });
    let asked = asked.map_err(Refused::Request)?;
    let exports = exports(exchange).ok_or(Refused::Request(Unsupported::Operation.into()))?;
    if !enforcer.is_program() {
        return Err(Refused::Scope("system/*.rs".to_owned()));
    }
    match asked {
        BulkRequest::KickOff(of, query) => kick_off::serve(exchange, enforcer, exports, of, query).await,
        BulkRequest::Status(id) => status::serve(exchange, enforcer, &id).await,
        BulkRequest::Cancel(id) => status::cancel(exchange, enforcer, &id).await,
        BulkRequest::File(id, number) => file::serve(exchange, enforcer, exports, &id, number).await,
    }
}

/// What the route says of exports, if there are any.
fn exports(exchange: &Exchange<'_>) -> Option<Exports> {
    match &exchange.route.kind {
        RouteKind::Fhir { exports, .. } => Some(*exports).filter(|exports| exports.at_once > 0),
        RouteKind::Http { .. } => None,
    }
}

/// A client's own export that has not expired.
///
/// # Errors
/// [`Refused::NotFound`], as for one that never was.
fn kept(exchange: &mut Exchange<'_>, enforcer: &Enforcer<'_>, id: &str) -> Result<KeptExport, Refused> {
    note(exchange, id);
    let owner = owner(exchange, enforcer);
    let now = exchange.gateway.clock.now();
    let found = exchange.gateway.store.read(|sql| sql.export(id, &owner, now));
    let kept = found.map_err(|error| not_stored(&error))?.ok_or(Refused::NotFound)?;
    exchange.record.resource = Some(Phi::new(kept.job.of.path()));
    Ok(kept)
}

fn owner(exchange: &Exchange<'_>, enforcer: &Enforcer<'_>) -> ExportOwner {
    ExportOwner { route: exchange.route.name.clone(), client: enforcer.client().clone() }
}

/// All records of one export have its id.
fn note(exchange: &mut Exchange<'_>, id: &str) {
    exchange.record.detail.insert("export".to_owned(), Phi::new(id.to_owned()));
}

fn not_stored(error: &StoreError) -> Refused {
    tracing::error!(%error, "exports");
    Refused::Busy
}

/// The address of an export, for its client.
fn address(exchange: &Exchange<'_>, id: &str) -> String {
    format!("{}/$export/{id}", exchange.upstream.bases.public)
}

/// Asks whether records of a type may be exported: found and read, by a scope of the program's own. Of a group, whose members
/// are told by their names, nothing leaves under other ones.
fn exportable<A>(
    enforcer: &Enforcer<'_>,
    of: &ExportOf,
    resource_type: ResourceType,
    action: A,
) -> Result<Allowed<A>, Refused> {
    let by_scope = |permission| match enforcer.is_policys(permission, resource_type) {
        true => Ok(()),
        false => Err(Refused::Type(TypeDenied::Scope, Some((permission, resource_type.to_string())))),
    };
    by_scope(Permission::Read)?;
    by_scope(Permission::Search)?;
    let is_renamed =
        || [Permission::Read, Permission::Search].iter().any(|of| enforcer.renames(*of, resource_type));
    if matches!(of, ExportOf::Group(_)) && is_renamed() {
        return Err(Refused::Forbidden(Vec::new(), "renamed-in-a-group"));
    }
    in_reach(enforcer, Permission::Read, resource_type, ()).map(drop)?;
    in_reach(enforcer, Permission::Search, resource_type, action)
}

/// What has to be exportable besides: the patients, and the group.
fn exportable_of(enforcer: &Enforcer<'_>, of: &ExportOf) -> Result<(), Refused> {
    match of {
        ExportOf::System => Ok(()),
        ExportOf::Patients => exportable(enforcer, of, ResourceType::PATIENT, ()).map(drop),
        ExportOf::Group(_) => {
            exportable(enforcer, of, ResourceType::GROUP, ()).map(drop)?;
            exportable(enforcer, of, ResourceType::PATIENT, ()).map(drop)
        }
    }
}

/// The group that is exported, if it is one that the caller may read.
///
/// # Errors
/// [`Refused::NotFound`] and its like.
async fn group(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    id: &ResourceId,
) -> Result<Withheld<Answer>, Refused> {
    let asked = Reference { resource_type: ResourceType::GROUP, id: id.clone() };
    let read = Interaction::Read { resource_type: ResourceType::GROUP, id: id.clone() };
    let allowed = in_reach(enforcer, Permission::Read, ResourceType::GROUP, read)?;
    let answer = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    match answer.inspect().status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refused::NotFound),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let cleared = {
        let group = Resource::parse(&answer.inspect().body, &asked, None)
            .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        clear_looking(exchange, enforcer, Permission::Read, &group).await.map(drop)
    };
    match cleared {
        Ok(()) => Ok(answer),
        Err(kept) => Err(kept.refused(exchange)),
    }
}

/// What is to be exported still may be: the types of an export that are within reach now.
fn still_exportable(enforcer: &Enforcer<'_>, job: &ExportJob) -> Result<Vec<ResourceType>, Refused> {
    exportable_of(enforcer, &job.of)?;
    let types = job.query.types.iter().copied();
    Ok(types.filter(|one| exportable(enforcer, &job.of, *one, ()).is_ok()).collect())
}
