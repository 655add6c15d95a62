//! A request under way on a route of whatever kind: who asks, the record that will tell of it, and the two ways in which
//! it ends. Exactly one `access` record stands for each.

use std::sync::Arc;

use axum::body::Body;
use chartgate_access::pdp::account::Account;
use chartgate_access::permit::{Allowed, Permit, Withheld};
use chartgate_audit::record::{ActorKind, Event, Outcome, Record};
use chartgate_values::Phi;
use http::request::Parts as Head;
use http::{HeaderValue, Response, StatusCode};

use super::authenticate::{Authenticated, Guard, NotAuthenticated, Showing};
use super::respond::{Refused, Shown};
use super::{Gate, Gateway};
use crate::account;
use crate::config::Route;
use crate::entropy::digest_of;
use crate::net::access_token::{self, DPOP_NONCE, Scheme};
use crate::net::origin::Origin;
use crate::net::path::unambiguous;

/// A request under way, to an upstream of kind `U`.
pub(super) struct Exchange<'a, U> {
    pub(super) gateway: &'a Gateway,
    pub(super) route: &'a Route,
    pub(super) upstream: &'a U,
    /// Elsewhere, for an exchange moves from hand to hand.
    pub(super) record: Box<Record>,
    /// What the policies were asked for it, and said.
    pub(super) account: Arc<Account>,
    /// Once it was found good.
    token: Option<Arc<Authenticated>>,
    /// By which scheme it came.
    scheme: Scheme,
    /// For the caller's next proof, where that needs another.
    next_nonce: Option<HeaderValue>,
    /// The route's place, for its verifier.
    index: usize,
    /// How refusals look on this kind of route.
    show: fn(&Shown) -> Response<Body>,
    /// Whether it may have changed the world.
    intended: bool,
}

impl<'a, U> Exchange<'a, U> {
    /// Begins with what the head says by itself.
    pub(super) fn begin(
        gateway: &'a Gateway,
        gate: &'a Gate,
        upstream: &'a U,
        origin: &Origin,
        head: &Head,
        show: fn(&Shown) -> Response<Body>,
    ) -> Self {
        let route = gate.route();
        let mut record = Box::new(origin.record(Event::Access, Outcome::Allow, gateway.clock.now()));
        record.route = Some(route.name.clone());
        record.request.method = Some(head.method.as_str().chars().take(16).collect());
        record.request.query = head.uri.query().map(|query| Phi::new(kept(query)));
        Self {
            gateway,
            route,
            upstream,
            record,
            account: Arc::default(),
            token: None,
            scheme: Scheme::Bearer,
            next_nonce: None,
            index: gate.index,
            show,
            intended: false,
        }
    }

    /// One entry of a batch or transaction, as a request by itself: with a record of its own.
    pub(super) fn entry(&self, number: u32, method: &str, query: Option<&str>) -> Self {
        let mut record = self.record.clone();
        record.entry = Some(number);
        record.request.method = Some(method.chars().take(16).collect());
        record.request.query = query.map(|query| Phi::new(kept(query)));
        Self {
            gateway: self.gateway,
            route: self.route,
            upstream: self.upstream,
            record,
            account: Arc::default(),
            token: self.token.clone(),
            scheme: self.scheme,
            next_nonce: None,
            index: self.index,
            show: self.show,
            intended: false,
        }
    }

    /// Finds out who asks, and notes it. Who shows nothing good is counted against their address.
    ///
    /// # Errors
    /// [`Refused::NotAuthenticated`].
    pub(super) async fn authenticate(
        &mut self,
        origin: &Origin,
        head: &Head,
    ) -> Result<Arc<Authenticated>, Refused> {
        self.gateway.authenticator.fetch_keys_for(&head.headers).await;
        let found = self.gateway.authenticator.authenticate(Showing::of_head(origin, head), self.index);
        self.next_nonce = self.gateway.authenticator.next_nonce(&found);
        match found {
            Ok(recognised) => {
                self.scheme = recognised.scheme();
                recognised.token.describe(&mut self.record);
                self.token = Some(Arc::clone(&recognised.token));
                Ok(recognised.token)
            }
            Err(cause) => {
                self.scheme = Scheme::of(&access_token::read(&head.headers));
                if cause.is_a_strangers() {
                    self.count(origin);
                }
                Err(Refused::NotAuthenticated(cause))
            }
        }
    }

    /// What every answer to a request with a proof may have to say.
    pub(super) fn note_nonce(&mut self) -> impl FnOnce(&mut Response<Body>) + use<U> {
        let nonce = self.next_nonce.take();
        move |response| {
            if let Some(nonce) = nonce {
                response.headers_mut().insert(DPOP_NONCE, nonce);
            }
        }
    }

    /// Watches over the caller's token while the answer goes out.
    pub(super) fn guard(&self) -> Option<Guard> {
        self.token.clone().map(|token| self.gateway.authenticator.guard(token))
    }

    /// Whether the caller's token is believed still, in the middle of what takes long.
    ///
    /// # Errors
    /// [`Refused::NotAuthenticated`].
    pub(super) fn still_believed(&self) -> Result<(), Refused> {
        match self.guard().map(|guard| guard.check()) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(revoked)) => Err(Refused::NotAuthenticated(NotAuthenticated::Revoked(revoked))),
        }
    }

    /// Whether an answer that was waited for may leave: none for whom was cut off meanwhile, but what came of a change, which
    /// its record tells as it was. The entries of a batch were asked one by one.
    ///
    /// # Errors
    /// [`Refused::NotAuthenticated`].
    pub(super) fn may_leave(&self) -> Result<(), Refused> {
        if self.intended || self.record.event == Event::Batch { Ok(()) } else { self.still_believed() }
    }

    /// Counts a request that did not show who makes it against its address.
    pub(super) fn count(&self, origin: &Origin) {
        self.gateway.throttle.count(origin.ip);
    }

    /// The path, if it has one reading.
    ///
    /// # Errors
    /// [`Refused::AmbiguousPath`].
    pub(super) fn unambiguous<'p>(&self, origin: &Origin, path: &'p str) -> Result<&'p str, Refused> {
        unambiguous(path).map_err(|_| {
            self.count(origin);
            Refused::AmbiguousPath
        })
    }

    /// Makes the intent to change the world durable, and gives leave to do it.
    ///
    /// # Errors
    /// [`Refused::Unrecorded`]: then nothing may be sent.
    pub(super) async fn intend<A: Send>(&mut self, allowed: Allowed<A>) -> Result<Permit<A>, Refused> {
        // Whatever was waited for: what is cut since does not write.
        self.still_believed()?;
        self.intended = true;
        let mut intent = self.record.clone();
        intent.event = Event::AccessIntent;
        account::tell(&self.account, &mut intent);
        match self.gateway.journal.append(&intent, allowed).await {
            Ok(recorded) => Ok(Permit::from_recorded(recorded)),
            Err(error) => {
                tracing::error!(%error, "audit");
                Err(Refused::Unrecorded)
            }
        }
    }

    /// Ends with an answer or a refusal, once its record is durable.
    pub(super) async fn end(mut self, ended: Result<Withheld<Response<Body>>, Refused>) -> Response<Body> {
        match ended.and_then(|answer| self.may_leave().map(|()| answer)) {
            Ok(answer) => self.release(answer, Response::status).await.unwrap_or_else(|shown| shown),
            Err(refused) => self.refuse(&refused).await,
        }
    }

    /// Opens an answer once its record is durable.
    ///
    /// # Errors
    /// What the caller gets in its place.
    pub(super) async fn release<T: Send>(
        &mut self,
        answer: Withheld<T>,
        status: fn(&T) -> StatusCode,
    ) -> Result<T, Response<Body>> {
        // Nobody showed who they are: what is left of a disk that is almost full is for others.
        if self.record.actor.kind == ActorKind::Anonymous
            && self.gateway.throttle.reserve.admit_stranger().is_err()
        {
            return Err(self.shown(&Refused::Unrecorded));
        }
        account::tell(&self.account, &mut self.record);
        self.record.response.status = Some(status(answer.inspect()).as_u16());
        match self.gateway.journal.append(&self.record, answer).await {
            Ok(recorded) => Ok(Withheld::release(recorded)),
            Err(error) => {
                tracing::error!(%error, "audit");
                Err(self.shown(&Refused::Unrecorded))
            }
        }
    }

    /// A refusal, once its record is durable.
    pub(super) async fn refuse(&mut self, refused: &Refused) -> Response<Body> {
        let (policies, reason) = refused.reason();
        // What was noted of an answer that does not leave after all; of a batch, the entries that were asked for stay.
        let is_batch = self.record.event == Event::Batch;
        let response = &mut self.record.response;
        (response.count, response.bytes) = (response.count.filter(|_| is_batch), None);
        response.digests.clear();
        self.record.outcome = refused.outcome();
        self.record.decision.reason = Some(reason.to_owned());
        if !policies.is_empty() {
            self.record.decision.policies = policies;
        }
        let shown = Withheld::new(self.shown(refused));
        self.release(shown, Response::status).await.unwrap_or_else(|shown| shown)
    }

    /// Where the caller reads of emergency access, if they may have it: known from token and policies alone, so that it says
    /// nothing of any record.
    pub(super) fn hint(&self) -> Option<String> {
        let policies = self.gateway.policies.current();
        let may = self.token.as_ref().is_some_and(|token| token.may_hear_of_emergencies(&policies));
        may.then(|| format!("{}/emergency", self.gateway.issuer))
    }

    fn shown(&self, refused: &Refused) -> Response<Body> {
        let mut shown = refused.shown(self.route, &self.gateway.issuer, self.scheme);
        if matches!(refused, Refused::Record(_) | Refused::NotFound) {
            shown.hint = self.hint();
        }
        (self.show)(&shown)
    }
}

/// The most that a record keeps of a path or query; who is not known yet must not fill the log.
const KEPT: usize = 2048;

/// A path or query as a record keeps it: what is beyond its limit is named by a digest.
pub(super) fn kept(text: &str) -> String {
    if text.len() <= KEPT {
        return text.to_owned();
    }
    let start: String = text.chars().take(KEPT).collect();
    format!("{start}… ({} bytes, SHA-256 {})", text.len(), digest_of(text))
}
