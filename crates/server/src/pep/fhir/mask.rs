//! What of an answer leaves: each record decided on, each header ours.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::pdp::relation::Belongs;
use chartgate_access::permit::Allowed;
use chartgate_protocol::fhir::mask::{Mask, Masking, Unmaskable};
use chartgate_protocol::fhir::membership::{
    Membership, Others, Ownership, other_patients_named, ownership, patients_of,
};
use chartgate_protocol::fhir::name::ResourceType;
use chartgate_protocol::fhir::resource::Resource;
use chartgate_protocol::fhir::view::View;
use chartgate_protocol::json::Node;
use chartgate_protocol::smart::scope::Permission;
use chartgate_values::Phi;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::large;
use super::session::Exchange;
use super::upstream::Answer;
use crate::entropy::digest_of;
use crate::pep::enforce::{Enforcer, Granted, Known, Naming, RecordDenied};
use crate::pep::respond::Refused;

/// A record that may leave, as it may leave, or content that may be written; and what the log says of it.
pub(super) struct Cleared<V> {
    pub(super) patients: Vec<String>,
    pub(super) policies: Vec<String>,
    /// What leaves. Nothing else of a record may.
    pub(super) view: V,
}

/// A record that stays.
pub(super) struct Kept {
    pub(super) patients: Vec<String>,
    pub(super) because: RecordDenied,
}

impl Kept {
    /// Notes whose record it is, and refuses it.
    pub(super) fn refused(self, exchange: &mut Exchange<'_>) -> Refused {
        exchange.record.patients = self.patients.into_iter().map(Phi::new).collect();
        Refused::Record(self.because)
    }
}

/// Asks whether records of a type can be within reach.
///
/// # Errors
/// [`Refused::Type`].
pub(super) fn in_reach<A>(
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource_type: ResourceType,
    action: A,
) -> Result<Allowed<A>, Refused> {
    enforcer
        .type_in_reach(permission, resource_type, action)
        .map_err(|denied| Refused::Type(denied, Some((permission, resource_type.to_string()))))
}

/// Decides about one record, and says what of it leaves. Whatever leaves of any record passes here: what is read, what a
/// search finds, what was stored.
pub(super) fn clear<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource: &Resource<'a>,
) -> Result<Cleared<View<'a>>, Kept> {
    let resource_type = resource.reference().resource_type;
    let Cleared { patients, policies, view: mask } =
        decide(exchange, enforcer, permission, resource_type, resource.value())?;
    let Some(mask) = mask else { return Ok(Cleared { patients, policies, view: View::whole(resource) }) };
    match masked(exchange, enforcer, permission, &mask, resource) {
        Ok(view) => Ok(Cleared { patients, policies, view }),
        Err(Unmaskable) => Err(Kept { patients, because: RecordDenied::Mask(policies) }),
    }
}

/// The same for a record that was asked for by its name, with the look at who is in the caller's care that it takes: one for
/// whatever is not within reach, as for what is not there.
pub(super) async fn clear_looking<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource: &Resource<'a>,
) -> Result<Cleared<View<'a>>, Kept> {
    let mut cleared = clear(exchange, enforcer, permission, resource);
    while cleared.is_err() && enforcer.look_up().await == Known::More {
        cleared = clear(exchange, enforcer, permission, resource);
    }
    cleared
}

fn masked<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    mask: &Mask,
    resource: &Resource<'a>,
) -> Result<View<'a>, Unmaskable> {
    // Whoever could ask for a record by its own name would learn which name it has here, and so would who finds those of
    // patients whom they know.
    let resource_type = resource.reference().resource_type;
    let is_known = || {
        permission != Permission::Search
            || enforcer.is_of_known_patients(permission, resource_type, resource.value())
    };
    if mask.renames() && is_known() {
        return Err(Unmaskable);
    }
    let gateway = exchange.gateway;
    let pseudonyms = enforcer.pseudonyms(&gateway.pseudonym_key);
    let bases = &exchange.upstream.bases;
    let masking = Masking { mask, pseudonyms: &pseudonyms, year: gateway.clock.now().year(), bases };
    masking.view(resource)
}

/// Decides about a record that is exported.
pub(super) fn clear_exported<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    resource: &Resource<'a>,
) -> Result<Cleared<View<'a>>, Kept> {
    clear_found_and_read(exchange, enforcer, Permission::Search, resource)
}

/// Decides about one record of all that there is of a patient whom the caller named.
pub(super) fn clear_of_everything<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    resource: &Resource<'a>,
) -> Result<Cleared<View<'a>>, Kept> {
    clear_found_and_read(exchange, enforcer, Permission::Read, resource)
}

/// Decides about a record that is found and read: both have to be allowed, and what either keeps is kept. It leaves as by one
/// of them.
fn clear_found_and_read<'a>(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    leaves_by: Permission,
    resource: &Resource<'a>,
) -> Result<Cleared<View<'a>>, Kept> {
    let resource_type = resource.reference().resource_type;
    let of = |permission| decide(exchange, enforcer, permission, resource_type, resource.value());
    let (read, found) = (of(Permission::Read)?, of(Permission::Search)?);
    let mut policies: BTreeSet<String> = read.policies.into_iter().collect();
    policies.extend(found.policies);
    let (patients, policies) = (found.patients, policies.into_iter().collect());
    let mask = match (read.view, found.view) {
        (None, None) => return Ok(Cleared { patients, policies, view: View::whole(resource) }),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(one), Some(other)) => Arc::new(Mask::clone(&one).and(&other)),
    };
    match masked(exchange, enforcer, leaves_by, &mask, resource) {
        Ok(view) => Ok(Cleared { patients, policies, view }),
        Err(Unmaskable) => Err(Kept { patients, because: RecordDenied::Mask(policies) }),
    }
}

/// What is kept from the caller of a record that they want to change: whatever policy lets them do with it, they cannot
/// change what they do not see.
pub(super) enum KeptOf {
    Nothing,
    Part(Mask),
    All,
}

/// What policy keeps of a record, be it read or changed, whatever the scopes are.
pub(super) fn kept_of(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource: &Resource<'_>,
) -> KeptOf {
    let belongs = belongs(&patients_of(resource.value(), &exchange.upstream.bases));
    let resource_type = resource.reference().resource_type;
    let mut kept = Mask::default();
    for of in [Permission::Read, permission] {
        match enforcer.permitted(of, resource_type, &belongs, resource.value()) {
            Ok(granted) => kept = granted.mask.iter().fold(kept, |all, one| all.and(one)),
            Err(_) => return KeptOf::All,
        }
    }
    if kept.concerns_record(resource) { KeptOf::Part(kept) } else { KeptOf::Nothing }
}

/// Decides about content, and says what is to be kept of it.
///
/// What is of a type that is in no table is nobody's to see by itself: content ([`super::binary`]) is decided on as what
/// protects it, and of the others it can never be told whose they are. They come where no type was asked for: along with what
/// a search found, among all that there is of a patient, out of an operation.
pub(super) fn decide(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource_type: ResourceType,
    content: &Node<'_>,
) -> Result<Cleared<Option<Arc<Mask>>>, Kept> {
    let bases = &exchange.upstream.bases;
    if ownership(bases.version, resource_type) == Ownership::Unknown {
        return Err(Kept { patients: Vec::new(), because: RecordDenied::OutsideScope });
    }
    let membership = patients_of(content, bases);
    decide_as(exchange, enforcer, permission, resource_type, (content, &membership))
}

/// The same about content that is some patient's by what this says.
pub(super) fn decide_as(
    exchange: &Exchange<'_>,
    enforcer: &Enforcer<'_>,
    permission: Permission,
    resource_type: ResourceType,
    (content, membership): (&Node<'_>, &Membership),
) -> Result<Cleared<Option<Arc<Mask>>>, Kept> {
    let bases = &exchange.upstream.bases;
    let belongs = belongs(membership);
    let patients = match &belongs {
        Belongs::To(patients) => patients.iter().map(ToString::to_string).collect(),
        Belongs::ToNobody | Belongs::Unknown => Vec::new(),
    };
    let Granted { policies, mask: view } =
        match enforcer.record_in_reach(permission, resource_type, &belongs, content) {
            Ok(granted) => granted,
            Err(because) => return Err(Kept { patients, because }),
        };
    match enforcer.is_patient_scoped(permission, resource_type, content) {
        Naming::OthersMayBeNamed => Ok(Cleared { patients, policies, view }),
        // Shared records belong to nobody; naming a patient in one is naming one besides.
        Naming::OthersAreWithheld => match other_patients_named(content, membership, bases) {
            Others::None => Ok(Cleared { patients, policies, view }),
            Others::Named => Err(Kept { patients, because: RecordDenied::OutsideScope }),
        },
    }
}

fn belongs(membership: &Membership) -> Belongs {
    match membership {
        Membership::Nobody => Belongs::ToNobody,
        Membership::Unknown => Belongs::Unknown,
        Membership::Patients(ids) => {
            let parsed: Result<_, _> = ids.iter().map(|id| id.as_str().parse()).collect();
            parsed.map_or(Belongs::Unknown, Belongs::To)
        }
    }
}

/// A record's digest, for the log.
pub(super) fn digest(text: impl AsRef<[u8]>) -> String {
    digest_of(text)
}

/// The text of a view as the body of an answer.
pub(super) enum Seen {
    /// A part of the text that came.
    Whole(Bytes),
    /// Another text.
    Masked(Bytes),
}

impl Seen {
    /// What leaves of an answer in which a record came.
    pub(super) fn of(view: View<'_>, came: &Bytes) -> Self {
        match view.into_text() {
            Cow::Borrowed(text) => Self::Whole(came.slice_ref(text.as_bytes())),
            Cow::Owned(text) => Self::Masked(Bytes::from(text)),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &Bytes {
        match self {
            Self::Whole(bytes) | Self::Masked(bytes) => bytes,
        }
    }
}

/// The answer that one record becomes.
pub(super) fn record_response(status: StatusCode, answer: &Answer, seen: &Seen) -> Response<Body> {
    let mut response = Response::new(Body::from(seen.bytes().clone()));
    *response.status_mut() = status;
    large::made_from(&mut response, &answer.body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    // When it was changed is one of the dates that may be kept.
    let last_modified = match seen {
        Seen::Whole(_) => &answer.last_modified,
        Seen::Masked(_) => &None,
    };
    for (name, value) in [(header::ETAG, &answer.etag), (header::LAST_MODIFIED, last_modified)] {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    response
}

pub(super) const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";

/// Headers of every answer: records stay out of caches and off other sites.
pub(super) fn public_headers(headers: &mut HeaderMap) {
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}
