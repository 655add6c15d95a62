//! Where entries go, whatever it is.

use std::sync::Arc;
use std::time::Duration;

use chartgate_audit::outward::{Shown, Source};
use chartgate_values::Clock;

use super::ocsf::OcsfSender;
use super::syslog::SyslogSender;
use crate::config;

/// A receiver that can be given entries.
pub(crate) enum Destination {
    /// Syslog over TLS.
    Syslog(Box<SyslogSender>),
    /// Events of OCSF over HTTPS.
    Ocsf(Box<OcsfSender>),
}

/// Why a receiver did not take what it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// A stable code, such as `unreachable` or `status-503`. It holds nothing of a record or an answer.
    pub(crate) code: String,
    /// What may help.
    pub(crate) kind: FailureKind,
}

/// What may help.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FailureKind {
    /// Time.
    Away,
    /// Nothing but giving it less: one of these entries it does not take.
    Refused,
}

impl Failure {
    /// It may be taken later.
    pub(crate) fn away(code: impl Into<String>) -> Self {
        Self { code: code.into(), kind: FailureKind::Away }
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
        }
    }

    /// Gives it entries, in their order; returns once it has all of them.
    ///
    /// # Errors
    /// [`Failure`]: then it may have had some.
    pub(crate) async fn deliver(&mut self, entries: &[Shown]) -> Result<(), Failure> {
        match self {
            Self::Syslog(syslog) => syslog.deliver(entries).await,
            Self::Ocsf(ocsf) => ocsf.deliver(entries).await,
        }
    }

    /// How long a receiver may take until what it has taken would survive its own end. What was given it later is given again
    /// after a failure.
    pub(crate) const fn settles_in(&self) -> Duration {
        match self {
            Self::Syslog(_) => Duration::from_secs(10),
            Self::Ocsf(_) => Duration::ZERO,
        }
    }

    /// How many entries it gets at once.
    pub(crate) const fn at_once(&self) -> u64 {
        match self {
            Self::Syslog(_) => 1024,
            Self::Ocsf(_) => 256,
        }
    }
}
