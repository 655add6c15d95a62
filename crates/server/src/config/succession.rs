//! What of a new configuration comes into force while we run.
//!
//! Routes with all that belongs to them, the lifetimes of tokens, the certificate's files, the rules of watching, who has to have a second factor, passwords that are refused, authenticators that are believed, push services and the reserve of disk do. Of
//! everything else the old value stays until a restart, and is named.

use std::sync::Arc;

use super::{Audit, Config, Export, MailServer, Tokens};

/// A new configuration, as far as it can be had without a restart.
#[derive(Debug)]
pub(crate) struct Succession {
    pub(crate) config: Config,
    /// Keys whose new value needs one.
    pub(crate) needs_restart: Vec<&'static str>,
}

/// A new configuration none of which can be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`issuer` needs a restart, and audiences of routes follow it: nothing was changed")]
pub(crate) struct AnotherIssuer;

impl Config {
    /// What follows when this configuration is in force and `new` is wanted.
    ///
    /// # Errors
    /// [`AnotherIssuer`].
    pub(crate) fn succeeded_by(&self, new: Self) -> Result<Succession, AnotherIssuer> {
        if self.issuer != new.issuer {
            return Err(AnotherIssuer);
        }
        let (old, wanted) = (&self.tokens.signing, &new.tokens.signing);
        let differs: [(&'static str, bool); 18] = [
            ("data_dir", self.data_dir != new.data_dir),
            ("listen", self.listen != new.listen),
            ("store.url", self.store != new.store),
            ("tokens.signing_algorithm", old.algorithm != wanted.algorithm),
            ("tokens.additional_algorithms", old.additional != wanted.additional),
            ("tokens.encryption_algorithms", old.encryption != wanted.encryption),
            ("tokens.key_rotation", old.rotation != wanted.rotation),
            ("keys.master", self.master_key != new.master_key),
            ("sessions", self.sessions != new.sessions),
            ("audit.dir", self.audit.dir != new.audit.dir),
            ("audit.durability", self.audit.durability != new.audit.durability),
            ("audit.witness", format!("{:?}", self.audit.witnesses) != format!("{:?}", new.audit.witnesses)),
            ("audit.witness_quorum", self.audit.witness_quorum != new.audit.witness_quorum),
            ("audit.export", !are_same(&self.audit.exports, &new.audit.exports)),
            ("approvals", self.approvals != new.approvals),
            ("emergency", self.emergency != new.emergency),
            ("mail", !is_same_server(self.mail.as_deref(), new.mail.as_deref())),
            ("policy.dir", self.policy_dir != new.policy_dir),
        ];
        let config = Self {
            file: self.file.clone(),
            issuer: self.issuer.clone(),
            data_dir: self.data_dir.clone(),
            listen: self.listen.clone(),
            tls: new.tls,
            client_ca: new.client_ca,
            store: self.store.clone(),
            tokens: Tokens { signing: self.tokens.signing.clone(), ..new.tokens },
            master_key: self.master_key.clone(),
            sessions: self.sessions,
            second_factors: new.second_factors,
            offered: new.offered,
            passwords: new.passwords,
            authenticators: new.authenticators,
            // A server for e-mail that is new is not spoken to before a restart, and nobody waits for what it does not send.
            recovery: if self.mail.is_some() { new.recovery } else { self.recovery },
            audit: Audit {
                dir: self.audit.dir.clone(),
                index: self.audit.index.clone(),
                durability: self.audit.durability,
                retention: self.audit.retention,
                reserve: new.audit.reserve,
                exports: Arc::clone(&self.audit.exports),
                witnesses: Arc::clone(&self.audit.witnesses),
                witness_quorum: self.audit.witness_quorum,
            },
            policy_dir: self.policy_dir.clone(),
            shadow_dir: new.shadow_dir,
            routes: Arc::clone(&new.routes),
            approvals: self.approvals,
            emergency: self.emergency.clone(),
            mail: self.mail.clone(),
            watch: new.watch,
            purposes: new.purposes,
            registration: new.registration,
            egress: new.egress,
            push: new.push,
            trusted_issuers: new.trusted_issuers,
            identity_providers: new.identity_providers,
            paths: new.paths,
            variables: new.variables,
        };
        let needs_restart = differs.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect();
        Ok(Succession { config, needs_restart })
    }
}

/// Whether a server for e-mail is the same, its password too, which is never printed.
fn is_same_server(old: Option<&MailServer>, new: Option<&MailServer>) -> bool {
    let password = |server: &MailServer| server.login.as_ref().map(|(_, password)| password.expose().clone());
    format!("{old:?}") == format!("{new:?}") && old.and_then(password) == new.and_then(password)
}

/// Whether exports are the same, their secrets too, which are never printed.
fn are_same(old: &[Export], new: &[Export]) -> bool {
    let secrets = |exports: &[Export]| -> Vec<String> {
        exports.iter().flat_map(Export::secrets).map(|secret| secret.expose().clone()).collect()
    };
    format!("{old:?}") == format!("{new:?}") && secrets(old) == secrets(new)
}
