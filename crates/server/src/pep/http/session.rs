//! A request to an `http` route, from its head to its answer.

use axum::body::Body;
use chartgate_access::pdp::decide::{Decision, Question};
use chartgate_access::permit::{Allowed, Permit, Withheld};
use chartgate_audit::record::{Event, Outcome, Record};
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;

use super::rules;
use super::upstream::{Answer, Call, HttpUpstream};
use crate::config::{HttpRule, Route};
use crate::entropy::digest_of;
use crate::net::body;
use crate::net::origin::Origin;
use crate::net::path::unambiguous;
use crate::pep::authenticate::{Authenticated, NotAuthenticated};
use crate::pep::respond::Refused;
use crate::pep::{Gate, Gateway};

pub(in crate::pep) async fn handle(
    gateway: &Gateway,
    gate: &Gate,
    upstream: &HttpUpstream,
    origin: &Origin,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, content) = request.into_parts();
    let route = gate.route();
    let mut record = origin.record(Event::Access, Outcome::Allow, gateway.clock.now());
    record.route = Some(route.name.clone());
    record.action = Some(head.method.as_str().chars().take(16).collect());
    record.request.method.clone_from(&record.action);
    record.resource = Some(Phi::new(head.uri.path().to_owned()));
    record.request.query = head.uri.query().map(|query| Phi::new(query.to_owned()));
    match serve(gateway, gate, upstream, origin, (&head, content), &mut record).await {
        Ok(answer) => release(gateway, route, record, answer).await,
        Err(refused) => refuse(gateway, route, record, refused).await,
    }
}

async fn serve(
    gateway: &Gateway,
    gate: &Gate,
    upstream: &HttpUpstream,
    origin: &Origin,
    (head, content): (&Head, Incoming),
    record: &mut Record,
) -> Result<Withheld<Answer>, Refused> {
    let path = unambiguous(head.uri.path()).map_err(|_| Refused::AmbiguousPath)?;
    let authenticated = gateway.authenticator.authenticate(&head.headers, gate.index).map_err(|cause| {
        if !matches!(cause, NotAuthenticated::Revoked(_) | NotAuthenticated::SessionOver) {
            gateway.throttle.count(origin.ip);
        }
        Refused::NotAuthenticated(cause)
    })?;
    authenticated.describe(record);
    let rule = rules::find(&upstream.rules, &head.method, path).ok_or(Refused::NoRule)?;
    let allowed = decide(gateway, gate.route(), &authenticated, rule, head)?;
    record.decision.policies = allowed.policies().to_vec();
    let body = body::take(content, gate.route().max_body, body::REQUEST_TIME).await.map_err(Refused::Body)?;
    let path_and_query = head.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned();
    let (method, headers) = (head.method.clone(), head.headers.clone());
    if !body.is_empty() {
        let text = String::from_utf8_lossy(&body);
        record.request.digest = Some(Phi::new(digest_of(&text)));
    }
    let call = allowed.map(|()| Call { method, path_and_query, headers, body });
    let mut intent = record.clone();
    intent.event = Event::AccessIntent;
    let recorded = gateway.journal.append(&intent, call).await.map_err(|error| {
        tracing::error!(%error, "audit");
        Refused::Unrecorded
    })?;
    let caller = authenticated.caller.facts.subject.as_str();
    upstream.call(Permit::from_recorded(recorded), caller).await.map_err(Refused::Upstream)
}

/// The rule's scope and roles, then policy.
fn decide(
    gateway: &Gateway,
    route: &Route,
    authenticated: &Authenticated,
    rule: &HttpRule,
    head: &Head,
) -> Result<Allowed<()>, Refused> {
    let caller = &authenticated.caller;
    if let Some(scope) = rule.scope.as_ref().filter(|scope| !caller.other_scopes.contains(*scope)) {
        return Err(Refused::Scope(scope.clone()));
    }
    if !rule.roles.is_empty() && !rule.roles.iter().any(|role| caller.facts.roles.contains(role)) {
        return Err(Refused::Forbidden(Vec::new(), "wrong-role"));
    }
    let question = Question::Endpoint { route: &route.name, method: head.method.as_str(), path: &rule.path };
    match gateway.policies.current().decide(&caller.facts, &question) {
        Decision::Allow(allowance) => Ok(allowance.allow(())),
        Decision::Deny(denial) => Err(Refused::Forbidden(denial.policies, denial.reason.as_str())),
    }
}

async fn release(
    gateway: &Gateway,
    route: &Route,
    mut record: Record,
    answer: Withheld<Answer>,
) -> Response<Body> {
    record.response.status = Some(answer.inspect().status.as_u16());
    record.response.bytes = u64::try_from(answer.inspect().body.len()).ok();
    match gateway.journal.append(&record, answer).await {
        Ok(recorded) => {
            let mut response = Withheld::release(recorded).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "audit");
            Refused::Unrecorded.shown(route, &gateway.issuer).as_problem()
        }
    }
}

async fn refuse(gateway: &Gateway, route: &Route, mut record: Record, refused: Refused) -> Response<Body> {
    let shown = refused.shown(route, &gateway.issuer);
    let (policies, reason) = refused.reason();
    record.outcome = refused.outcome();
    record.decision.reason = Some(reason.to_owned());
    if !policies.is_empty() {
        record.decision.policies = policies;
    }
    record.response.status = Some(shown.status.as_u16());
    match gateway.journal.append(&record, Withheld::new(shown.as_problem())).await {
        Ok(recorded) => Withheld::release(recorded),
        Err(error) => {
            tracing::error!(%error, "audit");
            Refused::Unrecorded.shown(route, &gateway.issuer).as_problem()
        }
    }
}
