//! A body that is fed while it is read, and that tells exactly what of it was taken.
//!
//! What counts is what was handed to the connection, not what was fed: where the feeder breaks off, a piece that still
//! waits stays behind.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::entropy::RunningDigest;

/// The end that feeds.
pub(crate) struct Feeder {
    pieces: mpsc::Sender<Piece>,
    shared: Arc<Mutex<Shared>>,
    length: Option<u64>,
}

/// The end that is read.
pub(crate) struct Flow {
    pieces: mpsc::Receiver<Piece>,
    shared: Arc<Mutex<Shared>>,
    length: Option<u64>,
}

/// What was taken of a body.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    /// SHA-256, in base64url.
    pub(crate) digest: String,
}

/// The reader is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the reader is gone")]
pub(crate) struct Gone;

/// The body ends before its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body was broken off")]
pub(crate) struct BrokenOff;

enum Piece {
    Content(Bytes),
    End,
}

#[derive(Default)]
struct Shared {
    bytes: u64,
    digest: RunningDigest,
    state: State,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum State {
    #[default]
    Open,
    /// Everything was taken.
    Complete,
    BrokenOff,
}

/// A body of this length, if it is known, that is fed as it is read.
pub(crate) fn flow(length: Option<u64>) -> (Feeder, Flow) {
    let (sender, receiver) = mpsc::channel(1);
    let shared = Arc::<Mutex<Shared>>::default();
    let feeder = Feeder { pieces: sender, shared: Arc::clone(&shared), length };
    (feeder, Flow { pieces: receiver, shared, length })
}

impl Feeder {
    /// Feeds a piece; waits while the one before it was not taken.
    ///
    /// # Errors
    /// [`Gone`].
    pub(crate) async fn feed(&self, content: Bytes) -> Result<(), Gone> {
        self.pieces.send(Piece::Content(content)).await.map_err(|_| Gone)
    }

    /// Says that nothing follows, and waits until all was taken.
    ///
    /// # Errors
    /// [`Gone`] if the reader went before that.
    pub(crate) async fn end(&self) -> Result<(), Gone> {
        // A reader of a known length may go once it has that.
        let _ = self.pieces.send(Piece::End).await;
        self.pieces.closed().await;
        let shared = lock(&self.shared);
        if shared.state == State::Complete || self.length == Some(shared.bytes) { Ok(()) } else { Err(Gone) }
    }

    /// Waits until the reader is gone.
    pub(crate) async fn reader_is_gone(&self) {
        self.pieces.closed().await;
    }

    /// Closes the body, broken off unless all was taken, and says what was.
    pub(crate) fn close(self) -> Taken {
        let mut shared = lock(&self.shared);
        if shared.state == State::Open {
            shared.state = State::BrokenOff;
        }
        Taken { bytes: shared.bytes, digest: std::mem::take(&mut shared.digest).finish() }
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Self { pieces, shared, .. } = &mut *self;
        // Held over the look into the channel, so that nothing is taken once it was broken off.
        let mut shared = lock(shared);
        match shared.state {
            State::Open => {}
            State::Complete => return Poll::Ready(None),
            State::BrokenOff => return Poll::Ready(Some(Err(BrokenOff))),
        }
        match pieces.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Piece::Content(content))) => {
                shared.bytes = shared.bytes.saturating_add(content.len() as u64);
                shared.digest.update(&content);
                Poll::Ready(Some(Ok(Frame::data(content))))
            }
            Poll::Ready(Some(Piece::End)) => {
                shared.state = State::Complete;
                pieces.close();
                Poll::Ready(None)
            }
            Poll::Ready(None) => Poll::Ready(Some(Err(BrokenOff))),
        }
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.shared).state == State::Complete
    }

    fn size_hint(&self) -> SizeHint {
        let taken = lock(&self.shared).bytes;
        self.length
            .map_or_else(SizeHint::default, |length| SizeHint::with_exact(length.saturating_sub(taken)))
    }
}

/// INVARIANT: no code panics while it holds the lock.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::digest_of;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn what_was_taken_is_told_to_the_byte() {
        let (feeder, body) = flow(None);
        let reading = tokio::spawn(body.collect());
        for piece in ["one ", "two ", "three"] {
            feeder.feed(Bytes::from_static(piece.as_bytes())).await.unwrap();
        }
        feeder.end().await.unwrap();
        assert_eq!(feeder.close(), Taken { bytes: 13, digest: digest_of("one two three") });
        assert_eq!(reading.await.unwrap().unwrap().to_bytes(), "one two three");
    }

    #[tokio::test]
    async fn a_piece_that_waits_when_the_feeder_breaks_off_is_not_taken() {
        let (feeder, mut body) = flow(Some(8));
        feeder.feed(Bytes::from_static(b"seen")).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "seen");
        feeder.feed(Bytes::from_static(b"kept")).await.unwrap();
        assert_eq!(feeder.close(), Taken { bytes: 4, digest: digest_of("seen") });
        assert_eq!(body.frame().await.unwrap().unwrap_err(), BrokenOff);
    }

    #[tokio::test]
    async fn a_reader_that_goes_early_is_not_one_that_has_everything() {
        for (length, taken_all) in [(Some(4), true), (Some(5), false), (None, false)] {
            let (feeder, mut body) = flow(length);
            feeder.feed(Bytes::from_static(b"four")).await.unwrap();
            let _ = body.frame().await;
            drop(body);
            feeder.reader_is_gone().await;
            assert_eq!(feeder.end().await.is_ok(), taken_all, "{length:?}");
        }
    }
}
