//! Receivers that are called over HTTP: one that answers has what it was given.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;

use super::Failure;
use super::destination::FailureKind;
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

/// The longest time that it can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What it answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long it asks to be left alone.
    wait: Option<Duration>,
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
        let answer = self.client.call(request).await.map_err(|error| match error {
            CallError::Unreachable(_) => Failure::away("unreachable"),
            CallError::Broken(_) => Failure::not_taken("broke-off"),
            CallError::TooSlow => Failure::not_taken("too-slow"),
        })?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            self.credential.was_refused(credential.as_ref());
        }
        let wait = answer.headers().get(header::RETRY_AFTER).and_then(asked_for);
        let body = body::take(answer.into_body(), LONGEST_ANSWER, ANSWER_TIME);
        let body = body.await.map_err(|error| match error {
            // Less of ours may get less of an answer.
            BodyError::TooLong(_) => Failure::refused("answer-too-long"),
            _ => Failure::not_taken("broke-off"),
        });
        Ok(Answer { status, wait, body })
    }
}

impl Answer {
    /// Whether it has what it was given; if not, whether less of it or only time may help.
    pub(super) fn taken(&self) -> Result<(), Failure> {
        // RFC 4918 section 11.1: 207 says that there is more to say, and not that all went well.
        if self.status.is_success() && self.status != StatusCode::MULTI_STATUS {
            return Ok(());
        }
        let status = self.status.as_u16();
        let failure = Failure::of_status(status, format!("status-{status}"));
        // Giving it less is no sooner than it would be without.
        let wait = self.wait.filter(|_| failure.kind == FailureKind::Away);
        Err(Failure { wait, ..failure })
    }
}

/// RFC 9110 section 10.2.3, in seconds. A date is a guess at our clock: our own pauses do.
fn asked_for(header: &HeaderValue) -> Option<Duration> {
    let seconds = header.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_was_reached_gets_less_unless_it_asks_for_time_alone() {
        let answer = |status| {
            let status = StatusCode::from_u16(status).unwrap();
            Answer { status, wait: None, body: Ok(Bytes::new()) }.taken().map_err(|failure| failure.kind)
        };
        for status in [200, 201, 202, 204] {
            assert_eq!(answer(status), Ok(()), "{status}");
        }
        for (wanted, statuses) in [
            (FailureKind::Refused, &[400, 413, 415, 422][..]),
            (FailureKind::Away, &[401, 429, 503]),
            (FailureKind::NotTaken, &[207, 302, 403, 404, 406, 408, 431, 500, 502, 504]),
        ] {
            for status in statuses {
                assert_eq!(answer(*status), Err(wanted), "{status}");
            }
        }
    }

    #[test]
    fn what_it_asks_for_is_bounded() {
        let asked =
            |text: &'static str| asked_for(&HeaderValue::from_static(text)).map(|wait| wait.as_secs());
        assert_eq!(
            (asked("17"), asked("86400"), asked("Wed, 21 Oct 2026 07:28:00 GMT")),
            (Some(17), Some(300), None)
        );
    }
}
