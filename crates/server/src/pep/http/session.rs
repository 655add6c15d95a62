//! A request to an `http` route, from its head to its answer.

use std::sync::Arc;

use axum::body::Body;
use chartgate_access::pdp::account::PolicySets;
use chartgate_access::pdp::decide::Decision;
use chartgate_access::permit::{Allowed, Withheld};
use chartgate_audit::record::Record;
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::rules;
use super::stream::{Place, Reader, Streams};
use super::upstream::{Answer, Call, Content, HttpUpstream};
use crate::config::HttpRule;
use crate::entropy::digest_of;
use crate::net::body;
use crate::net::origin::Origin;
use crate::pep::authenticate::Authenticated;
use crate::pep::respond::{Refused, Shown};
use crate::pep::{Gate, Gateway, exchange};

/// A request under way on an `http` route.
pub(super) type Exchange<'a> = exchange::Exchange<'a, HttpUpstream>;

/// An answer, and what it needs to be handed out if it is a stream.
struct Answered {
    answer: Answer,
    stream: Option<Held>,
}

/// For whom a stream is open, and its place among those that are.
struct Held {
    reader: Reader,
    place: Place,
}

pub(in crate::pep) async fn handle(
    gateway: &Gateway,
    gate: &Gate,
    upstream: &HttpUpstream,
    origin: &Origin,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, content) = request.into_parts();
    let mut exchange = Exchange::begin(gateway, gate, upstream, origin, &head, Shown::as_problem);
    exchange.record.action.clone_from(&exchange.record.request.method);
    exchange.record.resource = Some(Phi::new(exchange::kept(head.uri.path())));
    let served = exchange.serve(origin, &head, content).await;
    let note_nonce = exchange.note_nonce();
    let mut response = match served.and_then(|answered| exchange.may_leave().map(|()| answered)) {
        Ok(answered) => match exchange.release(answered, Answered::status).await {
            Ok(answered) => answered.into_response(&gateway.streams, *exchange.record),
            Err(shown) => shown,
        },
        Err(refused) => exchange.refuse(&refused).await,
    };
    note_nonce(&mut response);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Exchange<'_> {
    async fn serve(
        &mut self,
        origin: &Origin,
        head: &Head,
        mut content: Incoming,
    ) -> Result<Withheld<Answered>, Refused> {
        let path = self.unambiguous(origin, head.uri.path())?;
        let authenticated = self.authenticate(origin, head).await?;
        let rule = rules::find(&self.upstream.rules, &head.method, path).ok_or(Refused::NoRule)?;
        let policies = self.gateway.policies.sets();
        let allowed = self.decide(&authenticated, rule, head, &policies)?;
        self.record.decision.policies = allowed.policies().to_vec();
        let body = body::take_request(&mut content, head.version, self.route.max_body).await;
        let body = body.map_err(Refused::Body)?;
        if !body.is_empty() {
            self.record.request.digest = Some(Phi::new(digest_of(&body)));
        }
        let call = Call {
            method: head.method.clone(),
            path_and_query: head.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned(),
            headers: head.headers.clone(),
            body,
        };
        // Taken before anything is done: what was done is not answered with "busy".
        let place = self.gateway.streams.place(&authenticated.caller.facts.subject).ok_or(Refused::Busy)?;
        let used = self.second_person(origin, &authenticated, rule, &call).await?;
        let permit = self.intend(allowed.map(|()| call)).await?;
        if let Some(approval) = used {
            self.gateway.approvals.note_deed_used(approval).await;
        }
        let caller = authenticated.caller.facts.subject.as_str();
        let answer = self.upstream.call(permit, caller).await.map_err(Refused::Upstream)?;
        let stream = match &answer.inspect().content {
            Content::Whole(body) => {
                self.record.response.bytes = u64::try_from(body.len()).ok();
                if !body.is_empty() {
                    self.record.response.digests = vec![Phi::new(digest_of(body))];
                }
                None
            }
            Content::Stream(_) => {
                let (route, method) = (self.route.name.clone(), head.method.clone());
                let (path, decided_by) = (rule.path.clone(), policies.in_force);
                let reader = Reader { token: Arc::clone(&authenticated), route, method, path, decided_by };
                Some(Held { reader, place })
            }
        };
        Ok(answer.map(|answer| Answered { answer, stream }))
    }

    /// The rule's scope and roles, then policy.
    fn decide(
        &self,
        authenticated: &Authenticated,
        rule: &HttpRule,
        head: &Head,
        policies: &PolicySets,
    ) -> Result<Allowed<()>, Refused> {
        let caller = &authenticated.caller;
        if let Some(scope) = rule.scope.as_ref().filter(|scope| !caller.scopes.contains(*scope)) {
            return Err(Refused::Scope(scope.clone()));
        }
        if !rule.roles.is_empty() && !rule.roles.iter().any(|role| caller.facts.roles.contains(role)) {
            return Err(Refused::Forbidden(Vec::new(), "wrong-role"));
        }
        let endpoint = (self.route.name.as_str(), head.method.as_str(), rule.path.as_str());
        match policies.ask_endpoint(&self.account, &caller.facts, endpoint) {
            Decision::Allow(allowance) => Ok(allowance.allow(())),
            Decision::Deny(denial) => Err(Refused::Forbidden(denial.policies, denial.reason.as_str())),
        }
    }
}

impl Answered {
    fn status(&self) -> StatusCode {
        self.answer.status
    }

    /// What the caller gets, now that `access` is durable.
    fn into_response(self, streams: &Arc<Streams>, access: Record) -> Response<Body> {
        let Answer { status, headers, content } = self.answer;
        let body = match (content, self.stream) {
            (Content::Whole(body), _) => Body::from(body),
            (Content::Stream(begun), Some(Held { reader, place })) => {
                streams.start(begun, access, reader, place)
            }
            // INVARIANT: what is a stream was given its place above; without one nothing of it leaves.
            (Content::Stream(_), None) => Body::empty(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}
