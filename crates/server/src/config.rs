//! The configuration: TOML with the environment laid over it, in; a value without anything left open, out.
//!
//! Read key by key rather than by derive, so that every error is reported at once, with its line.

mod listen;
mod route;
mod section;
mod source;
mod succession;
#[cfg(test)]
mod tests;
mod upstream_auth;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chartgate_access::session::Timeouts;
use chartgate_protocol::jose::Algorithm;

pub(crate) use listen::{Listen, Network};
pub(crate) use route::{HttpRule, Route, RouteKind, UpdateCreate};
use section::{Reading, Section};
pub(crate) use source::ConfigError;
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
    /// The database file.
    pub(crate) store: PathBuf,
    pub(crate) tokens: Tokens,
    /// How long sessions live.
    pub(crate) sessions: Timeouts,
    pub(crate) audit: Audit,
    /// Schema, policies and their tests.
    pub(crate) policy_dir: PathBuf,
    pub(crate) routes: Arc<[Route]>,
}

/// Our certificate, the chain with it, and its key, in PEM.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
}

/// How tokens are signed and how long they live.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) signing_algorithm: Algorithm,
    pub(crate) access_token_ttl: Duration,
    pub(crate) refresh_token_ttl: Duration,
    pub(crate) offline_token_ttl: Duration,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) dir: PathBuf,
    pub(crate) durability: Durability,
    /// While less disk than this is free, requests that did not show who makes them are turned away.
    pub(crate) reserve: u64,
}

/// What an acknowledged record survives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// A power cut: `fdatasync` returned.
    Fsync,
    /// The end of the process: the operating system has it.
    Os,
}

/// The longest that an access token may live; cut-offs are kept as long.
pub(crate) const LONGEST_ACCESS_TOKEN: Duration = Duration::from_secs(3600);

impl Config {
    /// Reads a configuration file and the environment.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub(crate) fn load(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            let problem = format!("cannot read {}: {e}", file.display());
            vec![ConfigError { line: 0, key: String::new(), problem }]
        })?;
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let read = Self::read(&text, &folder, &variables)?;
        Ok(Self { file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()), ..read })
    }

    fn read(text: &str, folder: &Path, environment: &[(String, String)]) -> Result<Self, Vec<ConfigError>> {
        let mut tree = source::parse(text)?;
        let lookup = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        source::overlay(&mut tree, environment.iter().cloned());
        let mut reading = Reading { folder, environment: &lookup, errors: Vec::new() };
        let config = Self::read_tree(&mut reading, Section::root(tree));
        let mut errors = reading.errors;
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            Some(_) | None => {
                errors.sort_by_key(|e| e.line);
                Err(errors)
            }
        }
    }

    fn read_tree(reading: &mut Reading<'_>, mut root: Section) -> Option<Self> {
        let issuer = issuer(reading, &mut root);
        let data_dir = root.path(reading, "data_dir").unwrap_or_else(|| reading.folder.join("data"));
        let section = root.table(reading, "listen");
        let listen = Listen::read(reading, section);
        let section = root.table(reading, "tls");
        let tls = Tls::read(reading, section);
        let section = root.table(reading, "store");
        let store = store(reading, section, &data_dir);
        let section = root.table(reading, "tokens");
        let tokens = Tokens::read(reading, section);
        let section = root.table(reading, "sessions");
        let sessions = sessions(reading, section);
        let section = root.table(reading, "audit");
        let audit = Audit::read(reading, section, &data_dir);
        let mut policy = root.table(reading, "policy");
        let policy_dir = policy.path(reading, "dir").unwrap_or_else(|| reading.folder.join("policies"));
        policy.finish(reading);
        let base = issuer.clone().unwrap_or_default();
        let sections = root.tables(reading, "route");
        let routes: Vec<Route> =
            sections.into_iter().filter_map(|section| Route::read(reading, section, &base)).collect();
        check_routes(reading, &routes);
        for (later, example) in [("trusted_issuer", "issuer"), ("database", "name")] {
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
            store: store?,
            tokens,
            sessions,
            audit,
            policy_dir,
            routes: routes.into(),
            file: PathBuf::new(),
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

    /// The host and port of the issuer: names the log and the site that cookies and passkeys belong to.
    pub(crate) fn authority(&self) -> &str {
        self.issuer.strip_prefix("https://").unwrap_or(&self.issuer)
    }
}

fn issuer(reading: &mut Reading<'_>, root: &mut Section) -> Option<String> {
    let line = root.line_of("issuer");
    let text = root.required_text(reading, "issuer")?;
    let plain = text.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b))
    });
    if plain {
        return Some(text);
    }
    let problem = format!("`{text}` has to be https://HOST or https://HOST:PORT, without a path or slash");
    reading.error(line, "issuer", problem);
    None
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

fn sessions(reading: &mut Reading<'_>, mut section: Section) -> Timeouts {
    let idle = section.duration(
        reading,
        "idle_timeout",
        Duration::from_mins(15),
        Duration::from_mins(1)..=Duration::from_hours(24),
    );
    let absolute = section.duration(
        reading,
        "absolute_timeout",
        Duration::from_hours(12),
        Duration::from_mins(1)..=Duration::from_hours(24 * 30),
    );
    section.finish(reading);
    Timeouts { idle, absolute }
}

fn check_routes(reading: &mut Reading<'_>, routes: &[Route]) {
    const OURS: [&str; 14] = [
        "/.well-known",
        "/account",
        "/admin",
        "/approve",
        "/assets",
        "/audit",
        "/authorize",
        "/device",
        "/jwks",
        "/login",
        "/logout",
        "/revoke",
        "/token",
        "/userinfo",
    ];
    for (index, route) in routes.iter().enumerate() {
        let first = route.path.split('/').nth(1).unwrap_or_default();
        if OURS.iter().any(|ours| ours.strip_prefix('/') == Some(first)) {
            let problem = format!("`{}` is the gateway's own path", route.path);
            reading.error(0, format!("route.{}.path", route.name), problem);
        }
        for other in routes.iter().skip(index.saturating_add(1)) {
            let overlap =
                |a: &str, b: &str| a.strip_prefix(b).is_some_and(|r| r.is_empty() || r.starts_with('/'));
            if other.name == route.name {
                reading.error(0, format!("route.{}.name", route.name), "is used by two routes");
            }
            if overlap(&route.path, &other.path) || overlap(&other.path, &route.path) {
                let problem =
                    format!("`{}` overlaps with `{}` of route `{}`", route.path, other.path, other.name);
                reading.error(0, format!("route.{}.path", route.name), problem);
            }
        }
    }
}

/// Some dozen segments of the journal.
const RESERVE: u64 = 256 << 20;

/// As `y` counts them: 365.25 days.
const fn years(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(31_557_600))
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

impl Tokens {
    fn read(reading: &mut Reading<'_>, mut section: Section) -> Self {
        let second = Duration::from_secs(1);
        let line = section.line_of("signing_algorithm");
        let algorithm: Algorithm = section.parsed(reading, "signing_algorithm").unwrap_or(Algorithm::RS256);
        let signs = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => {
                algorithm
            }
            Algorithm::RS384 | Algorithm::PS384 => {
                let problem = "has to be RS256, PS256, ES256, ES384 or EdDSA";
                reading.error(line, section.key("signing_algorithm"), problem);
                Algorithm::RS256
            }
        };
        let tokens = Self {
            signing_algorithm: signs,
            access_token_ttl: section.duration(
                reading,
                "access_token_ttl",
                Duration::from_mins(5),
                second..=LONGEST_ACCESS_TOKEN,
            ),
            refresh_token_ttl: section.duration(
                reading,
                "refresh_token_ttl",
                Duration::from_hours(8),
                second..=Duration::from_hours(24 * 30),
            ),
            offline_token_ttl: section.duration(
                reading,
                "offline_token_ttl",
                Duration::from_hours(24 * 90),
                second..=Duration::from_hours(24 * 730),
            ),
        };
        section.finish(reading);
        tokens
    }
}

impl Audit {
    fn read(reading: &mut Reading<'_>, mut section: Section, data_dir: &Path) -> Self {
        let dir = section.path(reading, "dir").unwrap_or_else(|| data_dir.join("audit"));
        let line = section.line_of("durability");
        let durability = match section.text(reading, "durability").as_deref() {
            None | Some("fsync") => Durability::Fsync,
            Some("os") => Durability::Os,
            Some(other) => {
                let problem = format!("`{other}` is not one of fsync, os");
                reading.error(line, section.key("durability"), problem);
                Durability::Fsync
            }
        };
        let reserve = section.size(reading, "reserve", RESERVE);
        // Entries are kept for good until pruning is built, so any retention is kept; the value has to make sense.
        section.duration(reading, "retention", years(6), Duration::from_hours(1)..=years(100));
        section.finish(reading);
        Self { dir, durability, reserve }
    }
}
