//! What every request passes first: a head with one reading, an address that has not failed too often, then the route or
//! the endpoint that it is for.

mod cross_origin;
pub(crate) mod requests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use chartgate_audit::journal::Journal;
use chartgate_audit::record::{Event, Outcome};
use chartgate_values::{Clock, network_of};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body as _, Incoming};

use crate::app::{App, OwnEndpoints};
use crate::authorization_server::MAX_FORM;
use crate::config::Network;
use crate::directory::PatientDirectory;
use crate::in_place::in_place;
use crate::live::client_origins::ClientOrigins;
use crate::live::trusted_issuers::TrustedIssuers;
use crate::net::body::{self, BodyError};
use crate::net::listen::Peer;
use crate::net::origin::Origin;
use crate::net::shares::Shares;
use crate::net::throttle::{Admission, Throttle};
use crate::pep::{Behind, Gateway, Standing};
use crate::registration::in_force::ClientsInForce;
use cross_origin::{Called, Callers, CrossOrigin};
use requests::Requests;

/// Bodies of our own endpoints are short forms. An endpoint that takes less says so itself; beyond this, which none takes, they
/// are not even read.
const LONGEST_FORM: u64 = MAX_FORM as u64;
/// So many of them may be on their way from one address, or IPv6 network: what has come of each is in memory meanwhile.
const FORMS_AT_ONCE: usize = 512;
/// So long a new configuration waits for what servers behind say of themselves.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// The front door.
pub(crate) struct FrontDoor {
    gateway: Arc<Gateway>,
    issuers: Arc<TrustedIssuers>,
    own: OwnEndpoints,
    origins: ClientOrigins,
    clients: Arc<ClientsInForce>,
    trusted: Vec<Network>,
    throttle: Arc<Throttle>,
    forms: Shares<IpAddr>,
    requests: Arc<Requests>,
    journal: Journal,
    clock: Arc<dyn Clock>,
}

impl FrontDoor {
    pub(crate) fn new(
        app: &App,
        clients: Arc<ClientsInForce>,
        gateway: Arc<Gateway>,
        issuers: Arc<TrustedIssuers>,
        own: OwnEndpoints,
    ) -> Self {
        Self {
            gateway,
            issuers,
            own,
            origins: ClientOrigins::new(Arc::clone(&clients)),
            clients,
            trusted: app.config.listen.trusted_proxies.clone(),
            throttle: Arc::clone(&app.throttle),
            forms: Shares::default(),
            requests: Arc::clone(&app.requests),
            journal: app.log.journal.clone(),
            clock: Arc::clone(&app.clock),
        }
    }

    /// Asks the servers behind FHIR routes which version of FHIR they are of. Nobody waits for it.
    pub(crate) fn look_at_versions(&self) {
        let gateway = Arc::clone(&self.gateway);
        tokio::spawn(async move { gateway.look_at_versions().await });
    }

    /// Learns what the one before it knows of keys of trusted issuers and of the servers behind FHIR routes, and asks these which
    /// version they are of. A server that does not answer in time is asked without anybody waiting for it.
    pub(crate) async fn follow(&self, old: &Self) {
        self.issuers.follow(&old.issuers);
        self.gateway.follow(&old.gateway);
        if tokio::time::timeout(LOOK_TIME, self.gateway.look_at_versions()).await.is_err() {
            self.look_at_versions();
        }
    }

    /// Puts what others of this process ask of it in force.
    pub(crate) fn come_into_force(&self, app: &App) {
        app.issuers.replace(Arc::clone(&self.issuers));
        app.directory.replace(Arc::clone(&self.gateway) as Arc<dyn PatientDirectory>);
    }

    /// Answers a request.
    pub(crate) async fn answer(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let (begun, behind) = (self.clock.now(), self.gateway.behind(request.uri().path()));
        let mut response = match plain(&request) {
            Ok(()) => {
                let origin = Origin::of(peer, request.headers(), &self.trusted);
                self.across(origin, behind, request).await
            }
            Err(status) => status_only(status),
        };
        self.requests.count(behind, response.status(), self.clock.now().since(begun));
        let hsts = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts);
        response
    }

    /// Lets applications in browsers call and read what they are registered for.
    async fn across(&self, origin: Origin, behind: Behind, request: Request<Incoming>) -> Response<Body> {
        let called = match behind {
            Behind::Fhir => Some(Called::Fhir),
            Behind::Http | Behind::Nothing => {
                Called::endpoint(request.uri().path(), &self.clients.registration)
            }
        };
        let callers = Callers { origins: &self.origins, registration: &self.clients.registration };
        let cross = match called.and_then(|called| CrossOrigin::of(&request, called)) {
            Some(cross) if callers.admit(&cross).await => Some(cross),
            Some(_) | None => None,
        };
        if let Some(answer) = cross.as_ref().and_then(CrossOrigin::preflight) {
            return answer;
        }
        let mut response = self.pass(origin, behind, request).await;
        if let Some(cross) = cross {
            cross.permit(response.headers_mut());
        }
        response
    }

    async fn pass(&self, origin: Origin, behind: Behind, request: Request<Incoming>) -> Response<Body> {
        let admission = self.throttle.admit(origin.ip);
        let path = request.uri().path();
        let is_route = match behind {
            Behind::Fhir | Behind::Http => true,
            Behind::Nothing => false,
        };
        // Nothing behind a route is public, whatever its path has in it.
        if admission != Admission::Yes && (is_route || !is_public(path)) {
            // Whoever shows a good token is not to suffer for others at the same address.
            let standing = self.gateway.standing(&origin, &request);
            if !(is_route && standing == Standing::Good) {
                Box::pin(self.record(&origin, admission)).await;
                return throttled();
            }
        }
        if is_route {
            self.gateway.handle(&origin, request).await
        } else {
            in_place(|| self.own(origin, request)).await
        }
    }

    async fn own(&self, origin: Origin, request: Request<Incoming>) -> Response<Body> {
        let (head, mut content) = request.into_parts();
        let share = match content.is_end_stream() {
            true => None,
            false => match self.forms.take(network_of(origin.ip), FORMS_AT_ONCE) {
                None => return Box::pin(self.crowded(&origin)).await,
                share => share,
            },
        };
        let content = match body::take_request(&mut content, head.version, LONGEST_FORM).await {
            Ok(content) => content,
            Err(BodyError::TooLong(_)) => {
                let refusal = self.failed(&origin, StatusCode::PAYLOAD_TOO_LARGE);
                // Whoever waits to be asked for it sends nothing before the answer.
                if !head.headers.contains_key(header::EXPECT) {
                    body::pass_over(content).await;
                }
                return refusal;
            }
            Err(BodyError::TooSlow) => {
                // Twice, for as many as may be on their way at once would take no more than is regained meanwhile.
                self.throttle.count(origin.ip);
                return self.failed(&origin, StatusCode::REQUEST_TIMEOUT);
            }
            Err(BodyError::Broken) => return self.failed(&origin, StatusCode::BAD_REQUEST),
        };
        drop(share);
        self.own.answer(origin, head, content).await
    }

    /// Refuses one form more of an address that has so many on their way.
    async fn crowded(&self, origin: &Origin) -> Response<Body> {
        self.record(origin, self.throttle.refuse(origin.ip)).await;
        let mut response = throttled();
        // What comes of it is not read.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// A form that does not come, or is none of ours, is held against its address: it took a place for as long as somebody liked.
    fn failed(&self, origin: &Origin, status: StatusCode) -> Response<Body> {
        self.throttle.count(origin.ip);
        status_only(status)
    }

    /// One record a minute and address, with the count.
    async fn record(&self, origin: &Origin, admission: Admission) {
        let Admission::NoAndRecord(count) = admission else { return };
        if self.throttle.reserve.admit_stranger().is_err() {
            return;
        }
        let mut record = origin.record(Event::AccessThrottled, Outcome::Deny, self.clock.now());
        record.response.count = Some(count);
        if let Err(error) = self.journal.append(&record, ()).await {
            tracing::error!(%error, "audit");
        }
    }
}

/// Documents that everybody may read, and that cost nothing.
fn is_public(path: &str) -> bool {
    path.contains("/.well-known/") || path == "/jwks" || path.starts_with("/assets/")
}

/// Too many requests that did not show who they are. RFC 6585 section 4.
fn throttled() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

/// Refuses heads that two programs could read differently (ATTACKS G05, G06, G11).
fn plain(request: &Request<Incoming>) -> Result<(), StatusCode> {
    let headers = request.headers();
    let repeated = |name| headers.get_all(name).iter().count() > 1;
    if repeated(header::HOST) || repeated(header::AUTHORIZATION) || request.method() == Method::CONNECT {
        return Err(StatusCode::BAD_REQUEST);
    }
    // One coding, `chunked`, is all that a body may be framed by here (RFC 9112 section 6.1).
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || repeated(header::TRANSFER_ENCODING)
    {
        return Err(StatusCode::BAD_REQUEST);
    }
    let old = request.version() <= Version::HTTP_11;
    if old && (request.uri().scheme().is_some() || !request.uri().path().starts_with('/')) {
        return Err(StatusCode::BAD_REQUEST);
    }
    Ok(())
}

fn status_only(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
