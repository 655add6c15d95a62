//! Receivers that are called over HTTP: one that answers has what it was given.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;

use super::Failure;
use crate::config::{self, HttpReceiver, UpstreamAuth};
use crate::net::body::{self, BodyError};
use crate::net::client::{CallError, HttpClient};
use crate::net::credential::{self, Credential};

/// The longest answer that is read.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How long its body may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// An HTTP server that takes entries.
pub(super) struct HttpSender {
    client: HttpClient,
    credential: Credential,
    base: Uri,
}

/// What it answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// None that could be read, perhaps; the status counts all the same.
    pub(super) body: Result<Bytes, Failure>,
}

impl HttpSender {
    pub(super) fn new(to: &HttpReceiver, export: &config::Export) -> anyhow::Result<Self> {
        let ca = export.ca.as_deref();
        let (client, credential) = match (&export.certificate, &to.auth) {
            (Some(own), auth) if !matches!(auth, UpstreamAuth::ClientCertificate(_)) => {
                let (_, credential) = credential::prepare_for(&to.url, ca, auth)?;
                (HttpClient::presenting(&to.url, ca, own)?, credential)
            }
            (_, auth) => credential::prepare_for(&to.url, ca, auth)?,
        };
        Ok(Self { client, credential, base: to.url.clone() })
    }

    /// Posts to the receiver's own address.
    pub(super) async fn post(
        &self,
        content_type: &'static str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::post(self.base.clone());
        if let Some(all) = request.headers_mut() {
            *all = headers;
            all.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|_| Failure::away("bad-address"))?;
        self.send(request).await
    }

    /// Sends a request with our credential.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let credential = self.credential.header().await.map_err(|_| Failure::away("no-credential"))?;
        if let Some(credential) = credential.clone() {
            request.headers_mut().insert(header::AUTHORIZATION, credential);
        }
        let answer = self.client.call(request).await.map_err(|error| {
            Failure::away(match error {
                CallError::Unreachable(_) => "unreachable",
                CallError::Broken(_) => "broke-off",
                CallError::TooSlow => "too-slow",
            })
        })?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            self.credential.was_refused(credential.as_ref());
        }
        let body = body::take(answer.into_body(), LONGEST_ANSWER, ANSWER_TIME);
        let body = body.await.map_err(|error| match error {
            // Less of ours may get less of an answer.
            BodyError::TooLong(_) => Failure::refused("answer-too-long"),
            _ => Failure::away("broke-off"),
        });
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// Whether it has what it was given; if not, whether less of it or only time may help.
    pub(super) fn taken(&self) -> Result<(), Failure> {
        if self.status.is_success() {
            return Ok(());
        }
        let code = format!("status-{}", self.status.as_u16());
        Err(if may_be_less(self.status.as_u16()) { Failure::refused(code) } else { Failure::away(code) })
    }
}

/// Whether a status says that what was sent is at fault: bad request, too large, another type, or content that cannot be used.
pub(super) const fn may_be_less(status: u16) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}
