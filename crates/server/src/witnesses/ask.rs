//! One question to one witness: to cosign a checkpoint.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::storage::Objects;
use chartgate_audit::witness::AddCheckpoint;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Full;

use super::Witness;
use crate::net::body;
use crate::net::client::{CallError, HttpClient};

/// The longest answer that is read: some lines.
const LONGEST_ANSWER: u64 = 64 << 10;
/// How long its body may take.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How one witness is reached.
pub(super) struct Asking {
    client: HttpClient,
    add_checkpoint: String,
}

/// Why a witness did not cosign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum NotCosigned {
    /// It may later. A stable code.
    Away(String),
    /// What it remembers cannot be of the log that we have. A stable code, and the size that it remembers.
    Contradicts(&'static str, u64),
}

impl NotCosigned {
    pub(super) fn away(code: impl Into<String>) -> Self {
        Self::Away(code.into())
    }
}

impl Asking {
    pub(super) fn new(url: &Uri, ca: Option<&Path>) -> anyhow::Result<Self> {
        let add_checkpoint = format!("{}/add-checkpoint", url.path().trim_end_matches('/'));
        Ok(Self { client: HttpClient::new(url, ca)?, add_checkpoint })
    }

    async fn post(&self, body: String) -> Result<(StatusCode, Bytes), NotCosigned> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.add_checkpoint.parse().map_err(|_| NotCosigned::away("bad-address"))?;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        request.headers_mut().insert(header::CONTENT_TYPE, plain);
        let answer = self.client.call(request).await.map_err(|error| {
            NotCosigned::away(match error {
                CallError::Unreachable(_) => "unreachable",
                CallError::Broken(_) => "broke-off",
                CallError::TooSlow => "too-slow",
            })
        })?;
        let status = answer.status();
        let body = body::take(answer.into_body(), LONGEST_ANSWER, ANSWER_TIME).await;
        Ok((status, body.map_err(|_| NotCosigned::away("broke-off"))?))
    }
}

impl Witness {
    /// Asks for a cosignature, from the size that the witness has. Gives back its lines, which verify.
    pub(super) async fn ask(
        &self,
        objects: &Arc<dyn Objects>,
        checkpoint: &SignedCheckpoint,
    ) -> Result<Bytes, NotCosigned> {
        // From the size that it is known to have; else from none, and from the one that it then says.
        let mut old = self.state().size.filter(|size| *size <= checkpoint.size()).unwrap_or(0);
        for _ in 0..2 {
            let (status, body) = self.asking.post(request(objects, old, checkpoint).await?).await?;
            match status {
                StatusCode::OK => {
                    let cosigned = checkpoint.cosigned(&body, &self.key);
                    let at = cosigned.and_then(|cosigned| cosigned.cosigned_at(&self.key));
                    let at = at.map_err(|_| NotCosigned::away("bad-cosignature"))?;
                    let mut state = self.state();
                    (state.size, state.cosigned, state.at) = (Some(checkpoint.size()), checkpoint.size(), at);
                    return Ok(body);
                }
                StatusCode::CONFLICT => {
                    let size = size(&body).ok_or(NotCosigned::away("bad-size"))?;
                    self.state().size = Some(size);
                    // Nobody else has this log's key, and one question at a time goes to a witness: it cannot have seen more
                    // than we have.
                    if size > checkpoint.size() {
                        return Err(NotCosigned::Contradicts("log-rolled-back", size));
                    }
                    if size == old {
                        let forked = NotCosigned::Contradicts("log-forked", size);
                        return Err(if size == checkpoint.size() {
                            forked
                        } else {
                            NotCosigned::away("conflict")
                        });
                    }
                    old = size;
                }
                // It is at the size that the proof is from, and that is not where we were at that size.
                StatusCode::UNPROCESSABLE_ENTITY => return Err(NotCosigned::Contradicts("log-forked", old)),
                other => return Err(NotCosigned::away(format!("status-{}", other.as_u16()))),
            }
        }
        Err(NotCosigned::away("conflict"))
    }
}

async fn request(
    objects: &Arc<dyn Objects>,
    old: u64,
    checkpoint: &SignedCheckpoint,
) -> Result<String, NotCosigned> {
    let (objects, checkpoint) = (Arc::clone(objects), checkpoint.clone());
    let proven = tokio::task::spawn_blocking(move || AddCheckpoint::prove(&*objects, old, &checkpoint));
    match proven.await {
        Ok(Ok(request)) => Ok(request.to_string()),
        Ok(Err(_)) | Err(_) => Err(NotCosigned::away("log-unreadable")),
    }
}

/// The size in an answer of 409: decimal, with a newline.
fn size(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let size: u64 = text.parse().ok()?;
    (size.to_string() == text).then_some(size)
}
