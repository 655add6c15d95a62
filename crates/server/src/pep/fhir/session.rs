//! A request to a FHIR route, from its head to its answer.
//!
//! The order of refusal: the token (401); type and interaction by scope and role (403); the instance (404, the same bytes
//! as for one that does not exist).

use std::sync::Arc;

use axum::body::Body;
use chartgate_access::permit::Withheld;
use chartgate_protocol::fhir::bulk::BulkRequest;
use chartgate_protocol::fhir::history::HistoryOf;
use chartgate_protocol::fhir::interaction::{ConditionalWrite, Interaction, Request as FhirRequest};
use chartgate_protocol::fhir::reference::Reference;
use chartgate_protocol::fhir::refusal::{Refusal, Unsupported};
use chartgate_protocol::fhir::write::Returns;
use chartgate_protocol::form::{Form, FormError};
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use hyper::body::Incoming;

use super::upstream::FhirUpstream;
use super::{
    batch, binary, capabilities, care, everything, export, history, large, mask, operation, pages, read,
    search, write,
};
use crate::in_place::in_place;
use crate::net::body;
use crate::net::origin::Origin;
use crate::pep::authenticate::Authenticated;
use crate::pep::enforce::Enforcer;
use crate::pep::respond::{Refused, Shown};
use crate::pep::{Gate, Gateway, exchange};

/// A request under way on a FHIR route.
pub(super) type Exchange<'a> = exchange::Exchange<'a, FhirUpstream>;

/// What comes with what is asked for.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    /// The body.
    pub(super) content: &'a [u8],
    /// What the answer to a write is to be.
    pub(super) returns: Returns,
}

/// An answer that waits for its record.
pub(super) type Answered = Result<Withheld<Response<Body>>, Refused>;

pub(in crate::pep) async fn handle(
    gateway: &Gateway,
    gate: &Gate,
    upstream: &FhirUpstream,
    origin: &Origin,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, content) = request.into_parts();
    let mut exchange = Exchange::begin(gateway, gate, upstream, origin, &head, Shown::as_fhir);
    let ended = match exchange.serve(origin, &head, content).await {
        Ok(answer) => Ok(large::put_aside(&gateway.spools, answer, exchange.guard()).await),
        Err(refused) => Err(refused),
    };
    let note_nonce = exchange.note_nonce();
    let mut response = exchange.end(ended).await;
    note_nonce(&mut response);
    mask::public_headers(response.headers_mut());
    response
}

impl Exchange<'_> {
    async fn serve(&mut self, origin: &Origin, head: &Head, mut content: Incoming) -> Answered {
        let path = self.unambiguous(origin, head.uri.path())?;
        let below = path.strip_prefix(self.route.path.as_str()).unwrap_or(path);
        if head.method == Method::GET && below == "/metadata" {
            self.count(origin);
            return in_place(|| capabilities::serve(self, head)).await;
        }
        let authenticated = self.authenticate(origin, head).await?;
        let page = pages::page_link(head);
        let content = body::take_request(&mut content, head.version, self.route.max_body).await;
        let content = content.map_err(Refused::Body)?;
        let care = care::of(self.gateway, self.upstream, &authenticated.caller);
        let sets = self.gateway.policies.sets();
        let enforcer = Enforcer::new(sets, Arc::clone(&self.account), &authenticated, care);
        if let Some(link) = page {
            return in_place(|| pages::next_page(self, &authenticated, &enforcer, link)).await;
        }
        if BulkRequest::is_at(below) {
            return in_place(|| export::serve(self, &enforcer, head, below, &content)).await;
        }
        if let Some(listed) = operation::listed(self, below) {
            return in_place(|| operation::serve(self, &enforcer, head, listed, &content)).await;
        }
        let form = posted_form(head, below, &content)?;
        let header = |name: HeaderName| single(&head.headers, &name);
        let request = FhirRequest {
            version: self.upstream.version(),
            method: head.method.as_str(),
            path: below,
            query: head.uri.query().unwrap_or_default(),
            form: form.as_ref(),
            accept: header(header::ACCEPT),
            content_type: header(header::CONTENT_TYPE),
            if_match: condition(&head.headers, &header::IF_MATCH)?,
            if_none_match: condition(&head.headers, &header::IF_NONE_MATCH)?,
            if_none_exist: condition(&head.headers, &HeaderName::from_static("if-none-exist"))?,
        };
        let interaction = Interaction::parse(&request).map_err(Refused::Request)?;
        let prefer = head.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let sent = Sent { content: &content, returns: Returns::read(prefer) };
        self.describe(&interaction);
        // What is larger than a read waits in a box of its own, so that a read does not carry room for it.
        match interaction {
            Interaction::Capabilities => in_place(|| capabilities::serve(self, head)).await,
            Interaction::Batch => in_place(|| batch::serve(self, &authenticated, &enforcer, sent)).await,
            interaction => self.carry_out(&authenticated, &enforcer, interaction, sent).await,
        }
    }

    /// Does what is asked for: by a request of its own, or by an entry of a batch.
    pub(super) async fn carry_out(
        &mut self,
        authenticated: &Authenticated,
        enforcer: &Enforcer<'_>,
        interaction: Interaction,
        sent: Sent<'_>,
    ) -> Answered {
        match interaction {
            Interaction::Read { .. } | Interaction::VRead { .. } => {
                read::serve(self, enforcer, interaction).await
            }
            Interaction::Binary { .. } => in_place(|| binary::serve(self, enforcer, interaction)).await,
            Interaction::History { of, query } => {
                in_place(|| history::serve(self, authenticated, enforcer, of, query)).await
            }
            Interaction::Everything { patient, query } => {
                in_place(|| everything::serve(self, authenticated, enforcer, patient, query)).await
            }
            Interaction::Search { query, method } => {
                in_place(|| search::serve(self, authenticated, enforcer, query, method)).await
            }
            Interaction::Create { .. }
            | Interaction::Update { .. }
            | Interaction::Patch { .. }
            | Interaction::Conditional { .. }
            | Interaction::Delete { .. } => {
                in_place(|| write::serve(self, enforcer, interaction, sent)).await
            }
            Interaction::Capabilities | Interaction::Batch => {
                Err(Refused::Request(Refusal::Unsupported(Unsupported::Nested)))
            }
        }
    }

    /// What the record says of the question.
    pub(super) fn describe(&mut self, interaction: &Interaction) {
        let (action, resource) = match interaction {
            Interaction::Capabilities => ("capabilities", None),
            // Its body says which of the two it is.
            Interaction::Batch => ("batch", None),
            Interaction::Read { resource_type, id } => ("read", Some(format!("{resource_type}/{id}"))),
            Interaction::VRead { resource_type, id, version } => {
                ("vread", Some(format!("{resource_type}/{id}/_history/{version}")))
            }
            Interaction::Binary { id, version: None, .. } => ("read", Some(format!("Binary/{id}"))),
            Interaction::Binary { id, version: Some(version), .. } => {
                ("vread", Some(format!("Binary/{id}/_history/{version}")))
            }
            Interaction::History { of, .. } => ("history", Some(format!("{of}/_history"))),
            Interaction::Everything { patient, .. } => {
                self.record.patients = vec![Phi::new(patient.to_string())];
                ("everything", Some(format!("Patient/{patient}/$everything")))
            }
            Interaction::Search { query, .. } => {
                self.record.patients =
                    query.patients_named().iter().map(|id| Phi::new(id.to_string())).collect();
                ("search", Some(query.resource_type().to_string()))
            }
            Interaction::Conditional { query, write } => {
                self.record.patients =
                    query.patients_named().iter().map(|id| Phi::new(id.to_string())).collect();
                let action = match write {
                    ConditionalWrite::Create => "create",
                    ConditionalWrite::Update(_) => "update",
                    ConditionalWrite::Patch(_) => "patch",
                    ConditionalWrite::Delete(_) => "delete",
                };
                (action, Some(query.resource_type().to_string()))
            }
            Interaction::Create { resource_type } => ("create", Some(resource_type.to_string())),
            Interaction::Update { resource_type, id, .. } => {
                ("update", Some(format!("{resource_type}/{id}")))
            }
            Interaction::Patch { resource_type, id, .. } => ("patch", Some(format!("{resource_type}/{id}"))),
            Interaction::Delete { resource_type, id, .. } => {
                ("delete", Some(format!("{resource_type}/{id}")))
            }
        };
        self.record.action = Some(action.to_owned());
        self.record.resource = resource.map(Phi::new);
        // Whoever asks for a patient by id has asked for that patient's record, found or not.
        if let Interaction::History { of: HistoryOf::Record(Reference { resource_type, id }), .. }
        | Interaction::Read { resource_type, id }
        | Interaction::VRead { resource_type, id, .. }
        | Interaction::Update { resource_type, id, .. }
        | Interaction::Patch { resource_type, id, .. }
        | Interaction::Delete { resource_type, id, .. } = interaction
            && resource_type.as_str() == "Patient"
        {
            self.record.patients = vec![Phi::new(id.to_string())];
        }
    }
}

/// The body of a posted search.
fn posted_form(head: &Head, below: &str, content: &[u8]) -> Result<Option<Form>, Refused> {
    if head.method != Method::POST || !below.ends_with("/_search") {
        return Ok(None);
    }
    let text = std::str::from_utf8(content).map_err(|_| Refused::Request(FormError::Encoding.into()))?;
    let form = Form::parse_repeating(text).map_err(|e| Refused::Request(e.into()))?;
    Ok(Some(form))
}

/// A header on which a write depends: one that cannot be read is no reason to write.
fn condition<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refused> {
    match (headers.contains_key(name), single(headers, name)) {
        (true, None) => Err(Refused::Request(Refusal::ConditionalHeader)),
        (_, value) => Ok(value),
    }
}

/// A header that comes once and is text.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
