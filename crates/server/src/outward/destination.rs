//! Where entries go, whatever it is.

use std::sync::Arc;
use std::time::Duration;

use chartgate_audit::outward::audit_event::MOST;
use chartgate_audit::outward::{Shown, Source};
use chartgate_values::Clock;

use super::fhir::FhirSender;
use super::ocsf::OcsfSender;
use super::otlp::OtlpSender;
use super::portion::Portion;
use super::run::Stretch;
use super::s3::S3Sender;
use super::syslog::SyslogSender;
use crate::config;

/// A receiver that can be given entries.
pub(crate) enum Destination {
    /// Syslog over TLS.
    Syslog(Box<SyslogSender>),
    /// Events of OCSF over HTTPS.
    Ocsf(Box<OcsfSender>),
    /// AuditEvents to a FHIR server.
    Fhir(Box<FhirSender>),
    /// Log records to an OpenTelemetry collector.
    Otlp(Box<OtlpSender>),
    /// Objects in storage that speaks S3.
    S3(Box<S3Sender>),
}

/// Why a receiver did not take what it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// A stable code, such as `unreachable` or `status-503`. It holds nothing of a record or an answer.
    pub(crate) code: String,
    /// What may help.
    pub(crate) kind: FailureKind,
    /// How long it asked to be left alone.
    pub(crate) wait: Option<Duration>,
}

/// What may help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FailureKind {
    /// Time: it was not reached, knows nobody by our credential, or asks to be left alone.
    Away,
    /// Giving it less, and time: it was reached, and whatever it says, it does not have what it was given.
    NotTaken,
    /// Giving it less: it says that one of these entries is at fault.
    Refused,
}

impl Failure {
    /// It was not reached, or has no time.
    pub(crate) fn away(code: impl Into<String>) -> Self {
        Self { code: code.into(), kind: FailureKind::Away, wait: None }
    }

    /// It was reached and does not have what it was given.
    pub(crate) fn not_taken(code: impl Into<String>) -> Self {
        Self { code: code.into(), kind: FailureKind::NotTaken, wait: None }
    }

    /// One of the entries is not taken.
    pub(crate) fn refused(code: impl Into<String>) -> Self {
        Self { code: code.into(), kind: FailureKind::Refused, wait: None }
    }

    /// What an HTTP status says that is not success, of all that was given or of an entry.
    pub(crate) fn of_status(status: u16, code: impl Into<String>) -> Self {
        match status {
            // Bad request, too large, another type, or content that cannot be used.
            400 | 413 | 415 | 422 => Self::refused(code),
            401 | 429 | 503 => Self::away(code),
            _ => Self::not_taken(code),
        }
    }
}

impl Destination {
    /// The receiver of an export.
    ///
    /// # Errors
    /// If a CA, certificate or key cannot be read.
    pub(crate) fn new(
        export: &config::Export,
        source: &Source,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        match &export.receiver {
            config::Receiver::Syslog(to) => {
                Ok(Self::Syslog(Box::new(SyslogSender::new(to, export, source.clone())?)))
            }
            config::Receiver::Ocsf(to) => {
                let sender = OcsfSender::new(to, export, source.clone(), Arc::clone(clock))?;
                Ok(Self::Ocsf(Box::new(sender)))
            }
            config::Receiver::Fhir(to) => {
                Ok(Self::Fhir(Box::new(FhirSender::new(to, export, source.clone())?)))
            }
            config::Receiver::Otlp(to) => {
                Ok(Self::Otlp(Box::new(OtlpSender::new(to, export, source.clone())?)))
            }
            config::Receiver::S3(to) => {
                let sender = S3Sender::new(to, export, source.clone(), Arc::clone(clock))?;
                Ok(Self::S3(Box::new(sender)))
            }
        }
    }

    /// Gives it entries, in their order; returns once it has all of them.
    ///
    /// # Errors
    /// [`Failure`]: then it may have had some, and `portion` knows what it was given last.
    pub(crate) async fn deliver(
        &mut self,
        entries: &Arc<[Shown]>,
        stretch: &Stretch,
        portion: &mut Portion,
    ) -> Result<(), Failure> {
        let first = entries.first().map(|entry| entry.entry().index).unwrap_or_default();
        portion.give(first, u64::try_from(entries.len()).unwrap_or(u64::MAX));
        match self {
            Self::Syslog(syslog) => syslog.deliver(entries).await,
            Self::Ocsf(ocsf) => ocsf.deliver(entries).await,
            Self::Fhir(fhir) => fhir.deliver(entries, portion).await,
            Self::Otlp(otlp) => otlp.deliver(entries).await,
            Self::S3(s3) => s3.deliver(entries, stretch).await,
        }
    }

    /// How long a receiver may take until what it has taken would survive its own end. What was given it later is given again
    /// after a failure.
    pub(crate) const fn settles_in(&self) -> Duration {
        match self {
            Self::Syslog(_) => Duration::from_secs(10),
            Self::Ocsf(_) | Self::Fhir(_) | Self::Otlp(_) | Self::S3(_) => Duration::ZERO,
        }
    }

    /// How many entries, or AuditEvents, it gets at once.
    pub(crate) const fn at_once(&self) -> u64 {
        match self {
            Self::Syslog(_) => 1024,
            Self::Ocsf(_) | Self::Otlp(_) => 256,
            Self::Fhir(_) => MOST as u64,
            Self::S3(s3) => s3.at_once(),
        }
    }

    /// It has had all before this record, by what it said of the entries that it was given last.
    pub(crate) const fn has_before(&self) -> u64 {
        match self {
            Self::Fhir(fhir) => fhir.has_before(),
            Self::Syslog(_) | Self::Ocsf(_) | Self::Otlp(_) | Self::S3(_) => 0,
        }
    }

    /// About how many bytes of entries it gets at once.
    pub(crate) const fn weight(&self) -> usize {
        match self {
            // An object is as long as it may be.
            Self::S3(_) => 16 << 20,
            Self::Syslog(_) | Self::Ocsf(_) | Self::Fhir(_) | Self::Otlp(_) => 4 << 20,
        }
    }

    /// How long entries wait for others to come along.
    pub(crate) const fn gathers_for(&self) -> Duration {
        match self {
            Self::S3(s3) => s3.gathers_for(),
            Self::Syslog(_) | Self::Ocsf(_) | Self::Fhir(_) | Self::Otlp(_) => Duration::ZERO,
        }
    }
}
