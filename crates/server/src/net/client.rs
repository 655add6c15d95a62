//! Calling upstreams: pooled connections, HTTP/1.1 and HTTP/2, TLS with the system's CAs or the route's own.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::tls::{self, TlsError};
use crate::config;

/// How long a connection may take to open.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an upstream may take to the head of its answer.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// A pool of connections to one upstream.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection, or it broke.
    #[error("upstream cannot be reached: {0}")]
    Unreachable(#[from] Error),
    /// No answer in time.
    #[error("upstream did not answer in time")]
    TooSlow,
}

impl HttpClient {
    /// A pool that trusts the system's CAs, or the one of this file in their place.
    ///
    /// # Errors
    /// [`TlsError`] if the CA cannot be read.
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self::with(tls::client(ca)?))
    }

    /// The same, with a certificate of ours for whoever asks for one.
    ///
    /// # Errors
    /// [`TlsError`] if the CA, the certificate or its key cannot be read.
    pub(crate) fn presenting(ca: Option<&Path>, own: &config::Tls) -> Result<Self, TlsError> {
        Ok(Self::with(tls::client_presenting(ca, own)?))
    }

    /// For calling our own gateway: trusts the system's CAs, and the last certificate of our own chain, which for an
    /// installation with a CA of its own is that CA.
    ///
    /// # Errors
    /// [`TlsError`] if the chain cannot be read.
    pub(crate) fn trusting_also(chain: &Path) -> Result<Self, TlsError> {
        Ok(Self::with(tls::client_trusting_also(chain)?))
    }

    fn with(tls: ClientConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        Self(client)
    }

    /// Sends a request and waits for the head of the answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) async fn call(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError> {
        match tokio::time::timeout(HEAD_TIME, self.0.request(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(CallError::TooSlow),
        }
    }
}
