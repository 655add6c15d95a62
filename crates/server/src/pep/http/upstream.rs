//! Calling the server behind an `http` route: the same method and path, our own credential, and of the caller's headers
//! only those that describe content.

use bytes::Bytes;
use chartgate_access::permit::{Permit, Withheld};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;

use super::rules::Pattern;
use crate::config::{HttpRule, Route};
use crate::net::body;
use crate::net::client::HttpClient;
use crate::net::credential;
use crate::pep::respond::UpstreamFault;

/// How long the body of an answer may take.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// What of the caller's headers goes upstream. Everything else stays, whatever its spelling: credentials, cookies,
/// identity and forwarding headers, hop-by-hop headers (ATTACKS G02, G03, G04).
const REQUEST_HEADERS: [HeaderName; 6] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
];
/// What of the upstream's headers goes to the caller.
const ANSWER_HEADERS: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::ETAG,
    header::LAST_MODIFIED,
    header::VARY,
    header::LINK,
];

/// The server behind a route.
pub(in crate::pep) struct HttpUpstream {
    client: HttpClient,
    base_path: String,
    credential: Option<HeaderValue>,
    max_answer: u64,
    pub(super) rules: Vec<(Pattern, HttpRule)>,
}

/// A request that a rule allows.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl HttpUpstream {
    pub(in crate::pep) fn new(route: &Route, rules: &[HttpRule]) -> anyhow::Result<Self> {
        Ok(Self {
            client: HttpClient::new(&route.upstream, route.upstream_ca.as_deref())?,
            base_path: route.upstream.path().trim_end_matches('/').to_owned(),
            credential: credential::header(&route.upstream_auth),
            max_answer: route.max_answer,
            rules: rules.iter().map(|rule| (Pattern::new(&rule.path), rule.clone())).collect(),
        })
    }

    /// Carries a call out: its intent is durable. We do not know what a call of another's API changes, so each has one.
    pub(super) async fn call(
        &self,
        permit: Permit<Call>,
        caller: &str,
    ) -> Result<Withheld<Answer>, UpstreamFault> {
        let call = permit.action();
        let mut request = Request::new(Full::from(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = self.uri(&call.path_and_query)?;
        let headers = request.headers_mut();
        for name in REQUEST_HEADERS {
            for value in call.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        // Set after everything of the caller's is gone, so that nobody else says who calls.
        let subject = HeaderValue::from_str(caller).map_err(|_| UpstreamFault::Wrong)?;
        headers.insert("x-chartgate-subject", subject);
        if let Some(credential) = &self.credential {
            headers.insert(header::AUTHORIZATION, credential.clone());
        }
        let response = self.client.call(request).await.map_err(UpstreamFault::from)?;
        let (head, content) = response.into_parts();
        let body = body::take(content, self.max_answer, BODY_TIME).await.map_err(UpstreamFault::from)?;
        let mut headers = HeaderMap::new();
        for name in ANSWER_HEADERS {
            for value in head.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Ok(permit.withhold(Answer { status: head.status, headers, body }))
    }

    /// The route's path stays in front: `/orders/17` of the gateway is `/orders/17` of the upstream.
    fn uri(&self, path_and_query: &str) -> Result<Uri, UpstreamFault> {
        let target = format!("{}{path_and_query}", self.base_path);
        Uri::try_from(target).map_err(|_| UpstreamFault::Wrong)
    }
}

impl Answer {
    pub(super) fn into_response(self) -> Response<axum::body::Body> {
        let mut response = Response::new(axum::body::Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
