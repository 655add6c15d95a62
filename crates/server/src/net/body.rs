//! Reading bodies within limits.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// How long a request body may take.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Longer than allowed.
    #[error("body is longer than {0} bytes")]
    TooLong(u64),
    /// It did not come in time.
    #[error("body did not come in time")]
    TooSlow,
    /// The connection broke, or the framing did.
    #[error("body broke off")]
    Broken,
}

/// Takes a whole body of at most `limit` bytes within `time`.
///
/// # Errors
/// [`BodyError`].
pub(crate) async fn take<B>(body: B, limit: u64, time: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().lower();
    if announced > limit {
        return Err(BodyError::TooLong(limit));
    }
    tokio::time::timeout(time, pin!(collect(body, limit))).await.map_err(|_| BodyError::TooSlow)?
}

async fn collect<B>(body: B, limit: u64) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut length: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length = length.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if length > limit {
            return Err(BodyError::TooLong(limit));
        }
        // Most bodies are one frame, which is not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
