//! A connection while it serves a request: whoever waits for the answer drives it.

use std::future::Future as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;

use super::CallError;
use super::connect::Stream;
use super::pool::Pool;

type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// A connection that speaks HTTP/1.1.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None once the connection is over.
    driver: Option<Driver>,
}

/// A connection that serves one request, and rests afterwards. In a box, for it goes from hand to hand.
pub(super) struct Lease {
    connection: Box<Connection>,
    pool: Arc<Pool>,
}

/// The body of an answer. Read to its end, it gives its connection back; dropped before, it closes it.
pub(crate) struct Answering {
    body: Incoming,
    lease: Option<Lease>,
}

/// A request that got no answer.
pub(super) struct Failed(TrySendError<Request<Full<Bytes>>>);

impl Connection {
    pub(super) fn new(sender: http1::SendRequest<Full<Bytes>>, driver: Driver) -> Self {
        Self { sender, driver: Some(driver) }
    }

    /// Whether the server has kept it open.
    pub(super) async fn stands(&mut self) -> bool {
        std::future::poll_fn(|context| {
            self.advance(context);
            Poll::Ready(self.sender.is_ready())
        })
        .await
    }

    /// Does what can be done just now: writes, reads, hands on.
    fn advance(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            // How it ended is what the request on it is told.
            self.driver = None;
        }
    }
}

impl Lease {
    pub(super) fn new(connection: Box<Connection>, pool: Arc<Pool>) -> Self {
        Self { connection, pool }
    }

    /// Sends a request and drives the connection until the head of the answer is there.
    pub(super) async fn send(mut self, request: Request<Full<Bytes>>) -> Result<Response<Answering>, Failed> {
        // Whoever is ready goes first, and what all of them ask then goes out together: that wakes the other side once, where
        // one at a time wakes it for each.
        tokio::task::yield_now().await;
        let answer = self.connection.sender.try_send_request(request);
        let mut answer = pin!(answer);
        let response = std::future::poll_fn(|context| {
            self.connection.advance(context);
            answer.as_mut().poll(context)
        })
        .await
        .map_err(Failed)?;
        let lease = if response.body().is_end_stream() { self.rest().await } else { Some(self) };
        Ok(response.map(|body| Answering { body, lease }))
    }

    /// Gives the connection back: the answer has no body.
    async fn rest(mut self) -> Option<Self> {
        if self.connection.stands().await {
            self.pool.put(self.connection);
        }
        None
    }

    /// Gives the connection back, if the server keeps it open.
    fn end(mut self, context: &mut Context<'_>) {
        self.connection.advance(context);
        if self.connection.sender.is_ready() {
            self.pool.put(self.connection);
        }
    }
}

impl Failed {
    /// The request, if nothing of it was sent.
    pub(super) fn take_back(mut self) -> Result<Request<Full<Bytes>>, CallError> {
        match self.0.take_message() {
            Some(request) => Ok(request),
            None => Err(self.into_error()),
        }
    }

    pub(super) fn into_error(self) -> CallError {
        self.0.into_error().into()
    }
}

impl Body for Answering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.body).poll_frame(context);
        if frame.is_pending()
            && let Some(lease) = &mut this.lease
        {
            // What the connection brings is looked at at once.
            lease.connection.advance(context);
            frame = Pin::new(&mut this.body).poll_frame(context);
        }
        let frame = ready!(frame);
        let ended = match &frame {
            None => true,
            Some(Ok(_)) => this.body.is_end_stream(),
            // What broke is not used again.
            Some(Err(_)) => {
                this.lease = None;
                false
            }
        };
        if ended && let Some(lease) = this.lease.take() {
            lease.end(context);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
