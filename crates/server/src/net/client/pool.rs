//! Connections that rest between two requests.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::time::Instant;

use super::connect::Stream;
use super::lease::{Connection, Lease};

/// How long a connection may rest.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How many may rest.
const MAX_IDLE: usize = 256;

/// The connections to one server that serve nobody just now.
#[derive(Default)]
pub(super) struct Pool {
    /// The one that was used last is the last.
    resting: Mutex<Vec<(Instant, Box<Connection>)>>,
}

impl Pool {
    /// A connection that still stands, to have alone.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Lease> {
        loop {
            let mut connection = self.youngest()?;
            if connection.stands().await {
                return Some(Lease::new(connection, Arc::clone(self)));
            }
        }
    }

    /// The connection that rested last. If that was too long ago, so it was for all others, and all are closed.
    fn youngest(&self) -> Option<Box<Connection>> {
        let mut resting = lock(&self.resting);
        let (since, connection) = resting.pop()?;
        if since.elapsed() < IDLE_TIME {
            return Some(connection);
        }
        let closed = std::mem::take(&mut *resting);
        drop(resting);
        drop(closed);
        None
    }

    /// Gives a connection back. Closes those that rested for too long.
    pub(super) fn put(&self, connection: Box<Connection>) {
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
        Ok(Lease::new(Box::new(Connection::new(sender, driver)), Arc::clone(self)))
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
