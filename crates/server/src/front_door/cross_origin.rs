//! Requests of applications that run in a browser, from another origin. Fetch standard, "CORS protocol"; SMART App Launch
//! 2.2, requirement 17: from the origins of registered applications the token endpoint and FHIR routes can be called.
//! Where clients register themselves (RFC 7591, RFC 7592), pages can do so from where browsers may be sent for such clients.
//!
//! No cookie is ever let through: what such a request may do is what its token says.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::config::{Dynamic, Registration};
use crate::live::client_origins::ClientOrigins;

/// Endpoints of ours that an application calls by itself; the others are for people, for servers, or open to all.
const ENDPOINTS: [&str; 3] = ["/token", "/revoke", "/userinfo"];
const RECORD_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const ENDPOINT_METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const SENT: HeaderValue = HeaderValue::from_static(
    "accept, approval-reason, authorization, content-type, dpop, if-match, if-modified-since, if-none-match, prefer",
);
const READ: HeaderValue = HeaderValue::from_static(
    "content-location, dpop-nonce, etag, last-modified, location, retry-after, www-authenticate",
);
/// For how long a browser need not ask again, in seconds.
const ASKED_AGAIN: HeaderValue = HeaderValue::from_static("600");

/// What is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Called {
    Fhir,
    Endpoint,
    /// A registration, or the place of one.
    Registration,
}

impl Called {
    /// Which of our own endpoints a path is, if applications call it.
    pub(super) fn endpoint(path: &str, registration: &Registration) -> Option<Self> {
        let place =
            path.strip_prefix("/register").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match registration.dynamic {
            Dynamic::Invited | Dynamic::Open if place => Some(Self::Registration),
            Dynamic::Off | Dynamic::Invited | Dynamic::Open => {
                ENDPOINTS.contains(&path).then_some(Self::Endpoint)
            }
        }
    }
}

/// Whose pages may call.
pub(super) struct Callers<'a> {
    pub(super) origins: &'a ClientOrigins,
    pub(super) registration: &'a Registration,
}

impl Callers<'_> {
    /// Whether a request may be answered so that its page can read it.
    pub(super) async fn admit(&self, request: &CrossOrigin) -> bool {
        let Ok(origin) = request.origin.to_str() else { return false };
        match request.called {
            Called::Fhir | Called::Endpoint => self.origins.has(origin).await,
            // The first time nobody of this origin is registered yet.
            Called::Registration => self.registration.admits_origin(origin) || self.origins.has(origin).await,
        }
    }
}

/// A request from the origin of an application.
pub(super) struct CrossOrigin {
    origin: HeaderValue,
    called: Called,
    asks_first: bool,
}

impl CrossOrigin {
    /// What a browser says of a request.
    pub(super) fn of<B>(request: &Request<B>, called: Called) -> Option<Self> {
        let headers = request.headers();
        let mut named = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (named.next(), named.next()) else { return None };
        let asks_first = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Some(Self { origin: origin.clone(), called, asks_first })
    }

    /// The answer to a browser that asks before it sends the request itself.
    pub(super) fn preflight(&self) -> Option<Response<Body>> {
        self.asks_first.then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            self.permit(headers);
            let methods = match self.called {
                Called::Fhir | Called::Registration => RECORD_METHODS,
                Called::Endpoint => ENDPOINT_METHODS,
            };
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, ASKED_AGAIN);
            response
        })
    }

    /// Lets the page read an answer, unless everybody may.
    pub(super) fn permit(&self, headers: &mut HeaderMap) {
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READ);
        headers.append(header::VARY, HeaderValue::from(header::ORIGIN));
    }
}
