//! `chartgate client invite`: from words to an invitation.

use std::time::Duration;

use anyhow::ensure;
use chartgate_access::client::{AuthMethod, GrantType};
use chartgate_access::profile::Profile;
use chartgate_protocol::oauth::scope::ScopeSet;

use crate::admin::{Command, NewInvitation};
use crate::config::{self, Dynamic};
use crate::registration::policy::{Policy, RedirectHost};

#[derive(Debug, clap::Args)]
pub(super) struct Invitation {
    /// How many clients may be registered with it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    uses: u32,
    /// For how many hours it is good.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=24 * 365))]
    hours: u32,
    /// The most that the clients may have; without it, what `[registration] scope` says.
    #[arg(long)]
    scope: Option<ScopeSet>,
    /// Where browsers may be sent for them: a host, `loopback`, an application's own scheme with its colon, or `*`; may be
    /// given several times. Without it, what `[registration] redirect_hosts` says, or wherever it may lead.
    #[arg(long = "redirect-host")]
    redirect_hosts: Vec<RedirectHost>,
    /// A grant that they may use, by its registered name; may be given several times. Without it: authorization_code and
    /// refresh_token.
    #[arg(long = "grant")]
    grants: Vec<GrantType>,
    /// How they may show who they are; may be given several times. Without it: none, client_secret_basic,
    /// client_secret_post and private_key_jwt.
    #[arg(long = "auth-method")]
    auth_methods: Vec<AuthMethod>,
    /// Where their tokens are good if a request does not say.
    #[arg(long)]
    audience: Option<String>,
    /// By whose rules they have to go: smart, fapi2, mcp or plain. Without it, what `[registration] profile` says.
    #[arg(long)]
    profile: Option<Profile>,
}

impl Invitation {
    pub(super) fn command(self, config: &config::Registration) -> anyhow::Result<Command> {
        ensure!(config.dynamic != Dynamic::Off, "nobody may register: `registration.dynamic` is \"off\"");
        let usual = config.of_invited();
        let policy = Policy {
            scope: self.scope.unwrap_or(usual.scope),
            redirect_hosts: given(self.redirect_hosts).unwrap_or(usual.redirect_hosts),
            grant_types: given(self.grants).unwrap_or(usual.grant_types),
            auth_methods: given(self.auth_methods).unwrap_or(usual.auth_methods),
            audience: self.audience,
            profile: self.profile.unwrap_or(usual.profile),
        };
        ensure!(
            !policy.scope.is_empty(),
            "an invitation has to say what clients may have at the most: --scope"
        );
        let expires_in = Duration::from_secs(u64::from(self.hours).saturating_mul(3600));
        Ok(Command::ClientInvite(Box::new(NewInvitation { policy, uses: self.uses, expires_in })))
    }
}

/// What was given, if anything was.
fn given<T: Ord>(values: Vec<T>) -> Option<std::collections::BTreeSet<T>> {
    (!values.is_empty()).then(|| values.into_iter().collect())
}
