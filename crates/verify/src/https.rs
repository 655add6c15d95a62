//! Calling the issuer over TLS, and nobody else: no redirect is followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One server.
pub(crate) struct Https {
    host: String,
    port: u16,
    host_header: HeaderValue,
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The issuer is no `https` URL of a host alone.
    #[error("`{0}` is not https://HOST or https://HOST:PORT")]
    Address(String),
    /// The CA cannot be read.
    #[error("{file}: {problem}")]
    Ca {
        /// Which file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The library refuses.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No connection.
    #[error("the issuer cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// What came is no HTTP.
    #[error("the issuer broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("the issuer did not answer in time")]
    TooSlow,
    /// More than is read.
    #[error("the issuer's answer is too long")]
    TooLong,
    /// Another status than was hoped for.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
}

impl Https {
    pub(crate) fn new(base: &str, ca: Option<&Path>) -> Result<Self, CallError> {
        let wrong = || CallError::Address(base.to_owned());
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("https") || base.ends_with('/') || uri.path() != "/" {
            return Err(wrong());
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            name: ServerName::try_from(host.clone()).map_err(|_| wrong())?,
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            port: authority.port_u16().unwrap_or(443),
            connector: TlsConnector::from(Arc::new(tls(ca)?)),
            host,
        })
    }

    /// Sends a request, whose URI is a path, and reads its answer whole.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), CallError> {
        tokio::time::timeout(patience, self.exchange(request, limit)).await.map_err(|_| CallError::TooSlow)?
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<(StatusCode, Bytes), CallError> {
        request.headers_mut().insert(header::HOST, self.host_header.clone());
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), tcp).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), limit).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => CallError::Broken(*error),
                Err(other) if other.is::<LengthLimitError>() => CallError::TooLong,
                Err(_) => CallError::TooSlow,
            })?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven by its one request, and closed with it.
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = connection => {
                ended?;
                exchange.await
            }
        }
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, CallError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let Some(path) = ca else {
        return Ok(builder.with_platform_verifier()?.with_no_client_auth());
    };
    let wrong = |problem: String| CallError::Ca { file: path.display().to_string(), problem };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))? {
        roots.add(certificate.map_err(|e| wrong(e.to_string()))?)?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
