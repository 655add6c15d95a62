//! A spool as the body of an answer: a piece is opened when the one before it was taken.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::{PIECE, Spooled};

/// A whole spool, read piece by piece.
pub(crate) struct SpooledBody {
    spooled: Arc<Spooled>,
    next: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl From<Spooled> for SpooledBody {
    fn from(spooled: Spooled) -> Self {
        Self { left: spooled.length, spooled: Arc::new(spooled), next: 0, reading: None }
    }
}

impl Body for SpooledBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { spooled, next, left, reading } = &mut *self;
        if *left == 0 {
            return Poll::Ready(None);
        }
        let under_way = reading.get_or_insert_with(|| {
            let (spooled, number) = (Arc::clone(spooled), *next);
            tokio::task::spawn_blocking(move || {
                spooled.piece(number).map(|piece| Bytes::copy_from_slice(piece.expose()))
            })
        });
        let read = ready!(Pin::new(under_way).poll(context));
        *reading = None;
        let piece = read.map_err(io::Error::other).and_then(|piece| piece)?;
        *next = next.saturating_add(1);
        *left = left.saturating_sub(PIECE as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
