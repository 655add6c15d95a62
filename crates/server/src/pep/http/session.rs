//! A request to an `http` route, from its head to its answer.

use axum::body::Body;
use chartgate_access::pdp::decide::{Decision, Question};
use chartgate_access::permit::{Allowed, Withheld};
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;

use super::rules;
use super::upstream::{Answer, Call, HttpUpstream};
use crate::config::HttpRule;
use crate::entropy::digest_of;
use crate::net::body;
use crate::net::origin::Origin;
use crate::pep::authenticate::Authenticated;
use crate::pep::respond::{Refused, Shown};
use crate::pep::{Gate, Gateway, exchange};

/// A request under way on an `http` route.
type Exchange<'a> = exchange::Exchange<'a, HttpUpstream>;

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
    let ended = exchange.serve(origin, &head, content).await;
    let answered = ended.map(|withheld| withheld.map(Answer::into_response));
    let mut response = exchange.end(answered).await;
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
        content: Incoming,
    ) -> Result<Withheld<Answer>, Refused> {
        let path = self.unambiguous(origin, head.uri.path())?;
        let authenticated = self.authenticate(origin, &head.headers)?;
        let rule = rules::find(&self.upstream.rules, &head.method, path).ok_or(Refused::NoRule)?;
        let allowed = self.decide(&authenticated, rule, head)?;
        self.record.decision.policies = allowed.policies().to_vec();
        let body =
            body::take(content, self.route.max_body, body::REQUEST_TIME).await.map_err(Refused::Body)?;
        if !body.is_empty() {
            self.record.request.digest = Some(Phi::new(digest_of(&body)));
        }
        let call = Call {
            method: head.method.clone(),
            path_and_query: head.uri.path_and_query().map_or(path, |target| target.as_str()).to_owned(),
            headers: head.headers.clone(),
            body,
        };
        let permit = self.intend(allowed.map(|()| call)).await?;
        let caller = authenticated.caller.facts.subject.as_str();
        let answer = self.upstream.call(permit, caller).await.map_err(Refused::Upstream)?;
        self.record.response.bytes = u64::try_from(answer.inspect().body.len()).ok();
        Ok(answer)
    }

    /// The rule's scope and roles, then policy.
    fn decide(
        &self,
        authenticated: &Authenticated,
        rule: &HttpRule,
        head: &Head,
    ) -> Result<Allowed<()>, Refused> {
        let caller = &authenticated.caller;
        if let Some(scope) = rule.scope.as_ref().filter(|scope| !caller.scopes.contains(*scope)) {
            return Err(Refused::Scope(scope.clone()));
        }
        if !rule.roles.is_empty() && !rule.roles.iter().any(|role| caller.facts.roles.contains(role)) {
            return Err(Refused::Forbidden(Vec::new(), "wrong-role"));
        }
        let question =
            Question::Endpoint { route: &self.route.name, method: head.method.as_str(), path: &rule.path };
        match self.gateway.policies.current().decide(&caller.facts, &question) {
            Decision::Allow(allowance) => Ok(allowance.allow(())),
            Decision::Deny(denial) => Err(Refused::Forbidden(denial.policies, denial.reason.as_str())),
        }
    }
}
