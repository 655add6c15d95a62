//! Handing e-mail over to the server that takes ours: over TLS, or not at all. RFC 5321, RFC 3207, RFC 8314.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::config::{MailEncryption, MailServer};
use crate::letters::Letter;

/// How long the server may take over each step.
const STEP_TIME: Duration = Duration::from_secs(10);
/// How long a message may take in all.
const WHOLE_TIME: Duration = Duration::from_secs(60);

/// Sends e-mail.
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why no e-mail can be sent at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailerError {
    /// The CA cannot be read.
    #[error("{0}: {1}")]
    Ca(String, #[source] std::io::Error),
    /// TLS cannot be had.
    #[error(transparent)]
    Tls(#[from] lettre::transport::smtp::Error),
    /// Nobody to send as.
    #[error(transparent)]
    From(#[from] lettre::address::AddressError),
}

/// Why a message was not sent: a stable code. What servers say may quote the address, and is not repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotSent {
    /// There is no server for it.
    #[error("not-configured")]
    NotConfigured,
    /// The person's address is none.
    #[error("no-address")]
    NoAddress,
    /// The server refuses it for good.
    #[error("refused")]
    Refused,
    /// The server is not there, is not who it should be, or wants to be asked again.
    #[error("not-now")]
    NotNow,
}

impl Mailer {
    /// Prepares to send by this server. It is not asked for anything yet.
    ///
    /// # Errors
    /// [`MailerError`].
    pub(crate) fn new(config: &MailServer) -> Result<Self, MailerError> {
        let mut tls = TlsParameters::builder(config.host.clone());
        if let Some(ca) = &config.ca {
            let pem = std::fs::read(ca).map_err(|error| MailerError::Ca(ca.display().to_string(), error))?;
            tls = tls
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(&pem)?);
        }
        let tls = tls.build_rustls()?;
        let tls = match config.encryption {
            MailEncryption::StartTls => Tls::Required(tls),
            MailEncryption::Implicit => Tls::Wrapper(tls),
        };
        // "dangerous" is that it would speak without TLS unless told: it is told.
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(STEP_TIME));
        if let Some((username, password)) = &config.login {
            transport = transport.credentials(Credentials::new(username.clone(), password.expose().clone()));
        }
        Ok(Self { transport: transport.build(), from: config.from.parse()? })
    }

    /// Sends a message to one person.
    ///
    /// # Errors
    /// [`NotSent`].
    pub(crate) async fn send(&self, to: &str, letter: Letter) -> Result<(), NotSent> {
        let to: Mailbox = to.parse().map_err(|_| NotSent::NoAddress)?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            // RFC 3834: nobody answers it by machine.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .body(letter.text)
            .map_err(|_| NotSent::Refused)?;
        let sent = tokio::time::timeout(WHOLE_TIME, self.transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => Err(NotSent::Refused),
            Ok(Err(_)) | Err(_) => Err(NotSent::NotNow),
        }
    }
}

/// The mailer of a configuration, if it has one.
///
/// # Errors
/// [`MailerError`].
pub(crate) fn mailer(config: Option<&MailServer>) -> Result<Option<Arc<Mailer>>, MailerError> {
    config.map(|config| Mailer::new(config).map(Arc::new)).transpose()
}
