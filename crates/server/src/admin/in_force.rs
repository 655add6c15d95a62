//! What is in force in the running gateway, as far as an auditor has to know: settings as they were loaded or reloaded, not as
//! a file has them by now; and how what is configured does. No secret and nothing of a patient is in it.

mod log;
mod watch;

use std::path::PathBuf;

use chartgate_access::client::Client;
use chartgate_access::login::assurance::{Offered, Whom};
use chartgate_access::login::provider::{Newcomers, TwoFactorsThere};
use chartgate_access::principal::{User, UserState};
use chartgate_access::session::Limits;
use chartgate_values::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Administrator, CommandError};
use crate::config::{
    Agents, CareTable, CommandLine, Config, ConsentCheck, Dynamic, IdentityProvider, MasterKeySource,
    MinorLabels, Recovery, Route, RouteKind, SignOutThere, TokenForm, UpstreamAuth, Writes,
};
use crate::crypto_module::{self, CryptoModule};
pub(crate) use log::{ExportInForce, Log};
pub(crate) use watch::{LaneInForce, Watch};

/// What is in force. Times are seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) version: String,
    pub(crate) issuer: String,
    pub(crate) listen: Listening,
    pub(crate) sessions: Sessions,
    pub(crate) sign_in: SignIn,
    pub(crate) tokens: Tokens,
    pub(crate) keys: Value,
    pub(crate) master_key: MasterKey,
    /// What computes.
    pub(crate) crypto_module: String,
    pub(crate) log: Log,
    pub(crate) policies: Policies,
    pub(crate) routes: Vec<RouteInForce>,
    pub(crate) trusted_issuers: Vec<String>,
    pub(crate) identity_providers: Vec<ProviderInForce>,
    /// Whether people are told by e-mail of changes to how they sign in.
    pub(crate) people_are_mailed: bool,
    pub(crate) emergency: Emergency,
    /// Whether the command line may answer approvals for people.
    pub(crate) approvals_by_command_line: bool,
    pub(crate) registration_by_anybody: bool,
    pub(crate) watch: Watch,
    pub(crate) people: Vec<Person>,
    pub(crate) programs: Vec<Program>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) https: String,
    pub(crate) mtls: Option<String>,
    /// Plain HTTP, which answers with redirects alone.
    pub(crate) redirects: Option<String>,
    pub(crate) trusted_proxies: usize,
    /// When the certificate that is shown is over.
    pub(crate) certificate_ends: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sessions {
    pub(crate) one_factor: SessionLimits,
    pub(crate) two_factors: SessionLimits,
    pub(crate) phishing_resistant: SessionLimits,
}

/// After so many seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionLimits {
    pub(crate) idle: u64,
    pub(crate) absolute: u64,
}

impl From<Limits> for SessionLimits {
    fn from(Limits { idle, absolute }: Limits) -> Self {
        Self { idle: idle.as_secs(), absolute: absolute.as_secs() }
    }
}

/// Who has to sign in how: roles, or everybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignIn {
    pub(crate) second_factor: Vec<String>,
    pub(crate) passkey: Vec<String>,
    /// Who needs one that hardware keeps, by whose word, and of which models; of none, all.
    pub(crate) hardware_key: Vec<String>,
    pub(crate) authenticator_roots: Vec<String>,
    pub(crate) authenticator_models: Vec<String>,
    pub(crate) passkeys_offered: bool,
    /// Whether people get in again by a link that is sent to them, beside what is left to them.
    pub(crate) recovered_by_mail: bool,
}

/// Where people may sign in elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProviderInForce {
    pub(crate) issuer: String,
    /// Whether two factors there count as two here.
    pub(crate) two_factors_count: bool,
    /// Whether its groups say who has which role.
    pub(crate) gives_roles: bool,
    /// Whether people whom nobody here knows are added.
    pub(crate) adds_people: bool,
    /// Whether people who sign out here are sent there to sign out too, and whether they are asked.
    pub(crate) sign_out: SignOutInForce,
}

/// Whether people who sign out here sign out at their provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SignOutInForce {
    Always,
    Offered,
    Never,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access: u64,
    pub(crate) refresh: u64,
    pub(crate) offline: u64,
    pub(crate) key_rotation: u64,
    pub(crate) algorithms: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MasterKey {
    /// In a file within the data folder.
    BesideTheData,
    /// In a file elsewhere.
    InAFile,
    InTheEnvironment,
    /// From a program: a key service's client.
    FromAProgram,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Policies {
    /// The folder that they were read from.
    pub(crate) folder: PathBuf,
    pub(crate) revision: String,
    pub(crate) ids: Vec<String>,
    pub(crate) on_trial: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RouteInForce {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) path: String,
    /// Scheme and host of the upstream.
    pub(crate) upstream: String,
    pub(crate) is_encrypted: bool,
    /// How the upstream knows that it is the gateway.
    pub(crate) credential: Option<String>,
    pub(crate) encrypted_tokens: bool,
    /// How long ago a person may have signed in.
    pub(crate) sign_in_max_age: Option<u64>,
    pub(crate) acr_values: Vec<String>,
    /// From what it is known who is in whose care.
    pub(crate) care_from: Vec<String>,
    pub(crate) heeds_consents: bool,
    pub(crate) labels_minors: bool,
    /// Of a FHIR route: listed operations that write.
    pub(crate) writing_operations: Vec<String>,
    /// Of an `http` route: rules that any good token passes.
    pub(crate) open_rules: Vec<String>,
    /// Rules that take somebody's yes, in words.
    #[serde(default)]
    pub(crate) rules_of_two: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Emergency {
    pub(crate) duration: u64,
    pub(crate) unreviewed: usize,
    pub(crate) review_within: u64,
    /// How privacy officers are to be told, of uses and of findings.
    pub(crate) ways: Vec<String>,
    /// Uses that wait for their review, or for somebody to go on with them.
    pub(crate) waiting: usize,
    /// When the first of them began.
    pub(crate) waiting_since: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) is_enabled: bool,
    pub(crate) roles: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) id: String,
    pub(crate) kind: Value,
    pub(crate) shows_itself_by: Value,
    pub(crate) is_self_registered: bool,
}

impl Administrator {
    /// What is in force.
    pub(super) fn tell_in_force(&self) -> Result<Value, CommandError> {
        let config = self.in_force.config();
        let (waiting, waiting_since) = self.store.read(|sql| sql.waiting_emergencies_since())?;
        let limits = &config.emergency.limits;
        let pdp = self.policies.sets();
        let settings = Settings {
            version: crypto_module::VERSION.to_owned(),
            issuer: config.issuer.clone(),
            listen: Listening {
                https: config.listen.https.to_string(),
                mtls: config.listen.mtls.map(|address| address.to_string()),
                redirects: config.listen.http.map(|address| address.to_string()),
                trusted_proxies: config.listen.trusted_proxies.len(),
                certificate_ends: self.in_force.certificate_ends(),
            },
            sessions: Sessions {
                one_factor: config.sessions.one_factor.into(),
                two_factors: config.sessions.two_factors.into(),
                phishing_resistant: config.sessions.phishing_resistant.into(),
            },
            sign_in: SignIn {
                second_factor: whom(&config.second_factors.two_factors),
                passkey: whom(&config.second_factors.phishing_resistant),
                hardware_key: whom(&config.second_factors.hardware_key),
                authenticator_roots: config
                    .authenticators
                    .roots
                    .iter()
                    .map(|root| root.subject.clone())
                    .collect(),
                authenticator_models: config
                    .authenticators
                    .models
                    .iter()
                    .map(|(model, name)| name.clone().unwrap_or_else(|| model.to_string()))
                    .collect(),
                passkeys_offered: config.offered != Offered::CodesAlone,
                recovered_by_mail: config.recovery == Recovery::Mail,
            },
            tokens: Tokens {
                access: config.tokens.access_token_ttl.as_secs(),
                refresh: config.tokens.refresh_token_ttl.as_secs(),
                offline: config.tokens.offline_token_ttl.as_secs(),
                key_rotation: config.tokens.signing.rotation.as_secs(),
                algorithms: config.tokens.signing.all().map(|algorithm| algorithm.to_string()).collect(),
            },
            keys: self.list_keys(),
            master_key: master_key(&config),
            crypto_module: CryptoModule::in_use()
                .map_or_else(|error| error.to_string(), |one| one.to_string()),
            log: self.log(&config)?,
            policies: Policies {
                folder: config.policy_dir.clone(),
                revision: pdp.in_force.revision().to_owned(),
                ids: pdp.in_force.policy_ids(),
                on_trial: pdp.shadow.as_ref().map(|shadow| shadow.revision().to_owned()),
            },
            routes: config.routes.iter().map(route).collect(),
            trusted_issuers: config.trusted_issuers.iter().map(|one| one.issuer.clone()).collect(),
            identity_providers: config.identity_providers.iter().map(|one| provider(one)).collect(),
            people_are_mailed: config.mail.is_some(),
            emergency: Emergency {
                duration: limits.duration.as_secs(),
                unreviewed: limits.unreviewed,
                review_within: limits.review_within.as_secs(),
                ways: self.emergencies.ways().into_iter().map(str::to_owned).collect(),
                waiting,
                waiting_since,
            },
            approvals_by_command_line: config.approvals.command_line == CommandLine::Answers,
            registration_by_anybody: config.registration.dynamic == Dynamic::Open,
            watch: self.watch()?,
            people: self.people()?,
            programs: self.programs()?,
        };
        Ok(json!(settings))
    }

    fn people(&self) -> Result<Vec<Person>, CommandError> {
        let users = self.store.read(|sql| sql.users())?;
        let person = |user: &User| Person {
            name: user.name.to_string(),
            is_enabled: user.state == UserState::Enabled,
            roles: user.roles.iter().map(ToString::to_string).collect(),
        };
        Ok(users.iter().map(person).collect())
    }

    fn programs(&self) -> Result<Vec<Program>, CommandError> {
        let clients = self.store.read(|sql| sql.clients())?;
        let program = |client: &Client| Program {
            id: client.client_id.to_string(),
            kind: json!(client.kind),
            shows_itself_by: json!(client.token_endpoint_auth_method),
            is_self_registered: client.is_self_registered(),
        };
        Ok(clients.iter().map(program).collect())
    }
}

fn whom(whom: &Whom) -> Vec<String> {
    match whom {
        Whom::Everybody => vec!["everybody".to_owned()],
        Whom::OfRoles(roles) => roles.iter().map(ToString::to_string).collect(),
    }
}

fn provider(provider: &IdentityProvider) -> ProviderInForce {
    let TwoFactorsThere { acr, amr } = &provider.two_factors;
    ProviderInForce {
        issuer: provider.issuer.as_str().to_owned(),
        two_factors_count: !(acr.is_empty() && amr.is_empty()),
        gives_roles: provider.groups.is_some(),
        adds_people: provider.newcomers == Newcomers::Added,
        sign_out: match provider.sign_out {
            SignOutThere::Always => SignOutInForce::Always,
            SignOutThere::Offered => SignOutInForce::Offered,
            SignOutThere::Never => SignOutInForce::Never,
        },
    }
}

fn master_key(config: &Config) -> MasterKey {
    match &config.master_key {
        MasterKeySource::File(path) if path.starts_with(&config.data_dir) => MasterKey::BesideTheData,
        MasterKeySource::File(_) => MasterKey::InAFile,
        MasterKeySource::Environment(_) => MasterKey::InTheEnvironment,
        MasterKeySource::Command(_) => MasterKey::FromAProgram,
    }
}

fn route(route: &Route) -> RouteInForce {
    let (kind, care_from, heeds_consents, labels_minors) = match &route.kind {
        RouteKind::Fhir { version, care, consent, minors, .. } => {
            let table = (care.table == CareTable::Counts).then(|| "the care table".to_owned());
            let sources = care.sources.iter().map(ToString::to_string);
            let heeds = matches!(consent, ConsentCheck::Enforced { .. });
            let labels = matches!(minors, MinorLabels::Under(_));
            (format!("FHIR {version}"), table.into_iter().chain(sources).collect(), heeds, labels)
        }
        RouteKind::Http { .. } => ("HTTP".to_owned(), Vec::new(), false, false),
    };
    let (writing_operations, open_rules, rules_of_two) = match &route.kind {
        RouteKind::Fhir { operations, .. } => {
            let writing = operations.iter().filter(|operation| operation.writes == Writes::Yes);
            (writing.map(|operation| operation.name.clone()).collect(), Vec::new(), Vec::new())
        }
        RouteKind::Http { allow } => {
            let open = allow.iter().filter(|rule| rule.scope.is_none() && rule.roles.is_empty());
            let of_two = allow.iter().filter_map(|rule| {
                let roles: Vec<&str> = rule.approved_by.iter().map(|role| role.as_str()).collect();
                match rule.agents {
                    _ if !roles.is_empty() => Some(format!(
                        "{} takes the yes of another person ({}) to each request",
                        rule.path,
                        roles.join(", ")
                    )),
                    Agents::Ask => {
                        Some(format!("{} takes of an agent its person's yes to each request", rule.path))
                    }
                    Agents::Act => None,
                }
            });
            (Vec::new(), open.map(|rule| rule.path.clone()).collect(), of_two.collect())
        }
    };
    let credential = match &route.upstream_auth {
        UpstreamAuth::None => None,
        UpstreamAuth::Bearer(_) => Some("a token"),
        UpstreamAuth::Basic { .. } => Some("a password"),
        UpstreamAuth::ClientCredentials(_) => Some("tokens that it fetches"),
        UpstreamAuth::ClientCertificate(_) => Some("a certificate"),
    };
    let host = route.upstream.authority().map(ToString::to_string).unwrap_or_default();
    let scheme = route.upstream.scheme_str().unwrap_or_default();
    RouteInForce {
        name: route.name.clone(),
        kind,
        path: route.path.clone(),
        upstream: format!("{scheme}://{host}"),
        is_encrypted: scheme == "https",
        credential: credential.map(str::to_owned),
        encrypted_tokens: route.tokens == TokenForm::Encrypted,
        sign_in_max_age: route.sign_in.max_age.map(|age| age.as_secs()),
        acr_values: route.sign_in.acr_values.clone(),
        care_from,
        heeds_consents,
        labels_minors,
        writing_operations,
        open_rules,
        rules_of_two,
    }
}
