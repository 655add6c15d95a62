//! Calling one server: pooled connections, TLS with the system's CAs or the route's own.
//!
//! A connection is driven by the request that it serves, in that request's own task, so that no other task has to be
//! woken. While it rests nobody drives it; whether it still stands shows when it is taken.
//!
//! HTTP/1.1 alone is spoken: over HTTP/2 all requests to a server would share one connection, and one client that reads
//! slowly, or a hundred open streams, would hold up everybody else's.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use rustls::ClientConfig;

use super::tls::{self, TlsError};
use crate::config;
use crate::in_place::in_place;
use connect::Address;
use lease::Failed;
use pool::Pool;

mod connect;
pub(crate) mod egress;
mod lease;
mod pool;

pub(crate) use lease::Answering;

/// How long a connection may take to open, its TLS handshake included.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a server may take to the head of its answer.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// A server and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    address: Arc<Address>,
    pool: Arc<Pool>,
}

/// Why a server cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Its CA.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its address.
    #[error("`{0}` is no http or https address")]
    Address(Uri),
    /// What we show it.
    #[error("the credential cannot stand in a header")]
    Credential,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection.
    #[error("upstream cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("upstream broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("upstream did not answer in time")]
    TooSlow,
}

impl HttpClient {
    /// A client of the server at `base`, whose path does not matter. Trusts the system's CAs, or the one of this file
    /// in their place.
    ///
    /// # Errors
    /// [`ClientError`] if the CA cannot be read or the address is of another scheme.
    pub(crate) fn new(base: &Uri, ca: Option<&Path>) -> Result<Self, ClientError> {
        Self::with(base, tls::client(ca)?)
    }

    /// The same, with a certificate of ours for whoever asks for one.
    ///
    /// # Errors
    /// [`ClientError`] if the CA, the certificate or its key cannot be read, or as [`HttpClient::new`].
    pub(crate) fn presenting(base: &Uri, ca: Option<&Path>, own: &config::Tls) -> Result<Self, ClientError> {
        Self::with(base, tls::client_presenting(ca, own)?)
    }

    /// For calling our own gateway: trusts the system's CAs, and the last certificate of our own chain, which for an
    /// installation with a CA of its own is that CA.
    ///
    /// # Errors
    /// [`ClientError`] if the chain cannot be read.
    pub(crate) fn trusting_also(base: &Uri, chain: &Path) -> Result<Self, ClientError> {
        Self::with(base, tls::client_trusting_also(chain)?)
    }

    fn with(base: &Uri, tls: ClientConfig) -> Result<Self, ClientError> {
        let address = Address::of(base, tls).ok_or_else(|| ClientError::Address(base.clone()))?;
        Ok(Self { address: Arc::new(address), pool: Arc::default() })
    }

    /// Sends a request, of whose address only path and query count, and waits for the head of the answer. Redirects
    /// are not followed.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn call(&self, request: Request<Full<Bytes>>) -> Result<Response<Answering>, CallError> {
        match tokio::time::timeout(HEAD_TIME, pin!(self.send(request))).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::TooSlow),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Answering>, CallError> {
        let mut request = self.address.relative(request);
        while let Some(lease) = self.pool.take().await {
            match lease.send(request).await {
                Ok(response) => return Ok(response),
                // It was closed just before, and nothing was sent.
                Err(failed) => request = failed.take_back()?,
            }
        }
        // In a box, for it is rare and what is common should be small.
        in_place(|| self.send_first(request)).await
    }

    /// Sends over a connection that is opened for it.
    async fn send_first(&self, request: Request<Full<Bytes>>) -> Result<Response<Answering>, CallError> {
        let connecting = tokio::time::timeout(CONNECT_TIME, self.address.connect());
        let stream = connecting.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        self.pool.open(stream).await?.send(request).await.map_err(Failed::into_error)
    }
}

#[cfg(test)]
mod tests;
