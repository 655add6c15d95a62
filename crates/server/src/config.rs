//! The configuration: TOML with the environment laid over it, in; a value without anything left open, out.
//!
//! Read key by key rather than by derive, so that every error is reported at once, with its line.

mod approvals;
mod audit;
mod authenticators;
mod care;
mod consent;
mod egress;
mod emergency;
mod export;
mod identity_provider;
mod keys;
mod lifetimes;
mod listen;
mod mail_server;
mod minors;
mod operation;
mod places;
mod purpose_of_use;
mod push;
mod registration;
mod route;
mod section;
mod sign_in;
mod source;
mod succession;
#[cfg(test)]
mod tests;
mod trusted_issuer;
mod upstream_auth;
mod watch;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartgate_access::login::assurance::{Offered, Required};
use chartgate_access::purpose::Purposes;
use chartgate_access::session::Timeouts;
use chartgate_audit::watch::Rules;

use crate::entropy::digest_of;
use crate::live::passkeys::authenticators::Authenticators;
use crate::passwords::PasswordRules;
pub(crate) use approvals::{Approvals, CommandLine};
pub(crate) use audit::{Audit, Durability};
pub(crate) use care::{CareFrom, CareRoles, CareTable};
pub(crate) use consent::ConsentCheck;
pub(crate) use egress::Egress;
pub(crate) use emergency::{Emergency, Mail};
pub(crate) use export::{
    Batches, Beginning, Closing, Export, HttpReceiver, ObjectLock, OcsfReceiver, Receiver, S3Receiver,
    SyslogReceiver,
};
pub(crate) use identity_provider::{IdentityProvider, SignOutThere};
pub(crate) use keys::MasterKeySource;
pub(crate) use lifetimes::{LONGEST_ACCESS_TOKEN, SigningKeys, Tokens};
pub(crate) use listen::{Listen, Network};
pub(crate) use mail_server::{MailEncryption, MailServer};
pub(crate) use minors::MinorLabels;
pub(crate) use operation::{Operation, Writes};
pub(crate) use places::Places;
pub(crate) use push::Push;
pub(crate) use registration::{DocumentHosts, Dynamic, Registration};
pub(crate) use route::{Agents, Exports, HttpRule, Route, RouteKind, SignInDemand, TokenForm, UpdateCreate};
use section::{Reading, Section};
pub(crate) use sign_in::Recovery;
pub(crate) use source::ConfigError;
pub(crate) use trusted_issuer::{IssuerKeys, TrustedIssuer};
pub(crate) use upstream_auth::{ClientCredentials, UpstreamAuth};

/// The whole configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it was read from.
    pub(crate) file: PathBuf,
    /// Our name in every token, and the public base URL; no slash at the end.
    pub(crate) issuer: String,
    /// Store, keys, lock and administration socket.
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) tls: Tls,
    /// Those who vouch for certificates of clients.
    pub(crate) client_ca: Option<PathBuf>,
    /// The database file.
    pub(crate) store: PathBuf,
    pub(crate) tokens: Tokens,
    /// Where the key is that seals all others.
    pub(crate) master_key: MasterKeySource,
    /// How long sessions live.
    pub(crate) sessions: Timeouts,
    /// Who has to have a second factor.
    pub(crate) second_factors: Arc<Required>,
    pub(crate) offered: Offered,
    /// What passwords are not to be.
    pub(crate) passwords: PasswordRules,
    /// What is believed of authenticators.
    pub(crate) authenticators: Arc<Authenticators>,
    /// Who lets people in again.
    pub(crate) recovery: Recovery,
    pub(crate) audit: Audit,
    /// Schema, policies and their tests.
    pub(crate) policy_dir: PathBuf,
    /// The same of policies that decide nothing yet: what they would decide is recorded.
    pub(crate) shadow_dir: Option<PathBuf>,
    pub(crate) routes: Arc<[Route]>,
    /// Whose tokens are believed beside our own.
    pub(crate) trusted_issuers: Vec<TrustedIssuer>,
    /// Where people may sign in beside us.
    pub(crate) identity_providers: Arc<[Arc<IdentityProvider>]>,
    pub(crate) approvals: Approvals,
    /// Messages that wake people's phones.
    pub(crate) push: Push,
    pub(crate) emergency: Emergency,
    /// Where our e-mail is handed over, if there is any.
    pub(crate) mail: Option<Arc<MailServer>>,
    /// What of the log somebody should look at.
    pub(crate) watch: Rules,
    /// Why who may look at records.
    pub(crate) purposes: Arc<Purposes>,
    /// Clients that register themselves.
    pub(crate) registration: Registration,
    /// Where calls may go that others asked for.
    pub(crate) egress: Egress,
    /// Every path that it names, with the key.
    pub(crate) paths: Vec<(String, PathBuf)>,
    /// By what its file is known again, for the record: the SHA-256 of what was read.
    pub(crate) digest: String,
    /// The environment's variables that it was read from.
    pub(crate) variables: Vec<String>,
}

/// Our certificate, the chain with it, and its key, in PEM.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
}

impl Config {
    /// Reads a configuration file and the environment.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub(crate) fn load(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let Opened { text, folder, environment } = open(file)?;
        let read = Self::read(&text, &folder, &environment)?;
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        Ok(Self { file, digest: digest_of(&text), ..read })
    }

    /// The same, as if the file lay in another folder, where what it names is there.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load_as_if_in(file: &Path, folder: &Path) -> Result<Self, Vec<ConfigError>> {
        let Opened { text, environment, .. } = open(file)?;
        Self::read(&text, folder, &environment)
    }

    fn read(text: &str, folder: &Path, environment: &[(String, String)]) -> Result<Self, Vec<ConfigError>> {
        let mut tree = source::parse(text)?;
        let lookup = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let errors = source::overlay(&mut tree, environment.iter().cloned());
        let mut reading = Reading {
            folder,
            environment: &lookup,
            errors,
            paths: Vec::new(),
            variables: environment
                .iter()
                .filter(|(name, _)| source::is_key(name))
                .map(|(n, _)| n.clone())
                .collect(),
        };
        let config = Self::read_tree(&mut reading, Section::root(tree));
        let Reading { mut errors, paths, variables, .. } = reading;
        match config {
            Some(config) if errors.is_empty() => Ok(Self { paths, variables, ..config }),
            Some(_) | None => {
                errors.sort_by_key(|e| e.line);
                Err(errors)
            }
        }
    }

    fn read_tree(reading: &mut Reading<'_>, mut root: Section) -> Option<Self> {
        let issuer = issuer(reading, &mut root);
        let data_dir = places::data_dir(reading, &mut root);
        let section = root.table(reading, "listen");
        let listen = Listen::read(reading, section);
        let mut section = root.table(reading, "tls");
        let client_ca = client_ca(reading, &mut section);
        let tls = Tls::read(reading, section);
        let section = root.table(reading, "store");
        let store = store(reading, section, &data_dir);
        let section = root.table(reading, "tokens");
        let tokens = Tokens::read(reading, section);
        let section = root.table(reading, "keys");
        let master_key = MasterKeySource::read(reading, section, &data_dir);
        let section = root.table(reading, "sessions");
        let sessions = lifetimes::sessions(reading, section);
        let section = root.table(reading, "sign_in");
        let sign_in = sign_in::read(reading, section, issuer.as_deref().unwrap_or_default());
        let section = root.table(reading, "audit");
        let audit = Audit::read(reading, section, &data_dir);
        let section = root.table(reading, "policy");
        let (policy_dir, shadow_dir) = places::policies(reading, section);
        let section = root.table(reading, "approvals");
        let approvals = Approvals::read(reading, section);
        let section = root.table(reading, "emergency");
        let emergency = Emergency::read(reading, section);
        let section = root.optional_table(reading, "mail");
        let mail = MailServer::read(reading, section).map(Arc::new);
        sign_in.check_mail(reading, mail.is_some());
        let section = root.table(reading, "watch");
        let watch = watch::read(reading, section);
        let section = root.table(reading, "purpose_of_use");
        let purposes = Arc::new(purpose_of_use::read(reading, section));
        let section = root.table(reading, "registration");
        let registration = Registration::read(reading, section);
        let section = root.table(reading, "egress");
        let egress = Egress::read(reading, section);
        let base = issuer.clone().unwrap_or_default();
        let section = root.table(reading, "push");
        let push = Push::read(reading, section, &base);
        let sections = root.tables(reading, "route");
        let routes: Vec<Route> = sections
            .into_iter()
            .filter_map(|section| Route::read(reading, section, &base, sign_in.offered))
            .collect();
        route::check_together(reading, &routes);
        if tokens.signing.encryption.is_empty()
            && let Some(route) = routes.iter().find(|route| route.tokens == TokenForm::Encrypted)
        {
            let problem =
                format!("the route `{}` wants encrypted tokens, so there has to be one", route.name);
            reading.error(0, "tokens.encryption_algorithms", problem);
        }
        let sections = root.tables(reading, "trusted_issuer");
        let trusted_issuers: Vec<TrustedIssuer> =
            sections.into_iter().filter_map(|section| TrustedIssuer::read(reading, section, &base)).collect();
        trusted_issuer::check_together(reading, &trusted_issuers);
        let sections = root.tables(reading, "identity_provider");
        let identity_providers: Vec<IdentityProvider> = sections
            .into_iter()
            .filter_map(|section| IdentityProvider::read(reading, section, &base))
            .collect();
        identity_provider::check_together(reading, &identity_providers);
        for (later, example) in [("database", "name")] {
            for section in root.tables(reading, later) {
                reading.error(section.line_of(example), format!("[[{later}]]"), "is not built yet");
            }
        }
        root.finish(reading);
        Some(Self {
            issuer: issuer?,
            data_dir,
            listen: listen?,
            tls: tls?,
            client_ca,
            store: store?,
            tokens,
            master_key: master_key?,
            sessions,
            second_factors: Arc::new(sign_in.required),
            offered: sign_in.offered,
            passwords: sign_in.passwords,
            authenticators: Arc::new(sign_in.authenticators),
            recovery: sign_in.recovery,
            audit,
            policy_dir,
            shadow_dir,
            routes: routes.into(),
            trusted_issuers,
            identity_providers: identity_providers.into_iter().map(Arc::new).collect(),
            approvals,
            push,
            emergency,
            mail,
            watch,
            purposes,
            registration,
            egress,
            file: PathBuf::new(),
            paths: Vec::new(),
            digest: String::new(),
            variables: Vec::new(),
        })
    }

    /// The longest answer that is withheld whole, of any route.
    pub(crate) fn longest_withheld(&self) -> u64 {
        self.routes
            .iter()
            .filter(|route| route.is_fhir())
            .map(|route| route.max_answer)
            .max()
            .unwrap_or_default()
    }

    /// The base URL of the listener that asks for certificates: our host, and its port.
    pub(crate) fn mtls_base(&self) -> Option<String> {
        let port = self.listen.mtls?.port();
        Some(format!("https://{}:{port}", self.host()))
    }

    /// The issuer's host; an IPv6 address stands in its brackets.
    pub(crate) fn host(&self) -> &str {
        match self.authority().rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            Some(_) | None => self.authority(),
        }
    }

    /// The same without brackets.
    pub(crate) fn bare_host(&self) -> &str {
        self.host().trim_matches(['[', ']'])
    }

    /// The host and port of the issuer: names the log and the site that cookies and passkeys belong to.
    pub(crate) fn authority(&self) -> &str {
        self.issuer.strip_prefix("https://").unwrap_or(&self.issuer)
    }
}

/// A file that is to be read.
struct Opened {
    text: String,
    /// Where its paths start.
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

fn open(file: &Path) -> Result<Opened, Vec<ConfigError>> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        let missing = e.kind() == std::io::ErrorKind::NotFound;
        let other =
            if missing { "; `--config` or the variable `CHARTGATE_CONFIG` says where it is" } else { "" };
        let problem = format!("cannot read {}: {e}{other}", file.display());
        vec![ConfigError { line: 0, key: String::new(), problem }]
    })?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let (mut environment, mut errors) = (Vec::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_) if source::is_key(&name) => {
                let problem = format!("the variable {name} is not UTF-8");
                errors.push(ConfigError { line: 0, key: String::new(), problem });
            }
            Err(_) => {}
        }
    }
    if errors.is_empty() { Ok(Opened { text, folder, environment }) } else { Err(errors) }
}

fn issuer(reading: &mut Reading<'_>, root: &mut Section) -> Option<String> {
    let line = root.line_of("issuer");
    let text = root.required_text(reading, "issuer")?;
    match wrong_issuer(&text) {
        None => Some(text),
        Some(problem) => {
            reading.error(line, "issuer", problem);
            None
        }
    }
}

/// What is wrong with a text that is to be our issuer.
pub(crate) fn wrong_issuer(text: &str) -> Option<String> {
    let plain = text.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b))
    });
    (!plain).then(|| format!("`{text}` has to be https://HOST or https://HOST:PORT, without a path or slash"))
}

fn store(reading: &mut Reading<'_>, mut section: Section, data_dir: &Path) -> Option<PathBuf> {
    let line = section.line_of("url");
    let url = section.text(reading, "url");
    let key = section.key("url");
    section.finish(reading);
    match url {
        None => Some(data_dir.join("chartgate.db")),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            reading.error(line, key, "PostgreSQL is not built yet; use sqlite:FILE");
            None
        }
        Some(url) => {
            let file = url.strip_prefix("sqlite:").map(|file| reading.folder.join(file));
            if file.is_none() {
                reading.error(line, key, format!("`{url}` has to be sqlite:FILE"));
            }
            file
        }
    }
}

fn client_ca(reading: &mut Reading<'_>, section: &mut Section) -> Option<PathBuf> {
    let line = section.line_of("client_ca");
    let path = section.path(reading, "client_ca")?;
    if !path.is_file() {
        reading.error(line, section.key("client_ca"), format!("no file {}", path.display()));
    }
    Some(path)
}

impl Tls {
    fn read(reading: &mut Reading<'_>, mut section: Section) -> Option<Self> {
        let certificate = section.path(reading, "certificate");
        let private_key = section.path(reading, "private_key");
        for (key, path) in [("certificate", &certificate), ("private_key", &private_key)] {
            match path {
                None => reading.error(section.line(), section.key(key), "is missing"),
                Some(path) if !path.is_file() => {
                    reading.error(section.line(), section.key(key), format!("no file {}", path.display()));
                }
                Some(_) => {}
            }
        }
        section.finish(reading);
        Some(Self { certificate: certificate?, private_key: private_key? })
    }
}
