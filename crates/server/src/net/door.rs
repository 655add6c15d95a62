//! Which of our listeners a request came to, and the certificate that its connection showed there. RFC 8705.

use std::sync::Arc;

use chartgate_protocol::jose::Thumbprint;
use chartgate_protocol::oauth::mtls::{ClientCertificate, NotACertificate};
use chartgate_values::Timestamp;
use rustls::pki_types::CertificateDer;

use super::tls::{ClientAuthorities, NotVouchedFor};

/// The listener of a request.
#[derive(Clone, Debug, Default)]
pub(crate) enum Door {
    /// `listen.https`, which asks for no certificate.
    #[default]
    Main,
    /// `listen.mtls`, with what the client showed.
    Mutual(Option<Arc<ShownCertificate>>),
}

/// A certificate whose key the client of a connection proved to have. Whose it is, nobody said.
#[derive(Debug)]
pub(crate) struct ShownCertificate {
    /// The certificate, and what came behind it.
    chain: Vec<CertificateDer<'static>>,
    thumbprint: Thumbprint,
}

impl Door {
    /// What the client showed.
    pub(crate) fn certificate(&self) -> Option<&ShownCertificate> {
        match self {
            Self::Main => None,
            Self::Mutual(shown) => shown.as_deref(),
        }
    }
}

impl ShownCertificate {
    /// What a handshake ended with; `None` if that is nothing that can be read.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let thumbprint = ClientCertificate::parse(chain.first()?).ok()?.thumbprint().clone();
        Some(Self { chain: chain.iter().map(|der| der.clone().into_owned()).collect(), thumbprint })
    }

    /// The digest of the certificate, as `x5t#S256` has it.
    pub(crate) fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// The certificate, to be compared with a registration.
    ///
    /// # Errors
    /// [`NotACertificate`], never for one that was read before.
    pub(crate) fn read(&self) -> Result<ClientCertificate<'_>, NotACertificate> {
        ClientCertificate::parse(self.chain.first().ok_or(NotACertificate)?)
    }

    /// Whether one of these authorities vouches for it now.
    ///
    /// # Errors
    /// [`NotVouchedFor`].
    pub(crate) fn check(&self, authorities: &ClientAuthorities, now: Timestamp) -> Result<(), NotVouchedFor> {
        authorities.check(&self.chain, now)
    }
}
