//! Answers that are too long to wait in memory: see [`crate::spool`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chartgate_access::permit::Withheld;
use http::Response;
use http_body_util::{BodyExt as _, Collected};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::net::body::{self, BodyError};
use crate::pep::authenticate::Guard;
use crate::pep::respond::UpstreamFault;
use crate::spool::{IN_MEMORY, Room, Spool, Spooled, SpooledBody, Spools, blocking};

/// Takes the answer of an upstream: beyond what is held in memory as it is, by way of a spool, and only when there is
/// room. The room is held for as long as any of the bytes.
///
/// # Errors
/// [`UpstreamFault`].
pub(super) async fn take<B>(
    spools: &Arc<Spools>,
    content: B,
    limit: u64,
    time: Duration,
) -> Result<Bytes, UpstreamFault>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let spooled = match arrive(spools, content, limit, time).await? {
        Arrived::Whole(bytes) => return Ok(bytes),
        Arrived::Spooled(spooled) => spooled,
    };
    let room = spools.room(spooled.length()).await.ok_or(UpstreamFault::NoRoom)?;
    let text = blocking(move || spooled.read()).await.map_err(|error| no_disk(&error))?;
    Ok(Bytes::from_owner(Housed { text, _room: room }))
}

/// The answer of an upstream that has arrived.
pub(super) enum Arrived {
    /// It is in memory.
    Whole(Bytes),
    /// It is longer than that.
    Spooled(Spooled),
}

/// Lets the answer of an upstream arrive.
///
/// # Errors
/// [`UpstreamFault`].
pub(super) async fn arrive<B>(
    spools: &Arc<Spools>,
    content: B,
    limit: u64,
    time: Duration,
) -> Result<Arrived, UpstreamFault>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    match content.size_hint().exact() {
        Some(length) if length > limit => Err(UpstreamFault::TooLong),
        Some(length) if length <= IN_MEMORY => {
            Ok(Arrived::Whole(body::take(content, IN_MEMORY, time).await?))
        }
        // In a box, for it is rare and what is common should be small.
        Some(_) | None => {
            let arriving = Box::pin(arrive_large(spools, content, limit));
            tokio::time::timeout(time, arriving).await.map_err(|_| UpstreamFault::TooSlow)?
        }
    }
}

async fn arrive_large<B>(spools: &Arc<Spools>, mut content: B, limit: u64) -> Result<Arrived, UpstreamFault>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut begun = Vec::new();
    let mut spool: Option<Spool> = None;
    let mut length: u64 = 0;
    while let Some(frame) = content.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len() as u64);
        if length > limit {
            return Err(UpstreamFault::TooLong);
        }
        begun.extend_from_slice(&data);
        if spool.is_none() && length <= IN_MEMORY || begun.len() < STEP {
            continue;
        }
        let (mut writing, text) = match spool.take() {
            Some(spool) => (spool, std::mem::take(&mut begun)),
            None => (spools.begin().map_err(|error| no_disk(&error))?, std::mem::take(&mut begun)),
        };
        let written = blocking(move || writing.write(&text).map(|()| writing)).await;
        spool = Some(written.map_err(|error| no_disk(&error))?);
    }
    match spool {
        None => Ok(Arrived::Whole(begun.into())),
        Some(mut spool) => {
            let spooled = blocking(move || spool.write(&begun).and_then(|()| spool.end())).await;
            Ok(Arrived::Spooled(spooled.map_err(|error| no_disk(&error))?))
        }
    }
}

/// Bytes that are brought to the spool at once.
const STEP: usize = 256 << 10;

/// Text that has its room.
struct Housed {
    text: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Housed {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// The text that an answer was made from: while it lives, so does its room.
#[derive(Clone)]
struct Source(#[expect(dead_code, reason = "holds the room while it lives")] Bytes);

/// Ties an answer to the text that it was made from, until it is spooled.
pub(super) fn made_from(response: &mut Response<Body>, source: &Bytes) {
    if source.len() as u64 > IN_MEMORY {
        response.extensions_mut().insert(Source(source.clone()));
    }
}

/// Puts what is too long to wait in memory into a spool, and gives its room back. What is spooled may go out slowly: a
/// cut-off of its token ends it (ARCHITECTURE rule 4).
pub(super) async fn put_aside(
    spools: &Arc<Spools>,
    withheld: Withheld<Response<Body>>,
    guard: Option<Guard>,
) -> Withheld<Response<Body>> {
    if is_aside(withheld.inspect()) || withheld.inspect().body().size_hint().lower() <= IN_MEMORY {
        return withheld;
    }
    let put = withheld.then(async move |response| {
        let (mut head, body) = response.into_parts();
        let source = head.extensions.remove::<Source>();
        // INVARIANT: a body of our own making is a text, which is there and cannot fail.
        let text = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let body = match spools.keep(text.clone()).await {
            Ok(spooled) => Body::new(Guarded { body: spooled.into(), guard }),
            Err(error) => {
                // What was done upstream is done: the answer goes out of memory, and keeps its room until it has gone.
                let _ = no_disk(&error);
                Body::from(Bytes::from_owner(Kept { text, _source: source }))
            }
        };
        Response::from_parts(head, body)
    });
    Box::pin(put).await
}

/// A body that is spooled already, and need not be put aside.
#[derive(Clone)]
struct IsAside;

/// Whether an answer waits in a spool.
pub(super) fn is_aside(response: &Response<Body>) -> bool {
    response.extensions().get::<IsAside>().is_some()
}

/// The answer that a whole spool becomes, which goes out for as long as its token is believed.
pub(super) fn out_of_spool(spooled: Spooled, guard: Option<Guard>) -> Response<Body> {
    let mut response = Response::new(Body::new(Guarded { body: spooled.into(), guard }));
    response.extensions_mut().insert(IsAside);
    response
}

/// A spool that goes out for as long as its token is believed.
struct Guarded {
    body: SpooledBody,
    guard: Option<Guard>,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.guard.as_ref().map(Guard::check) {
            None | Some(Ok(())) => Pin::new(&mut self.body).poll_frame(context),
            Some(Err(revoked)) => Poll::Ready(Some(Err(io::Error::other(revoked)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer that stays in memory, with the room of its source.
struct Kept {
    text: Bytes,
    _source: Option<Source>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

pub(super) fn no_disk(error: &io::Error) -> UpstreamFault {
    tracing::error!(%error, "a large answer cannot be spooled");
    UpstreamFault::NoRoom
}
