//! Reading bodies within limits.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

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

/// Takes the whole body of a request that came by this version of HTTP.
///
/// # Errors
/// [`BodyError`].
pub(crate) async fn take_request(
    body: &mut Incoming,
    version: Version,
    limit: u64,
) -> Result<Bytes, BodyError> {
    let taken = take(&mut *body, limit, REQUEST_TIME).await?;
    // hyper takes a reset without an error, as by a proxy whose client has gone, for the end (RFC 9113 section 8.1).
    match version {
        Version::HTTP_2 if !body.is_end_stream() => Err(BodyError::Broken),
        _ => Ok(taken),
    }
}

/// What of a body came within a limit and a time.
pub(crate) enum Gathered<B> {
    /// All of it.
    Whole(Bytes),
    /// This much; what follows may have no end.
    Begun(Vec<Bytes>, B),
}

/// Takes a body if it ends within `limit` bytes and `time`; else what has come so far, with the rest to come.
///
/// # Errors
/// [`BodyError`] if it breaks off meanwhile.
pub(crate) async fn gather<B>(mut body: B, limit: u64, time: Duration) -> Result<Gathered<B>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length: u64 = 0;
    let deadline = tokio::time::sleep(time);
    let mut deadline = std::pin::pin!(deadline);
    while length <= limit {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut deadline => break,
        };
        let Some(frame) = frame else { return Ok(Gathered::Whole(Bytes::from(pieces.concat()))) };
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len() as u64);
        pieces.push(data);
    }
    Ok(Gathered::Begun(pieces, body))
}

/// Passes over what comes of a body that was refused, if that is not very much: a connection that is closed while its client
/// still sends is reset, and the client may not see why.
pub(crate) async fn pass_over<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    const MOST: u64 = 1 << 20;
    const TIME: Duration = Duration::from_secs(5);
    let mut passed: u64 = 0;
    let is_much = body.size_hint().lower() > MOST;
    let passing = async {
        while !is_much
            && passed <= MOST
            && let Some(Ok(frame)) = body.frame().await
        {
            passed = passed.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
    };
    let _ = tokio::time::timeout(TIME, passing).await;
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
