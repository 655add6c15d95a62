//! What is in force, for whoever tells of it: the configuration of the start, or what a reload put in its place, and the
//! certificate that is shown.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use chartgate_values::Timestamp;

use crate::config::Config;
use crate::net::tls::Certificate;

/// What is in force.
#[derive(Debug)]
pub(crate) struct InForce {
    config: RwLock<Arc<Config>>,
    /// Once there is one to show: not where a command is carried out without a gateway.
    certificate: OnceLock<Arc<Certificate>>,
}

impl InForce {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config: RwLock::new(config), certificate: OnceLock::new() }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// From now on this one is shown, and what it reloads.
    pub(crate) fn shows(&self, certificate: &Arc<Certificate>) {
        // INVARIANT: it is served once.
        let _ = self.certificate.set(Arc::clone(certificate));
    }

    /// When the certificate that is shown is over; none if there is none, or it cannot be read.
    pub(crate) fn certificate_ends(&self) -> Option<Timestamp> {
        self.certificate.get().and_then(|certificate| certificate.ends())
    }
}
