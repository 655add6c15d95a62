//! Where the server is, and a connection to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Uri, header};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::CONNECT_TIME;
use crate::net::reach::{reach, reach_at};

/// Where a server is and how to speak to it.
pub(super) struct Address {
    scheme: Scheme,
    authority: Authority,
    host_header: HeaderValue,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// What bytes go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Address {
    /// The address of this base; none if its scheme is neither `http` nor `https` or its host cannot be one.
    pub(super) fn of(base: &Uri, mut tls: ClientConfig) -> Option<Self> {
        let scheme = base.scheme()?.clone();
        let authority = base.authority()?.clone();
        let host = base.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (default_port, tls) = match scheme.as_str() {
            "http" => (80, None),
            "https" => {
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                let name = ServerName::try_from(host.clone()).ok()?;
                (443, Some((TlsConnector::from(Arc::new(tls)), name)))
            }
            _ => return None,
        };
        let host_header = HeaderValue::from_str(authority.as_str()).ok()?;
        Some(Self {
            scheme,
            host_header,
            host,
            port: base.port_u16().unwrap_or(default_port),
            authority,
            tls,
        })
    }

    /// The request as HTTP/1.1 wants it: path and query alone, and the host in a header (RFC 9112 sections 3.2.1
    /// and 3.2).
    pub(super) fn relative<B>(&self, mut request: Request<B>) -> Request<B> {
        if request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
        }
        request.headers_mut().insert(header::HOST, self.host_header.clone());
        request
    }

    /// Where the name leads just now.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((self.host.as_str(), self.port)).await?.collect())
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        self.speak(reach(&self.host, self.port, CONNECT_TIME).await?).await
    }

    /// The same at one of these addresses, wherever the name may lead by now.
    pub(super) async fn connect_at(&self, addresses: &[SocketAddr]) -> io::Result<Box<dyn Stream>> {
        self.speak(reach_at(addresses, CONNECT_TIME).await?).await
    }

    async fn speak(&self, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
        tcp.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(tcp),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), tcp).await?),
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}
