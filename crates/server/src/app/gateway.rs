//! What stands in front of records, by the routes of a configuration.

use std::sync::Arc;

use super::{App, Lasting};
use crate::config::Config;
use crate::live::trusted_issuers::TrustedIssuers;
use crate::pep::Gateway;

impl App {
    pub(super) fn gateway(
        &self,
        config: &Config,
        issuers: Arc<TrustedIssuers>,
        lasting: &Lasting,
    ) -> anyhow::Result<Gateway> {
        Gateway::new(crate::pep::Parts {
            issuer: config.issuer.clone(),
            routes: Arc::clone(&config.routes),
            keys: Arc::clone(&self.keys),
            issuers,
            purposes: Arc::clone(&config.purposes),
            cut_offs: Arc::clone(&self.cut_offs),
            proofs: Arc::clone(&self.proofs),
            care: Arc::clone(&self.care),
            policies: Arc::clone(&self.policies),
            sessions: Arc::clone(&self.sessions),
            paging: self.master.derive("fhir paging links")?,
            pseudonym_key: self.master.secret_for("fhir pseudonyms")?,
            journal: self.log.journal.clone(),
            throttle: Arc::clone(&self.throttle),
            clock: Arc::clone(&self.clock),
            streams: Arc::clone(&lasting.streams),
            spools: Arc::clone(&lasting.spools),
            written: Arc::clone(&lasting.written),
            store: Arc::clone(&self.store),
            approvals: Arc::clone(&self.approvals),
        })
    }
}
