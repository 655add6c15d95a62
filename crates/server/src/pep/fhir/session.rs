//! A request to a FHIR route, from its head to its answer.
//!
//! The order of refusal: the token (401); type and interaction by scope and role (403); the instance (404, the same bytes
//! as for one that does not exist).

use std::sync::Arc;

use axum::body::Body;
use chartgate_access::permit::Withheld;
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_protocol::fhir::interaction::{Interaction, Request as FhirRequest};
use chartgate_protocol::form::Form;
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use hyper::body::Incoming;

use super::upstream::FhirUpstream;
use super::{capabilities, mask, read, search, write};
use crate::config::Route;
use crate::net::body;
use crate::net::origin::Origin;
use crate::net::path::unambiguous;
use crate::pep::authenticate::{Authenticated, NotAuthenticated};
use crate::pep::enforce::Enforcer;
use crate::pep::respond::Refused;
use crate::pep::{Gate, Gateway};

/// A request under way, with the record that will tell of it.
pub(super) struct Exchange<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) route: &'a Route,
    pub(super) upstream: &'a FhirUpstream,
    pub(super) record: Record,
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
    let route = gate.route();
    let mut record = origin.record(Event::Access, Outcome::Allow, gateway.clock.now());
    record.route = Some(route.name.clone());
    record.request.method = Some(head.method.as_str().chars().take(16).collect());
    let mut exchange = Exchange { gateway, route, upstream, record };
    let answered = exchange.serve(gate, origin, &head, content).await;
    let mut response = match answered {
        Ok(withheld) => exchange.release(withheld).await,
        Err(refused) => exchange.refuse(refused).await,
    };
    mask::public_headers(response.headers_mut());
    response
}

impl Exchange<'_> {
    async fn serve(&mut self, gate: &Gate, origin: &Origin, head: &Head, content: Incoming) -> Answered {
        let path = unambiguous(head.uri.path()).map_err(|_| Refused::AmbiguousPath)?;
        let below = path.strip_prefix(self.route.path.as_str()).unwrap_or(path);
        if head.method == Method::GET && below == "/metadata" {
            return capabilities::serve(self, head).await;
        }
        let authenticated = self.authenticate(gate, origin, &head.headers)?;
        let page = search::page_link(head);
        let content =
            body::take(content, self.route.max_body, body::REQUEST_TIME).await.map_err(Refused::Body)?;
        let panel = self.gateway.care.of(&authenticated.caller.facts.subject);
        let enforcer = Enforcer::new(
            self.gateway.policies.current(),
            &authenticated.caller,
            &authenticated.decisions,
            panel,
        );
        if let Some(link) = page {
            return search::next_page(self, &authenticated, &enforcer, link).await;
        }
        let form = posted_form(head, below, &content)?;
        let header = |name: HeaderName| single(&head.headers, &name);
        let request = FhirRequest {
            method: head.method.as_str(),
            path: below,
            query: head.uri.query().unwrap_or_default(),
            form: form.as_ref(),
            accept: header(header::ACCEPT),
            content_type: header(header::CONTENT_TYPE),
            if_match: header(header::IF_MATCH),
            if_none_exist: header(HeaderName::from_static("if-none-exist")),
        };
        self.record.request.query =
            Some(Phi::new(request.query.to_owned())).filter(|query| !query.expose().is_empty());
        let interaction = Interaction::parse(&request).map_err(Refused::Request)?;
        self.describe(&interaction);
        match interaction {
            Interaction::Capabilities => capabilities::serve(self, head).await,
            Interaction::Read { .. } | Interaction::VRead { .. } => {
                read::serve(self, &enforcer, interaction).await
            }
            Interaction::Search { query, method } => {
                search::serve(self, &authenticated, &enforcer, query, method).await
            }
            Interaction::Create { .. } | Interaction::Update { .. } | Interaction::Delete { .. } => {
                write::serve(self, &enforcer, interaction, &content).await
            }
        }
    }

    fn authenticate(
        &mut self,
        gate: &Gate,
        origin: &Origin,
        headers: &HeaderMap,
    ) -> Result<Arc<Authenticated>, Refused> {
        match self.gateway.authenticator.authenticate(headers, gate.index) {
            Ok(authenticated) => {
                authenticated.describe(&mut self.record);
                Ok(authenticated)
            }
            Err(cause) => {
                match cause {
                    NotAuthenticated::Revoked(_) | NotAuthenticated::SessionOver => {}
                    NotAuthenticated::Missing
                    | NotAuthenticated::Malformed
                    | NotAuthenticated::Rejected(_)
                    | NotAuthenticated::ForeignClaims => self.gateway.throttle.count(origin.ip),
                }
                Err(Refused::NotAuthenticated(cause))
            }
        }
    }

    /// What the record says of the question.
    fn describe(&mut self, interaction: &Interaction) {
        let (action, resource) = match interaction {
            Interaction::Capabilities => ("capabilities", None),
            Interaction::Read { resource_type, id } => ("read", Some(format!("{resource_type}/{id}"))),
            Interaction::VRead { resource_type, id, version } => {
                ("vread", Some(format!("{resource_type}/{id}/_history/{version}")))
            }
            Interaction::Search { query, .. } => {
                self.record.patients =
                    query.patients_named().iter().map(|id| Phi::new(id.to_string())).collect();
                ("search", Some(query.resource_type().to_string()))
            }
            Interaction::Create { resource_type } => ("create", Some(resource_type.to_string())),
            Interaction::Update { resource_type, id, .. } => {
                ("update", Some(format!("{resource_type}/{id}")))
            }
            Interaction::Delete { resource_type, id, .. } => {
                ("delete", Some(format!("{resource_type}/{id}")))
            }
        };
        self.record.action = Some(action.to_owned());
        self.record.resource = resource.map(Phi::new);
        // Whoever asks for a patient by id has asked for that patient's record, found or not.
        if let Interaction::Read { resource_type, id }
        | Interaction::VRead { resource_type, id, .. }
        | Interaction::Update { resource_type, id, .. }
        | Interaction::Delete { resource_type, id, .. } = interaction
            && resource_type.as_str() == "Patient"
        {
            self.record.patients = vec![Phi::new(id.to_string())];
        }
    }

    /// Makes the record durable, then lets the answer go.
    async fn release(mut self, answer: Withheld<Response<Body>>) -> Response<Body> {
        let response = answer.inspect();
        self.record.response.status = Some(response.status().as_u16());
        match self.gateway.journal.append(&self.record, answer).await {
            Ok(recorded) => Withheld::release(recorded),
            Err(error) => {
                tracing::error!(%error, "audit");
                Refused::Unrecorded.shown(self.route, &self.gateway.issuer).as_fhir()
            }
        }
    }

    /// Records a refusal and answers it.
    async fn refuse(mut self, refused: Refused) -> Response<Body> {
        let shown = refused.shown(self.route, &self.gateway.issuer);
        let (policies, reason) = refused.reason();
        self.record.outcome = refused.outcome();
        self.record.decision.reason = Some(reason.to_owned());
        if !policies.is_empty() {
            self.record.decision.policies = policies;
        }
        self.record.response.status = Some(shown.status.as_u16());
        match self.gateway.journal.append(&self.record, Withheld::new(shown.as_fhir())).await {
            Ok(recorded) => Withheld::release(recorded),
            Err(error) => {
                tracing::error!(%error, "audit");
                Refused::Unrecorded.shown(self.route, &self.gateway.issuer).as_fhir()
            }
        }
    }
}

/// The body of a posted search.
fn posted_form(head: &Head, below: &str, content: &[u8]) -> Result<Option<Form>, Refused> {
    if head.method != Method::POST || !below.ends_with("/_search") {
        return Ok(None);
    }
    let text = std::str::from_utf8(content).map_err(|_| Refused::AmbiguousPath)?;
    let form = Form::parse_repeating(text).map_err(|e| Refused::Request(e.into()))?;
    Ok(Some(form))
}

/// A header that comes once and is text.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
