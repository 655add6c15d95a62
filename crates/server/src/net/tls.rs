//! TLS by rustls on aws-lc: versions 1.2 and 1.3, certificates that can be replaced while running.

mod flaws;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chartgate_values::Timestamp;
use rustls::client::WantsClientCert;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};

use crate::config;
use crate::crypto_module::{CryptoModule, NotInUse};
use flaws::Flaw;

/// What is wrong with a certificate, a key or a CA.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file that cannot be read, or holds something else.
    #[error("{file}: {problem}")]
    File {
        /// Which.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The library refuses.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The build is for the FIPS module.
    #[error(transparent)]
    Module(#[from] NotInUse),
    /// The same, and TLS is by something else.
    #[error("this build is for the FIPS module, and TLS would not be by it alone")]
    NotByTheModule,
    /// A CA that vouches for nobody.
    #[error("TLS: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

/// The one cryptographic provider.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Our certificate, which a reload replaces for the next handshake.
#[derive(Debug)]
pub(crate) struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// Reads certificate, chain and key.
    ///
    /// # Errors
    /// [`TlsError`] if a file is not what it should be or the two do not fit.
    pub(crate) fn load(files: &config::Tls) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(read(files)?)))
    }

    /// Reads them again. What is in force stays in force if that fails.
    ///
    /// # Errors
    /// As [`Certificate::load`].
    pub(crate) fn reload(&self, files: &config::Tls) -> Result<(), TlsError> {
        let fresh = read(files)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// When the one in force is over; none if that cannot be read.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        let (_, ends) = flaws::validity(self.current().end_entity_cert().ok()?)?;
        Some(ends)
    }

    /// For what whoever calls this host would refuse it, now or soon.
    pub(crate) fn flaws(&self, host: &str, now: Timestamp) -> Vec<Flaw> {
        flaws::flaws(&self.current().cert, host, now)
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn read(files: &config::Tls) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = private_key(&files.private_key)?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

/// The certificates in a file.
///
/// # Errors
/// [`TlsError`] if it cannot be read, or has none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(file_error(path, "no certificate in it".to_owned())),
        Err(e) => Err(file_error(path, format!("no certificate in PEM: {e}"))),
    }
}

/// The key in a file. One that everybody on the machine can read is used, for how others hand it out is not ours to say; but it
/// is told.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    if std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0) {
        tracing::warn!(file = %path.display(), "everybody on this machine can read the private key; chmod 600 it");
    }
    PrivateKeyDer::from_pem_file(path).map_err(|e| file_error(path, format!("no private key in PEM: {e}")))
}

fn file_error(path: &Path, problem: String) -> TlsError {
    TlsError::File { file: path.display().to_string(), problem }
}

/// What computes, and that TLS is by nothing else where it has to be the FIPS module.
///
/// # Errors
/// [`TlsError::Module`].
pub(crate) fn check_module(certificate: &Arc<Certificate>) -> Result<CryptoModule, TlsError> {
    let module = CryptoModule::in_use()?;
    let (one, other) = (server(Arc::clone(certificate))?, server_asking(Arc::clone(certificate))?);
    if module == CryptoModule::FipsCapable && !(one.fips() && other.fips() && trusting_more([])?.fips()) {
        return Err(TlsError::NotByTheModule);
    }
    Ok(module)
}

/// How we serve: no 0-RTT (ATTACKS G15), HTTP/2 and HTTP/1.1.
///
/// # Errors
/// [`TlsError`] if the library refuses.
pub(crate) fn server(certificate: Arc<Certificate>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = protocols();
    Ok(config)
}

/// The same, asking for a certificate: any will do whose key the client proves to have, and none as well. Whose it is, and
/// whether that matters, is for whoever hears the request.
///
/// # Errors
/// [`TlsError`] if the library refuses.
pub(crate) fn server_asking(certificate: Arc<Certificate>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(AnyCertificate(provider())))
        .with_cert_resolver(certificate);
    config.alpn_protocols = protocols();
    Ok(config)
}

fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// Checks that a client has the key of its certificate, and nothing else.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No name: those of self-signed certificates are not known to any authority.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Those who vouch for the certificates of clients: `tls.client_ca`.
#[derive(Debug)]
pub(crate) struct ClientAuthorities(Arc<dyn ClientCertVerifier>);

/// No authority of ours vouches for the certificate now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no authority of ours vouches for the certificate")]
pub(crate) struct NotVouchedFor;

impl ClientAuthorities {
    /// Reads their certificates.
    ///
    /// # Errors
    /// [`TlsError`] if the file is not what it should be.
    pub(crate) fn load(path: &Path) -> Result<Self, TlsError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider());
        Ok(Self(verifier.build()?))
    }

    /// Whether one of them vouches for the first certificate of this chain, for clients and now.
    pub(super) fn check(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), NotVouchedFor> {
        let (own, rest) = chain.split_first().ok_or(NotVouchedFor)?;
        let seconds = u64::try_from(now.as_unix()).map_err(|_| NotVouchedFor)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.0.verify_client_cert(own, rest, now).map(drop).map_err(|_| NotVouchedFor)
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// How we call others: trusting the system's CAs, or the one of this file in their place.
///
/// # Errors
/// [`TlsError`] if the file is not what it should be or the library refuses.
pub(crate) fn client(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    Ok(trusting(ca)?.with_no_client_auth())
}

/// The same, showing a certificate of ours.
///
/// # Errors
/// [`TlsError`] if a file is not what it should be or the library refuses.
pub(crate) fn client_presenting(ca: Option<&Path>, own: &config::Tls) -> Result<ClientConfig, TlsError> {
    Ok(trusting(ca)?
        .with_client_auth_cert(certificates(&own.certificate)?, private_key(&own.private_key)?)?)
}

fn trusting(ca: Option<&Path>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(match ca {
        None => builder.with_platform_verifier()?,
        Some(path) => builder.with_root_certificates(roots(path)?),
    })
}

/// How we call ourselves: trusting the system's CAs and the last certificate of this chain.
///
/// # Errors
/// [`TlsError`] if the chain cannot be read or the library refuses.
pub(crate) fn client_trusting_also(chain: &Path) -> Result<ClientConfig, TlsError> {
    trusting_more(certificates(chain)?.pop())
}

/// How we call whom others name: trusting the system's CAs, and these too.
///
/// # Errors
/// [`TlsError`] if one of them is no CA, or the library refuses.
pub(crate) fn trusting_more(
    cas: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<ClientConfig, TlsError> {
    let verifier = Verifier::new_with_extra_roots(cas, provider())?;
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}
