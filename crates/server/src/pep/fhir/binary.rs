//! Content: a Binary, within its resource or by itself. HL7 FHIR 4.0.1, binary.html and http.html#binary.
//!
//! Of content nobody can tell what is in it, so it is as much within reach as what protects it: the record that its
//! `securityContext` names, or else every DocumentReference that points to it. Of that record its reader has to see all, for
//! of content nothing can be masked. For what is not there one further question is asked as well, so that it looks the same.

use std::collections::BTreeSet;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::{Allowed, Withheld};
use chartgate_protocol::fhir::binary::{Content, Guard, binaries_in, content_of, guard_of};
use chartgate_protocol::fhir::content::{NotAcceptable, Wanted};
use chartgate_protocol::fhir::interaction::Interaction;
use chartgate_protocol::fhir::membership::Membership;
use chartgate_protocol::fhir::name::{ResourceId, ResourceType, VersionId};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::searchset::{Companions, Searchset, Sought};
use chartgate_protocol::fhir::view::View;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderValue, Response, StatusCode, header};

use super::mask::{self, Cleared, Kept, Seen, clear, decide_as, in_reach};
use super::session::{Answered, Exchange};
use super::upstream::Answer;
use crate::config::{Route, RouteKind};
use crate::pep::enforce::{Enforcer, Known, RecordDenied};
use crate::pep::respond::{Refused, UpstreamFault};

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    interaction: Interaction,
) -> Answered {
    let Interaction::Binary { id, version, wanted } = interaction else { return Err(Refused::NotFound) };
    let now = match &version {
        None => None,
        Some(_) => Some(look(exchange, enforcer, &id, None).await?),
    };
    let looked = look(exchange, enforcer, &id, version.as_ref()).await?;
    match now {
        Some(Looked::Kept(kept)) => return Err(kept.refused(exchange)),
        // What protected it last is not told by the version that is asked for.
        Some(Looked::Absent) => return Err(Refused::NotFound),
        Some(Looked::Found(_)) | None => {}
    }
    let Found { answer, patients, policies } = match looked {
        Looked::Found(found) => found,
        Looked::Kept(kept) => return Err(kept.refused(exchange)),
        Looked::Absent => return Err(Refused::NotFound),
    };
    exchange.record.patients = patients.into_iter().map(Phi::new).collect();
    exchange.record.decision.policies = policies.into_iter().collect();
    exchange.record.response.count = Some(1);
    let asked = Reference { resource_type: ResourceType::BINARY, id };
    let resource = parsed(&answer, &asked, version.as_ref())?;
    match wanted {
        Wanted::Resource => {
            let seen = Seen::of(View::whole(&resource), &answer.inspect().body);
            note(exchange, seen.bytes());
            Ok(answer.map(|answer| mask::record_response(StatusCode::OK, &answer, &seen)))
        }
        Wanted::Content => {
            let content = content_of(&resource).map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
            let media_type = leaves_as(exchange.route, &content)?;
            let bytes = Bytes::from(content.bytes);
            note(exchange, &bytes);
            Ok(answer.map(|answer| by_itself(&answer, media_type, bytes)))
        }
    }
}

fn note(exchange: &mut Exchange<'_>, leaves: &[u8]) {
    exchange.record.response.bytes = u64::try_from(leaves.len()).ok();
    exchange.record.response.digests = vec![Phi::new(mask::digest(leaves))];
}

/// What content leaves as, where the route lets it leave by itself.
fn leaves_as(route: &Route, content: &Content) -> Result<HeaderValue, Refused> {
    let listed = match &route.kind {
        RouteKind::Fhir { content_types, .. } => {
            content_types.iter().any(|one| one == content.media_type.name())
        }
        RouteKind::Http { .. } => false,
    };
    let value = HeaderValue::try_from(content.media_type.to_string()).ok().filter(|_| listed);
    value.ok_or(Refused::Request(NotAcceptable.into()))
}

/// Content that leaves by itself: to be kept, not to be shown, and nothing that it says of itself is run.
fn by_itself(answer: &Answer, media_type: HeaderValue, bytes: Bytes) -> Response<Body> {
    let mut response = mask::record_response(StatusCode::OK, answer, &Seen::Whole(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

/// Content that was looked at.
enum Looked {
    Found(Found),
    Kept(Kept),
    Absent,
}

/// Content that may be read, with whose it is.
struct Found {
    answer: Withheld<Answer>,
    patients: BTreeSet<String>,
    policies: BTreeSet<String>,
}

async fn look(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    id: &ResourceId,
    version: Option<&VersionId>,
) -> Result<Looked, Refused> {
    let asked = Interaction::Binary { id: id.clone(), version: version.cloned(), wanted: Wanted::Resource };
    let allowed = content_in_reach(enforcer, Permission::Read, asked)?;
    let answer = exchange.upstream.fetch(&allowed).await.map_err(Refused::Upstream)?;
    let is_there = match answer.inspect().status {
        StatusCode::OK => true,
        StatusCode::NOT_FOUND | StatusCode::GONE => false,
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    };
    let asked = Reference { resource_type: ResourceType::BINARY, id: id.clone() };
    let guard = match is_there {
        true => guard_of(parsed(&answer, &asked, version)?.value(), &exchange.upstream.bases),
        false => Guard::Unsaid,
    };
    let protection = match guard {
        Guard::Record(record) => by_record(exchange, enforcer, &allowed, Permission::Read, &record).await?,
        Guard::Unsaid => by_pointers(exchange, enforcer, &allowed, id).await?,
        Guard::Unproven => by_pointers(exchange, enforcer, &allowed, id).await?.and(Err(nobodys())),
    };
    if !is_there {
        let _: Known = enforcer.look_up().await;
        return Ok(Looked::Absent);
    }
    let protection = match protection {
        Ok(protection) => protection,
        Err(kept) => return Ok(Looked::Kept(kept)),
    };
    let cleared =
        decided(exchange, enforcer, Permission::Read, parsed(&answer, &asked, version)?.value(), &protection);
    Ok(match cleared {
        Ok(Protection { patients, policies }) => {
            let patients = patients.iter().map(ToString::to_string).collect();
            Looked::Found(Found { answer, patients, policies })
        }
        Err(kept) => Looked::Kept(kept),
    })
}

fn parsed<'a>(
    answer: &'a Withheld<Answer>,
    asked: &Reference,
    version: Option<&VersionId>,
) -> Result<Resource<'a>, Refused> {
    Resource::parse(&answer.inspect().body, asked, version)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))
}

/// Whether content may be pointed to: whoever may not read it does not make themselves its reader by that.
///
/// # Errors
/// [`Refused`] where it may not, or it cannot be told.
pub(super) async fn may_point_to(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    ids: impl IntoIterator<Item = ResourceId>,
) -> Result<(), Refused> {
    for id in ids {
        match look(exchange, enforcer, &id, None).await {
            Ok(Looked::Found(_)) => {}
            Ok(Looked::Kept(_) | Looked::Absent) | Err(Refused::Type(..)) => {
                return Err(Refused::Content("content-out-of-reach"));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Asks whether content can be within reach.
///
/// # Errors
/// [`Refused::Type`].
pub(super) fn content_in_reach<A>(
    enforcer: &Enforcer<'_>,
    permission: Permission,
    action: A,
) -> Result<Allowed<A>, Refused> {
    enforcer
        .content_in_reach(permission, action)
        .map_err(|denied| Refused::Type(denied, Some((permission, ResourceType::BINARY.to_string()))))
}

/// What protects some content, all of it within reach.
pub(super) struct Protection {
    pub(super) patients: BTreeSet<ResourceId>,
    pub(super) policies: BTreeSet<String>,
}

impl Protection {
    fn none() -> Self {
        Self { patients: BTreeSet::new(), policies: BTreeSet::new() }
    }

    fn extend(&mut self, cleared: Cleared<View<'_>>) {
        self.patients.extend(cleared.patients.iter().filter_map(|id| id.parse().ok()));
        self.policies.extend(cleared.policies);
    }
}

/// What nothing protects is nobody's.
pub(super) fn nobodys() -> Kept {
    Kept { patients: Vec::new(), because: RecordDenied::OutsideScope }
}

/// Looks at the record that protects some content. `allowed` is what is to be done with the content, and `permission` what
/// its caller has to be allowed to do with the record.
pub(super) async fn by_record(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    allowed: &Allowed<Interaction>,
    permission: Permission,
    record: &Reference,
) -> Result<Result<Protection, Kept>, Refused> {
    let answer = exchange.upstream.before(allowed, record).await.map_err(Refused::Upstream)?;
    match answer.inspect().status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Err(nobodys())),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let mut protection = Protection::none();
    let resource = parsed(&answer, record, None)?;
    let mut cleared = cleared_whole(exchange, enforcer, permission, &resource);
    while cleared.is_err() && enforcer.look_up().await == Known::More {
        cleared = cleared_whole(exchange, enforcer, permission, &resource);
    }
    Ok(cleared.map(|cleared| {
        protection.extend(cleared);
        protection
    }))
}

/// Looks at the DocumentReferences that point to some content.
async fn by_pointers(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    allowed: &Allowed<Interaction>,
    binary: &ResourceId,
) -> Result<Result<Protection, Kept>, Refused> {
    let answer = exchange.upstream.pointers(allowed, binary).await.map_err(Refused::Upstream)?;
    let answer = answer.inspect();
    if answer.status != StatusCode::OK {
        // A server that cannot tell has told of none.
        return Ok(Err(nobodys()));
    }
    let bases = &exchange.upstream.bases;
    let sought = Sought::Type(ResourceType::DOCUMENT_REFERENCE, Companions::None);
    let (protection, kept, is_all) = loop {
        let found = Searchset::parse(&answer.body, sought, bases)
            .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        let is_all = found.next().is_none();
        let mut protection = Protection::none();
        let mut kept = None;
        found.each(|resource| {
            if binaries_in(resource.value(), bases).contains(binary) {
                match cleared_whole(exchange, enforcer, Permission::Read, resource) {
                    Ok(cleared) => protection.extend(cleared),
                    Err(withheld) => kept = Some(withheld),
                }
            }
        });
        if kept.is_none() || enforcer.look_up().await == Known::AsBefore {
            break (protection, kept, is_all);
        }
    };
    Ok(match kept {
        Some(kept) => Err(kept),
        None if is_all => Ok(protection),
        None => Err(nobodys()),
    })
}

/// Decides on a record, all of which has to be seen.
fn cleared_whole<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource: &Resource<'a>,
) -> Result<Cleared<View<'a>>, Kept> {
    let of = resource.reference().resource_type;
    if in_reach(enforcer, permission, of, ()).is_err() {
        return Err(nobodys());
    }
    let cleared = clear(exchange, enforcer, permission, resource)?;
    match mask::kept_of(exchange, enforcer, permission, resource) {
        mask::KeptOf::Nothing if !cleared.view.is_masked() => Ok(cleared),
        _ => Err(Kept { patients: cleared.patients, because: RecordDenied::Mask(cleared.policies) }),
    }
}

/// Decides on content that is protected so.
pub(super) fn decided(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    content: &Node<'_>,
    protection: &Protection,
) -> Result<Protection, Kept> {
    if protection.patients.is_empty() {
        return Err(nobodys());
    }
    let membership = Membership::Patients(protection.patients.clone());
    let decided = decide_as(exchange, enforcer, permission, ResourceType::BINARY, (content, &membership))?;
    let mut policies = protection.policies.clone();
    policies.extend(decided.policies.iter().cloned());
    match decided.view {
        None => Ok(Protection { patients: protection.patients.clone(), policies }),
        Some(_) => Err(Kept { patients: decided.patients, because: RecordDenied::Mask(decided.policies) }),
    }
}
