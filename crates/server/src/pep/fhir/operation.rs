//! Operations that the route lists. HL7 FHIR 4.0.1, operations.html.
//!
//! Its caller has to be allowed all that the list says; every record that goes in by name is one that they may read, and may
//! do with what the list says of its type; what comes out is decided on resource by resource, like what a read gives. Where
//! anything of these types is masked for the caller, there is no operation for them: what is put in could find by it.

use std::collections::BTreeSet;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::{Allowed, Permit};
use chartgate_protocol::fhir::binary::binaries_in;
use chartgate_protocol::fhir::content;
use chartgate_protocol::fhir::labels::labels_said;
use chartgate_protocol::fhir::membership::{Membership, patients_of};
use chartgate_protocol::fhir::name::{ResourceType, VersionId};
use chartgate_protocol::fhir::operation::{Input, OperationCall, OperationOn, release};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::refusal::Refusal;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::write::no_conditional_reference;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::{Permission, Permissions};
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::binary::may_point_to;
use super::large;
use super::mask::{self, Cleared, KeptOf, clear, decide, in_reach, kept_of};
use super::session::{Answered, Exchange, single};
use super::upstream::Call;
use crate::config::{Operation, RouteKind, Writes};
use crate::pep::enforce::{Enforcer, Known};
use crate::pep::respond::{Refused, UpstreamFault};

/// The most records that one call names.
const MOST_NAMED: usize = 32;
/// The most that are put into one: what each names or replaces is looked at.
const MOST_PUT_IN: usize = 100;
const ALL: [Permission; 5] =
    [Permission::Create, Permission::Read, Permission::Update, Permission::Delete, Permission::Search];

/// The operation that is called, where the route lists it.
pub(super) fn listed<'r>(exchange: &Exchange<'r>, below: &str) -> Option<(OperationCall, &'r Operation)> {
    let RouteKind::Fhir { operations, .. } = &exchange.route.kind else { return None };
    let call = OperationCall::at(below)?;
    let operation = operations.iter().find(|operation| operation.is(&call))?;
    Some((call, operation))
}

pub(super) async fn serve(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    head: &Head,
    (call, operation): (OperationCall, &Operation),
    body: &[u8],
) -> Answered {
    exchange.record.action = Some(format!("${}", call.name));
    exchange.record.resource = Some(Phi::new(call.to_string()));
    if !operation.methods.contains(&head.method) {
        return Err(Refused::Request(Refusal::Method { allow: allow(operation) }));
    }
    content::acceptable(single(&head.headers, &header::ACCEPT), None, exchange.upstream.version())
        .map_err(|e| Refused::Request(e.into()))?;
    let query = head.uri.query().unwrap_or_default();
    let posted = (head.method == Method::POST && !body.is_empty())
        .then(|| (body, single(&head.headers, &header::CONTENT_TYPE)));
    let bases = &exchange.upstream.bases;
    let input = Input::parse(query, posted, &operation.parameters, bases).map_err(Refused::Request)?;
    allowed_all(enforcer, operation)?;
    if let OperationOn::Record(record) = &call.on {
        // Where it may not be called, it is not there.
        let found = may(exchange, enforcer, operation, record).await?;
        exchange.record.patients = found.ok_or(Refused::NotFound)?.into_iter().map(Phi::new).collect();
    }
    put_in(exchange, enforcer, operation, &input).await?;
    let sent =
        Call { method: head.method.clone(), path: input.query.behind(&format!("/{call}")), body: input.body };
    exchange.record.request.digest = sent.body.as_ref().map(|body| Phi::new(mask::digest(body)));
    let allowed = first(enforcer, operation, sent)?;
    exchange.record.decision.policies = allowed.policies().to_vec();
    let answer = match operation.writes {
        Writes::No => exchange.upstream.operate(&allowed).await,
        Writes::Yes => {
            let permit: Permit<Call> = exchange.intend(allowed).await?;
            exchange.upstream.operate_changing(permit).await
        }
    };
    let answer = answer.map_err(Refused::Upstream)?;
    match answer.inspect().status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => {}
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            return Err(Refused::Upstream(UpstreamFault::Rejected));
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refused::NotFound),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let own = format!("{}/{call}", exchange.upstream.bases.public);
    let (told, output) = loop {
        let mut told = Told::default();
        let output = release(&answer.inspect().body, &own, &exchange.upstream.bases, |resource| {
            let Cleared { patients, policies, view } =
                clear(exchange, enforcer, Permission::Read, resource).ok()?;
            told.patients.extend(patients);
            told.policies.extend(policies);
            told.digests.push(Phi::new(mask::digest(view.text())));
            Some(view)
        });
        let output = output.map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
        if enforcer.catch_up().await == Known::AsBefore {
            break (told, output);
        }
    };
    told.tell(exchange, output.body.as_ref().map_or(0, String::len), output.withheld);
    match (output.body, operation.writes) {
        // All that there is of it may not be seen.
        (None, Writes::No) if output.withheld > 0 => Err(Refused::NotFound),
        (body, _) => Ok(answer.map(|answer| finished(body, &answer.body))),
    }
}

fn finished(body: Option<String>, came: &Bytes) -> Response<Body> {
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT };
    let mut response = Response::new(Body::from(body.unwrap_or_default()));
    *response.status_mut() = status;
    if status == StatusCode::OK {
        large::made_from(&mut response, came);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mask::FHIR_JSON));
    }
    response
}

fn allow(operation: &Operation) -> &'static str {
    match (operation.methods.contains(&Method::GET), operation.methods.contains(&Method::POST)) {
        (true, true) => "GET, POST",
        (true, false) => "GET",
        (false, _) => "POST",
    }
}

/// What left, and of whom.
#[derive(Default)]
struct Told {
    patients: BTreeSet<String>,
    policies: BTreeSet<String>,
    digests: Vec<Phi<String>>,
}

impl Told {
    fn tell(mut self, exchange: &mut Exchange<'_>, bytes: usize, withheld: usize) {
        let record = &mut exchange.record;
        self.patients.extend(std::mem::take(&mut record.patients).into_iter().map(Phi::into_exposed));
        record.patients = self.patients.into_iter().map(Phi::new).collect();
        record.response.count = u64::try_from(self.digests.len()).ok();
        record.response.withheld = u64::try_from(withheld).ok();
        record.response.bytes = u64::try_from(bytes).ok();
        record.response.digests = self.digests;
        if !self.policies.is_empty() {
            record.decision.policies = self.policies.into_iter().collect();
        }
    }
}

/// Whether the caller is allowed all that the list says, and nothing of it is masked for them.
fn allowed_all(enforcer: &Enforcer<'_>, operation: &Operation) -> Result<(), Refused> {
    for (resource_type, permissions) in &operation.scopes {
        for permission in of(*permissions) {
            in_reach(enforcer, permission, *resource_type, ()).map(drop)?;
            if !enforcer.masks(permission, *resource_type).is_empty() {
                return Err(Refused::Forbidden(Vec::new(), "mask"));
            }
        }
    }
    Ok(())
}

/// Leave to send it, by the first of all that its caller is allowed.
fn first(enforcer: &Enforcer<'_>, operation: &Operation, sent: Call) -> Result<Allowed<Call>, Refused> {
    let first = operation.scopes.iter().find_map(|(one, permissions)| Some((of(*permissions).next()?, *one)));
    let (permission, resource_type) = first.ok_or(Refused::NotFound)?;
    in_reach(enforcer, permission, resource_type, sent)
}

fn of(permissions: Permissions) -> impl Iterator<Item = Permission> {
    ALL.into_iter().filter(move |permission| permissions.contains(*permission))
}

/// What the list says of a type.
fn listed_for(operation: &Operation, resource_type: ResourceType) -> impl Iterator<Item = Permission> {
    let own = operation.scopes.iter().filter(move |(one, _)| *one == resource_type);
    own.flat_map(|(_, permissions)| of(*permissions))
}

/// Everything that is put in is within reach, or the whole is refused: the content is the caller's own.
async fn put_in(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    operation: &Operation,
    input: &Input,
) -> Result<(), Refused> {
    let refused = || Refused::Content("content-out-of-reach");
    if input.names.len() > MOST_NAMED || input.resources.len() > MOST_PUT_IN {
        return Err(refused());
    }
    for record in &input.names {
        let found = may(exchange, enforcer, operation, record).await?.ok_or_else(refused)?;
        note(exchange, found);
    }
    let mut replaced: Vec<String> = Vec::new();
    for (resource_type, content) in &input.resources {
        let mut stored = listed_for(operation, *resource_type)
            .filter(|one| matches!(one, Permission::Create | Permission::Update))
            .peekable();
        // What is not stored is put in to be compared with what is: nothing that is listed needs it.
        if operation.writes == Writes::No || stored.peek().is_none() {
            return Err(refused());
        }
        for permission in stored {
            let mut cleared = decide(exchange, enforcer, permission, *resource_type, content);
            while enforcer.catch_up().await == Known::More {
                cleared = decide(exchange, enforcer, permission, *resource_type, content);
            }
            // Whose it would be is told of what is refused as well.
            let (patients, is_cleared) = match cleared {
                Ok(cleared) => (cleared.patients, true),
                Err(kept) => (kept.patients, false),
            };
            note(exchange, patients);
            if !is_cleared {
                return Err(refused());
            }
        }
        replaced.extend(holds_as_written(exchange, enforcer, operation, *resource_type, content).await?);
    }
    if !replaced.is_empty() {
        exchange.record.detail.insert("replaces".to_owned(), Phi::new(replaced.join(" ")));
    }
    Ok(())
}

/// Notes whose records an operation is about, each once.
fn note(exchange: &mut Exchange<'_>, patients: impl IntoIterator<Item = String>) {
    let noted = &mut exchange.record.patients;
    for patient in patients {
        if noted.iter().all(|own| own.expose() != &patient) {
            noted.push(Phi::new(patient));
        }
    }
}

/// What holds of a record that is written holds of one that an operation may store: it refers by no criteria, points to
/// no content that its caller may not read, and where it is there already, takes no label away, and is an edit of the very
/// version that is there, if it says of which. Gives the version that was looked at, for the record: an operation cannot be
/// told to replace that one alone.
async fn holds_as_written(
    exchange: &mut Exchange<'_>,
    enforcer: &Enforcer<'_>,
    operation: &Operation,
    resource_type: ResourceType,
    content: &Node<'_>,
) -> Result<Option<String>, Refused> {
    no_conditional_reference(content).map_err(|_| Refused::Content("content-out-of-reach"))?;
    Box::pin(may_point_to(exchange, enforcer, binaries_in(content, &exchange.upstream.bases))).await?;
    let Some(id) = content.get("id") else { return Ok(None) };
    let refused = || Refused::Content("content-out-of-reach");
    let id = id.as_str().and_then(|id| id.parse().ok()).ok_or_else(refused)?;
    let record = Reference { resource_type, id };
    let allowed =
        in_reach(enforcer, Permission::Read, resource_type, Call::read(&record)).map_err(|_| refused())?;
    let answer = exchange.upstream.operate(&allowed).await.map_err(Refused::Upstream)?;
    match answer.inspect().status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let stored = Resource::parse(&answer.inspect().body, &record, None)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let bases = &exchange.upstream.bases;
    if let Membership::Patients(whose) = patients_of(stored.value(), bases) {
        note(exchange, whose.iter().map(ToString::to_string));
    }
    let mut whose = whose_whole(exchange, enforcer, operation, &stored);
    while whose.is_none() && enforcer.look_up().await == Known::More {
        whose = whose_whole(exchange, enforcer, operation, &stored);
    }
    whose.ok_or_else(refused)?;
    let theirs = content.get("meta").and_then(|meta| meta.get("versionId"));
    if theirs.is_some_and(|theirs| theirs.as_str() != stored.version().as_ref().map(VersionId::as_str)) {
        return Err(Refused::Version);
    }
    match labels_said(stored.value()).is_subset(&labels_said(content)) {
        true => Ok(stored.version().map(|version| format!("{record}/_history/{version}"))),
        false => Err(Refused::Content("label-removed")),
    }
}

/// Whether a record is one that the caller may read, whole, and do with what the list says of its type; whose it is.
async fn may(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    operation: &Operation,
    record: &Reference,
) -> Result<Option<Vec<String>>, Refused> {
    let Ok(allowed) = in_reach(enforcer, Permission::Read, record.resource_type, Call::read(record)) else {
        return Ok(None);
    };
    let answer = exchange.upstream.operate(&allowed).await.map_err(Refused::Upstream)?;
    match answer.inspect().status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let _: Known = enforcer.look_up().await;
            return Ok(None);
        }
        _ => return Err(Refused::Upstream(UpstreamFault::Failed)),
    }
    let resource = Resource::parse(&answer.inspect().body, record, None)
        .map_err(|_| Refused::Upstream(UpstreamFault::Wrong))?;
    let mut whose = whose_whole(exchange, enforcer, operation, &resource);
    while whose.is_none() && enforcer.look_up().await == Known::More {
        whose = whose_whole(exchange, enforcer, operation, &resource);
    }
    Ok(whose)
}

/// Whose a record is, if the caller may do all that the list says with it, by what is known.
fn whose_whole(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    operation: &Operation,
    resource: &Resource<'_>,
) -> Option<Vec<String>> {
    let resource_type = resource.reference().resource_type;
    let cleared = clear(exchange, enforcer, Permission::Read, resource).ok()?;
    let others = listed_for(operation, resource_type).filter(|one| *one != Permission::Search);
    for permission in others {
        let decided = decide(exchange, enforcer, permission, resource_type, resource.value());
        let whole = matches!(kept_of(exchange, enforcer, permission, resource), KeptOf::Nothing);
        if decided.is_err() || !whole {
            return None;
        }
    }
    (!cleared.view.is_masked()).then_some(cleared.patients)
}
