//! Connections that rest between two requests.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::time::Instant;

use super::connect::Stream;
use super::lease::{Connection, Lease};

/// How long a connection may rest.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How many may rest.
const MAX_IDLE: usize = 256;

/// A connection over which many requests go at once.
pub(super) type Shared = http2::SendRequest<Full<Bytes>>;

/// The connections to one server that serve nobody just now, and the one that serves all at once, if it speaks HTTP/2.
#[derive(Default)]
pub(super) struct Pool {
    /// The one that was used last is the last.
    resting: Mutex<Vec<(Instant, Connection)>>,
    shared: Mutex<Option<Shared>>,
}

impl Pool {
    /// A connection that still stands, to have alone.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Lease> {
        loop {
            let (_, mut connection) =
                lock(&self.resting).pop().filter(|(since, _)| since.elapsed() < IDLE_TIME)?;
            if connection.stands().await {
                return Some(Lease::new(connection, Arc::clone(self)));
            }
        }
    }

    /// Gives a connection back. Closes those that rested for too long.
    pub(super) fn put(&self, connection: Connection) {
        let now = Instant::now();
        let mut resting = lock(&self.resting);
        let stale = resting.iter().take_while(|(since, _)| now.duration_since(*since) >= IDLE_TIME).count();
        let surplus = resting.len().saturating_add(1).saturating_sub(MAX_IDLE);
        let closed: Vec<_> = resting.drain(..stale.max(surplus)).collect();
        resting.push((now, connection));
        drop(resting);
        drop(closed);
    }

    /// Begins to speak HTTP/1.1.
    pub(super) async fn open(self: &Arc<Self>, stream: Box<dyn Stream>) -> Result<Lease, hyper::Error> {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Lease::new(Connection::new(sender, driver), Arc::clone(self)))
    }

    /// The connection that all share.
    pub(super) fn shared(&self) -> Option<Shared> {
        let mut shared = lock(&self.shared);
        *shared = shared.take().filter(|sender| !sender.is_closed());
        shared.clone()
    }

    /// Begins to speak HTTP/2, for all.
    pub(super) async fn share(&self, stream: Box<dyn Stream>) -> Result<Shared, hyper::Error> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(IDLE_TIME)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            // How it ends is what the requests on it are told.
            let _ = connection.await;
        });
        *lock(&self.shared) = Some(sender.clone());
        Ok(sender)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} resting connections>", lock(&self.resting).len())
    }
}

/// INVARIANT: no code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
