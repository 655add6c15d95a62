//! Clients that show a certificate on their connection. RFC 8705 section 2; ATTACKS G10.

use chartgate_access::client::{AuthMethod, Client};
use chartgate_protocol::oauth::mtls::{NotACertificate, RegisteredCertificates, WrongCertificate};
use chartgate_values::Timestamp;

use crate::authorization_server::AuthorizationServer;
use crate::net::door::Door;
use crate::net::tls::NotVouchedFor;

/// Why a certificate does not show this client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum NotItsCertificate {
    /// Nothing was shown: at the main port, say.
    #[error("no certificate was shown")]
    Missing,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] NotACertificate),
    /// RFC 8705 section 2.1: nobody of whom `tls.client_ca` speaks.
    #[error(transparent)]
    NotVouchedFor(#[from] NotVouchedFor),
    /// It is another's.
    #[error(transparent)]
    Wrong(#[from] WrongCertificate),
    /// The registration says of no certificate.
    #[error("the client registered no certificate")]
    NothingRegistered,
}

impl NotItsCertificate {
    /// The stable code for the record.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no-client-certificate",
            Self::Unreadable(_) => "unreadable-client-certificate",
            Self::NotVouchedFor(_) => "client-certificate-not-vouched-for",
            Self::Wrong(_) => "wrong-client-certificate",
            Self::NothingRegistered => "no-registered-certificate",
        }
    }
}

/// Compares what the connection showed with what the client registered.
///
/// # Errors
/// [`NotItsCertificate`].
pub(super) fn check(
    server: &AuthorizationServer,
    client: &Client,
    door: &Door,
    now: Timestamp,
) -> Result<(), NotItsCertificate> {
    let shown = door.certificate().ok_or(NotItsCertificate::Missing)?;
    match client.token_endpoint_auth_method {
        AuthMethod::TlsClientAuth => {
            let subject = client.options.tls_client_auth.as_ref();
            let subject = subject.ok_or(NotItsCertificate::NothingRegistered)?;
            let authorities = server.client_authorities.as_ref().ok_or(NotVouchedFor)?;
            shown.check(authorities, now)?;
            Ok(subject.check(&shown.read()?)?)
        }
        AuthMethod::SelfSignedTlsClientAuth => {
            let jwks = client.jwks.as_ref().ok_or(NotItsCertificate::NothingRegistered)?.to_string();
            let registered = RegisteredCertificates::parse(jwks.as_bytes())
                .map_err(|_| NotItsCertificate::NothingRegistered)?;
            Ok(registered.check(&shown.read()?)?)
        }
        AuthMethod::None
        | AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::PrivateKeyJwt => Err(NotItsCertificate::NothingRegistered),
    }
}
