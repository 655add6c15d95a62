//! What went by to servers behind FHIR routes that may have changed who may see what: it counts on whichever route and under
//! whichever configuration it was written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chartgate_protocol::fhir::base::BaseUrl;

/// How many writes went by to one server, by what they may have changed.
#[derive(Clone, Default)]
pub(super) struct Writes {
    /// Who is in whose care,
    pub(super) care: Arc<AtomicU64>,
    /// what patients forbid,
    pub(super) consents: Arc<AtomicU64>,
    /// and when they were born.
    pub(super) births: Arc<AtomicU64>,
}

/// The same by server: two routes to one have one count, and so has a route before and after a change of configuration.
#[derive(Default)]
pub(crate) struct Written(Mutex<HashMap<String, Writes>>);

impl Written {
    pub(super) fn at(&self, server: &BaseUrl) -> Writes {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(server.to_string()).or_default().clone()
    }
}

/// Counts once the writes are over, however they end: what was known before may be no more so.
pub(super) struct Writing<'a>(pub(super) &'a AtomicU64);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
