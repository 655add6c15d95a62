//! What a configuration names, read as a start reads it: keys, certificates, policies. Nothing is changed, and of others
//! nobody is asked but the program that prints the master key.

use std::fmt::Display;
use std::sync::Arc;

use chartgate_audit::outward::Source;
use chartgate_values::Clock;

use super::log_origin;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::live::identity_providers::Provider;
use crate::live::policies::LivePolicies;
use crate::live::trusted_issuers::TrustedIssuers;
use crate::net::client::egress::Egress;
use crate::net::tls::{Certificate, ClientAuthorities};
use crate::net::{credential, mail};
use crate::outward::Destination;
use crate::secrets::Secrets;
use crate::witnesses::Witnesses;

/// What of it a start would be refused for, each with the key that it belongs to. The store, the log and the ports are not
/// looked at.
pub(crate) fn errors(config: &Config) -> Vec<String> {
    let mut found = Found::default();
    found.take("keys", Secrets::load(config));
    found.take("tls", Certificate::load(&config.tls));
    if let Some(file) = &config.client_ca {
        found.take("tls.client_ca", ClientAuthorities::load(file));
    }
    for error in LivePolicies::load(&config.policy_dir).err().into_iter().flatten() {
        found.take::<()>("policy.dir", Err(error));
    }
    for route in config.routes.iter() {
        found.take(&format!("route `{}`", route.name), credential::prepare(route));
    }
    for issuer in &config.trusted_issuers {
        let key = format!("trusted_issuer `{}`", issuer.issuer);
        found.take_any(&key, TrustedIssuers::new(std::slice::from_ref(issuer)));
    }
    for provider in config.identity_providers.iter() {
        found.take(&format!("identity_provider `{}`", provider.name), Provider::new(provider));
    }
    found.take("egress", Egress::new(&config.egress));
    found.take("mail", mail::mailer(config.mail.as_deref()));
    found.take_any("audit.witness", Witnesses::new(&config.audit));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let host = config.bare_host().to_owned();
    let source = Source { origin: log_origin(config), host, version: env!("CARGO_PKG_VERSION") };
    for export in config.audit.exports.iter() {
        let key = format!("audit.export `{}`", export.name);
        found.take_any(&key, Destination::new(export, &source, &clock));
    }
    found.0
}

/// What of it a start only warns of.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    // One that cannot be read is an error.
    let Ok(certificate) = Certificate::load(&config.tls) else { return Vec::new() };
    let flaws = certificate.flaws(config.bare_host(), SystemClock.now());
    flaws.iter().map(|flaw| format!("tls.certificate: {flaw}")).collect()
}

/// Errors, as they are told.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn take<T>(&mut self, key: &str, read: Result<T, impl Display>) {
        if let Err(error) = read {
            self.0.push(format!("{key}: {error}"));
        }
    }

    /// The same for an error with causes beneath it.
    fn take_any<T>(&mut self, key: &str, read: anyhow::Result<T>) {
        self.take(key, read.map_err(|error| format!("{error:#}")));
    }
}
