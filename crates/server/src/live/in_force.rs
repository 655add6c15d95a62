//! The configuration in force, for whoever tells of it: that of the start, or what a reload put in its place.

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Config;

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct InForce(RwLock<Arc<Config>>);

impl InForce {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self(RwLock::new(config))
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, config: Arc<Config>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}
