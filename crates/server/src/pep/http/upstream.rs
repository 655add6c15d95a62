//! Calling the server behind an `http` route: the same method and path, our own credential, and of the caller's headers
//! only those that describe content.

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::{Permit, Withheld};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Body as _;

use super::rules::Pattern;
use super::stream::Begun;
use crate::config::{HttpRule, Route};
use crate::net::body::{self, Gathered};
use crate::net::client::HttpClient;
use crate::net::credential::{self, Credential};
use crate::pep::respond::UpstreamFault;

/// The longest answer that is withheld whole; what is longer is streamed.
const WITHHELD: u64 = 1 << 20;
/// How long an answer of unknown length is waited for before it is taken for a stream.
const GATHER_TIME: std::time::Duration = std::time::Duration::from_secs(1);
/// How long the body of an answer that is withheld may take.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// What of the caller's headers goes upstream. Everything else stays, whatever its spelling: credentials, cookies,
/// identity and forwarding headers, hop-by-hop headers (ATTACKS G02, G03, G04).
pub(super) const REQUEST_HEADERS: [HeaderName; 6] = [
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
    credential: Credential,
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
    pub(super) content: Content,
}

/// What an answer says.
pub(super) enum Content {
    /// All of it, withheld.
    Whole(Bytes),
    /// More than is withheld, or nobody knows how much.
    Stream(Begun),
}

impl HttpUpstream {
    pub(in crate::pep) fn new(route: &Route, rules: &[HttpRule]) -> anyhow::Result<Self> {
        let (client, credential) = credential::prepare(route)?;
        Ok(Self {
            client,
            base_path: route.upstream.path().trim_end_matches('/').to_owned(),
            credential,
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
        let credential = self.credential.header().await?;
        if let Some(credential) = credential.clone() {
            headers.insert(header::AUTHORIZATION, credential);
        }
        let response = self.client.call(request).await.map_err(UpstreamFault::from)?;
        let (head, content) = response.into_parts();
        self.judge(head.status, credential.as_ref())?;
        let content = Content::take(&head.headers, Body::new(content), self.max_answer).await?;
        let mut headers = HeaderMap::new();
        for name in ANSWER_HEADERS {
            for value in head.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        Ok(permit.withhold(Answer { status: head.status, headers, content }))
    }

    /// Whether an answer is one to what the caller asked.
    fn judge(&self, status: StatusCode, shown: Option<&HeaderValue>) -> Result<(), UpstreamFault> {
        match status {
            // They are about who we are. The caller, whose credential never travels, would take them for their own.
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
                if self.credential.is_shown() =>
            {
                self.credential.was_refused(shown);
                tracing::warn!(status = status.as_u16(), "an upstream does not believe our credential");
                Err(UpstreamFault::NotBelieved)
            }
            // RFC 9110 section 15.5.8: what a proxy says to its client, and another says it to us.
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(UpstreamFault::Wrong),
            // Another protocol is not what was asked for.
            other if other.is_informational() => Err(UpstreamFault::Wrong),
            _ => Ok(()),
        }
    }

    /// The route's path stays in front: `/orders/17` of the gateway is `/orders/17` of the upstream.
    fn uri(&self, path_and_query: &str) -> Result<Uri, UpstreamFault> {
        let target = format!("{}{path_and_query}", self.base_path);
        Uri::try_from(target).map_err(|_| UpstreamFault::Wrong)
    }
}

impl Content {
    async fn take(headers: &HeaderMap, body: Body, limit: u64) -> Result<Self, UpstreamFault> {
        let length = body.size_hint().exact();
        let begun = |pieces, rest| Self::Stream(Begun { pieces, rest, length, limit });
        match length {
            Some(length) if length > limit => Err(UpstreamFault::TooLong),
            Some(length) if length > WITHHELD => Ok(begun(Vec::new(), body)),
            Some(_) => Ok(Self::Whole(body::take(body, WITHHELD, BODY_TIME).await?)),
            None if is_event_stream(headers) => Ok(begun(Vec::new(), body)),
            None => match body::gather(body, WITHHELD.min(limit), GATHER_TIME).await? {
                Gathered::Whole(bytes) if bytes.len() as u64 > limit => Err(UpstreamFault::TooLong),
                Gathered::Whole(bytes) => Ok(Self::Whole(bytes)),
                Gathered::Begun(pieces, rest) => Ok(begun(pieces, rest)),
            },
        }
    }
}

/// Server-sent events, of which nobody waits for the end.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}
