//! What of a new configuration comes into force while we run.
//!
//! Routes with all that belongs to them, the lifetimes of tokens, the certificate's files, how long the log is kept, the rules
//! of watching, who has to have a second factor, passwords that are refused, authenticators that are believed, push services
//! and the reserve of disk do. Of everything else the old value stays until a restart, and is named.
//!
//! INVARIANT: what is new is taken apart without `..`, so that a key that is added here is taken over or named, and never
//! dropped without a word.

use std::sync::Arc;

use super::{Audit, Config, Export, MailServer, SigningKeys, Tokens};

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

/// Keys whose new value needs a restart.
#[derive(Default)]
struct Kept(Vec<&'static str>);

impl Kept {
    fn name_if(&mut self, differs: bool, key: &'static str) {
        if differs {
            self.0.push(key);
        }
    }
}

impl Config {
    /// What follows when this configuration is in force and `new` is wanted.
    ///
    /// # Errors
    /// [`AnotherIssuer`].
    pub(crate) fn succeeded_by(&self, new: Self) -> Result<Succession, AnotherIssuer> {
        let Self {
            // Read again from where it was read first.
            file: _,
            digest,
            issuer,
            data_dir,
            listen,
            tls,
            client_ca,
            store,
            tokens,
            master_key,
            sessions,
            second_factors,
            offered,
            passwords,
            authenticators,
            recovery,
            audit,
            policy_dir,
            shadow_dir,
            routes,
            trusted_issuers,
            identity_providers,
            approvals,
            push,
            emergency,
            mail,
            watch,
            purposes,
            registration,
            egress,
            paths,
            variables,
        } = new;
        if self.issuer != issuer {
            return Err(AnotherIssuer);
        }
        let mut kept = Kept::default();
        kept.name_if(self.data_dir != data_dir, "data_dir");
        kept.name_if(self.listen != listen, "listen");
        kept.name_if(self.store != store, "store.url");
        let tokens = self.tokens.succeeded_by(tokens, &mut kept);
        kept.name_if(self.master_key != master_key, "keys.master");
        kept.name_if(self.sessions != sessions, "sessions");
        let audit = self.audit.succeeded_by(audit, &mut kept);
        kept.name_if(self.approvals != approvals, "approvals");
        kept.name_if(self.emergency != emergency, "emergency");
        kept.name_if(!is_same_server(self.mail.as_deref(), mail.as_deref()), "mail");
        kept.name_if(self.policy_dir != policy_dir, "policy.dir");
        let config = Self {
            file: self.file.clone(),
            digest,
            issuer,
            data_dir: self.data_dir.clone(),
            listen: self.listen.clone(),
            tls,
            client_ca,
            store: self.store.clone(),
            tokens,
            master_key: self.master_key.clone(),
            sessions: self.sessions,
            second_factors,
            offered,
            passwords,
            authenticators,
            // A server for e-mail that is new is not spoken to before a restart, and nobody waits for what it does not send.
            recovery: if self.mail.is_some() { recovery } else { self.recovery },
            audit,
            policy_dir: self.policy_dir.clone(),
            shadow_dir,
            routes,
            approvals: self.approvals,
            emergency: self.emergency.clone(),
            mail: self.mail.clone(),
            watch,
            purposes,
            registration,
            egress,
            push,
            trusted_issuers,
            identity_providers,
            paths,
            variables,
        };
        Ok(Succession { config, needs_restart: kept.0 })
    }
}

impl Tokens {
    fn succeeded_by(&self, new: Self, kept: &mut Kept) -> Self {
        let Self { signing, audiences, access_token_ttl, refresh_token_ttl, offline_token_ttl } = new;
        let SigningKeys { algorithm, additional, encryption, rotation } = signing;
        let old = &self.signing;
        kept.name_if(old.algorithm != algorithm, "tokens.signing_algorithm");
        kept.name_if(old.additional != additional, "tokens.additional_algorithms");
        kept.name_if(old.encryption != encryption, "tokens.encryption_algorithms");
        kept.name_if(old.rotation != rotation, "tokens.key_rotation");
        Self { signing: old.clone(), audiences, access_token_ttl, refresh_token_ttl, offline_token_ttl }
    }
}

impl Audit {
    fn succeeded_by(&self, new: Self, kept: &mut Kept) -> Self {
        // The index has no key of its own: it is where the data folder is.
        let Self { dir, index: _, durability, retention, reserve, exports, witnesses, witness_quorum } = new;
        kept.name_if(self.dir != dir, "audit.dir");
        kept.name_if(self.durability != durability, "audit.durability");
        kept.name_if(format!("{:?}", self.witnesses) != format!("{witnesses:?}"), "audit.witness");
        kept.name_if(self.witness_quorum != witness_quorum, "audit.witness_quorum");
        kept.name_if(!are_same(&self.exports, &exports), "audit.export");
        Self {
            dir: self.dir.clone(),
            index: self.index.clone(),
            durability: self.durability,
            retention,
            reserve,
            exports: Arc::clone(&self.exports),
            witnesses: Arc::clone(&self.witnesses),
            witness_quorum: self.witness_quorum,
        }
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
